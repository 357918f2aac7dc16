//! Flows: their keys and the keyed hash that names one the same in both directions, the table that a worker keeps of them,
//! and what chains say of whole flows. `docs/offload.md` tells how that gets into the kernel.

mod hash;
mod key;
mod order;
mod table;
mod tracker;

pub use hash::{FastHash, FastHasher, HashKey};
pub use key::{FlowKey, public_id};
pub use order::{FlowOrder, FlowTuple, FlowVerdict, Order, OrderQueue, is_plain};
pub use table::{FlowTable, Index, MIN_FLOWS, TableCounts};
pub use tracker::{Ask, Asked, Fate, Flow, Lifetimes, Said, Seen, Tracker, TrackerOptions, Way};
