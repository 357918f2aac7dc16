//! A worker's instances, and the way of a batch through a chain of them.

use std::{borrow::Cow, fmt::Write as _, sync::Arc};

use arrayvec::ArrayString;
use secuxflow_abi::{MAX_BATCH, Packet, WINDOW, verdict};

use super::{
    InspectError, Region,
    host::{GuestAlert, MAX_ALERTS},
    inspector::Shared,
    instance::{Failure, Instance},
    stats::{Health, RunnerCounters},
    ticker::Pulse,
    window::Alias,
};
use crate::{
    alert::{AlertEvent, AlertFlow, AlertKind, AlertQueue, Verdict},
    clock,
    plane::{Count, FailPolicy},
    wire::{self, Frame},
};

/// Most bytes of a frame that are read again for an alert: enough for two VLAN tags and either IP header, whose addresses
/// are all that is wanted. A sender may raise alerts at line rate, so the rest of the frame is not copied for each.
const ADDRESSES: usize = 64;

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
    /// None between a failure and the next batch, when a new one could not be started.
    instance: Option<Instance>,
    /// Failures in a row.
    failures: u32,
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
    shared: Arc<Shared>,
    alias: Alias,
    alerts: Arc<AlertQueue>,
    health: Arc<[Health]>,
    counters: Arc<RunnerCounters>,
    pulse: Pulse,
    /// Packets of the batch that no module has dropped, as indices.
    live: Vec<u16>,
    raised: Vec<Raised>,
    /// Packets that are dropped are forwarded all the same.
    monitor: bool,
}

impl Runner {
    pub(super) fn new(
        shared: &Arc<Shared>,
        region: &Region<'_>,
        alerts: Arc<AlertQueue>,
        health: Arc<[Health]>,
        counted: bool,
    ) -> Result<Self, InspectError> {
        let alias = Alias::new(region)?;
        shared.take_place()?;
        let longest = shared.chains.iter().map(|chain| chain.modules.len()).max().unwrap_or(0);
        let mut runner = Self {
            slots: Vec::with_capacity(shared.modules.len()),
            shared: Arc::clone(shared),
            alias,
            alerts,
            health,
            counters: shared.counters(),
            pulse: shared.ticker.pulse(),
            live: Vec::with_capacity(MAX_BATCH),
            raised: Vec::with_capacity(MAX_ALERTS * longest),
            monitor: false,
        };
        if counted {
            shared.enlist(&runner.counters);
        }
        for module in &shared.modules {
            runner.pulse.enter();
            let started = Instance::start(module, Some(&runner.alias));
            runner.pulse.leave();
            let instance = started.map_err(|failure| InspectError::Refused {
                name: module.name.clone(),
                path: module.path.clone().into(),
                problem: failure.to_string(),
            })?;
            instance.populate();
            runner.slots.push(Slot { instance: Some(instance), failures: 0 });
        }
        Ok(runner)
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
        if usize::from(chain) >= self.shared.chains.len() {
            packets.iter_mut().for_each(|packet| packet.verdict = verdict::DROP);
            self.alerts.push(AlertEvent::dataplane(1, "packets dropped: their rule names an unknown chain"));
            return;
        }
        for batch in packets.chunks_mut(MAX_BATCH) {
            self.run_batch(chain, batch, |_, _, _| ());
        }
    }

    /// As [`Runner::run`] for one packet, telling what each module said. For test inspection; it allocates.
    pub fn explain(&mut self, chain: u16, packet: &mut Packet) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        if usize::from(chain) >= self.shared.chains.len() {
            self.run(chain, std::slice::from_mut(packet));
            return outcomes;
        }
        let shared = Arc::clone(&self.shared);
        self.run_batch(chain, std::slice::from_mut(packet), |module, said, failure| {
            outcomes.push(Outcome {
                module,
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
        for step in 0..self.shared.chains[usize::from(chain)].modules.len() {
            let Some(&first) = self.live.first() else { break };
            let module = self.shared.chains[usize::from(chain)].modules[step];
            let failure = self.step(chain, module, packets, &mut now_ns);
            said(module, word(packets[usize::from(first)].verdict), failure.as_deref());
            self.settle(module, packets);
        }
        self.pulse.leave();
        if !self.raised.is_empty() {
            self.publish(chain, packets);
        }
    }

    /// Call one module on the live packets, or apply its fail policy. Returns why it was the policy.
    fn step(&mut self, chain: u16, module: u16, packets: &mut [Packet], now_ns: &mut u64) -> Option<Cow<'static, str>> {
        let index = usize::from(module);
        if !self.health[index].in_service() {
            self.apply_policy(index, packets);
            return Some(Cow::Borrowed("out of service after too many failures"));
        }
        let started = *now_ns;
        let result = self.call(module, packets, started);
        *now_ns = clock::monotonic_ns();
        self.counters[index].called(now_ns.saturating_sub(started));
        self.collect(module);
        match result {
            Ok(()) => {
                self.slots[index].failures = 0;
                None
            }
            Err(failure) => {
                self.apply_policy(index, packets);
                self.fail(chain, module, &failure, *now_ns);
                Some(Cow::Owned(failure.to_string()))
            }
        }
    }

    fn call(&mut self, module: u16, packets: &mut [Packet], now_ns: u64) -> Result<(), Failure> {
        let loaded = &self.shared.modules[usize::from(module)];
        let slot = &mut self.slots[usize::from(module)].instance;
        let instance = match slot {
            Some(instance) => instance,
            // Not populated: a fault per page is spread over the next batches, populating it all would stall this one.
            None => slot.insert(Instance::start(loaded, Some(&self.alias))?),
        };
        instance.inspect(packets, &self.live, loaded.ticks, now_ns)
    }

    fn apply_policy(&self, index: usize, packets: &mut [Packet]) {
        let said = match self.shared.modules[index].on_failure {
            FailPolicy::Open => verdict::PASS,
            FailPolicy::Closed => verdict::DROP,
        };
        for &i in &self.live {
            packets[usize::from(i)].verdict = said;
        }
    }

    /// Take over the alerts of the call that just ended; packet numbers become those of the batch.
    fn collect(&mut self, module: u16) {
        let Some(instance) = &mut self.slots[usize::from(module)].instance else { return };
        let (alerts, lost) = instance.alerts();
        if alerts.is_empty() && lost == 0 {
            return;
        }
        self.counters[usize::from(module)].raised(alerts.len() as u64 + lost);
        self.alerts.count_dropped(lost);
        for alert in alerts.drain(..) {
            // The host function checked the number against the call's.
            let packet = self.live.get(alert.packet as usize).copied().unwrap_or_default();
            self.raised.push(Raised { module, packet, alert });
        }
    }

    /// Count and tell of a failed batch, and throw the instance away; the next batch starts a new one from the pool.
    fn fail(&mut self, chain: u16, module: u16, failure: &Failure, now_ns: u64) {
        let index = usize::from(module);
        let loaded = &self.shared.modules[index];
        let slot = &mut self.slots[index];
        self.counters[index].failed(failure.kind);
        slot.instance = None;
        slot.failures = slot.failures.saturating_add(1);
        let packets = self.live.len();
        let fate = match loaded.on_failure {
            FailPolicy::Open => "passed",
            FailPolicy::Closed if self.monitor => "passed by monitor mode",
            FailPolicy::Closed => "dropped",
        };
        if self.health[index].tell(now_ns) {
            let mut text = ArrayString::new();
            // Writing fails when the text is longer than an alert holds: then it is cut.
            let _ = write!(text, "module {} failed, {packets} packets {fate}: {failure}", loaded.name);
            tracing::warn!(module = loaded.name, "{failure}; {packets} packets {fate}");
            self.tell(chain, module, AlertKind::ModuleFailure, 2, text);
        }
        if self.slots[index].failures >= self.shared.modules[index].max_failures && self.health[index].disable() {
            let loaded = &self.shared.modules[index];
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
        let open = self.shared.modules[usize::from(module)].on_failure == FailPolicy::Open;
        self.alerts.push(AlertEvent {
            kind,
            chain: Some(chain),
            module: Some(module),
            verdict: if open || self.monitor { Verdict::Pass } else { Verdict::Drop },
            message,
            ..AlertEvent::dataplane(severity, "")
        });
    }

    /// Count what became of the live packets and keep those that go on to the next module.
    fn settle(&mut self, module: u16, packets: &[Packet]) {
        let (mut passed, mut dropped) = (Count::default(), Count::default());
        self.live.retain(|&i| {
            let packet = &packets[usize::from(i)];
            let pass = packet.verdict == verdict::PASS;
            *if pass { &mut passed } else { &mut dropped } += Count { packets: 1, bytes: packet.len.into() };
            pass
        });
        self.counters[usize::from(module)].decided(passed, dropped);
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
                module: Some(module),
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
