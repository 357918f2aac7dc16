//! Packets on the wire: header views, checksums, and the rewriting of a forwarded frame.

mod headers;
#[cfg(test)]
mod headers_tests;
#[cfg(test)]
pub(crate) mod testing;

pub use headers::{
    ETH_HLEN, ETH_P_ARP, ETH_P_IP, ETH_P_IPV6, Fragment, Frame, Headers, MAX_EXT_HEADERS, MAX_VLAN_TAGS, Undecidable,
    is_extension, parse,
};
