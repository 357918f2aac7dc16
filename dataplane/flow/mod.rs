//! Flow keys and the keyed hash that names a flow the same in both directions.

mod hash;
mod key;

pub use hash::{FastHash, FastHasher, HashKey};
pub use key::FlowKey;
