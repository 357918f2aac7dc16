//! Further fields of an alert, as the module wrote them: what is taken over into the record, and what is not.

use serde_json::{Map, Value};

/// Keys that the record has for itself.
const OURS: [&str; 12] = [
    "timestamp",
    "flow_id",
    "in_iface",
    "event_type",
    "src_ip",
    "src_port",
    "dest_ip",
    "dest_port",
    "proto",
    "alert",
    "verdict",
    "secuxflow",
];

/// What an alert's fields come to.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Fields {
    /// `alert.gid`.
    pub(super) gid: Option<u32>,
    /// `alert.rev`.
    pub(super) rev: Option<u32>,
    /// `alert.category`.
    pub(super) category: Option<String>,
    /// `alert.metadata`, an object.
    pub(super) metadata: Option<Value>,
    /// `alert.reference`, a string or a list.
    pub(super) reference: Option<Value>,
    /// What stands beside `alert`.
    pub(super) beside: Map<String, Value>,
    /// Something was left out: it is no JSON object, a key is one of ours, a value is not what its key says.
    pub(super) refused: bool,
}

impl Fields {
    /// Read what a module wrote.
    pub(super) fn parse(json: &[u8]) -> Self {
        let mut fields = Self::default();
        match serde_json::from_slice(json) {
            Ok(Value::Object(object)) => object.into_iter().for_each(|(key, value)| fields.take(key, value)),
            _ => fields.refused = true,
        }
        fields
    }

    fn take(&mut self, key: String, value: Value) {
        let number = |value: Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
        let taken = match key.as_str() {
            "gid" => put(&mut self.gid, number(value)),
            "rev" => put(&mut self.rev, number(value)),
            "category" => put(&mut self.category, value.as_str().map(str::to_owned)),
            "metadata" => put(&mut self.metadata, Some(value).filter(Value::is_object)),
            "reference" => put(&mut self.reference, Some(value).filter(|value| value.is_array() || value.is_string())),
            key if OURS.contains(&key) => false,
            _ => self.beside.insert(key, value).is_none(),
        };
        self.refused |= !taken;
    }
}

fn put<T>(place: &mut Option<T>, value: Option<T>) -> bool {
    *place = value;
    place.is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_go_where_suricata_has_them() {
        let json = json!({
            "gid": 1, "rev": 3, "category": "Web Application Attack", "metadata": {"tag": ["sqli"]},
            "reference": ["url,example.org"], "http": {"hostname": "a"}, "tls": {"sni": "b"},
        });
        let fields = Fields::parse(json.to_string().as_bytes());
        assert_eq!((fields.gid, fields.rev, fields.refused), (Some(1), Some(3), false));
        assert_eq!(fields.category.as_deref(), Some("Web Application Attack"));
        assert_eq!(
            (fields.metadata, fields.reference),
            (Some(json["metadata"].clone()), Some(json["reference"].clone()))
        );
        assert_eq!(Value::Object(fields.beside), json!({"http": {"hostname": "a"}, "tls": {"sni": "b"}}));
    }

    #[test]
    fn what_is_wrong_is_left_out_and_the_rest_is_kept() {
        for bad in ["", "{", "[1]", "7", "\u{0}", r#"{"a": 1} {"b": 2}"#] {
            assert_eq!(Fields::parse(bad.as_bytes()), Fields { refused: true, ..Fields::default() }, "{bad}");
        }
        assert!(Fields::parse(b"{\"a\": \"\xff\"}").refused, "not UTF-8");
        for ours in OURS {
            let fields = Fields::parse(json!({ours: {"action": "allowed"}, "dns": 1}).to_string().as_bytes());
            assert_eq!((fields.beside.len(), fields.refused), (1, true), "{ours}");
        }
        for wrong in
            [r#""gid": -1"#, r#""rev": 4294967296"#, r#""category": 1"#, r#""metadata": []"#, r#""reference": {}"#]
        {
            let fields = Fields::parse(format!("{{{wrong}, \"dns\": 1}}").as_bytes());
            let kept = json!({"dns": 1}).as_object().cloned().unwrap();
            assert_eq!(fields, Fields { beside: kept, refused: true, ..Fields::default() }, "{wrong}");
        }
        assert_eq!(Fields::parse(b"{}"), Fields::default());
    }
}
