//! A capture's packets as XDP and a worker would have them: classified, and those that rules send to inspection taken
//! through the flow table and the modules, in the capture's own time.

use std::{collections::HashMap, io, net::IpAddr, sync::Arc};

use secuxflow_abi::{MAX_BATCH, WINDOW};

use super::{
    Captured, MAX_CAPTURED, to_ethernet,
    totals::{Fate, PacketReport, Totals},
};
use crate::{
    alert::{AlertEvent, AlertQueue},
    bpf::Metadata,
    flow::{FastHash, FlowKey, FlowTuple, HashKey, Order, OrderQueue, Tracker},
    inspect::{InspectError, Inspector, Loader, Runner, SharedMemory},
    plane::{ChainConfig, FailPolicy, FlowConfig, ModuleConfig, ModuleStatus},
    process::{DropReason, Frames, Outcome, Processor, Snapshot, Streaming},
    rules::{self, Classifier, RuleError, Ruleset},
    stream::{StreamConfig, Streams},
    wire::{self, Frame},
};

/// Packets of a batch unless it is chosen.
pub const DEFAULT_BATCH: usize = 1;

/// Memory for the packets of a batch, in bytes.
const ARENA: usize = 4 << 20;
/// Frames begin at multiples of this, as in a UMEM.
const ALIGN: usize = 64;
/// Longest time between the first and the last packet of a batch, which is processed as of one moment: a millisecond.
const BATCH_SPAN_NS: u64 = 1_000_000;
/// Alerts that one batch may raise.
const ALERTS: usize = 4096;
/// Key of the flow numbers that are shown: the same in every run, where that of the table is not.
const SHOWN: HashKey = HashKey::fixed(0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9);

const _: () = assert!(MAX_CAPTURED + wire::ETH_HLEN + ALIGN <= ARENA && ARENA <= u32::MAX as usize);

/// What a capture is run through.
#[derive(Debug, Clone)]
pub struct ReplayOptions {
    /// Rules, with the sets they name.
    pub rules: Ruleset,
    /// Modules.
    pub modules: Vec<ModuleConfig>,
    /// Chains over them; the first is the default.
    pub chains: Vec<ChainConfig>,
    /// What becomes of packets that should be inspected and cannot be.
    pub fail_policy: FailPolicy,
    /// What modules drop passes, and is counted.
    pub monitor: bool,
    /// The flow table, and what modules may decide of flows and sources.
    pub flows: FlowConfig,
    /// How TCP streams are followed and datagrams put together.
    pub streams: StreamConfig,
    /// Packets that are processed at once, 1 to [`MAX_BATCH`]. With 1 each packet meets everything that those before it
    /// have brought about, as in a worker that has time.
    pub batch: usize,
}

/// Why a replay cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A module or chain is wrong.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// A rule names a chain or set that is not there.
    #[error(transparent)]
    Rules(#[from] RuleError),
    /// Memory for the packets cannot be had.
    #[error("memory for packets: {0}")]
    Memory(io::Error),
    /// A batch that cannot be.
    #[error("batch {0}: it must be 1 to {MAX_BATCH} packets")]
    Batch(usize),
}

/// What a replay tells of, in the order of the packets; a packet's alerts come before the packet.
#[derive(Debug, Clone, Copy)]
pub enum Happened<'a> {
    /// An alert. Its time is the packet's.
    Alert {
        /// The packet's number; none where there is no packet.
        number: Option<u64>,
        /// The alert.
        event: &'a AlertEvent,
    },
    /// A packet's fate is known.
    Packet(&'a PacketReport),
}

/// See the module. It allocates while packets come only as far as the longest batch needs.
#[derive(Debug)]
pub struct Replay {
    classifier: Arc<Classifier>,
    snapshot: Snapshot,
    processor: Processor,
    runner: Runner,
    inspector: Inspector,
    alerts: Arc<AlertQueue>,
    orders: Arc<OrderQueue>,
    blocked: Blocked,
    batch: usize,
    /// Packets of the batch, inspected or not.
    pending: Vec<PacketReport>,
    frames: Arena,
    events: Vec<(Option<usize>, AlertEvent)>,
    scratch: Vec<u8>,
    /// Time of the batch, and of the one before it: the flow table's never goes back.
    started_ns: u64,
    now_ns: u64,
    totals: Totals,
}

impl Replay {
    /// Load the modules and make everything ready.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn new(options: ReplayOptions) -> Result<Self, ReplayError> {
        let loader = Loader::new(Self::instances(options.modules.len()), options.modules.len())?;
        Self::with_loader(&Arc::new(loader), options)
    }

    /// Instances that a replay with so many modules has at a time, at most.
    #[must_use]
    pub fn instances(modules: usize) -> usize {
        Inspector::instances(1, modules)
    }

    /// As [`Replay::new`], with a loader that may have compiled modules for others. It must have
    /// [instances](Replay::instances) enough for all who use it at a time.
    ///
    /// # Errors
    /// As [`Replay::new`].
    pub fn with_loader(loader: &Arc<Loader>, options: ReplayOptions) -> Result<Self, ReplayError> {
        let ReplayOptions { rules, modules, chains, fail_policy, monitor, flows, streams, batch } = options;
        if !(1..=MAX_BATCH).contains(&batch) {
            return Err(ReplayError::Batch(batch));
        }
        let names: Vec<String> = chains.iter().map(|chain| chain.name.clone()).collect();
        let classifier = Arc::new(Classifier::new(&rules, &names)?);
        let inspector = Inspector::with_loader(loader, &modules, &chains, 1, modules.len())?;
        let frames = Arena::new().map_err(ReplayError::Memory)?;
        let alerts = Arc::new(AlertQueue::new(ALERTS));
        let kept = SharedMemory::new(streams.memory).map_err(ReplayError::Memory)?;
        let address = WINDOW + u32::try_from(frames.memory.len()).unwrap_or(0);
        let streaming = Streaming::new(Streams::new(&streams, kept, address, HashKey::random()), Arc::clone(&alerts));
        let pages = streaming.pages();
        let runner = inspector.runner(&frames.memory.region().with_arena(&pages)?, Arc::clone(&alerts))?;
        let orders = Arc::new(OrderQueue::new(MAX_BATCH * 2));
        let tracker = Tracker::new(flows.tracker(flows.offload.then(|| Arc::clone(&orders))));
        let snapshot = Snapshot {
            routes: HashMap::default(),
            ingress: Vec::new(),
            classifier: Arc::clone(&classifier) as _,
            generation: 0,
            chains: u16::try_from(chains.len()).unwrap_or(u16::MAX),
            default_chain: (!chains.is_empty()).then_some(0),
            fail_policy,
            monitor,
        };
        Ok(Self {
            classifier,
            snapshot,
            processor: Processor::new(HashKey::random()).with_tracker(tracker).with_streaming(streaming),
            runner,
            inspector,
            alerts,
            orders,
            blocked: Blocked { until: HashMap::default(), most: flows.blocked as usize },
            batch,
            pending: Vec::with_capacity(batch),
            frames,
            events: Vec::new(),
            scratch: Vec::new(),
            started_ns: 0,
            now_ns: 1,
            totals: Totals::new(chains.len()),
        })
    }

    /// Take the next packet. `tell` learns of the packets whose fate is known by now, this one or some before it.
    ///
    /// # Errors
    /// What `tell` says.
    pub fn push<E>(
        &mut self,
        packet: &Captured<'_>,
        tell: &mut impl FnMut(Happened<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let full = self.pending.len() >= self.batch || !self.frames.has_room(packet.data.len());
        if full || packet.time_ns.saturating_sub(self.started_ns) > BATCH_SPAN_NS {
            self.flush(tell)?;
        }
        if self.pending.is_empty() {
            self.started_ns = packet.time_ns;
            self.now_ns = self.now_ns.max(packet.time_ns);
        }
        let report = self.classify(packet);
        self.pending.push(report);
        if self.pending.len() >= self.batch { self.flush(tell) } else { Ok(()) }
    }

    /// Process what waits; to be called after the last packet.
    ///
    /// # Errors
    /// What `tell` says.
    pub fn flush<E>(&mut self, tell: &mut impl FnMut(Happened<'_>) -> Result<(), E>) -> Result<(), E> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.inspect();
        self.block();
        self.collect();
        let told = self.tell(tell);
        self.events.clear();
        self.pending.clear();
        self.frames.clear();
        told
    }

    fn tell<E>(&self, tell: &mut impl FnMut(Happened<'_>) -> Result<(), E>) -> Result<(), E> {
        let mut events = self.events.iter().peekable();
        for (at, packet) in self.pending.iter().enumerate() {
            while let Some((_, event)) = events.next_if(|(of, _)| *of == Some(at)) {
                tell(Happened::Alert { number: Some(packet.number), event })?;
            }
            tell(Happened::Packet(packet))?;
        }
        events.try_for_each(|(_, event)| tell(Happened::Alert { number: None, event }))
    }

    /// What became of the packets so far.
    #[must_use]
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// The modules and their counters.
    #[must_use]
    pub fn modules(&self) -> Vec<ModuleStatus> {
        self.inspector.status()
    }

    /// What XDP makes of a packet. One that is to be inspected is put with the frames of the batch.
    fn classify(&mut self, packet: &Captured<'_>) -> PacketReport {
        let Captured { number, time_ns, link, data, original_len } = *packet;
        let mut report = PacketReport {
            number,
            time_ns,
            len: data.len(),
            original_len,
            tuple: None,
            rule: None,
            chain: None,
            monitored: None,
            fate: Fate::NoLink,
        };
        if !to_ethernet(link, data, &mut self.scratch) {
            return report;
        }
        let frame = wire::parse(&self.scratch);
        report.tuple = match &frame {
            Frame::Ip(headers) | Frame::Undecidable(_, Some(headers)) => Some(FlowTuple::of(headers)),
            Frame::Undecidable(_, None) => None,
            Frame::Neighbour | Frame::NonIp => {
                report.fate = Fate::NotIp;
                return report;
            }
        };
        self.totals.undecidable += u64::from(matches!(frame, Frame::Undecidable(..)));
        if report.tuple.is_some_and(|tuple| self.blocked.has(tuple.src, self.now_ns)) {
            report.fate = Fate::SourceBlocked;
            return report;
        }
        let decision = self.classifier.classify(&frame);
        (report.rule, report.monitored) = (decision.rule, decision.monitored);
        report.fate = match decision.action {
            rules::Outcome::Pass => Fate::RulePass,
            rules::Outcome::Drop => Fate::RuleDrop,
            rules::Outcome::Inspect { chain } => {
                report.chain = Some(chain);
                self.frames.add(&self.scratch, self.pending.len(), chain, decision.rule.map_or(0, |rule| rule.0));
                Fate::ChainPass
            }
        };
        report
    }

    /// What a worker makes of the batch.
    fn inspect(&mut self) {
        if self.frames.used > 0 {
            let tally = self.processor.run_at(self.now_ns, &self.snapshot, &mut self.frames, &mut self.runner);
            self.totals.cleared += tally.cleared;
            self.totals.monitored += tally.monitored;
            self.totals.panics += tally.panics;
            for (frame, outcome) in self.frames.slots.iter().zip(self.processor.outcomes()) {
                self.pending[frame.packet].fate = match *outcome {
                    // There are no services here: what would be sent to one has passed.
                    Outcome::Forward { .. } | Outcome::Drop(DropReason::NoService) => Fate::ChainPass,
                    Outcome::Drop(reason) => Fate::WorkerDrop(reason),
                };
            }
        }
        for packet in &self.pending {
            self.totals.add(packet);
        }
    }

    /// Do what modules asked the kernel for. Flows need nothing: the table knows what was said of them.
    fn block(&mut self) {
        while let Some(order) = self.orders.pop() {
            if let Order::Block { source, until_ns, .. } = order {
                self.blocked.add(source, until_ns, self.now_ns);
            }
        }
    }

    /// Take the alerts of the batch, in the order of its packets, each with its packet's time.
    fn collect(&mut self) {
        while let Some(mut event) = self.alerts.pop() {
            let at = event.frame.and_then(|addr| self.frames.find(addr)).map(|frame| frame.packet);
            let of = at.and_then(|at| self.pending.get(at)).or(self.pending.last());
            event.time_ns = of.map_or(self.now_ns, |packet| packet.time_ns);
            if let Some(flow) = &mut event.flow {
                flow.id = FlowKey::new((flow.src, flow.src_port), (flow.dst, flow.dst_port), flow.protocol).id(SHOWN);
            }
            self.events.push((at, event));
        }
        // Stable: alerts of one packet stay as they were raised. Those without a packet come last.
        self.events.sort_by_key(|(at, _)| at.unwrap_or(usize::MAX));
        self.totals.alerts += self.events.len() as u64;
        self.totals.alerts_lost = self.alerts.dropped();
    }
}

/// Sources that modules block, and until when.
#[derive(Debug)]
struct Blocked {
    until: HashMap<IpAddr, u64, FastHash>,
    most: usize,
}

impl Blocked {
    fn has(&self, source: IpAddr, now_ns: u64) -> bool {
        !self.until.is_empty() && self.until.get(&source).is_some_and(|until| now_ns < *until)
    }

    fn add(&mut self, source: IpAddr, until_ns: u64, now_ns: u64) {
        if self.until.len() >= self.most {
            self.until.retain(|_, until| now_ns < *until);
        }
        if self.until.len() < self.most {
            let until = self.until.entry(source).or_default();
            *until = until_ns.max(*until);
        }
    }
}

/// A frame of the batch.
#[derive(Debug, Default)]
struct Slot {
    bytes: Vec<u8>,
    /// Offset in the memory.
    addr: u32,
    metadata: Option<Metadata>,
    /// Its packet's place in the batch.
    packet: usize,
}

/// The frames of a batch, in memory that modules see.
#[derive(Debug)]
struct Arena {
    memory: SharedMemory,
    /// Those in use come first.
    slots: Vec<Slot>,
    used: usize,
    /// Bytes in use.
    end: usize,
}

impl Arena {
    fn new() -> io::Result<Self> {
        Ok(Self { memory: SharedMemory::new(ARENA)?, slots: Vec::new(), used: 0, end: 0 })
    }

    fn has_room(&self, len: usize) -> bool {
        self.end + len + wire::ETH_HLEN + ALIGN <= ARENA
    }

    /// Add a frame, for which there is room.
    fn add(&mut self, frame: &[u8], packet: usize, chain: u16, rule: u32) {
        if self.used == self.slots.len() {
            self.slots.push(Slot::default());
        }
        let slot = &mut self.slots[self.used];
        slot.bytes.clear();
        slot.bytes.extend_from_slice(frame);
        slot.addr = u32::try_from(self.end).expect("the arena is below 4 GiB");
        (slot.metadata, slot.packet) = (Some(Metadata::of(chain, rule)), packet);
        self.memory.write(self.end, frame).expect("the caller has asked for room");
        self.used += 1;
        self.end = (self.end + frame.len().max(1)).next_multiple_of(ALIGN);
    }

    fn find(&self, addr: u32) -> Option<&Slot> {
        let slots = &self.slots[..self.used];
        slots.binary_search_by_key(&addr, |slot| slot.addr).ok().map(|at| &slots[at])
    }

    fn clear(&mut self) {
        (self.used, self.end) = (0, 0);
    }
}

impl Frames for Arena {
    fn count(&self) -> usize {
        self.used
    }
    fn ingress(&self) -> u16 {
        0
    }
    fn bytes(&self, index: usize) -> &[u8] {
        &self.slots[index].bytes
    }
    fn bytes_mut(&mut self, index: usize) -> &mut [u8] {
        &mut self.slots[index].bytes
    }
    fn truncate(&mut self, index: usize, len: usize) {
        self.slots[index].bytes.truncate(len);
    }
    fn addr(&self, index: usize) -> u32 {
        self.slots[index].addr
    }
    fn take_metadata(&mut self, index: usize) -> Option<Metadata> {
        self.slots[index].metadata.take()
    }
}
