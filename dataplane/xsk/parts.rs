//! Packets that take several frames: tied together, and taken apart again.
//!
//! ```text
//!  token of the first frame ── tails = 2
//!  ties, by frame number:      first ─► second ─► third
//! ```
//!
//! Whoever holds the token holds all frames of the packet, so that it goes through queues and mailboxes as any other.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{Descriptor, Frame, Umem};

/// Most frames of a packet. A kernel makes an skb of as many when it sends, and of one more (`MAX_SKB_FRAGS`); with frames
/// of 2048 bytes that is a packet of 28,672.
pub const MAX_PARTS: usize = 16;

/// For each frame where the rest of its packet begins: address, and length in the upper half. Only the holder of the packet's
/// token reads or writes the entries of its frames, and passing the token on orders them.
#[derive(Debug)]
pub(super) struct Ties(Box<[AtomicU64]>);

impl Ties {
    /// None tied to another.
    pub(super) fn new(frames: usize) -> Self {
        Self((0..frames).map(|_| AtomicU64::new(0)).collect())
    }

    fn get(&self, index: usize) -> (u32, u16) {
        let word = self.0[index].load(Relaxed);
        let half = |word: u64| u32::try_from(word & u64::from(u32::MAX)).unwrap_or(0);
        (half(word), u16::try_from(half(word >> 32)).unwrap_or(0))
    }

    fn set(&self, index: usize, (addr, len): (u32, u16)) {
        self.0[index].store(u64::from(len) << 32 | u64::from(addr), Relaxed);
    }
}

impl Umem {
    /// Tie `part`, a single frame, to the packet in `packet` as its end.
    ///
    /// # Panics
    /// When a frame is of another UMEM, or the packet has [`MAX_PARTS`] already.
    #[expect(clippy::needless_pass_by_value, reason = "the part's token is given up")]
    pub(crate) fn join(&self, packet: &mut Frame, part: Frame) {
        self.guard(packet);
        self.guard(&part);
        assert!(packet.frames() < MAX_PARTS && !part.is_split(), "a packet of too many parts");
        let mut last = packet.addr;
        self.each_tail(packet, |tail| last = tail.addr);
        self.ties().set(self.index(last), (part.addr, part.len));
        packet.tails += 1;
    }

    /// Untie the second frame of a packet from it; none for one that takes a single frame.
    pub(crate) fn take_tail(&self, packet: &mut Frame) -> Option<Frame> {
        self.guard(packet);
        packet.tails = packet.tails.checked_sub(1)?;
        let (addr, len) = self.ties().get(self.index(packet.addr));
        if packet.is_split() {
            self.ties().set(self.index(packet.addr), self.ties().get(self.index(addr)));
        }
        Some(Frame { addr, len, umem: packet.umem, tails: 0 })
    }

    /// Length in bytes of the whole packet.
    pub(crate) fn packet_len(&self, packet: &Frame) -> u32 {
        let mut len = u32::from(packet.len);
        if packet.is_split() {
            self.each_tail(packet, |tail| len += u32::from(tail.len));
        }
        len
    }

    /// Hand the bytes of each frame behind the first to `each`, in order.
    pub(crate) fn each_part_behind(&self, packet: &Frame, mut each: impl FnMut(&[u8])) {
        self.each_tail(packet, |tail| each(self.bytes(tail)));
    }

    /// The descriptors by which the packet is sent, into the front of `into`; how many, all or none.
    pub(super) fn describe(&self, packet: &Frame, into: &mut [Descriptor]) -> usize {
        let Some(into) = into.get_mut(..packet.frames()) else { return 0 };
        let mut at = 0;
        let mut put = |frame: &Frame| {
            into[at] = Descriptor { addr: frame.addr, len: frame.len.into(), more: at < usize::from(packet.tails) };
            at += 1;
        };
        put(packet);
        self.each_tail(packet, put);
        packet.frames()
    }

    /// Lend a token of each frame behind the first, in order; the packet's own stands for all of them.
    pub(super) fn each_tail(&self, packet: &Frame, mut each: impl FnMut(&Frame)) {
        let mut at = packet.addr;
        for _ in 0..packet.tails {
            let (addr, len) = self.ties().get(self.index(at));
            each(&Frame { addr, len, umem: packet.umem, tails: 0 });
            at = addr;
        }
    }
}
