//! Packets that wait for room in a TX ring.

use std::collections::VecDeque;

use super::Outgoing;

/// A queue that knows how many frames its packets take. Invariant: `frames` is the sum over `queue`.
#[derive(Debug)]
pub(crate) struct Pending {
    queue: VecDeque<Outgoing>,
    frames: usize,
}

impl Pending {
    pub(crate) fn with_capacity(packets: usize) -> Self {
        Self { queue: VecDeque::with_capacity(packets), frames: 0 }
    }

    /// Frames of all packets.
    pub(crate) fn frames(&self) -> usize {
        self.frames
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Packets.
    #[cfg(test)]
    pub(crate) fn packets(&self) -> usize {
        self.queue.len()
    }

    /// The oldest.
    pub(crate) fn front(&self) -> Option<&Outgoing> {
        self.queue.front()
    }

    /// Oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Outgoing> {
        self.queue.iter()
    }

    pub(crate) fn push(&mut self, out: Outgoing) {
        self.frames += out.frame.frames();
        self.queue.push_back(out);
    }

    /// Take the oldest.
    pub(crate) fn pop(&mut self) -> Option<Outgoing> {
        let out = self.queue.pop_front()?;
        self.frames -= out.frame.frames();
        Some(out)
    }

    /// Take the oldest `packets`, which take `frames` frames.
    pub(crate) fn drain(&mut self, packets: usize, frames: usize) -> impl Iterator<Item = Outgoing> + '_ {
        self.frames -= frames;
        self.queue.drain(..packets)
    }
}
