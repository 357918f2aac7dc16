//! Counters that one thread writes and any thread reads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::plane::Count;

/// Add to a counter that no other thread writes: no locked instruction needed.
pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
}

/// Packets and bytes.
#[derive(Debug, Default)]
pub(crate) struct Pair {
    packets: AtomicU64,
    bytes: AtomicU64,
}

impl Pair {
    pub(crate) fn add(&self, packets: u64, bytes: u64) {
        add(&self.packets, packets);
        add(&self.bytes, bytes);
    }

    pub(crate) fn read(&self) -> Count {
        Count { packets: self.packets.load(Relaxed), bytes: self.bytes.load(Relaxed) }
    }
}
