//! What streams are told at start: how much is kept, for how long, and what happens where something cannot be known.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::store::BLOCK;

/// Least memory of a worker: room for a few datagrams of the greatest length beside what is kept of streams.
pub const MIN_MEMORY: usize = 2 << 20;
/// Most of it: half of the window that guests have, the rest is the UMEM's.
pub const MAX_MEMORY: usize = 1 << 30;
/// Fewest streams of a table: more than a batch opens.
pub const MIN_STREAMS: u32 = 2 * 512;
/// Most.
pub const MAX_STREAMS: u32 = 1 << 24;

/// What becomes of a TCP flow whose beginning was not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Midstream {
    /// It is followed from where it is seen first, and modules are told so.
    #[default]
    Pickup,
    /// Its packets pass; modules see them as packets, not as a stream.
    Pass,
    /// Its packets are dropped.
    Drop,
}

/// What becomes of a segment or fragment that has to be kept aside and finds no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pressure {
    /// It is dropped; its sender sends it again.
    #[default]
    Drop,
    /// It passes, and what cannot be kept is not inspected; modules are told of the gap.
    Skip,
}

/// What becomes of a retransmission of which no copy is left to compare it with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unverifiable {
    /// It passes, and is counted.
    #[default]
    Pass,
    /// It is dropped.
    Drop,
}

/// What becomes of urgent data, which receivers take out of the stream, or do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Urgent {
    /// The flag and the pointer are taken away: it is data as any other, for modules and for the receiver.
    #[default]
    Clear,
    /// The segment is dropped.
    Drop,
    /// The segment stays as it is, and modules see the byte as part of the stream.
    Inline,
}

/// Whether the checksum of a segment is looked at before its bytes count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checksum {
    /// A segment with a wrong one is dropped, as its receiver would.
    #[default]
    Verify,
    /// Captures of a sender's own traffic have none.
    Ignore,
}

/// See the module. Sizes are per worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamConfig {
    /// Bytes for what is kept aside, [`MIN_MEMORY`] to [`MAX_MEMORY`].
    pub memory: usize,
    /// Streams that are followed at a time, [`MIN_STREAMS`] to [`MAX_STREAMS`]; about 330 bytes each.
    pub streams: u32,
    /// Bytes behind a gap that are kept of each direction of a stream.
    pub early: u32,
    /// Bytes before the next one that are kept of each direction, to compare retransmissions with; 0 for none.
    pub history: u32,
    /// Flows whose beginning was not seen.
    pub midstream: Midstream,
    /// No room.
    pub pressure: Pressure,
    /// Retransmissions without a copy.
    pub unverifiable: Unverifiable,
    /// Urgent data.
    pub urgent: Urgent,
    /// Checksums.
    pub checksum: Checksum,
    /// Time without a packet after which a connection that is being opened is forgotten.
    pub opening: Duration,
    /// The same for an open one.
    pub open: Duration,
    /// The same for one that was closed or reset.
    pub closing: Duration,
    /// Fragmented datagrams that are put together at a time.
    pub datagrams: u32,
    /// Time after the first fragment until which the others have to come. Receivers wait 60 seconds at most, RFC 8200; who
    /// forgets sooner than they do can be had to forget a datagram that still gets there.
    pub datagram: Duration,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            memory: 32 << 20,
            streams: 131_072,
            early: 256 << 10,
            history: 128 << 10,
            midstream: Midstream::default(),
            pressure: Pressure::default(),
            unverifiable: Unverifiable::default(),
            urgent: Urgent::default(),
            checksum: Checksum::default(),
            opening: Duration::from_secs(30),
            open: Duration::from_secs(600),
            closing: Duration::from_secs(15),
            datagrams: 256,
            datagram: Duration::from_secs(60),
        }
    }
}

impl StreamConfig {
    /// The same with everything inside its bounds.
    #[must_use]
    pub(super) fn bounded(&self) -> Self {
        let block = u32::try_from(BLOCK).unwrap_or(u32::MAX);
        Self {
            memory: self.memory.clamp(MIN_MEMORY, MAX_MEMORY),
            streams: self.streams.clamp(MIN_STREAMS, MAX_STREAMS),
            early: self.early.clamp(block, 1 << 28),
            history: self.history.min(1 << 28),
            datagrams: self.datagrams.clamp(1, 1 << 16),
            ..self.clone()
        }
    }
}
