//! The wire: a generator and a sink with a device under test between them.
//!
//! ```text
//!  sxf-gen ═══ sxf-in ─► forwarder ─► sxf-out ═══ sxf-sink
//!  generator             core 1                   counts, checks order, measures latency
//!  core 0
//! ```
//!
//! All four are devices of two veth pairs in one network namespace, which ends with the process.

pub(crate) mod cores;
pub(crate) mod frames;
pub(crate) mod generator;
pub(crate) mod links;
pub(crate) mod programs;
pub(crate) mod sink;

#[cfg(test)]
mod tests;
