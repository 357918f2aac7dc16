//! A frame of the UMEM as an owned token, and the ledger that knows where each frame is.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::PortId;

/// The right to use one frame. There is never more than one token of a frame: it can be neither copied nor cloned, and
/// handing the frame to a ring, a mailbox or the pool consumes it. Dropping it without that loses the frame until the
/// UMEM goes.
///
/// A packet of several buffers has one token: that of its first frame, to which the UMEM has tied `tails` more.
///
/// Invariant, upheld by the UMEM that makes it: `addr..addr + len` lies inside one frame of the UMEM numbered `umem`.
#[must_use = "a frame that is dropped is lost; release it"]
#[derive(Debug)]
pub struct Frame {
    /// UMEM offset of the packet's first byte.
    pub(super) addr: u32,
    /// Length in bytes of the packet, or of its part in this frame; 0 for a free frame.
    pub(super) len: u16,
    /// Which UMEM the frame belongs to.
    pub(super) umem: u8,
    /// Frames behind this one that hold the rest of the packet: see [`super::parts`].
    pub(super) tails: u8,
}

impl Frame {
    /// UMEM offset of the packet's first byte.
    #[must_use]
    pub fn addr(&self) -> u32 {
        self.addr
    }

    /// Cut the packet to its first `len` bytes; a longer `len` changes nothing.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = u16::try_from(len).map_or(self.len, |len| self.len.min(len));
    }

    /// Length in bytes of what is in this frame: of the packet, unless that takes several.
    #[must_use]
    pub fn packet_len(&self) -> u16 {
        self.len
    }

    /// The packet takes more frames than this one.
    #[must_use]
    pub fn is_split(&self) -> bool {
        self.tails > 0
    }

    /// Frames that the packet takes.
    #[must_use]
    pub fn frames(&self) -> usize {
        1 + usize::from(self.tails)
    }
}

/// Where a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// On a worker's free list or in the shared pool.
    Free,
    /// In a port's fill or RX ring, or with the driver.
    Fill(PortId),
    /// With a worker: being processed, or waiting for room in a TX ring.
    Rx,
    /// In a port's TX or completion ring, or with the driver.
    Tx(PortId),
    /// On its way to another worker.
    Mailbox,
}

impl Place {
    fn code(self) -> u32 {
        let (kind, port) = match self {
            Self::Free => (0, PortId(0)),
            Self::Fill(port) => (1, port),
            Self::Rx => (2, PortId(0)),
            Self::Tx(port) => (3, port),
            Self::Mailbox => (4, PortId(0)),
        };
        kind << 16 | u32::from(port.0)
    }
}

/// Number of frames by place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameCounts {
    /// On a free list or in the pool.
    pub free: u64,
    /// In fill and RX rings.
    pub fill: u64,
    /// With a worker.
    pub rx: u64,
    /// In TX and completion rings.
    pub tx: u64,
    /// In mailboxes.
    pub mailbox: u64,
}

impl FrameCounts {
    /// Sum over all places.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.free + self.fill + self.rx + self.tx + self.mailbox
    }
}

/// Where each frame is, one word a frame. Only the holder of a frame's token (or the kernel's answer for a frame in a
/// ring) moves its entry, so entries need no ordering among each other.
#[derive(Debug)]
pub(super) struct Ledger(Box<[AtomicU32]>);

impl Ledger {
    /// All frames free.
    pub(super) fn new(frames: usize) -> Self {
        Self((0..frames).map(|_| AtomicU32::new(Place::Free.code())).collect())
    }

    /// Note that frame `index` is at `place` now.
    pub(super) fn set(&self, index: usize, place: Place) {
        self.0[index].store(place.code(), Relaxed);
    }

    /// Move frame `index` to `to` when it is at `from`; false when it is elsewhere or there is no such frame.
    pub(super) fn transfer(&self, index: usize, from: Place, to: Place) -> bool {
        self.0.get(index).is_some_and(|entry| {
            let there = entry.load(Relaxed) == from.code();
            if there {
                entry.store(to.code(), Relaxed);
            }
            there
        })
    }

    /// Indices of the frames that are in a ring of `port`.
    pub(super) fn in_rings_of(&self, port: PortId) -> impl Iterator<Item = usize> {
        let (fill, tx) = (Place::Fill(port).code(), Place::Tx(port).code());
        self.0.iter().enumerate().filter_map(move |(index, entry)| {
            let place = entry.load(Relaxed);
            (place == fill || place == tx).then_some(index)
        })
    }

    /// Frames by place; exact when nobody moves a frame meanwhile.
    pub(super) fn counts(&self) -> FrameCounts {
        let mut counts = FrameCounts::default();
        for entry in &self.0 {
            *match entry.load(Relaxed) >> 16 {
                0 => &mut counts.free,
                1 => &mut counts.fill,
                2 => &mut counts.rx,
                3 => &mut counts.tx,
                _ => &mut counts.mailbox,
            } += 1;
        }
        counts
    }
}
