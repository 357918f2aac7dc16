//! What a rule as people spell it may be, and what each mistake is answered with.

use proptest::prelude::*;

use jiff::{SignedDuration, Timestamp};

use super::{
    testing::{arbitrary_rule, set_names},
    *,
};

/// When it is in these tests: 2026-01-02T03:04:05.5Z.
fn now() -> Timestamp {
    Timestamp::new(1_767_323_045, 500_000_000).unwrap()
}

fn known<'a>(chains: &'a [String], sets: &'a [String]) -> Known<'a> {
    Known { chains: Some(chains), sets: Some(sets), now: now() }
}

fn spec(json: &str) -> RuleSpec {
    serde_json::from_str(json).unwrap()
}

fn check(json: &str) -> Result<Rule, RuleError> {
    let chains = ["default".to_owned(), "web".to_owned()];
    spec(json).check(RuleId(1), &known(&chains, &set_names()))
}

fn refusal(json: &str) -> String {
    check(json).unwrap_err().to_string()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn an_exported_rule_checks_out_as_itself(rule in arbitrary_rule()) {
        let spec = RuleSpec::from(&rule);
        let chains = ["default".to_owned(), "web".to_owned()];
        prop_assert_eq!(spec.check(rule.id, &known(&chains, &set_names())), Ok(rule.clone()));
        let json = serde_json::to_string(&rule).unwrap();
        prop_assert_eq!(serde_json::from_str::<Rule>(&json).unwrap(), rule);
    }

    #[test]
    fn any_text_is_answered(
        src in "@?.{0,40}", port in "[0-9,-]{0,12}|.{0,12}", proto in ".{0,12}", flags in "[!a-z,]{0,12}|.{0,12}",
        vlan in ".{0,6}", ttl in "[0-9dhms ]{0,12}|.{0,12}", expires in "[-0-9:TZ.]{0,24}|.{0,24}", which in 0..7_u8,
    ) {
        let one = |at: u8, text: &str| (which == at).then(|| text.to_owned());
        let spec = RuleSpec {
            src: one(0, &src), port: one(1, &port), proto: one(2, &proto).or(one(3, "tcp")), tcp_flags: one(3, &flags),
            vlan: one(4, &vlan), ttl: one(5, &ttl), expires: one(6, &expires), action: Some("drop".into()),
            ..RuleSpec::default()
        };
        match spec.check(RuleId(1), &Known::at(now())) {
            Err(error) => prop_assert!(!error.to_string().is_empty()),
            // What is taken is written back in a form that is taken.
            Ok(rule) => prop_assert_eq!(RuleSpec::from(&rule).check(RuleId(1), &Known::at(now())), Ok(rule)),
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
fn lists_are_written_as_text_or_as_lists() {
    let rule = check(
        r#"{"src": "@office", "port": "443, 80,8000-8080,81", "sport": [1024, "2000-2010"], "proto": "tcp",
            "tcp_flags": ["SYN", "!ack"], "vlan": 100, "action": "drop", "monitor": true}"#,
    )
    .unwrap();
    assert_eq!(rule.matcher.src, Some(Address::Set("office".to_owned())));
    assert_eq!(rule.matcher.tcp_flags, Some(crate::rules::TcpFlags { set: 2, clear: 16 }));
    assert!(rule.monitor && rule.matcher.vlan == Some(100));
    let spec = RuleSpec::from(&rule);
    let told = [spec.port, spec.sport, spec.tcp_flags, spec.vlan].map(Option::unwrap_or_default);
    assert_eq!(told, ["80-81,443,8000-8080", "1024,2000-2010", "syn,!ack", "100"]);
    let rule = check(r#"{"vlan": "none", "proto": "ANY", "action": "drop"}"#).unwrap();
    assert_eq!((rule.matcher.vlan, rule.matcher.proto), (Some(0), None));
    assert_eq!(RuleSpec::from(&rule).vlan.as_deref(), Some("none"));
    let refused = serde_json::from_str::<RuleSpec>(r#"{"action": "drop", "proto": ["tcp"]}"#).unwrap_err().to_string();
    assert!(refused.contains("a string or a whole number"), "{refused}");
    assert!(serde_json::from_str::<RuleSpec>(r#"{"action": "drop", "port": [80, null]}"#).is_err());
}

#[test]
fn a_time_to_live_becomes_an_end_a_whole_second_up() {
    for (ttl, seconds) in
        [("10m", 600), ("1h30m", 5400), ("1s", 1), ("1 hour 5 sec", 3605), ("7d", 604_800), ("2w", 1_209_600)]
    {
        let rule = check(&format!(r#"{{"action": "drop", "ttl": "{ttl}"}}"#)).unwrap();
        let end = now() + SignedDuration::from_secs(seconds) + SignedDuration::from_millis(500);
        assert_eq!(rule.expires, Some(end), "{ttl}");
        assert!(!rule.has_ended(end - SignedDuration::from_millis(1)) && rule.has_ended(end));
    }
    let rule = check(r#"{"action": "drop", "expires": "2027-01-31T18:00:00+01:00"}"#).unwrap();
    assert_eq!(RuleSpec::from(&rule).expires.as_deref(), Some("2027-01-31T17:00:00Z"));
}

#[test]
fn an_end_in_the_past_is_refused_but_a_stored_rule_may_have_one() {
    let past = r#"{"action": "drop", "expires": "2026-01-02T03:04:05.5Z"}"#;
    assert!(refusal(past).starts_with("expires '2026-01-02T03:04:05.5Z': that is in the past"), "{}", refusal(past));
    let stored: Rule = serde_json::from_str(&past.replace('{', r#"{"id": "rule-1", "#)).unwrap();
    assert!(stored.has_ended(now()));
}

#[test]
fn what_is_not_known_is_not_checked() {
    let spec = spec(r#"{"action": "inspect", "chain": "wbe", "src": "@lost"}"#);
    assert!(spec.check(RuleId(1), &Known::at(now())).is_ok());
    let none = Known { sets: Some(&[]), ..Known::at(now()) };
    let refusal = spec.check(RuleId(1), &none).unwrap_err().to_string();
    assert_eq!(refusal, "src '@lost': there is no set; create it first, see `secuxflow set create --help`");
}

#[test]
fn names_of_sets_are_plain() {
    for name in ["a", "0", "bad-hosts_2.v4", &"x".repeat(32)] {
        assert!(check_set_name(name).is_ok(), "{name}");
    }
    for name in ["", "-a", ".a", "A", "a b", "a/b", "ä", &"x".repeat(33)] {
        assert!(check_set_name(name).is_err(), "{name}");
    }
}

#[test]
fn each_mistake_is_named_with_its_remedy() {
    let cases = [
        (r#"{"action": "drop", "src": "10.0.0.300"}"#, "src '10.0.0.300': an address, a prefix or a set such as"),
        (r#"{"action": "drop", "src": "10.0.0.0/33"}"#, "src '10.0.0.0/33': an address, a prefix or a set such as"),
        (r#"{"action": "drop", "dst": "10.0.0.7/24"}"#, "did you mean 10.0.0.0/24?"),
        (r#"{"action": "drop", "dst": "fd00::1/64"}"#, "did you mean fd00::/64?"),
        (r#"{"action": "drop", "src": "10.0.0.1", "dst": "fd00::1"}"#, "different families"),
        (r#"{"action": "drop", "src": "::ffff:10.0.0.1"}"#, "write it as ipv4"),
        (r#"{"action": "drop", "port": 70000}"#, "port '70000': a port from 0 to 65535, a range or a list"),
        (r#"{"action": "drop", "port": -1}"#, "port '-1': a port from 0 to 65535"),
        (r#"{"action": "drop", "sport": "+80"}"#, "sport '+80'"),
        (r#"{"action": "drop", "port": "90-80"}"#, "did you mean 80-90?"),
        (r#"{"action": "drop", "port": "80,90-85"}"#, "port '80,90-85': the range is reversed; did you mean 85-90?"),
        (r#"{"action": "drop", "port": "80,,90"}"#, "port '80,,90': a port from"),
        (r#"{"action": "drop", "port": []}"#, "port '': a port from"),
        (r#"{"action": "drop", "port": "80-90-95"}"#, "port '80-90-95': a port from"),
        (r#"{"action": "drop", "src": "@Bad"}"#, "src '@Bad': a set's name is 1 to 32 of a-z"),
        (r#"{"action": "drop", "dst": "@"}"#, "dst '@': a set's name is"),
        (
            r#"{"action": "drop", "dst": "@lost"}"#,
            "dst '@lost': there is no such set; there are: @office, @bad-hosts.1",
        ),
        (r#"{"action": "drop", "tcp_flags": "syn"}"#, "tcp_flags, proto: only tcp has flags"),
        (r#"{"action": "drop", "tcp_flags": "syn", "proto": "udp"}"#, "tcp_flags, proto: only tcp has flags"),
        (r#"{"action": "drop", "tcp_flags": "syn,!syn", "proto": "tcp"}"#, "syn can not be both set and clear"),
        (r#"{"action": "drop", "tcp_flags": "sny", "proto": "tcp"}"#, "'sny' is no flag; a list such as syn,!ack"),
        (r#"{"action": "drop", "tcp_flags": "", "proto": "tcp"}"#, "'' is no flag"),
        (r#"{"action": "drop", "vlan": 0}"#, "vlan '0': an id from 1 to 4094, or none"),
        (r#"{"action": "drop", "vlan": 4095}"#, "vlan '4095': an id from 1 to 4094"),
        (r#"{"action": "drop", "ttl": "soon"}"#, "ttl 'soon': a time such as 90s, 10m"),
        (r#"{"action": "drop", "ttl": "0s"}"#, "ttl '0s': from 1 second to 10 years (3650d)"),
        (r#"{"action": "drop", "ttl": "-5m"}"#, "ttl '-5m': from 1 second"),
        (r#"{"action": "drop", "ttl": "3651d"}"#, "ttl '3651d': from 1 second to 10 years (3650d)"),
        (r#"{"action": "drop", "ttl": "2mo"}"#, "ttl '2mo': months and years differ in length"),
        (r#"{"action": "drop", "expires": "tomorrow"}"#, "expires 'tomorrow': a time such as 2027-01-31T18:00:00Z"),
        (r#"{"action": "drop", "ttl": "1h", "expires": "2027-01-01T00:00:00Z"}"#, "ttl, expires: both say"),
        (r#"{"action": "pass", "monitor": true}"#, "monitor, action: only a drop can be monitored"),
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
    let many: Vec<u16> = (0..257).map(|port| port * 2).collect();
    let many = format!(r#"{{"action": "drop", "port": {many:?}}}"#);
    assert!(refusal(&many).contains("257 ranges; at most 256 fit"), "{}", refusal(&many));
    let error = spec(r#"{"action": "inspect"}"#).check(RuleId(1), &known(&[], &[])).unwrap_err();
    assert!(error.to_string().contains("there is no chain"), "{error}");
}

#[test]
fn unknown_keys_are_refused() {
    assert!(serde_json::from_str::<RuleSpec>(r#"{"action": "drop", "prot": "tcp"}"#).is_err());
    assert!(serde_json::from_str::<RuleSpec>(r#"{"action": "drop", "id": "rule-1"}"#).is_err());
    assert!(serde_json::from_str::<Rule>(r#"{"id": "rule-1", "action": "drop", "prot": "tcp"}"#).is_err());
    assert!(serde_json::from_str::<Rule>(r#"{"id": "rule-1", "action": "drop", "port": "70000"}"#).is_err());
    assert!(serde_json::from_str::<Rule>(r#"{"id": "rule-1", "action": "drop", "port": 80}"#).is_ok());
}
