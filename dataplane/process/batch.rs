//! One batch: parse, inspect chain by chain, find the service, rewrite.

use std::{
    net::IpAddr,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
};

use secuxflow_abi::{Chunk, MAX_BATCH, Packet, WINDOW, flags, verdict};

use super::{
    DropReason, EgressId, Gather, Outcome, Route, Snapshot, Streaming,
    streaming::{Arrived, NO_TICKET, Visit},
};
use crate::{
    bpf::Metadata,
    clock,
    flow::{Asked, Fate, FlowKey, FlowVerdict, HashKey, Index, Seen, Tracker},
    inspect::Runner,
    plane::FailPolicy,
    stream::clear_urgent,
    wire::{self, ETH_HLEN, Fragment, Headers, Rewrite, checksum},
};

/// Runs chains of modules.
pub trait Inspect {
    /// Inspect `packets`, and the `chunks` of streams that came with them, by chain number `chain`. The verdicts are `PASS`
    /// before the call and any of [`verdict`] after it, fail policies applied. The chunks are in the order of their packets;
    /// [`Chunk::packet`] counts from the first of `packets`. Modules are told that it is `now_ns`.
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

/// A batch of received frames, at most [`MAX_BATCH`], all of one interface.
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

/// What a batch came to, beside its outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Bytes received.
    pub bytes: u64,
    /// Partial checksums completed.
    pub checksums_repaired: u64,
    /// Packets that came in several buffers.
    pub multi_buffer: u64,
    /// Frames classified here, for want of the kernel's word.
    pub reclassified: u64,
    /// Frames that a module dropped, or that were refused for their stream; forwarded, in monitor mode.
    pub monitored: u64,
    /// Chains that panicked.
    pub panics: u64,
    /// Frames that no module saw, because their chain had cleared the flow.
    pub cleared: u64,
    /// Wishes of modules for whole flows and sources that were taken up.
    pub granted: u64,
}

/// Frames by which prefetching is ahead of parsing: as many as the processor can wait for at once.
const AHEAD: usize = 8;

/// Let through, and not forwarded yet.
const PASSED: Outcome = Outcome::Forward { egress: EgressId(u16::MAX), service: u16::MAX };

/// A packet that waits for its chain. Its order is that of the fields: by chain, then as received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Queued {
    chain: u16,
    index: u16,
    /// Number of its visit; [`NO_TICKET`] where it has none.
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
        let mut routes = Routes { snapshot, last: None };
        let count = frames.count().min(MAX_BATCH);
        (0..count.min(AHEAD)).for_each(|index| frames.prefetch(index));
        for index in 0..count {
            if index + AHEAD < count {
                frames.prefetch(index + AHEAD);
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

    /// Parse frame `index` and decide whether it is inspected, forwarded or dropped.
    fn classify(
        &mut self,
        now: u64,
        routes: &mut Routes<'_>,
        frames: &mut impl Frames,
        index: usize,
        inspect: &dyn Inspect,
        tally: &mut Tally,
    ) {
        let snapshot = routes.snapshot;
        let metadata = frames.take_metadata(index);
        if frames.is_split(index) && !self.gather(frames, index, tally) {
            self.parsed.push(None);
            self.met.push(Met { id: 0, index: None, said: Metadata::of(0, 0) });
            return;
        }
        let bytes = whole(self.gather.as_ref(), frames, index);
        tally.bytes += bytes.len() as u64;
        self.met.push(Met { id: 0, index: None, said: Metadata::of(0, 0) });
        // In its place, for what is copied from structure to structure is waited for.
        self.parsed.push(Some(Headers::NONE));
        let Some(Some(headers)) = self.parsed.last_mut() else { return };
        let decided = match wire::parse_into(bytes, headers) {
            wire::Kind::Ip => true,
            wire::Kind::Undecidable(_, true) => false,
            wire::Kind::Undecidable(_, false) | wire::Kind::Neighbour | wire::Kind::NonIp => {
                self.parsed[index] = None;
                return;
            }
        };
        let classified = match metadata {
            Some(Metadata { chain, rule, .. }) => Classified::Inspect { chain, rule },
            None => {
                tally.reclassified += 1;
                reclassify(snapshot, bytes)
            }
        };
        self.outcomes[index] = match classified {
            Classified::Pass => PASSED,
            Classified::Drop => Outcome::Drop(DropReason::Rule),
            Classified::Inspect { chain, rule } => {
                match Some(chain).filter(|&chain| chain < snapshot.chains).or(snapshot.default_chain) {
                    Some(chain) => {
                        let known = metadata
                            .unwrap_or(Metadata { generation: snapshot.generation, ..Metadata::of(chain, rule) });
                        let said = Metadata { chain, rule, ..known };
                        self.admit(now, routes, frames, Admitted { index, said, decided }, inspect, tally)
                    }
                    None if snapshot.fail_policy == FailPolicy::Open => PASSED,
                    None => Outcome::Drop(DropReason::Module),
                }
            }
        };
    }

    /// Put packet `index` together; false where that cannot be, and it is dropped.
    #[cold]
    fn gather(&mut self, frames: &impl Frames, index: usize, tally: &mut Tally) -> bool {
        tally.multi_buffer += 1;
        let done = self.gather.as_mut().is_some_and(|gather| gather.take(frames, index));
        if !done {
            self.outcomes[index] = Outcome::Drop(DropReason::Incomplete);
            tally.bytes += frames.bytes(index).len() as u64;
            frames.each_part_behind(index, |part| tally.bytes += part.len() as u64);
        }
        done
    }

    /// Enter a packet's flow, and have it wait for its chain unless what is known of the flow decides.
    #[inline]
    fn admit(
        &mut self,
        now: u64,
        routes: &mut Routes<'_>,
        frames: &mut impl Frames,
        Admitted { index, said, decided }: Admitted,
        inspect: &dyn Inspect,
        tally: &mut Tally,
    ) -> Outcome {
        let (Some(Some(headers)), Some(met)) = (self.parsed.last(), self.met.last_mut()) else {
            return Outcome::Drop(DropReason::Malformed);
        };
        let bytes = whole(self.gather.as_ref(), frames, index);
        let seen = Seen { headers, said, len: bytes.len() };
        let (key, way) = FlowKey::of(headers);
        let tracker = self.tracker.as_mut().filter(|_| decided);
        let (fate, flags) = meet(self.key, tracker, (&key, way), &seen, now, met);
        match fate {
            Fate::Inspect => {}
            Fate::Pass => {
                tally.cleared += 1;
                return PASSED;
            }
            Fate::Drop => return Outcome::Drop(DropReason::Condemned),
        }
        let mut queue = Queue { index, rule: said.rule, order: &mut self.order, visits: &mut self.visits };
        let streams = || inspect.wants_streams(said.chain);
        let Some(streaming) = self.streaming.as_mut().filter(|_| Streaming::concerns(headers, decided, streams)) else {
            queue.push(said.chain, NO_TICKET, flags);
            return PASSED;
        };
        // What is not forwarded has not been sent, as far as its receiver knows.
        if let Err(reason) = routes.check(frames, bytes, headers) {
            return Outcome::Drop(reason);
        }
        let snapshot = routes.snapshot;
        let came = streaming.take(&Arrived {
            now,
            bytes,
            headers,
            flow: (&key, way, met.id),
            hash: self.key,
            said,
            ticket: queue.visits.len(),
            address: address(self.gather.as_ref(), frames, index),
            ingress: frames.ingress(),
            partial: snapshot.ingress.get(usize::from(frames.ingress())).is_none_or(|ingress| ingress.repair_checksums),
            monitor: snapshot.monitor,
            inspect,
        });
        if came.refused.is_some() {
            if !snapshot.monitor {
                return Outcome::Drop(DropReason::Stream);
            }
            tally.monitored += 1;
        }
        // Streams know more of a TCP flow.
        let flags = if came.visit.passage.is_some() { came.visit.flags } else { flags | came.visit.flags };
        queue.visit(said.chain, Visit { flags, ..came.visit });
        if let Some(visit) = came.datagram {
            let of = visit.datagram.map_or(said, |(datagram, _)| datagram.said);
            queue.rule = of.rule;
            queue.visit(if of.chain < snapshot.chains { of.chain } else { said.chain }, visit);
        }
        if came.clear_urgent && !snapshot.monitor {
            clear_urgent(frames.bytes_mut(index), headers);
            if let Some(gather) = self.gather.as_mut().filter(|_| frames.is_split(index)) {
                gather.overwrite(index, frames.bytes(index));
            }
        }
        PASSED
    }

    /// Take up what the chain asked for on the packets of `group`.
    fn grant(&mut self, now: u64, enforced: bool, group: Range<usize>, asked: &[Asked], tally: &mut Tally) {
        let Some(tracker) = &mut self.tracker else { return };
        for asked in asked {
            let Some(queued) = self.order[group.clone()].get(usize::from(asked.packet)) else { continue };
            if self.visits.get(usize::from(queued.ticket)).is_some_and(|visit| visit.datagram.is_some()) {
                // Its flow shows its ports in fragments only, which the kernel looks at one by one.
                continue;
            }
            let index = usize::from(queued.index);
            let (Some(headers), met) = (&self.parsed[index], self.met[index]) else { continue };
            let len = usize::try_from(self.packets[group.start + usize::from(asked.packet)].len).unwrap_or(0);
            let seen = Seen { headers, said: met.said, len };
            tally.granted += u64::from(tracker.take(met.index, &seen, asked, enforced, now));
            let Some((streaming, at)) = self.streaming.as_mut().zip(met.index) else { continue };
            let flow = tracker.table().flow(at);
            if flow.verdict(met.said.chain, met.said.generation, now) == Some(FlowVerdict::Cleared) {
                streaming.streams_mut().leave(&flow.key, met.id);
            }
        }
    }

    /// Run the chains over the packets that wait for them and take their verdicts.
    fn inspect(
        &mut self,
        now: u64,
        snapshot: &Snapshot,
        frames: &impl Frames,
        inspect: &mut dyn Inspect,
        tally: &mut Tally,
    ) {
        // In the common case of one chain they are in order already, which the sort finds out in one pass.
        self.order.sort_unstable();
        self.packets.clear();
        for queued in &self.order {
            let index = usize::from(queued.index);
            let visit = self.visits.get(usize::from(queued.ticket));
            let packet = match visit.and_then(|visit| visit.datagram.as_ref()) {
                None => {
                    let headers = self.parsed[index].as_ref().expect("`admit` queues only packets that have headers");
                    let gather = self.gather.as_ref();
                    let place = (address(gather, frames, index), whole(gather, frames, index).len());
                    describe(self.met[index].id, place, headers, queued.rule)
                }
                Some((datagram, id)) => {
                    let len = usize::try_from(datagram.len).unwrap_or(0);
                    describe(*id, (datagram.address, len), &datagram.headers, queued.rule)
                }
            };
            self.packets.push(Packet {
                flags: packet.flags | queued.flags,
                ingress: frames.ingress().into(),
                ..packet
            });
        }
        if let Some(streaming) = &mut self.streaming {
            streaming.line_up(self.order.iter().map(|queued| queued.ticket));
        }
        inspect.set_monitor(snapshot.monitor);
        let (mut start, mut event) = (0, 0);
        loop {
            let of_event = self.streaming.as_ref().and_then(|streaming| streaming.chain(event));
            let of_packet = self.order.get(start).map(|queued| queued.chain);
            let Some(chain) = of_packet.into_iter().chain(of_event).min() else { break };
            let count = self.order[start..].iter().take_while(|queued| queued.chain == chain).count();
            let range = start..start + count;
            let chunks = match &mut self.streaming {
                Some(streaming) => streaming.chunks(chain, event, start),
                None => &[],
            };
            (start, event) = (range.end, event + chunks.len());
            let packets = &mut self.packets[range.clone()];
            // What a runner leaves behind when it panics is its own business; the verdicts are overwritten here.
            let panicked = catch_unwind(AssertUnwindSafe(|| inspect.run(now, chain, packets, chunks))).is_err();
            if panicked {
                tally.panics += 1;
                let closed = snapshot.fail_policy == FailPolicy::Closed;
                packets.iter_mut().for_each(|p| p.verdict = if closed { verdict::DROP } else { verdict::PASS });
            } else {
                self.grant(now, !snapshot.monitor, range.clone(), inspect.asked(), tally);
            }
            let cut = if panicked { &[] } else { inspect.cut() };
            self.settle(snapshot.monitor, range, cut, tally);
        }
    }

    /// Take the verdicts on the packets of `group`, of which those with the numbers `cut` cut their streams.
    fn settle(&mut self, monitor: bool, group: Range<usize>, cut: &[u32], tally: &mut Tally) {
        for (number, at) in (0..).zip(group) {
            let (queued, packet) = (self.order[at], &self.packets[at]);
            let visit = self.visits.get(usize::from(queued.ticket));
            let mut reason = match packet.verdict {
                verdict::PASS => None,
                // Of a datagram there is only its last fragment to answer to, which is not answered.
                verdict::REJECT if visit.is_none_or(|visit| visit.datagram.is_none()) => Some(DropReason::Rejected),
                _ => Some(DropReason::Module),
            };
            if monitor {
                tally.monitored += u64::from(reason.take().is_some());
            }
            if let Some((streaming, visit)) = self.streaming.as_mut().zip(visit) {
                if reason.is_some() || monitor {
                    streaming.settle(visit, reason.is_some(), cut.contains(&number));
                } else {
                    reason = streaming.is_held_up(visit).then_some(DropReason::Stream);
                    streaming.settle(visit, reason.is_some(), false);
                }
            }
            if let Some(reason) = reason {
                self.outcomes[usize::from(queued.index)] = Outcome::Drop(reason);
            }
        }
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

/// A packet that its chain is to see, unless its flow is decided on.
struct Admitted {
    index: usize,
    said: Metadata,
    /// Its headers are whole.
    decided: bool,
}

/// Where packets wait for their chain.
struct Queue<'a> {
    index: usize,
    rule: u32,
    order: &'a mut Vec<Queued>,
    visits: &'a mut Vec<Visit>,
}

impl Queue<'_> {
    #[inline]
    fn push(&mut self, chain: u16, ticket: u16, flags: u32) {
        let index = u16::try_from(self.index).unwrap_or(u16::MAX);
        self.order.push(Queued { chain, index, ticket, rule: self.rule, flags });
    }

    /// With what streams or datagrams have to do with it, which is large: other packets have none.
    fn visit(&mut self, chain: u16, visit: Visit) {
        self.push(chain, u16::try_from(self.visits.len()).unwrap_or(NO_TICKET), visit.flags);
        self.visits.push(visit);
    }
}

/// Enter a packet's flow, note it in `met`; what was said of the flow, and the packet's flags by it.
#[inline]
fn meet(
    key: HashKey,
    tracker: Option<&mut Tracker>,
    (flow, way): (&FlowKey, usize),
    seen: &Seen<'_>,
    now: u64,
    met: &mut Met,
) -> (Fate, u32) {
    let id = flow.id(key);
    *met = Met { id, index: None, said: seen.said };
    let Some(tracker) = tracker else { return (Fate::Inspect, 0) };
    let (index, fate) = tracker.meet((flow, way), id, seen, now);
    met.index = index;
    let Some(index) = index else { return (fate, 0) };
    let flow = tracker.table().flow(index);
    let [there, back] = [flow.ways[0].packets, flow.ways[1].packets];
    let set = |condition, flag| if condition { flag } else { 0 };
    let flags = set(way != usize::from(flow.first_way), flags::TO_CLIENT)
        | set(there > 0 && back > 0, flags::ESTABLISHED)
        | set(there + back == 1, flags::FLOW_START);
    (fate, flags)
}

/// What the rules say of a frame that came without the kernel's word: a rare one, so it is parsed a second time.
#[cold]
fn reclassify(snapshot: &Snapshot, bytes: &[u8]) -> Classified {
    snapshot.classifier.classify(&wire::parse(bytes))
}

/// The descriptor that modules get of a packet.
#[inline]
fn describe(flow: u64, (frame, len): (u32, usize), headers: &Headers, rule: u32) -> Packet {
    let set = |condition, flag| if condition { flag } else { 0 };
    Packet {
        flow,
        frame,
        len: u32::try_from(len).unwrap_or(0),
        l3: headers.l3,
        l4: headers.l4,
        payload: headers.payload,
        payload_len: headers.payload_len,
        ethertype: headers.ethertype(),
        src_port: headers.src_port,
        dst_port: headers.dst_port,
        protocol: headers.protocol,
        tcp_flags: headers.tcp_flags,
        flags: set(headers.fragment != Fragment::None, flags::FRAGMENT)
            | set(headers.fragment == Fragment::Later, flags::LATER_FRAGMENT)
            | set(headers.truncated, flags::TRUNCATED)
            | set(headers.vlan_tags > 0, flags::VLAN),
        rule,
        ingress: 0,
        verdict: verdict::PASS,
        reserved: [0; 4],
    }
}

/// The ways to services. Packets for one service come in rows: the last one is remembered.
struct Routes<'a> {
    snapshot: &'a Snapshot,
    last: Option<(IpAddr, &'a Route)>,
}

impl<'a> Routes<'a> {
    fn find(&mut self, to: IpAddr) -> Option<&'a Route> {
        if let Some((known, route)) = self.last
            && known == to
        {
            return Some(route);
        }
        let route = self.snapshot.routes.get(&to)?;
        self.last = Some((to, route));
        Some(route)
    }

    /// Whether a frame would get to its service if it were let through. Where there is no service none gets anywhere.
    fn check(&mut self, frames: &impl Frames, frame: &[u8], headers: &Headers) -> Result<(), DropReason> {
        let Some(route) = self.find(headers.dst) else { return Ok(()) };
        if !fits(frame, headers, route) {
            return Err(DropReason::Mtu);
        }
        let mac = self.snapshot.ingress.get(usize::from(frames.ingress())).ok_or(DropReason::NoService)?.mac;
        let hops = frame.get(usize::from(headers.l3) + if headers.src.is_ipv4() { 8 } else { 7 });
        if frame.starts_with(&mac.0) && hops.is_none_or(|&hops| hops <= 1) {
            return Err(DropReason::TtlExpired);
        }
        Ok(())
    }
}

/// Whether the service's device takes a frame of this length.
fn fits(frame: &[u8], headers: &Headers, route: &Route) -> bool {
    frame.len() <= ETH_HLEN + 4 * usize::from(headers.vlan_tags) + usize::from(route.mtu)
}

/// As [`forward`] for a packet that lies in several buffers, whose bytes are `whole`. Its headers have to be in the first.
#[cold]
fn forward_split(
    routes: &mut Routes<'_>,
    frames: &mut impl Frames,
    index: usize,
    whole: &[u8],
    headers: &Headers,
    tally: &mut Tally,
) -> Outcome {
    if usize::from(headers.payload) > frames.bytes(index).len() {
        return Outcome::Drop(DropReason::Buffers);
    }
    let Some(route) = routes.find(headers.dst) else { return Outcome::Drop(DropReason::NoService) };
    if !fits(whole, headers, route) {
        return Outcome::Drop(DropReason::Mtu);
    }
    let ingress = routes.snapshot.ingress.get(usize::from(frames.ingress()));
    let sum = ingress.filter(|ingress| ingress.repair_checksums).and_then(|_| checksum::completed(whole, headers));
    if let Some((at, sum)) = sum
        && let Some(field) = frames.bytes_mut(index).get_mut(at..at + 2)
    {
        field.copy_from_slice(&sum.to_be_bytes());
        tally.checksums_repaired += 1;
    }
    forward(routes, frames, index, headers, tally)
}

/// Find the service of a packet that was let through, and rewrite its frame for it.
#[inline]
fn forward(
    routes: &mut Routes<'_>,
    frames: &mut impl Frames,
    index: usize,
    headers: &Headers,
    tally: &mut Tally,
) -> Outcome {
    let Some(route) = routes.find(headers.dst) else { return Outcome::Drop(DropReason::NoService) };
    if !fits(frames.bytes(index), headers, route) {
        return Outcome::Drop(DropReason::Mtu);
    }
    // An interface that the snapshot does not know of is being taken away.
    let Some(ingress) = routes.snapshot.ingress.get(usize::from(frames.ingress())) else {
        return Outcome::Drop(DropReason::NoService);
    };
    let rewrite = Rewrite {
        ingress_mac: ingress.mac,
        dst_mac: route.dst_mac,
        src_mac: route.src_mac,
        repair_checksums: ingress.repair_checksums,
    };
    match rewrite.apply(frames.bytes_mut(index), headers) {
        Ok(rewritten) => {
            tally.checksums_repaired += u64::from(rewritten.repaired);
            if rewritten.len < frames.bytes(index).len() {
                frames.truncate(index, rewritten.len);
            }
            Outcome::Forward { egress: route.egress, service: route.service }
        }
        Err(wire::TtlExpired) => Outcome::Drop(DropReason::TtlExpired),
    }
}
