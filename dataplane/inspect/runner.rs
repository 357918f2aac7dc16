//! A worker's instances, and the way of a batch through a chain of them.

use std::{borrow::Cow, fmt::Write as _, mem, ops::Range, sync::Arc};

use arrayvec::ArrayString;
use secuxflow_abi::{MAX_BATCH, Packet, WINDOW, verdict};

use super::{
    InspectError, Region,
    host::{GuestAlert, GuestAsk, MAX_ALERTS, MAX_ASKS},
    instance::{Failure, Instance},
    module::Module,
    shared::{Shared, Step},
    stats::{Health, RunnerCounters, TELL_EVERY_NS},
    ticker::Pulse,
    window::Alias,
};
use crate::{
    alert::{AlertEvent, AlertFlow, AlertKind, AlertQueue, Verdict},
    clock,
    flow::{Ask, Asked},
    plane::{Count, FailPolicy},
    wire::{self, Frame},
};

/// Most bytes of a frame that are read again for an alert: enough for two VLAN tags and either IP header, whose addresses
/// are all that is wanted. A sender may raise alerts at line rate, so the rest of the frame is not copied for each.
const ADDRESSES: usize = 64;

/// Step of a wish that is not placed yet; no chain is that long, or none of its wishes counts.
const UNPLACED: u8 = u8::MAX;

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

/// One module's place in a runner.
#[derive(Debug)]
struct Slot {
    /// None between a failure and the next call.
    instance: Option<Instance>,
    /// Batches in a row of which no packet could be inspected.
    failures: u32,
    /// When it was last told what the module would have dropped.
    told_ns: u64,
}

/// An alert that waits for the end of the chain, when the packet's fate is known.
#[derive(Debug)]
struct Raised {
    module: u16,
    packet: u16,
    alert: GuestAlert,
}

/// One worker's instances of all modules. It allocates nothing in [`Runner::run`] unless a module fails.
#[derive(Debug)]
pub struct Runner {
    slots: Vec<Slot>,
    pub(super) shared: Arc<Shared>,
    alias: Alias,
    alerts: Arc<AlertQueue>,
    health: Arc<[Arc<Health>]>,
    counters: Arc<RunnerCounters>,
    pulse: Pulse,
    /// Packets of the batch that no module has dropped, as indices.
    pub(super) live: Vec<u16>,
    raised: Vec<Raised>,
    /// What modules asked for since the run began.
    asked: Vec<Asked>,
    /// Packets that are dropped are forwarded all the same.
    monitor: bool,
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
            pulse: shared.base.ticker.pulse(),
            live: Vec::with_capacity(MAX_BATCH),
            raised: Vec::with_capacity(MAX_ALERTS * longest),
            asked: Vec::with_capacity(MAX_ASKS * longest),
            monitor: false,
            step: Step { module: 0, monitor: false, on_failure: FailPolicy::Closed, ticks: 0 },
        };
        if counted {
            shared.enlist(&runner.counters);
        }
        for module in &shared.modules {
            if stays(module) {
                runner.slots.push(Slot { instance: None, failures: 0, told_ns: 0 });
                continue;
            }
            runner.pulse.enter();
            let started = Instance::start(module, Some(&runner.alias));
            runner.pulse.leave();
            let instance = started.map_err(|failure| InspectError::Refused {
                name: module.name.clone(),
                path: module.path.clone().into(),
                problem: failure.to_string(),
            })?;
            instance.populate();
            runner.slots.push(Slot { instance: Some(instance), failures: 0, told_ns: 0 });
        }
        Ok(runner)
    }

    /// Take over from `before`, another runner of the same worker, the instances of modules that both have and this one
    /// has none of: with all that they remember. It allocates nothing and starts nothing.
    pub fn take_over(&mut self, before: &mut Self) {
        for (module, slot) in self.shared.modules.iter().zip(&mut self.slots) {
            let same = |known: &Arc<Module>| Arc::ptr_eq(known, module);
            if slot.instance.is_none()
                && let Some(at) = before.shared.modules.iter().position(same)
            {
                mem::swap(slot, &mut before.slots[at]);
            }
        }
        self.monitor = before.monitor;
    }

    /// Whether packets that are dropped are forwarded all the same, for alerts to say so; not so at first.
    pub fn set_monitor(&mut self, monitor: bool) {
        self.monitor = monitor;
    }

    /// Take packets through a chain: each module sees, in calls of at most [`MAX_BATCH`], those that the modules before
    /// it let through. On return every verdict is [`verdict::PASS`] or [`verdict::DROP`], failures included, and
    /// nothing else of a packet has changed. `frame` of each packet is [`WINDOW`] plus the frame's offset in the region.
    ///
    /// A chain that does not exist drops everything and raises an alert: publishing rules checks names, so it is a bug.
    pub fn run(&mut self, chain: u16, packets: &mut [Packet]) {
        self.asked.clear();
        if usize::from(chain) >= self.shared.chains.len() {
            packets.iter_mut().for_each(|packet| packet.verdict = verdict::DROP);
            self.alerts.push(AlertEvent::dataplane(1, "packets dropped: their rule names an unknown chain"));
            return;
        }
        for (number, batch) in packets.chunks_mut(MAX_BATCH).enumerate() {
            let asked = self.asked.len();
            self.run_batch(chain, batch, |_, _, _| ());
            if number > 0 {
                self.asked.truncate(asked);
            }
        }
    }

    /// What modules asked for in the last [`Runner::run`], by packets of its first [`MAX_BATCH`].
    #[must_use]
    pub fn asked(&self) -> &[Asked] {
        &self.asked
    }

    /// As [`Runner::run`] for one packet, telling what each module said. For test inspection; it allocates.
    pub fn explain(&mut self, chain: u16, packet: &mut Packet) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        self.asked.clear();
        if usize::from(chain) >= self.shared.chains.len() {
            self.run(chain, std::slice::from_mut(packet));
            return outcomes;
        }
        let shared = Arc::clone(&self.shared);
        self.run_batch(chain, std::slice::from_mut(packet), |module, said, failure| {
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
    fn run_batch(&mut self, chain: u16, packets: &mut [Packet], mut said: impl FnMut(u16, Verdict, Option<&str>)) {
        self.live.clear();
        // Left over only when the host panicked in the batch before.
        self.raised.clear();
        for (i, packet) in (0..).zip(packets.iter_mut()) {
            packet.verdict = verdict::PASS;
            self.live.push(i);
        }
        let mut now_ns = clock::monotonic_ns();
        self.pulse.enter();
        for step in 0..self.shared.chains[usize::from(chain)].steps.len() {
            let Some(&first) = self.live.first() else { break };
            self.step = self.shared.chains[usize::from(chain)].steps[step];
            let module = self.step.module;
            let failure = self.step(chain, module, packets, &mut now_ns);
            self.place_asks(chain, step);
            said(module, word(packets[usize::from(first)].verdict), failure.as_deref());
            self.settle(chain, module, packets, now_ns);
        }
        self.pulse.leave();
        if !self.raised.is_empty() {
            self.publish(chain, packets);
        }
    }

    /// Call one module on the live packets, or apply its fail policy. Returns why it was the policy.
    fn step(&mut self, chain: u16, module: u16, packets: &mut [Packet], now_ns: &mut u64) -> Option<Cow<'static, str>> {
        let index = usize::from(module);
        let all = 0..self.live.len();
        if !self.health[index].in_service() {
            self.apply_policy(packets, all);
            return Some(Cow::Borrowed("out of service after too many failures"));
        }
        let Err(failure) = self.attempt(module, packets, all, now_ns) else {
            self.slots[index].failures = 0;
            return None;
        };
        let left = self.isolate(module, packets, &failure, now_ns);
        if left.works {
            self.slots[index].failures = 0;
        } else {
            self.slots[index].failures = self.slots[index].failures.saturating_add(1);
        }
        self.fail(chain, module, &failure, left.packets, *now_ns);
        Some(Cow::Owned(failure.to_string()))
    }

    /// Call a module on the live packets of `range`. A failure is counted, and the instance, whose state it may have
    /// spoilt, is thrown away: the next call starts another from the pool.
    pub(super) fn attempt(
        &mut self,
        module: u16,
        packets: &mut [Packet],
        range: Range<usize>,
        now_ns: &mut u64,
    ) -> Result<(), Failure> {
        let index = usize::from(module);
        let started = *now_ns;
        let result = self.call(module, packets, range.clone(), started);
        *now_ns = clock::monotonic_ns();
        self.counters[index].called(now_ns.saturating_sub(started));
        match &result {
            Ok(()) => {
                self.collect_asks(module, range.clone());
                self.collect(module, range);
            }
            Err(failure) => {
                self.counters[index].failed(failure.kind);
                self.slots[index].instance = None;
            }
        }
        result
    }

    fn call(&mut self, module: u16, packets: &mut [Packet], range: Range<usize>, now_ns: u64) -> Result<(), Failure> {
        let loaded = &self.shared.modules[usize::from(module)];
        let slot = &mut self.slots[usize::from(module)].instance;
        let instance = match slot {
            Some(instance) => instance,
            // Not populated: a fault per page is spread over the next batches, populating it all would stall this one.
            None => slot.insert(Instance::start(loaded, Some(&self.alias))?),
        };
        instance.inspect(packets, &self.live[range], self.step.ticks, now_ns)
    }

    /// Give the live packets of `range` the verdict of the module's fail policy.
    pub(super) fn apply_policy(&self, packets: &mut [Packet], range: Range<usize>) {
        let said = match self.step.on_failure {
            FailPolicy::Open => verdict::PASS,
            FailPolicy::Closed => verdict::DROP,
        };
        for &i in &self.live[range] {
            packets[usize::from(i)].verdict = said;
        }
    }

    /// Take over what the call on `range` that just ended asked for; packet numbers become those of the batch, and the
    /// step is filled in by [`Runner::place_asks`].
    fn collect_asks(&mut self, module: u16, range: Range<usize>) {
        let Some(instance) = &mut self.slots[usize::from(module)].instance else { return };
        let room = self.asked.capacity() - self.asked.len();
        let live = &self.live[range];
        let asked = |GuestAsk { packet, ask, seconds }| Asked {
            // The host function checked the number against the call's.
            packet: live.get(packet as usize).copied().unwrap_or_default(),
            step: UNPLACED,
            steps: UNPLACED,
            ask,
            seconds,
        };
        self.asked.extend(instance.asks().drain(..).take(room).map(asked));
    }

    /// Note at which step of the chain the latest wishes were told.
    fn place_asks(&mut self, chain: u16, step: usize) {
        let most = usize::from(UNPLACED - 1);
        let steps = self.shared.chains[usize::from(chain)].steps.len().min(most);
        if self.step.monitor {
            // Of what a monitored module asks for only that counts which spares it packets.
            self.asked.retain(|asked| asked.steps != UNPLACED || asked.ask == Ask::Clear);
        }
        for asked in self.asked.iter_mut().rev().take_while(|asked| asked.steps == UNPLACED) {
            asked.step = u8::try_from(step.min(most)).unwrap_or(UNPLACED);
            asked.steps = u8::try_from(steps).unwrap_or(UNPLACED);
        }
    }

    /// Take over the alerts of the call on `range` that just ended; packet numbers become those of the batch.
    fn collect(&mut self, module: u16, range: Range<usize>) {
        let Some(instance) = &mut self.slots[usize::from(module)].instance else { return };
        let (alerts, lost) = instance.alerts();
        if alerts.is_empty() && lost == 0 {
            return;
        }
        self.counters[usize::from(module)].raised(alerts.len() as u64 + lost);
        self.alerts.count_dropped(lost);
        for alert in alerts.drain(..) {
            // The host function checked the number against the call's.
            let packet = self.live[range.clone()].get(alert.packet as usize).copied().unwrap_or_default();
            self.raised.push(Raised { module, packet, alert });
        }
    }

    /// Tell of a batch of which `packets` followed the fail policy, and take a module that fails too often out of service.
    fn fail(&self, chain: u16, module: u16, failure: &Failure, packets: usize, now_ns: u64) {
        let index = usize::from(module);
        let loaded = &self.shared.modules[index];
        let fate = match self.step.on_failure {
            FailPolicy::Open => "passed",
            FailPolicy::Closed if self.monitor || self.step.monitor => "passed by monitor mode",
            FailPolicy::Closed => "dropped",
        };
        if self.health[index].tell(now_ns) {
            let mut text = ArrayString::new();
            // Writing fails when the text is longer than an alert holds: then it is cut.
            let _ = write!(text, "module {} failed, {packets} packets {fate}: {failure}", loaded.name);
            tracing::warn!(module = loaded.name, "{failure}; {packets} packets {fate}");
            self.tell(chain, module, AlertKind::ModuleFailure, 2, text);
        }
        if self.slots[index].failures >= loaded.max_failures && self.health[index].disable() {
            let mut text = ArrayString::new();
            let _ = write!(
                text,
                "module {} taken out of service after {} failures in a row, its packets are {fate}; last: {failure}",
                loaded.name, loaded.max_failures
            );
            tracing::error!("{text}");
            self.tell(chain, module, AlertKind::ModuleDisabled, 1, text);
        }
    }

    fn tell(
        &self,
        chain: u16,
        module: u16,
        kind: AlertKind,
        severity: u8,
        message: ArrayString<{ secuxflow_abi::MAX_MESSAGE }>,
    ) {
        let open = self.step.on_failure == FailPolicy::Open || self.step.monitor;
        self.alerts.push(AlertEvent {
            kind,
            chain: Some(chain),
            module: Some(self.shared.numbers[usize::from(module)]),
            verdict: if open || self.monitor { Verdict::Pass } else { Verdict::Drop },
            message,
            ..AlertEvent::dataplane(severity, "")
        });
    }

    /// Count what became of the live packets and keep those that go on to the next module.
    fn settle(&mut self, chain: u16, module: u16, packets: &mut [Packet], now_ns: u64) {
        let (mut passed, mut dropped, mut monitored) = (Count::default(), Count::default(), Count::default());
        let watched = self.step.monitor;
        self.live.retain(|&i| {
            let packet = &mut packets[usize::from(i)];
            let count = Count { packets: 1, bytes: packet.len.into() };
            if watched && packet.verdict != verdict::PASS {
                packet.verdict = verdict::PASS;
                monitored += count;
            }
            let pass = packet.verdict == verdict::PASS;
            *if pass { &mut passed } else { &mut dropped } += count;
            pass
        });
        self.counters[usize::from(module)].decided(passed, dropped);
        if monitored.packets > 0 {
            self.counters[usize::from(module)].monitored(monitored);
            self.tell_monitored(chain, module, monitored.packets, now_ns);
        }
    }

    /// Tell that a monitored module would have dropped packets of this batch, once a second at most.
    #[cold]
    fn tell_monitored(&mut self, chain: u16, module: u16, packets: u64, now_ns: u64) {
        let index = usize::from(module);
        let slot = &mut self.slots[index];
        if slot.told_ns != 0 && now_ns.saturating_sub(slot.told_ns) < TELL_EVERY_NS {
            return;
        }
        slot.told_ns = now_ns.max(1);
        let mut text = ArrayString::new();
        // Writing fails when the text is longer than an alert holds: then it is cut.
        let _ = write!(text, "{packets} packets would be dropped by module {}", self.shared.modules[index].name);
        self.tell(chain, module, AlertKind::Monitor, 3, text);
    }

    /// Queue the alerts of the batch, now that each packet's fate is known.
    #[cold]
    fn publish(&mut self, chain: u16, packets: &[Packet]) {
        let time_ns = clock::wall_ns();
        for Raised { module, packet, alert } in self.raised.drain(..) {
            let packet = &packets[usize::from(packet)];
            self.alerts.push(AlertEvent {
                time_ns,
                kind: AlertKind::Signature,
                flow: flow(&self.alias, packet),
                rule: packet.rule,
                ingress: u16::try_from(packet.ingress).ok(),
                chain: Some(chain),
                module: Some(self.shared.numbers[usize::from(module)]),
                severity: alert.severity,
                signature: alert.signature,
                verdict: if self.monitor { Verdict::Pass } else { word(packet.verdict) },
                message: alert.message,
            });
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.slots.clear();
        self.shared.release(&self.counters);
    }
}

fn word(said: u32) -> Verdict {
    if said == verdict::PASS { Verdict::Pass } else { Verdict::Drop }
}

/// The packet's 5-tuple. Its addresses are read from the frame again: descriptors do not carry them.
fn flow(alias: &Alias, packet: &Packet) -> Option<AlertFlow> {
    let mut buffer = [0; ADDRESSES];
    let offset = packet.frame.checked_sub(WINDOW)?;
    let frame = alias.copy(usize::try_from(offset).ok()?, usize::try_from(packet.len).ok()?, &mut buffer)?;
    let (Frame::Ip(headers) | Frame::Undecidable(_, Some(headers))) = wire::parse(frame) else {
        return None;
    };
    Some(AlertFlow {
        id: packet.flow,
        src: headers.src,
        dst: headers.dst,
        src_port: packet.src_port,
        dst_port: packet.dst_port,
        protocol: packet.protocol,
    })
}
