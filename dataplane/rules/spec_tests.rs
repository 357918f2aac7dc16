//! What a rule as people spell it may be, and what each mistake is answered with.

use proptest::prelude::*;

use super::{testing::arbitrary_rule, *};

fn spec(json: &str) -> RuleSpec {
    serde_json::from_str(json).unwrap()
}

fn check(json: &str) -> Result<Rule, RuleError> {
    spec(json).check(RuleId(1), &["default".to_owned(), "web".to_owned()])
}

fn refusal(json: &str) -> String {
    check(json).unwrap_err().to_string()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn an_exported_rule_checks_out_as_itself(rule in arbitrary_rule()) {
        let spec = RuleSpec::from(&rule);
        prop_assert_eq!(spec.check(rule.id, &["default".to_owned(), "web".to_owned()]), Ok(rule.clone()));
        let json = serde_json::to_string(&rule).unwrap();
        prop_assert_eq!(serde_json::from_str::<Rule>(&json).unwrap(), rule);
    }

    #[test]
    fn any_text_is_answered(src in ".{0,40}", port in ".{0,12}", proto in ".{0,12}") {
        let spec = RuleSpec {
            src: Some(src), port: Some(port), proto: Some(proto), action: Some("drop".into()), ..RuleSpec::default()
        };
        if let Err(error) = spec.check(RuleId(1), &[]) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}

#[test]
fn a_rule_is_made_of_what_people_write() {
    let rule = check(
        r#"{"src": "192.168.1.0/24", "dst": "10.0.0.5", "port": 80, "sport": "1024-65535", "proto": "TCP",
            "action": "inspect", "priority": -5, "comment": "shop"}"#,
    )
    .unwrap();
    assert_eq!(rule.matcher.dst, crate::rules::testing::address("10.0.0.5/32"));
    assert_eq!(rule.matcher.port, Some(PortRange { first: 80, last: 80 }.into()));
    assert_eq!(rule.matcher.sport, Some(PortRange { first: 1024, last: 65535 }.into()));
    assert_eq!(rule.matcher.proto, Some(Protocol::TCP));
    assert_eq!(rule.action, Action::Inspect { chain: "default".to_owned() });
    assert!(rule.enabled && rule.priority == -5);
    let json = serde_json::to_value(&rule).unwrap();
    assert_eq!((&json["id"], &json["port"], &json["proto"]), (&"rule-1".into(), &"80".into(), &"tcp".into()));
}

#[test]
fn each_mistake_is_named_with_its_remedy() {
    let cases = [
        (r#"{"action": "drop", "src": "10.0.0.300"}"#, "src '10.0.0.300': an address or prefix such as"),
        (r#"{"action": "drop", "src": "10.0.0.0/33"}"#, "src '10.0.0.0/33': an address or prefix such as"),
        (r#"{"action": "drop", "dst": "10.0.0.7/24"}"#, "did you mean 10.0.0.0/24?"),
        (r#"{"action": "drop", "dst": "fd00::1/64"}"#, "did you mean fd00::/64?"),
        (r#"{"action": "drop", "src": "10.0.0.1", "dst": "fd00::1"}"#, "different families"),
        (r#"{"action": "drop", "src": "::ffff:10.0.0.1"}"#, "write it as ipv4"),
        (r#"{"action": "drop", "port": 70000}"#, "port '70000': a port from 0 to 65535"),
        (r#"{"action": "drop", "port": -1}"#, "port '-1': a port from 0 to 65535"),
        (r#"{"action": "drop", "sport": "+80"}"#, "sport '+80'"),
        (r#"{"action": "drop", "port": "90-80"}"#, "did you mean 80-90?"),
        (r#"{"action": "drop", "port": 80, "proto": "icmp"}"#, "port, proto: icmp has no ports"),
        (r#"{"action": "drop", "sport": 80, "proto": 47}"#, "sport, proto: gre has no ports"),
        (r#"{"action": "drop", "proto": "tpc"}"#, "proto 'tpc': one of tcp, udp"),
        (r#"{"action": "drop", "proto": 256}"#, "proto '256'"),
        (r#"{"action": "drop", "proto": "icmpv6", "src": "10.0.0.1"}"#, "use icmp"),
        (r#"{"action": "drop", "proto": "icmp", "dst": "fd00::1"}"#, "use icmpv6"),
        (r#"{"action": "drop", "proto": 44, "dst": "fd00::1"}"#, "extension header"),
        (r#"{"action": "drop", "chain": "web"}"#, "only for action inspect, not drop"),
        (r#"{"action": "inspect", "chain": "wbe"}"#, "chain 'wbe': there is no such chain; there are: default, web"),
        (r#"{"action": "reject"}"#, "action 'reject': one of pass, drop and inspect"),
        (r"{}", "action '': one of pass, drop and inspect"),
    ];
    for (json, expected) in cases {
        let refusal = refusal(json);
        assert!(refusal.contains(expected), "{json}: {refusal}");
    }
    let long = format!(r#"{{"action": "drop", "comment": "{}"}}"#, "x".repeat(257));
    assert!(refusal(&long).contains("257 bytes; at most 256 fit"));
    assert!(
        spec(r#"{"action": "inspect"}"#).check(RuleId(1), &[]).unwrap_err().to_string().contains("there is no chain")
    );
}

#[test]
fn unknown_keys_are_refused() {
    assert!(serde_json::from_str::<RuleSpec>(r#"{"action": "drop", "prot": "tcp"}"#).is_err());
    assert!(serde_json::from_str::<RuleSpec>(r#"{"action": "drop", "id": "rule-1"}"#).is_err());
    assert!(serde_json::from_str::<Rule>(r#"{"id": "rule-1", "action": "drop", "prot": "tcp"}"#).is_err());
    assert!(serde_json::from_str::<Rule>(r#"{"id": "rule-1", "action": "drop", "port": "70000"}"#).is_err());
    assert!(serde_json::from_str::<Rule>(r#"{"id": "rule-1", "action": "drop", "port": 80}"#).is_ok());
}
