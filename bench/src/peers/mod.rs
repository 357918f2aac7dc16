//! What secuxflow is compared with. Each is loaded here, and gives its program and what it counted.

pub(crate) mod lpm;
pub(crate) mod lpm_bv;
pub(crate) mod nft;
pub(crate) mod testpmd;
mod vectors;
pub(crate) mod xdp_filter;
