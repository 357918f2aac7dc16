//! Buffers of protocols: what is inspected, parsed from packets and streams.

pub mod dns;
pub mod http;
pub mod names;
pub mod ssh;
pub mod tls;
pub mod transform;

/// What there is of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot<'a> {
    /// It may still come.
    NotYet,
    /// There is none.
    Absent,
    /// The data so far, and whether that is all.
    Data {
        /// The data.
        bytes: &'a [u8],
        /// Nothing more will come.
        ended: bool,
    },
}
