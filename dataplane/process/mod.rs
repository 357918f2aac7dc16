//! What becomes of a batch of frames, without a syscall: runs in tests and fuzzers without a NIC.

mod adapters;
mod around;
mod batch;
mod forward;
mod gather;
mod outcome;
mod snapshot;
mod streaming;

pub use around::{Classified, Classify, Frames, Inspect};
pub use batch::Processor;
pub use gather::{GATHERED, Gather};
pub use outcome::{DropReason, Outcome, Tally};
pub use snapshot::{EgressId, Ingress, Route, Snapshot};
pub use streaming::Streaming;

#[cfg(test)]
mod flow_tests;
#[cfg(test)]
mod gather_tests;
#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod tests;
