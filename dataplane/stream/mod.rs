//! Inline TCP reassembly for inspection, and that of IP fragments. One instance per worker: no syscall, no lock, no
//! allocation once made, and everything bounded.
//!
//! ```text
//!  segment ─► header, checksum ─► table: stream, direction ─► in order? ─► chunk: where it lies in the frame
//!                                                              early?  ─► copied into the store, forwarded
//!                                                              seen?   ─► compared with the copy; different: dropped
//!  fragment ─► store ─► the last one is there: datagram in the area ─► packet for modules, and its TCP segment as above
//! ```
//!
//! What is forwarded is what counts, for little or nothing lies between us and the receiver. So the first bytes that
//! are forwarded for a place in the stream win: others for the same place never get there. A segment that comes early is
//! forwarded, and kept; the segment that fills the gap before it carries the verdict on both, for without it the
//! receiver's application gets neither.
//!
//! Streams have a table of their own beside the worker's flow table: a stream is forgotten by its state (a flood of
//! half-open connections pushes out half-open ones alone), a flow by when it was seen last, and only chains that ask for
//! streams pay for them. Both go by the same number of the flow. `docs/streams.md` tells what users see of it.

mod config;
mod connection;
mod counts;
mod events;
mod follow;
mod fragments;
mod order;
mod segment;
mod side;
mod store;
mod table;

pub use config::{
    Checksum, MAX_MEMORY, MAX_STREAMS, MIN_MEMORY, MIN_STREAMS, Midstream, Pressure, StreamConfig, Unverifiable, Urgent,
};
pub use counts::{Refusal, StreamCounts};
pub use events::{Event, Events};
pub use follow::{Passage, Segment, Step, Streams};
pub use fragments::{Collected, Datagram, Fragments};
pub use segment::clear_urgent;

#[cfg(test)]
mod fragments_tests;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

/// A number that is known to be small as an index.
fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
