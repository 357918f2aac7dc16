//! Files, their mistakes, and what applying them changes.

use jiff::Timestamp;
use proptest::{option, prelude::*};
use secuxflow::rules::{Known, Rule, RuleId, RuleRecord, RuleSpec};
use serde_json::{Value, json};

use super::{
    file::{RulesetError, RulesetFile},
    *,
};
use crate::api::Fault;

fn chains() -> Vec<String> {
    vec!["default".to_owned(), "waf".to_owned()]
}

/// Check against the chains, the sets `office` and `bad`, and a time before any of these tests' ends.
fn check_known(rules: &[Value]) -> Result<Vec<Entry>, Vec<Fault>> {
    let sets = ["office".to_owned(), "bad".to_owned()];
    check(rules, &Known { chains: Some(&chains()), sets: Some(&sets), now: Timestamp::UNIX_EPOCH })
}

fn check_alone(rules: &[Value]) -> Result<Vec<Entry>, Vec<Fault>> {
    check(rules, &Known::at(Timestamp::UNIX_EPOCH))
}

fn rule(id: u32, fields: Value) -> Rule {
    let spec: RuleSpec = serde_json::from_value(fields).unwrap();
    spec.check(RuleId(id), &Known::at(Timestamp::UNIX_EPOCH)).unwrap()
}

fn entries(rules: &Value) -> Vec<Entry> {
    check_known(rules.as_array().unwrap()).unwrap()
}

fn faults(rules: &Value) -> Vec<String> {
    let faults = check_known(rules.as_array().unwrap()).unwrap_err();
    faults.iter().filter_map(Fault::place).collect()
}

fn ids(rules: &[Rule]) -> Vec<u32> {
    rules.iter().map(|rule| rule.id.0).collect()
}

fn parse(text: &str) -> Result<RulesetFile, RulesetError> {
    RulesetFile::parse("f", None, text)
}

#[test]
fn both_formats_say_the_same() {
    let toml = "# ours\n[[rule]]\nid = \"rule-3\"\nport = 80\nproto = \"tcp\"\naction = \"drop\"\n\n[[rule]]\naction = \"pass\"\n";
    let json = r#" {"rules": [{"id": "rule-3", "port": 80, "proto": "tcp", "action": "drop"}, {"action": "pass"}]}"#;
    assert_eq!(parse(toml).unwrap().rules, parse(json).unwrap().rules);
    let by_name = |name: &str, text| RulesetFile::parse(name, Some(std::path::Path::new(name)), text);
    assert!(by_name("a.toml", json).is_err() && by_name("a.JSON", toml).is_err(), "the extension decides");
    assert!(parse("rules = []").unwrap().rules.is_empty());
}

#[test]
fn times_of_toml_and_as_text_are_the_same() {
    let rule = |expires: &str| {
        let file = parse(&format!("[[rule]]\naction = \"drop\"\nexpires = {expires}\n")).unwrap();
        check_alone(&file.rules).map(|mut entries| entries.remove(0).rule)
    };
    let expected = rule("\"2030-01-31T18:00:00Z\"").unwrap();
    assert!(expected.expires.is_some());
    assert_eq!(rule("2030-01-31T18:00:00Z").unwrap(), expected);
    assert_eq!(rule("2030-01-31 19:00:00+01:00").unwrap(), expected);
    let local = rule("2030-01-31T18:00:00").unwrap_err();
    assert!(
        local[0].message.contains("(RFC 3339) expected"),
        "a time without an offset is no point in time: {local:?}"
    );
}

#[test]
fn an_empty_or_half_written_file_is_refused() {
    for (text, words) in [
        ("", "rules = []"),
        ("# nothing\n", "rules = []"),
        ("revision = 1\n", "rules = []"),
        ("{}", "rules = []"),
        ("[[rule]]\naction = \"dr", "line 2"),
        (r#"{"rules": [{"action": "drop"}"#, "line 1"),
        (r#"{"rules": [], "more": 1}"#, "more"),
        ("[[rule]]\naction = \"drop\"\n[more]\n", "more"),
        ("# feed\nalert tcp any any -> any any (msg:\"x\"; sid:1;)\n", "the module ips"),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.starts_with("f: ") && error.contains(words), "{text}: {error}");
    }
}

#[test]
fn a_count_that_is_given_is_held_against_the_rules() {
    for (text, words) in [
        ("rule_count = 2\n[[rule]]\naction = \"drop\"\n", "2 rules are announced, 1 are there: the file is cut short?"),
        ("rule_count = 0\n[[rule]]\naction = \"drop\"\n", "0 rules are announced, 1 are there"),
        (r#"{"rule_count": 3, "rules": []}"#, "3 rules are announced, 0 are there"),
        ("rule_count = -1\nrules = []\n", "line 1"),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.starts_with("f: ") && error.contains(words), "{text}: {error}");
    }
    assert_eq!(parse("rule_count = 1\n[[rule]]\naction = \"drop\"\n").unwrap().rules.len(), 1);
    assert!(parse(r#"{"rule_count": 0, "rules": []}"#).unwrap().rules.is_empty());
}

#[test]
fn every_mistake_is_named_by_position_and_field() {
    let found = faults(&json!([
        {"action": "drop"},
        {"action": "burn", "src": "10.0.0.0/33", "port": "x", "priority": "high"},
        {"action": "drop", "proto": "icmp", "port": 80},
        {"port": 80},
        {"action": "drop", "colour": "red"},
        {"action": "inspect", "chain": "none"},
        "drop",
        {"id": "seven", "action": "drop"},
        {"action": "drop", "src": "@lost", "tcp_flags": "sny", "vlan": 5000, "ttl": "soon", "monitor": "yes"},
        {"action": "drop", "tcp_flags": "syn"},
        {"action": "pass", "monitor": true},
        {"action": "drop", "ttl": "1h", "expires": "2030-01-01T00:00:00Z"},
        {"action": "drop", "src": "10.0.0.0/8", "dst": "fd00::/8"},
    ]));
    assert_eq!(
        found,
        [
            "rule[1].action",
            "rule[1].port",
            "rule[1].priority",
            "rule[1].src",
            "rule[2].port",
            "rule[3].action",
            "rule[4].colour",
            "rule[5].chain",
            "rule[6]",
            "rule[7].id",
            "rule[8].monitor",
            "rule[8].src",
            "rule[8].tcp_flags",
            "rule[8].ttl",
            "rule[8].vlan",
            "rule[9].tcp_flags",
            "rule[10].monitor",
            "rule[11].ttl",
            "rule[12].src",
        ]
    );
    assert_eq!(
        faults(&json!([{"id": "rule-1", "action": "drop"}, {"id": "rule-1", "action": "pass"}])),
        ["rule[1].id"]
    );
}

#[test]
fn every_field_is_documented_and_has_its_place() {
    let docs = include_str!("../../../docs/rules.md");
    let full = json!({"src": "@office", "dst": "@bad", "sport": 1, "port": 2, "proto": "tcp", "tcp_flags": "syn",
        "vlan": 1, "action": "drop", "chain": "x", "priority": 1, "comment": "x", "enabled": false, "monitor": true,
        "ttl": "1h", "expires": "2030-01-01T00:00:00Z"});
    let spec: RuleSpec = serde_json::from_value(full.clone()).unwrap();
    let written: Vec<String> = fields(&spec).into_iter().map(|(name, _)| name).collect();
    assert_eq!(written.len(), full.as_object().unwrap().len(), "the list above is whole: {written:?}");
    let table = docs.split("## Which rule is first").next().unwrap();
    for name in &written {
        assert!(table.contains(&format!("`{name}`")), "{name} is not in the table of docs/rules.md");
    }
    let expected = [
        "priority",
        "src",
        "sport",
        "dst",
        "port",
        "proto",
        "tcp_flags",
        "vlan",
        "chain",
        "monitor",
        "expires",
        "comment",
        "enabled",
        "ttl",
        "action",
    ];
    assert_eq!(written, expected);
}

#[test]
fn chains_and_sets_are_only_checked_when_they_are_known() {
    for (rule, field) in [
        (json!({"action": "inspect", "chain": "none"}), "chain"),
        (json!({"action": "drop", "src": "@none"}), "src"),
        (json!({"action": "drop", "dst": "@none"}), "dst"),
    ] {
        assert!(check_alone(std::slice::from_ref(&rule)).is_ok());
        assert_eq!(check_known(&[rule]).unwrap_err()[0].field.as_deref(), Some(field));
    }
}

#[test]
fn a_fault_in_toml_has_the_line_of_its_rule() {
    let file = parse("\n[[rule]]\naction = \"drop\"\n\n[[rule]]\naction = \"drop\"\nport = 70000\n").unwrap();
    let error = file.invalid(check_alone(&file.rules).unwrap_err()).to_string();
    assert!(error.starts_with("f: rule[1].port (line 5): port '70000'"), "{error}");
}

#[test]
fn a_rule_of_a_file_is_called_by_its_place() {
    let file = parse("\n[[rule]]\naction = \"drop\"\n\n[[rule]]\nid = 9\naction = \"drop\"\n").unwrap();
    assert_eq!(file.place(0, None), "rule[0] (line 2)");
    assert_eq!(file.place(1, Some(RuleId(9))), "rule[1] (line 5, rule-9)");
    let json = parse(r#"{"rules": [{"action": "drop"}]}"#).unwrap();
    assert_eq!((json.place(0, None), json.place(0, Some(RuleId(9)))), ("rule[0]".into(), "rule[0] (rule-9)".into()));
}

#[test]
fn too_many_rules_are_refused() {
    let many = vec![json!({"action": "drop"}); secuxflow::rules::MAX_RULES + 1];
    let found = check_alone(&many).unwrap_err();
    assert!(found.len() == 1 && found[0].message.contains("at most"), "{found:?}");
    let off = vec![json!({"action": "drop", "enabled": false}); secuxflow::rules::MAX_RULES + 1];
    assert!(check_alone(&off).is_ok());
    let bad = vec![json!({}); 5000];
    assert_eq!(check_alone(&bad).unwrap_err().len(), 1001, "a thousand are told, and that there are more");
}

#[test]
fn equal_rules_keep_their_ids_and_new_ones_get_fresh_ones() {
    let current = [
        rule(2, json!({"action": "drop", "src": "10.0.0.0/8"})),
        rule(4, json!({"action": "pass"})),
        rule(5, json!({"action": "drop", "port": 80, "comment": "old"})),
        rule(6, json!({"action": "drop", "port": 81})),
    ];
    let found = entries(&json!([
        {"action": "drop", "port": 82},
        {"action": "drop", "port": 80, "comment": "new"},
        {"action": "drop", "src": "10.0.0.0/8"},
        {"action": "drop", "src": "10.0.0.0/8"},
        {"id": "rule-4", "action": "drop"},
    ]));
    let plan = plan(&current, 9, found).unwrap();
    assert_eq!(ids(&plan.rules), [2, 4, 5, 9, 10]);
    assert_eq!((ids(&plan.added), ids(&plan.removed), plan.kept), (vec![9, 10], vec![6], 1));
    assert_eq!(plan.changed.iter().map(|change| change.id.0).collect::<Vec<_>>(), [4, 5]);
    assert_eq!(plan.changed[1].to.comment.as_deref(), Some("new"));
    assert_eq!(plan.next_rule, 11);
}

#[test]
fn a_rule_whose_end_or_monitoring_changes_keeps_its_id() {
    let current = [rule(2, json!({"action": "drop", "port": 80, "expires": "2030-01-01T00:00:00Z"}))];
    for fields in [
        json!({"action": "drop", "port": 80}),
        json!({"action": "drop", "port": [80], "ttl": "10m"}),
        json!({"action": "drop", "port": 80, "monitor": true}),
    ] {
        let plan = plan(&current, 9, entries(&json!([fields]))).unwrap();
        assert_eq!((ids(&plan.rules), plan.changed.len()), (vec![2], 1), "{fields}");
    }
}

#[test]
fn fresh_ids_lie_above_those_of_the_file_and_leave_room() {
    let found = entries(&json!([{"action": "pass"}, {"id": "rule-70", "action": "drop"}]));
    let done = plan(&[], 1, found).unwrap();
    assert_eq!((ids(&done.rules), done.next_rule), (vec![70, 71], 72));
    let high = check_alone(&[json!({"action": "drop"}), json!({"id": "rule-1000000000", "action": "drop"})]);
    let told = high.unwrap_err();
    assert_eq!((told[0].rule, told[0].field.as_deref()), (Some(1), Some("id")));
    assert!(told[0].message.contains("999999999"), "{told:?}");
    let found = entries(&json!([{"id": "rule-999999999", "action": "drop"}, {"action": "drop"}]));
    let done = plan(&[], 1, found).unwrap();
    assert_eq!((ids(&done.rules), done.next_rule), (vec![999_999_999, 1_000_000_000], 1_000_000_001));
    assert!(plan(&[], u32::MAX, entries(&json!([{"action": "drop"}]))).unwrap_err().contains("no number is left"));
}

#[test]
fn rules_without_an_id_are_called_by_their_position() {
    let found = entries(&json!([{"action": "pass"}, {"id": "rule-1", "action": "drop"}, {"action": "pass"}]));
    let (rules, names) = offline(&found, secuxflow::rules::Action::Pass);
    let told: Vec<&str> = rules.rules.iter().map(|rule| &*names[&rule.id]).collect();
    assert_eq!(told, ["rule[0]", "rule-1", "rule[2]"]);
    let warnings = order_warnings(&rules, |id| names[&id].clone());
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings[0].starts_with("rule[0] (pass) never matches: rule-1 (drop) comes before it by id"),
        "{warnings:?}"
    );
}

#[test]
fn contradictions_are_told_with_who_wins_and_how_many_there_are() {
    let found =
        entries(&json!([{"action": "drop", "src": "10.0.0.0/8"}, {"action": "pass", "port": 22, "proto": "tcp"}]));
    let (rules, names) = offline(&found, secuxflow::rules::Action::Pass);
    let told = order_warnings(&rules, |id| names[&id].clone());
    assert_eq!(told, ["rule[0] (drop) contradicts rule[1] (pass): rule[0] wins by src where both match"]);
    let cross = |at: u32| {
        let action = if at < 6 { "drop" } else { "pass" };
        json!({"action": action, (if at < 6 { "src" } else { "dst" }): format!("10.0.0.{at}")})
    };
    let found = entries(&(0..12).map(cross).collect());
    let told = order_warnings(&offline(&found, secuxflow::rules::Action::Pass).0, |id| id.to_string());
    assert_eq!(told.len(), 21, "{told:?}");
    assert_eq!(told[20], "36 pairs of rules contradict each other; the first 20 are told");
    // No two meet, but by their addresses they might.
    let apart = |at: u32| {
        let action = if at.is_multiple_of(2) { "drop" } else { "pass" };
        json!({"action": action, "port": at, "proto": "tcp"})
    };
    let found = entries(&(0..2000).map(apart).collect());
    let told = order_warnings(&offline(&found, secuxflow::rules::Action::Pass).0, |id| id.to_string());
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("no contradiction was found, but not all pairs"), "{told:?}");
}

/// Rules as a daemon may hold them: ascending ids, all fields, any comment.
fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let src = prop_oneof![Just("10.0.0.0/8"), Just("192.0.2.1/32"), Just("0.0.0.0/0"), Just("@office")];
    let dst = prop_oneof![Just("10.0.0.0/8"), Just("@office"), Just("@bad")];
    let port = prop_oneof![
        Just("80".to_owned()),
        (0..9_u16).prop_map(|first| format!("{first}-9000")),
        (0..9_u16).prop_map(|first| format!("{first},443,8000-8080")),
    ];
    let flags = prop_oneof![Just("syn,!ack"), Just("!fin,!syn"), Just("cwr")];
    let vlan = prop_oneof![Just("none"), Just("1"), Just("4094")];
    let expires = prop_oneof![Just("2030-01-02T03:04:05Z"), Just("2031-01-02T03:04:05.000000007Z")];
    let action = prop_oneof![Just(("drop", None)), Just(("pass", None)), Just(("inspect", Some("waf")))];
    let fields = (
        option::of(src),
        option::of(port),
        option::of(prop_oneof![Just("tcp"), Just("udp"), Just("132")]),
        action,
        -3..3_i32,
        option::of("\\PC{0,20}|[\\x00-\\x7f]{0,20}"),
        any::<bool>(),
        (option::of(dst), option::of(flags), option::of(vlan), option::of(expires), any::<bool>()),
    );
    let one = fields.prop_map(|(src, port, proto, (action, chain), priority, comment, enabled, more)| {
        let sport = port.clone().filter(|_| enabled);
        let (dst, flags, vlan, expires, monitor) = more;
        let flags = flags.filter(|_| proto == Some("tcp"));
        json!({"src": src, "dst": dst, "port": port, "sport": sport, "proto": proto, "action": action, "chain": chain,
            "priority": priority, "comment": comment, "enabled": enabled, "tcp_flags": flags, "vlan": vlan,
            "expires": expires, "monitor": monitor && action == "drop"})
    });
    proptest::collection::vec((1..50_u32, one), 0..20).prop_map(|list| {
        let mut id = 0;
        let numbered = list.into_iter().map(|(step, fields)| {
            id += step;
            rule(id, fields)
        });
        numbered.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn applying_an_export_gives_the_same_rules(rules in rules(), others in rules(), json: bool, next in 1..2000_u32) {
        let format = if json { Format::Json } else { Format::Toml };
        let records: Vec<RuleRecord> = rules.iter().cloned().map(RuleRecord::from).collect();
        let text = write(&records, Some(7), format).unwrap();
        let found = check_known(&parse(&text).unwrap().rules).unwrap();
        let over = plan(&others, next, found.clone()).unwrap();
        prop_assert_eq!(&over.rules, &rules, "over any other rules");
        prop_assert!(over.next_rule >= next);
        let again = plan(&rules, next, found).unwrap();
        prop_assert!(!again.differs(), "{:?}", again);
        prop_assert_eq!(again.kept, rules.len());
    }

    #[test]
    fn without_ids_equal_rules_are_kept_and_nothing_is_lost(rules in rules(), others in rules()) {
        let specs: Vec<RuleSpec> = rules.iter().map(RuleSpec::from).collect();
        let text = write_new(&specs, Format::Toml).unwrap();
        let found = check_known(&parse(&text).unwrap().rules).unwrap();
        prop_assert!(!plan(&rules, 2000, found.clone()).unwrap().differs());
        let over = plan(&others, 2000, found).unwrap();
        let sorted = |rules: &[Rule]| {
            let mut specs: Vec<String> = rules.iter().map(|rule| format!("{:?}", RuleSpec::from(rule))).collect();
            specs.sort();
            specs
        };
        prop_assert_eq!(sorted(&over.rules), sorted(&rules));
        prop_assert!(over.rules.windows(2).all(|pair| pair[0].id < pair[1].id));
        prop_assert_eq!(over.added.len() + over.changed.len() + over.kept, rules.len());
        prop_assert_eq!(over.removed.len() + over.changed.len() + over.kept, others.len());
    }

    #[test]
    fn any_text_is_answered(text in "(\\[\\[rule\\]\\]\n)?[ -~\n]{0,80}") {
        if let Ok(file) = parse(&text) {
            let _checked = check_alone(&file.rules);
        }
    }
}

proptest! {
    // Every case parses once for each byte.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]

    #[test]
    fn an_export_cut_anywhere_is_refused(mut rules in rules(), json: bool, has_ids: bool) {
        rules.truncate(3);
        let format = if json { Format::Json } else { Format::Toml };
        let records: Vec<RuleRecord> = rules.iter().cloned().map(RuleRecord::from).collect();
        let specs: Vec<RuleSpec> = rules.iter().map(RuleSpec::from).collect();
        let text = if has_ids { write(&records, Some(7), format) } else { write_new(&specs, format) }.unwrap();
        let whole = check_known(&parse(&text).unwrap().rules).unwrap();
        for at in (0..text.len()).filter(|at| text.is_char_boundary(*at)) {
            let (head, lost) = text.split_at(at);
            let left = RulesetFile::parse("f", None, head).ok().and_then(|file| check_known(&file.rules).ok());
            match left {
                Some(left) => {
                    prop_assert!(lost.trim().is_empty(), "cut before {lost:?}");
                    prop_assert_eq!(left, whole.clone());
                }
                None => prop_assert!(!lost.trim().is_empty(), "only white space is lost"),
            }
        }
    }
}
