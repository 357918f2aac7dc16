//! The end of a frame's way through a worker.

use super::EgressId;

/// Why a frame was discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// A module's verdict, or its fail policy.
    Module,
    /// No service has the destination address, or its socket is gone.
    NoService,
    /// Routed, and its time to live ran out.
    TtlExpired,
    /// Longer than the service's device takes.
    Mtu,
    /// The TX ring toward the service, or the way to it, is full.
    TxFull,
    /// Not an IP packet that could be forwarded.
    Malformed,
    /// A rule's verdict, found by the worker itself.
    Rule,
    /// A chain condemned the packet's flow.
    Condemned,
    /// A module's verdict, of which the worker tells both ends, or the sender.
    Rejected,
    /// Refused for its stream or datagram; the counters of streams say why.
    Stream,
    /// Came in several buffers of which one was missing, or in too many to be put together.
    Incomplete,
    /// Lies in several buffers, which the way to its service does not take.
    Buffers,
}

impl DropReason {
    /// Every reason, in the order of [`index`](Self::index).
    pub const ALL: [Self; 12] = [
        Self::Module,
        Self::NoService,
        Self::TtlExpired,
        Self::Mtu,
        Self::TxFull,
        Self::Malformed,
        Self::Rule,
        Self::Condemned,
        Self::Rejected,
        Self::Stream,
        Self::Incomplete,
        Self::Buffers,
    ];

    /// Label value in metrics and status.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Module => "module",
            Self::NoService => "no_service",
            Self::TtlExpired => "ttl_expired",
            Self::Mtu => "mtu",
            Self::TxFull => "tx_full",
            Self::Malformed => "malformed",
            Self::Rule => "rule",
            Self::Condemned => "condemned",
            Self::Rejected => "rejected",
            Self::Stream => "stream",
            Self::Incomplete => "incomplete",
            Self::Buffers => "buffers",
        }
    }

    /// Position in [`ALL`](Self::ALL).
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }
}

/// What to do with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Send it; it is rewritten already.
    Forward {
        /// Where.
        egress: EgressId,
        /// Index of the service, for its counters.
        service: u16,
    },
    /// Discard it; see [`wire::reply`](crate::wire::reply) for what is told of [`DropReason::Rejected`].
    Drop(DropReason),
}

/// What a batch came to, beside its outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Bytes received.
    pub bytes: u64,
    /// Partial checksums completed.
    pub checksums_repaired: u64,
    /// Packets that came in several buffers.
    pub multi_buffer: u64,
    /// Frames classified here, for want of the kernel's word.
    pub reclassified: u64,
    /// Frames that a module dropped, or that were refused for their stream; forwarded, in monitor mode.
    pub monitored: u64,
    /// Chains that panicked.
    pub panics: u64,
    /// Frames that no module saw, because their chain had cleared the flow.
    pub cleared: u64,
    /// Wishes of modules for whole flows and sources that were taken up.
    pub granted: u64,
}
