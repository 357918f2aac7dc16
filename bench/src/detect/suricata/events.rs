//! Alerts and drops of a run, as records with the field names of Suricata's EVE.

use std::collections::{HashMap, HashSet};

use secuxflow::{
    alert::{AlertEvent, AlertKind, Verdict},
    flow::{FlowKey, FlowTuple},
    offline::{Fate, Happened, PacketReport},
    process::DropReason,
    wire::{self, Frame},
};
use serde_json::{Map, Value, json};

/// Keys of a module's further fields that belong to the alert itself.
const OF_ALERT: [&str; 5] = ["gid", "rev", "category", "metadata", "reference"];

const ICMP: u8 = 1;
const ICMP6: u8 = 58;

/// An event.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Event {
    /// Number of its packet in the capture.
    pub(super) number: Option<u64>,
    /// It may be about a stream, not the packet alone.
    pub(super) of_stream: bool,
    /// What filters look at.
    pub(super) record: Value,
}

/// Collects the events of a run.
#[derive(Debug, Default)]
pub(super) struct Collector {
    events: Vec<Event>,
    /// Packets are dropped, and that is told.
    inline: bool,
    /// Every drop is told, not one for each direction of a flow.
    every_drop: bool,
    /// Directions of flows of which a drop was told.
    told: HashSet<(FlowKey, bool)>,
    /// What the module said of the packet at hand: the first alert that dropped it.
    blocked: Option<Value>,
    failures: Vec<String>,
    /// Type and code of packets of ICMP, by number.
    icmp: HashMap<u64, [u8; 2]>,
}

impl Collector {
    pub(super) fn new(inline: bool, every_drop: bool) -> Self {
        Self { inline, every_drop, ..Self::default() }
    }

    /// A packet is on its way.
    pub(super) fn packet(&mut self, number: u64, frame: &[u8]) {
        if let Frame::Ip(headers) = wire::parse(frame)
            && matches!(headers.protocol, ICMP | ICMP6)
            && let Some(&[kind, code, ..]) = frame.get(usize::from(headers.l4)..)
        {
            self.icmp.insert(number, [kind, code]);
        }
    }

    /// Take what happened.
    pub(super) fn take(&mut self, happened: Happened<'_>) {
        match happened {
            Happened::Alert { number, event } if event.kind == AlertKind::Signature => {
                let mut record = alert(event, number);
                if let Some([kind, code]) = number.and_then(|number| self.icmp.get(&number)) {
                    record["icmp_type"] = (*kind).into();
                    record["icmp_code"] = (*code).into();
                }
                if event.verdict != Verdict::Pass && self.blocked.is_none() {
                    self.blocked = Some(record["alert"].clone());
                }
                let of_stream = event.flow.is_some_and(|flow| flow.protocol == 6);
                self.events.push(Event { number, of_stream, record });
            }
            Happened::Alert { event, .. }
                if matches!(event.kind, AlertKind::ModuleFailure | AlertKind::ModuleDisabled) =>
            {
                self.failures.push(event.message.to_string());
            }
            // What the dataplane noticed by itself is no event of a rule.
            Happened::Alert { .. } => {}
            Happened::Packet(packet) => {
                let blocked = self.blocked.take();
                if self.inline && packet.fate.is_drop() {
                    self.drop(packet, blocked);
                }
            }
        }
    }

    /// The events; an error when a module failed.
    pub(super) fn finish(self) -> anyhow::Result<Vec<Event>> {
        anyhow::ensure!(self.failures.is_empty(), "{}", self.failures.join("; "));
        Ok(self.events)
    }

    fn drop(&mut self, packet: &PacketReport, blocked: Option<Value>) {
        let Some(tuple) = packet.tuple else { return };
        let key = FlowKey::new((tuple.src, tuple.src_port), (tuple.dst, tuple.dst_port), tuple.protocol);
        let first = self.told.insert((key, key.starts_at(tuple.src, tuple.src_port)));
        let by_rule = packet.fate == Fate::WorkerDrop(DropReason::Module) && blocked.is_some();
        if !first && !by_rule && !self.every_drop {
            return;
        }
        let reason = if by_rule { "rules" } else { "flow drop" };
        let mut record = json!({"event_type": "drop", "pcap_cnt": packet.number, "drop": {"reason": reason}});
        ends(&mut record, &tuple);
        if let Some(alert) = blocked {
            record["alert"] = alert;
        }
        self.events.push(Event { number: Some(packet.number), of_stream: false, record });
    }
}

fn alert(event: &AlertEvent, number: Option<u64>) -> Value {
    let action = if event.verdict == Verdict::Pass { "allowed" } else { "blocked" };
    let mut record = json!({
        "event_type": "alert",
        "alert": {
            "action": action, "gid": 1, "signature_id": event.signature, "rev": 1,
            "signature": event.message.as_str(), "severity": event.severity,
        },
        "verdict": {"action": match event.verdict {
            Verdict::Pass => "alert",
            Verdict::Drop | Verdict::Reject => "drop",
        }},
    });
    if let Some(number) = number {
        record["pcap_cnt"] = number.into();
    }
    if let Some(flow) = event.flow {
        ends(
            &mut record,
            &FlowTuple {
                src: flow.src,
                dst: flow.dst,
                src_port: flow.src_port,
                dst_port: flow.dst_port,
                protocol: flow.protocol,
                tcp_flags: 0,
            },
        );
    }
    let further = event.fields.as_deref().and_then(|fields| serde_json::from_slice::<Map<String, Value>>(fields).ok());
    for (name, value) in further.into_iter().flatten() {
        let place = if OF_ALERT.contains(&name.as_str()) { &mut record["alert"] } else { &mut record };
        place[name] = value;
    }
    record
}

fn ends(record: &mut Value, tuple: &FlowTuple) {
    record["src_ip"] = tuple.src.to_string().into();
    record["dest_ip"] = tuple.dst.to_string().into();
    if matches!(tuple.protocol, 6 | 17 | 132) {
        record["src_port"] = tuple.src_port.into();
        record["dest_port"] = tuple.dst_port.into();
    }
    record["proto"] = match tuple.protocol {
        1 => "ICMP".into(),
        2 => "IGMP".into(),
        4 => "IP-in-IP".into(),
        6 => "TCP".into(),
        17 => "UDP".into(),
        41 => "IPv6".into(),
        47 => "GRE".into(),
        50 => "ESP".into(),
        51 => "AH".into(),
        58 => "IPv6-ICMP".into(),
        132 => "SCTP".into(),
        other => other.to_string().into(),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(number: u64, port: u16, fate: Fate) -> PacketReport {
        let tuple = FlowTuple {
            src: [10, 0, 0, 1].into(),
            dst: [10, 0, 0, 2].into(),
            src_port: port,
            dst_port: 80,
            protocol: 6,
            tcp_flags: 0,
        };
        let tuple = Some(tuple);
        PacketReport {
            number,
            time_ns: 0,
            len: 60,
            original_len: 60,
            tuple,
            rule: None,
            chain: None,
            monitored: None,
            fate,
        }
    }

    fn raised(sid: u32, verdict: Verdict) -> AlertEvent {
        let fields = br#"{"gid": 3, "rev": 7, "app_proto": "http"}"#.as_slice();
        AlertEvent {
            kind: AlertKind::Signature,
            signature: sid,
            verdict,
            fields: Some(fields.into()),
            ..AlertEvent::dataplane(2, "found")
        }
    }

    #[test]
    fn drops_are_told_once_for_each_direction_of_a_flow() {
        let drop = Fate::WorkerDrop(DropReason::Module);
        let cut = Fate::WorkerDrop(DropReason::Condemned);
        for (every, expected) in [
            (false, vec![(1, "rules"), (4, "flow drop")]),
            (true, vec![(1, "rules"), (2, "flow drop"), (4, "flow drop")]),
        ] {
            let mut collector = Collector::new(true, every);
            let event = raised(7, Verdict::Drop);
            collector.take(Happened::Alert { number: Some(1), event: &event });
            collector.take(Happened::Packet(&packet(1, 1000, drop)));
            collector.take(Happened::Packet(&packet(2, 1000, cut)));
            collector.take(Happened::Packet(&packet(3, 1001, Fate::ChainPass)));
            collector.take(Happened::Packet(&packet(4, 1002, cut)));
            let events = collector.finish().unwrap();
            assert_eq!(events[0].record["alert"]["gid"], 3);
            assert_eq!(
                (&events[0].record["app_proto"], &events[0].record["verdict"]["action"]),
                (&"http".into(), &"drop".into())
            );
            let drops = events.iter().filter(|event| event.record["event_type"] == "drop");
            let told: Vec<_> =
                drops.map(|event| (event.number.unwrap(), event.record["drop"]["reason"].as_str().unwrap())).collect();
            assert_eq!(told, expected);
            assert_eq!(events[1].record["alert"]["signature_id"], 7);
        }
    }

    #[test]
    fn what_does_not_drop_tells_of_no_drops_and_failures_are_errors() {
        let mut collector = Collector::new(false, false);
        collector.take(Happened::Packet(&packet(1, 1000, Fate::RuleDrop)));
        assert_eq!(collector.finish().unwrap(), []);
        let mut collector = Collector::new(false, false);
        let failure = AlertEvent { kind: AlertKind::ModuleFailure, ..AlertEvent::dataplane(1, "module ips failed") };
        collector.take(Happened::Alert { number: None, event: &failure });
        assert_eq!(collector.finish().unwrap_err().to_string(), "module ips failed");
    }
}
