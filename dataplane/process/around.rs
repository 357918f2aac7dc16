//! What a processor is given by others: the frames of a batch, the word of the rules, the chains of modules.

use secuxflow_abi::{Chunk, Packet};

use crate::{bpf::Metadata, flow::Asked, inspect::Runner, wire};

/// Runs chains of modules.
pub trait Inspect {
    /// Inspect `packets`, and the `chunks` of streams that came with them, by chain number `chain`. The verdicts are `PASS`
    /// before the call and any of [`verdict`](secuxflow_abi::verdict) after it, fail policies applied. The chunks are in the
    /// order of their packets; [`Chunk::packet`] counts from the first of `packets`. Modules are told that it is `now_ns`.
    fn run(&mut self, now_ns: u64, chain: u16, packets: &mut [Packet], chunks: &[Chunk]);

    /// Whether the chain inspects streams: otherwise no chunks need be made for it.
    fn wants_streams(&self, _chain: u16) -> bool {
        false
    }

    /// Packets of the last [`run`](Self::run), by number, whose streams were cut: whatever else comes of their flows is to
    /// be dropped, unless in monitor mode.
    fn cut(&self) -> &[u32] {
        &[]
    }

    /// Told before every batch whether packets that are dropped are forwarded all the same, for alerts to say so.
    fn set_monitor(&mut self, _monitor: bool) {}

    /// What modules asked for in the last [`run`](Self::run), beside their verdicts.
    fn asked(&self) -> &[Asked] {
        &[]
    }

    /// Told before the first batch of what inspected before this did, to go on where that left off.
    fn take_over(&mut self, _before: &mut dyn Inspect) {}

    /// The instances that another may take over, where there are any.
    fn runner(&mut self) -> Option<&mut Runner> {
        None
    }
}

/// What the rules say of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Classified {
    /// Let it through.
    Pass,
    /// Discard it.
    Drop,
    /// Inspect it.
    Inspect {
        /// Index of the chain.
        chain: u16,
        /// Number of the rule, 0 for the default action.
        rule: u32,
    },
}

/// Classifies packets that come without the kernel's word.
pub trait Classify {
    /// What the rules say of `frame`.
    fn classify(&self, frame: &wire::Frame) -> Classified;
}

/// A batch of received frames, at most [`MAX_BATCH`](secuxflow_abi::MAX_BATCH), all of one interface.
pub trait Frames {
    /// Frames in the batch.
    fn count(&self) -> usize;
    /// Index of the interface they came in by.
    fn ingress(&self) -> u16;
    /// Bytes of frame `index`, from its Ethernet header on.
    fn bytes(&self, index: usize) -> &[u8];
    /// The same, to be rewritten.
    fn bytes_mut(&mut self, index: usize) -> &mut [u8];
    /// Cut frame `index` to its first `len` bytes.
    fn truncate(&mut self, index: usize, len: usize);
    /// UMEM offset of the frame's first byte.
    fn addr(&self, index: usize) -> u32;
    /// Frame `index` is going to be looked at soon.
    fn prefetch(&self, _index: usize) {}
    /// Packet `index` lies in several buffers, and its bytes, address and length above are those of the first.
    fn is_split(&self, _index: usize) -> bool {
        false
    }
    /// Hand the bytes of its other buffers to `each`, in order.
    fn each_part_behind(&self, _index: usize, _each: impl FnMut(&[u8])) {}
    /// What the XDP program wrote in front of it; a second call may find it gone.
    fn take_metadata(&mut self, index: usize) -> Option<Metadata>;
}
