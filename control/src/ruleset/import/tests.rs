//! What the fixtures become, line by line.

use super::*;

const IPTABLES: &str = include_str!("fixtures/iptables-save.txt");
const CLEAN: &str = include_str!("fixtures/iptables-clean.txt");
const NFT: &str = include_str!("fixtures/nft.json");

/// Rules as text, one a line, their fields in the order of the files.
fn lines(imported: &Imported) -> Vec<String> {
    let fields = |rule: &RuleSpec| {
        let fields = crate::ruleset::fields(rule).into_iter();
        fields
            .map(|(name, value)| format!("{name}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            .collect::<Vec<_>>()
            .join(" ")
    };
    imported.rules.iter().map(fields).collect()
}

fn refused(imported: &Imported) -> Vec<(usize, &str)> {
    imported.unmapped.iter().map(|unmapped| (unmapped.number, &*unmapped.why)).collect()
}

#[test]
fn iptables_lines_become_rules_in_their_order_or_are_named() {
    let imported = import(Source::IptablesSave, Hook::Input, IPTABLES).unwrap();
    assert_eq!(
        lines(&imported),
        [
            r#"priority=3 src=192.0.2.0/24 port=22 proto=tcp comment=ssh from "home" action=pass"#,
            "priority=2 dst=0.0.0.0/0 port=80,443,8000-8080 proto=tcp action=pass",
            "priority=1 sport=1024-65535 dst=0.0.0.0/0 port=53 proto=udp action=pass",
        ]
    );
    let expected = [
        (5, "chain POSTROUTING of table nat"),
        (8, "the policy to drop is left out"),
        (12, "-m conntrack: rules know no state"),
        (13, "-i lo: rules hold for every filtered interface"),
        (16, "'! -s': rules cannot negate"),
        (18, "-j REJECT: rules drop in silence"),
        (19, "--icmp-type: there is nothing like it"),
        (20, "-j extra: only ACCEPT and DROP"),
        (21, "it only counts"),
        (22, "src '203.0.113.0/255.0.255.0'"),
        (23, "chain extra of table filter is not imported"),
    ];
    let found = refused(&imported);
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((number, why), (line, words)) in found.into_iter().zip(expected) {
        assert!(number == line && why.starts_with(words), "line {number}: {why} for {line}: {words}");
    }
}

#[test]
fn a_policy_comes_last_when_every_rule_mapped() {
    let imported = import(Source::IptablesSave, Hook::Input, CLEAN).unwrap();
    assert_eq!(imported.unmapped, []);
    assert_eq!(
        lines(&imported),
        [
            "priority=3 src=10.0.0.0/8 action=drop",
            "priority=2 dst=0.0.0.0/0 port=80 proto=tcp action=pass",
            "priority=1 dst=0.0.0.0/0 proto=icmp action=pass",
            "dst=0.0.0.0/0 comment=policy of INPUT action=drop",
        ]
    );
    let six = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p ipv6-icmp -j DROP\nCOMMIT\n";
    let imported = import(Source::Ip6tablesSave, Hook::Input, six).unwrap();
    assert_eq!(lines(&imported), ["priority=1 dst=::/0 proto=icmpv6 action=drop"]);
    let imported = import(Source::Ip6tablesSave, Hook::Forward, six).unwrap();
    assert_eq!((imported.rules.len(), imported.unmapped[0].number), (0, 3));
}

#[test]
fn a_table_without_its_commit_is_cut_short_and_refused() {
    let half = "# top\n*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp -j ACCEPT\n";
    let after = format!("{half}*raw\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n");
    for (text, hook) in [(half, Hook::Input), (half, Hook::Forward), (&*after, Hook::Input)] {
        let error = import(Source::IptablesSave, hook, text).unwrap_err();
        assert!(error.contains("table filter") && error.contains("line 5") && error.contains("COMMIT"), "{error}");
    }
    let whole = format!("{half}COMMIT\n");
    assert_eq!(import(Source::IptablesSave, Hook::Input, &whole).unwrap().rules.len(), 2);
    let lost = format!("{whole}-A INPUT -p udp -j ACCEPT\n");
    let imported = import(Source::IptablesSave, Hook::Input, &lost).unwrap();
    assert_eq!(refused(&imported), [(9, "it stands in no table")]);
    for at in 0..CLEAN.trim_end().len() {
        assert!(import(Source::IptablesSave, Hook::Input, &CLEAN[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn nft_elements_become_rules_or_are_named() {
    let imported = import(Source::Nft, Hook::Input, NFT).unwrap();
    assert_eq!(
        lines(&imported),
        [
            "priority=3 port=80,8000-8080 proto=tcp comment=web action=pass",
            "priority=2 src=10.0.0.0/8 action=drop",
            "priority=1 dst=::/0 port=53 proto=tcp action=pass",
            "priority=1 dst=::/0 port=53 proto=udp action=pass",
        ]
    );
    let expected = [
        (4, "the policy to drop is left out"),
        (5, "its hook is not imported, only input"),
        (6, "the operator \"in\""),
        (9, "@bad: named sets are not imported; make one of ours"),
        (10, "the operator \"!=\""),
        (12, "meta iifname: rules hold for every filtered interface"),
        (13, "a range of addresses"),
        (14, "chain inet filter forward is not imported"),
        (15, "'jump': there is nothing like it"),
    ];
    let found = refused(&imported);
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((number, why), (line, words)) in found.into_iter().zip(expected) {
        assert!(number == line && why.starts_with(words), "element {number}: {why} for {line}: {words}");
    }
    assert_eq!(imported.unmapped[3].text, "rule of inet filter input, handle 8");
}

#[test]
fn a_second_chain_of_the_hook_is_not_mixed_in() {
    let chain = |family: &str, table: &str| {
        serde_json::json!({"chain": {"family": family, "table": table, "name": "input", "type": "filter",
            "hook": "input", "prio": 0, "policy": "accept"}})
    };
    let rule = |family: &str, table: &str| {
        serde_json::json!({"rule": {"family": family, "table": table, "chain": "input", "handle": 1,
            "expr": [{"drop": null}]}})
    };
    let list =
        [chain("ip", "a"), chain("ip6", "a"), chain("inet", "b"), rule("ip", "a"), rule("ip6", "a"), rule("inet", "b")];
    let text = serde_json::json!({"nftables": list}).to_string();
    let imported = import(Source::Nft, Hook::Input, &text).unwrap();
    assert_eq!(lines(&imported), ["priority=2 dst=0.0.0.0/0 action=drop", "priority=1 dst=::/0 action=drop"]);
    assert_eq!(refused(&imported).len(), 1, "{imported:?}");
}

#[test]
fn what_is_another_text_is_refused() {
    for (source, text) in [
        (Source::IptablesSave, "table inet filter {"),
        (Source::IptablesSave, ""),
        (Source::Nft, "table inet filter {"),
        (Source::Nft, "{\"rules\": []}"),
    ] {
        assert!(import(source, Hook::Input, text).is_err(), "{text}");
    }
    let imported = import(Source::IptablesSave, Hook::Input, "*filter\n-A INPUT -s \"10\nCOMMIT\n").unwrap();
    assert_eq!(refused(&imported), [(2, "a quote is not closed")]);
}

#[test]
fn flags_of_iptables_map_and_what_they_cannot_mean_is_named() {
    let text = |line: &str| format!("*filter\n-A INPUT -p tcp {line} -j DROP\nCOMMIT\n");
    for (line, flags) in [
        ("-m tcp --tcp-flags FIN,SYN,RST,ACK SYN", "!fin,syn,!rst,!ack"),
        ("-m tcp --syn", "!fin,syn,!rst,!ack"),
        ("-m tcp --tcp-flags ALL NONE", "!fin,!syn,!rst,!psh,!ack,!urg"),
        ("-m tcp --tcp-flags SYN,FIN SYN,FIN", "fin,syn"),
    ] {
        let imported = import(Source::IptablesSave, Hook::Input, &text(line)).unwrap();
        let expected = format!("priority=1 dst=0.0.0.0/0 proto=tcp tcp_flags={flags} action=drop");
        assert_eq!(lines(&imported), [expected], "{line}: {imported:?}");
    }
    for (line, why) in [
        ("-m tcp --tcp-flags SYN ACK", "it never matches"),
        ("-m tcp --tcp-flags NONE NONE", "it examines no TCP flag"),
        ("-m tcp --tcp-flags SYN,NEW SYN", "--tcp-flags: 'NEW' is no flag"),
        ("-m tcp --tcp-flags SYN SYN -m tcp --syn", "the TCP flags are matched twice"),
        ("-m tcp ! --syn", "'! --syn': rules cannot negate"),
        ("-m set --match-set bad src", "-m set: sets are not imported; make one of ours"),
    ] {
        let imported = import(Source::IptablesSave, Hook::Input, &text(line)).unwrap();
        assert!(imported.rules.is_empty() && refused(&imported)[0].1.starts_with(why), "{line}: {imported:?}");
    }
    let udp = "*filter\n-A INPUT -p udp --syn -j DROP\nCOMMIT\n";
    let imported = import(Source::IptablesSave, Hook::Input, udp).unwrap();
    assert_eq!(refused(&imported), [(2, "its protocols contradict each other")]);
}

/// What nft's rule of these matches, which drops, becomes: lines of rules, and why not.
fn nft(matches: &serde_json::Value) -> (Vec<String>, Vec<String>) {
    let mut expr = matches.as_array().unwrap().clone();
    expr.push(serde_json::json!({"drop": null}));
    let chain = serde_json::json!({"chain": {"family": "inet", "table": "f", "name": "input", "type": "filter",
        "hook": "input", "prio": 0, "policy": "accept"}});
    let rule = serde_json::json!({"rule": {"family": "inet", "table": "f", "chain": "input", "expr": expr}});
    let imported = import(Source::Nft, Hook::Input, &serde_json::json!({"nftables": [chain, rule]}).to_string());
    let imported = imported.unwrap();
    (lines(&imported), imported.unmapped.into_iter().map(|unmapped| unmapped.why).collect())
}

#[test]
fn flags_and_vlans_of_nft_map_where_they_mean_one_thing() {
    let flags = serde_json::json!({"payload": {"protocol": "tcp", "field": "flags"}});
    let flags_match = |op: &str, mask: Option<serde_json::Value>, right: serde_json::Value| {
        let left = mask.map_or_else(|| flags.clone(), |mask| serde_json::json!({"&": [flags, mask]}));
        serde_json::json!([{"match": {"op": op, "left": left, "right": right}}])
    };
    let nested = serde_json::json!({"|": [{"|": ["fin", "syn"]}, "ack"]});
    for (rule, told) in [
        (flags_match("==", Some(nested), "syn".into()), "!fin,syn,!ack"),
        (flags_match("==", Some(serde_json::json!(["syn", "ack"])), serde_json::json!(["syn", "ack"])), "syn,ack"),
        (flags_match("==", Some(6.into()), 2.into()), "syn,!rst"),
        (flags_match("in", None, "syn".into()), "syn"),
        (flags_match("==", None, "syn".into()), "!fin,syn,!rst,!psh,!ack,!urg,!ece,!cwr"),
    ] {
        let expected = format!("priority=1 proto=tcp tcp_flags={told} action=drop");
        assert_eq!(nft(&rule), (vec![expected], vec![]), "{rule}");
    }
    for (rule, why) in [
        (flags_match("in", None, serde_json::json!(["syn", "ack"])), "tcp flags: any of several flags"),
        (flags_match("!=", None, "syn".into()), "tcp flags with the operator"),
        (flags_match("==", Some("syn".into()), "ack".into()), "it never matches"),
        (flags_match("==", None, "new".into()), "tcp flags \"new\": names of flags expected"),
    ] {
        let (rules, refused) = nft(&rule);
        assert!(rules.is_empty() && refused[0].starts_with(why), "{rule}: {refused:?}");
    }
    let vlan = |right: serde_json::Value| {
        let left = serde_json::json!({"payload": {"protocol": "vlan", "field": "id"}});
        nft(&serde_json::json!([{"match": {"op": "==", "left": left, "right": right}}]))
    };
    assert_eq!(vlan(100.into()).0, ["priority=1 vlan=100 action=drop"]);
    let two = ["priority=1 vlan=100 action=drop", "priority=1 vlan=200 action=drop"];
    assert_eq!(vlan(serde_json::json!({"set": [100, 200]})).0, two);
    assert!(vlan(0.into()).1[0].starts_with("vlan '0'"));
}

#[test]
fn lists_that_stand_for_too_many_rules_are_refused_and_ports_are_one_rule() {
    let ports: Vec<String> = (1..=40).map(|port| (port * 2).to_string()).collect();
    let list = ports.join(",");
    let text =
        format!("*filter\n-A INPUT -p tcp -m multiport --sports {list} -m multiport --dports {list} -j DROP\nCOMMIT\n");
    let imported = import(Source::IptablesSave, Hook::Input, &text).unwrap();
    assert_eq!((imported.rules.len(), imported.unmapped.len()), (1, 0), "{imported:?}");
    let side = |field: &str| {
        let hosts: Vec<String> = (1..=40).map(|host| format!("10.0.0.{host}")).collect();
        let left = serde_json::json!({"payload": {"protocol": "ip", "field": field}});
        serde_json::json!({"match": {"op": "==", "left": left, "right": {"set": hosts}}})
    };
    let (rules, refused) = nft(&serde_json::json!([side("saddr"), side("daddr")]));
    assert!(rules.is_empty() && refused[0].contains("more than 1024"), "{refused:?}");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        failure_persistence: None, ..proptest::prelude::ProptestConfig::with_cases(500)
    })]

    #[test]
    fn any_text_is_answered(line in "[-!\":a-zA-Z0-9 ./\\\\]{0,60}", json in "[\\[\\]{}\":a-z0-9, ]{0,40}") {
        let text = format!("*filter\n-A INPUT {line}\n{line}\nCOMMIT\n");
        let imported = import(Source::IptablesSave, Hook::Input, &text).unwrap();
        proptest::prop_assert!(!imported.rules.is_empty() || !imported.unmapped.is_empty());
        let _answered = import(Source::Nft, Hook::Input, &format!("{{\"nftables\": [{{\"rule\": {json}}}]}}"));
    }
}
