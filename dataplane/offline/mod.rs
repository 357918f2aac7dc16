//! Offline inspection: packets of a capture, in its own time, through the rules, flow table, streams and modules that a
//! worker uses. No interface, no privilege.
//!
//! [`CaptureReader`] reads pcap and pcapng in constant memory, [`to_ethernet`] gives what was not captured on Ethernet a
//! header of that kind, [`Replay`] does what XDP and a worker do.

mod frames;
mod reader;
mod run;
mod section;
mod totals;

#[cfg(test)]
mod reader_tests;
#[cfg(test)]
mod run_tests;
#[cfg(test)]
pub(crate) mod testing;

pub use frames::{LinkType, to_ethernet};
pub use reader::{CaptureError, CaptureFormat, CaptureReader, Captured, MAX_CAPTURED, Skipped};
pub use run::{DEFAULT_BATCH, Happened, Replay, ReplayError, ReplayOptions};
pub use totals::{ChainTally, Fate, PacketReport, RuleTally, Totals};
