//! One batch: parse, inspect chain by chain, find the service, rewrite.

mod admission;
mod chains;

use secuxflow_abi::{MAX_BATCH, Packet, WINDOW};

use super::{
    DropReason, EgressId, Frames, Gather, Inspect, Outcome, Snapshot, Streaming, Tally,
    forward::{Routes, forward, forward_split},
    streaming::Visit,
};
use crate::{
    bpf::Metadata,
    clock,
    flow::{FlowKey, HashKey, Index, Tracker},
    wire::Headers,
};

/// Frames that are fetched while as many before them are parsed: what the processor can wait for at once. Together, for each is
/// in a page of its own, and translations of addresses are looked up beside each other only if they are asked for so.
const AHEAD: usize = 8;

/// Let through, and not forwarded yet.
const PASSED: Outcome = Outcome::Forward { egress: EgressId(u16::MAX), service: u16::MAX };

/// A packet that waits for its chain. Its order is that of the fields: by chain, then as received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Queued {
    chain: u16,
    index: u16,
    /// Number of its visit; [`NO_TICKET`](super::streaming::NO_TICKET) where it has none.
    ticket: u16,
    rule: u32,
    /// Further flags of its descriptor.
    flags: u32,
}

/// A frame's flow, for what its chain may ask for.
#[derive(Debug, Clone, Copy)]
struct Met {
    /// Number of the flow, as modules know it.
    id: u64,
    /// Its place in the tracker.
    index: Option<Index>,
    said: Metadata,
}

/// Processes batches in buffers of its own: no allocation once made.
#[derive(Debug)]
pub struct Processor {
    key: HashKey,
    /// What is known of each frame of the batch.
    parsed: Vec<Option<Headers>>,
    /// Of those that wait for a chain, by frame.
    met: Vec<Met>,
    tracker: Option<Tracker>,
    streaming: Option<Streaming>,
    gather: Option<Gather>,
    /// What is known of those packets that wait for a chain which streams or datagrams have to do with, by ticket.
    visits: Vec<Visit>,
    /// Packets to inspect and their order: by chain, then as received.
    order: Vec<Queued>,
    packets: Vec<Packet>,
    outcomes: Vec<Outcome>,
}

impl Processor {
    /// A processor whose flow ids go by `key`; all workers share one key.
    #[must_use]
    pub fn new(key: HashKey) -> Self {
        Self {
            key,
            parsed: Vec::with_capacity(MAX_BATCH),
            met: Vec::with_capacity(MAX_BATCH),
            tracker: None,
            streaming: None,
            gather: None,
            // Each frame may complete a datagram, which is shown beside it.
            visits: Vec::with_capacity(2 * MAX_BATCH),
            order: Vec::with_capacity(2 * MAX_BATCH),
            packets: Vec::with_capacity(2 * MAX_BATCH),
            outcomes: Vec::with_capacity(MAX_BATCH),
        }
    }

    /// Remember flows, and what chains say of them, by `tracker`.
    #[must_use]
    pub fn with_tracker(self, tracker: Tracker) -> Self {
        Self { tracker: Some(tracker), ..self }
    }

    /// Follow streams, and put datagrams together, by `streaming`.
    #[must_use]
    pub fn with_streaming(self, mut streaming: Streaming) -> Self {
        Self { gather: streaming.take_gather().or(self.gather), streaming: Some(streaming), ..self }
    }

    /// Put packets that lie in several buffers together by `gather`; without it they are dropped.
    #[must_use]
    pub fn with_gather(self, gather: Gather) -> Self {
        Self { gather: Some(gather), ..self }
    }

    /// The streams, where they are followed.
    #[must_use]
    pub fn streaming(&self) -> Option<&Streaming> {
        self.streaming.as_ref()
    }

    /// The flows, where they are remembered.
    #[must_use]
    pub fn tracker(&self) -> Option<&Tracker> {
        self.tracker.as_ref()
    }

    /// Forget a flow, or all: what was said of it does not count any more.
    pub fn forget(&mut self, flow: Option<&FlowKey>) {
        if let Some(streaming) = &mut self.streaming {
            streaming.streams_mut().pardon(flow.map(|key| (key, key.id(self.key))));
        }
        let Some(tracker) = &mut self.tracker else { return };
        match flow {
            None => tracker.table_mut().clear(),
            Some(key) => {
                if let Some(index) = tracker.table().find(key, key.id(self.key)) {
                    tracker.table_mut().remove(index);
                }
            }
        }
    }

    /// Outcomes of the last batch, one a frame, in order.
    #[must_use]
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// Packet `index` of the last batch as it came, where it lies in several buffers and was put together.
    #[must_use]
    pub fn gathered(&self, index: usize) -> Option<&[u8]> {
        self.gather.as_ref().map(|gather| gather.bytes(index)).filter(|bytes| !bytes.is_empty())
    }

    /// As [`run_at`](Self::run_at) at this moment.
    pub fn run(&mut self, snapshot: &Snapshot, frames: &mut impl Frames, inspect: &mut dyn Inspect) -> Tally {
        self.run_at(clock::monotonic_ns(), snapshot, frames, inspect)
    }

    /// Process a batch that was received at `now` (`CLOCK_MONOTONIC`, nanoseconds): afterwards
    /// [`outcomes`](Self::outcomes) has an outcome for each of its frames, and those to be forwarded are rewritten. Frames
    /// beyond [`MAX_BATCH`] are dropped as malformed: the caller asks for no more.
    pub fn run_at(
        &mut self,
        now: u64,
        snapshot: &Snapshot,
        frames: &mut impl Frames,
        inspect: &mut dyn Inspect,
    ) -> Tally {
        let mut tally = Tally::default();
        self.parsed.clear();
        self.met.clear();
        self.visits.clear();
        self.order.clear();
        self.outcomes.clear();
        if let Some(streaming) = &mut self.streaming {
            streaming.begin();
        }
        if let Some(gather) = &mut self.gather {
            gather.begin();
        }
        // Until it is known better.
        self.outcomes.resize(frames.count(), Outcome::Drop(DropReason::Malformed));
        let mut routes = Routes::new(snapshot);
        let count = frames.count().min(MAX_BATCH);
        (0..count.min(AHEAD)).for_each(|index| frames.prefetch(index));
        for index in 0..count {
            if index.is_multiple_of(AHEAD) {
                (index + AHEAD..count.min(index + 2 * AHEAD)).for_each(|index| frames.prefetch(index));
            }
            self.classify(now, &mut routes, frames, index, inspect, &mut tally);
        }
        self.inspect(now, snapshot, frames, inspect, &mut tally);
        for (index, (headers, outcome)) in self.parsed.iter().zip(&mut self.outcomes).enumerate() {
            if let (Some(headers), Outcome::Forward { .. }) = (headers, *outcome) {
                *outcome = match &self.gather {
                    Some(gather) if frames.is_split(index) => {
                        forward_split(&mut routes, frames, index, gather.bytes(index), headers, &mut tally)
                    }
                    _ => forward(&mut routes, frames, index, headers, &mut tally),
                };
            }
        }
        tally
    }
}

/// All bytes of packet `index`, wherever they lie together.
#[inline]
fn whole<'a>(gather: Option<&'a Gather>, frames: &'a impl Frames, index: usize) -> &'a [u8] {
    if frames.is_split(index) { gather.map_or(&[], |gather| gather.bytes(index)) } else { frames.bytes(index) }
}

/// Their guest address.
#[inline]
fn address(gather: Option<&Gather>, frames: &impl Frames, index: usize) -> u32 {
    match gather {
        Some(gather) if frames.is_split(index) => gather.address(index),
        _ => WINDOW + frames.addr(index),
    }
}
