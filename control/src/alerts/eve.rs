//! An alert as a record whose field names follow Suricata's EVE where it has them.

use std::borrow::Cow;

use jiff::{Timestamp, tz::Offset};
use secuxflow::{
    alert::{AlertEvent, AlertKind, Verdict},
    flow::public_id,
};
use serde::Serialize;
use serde_json::{Map, Value};

use super::fields::Fields;
use crate::backend::Names;

/// EVE's `gid` of our signatures: Suricata's own detection engine is 1, so ours keep out of its way.
const GID: u32 = 9477;

/// One record.
#[derive(Debug, Serialize)]
pub(super) struct Eve<'a> {
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    flow_id: Option<u64>,
    /// Number of the packet in its capture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pcap_cnt: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_iface: Option<&'a str>,
    event_type: &'static str,
    #[serde(flatten)]
    tuple: Option<Tuple>,
    alert: Alert<'a>,
    secuxflow: Extra<'a>,
    /// What the module tells beside the alert.
    #[serde(flatten)]
    beside: Map<String, Value>,
    /// Some of what the module tells was left out.
    #[serde(skip)]
    pub(super) refused: bool,
}

#[derive(Debug, Serialize)]
struct Tuple {
    src_ip: std::net::IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_port: Option<u16>,
    dest_ip: std::net::IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    dest_port: Option<u16>,
    proto: String,
}

#[derive(Debug, Serialize)]
struct Alert<'a> {
    action: &'static str,
    gid: u32,
    signature_id: u32,
    rev: u32,
    signature: &'a str,
    category: Cow<'a, str>,
    severity: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<Value>,
}

#[derive(Debug, Serialize)]
struct Extra<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chain: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    module: Option<&'a str>,
    kind: &'static str,
    verdict: &'static str,
}

/// `event` as a record, its indices replaced by `names`.
pub(super) fn eve<'a>(event: &'a AlertEvent, names: &'a Names) -> Eve<'a> {
    let (kind, category) = match event.kind {
        AlertKind::Signature => ("signature", "Module signature"),
        AlertKind::ModuleFailure => ("module_failure", "Module failure"),
        AlertKind::ModuleDisabled => ("module_disabled", "Module taken out of service"),
        AlertKind::Monitor => ("monitor", "Would be dropped"),
        AlertKind::Dataplane => ("dataplane", "Dataplane event"),
    };
    let fields = event.fields.as_deref().map(Fields::parse).unwrap_or_default();
    Eve {
        timestamp: timestamp(event.time_ns),
        flow_id: event.flow.map(|flow| public_id(flow.id)),
        pcap_cnt: None,
        in_iface: name(&names.interfaces, event.ingress),
        event_type: "alert",
        tuple: event.flow.map(|flow| {
            let ports = matches!(flow.protocol, 6 | 17 | 132);
            Tuple {
                src_ip: flow.src,
                src_port: ports.then_some(flow.src_port),
                dest_ip: flow.dst,
                dest_port: ports.then_some(flow.dst_port),
                proto: protocol(flow.protocol),
            }
        }),
        alert: Alert {
            action: match event.verdict {
                Verdict::Pass => "allowed",
                Verdict::Drop | Verdict::Reject => "blocked",
            },
            gid: fields.gid.unwrap_or(GID),
            signature_id: event.signature,
            rev: fields.rev.unwrap_or(1),
            signature: &event.message,
            category: fields.category.map_or(Cow::Borrowed(category), Cow::Owned),
            severity: event.severity,
            metadata: fields.metadata,
            reference: fields.reference,
        },
        secuxflow: Extra {
            rule: (event.rule != 0).then(|| secuxflow::rules::RuleId(event.rule).to_string()),
            chain: name(&names.chains, event.chain),
            module: name(&names.modules, event.module),
            kind,
            verdict: match event.verdict {
                Verdict::Pass => "pass",
                Verdict::Drop => "drop",
                Verdict::Reject => "reject",
            },
        },
        beside: fields.beside,
        refused: fields.refused,
    }
}

/// `event` as a line of JSON without its end; `number` is that of its packet in a capture.
pub(crate) fn line(event: &AlertEvent, names: &Names, number: Option<u64>) -> serde_json::Result<String> {
    serde_json::to_string(&Eve { pcap_cnt: number, ..eve(event, names) })
}

fn name(names: &[String], index: Option<u16>) -> Option<&str> {
    index.and_then(|index| names.get(usize::from(index))).map(String::as_str)
}

/// RFC 3339 with microseconds and a numeric offset, `2026-01-02T03:04:05.000006+00:00`.
pub(crate) fn timestamp(ns: u64) -> String {
    let time = Timestamp::from_nanosecond(i128::from(ns)).unwrap_or(Timestamp::MAX);
    let time = Offset::UTC.to_datetime(time);
    format!("{}.{:06}+00:00", time.strftime("%Y-%m-%dT%H:%M:%S"), time.subsec_nanosecond() / 1000)
}

/// Suricata's spelling of a protocol.
pub(crate) fn protocol(number: u8) -> String {
    match number {
        1 => "ICMP".to_owned(),
        6 => "TCP".to_owned(),
        17 => "UDP".to_owned(),
        58 => "IPv6-ICMP".to_owned(),
        132 => "SCTP".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use secuxflow::alert::AlertFlow;
    use serde_json::json;

    use super::*;

    fn names() -> Names {
        Names { interfaces: vec!["eth0".into()], chains: vec!["default".into()], modules: vec!["waf".into()] }
    }

    #[test]
    fn a_signature_has_the_fields_of_eve() {
        let flow = AlertFlow {
            id: u64::MAX,
            src: "10.0.0.1".parse().unwrap(),
            dst: "10.0.0.2".parse().unwrap(),
            src_port: 40000,
            dst_port: 80,
            protocol: 6,
        };
        let event = AlertEvent {
            time_ns: 1_767_323_045_000_006_999,
            kind: AlertKind::Signature,
            flow: Some(flow),
            frame: None,
            rule: 7,
            ingress: Some(0),
            chain: Some(0),
            module: Some(0),
            severity: 1,
            signature: 1001,
            verdict: Verdict::Drop,
            message: secuxflow::alert::cut(b"attack"),
            fields: None,
        };
        let names = names();
        let record = serde_json::to_value(eve(&event, &names)).unwrap();
        let expected = json!({
            "timestamp": "2026-01-02T03:04:05.000006+00:00", "flow_id": (1_u64 << 53) - 1, "in_iface": "eth0",
            "event_type": "alert", "src_ip": "10.0.0.1", "src_port": 40000, "dest_ip": "10.0.0.2", "dest_port": 80,
            "proto": "TCP",
            "alert": {"action": "blocked", "gid": GID, "signature_id": 1001, "rev": 1, "signature": "attack",
                      "category": "Module signature", "severity": 1},
            "secuxflow": {"rule": "rule-7", "chain": "default", "module": "waf", "kind": "signature",
                          "verdict": "drop"},
        });
        assert_eq!(record, expected);
    }

    #[test]
    fn what_a_module_tells_besides_is_merged_and_takes_nothing_of_ours() {
        let names = names();
        let fields = json!({
            "gid": 1, "rev": 4, "category": "Web", "metadata": {"tag": ["a"]}, "reference": ["url,b"],
            "http": {"hostname": "c"}, "src_ip": "1.1.1.1", "alert": {},
        });
        let event = AlertEvent {
            verdict: Verdict::Reject,
            fields: Some(fields.to_string().into_bytes().into()),
            ..AlertEvent::dataplane(2, "attack")
        };
        let eve = eve(&event, &names);
        assert!(eve.refused, "two keys are ours");
        let record = serde_json::to_value(&eve).unwrap();
        let alert = json!({"action": "blocked", "gid": 1, "signature_id": 0, "rev": 4, "signature": "attack",
                           "category": "Web", "severity": 2, "metadata": {"tag": ["a"]}, "reference": ["url,b"]});
        assert_eq!((&record["alert"], &record["http"]), (&alert, &json!({"hostname": "c"})));
        assert_eq!(record["secuxflow"]["verdict"], "reject");
        assert_eq!(record.get("src_ip"), None);
    }

    #[test]
    fn a_sample_of_monitor_mode_is_allowed_and_names_its_rule() {
        let names = names();
        let event = AlertEvent {
            kind: AlertKind::Monitor,
            rule: 7,
            ingress: Some(0),
            ..AlertEvent::dataplane(3, "would be dropped by rule-7 (monitor mode)")
        };
        let record = serde_json::to_value(eve(&event, &names)).unwrap();
        assert_eq!((&record["event_type"], &record["alert"]["action"]), (&json!("alert"), &json!("allowed")));
        assert_eq!(record["alert"]["category"], "Would be dropped");
        assert_eq!(record["alert"]["signature"], "would be dropped by rule-7 (monitor mode)");
        assert_eq!(record["secuxflow"], json!({"rule": "rule-7", "kind": "monitor", "verdict": "pass"}));
    }

    #[test]
    fn an_event_without_a_packet_has_no_tuple() {
        let names = names();
        let event = AlertEvent { module: Some(9), ..AlertEvent::dataplane(2, "service web is down") };
        let record = serde_json::to_value(eve(&event, &names)).unwrap();
        assert_eq!(record["alert"]["action"], "allowed");
        assert_eq!(
            record["secuxflow"],
            json!({"kind": "dataplane", "verdict": "pass"}),
            "an index without a name is left out"
        );
        for field in ["src_ip", "src_port", "proto", "flow_id", "in_iface"] {
            assert_eq!(record.get(field), None::<&Value>, "{field}");
        }
    }
}
