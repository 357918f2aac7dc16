//! Packets that lie in several buffers, put together at one address, where the parser and modules see them.
//!
//! ```text
//!  worker's arena   [ gathered packets of this batch | what is kept of streams and datagrams … ]     what guests see
//! ```
//!
//! Only such packets are copied. What is sent are the buffers they came in, of which the first has the headers.

use secuxflow_abi::MAX_BATCH;

use super::Frames;
use crate::inspect::SharedMemory;

/// Bytes of packets that are put together at a time, of each 64 more at most.
pub const GATHERED: usize = 512 << 10;
/// Packets begin at multiples of this.
const ALIGN: usize = 64;

/// A packet of the batch.
#[derive(Debug, Clone, Copy)]
struct Gathered {
    /// Its number in the batch.
    index: usize,
    start: usize,
    len: usize,
}

/// See the module. It allocates nothing once made.
#[derive(Debug)]
pub struct Gather {
    memory: SharedMemory,
    /// Guest address of the memory.
    address: u32,
    /// In the order of their numbers.
    packets: Vec<Gathered>,
    used: usize,
}

impl Gather {
    /// Put packets together in `memory`, which guests see at `address`.
    #[must_use]
    pub fn new(memory: SharedMemory, address: u32) -> Self {
        Self { memory, address, packets: Vec::with_capacity(MAX_BATCH), used: 0 }
    }

    /// A new batch begins: nobody looks at the packets of the one before any more.
    pub(super) fn begin(&mut self) {
        self.packets.clear();
        self.used = 0;
    }

    /// Put packet `index` together, whose number is above those before. False where there is no room.
    #[cold]
    pub(super) fn take(&mut self, frames: &impl Frames, index: usize) -> bool {
        let start = self.used;
        let mut end = start;
        let mut fits = self.packets.len() < self.packets.capacity();
        let mut put = |part: &[u8]| {
            fits = fits && self.memory.write(end, part).is_ok();
            end += part.len();
        };
        put(frames.bytes(index));
        frames.each_part_behind(index, put);
        if fits {
            self.packets.push(Gathered { index, start, len: end - start });
            self.used = end.next_multiple_of(ALIGN);
        }
        fits
    }

    /// The bytes of packet `index`; none where it was not put together.
    #[cold]
    pub(super) fn bytes(&self, index: usize) -> &[u8] {
        self.find(index).and_then(|packet| self.memory.read(packet.start, packet.len)).unwrap_or_default()
    }

    /// Its guest address.
    #[cold]
    pub(super) fn address(&self, index: usize) -> u32 {
        let start = self.find(index).map_or(0, |packet| packet.start);
        self.address + u32::try_from(start).unwrap_or(0)
    }

    /// Its first bytes are others now.
    #[cold]
    pub(super) fn overwrite(&mut self, index: usize, bytes: &[u8]) {
        if let Some(Gathered { start, len, .. }) = self.find(index) {
            let written = self.memory.write(start, &bytes[..bytes.len().min(len)]);
            debug_assert!(written.is_ok(), "inside of the packet, so inside of the memory");
        }
    }

    fn find(&self, index: usize) -> Option<Gathered> {
        self.packets.binary_search_by_key(&index, |packet| packet.index).ok().map(|at| self.packets[at])
    }
}
