//! Pieces of TCP streams.

use core::ops::Deref;

use secuxflow_abi::{self as abi, NO_PACKET, chunk};

use crate::window::Window;

/// The pieces of a call, at most [`abi::MAX_CHUNKS`], those of each direction in order.
#[derive(Debug, Clone, Copy)]
pub struct Chunks<'a> {
    chunks: &'a [abi::Chunk],
    window: Window<'a>,
}

impl<'a> Chunks<'a> {
    pub(crate) fn new(chunks: &'a [abi::Chunk], window: Window<'a>) -> Self {
        Self { chunks, window }
    }

    /// Number of pieces.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The pieces.
    pub fn iter(self) -> impl ExactSizeIterator<Item = Chunk<'a>> {
        self.chunks.iter().map(move |raw| Chunk { raw, window: self.window })
    }
}

/// One piece of one direction: the fields of its [descriptor](abi::Chunk), and its bytes in place.
#[derive(Debug, Clone, Copy)]
pub struct Chunk<'a> {
    raw: &'a abi::Chunk,
    window: Window<'a>,
}

impl Deref for Chunk<'_> {
    type Target = abi::Chunk;

    #[inline]
    fn deref(&self) -> &abi::Chunk {
        self.raw
    }
}

impl<'a> Chunk<'a> {
    /// The bytes; none for a mere event.
    #[must_use]
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        // The address of an event's bytes means nothing.
        if self.raw.len == 0 { &[] } else { self.window.bytes(self.raw.data, self.raw.len as usize) }
    }

    /// Number of the packet in the batch whose verdict decides on the piece; none where no packet caused it.
    #[must_use]
    pub fn packet(&self) -> Option<u32> {
        (self.raw.packet != NO_PACKET).then_some(self.raw.packet)
    }

    /// Whether it goes from the flow's responder to its initiator.
    #[must_use]
    pub fn to_client(&self) -> bool {
        self.has(chunk::TO_CLIENT)
    }

    /// Whether it is the first of its direction.
    #[must_use]
    pub fn is_start(&self) -> bool {
        self.has(chunk::START)
    }

    /// Whether it is the last of its direction, by a FIN.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.has(chunk::END)
    }

    /// Whether the flow is over in both directions: reset, timed out or pushed out.
    #[must_use]
    pub fn is_abort(&self) -> bool {
        self.has(chunk::ABORT)
    }

    /// Whether bytes before it are missing.
    #[must_use]
    pub fn after_gap(&self) -> bool {
        self.has(chunk::GAP)
    }

    /// Whether the stream's beginning was not seen.
    #[must_use]
    pub fn is_midstream(&self) -> bool {
        self.has(chunk::MIDSTREAM)
    }

    /// Whether any of the bits of [`abi::chunk`] is set.
    #[must_use]
    #[inline]
    pub fn has(&self, bits: u32) -> bool {
        self.raw.flags & bits != 0
    }
}
