//! Counters of one worker: it alone writes them, anyone reads them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::latency::{self, Recorder};
use crate::{
    counter::{Pair, add},
    egress::Injected,
    flow::TableCounts,
    plane::{Count, FlowTableStatus, Named, Replies, WorkerStatus},
    process::{DropReason, Tally},
    stream::{Refusal, StreamCounts},
};

/// Services that have counters of their own; higher indices are forwarded but not counted singly.
pub const MAX_SERVICES: usize = 1024;

/// In place of a service's index: a reply to a rejected packet, which is no packet that was forwarded.
pub(super) const REPLY: u16 = u16::MAX;

/// Names of the places that a worker's frames are in, in the order of [`Stats::set_frames`].
const PLACES: [&str; 5] = ["free", "fill", "rx", "tx", "mailbox"];

/// See the module.
#[derive(Debug)]
pub(super) struct Stats {
    rx: Pair,
    tx: Pair,
    drops: [Pair; DropReason::ALL.len()],
    batches: AtomicU64,
    checksums_repaired: AtomicU64,
    multi_buffer: AtomicU64,
    reclassified: AtomicU64,
    monitored: AtomicU64,
    panics: AtomicU64,
    injected: AtomicU64,
    inject_lost: AtomicU64,
    inject_calls: AtomicU64,
    inject_broken: AtomicU64,
    cleared: AtomicU64,
    granted: AtomicU64,
    /// Replies to rejected packets: made, put on a TX ring or injected, lost, held back.
    replies: [AtomicU64; 4],
    /// Flows now, entered, expired, evicted.
    flows: [AtomicU64; 4],
    /// As [`StreamCounts::NAMES`] and [`Refusal::ALL`] have it.
    streams: [AtomicU64; StreamCounts::NAMES.len()],
    refused: [AtomicU64; Refusal::ALL.len()],
    frames: [AtomicU64; PLACES.len()],
    services: Box<[Pair]>,
    pub(super) latency: Recorder,
}

/// Packets for one service, one after the other: counted together.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Row {
    service: u16,
    packets: u64,
    bytes: u64,
}

impl Row {
    /// One packet more; when it is for another service, the row that ends with it.
    pub(super) fn add(&mut self, service: u16, bytes: u32) -> Option<Self> {
        let done = (service != self.service).then(|| std::mem::replace(self, Self { service, ..Self::default() }));
        self.packets += 1;
        self.bytes += u64::from(bytes);
        done
    }
}

impl Stats {
    pub(super) fn new() -> Self {
        Self {
            rx: Pair::default(),
            tx: Pair::default(),
            drops: Default::default(),
            batches: AtomicU64::new(0),
            checksums_repaired: AtomicU64::new(0),
            multi_buffer: AtomicU64::new(0),
            reclassified: AtomicU64::new(0),
            monitored: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            injected: AtomicU64::new(0),
            inject_lost: AtomicU64::new(0),
            inject_calls: AtomicU64::new(0),
            inject_broken: AtomicU64::new(0),
            cleared: AtomicU64::new(0),
            granted: AtomicU64::new(0),
            replies: Default::default(),
            flows: Default::default(),
            streams: Default::default(),
            refused: Default::default(),
            frames: Default::default(),
            services: (0..MAX_SERVICES).map(|_| Pair::default()).collect(),
            latency: Recorder::new(),
        }
    }

    /// Packets were received.
    pub(super) fn received(&self, packets: usize, bytes: u64) {
        self.rx.add(packets as u64, bytes);
    }

    /// Packets received so far.
    pub(super) fn packets(&self) -> u64 {
        self.rx.read().packets
    }

    /// A batch of `packets` was received and processed.
    pub(super) fn batch(&self, packets: usize, tally: &Tally) {
        self.received(packets, tally.bytes);
        add(&self.batches, 1);
        add(&self.checksums_repaired, tally.checksums_repaired);
        add(&self.multi_buffer, tally.multi_buffer);
        add(&self.reclassified, tally.reclassified);
        add(&self.monitored, tally.monitored);
        add(&self.panics, tally.panics);
        add(&self.cleared, tally.cleared);
        add(&self.granted, tally.granted);
    }

    /// A reply is to be sent.
    pub(super) fn reply_made(&self) {
        add(&self.replies[0], 1);
    }

    /// A reply found no frame, no room or no way.
    pub(super) fn reply_lost(&self) {
        add(&self.replies[2], 1);
    }

    /// Replies that were made.
    #[cfg(test)]
    pub(super) fn replies_made(&self) -> u64 {
        self.replies[0].load(Relaxed)
    }

    /// A reply was not sent, to keep to the rate.
    pub(super) fn reply_held_back(&self) {
        add(&self.replies[3], 1);
    }

    /// What the flow table counts.
    pub(super) fn set_flows(&self, counts: &TableCounts) {
        let counts = [counts.flows, counts.entered, counts.expired, counts.evicted];
        for (gauge, count) in self.flows.iter().zip(counts) {
            gauge.store(count, Relaxed);
        }
    }

    /// What streams count.
    pub(super) fn set_streams(&self, counts: &StreamCounts) {
        let now = counts.values().into_iter().chain(counts.refused);
        for (gauge, count) in self.streams.iter().chain(&self.refused).zip(now) {
            gauge.store(count, Relaxed);
        }
    }

    /// A packet was discarded.
    pub(super) fn dropped(&self, reason: DropReason, bytes: u32) {
        self.drops[reason.index()].add(1, bytes.into());
    }

    /// A call sent packets that were counted as sent.
    pub(super) fn injected(&self, injected: &Injected) {
        add(&self.injected, injected.packets);
        add(&self.inject_lost, injected.lost);
        add(&self.inject_calls, 1);
        add(&self.inject_broken, injected.broken.into());
    }

    /// Calls that the kernel refused.
    pub(super) fn broken_calls(&self) -> u64 {
        self.inject_broken.load(Relaxed)
    }

    /// Packets were put on a TX ring toward their service, or into a lane; or replies to rejected packets were.
    pub(super) fn sent(&self, row: Row) {
        if row.service == REPLY {
            return add(&self.replies[1], row.packets);
        }
        self.tx.add(row.packets, row.bytes);
        if let Some(pair) = self.services.get(usize::from(row.service)) {
            pair.add(row.packets, row.bytes);
        }
    }

    /// Frames by place: free, fill, rx, tx, mailbox.
    pub(super) fn set_frames(&self, counts: [u64; PLACES.len()]) {
        for (gauge, count) in self.frames.iter().zip(counts) {
            gauge.store(count, Relaxed);
        }
    }

    /// Packets sent toward `service`.
    pub(super) fn service(&self, service: u16) -> Count {
        self.services.get(usize::from(service)).map_or_else(Count::default, Pair::read)
    }

    /// Chains that panicked.
    pub(super) fn panics(&self) -> u64 {
        self.panics.load(Relaxed)
    }

    fn replies(&self) -> Replies {
        let [sent, lost, held_back] = [1, 2, 3].map(|at| self.replies[at].load(Relaxed));
        Replies { sent, lost, held_back }
    }

    fn flow_table(&self) -> FlowTableStatus {
        let [flows, entered, expired, evicted] = [0, 1, 2, 3].map(|at| self.flows[at].load(Relaxed));
        let (cleared, granted) = (self.cleared.load(Relaxed), self.granted.load(Relaxed));
        FlowTableStatus { flows, entered, expired, evicted, cleared, granted }
    }

    /// Everything, as status has it.
    pub(super) fn read(&self, index: u32, core: Option<u32>) -> WorkerStatus {
        let drops =
            DropReason::ALL.iter().map(|r| Named { name: r.name().into(), value: self.drops[r.index()].read() });
        let frames = PLACES.iter().zip(&self.frames);
        let streams = StreamCounts::NAMES.iter().zip(&self.streams);
        let refused = Refusal::ALL.iter().map(|why| why.name()).zip(&self.refused);
        let named = |name: &str, n: &AtomicU64| Named { name: name.into(), value: n.load(Relaxed) };
        WorkerStatus {
            index,
            core,
            running: true,
            rx: self.rx.read(),
            tx: self.tx.read(),
            drops: drops.collect(),
            batches: self.batches.load(Relaxed),
            checksums_repaired: self.checksums_repaired.load(Relaxed),
            multi_buffer: self.multi_buffer.load(Relaxed),
            reclassified: self.reclassified.load(Relaxed),
            monitored: self.monitored.load(Relaxed),
            replies: self.replies(),
            injected: self.injected.load(Relaxed),
            inject_lost: self.inject_lost.load(Relaxed),
            inject_calls: self.inject_calls.load(Relaxed),
            frames: frames.map(|(name, n)| named(name, n)).collect(),
            flows: self.flow_table(),
            streams: streams.map(|(name, n)| named(name, n)).collect(),
            refused: refused.map(|(name, n)| named(name, n)).collect(),
            latency: latency::merge([&self.latency]),
        }
    }
}
