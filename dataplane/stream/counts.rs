//! What happened to streams and datagrams, and why a packet is refused.

/// Why a packet of a stream or of a datagram is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// A TCP header that no receiver takes: an impossible length, flags that contradict each other.
    BadHeader,
    /// A wrong TCP checksum.
    BadChecksum,
    /// Outside of what the receiver has room for, or before the stream's beginning.
    OutOfWindow,
    /// It acknowledges what was never sent.
    BadAck,
    /// Its timestamp is older than those that came before it.
    OldTimestamp,
    /// Its bytes are not those that were sent before at the same place, or it goes on behind the stream's end.
    Conflict,
    /// Data of a connection that was reset.
    Closed,
    /// Urgent data.
    Urgent,
    /// Of a flow whose beginning was not seen.
    Midstream,
    /// A module has dropped the stream.
    Condemned,
    /// No room to keep it aside.
    Pressure,
    /// A retransmission without a copy to compare it with.
    Unverifiable,
    /// A segment before it in its direction was dropped by a module.
    Behind,
    /// A fragment that overlaps another one of its datagram.
    FragmentOverlap,
    /// A fragment that cannot be part of any datagram.
    BadFragment,
}

impl Refusal {
    /// Every one, in the order of [`index`](Self::index).
    pub const ALL: [Self; 15] = [
        Self::BadHeader,
        Self::BadChecksum,
        Self::OutOfWindow,
        Self::BadAck,
        Self::OldTimestamp,
        Self::Conflict,
        Self::Closed,
        Self::Urgent,
        Self::Midstream,
        Self::Condemned,
        Self::Pressure,
        Self::Unverifiable,
        Self::Behind,
        Self::FragmentOverlap,
        Self::BadFragment,
    ];

    /// Label value in metrics and status.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BadHeader => "bad_header",
            Self::BadChecksum => "bad_checksum",
            Self::OutOfWindow => "out_of_window",
            Self::BadAck => "bad_ack",
            Self::OldTimestamp => "old_timestamp",
            Self::Conflict => "conflict",
            Self::Closed => "closed",
            Self::Urgent => "urgent",
            Self::Midstream => "midstream",
            Self::Condemned => "condemned",
            Self::Pressure => "pressure",
            Self::Unverifiable => "unverifiable",
            Self::Behind => "behind",
            Self::FragmentOverlap => "fragment_overlap",
            Self::BadFragment => "bad_fragment",
        }
    }

    /// What an alert says of it; none for what happens without anybody's ill will.
    #[must_use]
    pub fn alert(self) -> Option<&'static str> {
        match self {
            Self::Conflict => Some("TCP segment contradicts what was sent before at the same place"),
            Self::FragmentOverlap => Some("IP fragments overlap"),
            Self::BadFragment => Some("IP fragment that cannot be part of any datagram"),
            _ => None,
        }
    }

    /// Position in [`ALL`](Self::ALL).
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }
}

/// What happened since the start, but for the first three. They only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamCounts {
    /// Streams that are followed now.
    pub streams: u64,
    /// Blocks of memory in use now.
    pub blocks: u64,
    /// Datagrams that wait for fragments now.
    pub datagrams: u64,
    /// Streams that were entered.
    pub opened: u64,
    /// Of those, without their beginning.
    pub midstream: u64,
    /// Streams that were forgotten because nothing came.
    pub expired: u64,
    /// Streams that were forgotten to make room.
    pub evicted: u64,
    /// Bytes that were shown in order.
    pub bytes: u64,
    /// Segments that came early and were kept.
    pub out_of_order: u64,
    /// Segments with bytes that had been seen.
    pub overlaps: u64,
    /// Times that a stream went on behind bytes that nobody inspected.
    pub gaps: u64,
    /// Retransmissions that passed without a copy to compare them with.
    pub unverified: u64,
    /// Segments in order of which no copy was made, for want of room.
    pub uncopied: u64,
    /// Segments whose urgent pointer was taken away.
    pub urgent_cleared: u64,
    /// Datagrams that were put together.
    pub reassembled: u64,
    /// Datagrams whose fragments did not all come in time.
    pub unfinished: u64,
    /// Fragments that passed without being put together, for want of room.
    pub fragments_skipped: u64,
    /// Packets that were refused, by [`Refusal::index`].
    pub refused: [u64; Refusal::ALL.len()],
}

impl StreamCounts {
    /// Names of all but `refused`, in the order of [`values`](Self::values).
    pub const NAMES: [&'static str; 17] = [
        "streams",
        "blocks",
        "datagrams",
        "opened",
        "midstream",
        "expired",
        "evicted",
        "bytes",
        "out_of_order",
        "overlaps",
        "gaps",
        "unverified",
        "uncopied",
        "urgent_cleared",
        "reassembled",
        "unfinished",
        "fragments_skipped",
    ];

    /// All but `refused`.
    #[must_use]
    pub fn values(&self) -> [u64; Self::NAMES.len()] {
        [
            self.streams,
            self.blocks,
            self.datagrams,
            self.opened,
            self.midstream,
            self.expired,
            self.evicted,
            self.bytes,
            self.out_of_order,
            self.overlaps,
            self.gaps,
            self.unverified,
            self.uncopied,
            self.urgent_cleared,
            self.reassembled,
            self.unfinished,
            self.fragments_skipped,
        ]
    }

    /// Packets refused for this reason.
    #[must_use]
    pub fn refused(&self, why: Refusal) -> u64 {
        self.refused[why.index()]
    }
}
