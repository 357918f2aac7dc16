//! Filters of a test: how many events have these values.

use serde_json::{Map, Value};

use super::events::Event;

/// Fields that an event may be told by, and that both sides have.
const COMPARED: [&str; 13] = [
    "event_type",
    "pcap_cnt",
    "src_ip",
    "src_port",
    "dest_ip",
    "dest_port",
    "proto",
    "alert",
    "app_proto",
    "verdict",
    "drop",
    "icmp_type",
    "icmp_code",
];
/// Fields that say how an event is written, not what was found: no filter fails for them.
const MANNER: [&str; 21] = [
    "pkt_src",
    "pcap_filename",
    "packet",
    "packet_info",
    "ether",
    "payload",
    "payload_printable",
    "payload_length",
    "stream",
    "flow_id",
    "timestamp",
    "tx_id",
    "tx_guessed",
    "direction",
    "ip_v",
    "community_id",
    "log_level",
    "host",
    "in_iface",
    "parent_id",
    "tenant_id",
];

/// Values that an event must have, and how many must.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Filter {
    count: u64,
    wanted: Vec<(String, Value)>,
}

/// What a check of a test comes to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Check {
    /// About alerts or drops, by fields that both sides have.
    Filter(Filter),
    /// About other events.
    Other,
    /// About alerts or drops, by fields that ours do not have: the first of them.
    Foreign(String),
}

impl Check {
    /// A test's filter: `count` and `match`.
    pub(super) fn of(filter: &Value) -> Self {
        let empty = Map::new();
        let fields = filter.get("match").and_then(Value::as_object).unwrap_or(&empty);
        let kind = fields.get("event_type").and_then(Value::as_str);
        let foreign_file = filter.get("filename").and_then(Value::as_str).is_some_and(|name| name != "eve.json");
        if !matches!(kind, Some("alert" | "drop")) || foreign_file {
            return Self::Other;
        }
        let Some(count) = filter.get("count").and_then(Value::as_u64) else {
            return Self::Foreign("count".to_owned());
        };
        let mut wanted = Vec::new();
        for (field, value) in fields {
            let named = match field.as_str() {
                "has-key" | "not-has-key" => value.as_str().unwrap_or_default(),
                field => field,
            };
            let root = named.split(['.', '[']).next().unwrap_or_default();
            if MANNER.contains(&root) {
                continue;
            }
            if !COMPARED.contains(&root) {
                return Self::Foreign(named.to_owned());
            }
            wanted.push((field.clone(), value.clone()));
        }
        Self::Filter(Filter { count, wanted })
    }
}

impl Filter {
    /// What does not hold of `events`; `None` when it does. Suricata, unless `inline`, looks at a stream when its bytes
    /// were acknowledged, so that its alert is one of a later packet than ours, which decides on the bytes' own.
    pub(super) fn check(&self, events: &[Event], inline: bool) -> Option<String> {
        let found = events.iter().filter(|event| self.matches(event, inline)).count() as u64;
        if found == self.count {
            return None;
        }
        let wanted: Vec<_> = self.wanted.iter().map(|(field, value)| format!("{field}: {value}")).collect();
        Some(format!("{}: expected {}, got {found}", wanted.join(", "), self.count))
    }

    fn matches(&self, event: &Event, inline: bool) -> bool {
        self.wanted.iter().all(|(field, wanted)| {
            if field == "pcap_cnt" && !inline && event.of_stream {
                return event.number <= wanted.as_u64();
            }
            holds(&event.record, field, wanted)
        })
    }
}

/// Whether `record` has what is wanted of `field`, which may be a path with a condition at its end.
fn holds(record: &Value, field: &str, wanted: &Value) -> bool {
    match field {
        "has-key" => wanted.as_str().is_some_and(|path| find(record, path).is_some()),
        "not-has-key" => wanted.as_str().is_some_and(|path| find(record, path).is_none()),
        _ => match field.rsplit_once(".__") {
            None => find(record, field).is_some_and(|found| same(found, wanted)),
            Some((path, condition)) => find(record, path).is_some_and(|found| meets(found, condition, wanted)),
        },
    }
}

/// The value at a path, as in `alert.metadata.tag[0]`.
fn find<'a>(record: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(record, |at, part| {
        let (name, index) = match part.split_once('[') {
            None => (part, None),
            Some((name, rest)) => (name, Some(rest.strip_suffix(']')?.parse::<usize>().ok()?)),
        };
        let value = at.get(name)?;
        index.map_or(Some(value), |index| value.get(index))
    })
}

/// Equal, whatever type YAML has taken a number for.
fn same(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Number(number), Value::String(text)) | (Value::String(text), Value::Number(number)) => {
            number.to_string() == text.as_str()
        }
        // How much is said of an alert is a matter of settings.
        (Value::Object(found), Value::Object(wanted)) => {
            wanted.iter().all(|(name, wanted)| found.get(name).is_some_and(|found| same(found, wanted)))
        }
        _ => found == wanted,
    }
}

fn meets(found: &Value, condition: &str, wanted: &Value) -> bool {
    let texts = found.as_str().zip(wanted.as_str());
    let numbers = found.as_f64().zip(wanted.as_f64());
    match condition {
        "len" => match found {
            Value::Array(items) => wanted.as_u64() == Some(items.len() as u64),
            Value::String(text) => wanted.as_u64() == Some(text.len() as u64),
            _ => false,
        },
        "find" => texts.is_some_and(|(found, wanted)| found.contains(wanted)),
        "startswith" => texts.is_some_and(|(found, wanted)| found.starts_with(wanted)),
        "endswith" => texts.is_some_and(|(found, wanted)| found.ends_with(wanted)),
        "contains" => found.as_array().is_some_and(|items| items.iter().any(|item| same(item, wanted))),
        "gt" => numbers.is_some_and(|(found, wanted)| found > wanted),
        "gte" => numbers.is_some_and(|(found, wanted)| found >= wanted),
        "lt" => numbers.is_some_and(|(found, wanted)| found < wanted),
        "lte" => numbers.is_some_and(|(found, wanted)| found <= wanted),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(number: u64, of_stream: bool, sid: u32) -> Event {
        let record = json!({
            "event_type": "alert", "pcap_cnt": number, "src_ip": "10.0.0.1", "dest_port": 80,
            "alert": {"signature_id": sid, "action": "allowed", "metadata": {"tag": ["a", "b"]}},
        });
        Event { number: Some(number), of_stream, record }
    }

    fn check(filter: &Value, inline: bool) -> Option<String> {
        let events = [event(3, true, 1), event(5, false, 1), event(6, true, 2)];
        match Check::of(filter) {
            Check::Filter(filter) => filter.check(&events, inline),
            other => panic!("{other:?}"),
        }
    }

    fn alert(count: u64, fields: Value) -> Value {
        let mut fields = fields;
        fields["event_type"] = "alert".into();
        json!({"count": count, "match": fields})
    }

    #[test]
    fn events_are_counted_by_every_field() {
        for (count, fields) in [
            (2, json!({"alert.signature_id": 1})),
            (1, json!({"alert.signature_id": 2, "dest_port": 80, "src_ip": "10.0.0.1"})),
            (0, json!({"alert.signature_id": 3})),
            (3, json!({"alert.metadata.tag[1]": "b", "alert.metadata.tag.__len": 2, "has-key": "alert.action"})),
            (0, json!({"not-has-key": "alert"})),
            (3, json!({"alert.metadata.tag.__contains": "a", "dest_port.__gt": 79, "dest_port.__lte": 80})),
            (3, json!({"src_ip.__startswith": "10.", "src_ip.__endswith": "1", "src_ip.__find": ".0.0."})),
            (0, json!({"dest_port.__lt": 80})),
            (0, json!({"dest_port.__strange": 80})),
            (1, json!({"alert": {"signature_id": 2, "action": "allowed"}})),
            (0, json!({"alert": {"signature_id": 2, "gid": 1}})),
            (3, json!({"pkt_src": "wire/pcap", "dest_port": "80"})),
        ] {
            assert_eq!(check(&alert(count, fields.clone()), true), None, "{fields}");
        }
        let told = check(&alert(2, json!({"alert.signature_id": 2})), true).unwrap();
        assert!(told.contains("alert.signature_id: 2") && told.ends_with("expected 2, got 1"), "{told}");
    }

    #[test]
    fn packets_are_compared_exactly_but_for_acknowledged_streams() {
        let at = |number: u64| alert(1, json!({"alert.signature_id": 2, "pcap_cnt": number}));
        assert_eq!(check(&at(6), true), None);
        assert!(check(&at(7), true).is_some());
        assert_eq!(check(&at(7), false), None, "Suricata waits for the acknowledgement");
        assert!(check(&at(5), false).is_some(), "but tells of nothing before it was there");
        let packet =
            |number: u64| alert(1, json!({"alert.signature_id": 1, "pcap_cnt": number, "alert.action": "allowed"}));
        assert_eq!(check(&packet(5), true), None);
        assert!(check(&packet(4), true).is_some());
    }

    #[test]
    fn what_is_not_about_alerts_or_drops_is_told_apart() {
        assert_eq!(Check::of(&json!({"count": 1, "match": {"event_type": "http"}})), Check::Other);
        assert_eq!(Check::of(&json!({"count": 1})), Check::Other);
        let other_file = json!({"count": 1, "filename": "fast.json", "match": {"event_type": "alert"}});
        assert_eq!(Check::of(&other_file), Check::Other);
        assert_eq!(Check::of(&alert(1, json!({"http.url": "/"}))), Check::Foreign("http.url".to_owned()));
        assert_eq!(Check::of(&alert(1, json!({"has-key": "files"}))), Check::Foreign("files".to_owned()));
        assert_eq!(Check::of(&json!({"match": {"event_type": "drop"}})), Check::Foreign("count".to_owned()));
    }
}
