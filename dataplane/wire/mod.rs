//! Packets on the wire: header views, checksums, and the rewriting of a forwarded frame.

pub mod checksum;
mod headers;
pub mod reply;
mod rewrite;

#[cfg(test)]
mod headers_tests;
#[cfg(any(test, feature = "shapes"))]
#[cfg_attr(not(test), allow(dead_code, reason = "benchmarks want plain packets only"))]
pub(crate) mod testing;

pub use headers::{
    ETH_HLEN, ETH_P_ARP, ETH_P_IP, ETH_P_IPV6, Fragment, Frame, Headers, Kind, MAX_EXT_HEADERS, MAX_VLAN_TAGS,
    Undecidable, is_extension, parse, parse_into,
};
pub use rewrite::{Rewrite, Rewritten, TtlExpired};

#[cfg(test)]
mod reply_tests;
#[cfg(test)]
mod rewrite_tests;
