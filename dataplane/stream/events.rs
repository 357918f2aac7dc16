//! What modules are to be told of streams, until their chain is called.

use secuxflow_abi::{Chunk, MAX_CHUNKS, NO_PACKET};

/// A piece of a stream, and who is to see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Chain of the stream.
    pub chain: u16,
    /// Order in which the events came.
    pub number: u16,
    /// The piece; `packet` is the number that the segment was given with, or `NO_PACKET`.
    pub chunk: Chunk,
}

/// The events of a batch, at most [`MAX_CHUNKS`].
#[derive(Debug)]
pub struct Events(Vec<Event>);

impl Default for Events {
    fn default() -> Self {
        Self(Vec::with_capacity(MAX_CHUNKS))
    }
}

impl Events {
    /// None, with room for [`MAX_CHUNKS`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The events, in the order in which they came until they are [grouped](Self::group).
    #[must_use]
    pub fn all(&self) -> &[Event] {
        &self.0
    }

    /// Forget them, for the next batch.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Sort them by chain; those of a chain stay in order.
    pub fn group(&mut self) {
        self.0.sort_unstable_by_key(|event| (event.chain, event.number));
    }

    /// Events that still find room.
    pub(super) fn room(&self) -> usize {
        MAX_CHUNKS - self.0.len()
    }

    pub(super) fn push(&mut self, chain: u16, chunk: Chunk) {
        if self.room() > 0 {
            self.0.push(Event { chain, number: u16::try_from(self.0.len()).unwrap_or(u16::MAX), chunk });
        }
    }

    /// The packet that caused the events after the first `since` is not shown.
    pub(super) fn disown(&mut self, since: usize) {
        self.0.iter_mut().skip(since).for_each(|event| event.chunk.packet = NO_PACKET);
    }

    /// Add to the flags of the last event, when there was one since there were `since`.
    pub(super) fn mark_last(&mut self, since: usize, flag: u32) -> bool {
        let last = self.0.get_mut(since..).and_then(<[Event]>::last_mut);
        last.is_some_and(|event| {
            event.chunk.flags |= flag;
            true
        })
    }
}
