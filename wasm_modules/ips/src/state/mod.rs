//! What is kept between packets: of flows, of addresses, of thresholds. All of it is bounded.

pub mod flow;
pub mod hosts;
pub mod lru;
pub mod mixed;
pub mod threshold;
pub mod window;
