//! What modules tell: wishes, alerts and failures.

use std::fmt::Write as _;

use arrayvec::ArrayString;
use secuxflow_abi::{MAX_MESSAGE, Packet, WINDOW, verdict};

use super::{
    batch::Batch,
    host::{GuestAlert, GuestAsk},
    instance::Failure,
    runner::Runner,
    stats::TELL_EVERY_NS,
    window::Alias,
};
use crate::{
    alert::{AlertEvent, AlertFlow, AlertKind, Verdict},
    clock,
    flow::{Ask, Asked},
    plane::FailPolicy,
    wire::{self, Frame},
};

/// Most bytes of a frame that are read again for an alert: enough for two VLAN tags and either IP header, whose addresses
/// are all that is wanted. A sender may raise alerts at line rate, so the rest of the frame is not copied for each.
const ADDRESSES: usize = 64;

/// Step of a wish that is not placed yet; no chain is that long, or none of its wishes counts.
const UNPLACED: u8 = u8::MAX;

/// An alert that waits for the end of the chain, when the packet's fate is known.
#[derive(Debug)]
pub(super) struct Raised {
    module: u16,
    packet: u16,
    alert: GuestAlert,
}

impl Runner {
    /// Take over what the call that just ended asked for, with packets numbered as the caller does; the step is filled in
    /// by [`Runner::place_asks`].
    pub(super) fn collect_asks(&mut self, module: u16, base: usize) {
        let Some(instance) = &mut self.slots[usize::from(module)].instance else { return };
        let asks = &mut instance.host().asks;
        if asks.is_empty() {
            return;
        }
        let room = self.asked.capacity() - self.asked.len();
        let shown = &self.shown;
        let asked = |GuestAsk { packet, ask, seconds }| {
            // The host function checked the number against the call's.
            let packet = base + shown.get(packet as usize).map_or(0, |&i| usize::from(i));
            // Nobody gives a chain that many packets at once.
            let packet = u16::try_from(packet).unwrap_or(u16::MAX);
            Asked { packet, step: UNPLACED, steps: UNPLACED, ask, seconds }
        };
        self.asked.extend(asks.drain(..).take(room).map(asked));
    }

    /// Note at which step of the chain the latest wishes were told.
    pub(super) fn place_asks(&mut self, chain: u16, step: usize) {
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

    /// Take over the alerts of the call that just ended, and what it measured; packet numbers become those of the batch.
    pub(super) fn collect(&mut self, module: u16) {
        let index = usize::from(module);
        let Some(instance) = &mut self.slots[index].instance else { return };
        let host = instance.host();
        host.meter.drain(&self.counters[index]);
        if host.alerts.is_empty() {
            return;
        }
        let lost = std::mem::take(&mut host.alerts_lost);
        self.counters[index].raised(host.alerts.len() as u64 + lost);
        self.alerts.count_dropped(lost);
        self.alerts.count_fields_dropped(std::mem::take(&mut host.fields_lost));
        let before = self.fields.len();
        self.fields.extend_from_slice(&host.fields);
        for mut alert in host.alerts.drain(..) {
            // The host function checked the number against the call's.
            let packet = self.shown.get(alert.packet as usize).copied().unwrap_or_default();
            alert.fields.0 += before;
            self.raised.push(Raised { module, packet, alert });
        }
    }

    /// Tell of a batch of which `packets` followed the fail policy.
    pub(super) fn fail(&self, module: u16, batch: &Batch<'_>, failure: &Failure, packets: usize) {
        let index = usize::from(module);
        if self.health[index].tell(clock::monotonic_ns()) {
            let (name, fate) = (&self.shared.modules[index].name, self.fate());
            let mut text = ArrayString::new();
            // Writing fails when the text is longer than an alert holds: then it is cut.
            let _ = write!(text, "module {name} failed, {packets} packets {fate}: {failure}");
            tracing::warn!(module = name, "{failure}; {packets} packets {fate}");
            self.tell(batch.chain, module, AlertKind::ModuleFailure, 2, text);
        }
    }

    /// Take a module that fails too often out of service.
    pub(super) fn retire(&self, module: u16, chain: u16, failure: &str) {
        let index = usize::from(module);
        let loaded = &self.shared.modules[index];
        if self.slots[index].failures >= loaded.max_failures && self.health[index].disable() {
            let mut text = ArrayString::new();
            let _ = write!(
                text,
                "module {} taken out of service after {} failures in a row, its packets are {}; last: {failure}",
                loaded.name,
                loaded.max_failures,
                self.fate()
            );
            tracing::error!("{text}");
            self.tell(chain, module, AlertKind::ModuleDisabled, 1, text);
        }
    }

    /// Tell that a monitored module would have dropped packets of the batch, once a second at most.
    #[cold]
    pub(super) fn tell_monitored(&mut self, module: u16, batch: &Batch<'_>, packets: u64) {
        let index = usize::from(module);
        let (slot, now_ns) = (&mut self.slots[index], clock::monotonic_ns());
        if slot.told_ns != 0 && now_ns.saturating_sub(slot.told_ns) < TELL_EVERY_NS {
            return;
        }
        slot.told_ns = now_ns.max(1);
        let mut text = ArrayString::new();
        let _ = write!(text, "{packets} packets would be dropped by module {}", self.shared.modules[index].name);
        self.tell(batch.chain, module, AlertKind::Monitor, 3, text);
    }

    /// What becomes of packets that follow a module's fail policy.
    fn fate(&self) -> &'static str {
        match self.step.on_failure {
            FailPolicy::Open => "passed",
            FailPolicy::Closed if self.monitor || self.step.monitor => "passed by monitor mode",
            FailPolicy::Closed => "dropped",
        }
    }

    fn tell(&self, chain: u16, module: u16, kind: AlertKind, severity: u8, message: ArrayString<MAX_MESSAGE>) {
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

    /// Queue the alerts of the batch, now that each packet's fate is known.
    #[cold]
    pub(super) fn publish(&mut self, batch: &Batch<'_>) {
        let time_ns = clock::wall_ns();
        for Raised { module, packet, alert } in self.raised.drain(..) {
            if self.alerts.is_full() {
                self.alerts.count_dropped(1);
                continue;
            }
            let packet = &batch.packets[usize::from(packet)];
            let fields = &self.fields[alert.fields.0..alert.fields.0 + alert.fields.1];
            self.alerts.push(AlertEvent {
                time_ns,
                kind: AlertKind::Signature,
                flow: flow(&self.alias, packet),
                frame: packet.frame.checked_sub(WINDOW),
                rule: packet.rule,
                ingress: u16::try_from(packet.ingress).ok(),
                chain: Some(batch.chain),
                module: Some(self.shared.numbers[usize::from(module)]),
                severity: alert.severity,
                signature: alert.signature,
                verdict: if self.monitor { Verdict::Pass } else { word(packet.verdict) },
                message: alert.message,
                fields: (!fields.is_empty()).then(|| fields.into()),
            });
        }
    }
}

pub(super) fn word(said: u32) -> Verdict {
    match said {
        verdict::PASS => Verdict::Pass,
        verdict::REJECT => Verdict::Reject,
        _ => Verdict::Drop,
    }
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
