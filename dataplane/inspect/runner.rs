//! A worker's instances, and the way of a batch through a chain of them.

use std::{borrow::Cow, mem, sync::Arc, time::Duration};

use secuxflow_abi::{Chunk, MAX_BATCH, MAX_CHUNKS, NO_PACKET, Packet, verdict};

use super::{
    InspectError, Region,
    batch::{self, Batch, Hole, NOWHERE, Part},
    host::{MAX_ALERTS, MAX_ASKS},
    instance::{Failure, Instance, Limits},
    module::Module,
    shared::{Shared, Step},
    stats::{Health, RunnerCounters},
    ticker::Pulse,
    told::{Raised, word},
    window::Alias,
};
use crate::{
    alert::{AlertEvent, AlertQueue, Verdict},
    clock::Stopwatch,
    flow::Asked,
    plane::{Count, FailPolicy},
};

/// What one module made of a packet under test; see [`Runner::explain`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Index of the module, as in [`AlertEvent::module`].
    pub module: u16,
    /// Its name.
    pub name: String,
    /// Its verdict, or its fail policy's.
    pub verdict: Verdict,
    /// Why it failed, or that it is out of service.
    pub failure: Option<String>,
}

/// How a module fared with a batch.
#[derive(Debug, Default)]
struct Fared {
    /// One of its two kinds of calls failed, and so did all those on parts of the batch.
    useless: bool,
    /// Why the last call failed that did.
    failure: Option<Cow<'static, str>>,
}

/// One module's place in a runner.
#[derive(Debug)]
pub(super) struct Slot {
    /// None between a failure and the next call.
    pub(super) instance: Option<Instance>,
    /// Batches in a row of which, in one of the two calls, nothing could be inspected.
    pub(super) failures: u32,
    /// When it was last told what the module would have dropped.
    pub(super) told_ns: u64,
}

/// One worker's instances of all modules. It allocates nothing in [`Runner::run`] unless a module fails or raises an alert
/// that has further fields.
#[derive(Debug)]
pub struct Runner {
    pub(super) slots: Vec<Slot>,
    pub(super) shared: Arc<Shared>,
    pub(super) alias: Alias,
    pub(super) alerts: Arc<AlertQueue>,
    pub(super) health: Arc<[Arc<Health>]>,
    pub(super) counters: Arc<RunnerCounters>,
    pulse: Pulse,
    watch: Stopwatch,
    /// Packets of the batch that no module has dropped, as indices in ascending order.
    pub(super) live: Vec<u16>,
    /// Their bytes.
    live_bytes: u64,
    /// Whether the module that is under way, or its fail policy, has said anything but pass.
    pub(super) objected: bool,
    /// Packets of the call, as indices: the guest's number of a packet is its place here.
    pub(super) shown: Vec<u16>,
    /// Chunks that the module is to see, as places in the batch's.
    pub(super) pieces: Vec<u32>,
    /// Where chunks of dropped packets are missing between them, in order.
    pub(super) holes: Vec<Hole>,
    /// Place in `shown` of each packet of the batch, [`NOWHERE`] between calls.
    pub(super) places: Vec<u16>,
    /// Flows whose stream was cut in the batch by the module, and by which packet, in order.
    pub(super) cuts: Vec<(u64, u16)>,
    /// Packets of the run whose streams were cut, numbered as the caller does.
    pub(super) cut: Vec<u32>,
    pub(super) raised: Vec<Raised>,
    /// Further fields of the alerts that were raised, end to end.
    pub(super) fields: Vec<u8>,
    /// What modules asked for since the run began.
    pub(super) asked: Vec<Asked>,
    /// Packets that are dropped are forwarded all the same.
    pub(super) monitor: bool,
    /// The step of the chain that is under way.
    pub(super) step: Step,
}

impl Runner {
    pub(super) fn new(
        shared: &Arc<Shared>,
        region: &Region<'_>,
        alerts: Arc<AlertQueue>,
        health: Arc<[Arc<Health>]>,
        counted: bool,
        stays: impl Fn(&Arc<Module>) -> bool,
    ) -> Result<Self, InspectError> {
        let alias = Alias::new(region)?;
        shared.take_place()?;
        let longest = shared.chains.iter().map(|chain| chain.steps.len()).max().unwrap_or(0);
        let mut runner = Self {
            slots: Vec::with_capacity(shared.modules.len()),
            shared: Arc::clone(shared),
            alias,
            alerts,
            health,
            counters: shared.counters(),
            pulse: shared.base.loader.ticker.pulse(),
            watch: Stopwatch::default(),
            live: Vec::with_capacity(MAX_BATCH),
            live_bytes: 0,
            objected: false,
            shown: Vec::with_capacity(MAX_BATCH),
            pieces: Vec::with_capacity(MAX_CHUNKS),
            holes: Vec::with_capacity(MAX_CHUNKS),
            places: vec![NOWHERE; MAX_BATCH],
            cuts: Vec::with_capacity(MAX_CHUNKS),
            cut: Vec::with_capacity(MAX_BATCH),
            raised: Vec::with_capacity(MAX_ALERTS * longest),
            fields: Vec::new(),
            asked: Vec::with_capacity(MAX_ASKS * longest),
            monitor: false,
            step: Step { module: 0, monitor: false, on_failure: FailPolicy::Closed, deadline: Duration::ZERO },
        };
        if counted {
            shared.enlist(&runner.counters);
        }
        for (module, counters) in shared.modules.iter().zip(Arc::clone(&runner.counters).iter()) {
            if stays(module) {
                runner.slots.push(Slot { instance: None, failures: 0, told_ns: 0 });
                continue;
            }
            runner.pulse.enter();
            let started = Instance::start(module, Some(&runner.alias));
            runner.pulse.leave();
            let mut instance = started.map_err(|failure| InspectError::Refused {
                name: module.name.clone(),
                path: module.path.clone().into(),
                problem: failure.to_string(),
            })?;
            instance.populate();
            instance.host().meter.drain(counters);
            runner.slots.push(Slot { instance: Some(instance), failures: 0, told_ns: 0 });
        }
        Ok(runner)
    }

    /// Take over from `before`, another runner of the same worker, the instances of modules that both have and this one
    /// has none of: with all that they remember. It allocates nothing and starts nothing.
    pub fn take_over(&mut self, before: &mut Self) {
        for (index, (module, slot)) in self.shared.modules.iter().zip(&mut self.slots).enumerate() {
            let same = |known: &Arc<Module>| Arc::ptr_eq(known, module);
            if slot.instance.is_none()
                && let Some(at) = before.shared.modules.iter().position(same)
            {
                mem::swap(slot, &mut before.slots[at]);
                self.counters[index].take_gauges(&before.counters[at], &module.metrics);
            }
        }
        self.monitor = before.monitor;
    }

    /// Whether packets that are dropped are forwarded all the same, for alerts to say so; not so at first.
    pub fn set_monitor(&mut self, monitor: bool) {
        self.monitor = monitor;
    }

    /// Whether a module of the chain inspects streams: only then are chunks worth making.
    #[must_use]
    pub fn wants_streams(&self, chain: u16) -> bool {
        let steps = self.shared.chains.get(usize::from(chain)).map_or(&[][..], |chain| &chain.steps);
        steps.iter().any(|step| self.shared.modules[usize::from(step.module)].streams)
    }

    /// Take packets, whose verdicts are all [`verdict::PASS`], and the chunks of streams that came with them, through a chain.
    /// Each module sees, in calls of at most [`MAX_BATCH`] packets and [`MAX_CHUNKS`] chunks, what the modules before it let
    /// through: the packets first, then the chunks with the packets that carry them. On return every verdict is a value of [`verdict`], failures included, and
    /// nothing else of a packet has changed. `frame` of each packet is [`WINDOW`](secuxflow_abi::WINDOW) plus the frame's
    /// offset in the region. Guests are told that it is `now_ns`; deadlines are of a clock of their own.
    ///
    /// The chunks come in the order of their packets; [`Chunk::packet`] counts from the first of `packets`, and a chunk of a
    /// packet that is not there is not shown. Once a module drops a packet that carries a chunk, the rest of the flow's
    /// packets are dropped too, but in monitor mode; see [`Runner::cut`].
    ///
    /// A chain that does not exist drops everything and raises an alert: publishing rules checks names, so it is a bug.
    pub fn run(&mut self, now_ns: u64, chain: u16, packets: &mut [Packet], chunks: &[Chunk]) {
        self.asked.clear();
        self.cut.clear();
        if usize::from(chain) >= self.shared.chains.len() {
            packets.iter_mut().for_each(|packet| packet.verdict = verdict::DROP);
            self.alerts.push(AlertEvent::dataplane(1, "packets dropped: their rule names an unknown chain"));
            return;
        }
        let (mut packets, mut chunks, mut base) = (packets, chunks, 0);
        while !packets.is_empty() || !chunks.is_empty() {
            let (batch, rest) = packets.split_at_mut(packets.len().min(MAX_BATCH));
            let next = base + batch.len();
            let later = |chunk: &Chunk| chunk.packet != NO_PACKET && chunk.packet as usize >= next;
            let end = if rest.is_empty() { None } else { chunks.iter().position(later) };
            let (pieces, others) = chunks.split_at(end.unwrap_or(chunks.len()));
            let batch = Batch { chain, packets: batch, chunks: pieces, base, now_ns, watch: self.watch.look() };
            self.run_batch(batch, |_, _, _| ());
            (packets, chunks, base) = (rest, others, next);
        }
    }

    /// What modules asked for in the last [`Runner::run`].
    #[must_use]
    pub fn asked(&self) -> &[Asked] {
        &self.asked
    }

    /// The packets of the last [`Runner::run`], by number, whose streams were cut: a module dropped them as carriers of a
    /// chunk, or its fail policy did. Whatever else comes of their flows is to be dropped, in both directions, for neither
    /// has the receiver all that came before, nor would a module see what is sent again.
    #[must_use]
    pub fn cut(&self) -> &[u32] {
        &self.cut
    }

    /// As [`Runner::run`] for at most [`MAX_BATCH`] packets, telling what each module said of the first. For test inspection;
    /// it allocates.
    pub fn explain(&mut self, now_ns: u64, chain: u16, packets: &mut [Packet], chunks: &[Chunk]) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        if usize::from(chain) >= self.shared.chains.len() || packets.len() > MAX_BATCH {
            self.run(now_ns, chain, packets, chunks);
            return outcomes;
        }
        self.asked.clear();
        self.cut.clear();
        let shared = Arc::clone(&self.shared);
        let batch = Batch { chain, packets, chunks, base: 0, now_ns, watch: self.watch.look() };
        self.run_batch(batch, |module, said, failure| {
            outcomes.push(Outcome {
                module: shared.numbers[usize::from(module)],
                name: shared.modules[usize::from(module)].name.clone(),
                verdict: said,
                failure: failure.map(str::to_owned),
            });
        });
        outcomes
    }

    /// One batch. `said` is told of each module: its index, the verdict on the first packet it saw, why it failed.
    fn run_batch(&mut self, mut batch: Batch<'_>, mut said: impl FnMut(u16, Verdict, Option<&str>)) {
        self.live.clear();
        // Left over only when the host panicked in the batch before.
        self.raised.clear();
        self.fields.clear();
        self.live.extend(0..u16::try_from(batch.packets.len()).unwrap_or(NOWHERE));
        debug_assert_eq!(batch::said(batch.packets), verdict::PASS, "a packet comes with a verdict");
        self.live_bytes = batch::bytes(batch.packets);
        self.pulse.enter();
        for step in 0..self.shared.chains[usize::from(batch.chain)].steps.len() {
            if self.live.is_empty() && batch.chunks.is_empty() {
                break;
            }
            self.step = self.shared.chains[usize::from(batch.chain)].steps[step];
            let module = self.step.module;
            let first = self.live.first().copied();
            let Some(failure) = self.step(module, &mut batch) else { continue };
            self.place_asks(batch.chain, step);
            if let Some(first) = first {
                said(module, word(batch.packets[usize::from(first)].verdict), failure.as_deref());
            }
            self.settle(module, &mut batch);
        }
        self.pulse.leave();
        if !self.raised.is_empty() {
            self.publish(&batch);
        }
    }

    /// Call one module on the live packets, and on the chunks that came with them, or apply its fail policy. None when there
    /// is nothing that it sees; else why it was the policy.
    fn step(&mut self, module: u16, batch: &mut Batch<'_>) -> Option<Option<Cow<'static, str>>> {
        let index = usize::from(module);
        let (inspects, streams) = (self.shared.modules[index].inspects, self.shared.modules[index].streams);
        let inspects = inspects && !self.live.is_empty();
        self.pieces.clear();
        self.objected = false;
        let mut fared = Fared::default();
        let in_service = self.health[index].in_service();
        if inspects && in_service {
            self.guarded(module, batch, Part::Packets(0..self.live.len()), &mut fared);
        } else if inspects {
            self.apply_policy(batch, Part::Packets(0..self.live.len()));
        }
        if streams && !batch.chunks.is_empty() {
            self.line_up(batch);
            let (mut start, mut works) = (0, in_service);
            while works && start < self.pieces.len() {
                let end = self.pieces.len().min(start + MAX_CHUNKS);
                works = self.guarded(module, batch, Part::Chunks(start..end), &mut fared);
                start = end;
            }
            // What is left was not shown: the module is out of service, or does not work today.
            self.apply_policy(batch, Part::Chunks(start..self.pieces.len()));
            self.cut_streams(batch);
        }
        if !inspects && self.pieces.is_empty() {
            return None;
        }
        if !in_service {
            return Some(Some(Cow::Borrowed("out of service after too many failures")));
        }
        let failures = &mut self.slots[index].failures;
        *failures = if fared.useless { failures.saturating_add(1) } else { 0 };
        if let Some(failure) = &fared.failure {
            self.retire(module, batch.chain, failure);
        }
        Some(fared.failure)
    }

    /// Call one module on `part`, and when it fails on parts of it; whether it could inspect any of it.
    fn guarded(&mut self, module: u16, batch: &mut Batch<'_>, part: Part, fared: &mut Fared) -> bool {
        let Err(failure) = self.attempt(module, batch, part.clone()) else { return true };
        let left = self.isolate(module, batch, part, &failure);
        fared.useless |= !left.works;
        self.fail(module, batch, &failure, left.packets);
        fared.failure = Some(Cow::Owned(failure.to_string()));
        left.works
    }

    /// Call a module on `part`. A failure is counted, and the instance, whose state it may have spoilt, is thrown away: the
    /// next call starts another from the pool.
    pub(super) fn attempt(&mut self, module: u16, batch: &mut Batch<'_>, part: Part) -> Result<(), Failure> {
        let index = usize::from(module);
        let started = batch.watch;
        let numbered = matches!(part, Part::Chunks(_));
        let result = self.call(module, batch, part);
        if numbered {
            self.unnumber();
        }
        batch.watch = self.watch.look();
        self.counters[index].called(self.watch.ns(started, batch.watch));
        match &result {
            Ok(objected) => {
                self.objected |= objected;
                self.collect_asks(module, batch.base);
                self.collect(module);
            }
            Err(failure) => {
                self.counters[index].failed(failure.kind);
                self.counters[index].forget_gauges(&self.shared.modules[index].metrics);
                self.slots[index].instance = None;
            }
        }
        result.map(|_| ())
    }

    /// Whether the module let not all packets pass.
    fn call(&mut self, module: u16, batch: &mut Batch<'_>, part: Part) -> Result<bool, Failure> {
        self.number(batch, &part);
        let loaded = &self.shared.modules[usize::from(module)];
        let slot = &mut self.slots[usize::from(module)].instance;
        let instance = match slot {
            Some(instance) => instance,
            // Not populated: a fault per page is spread over the next batches, populating it all would stall this one.
            None => {
                let instance = slot.insert(Instance::start(loaded, Some(&self.alias))?);
                instance.host().meter.drain(&self.counters[usize::from(module)]);
                instance
            }
        };
        let limits = Limits { deadline: self.step.deadline, now_ns: batch.now_ns };
        match part {
            Part::Packets(_) => instance.inspect(batch.packets, &self.shown, limits),
            Part::Chunks(range) => {
                let pieces = batch::pieces(batch.chunks, batch.base, &self.pieces[range], &self.places, &self.holes);
                instance.stream(batch.packets, &self.shown, pieces, limits)
            }
        }
    }

    /// Count what became of the packets that the module saw, and keep those that go on to the next.
    fn settle(&mut self, module: u16, batch: &mut Batch<'_>) {
        let index = usize::from(module);
        if self.step.monitor {
            self.let_on(module, batch);
        }
        if self.shared.modules[index].inspects && !self.objected {
            // As nearly always: all go on.
            let passed = Count { packets: self.live.len() as u64, bytes: self.live_bytes };
            return self.counters[index].decided(passed, Count::default());
        }
        let (mut passed, mut dropped) = (Count::default(), Count::default());
        let mut count = |packet: &Packet| {
            let pass = packet.verdict == verdict::PASS;
            *if pass { &mut passed } else { &mut dropped } += Count { packets: 1, bytes: packet.len.into() };
            pass
        };
        if self.shared.modules[index].inspects {
            self.live.retain(|&i| count(&batch.packets[usize::from(i)]));
        } else {
            self.carriers(batch).for_each(|i| _ = count(&batch.packets[i]));
            self.live.retain(|&i| batch.packets[usize::from(i)].verdict == verdict::PASS);
        }
        self.live_bytes = self.live.iter().map(|&i| u64::from(batch.packets[usize::from(i)].len)).sum();
        self.counters[index].decided(passed, dropped);
    }

    /// Let what a monitored module would drop go on, counted and told of.
    fn let_on(&mut self, module: u16, batch: &mut Batch<'_>) {
        let mut monitored = Count::default();
        for &i in &self.live {
            let packet = &mut batch.packets[usize::from(i)];
            if packet.verdict != verdict::PASS {
                packet.verdict = verdict::PASS;
                monitored += Count { packets: 1, bytes: packet.len.into() };
            }
        }
        if monitored.packets > 0 {
            self.counters[usize::from(module)].monitored(monitored);
            self.tell_monitored(module, batch, monitored.packets);
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        for (counters, module) in self.counters.iter().zip(&self.shared.modules) {
            counters.forget_gauges(&module.metrics);
        }
        self.slots.clear();
        self.shared.release(&self.counters);
    }
}
