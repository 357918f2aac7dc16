//! The compiler against the reference model and against plain lookups, without a kernel.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use proptest::prelude::*;

use super::*;
use crate::{
    rules::{
        Address, Cause, Classifier, Monitored, PortRange,
        shapes::{self, Families, SHAPES},
        testing::{Random, address, arbitrary_rule, rule},
    },
    wire::{Frame, parse, testing},
};
use walk::{Found, find};

fn chains() -> [String; 2] {
    ["default".to_owned(), "web".to_owned()]
}

fn tables(rules: Vec<Rule>) -> Result<Tables, RuleError> {
    compile(&Ruleset::new(rules, Action::Pass), &chains(), &[0], |id| id.0 + 100)
}

/// What the model says, in the words of the tables; `None` for a packet that the parser decides on.
fn expected(classifier: &Classifier, frame: &Frame) -> Option<(Found, Option<Monitored>)> {
    let decision = classifier.classify(frame);
    let found = match decision.cause {
        Cause::Rule => decision.rule.map(|id| Found::Rule(id.0)),
        Cause::Default => Some(Found::None),
        Cause::LaterFragment => Some(Found::Hidden),
        Cause::Neighbour | Cause::NonIp | Cause::Undecidable(_) | Cause::Blocklist => None,
    };
    found.map(|found| (found, decision.monitored))
}

/// Compare on packets around the corners of the rules; the answer is how many were decided by table.
fn assert_agree(ruleset: &Ruleset, packets: usize, random: &mut Random) -> usize {
    let classifier = Classifier::new(ruleset, &chains()).unwrap();
    let tables = compile(ruleset, &chains(), &[0], |id| id.0).unwrap();
    let mut compared = 0;
    for _ in 0..packets {
        let flow = shapes::flow(ruleset, random);
        let packet = testing::disguised(&flow, || random.byte());
        let frame = parse(&packet);
        let (Frame::Ip(headers), Some(expected)) = (&frame, expected(&classifier, &frame)) else { continue };
        assert_eq!(find(&tables, headers), expected, "{headers:?} of {ruleset:#?}");
        compared += 1;
    }
    compared
}

#[test]
fn tables_and_reference_model_agree_on_rulesets_of_every_shape() {
    let mut compared = 0;
    for (seed, count) in (1..).zip([0, 1, 2, 63, 64, 65, 255, 256, 257, 1500]) {
        for shape in SHAPES {
            for families in [Families::V4, Families::V6, Families::Both] {
                let mut random = Random(seed);
                let mut ruleset = shapes::ruleset(shape, families, count, &mut random);
                compared += assert_agree(&ruleset, 75, &mut random);
                shapes::season(&mut ruleset, &mut random);
                compared += assert_agree(&ruleset, 75, &mut random);
            }
        }
    }
    assert!(compared > 9000, "{compared} packets of 13,500");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    #[test]
    fn tables_and_reference_model_agree_on_any_rules(
        mut rules in proptest::collection::vec(arbitrary_rule(), 0..150),
        seed in 1..u64::MAX,
        monitor: bool,
        default in prop_oneof![Just(Action::Pass), Just(Action::Drop)],
    ) {
        for (rule, id) in rules.iter_mut().zip(1..) {
            rule.id = RuleId(id);
            for address in [&mut rule.matcher.src, &mut rule.matcher.dst] {
                address.take_if(|address| matches!(address, Address::Set(_)));
            }
        }
        let ruleset = Ruleset { monitor, ..Ruleset::new(rules, default) };
        assert_agree(&ruleset, 60, &mut Random(seed));
    }
}

#[test]
fn rules_without_a_family_are_found_in_both_and_others_in_their_own() {
    let tables = tables(vec![
        rule(1, |m| m.src = address("10.0.0.0/8")),
        rule(2, |m| m.dst = address("fd00::/8")),
        rule(3, |_| ()),
    ])
    .unwrap();
    let found = |src: &str, dst: &str| {
        let (src, dst) = (src.parse::<IpAddr>().unwrap(), dst.parse().unwrap());
        let flow = testing::Flow { src, dst, protocol: 6, sport: 1, port: 2, tcp_flags: 2, vlan: 0 };
        let Frame::Ip(headers) = parse(&testing::packet(&flow)) else { panic!("an ip packet") };
        find(&tables, &headers).0
    };
    assert_eq!(found("10.255.255.255", "10.0.0.0"), Found::Rule(1));
    assert_eq!(found("11.0.0.0", "10.0.0.0"), Found::Rule(3));
    assert_eq!(found("::1", "fdff::"), Found::Rule(2));
    assert_eq!(found("::1", "fe00::"), Found::Rule(3));
    // Order is by specificity, and a rule's number and slot go with it.
    let entries: Vec<_> = tables.rules.iter().map(|entry| (entry.verdict.rule, entry.verdict.slot)).collect();
    assert_eq!(entries, [(2, 102), (1, 101), (3, 103)]);
    assert_eq!(tables.default.slot, Limits::SXF_DEFAULT_SLOT.0);
}

#[test]
fn the_lowest_rule_is_found_in_every_word_of_a_full_ruleset() {
    // A source of its own for every rule, and a last rule for all: each word and each bit of the summary in turn.
    let count = u32::try_from(MAX_RULES).unwrap();
    let mut rules: Vec<Rule> = (1..count).map(|id| rule(id, |m| m.src = Some(host(id).into()))).collect();
    rules.push(rule(count, |_| ()));
    let tables = tables(rules).unwrap();
    let found = |src| {
        let dst = [192, 0, 2, 1].into();
        let flow = testing::Flow { src, dst, protocol: 17, sport: 1, port: 2, tcp_flags: 2, vlan: 0 };
        let Frame::Ip(headers) = parse(&testing::packet(&flow)) else { panic!("an ip packet") };
        find(&tables, &headers).0
    };
    for id in (1..count).step_by(13) {
        assert_eq!(found(host(id)), Found::Rule(id));
    }
    assert_eq!(found(host(count)), Found::Rule(count));
}

fn host(id: u32) -> IpAddr {
    Ipv4Addr::from(0x0a00_0000 + id).into()
}

#[test]
fn every_bit_vector_has_a_true_summary_and_is_there_once() {
    let ruleset = shapes::ruleset(shapes::Shape::Firewall, Families::Both, 700, &mut Random(7));
    let tables = compile(&ruleset, &chains(), &[0], |id| id.0).unwrap();
    // 700 rules are 11 words; with the summary, two lines.
    let rows: Vec<&[u64]> = tables.lines.chunks(16).collect();
    for row in &rows {
        for word in 0..11 {
            assert_eq!(row[0] >> word & 1 == 1, row[4 + word] != 0, "word {word}");
        }
    }
    let distinct: HashSet<_> = rows.iter().collect();
    assert_eq!(distinct.len(), rows.len());
}

#[test]
fn an_address_leads_to_the_rules_whose_prefixes_contain_it() {
    for (seed, families) in [(1, Families::V4), (2, Families::V6), (3, Families::Both)] {
        let mut random = Random(seed);
        let ruleset = shapes::ruleset(shapes::Shape::Chain, families, 400, &mut random);
        let (tables, rules) = (compile(&ruleset, &chains(), &[0], |id| id.0).unwrap(), ordered(&ruleset));
        for _ in 0..2000 {
            let src = shapes::flow(&ruleset, &mut random).src;
            let trie = if src.is_ipv4() { TrieIndex::SXF_SRC4 } else { TrieIndex::SXF_SRC6 };
            let bits = walk::words(&tables.lines, walk::address(&tables, trie, src));
            for (place, rule) in rules.iter().enumerate() {
                let family = rule.matcher.src_net().or(rule.matcher.dst_net());
                let naive = family.is_none_or(|net| net.addr().is_ipv4() == src.is_ipv4())
                    && rule.matcher.src_net().is_none_or(|net| net.contains(&src));
                assert_eq!(bits[4 + place / 64] >> (place % 64) & 1 == 1, naive, "{src} and {rule:?}");
            }
        }
    }
}

#[test]
fn scattered_ipv6_hosts_cost_a_skip_each_and_not_a_node_for_every_byte() {
    let mut random = Random(3);
    let rules = (1..=2000).map(|id| {
        let host = u128::from(random.next()) << 64 | u128::from(random.next());
        rule(id, |m| m.src = Some(IpAddr::from(Ipv6Addr::from(host)).into()))
    });
    let tables = tables(rules.collect()).unwrap();
    assert!(tables.skips.len() >= 2000 && tables.skips.len() < 2100, "{} skips", tables.skips.len());
    assert!(tables.nodes.len() / NODE_ENTRIES < 60, "{} nodes", tables.nodes.len() / NODE_ENTRIES);
}

#[test]
fn many_ranges_of_both_ports_do_not_multiply() {
    let mut random = Random(5);
    let mut range = || {
        let (a, b) = (random.port(), random.port());
        Some(PortRange { first: a.min(b), last: a.max(b) }.into())
    };
    let rules = (1..=500).map(|id| rule(id, |m| (m.sport, m.port) = (range(), range()))).collect();
    let tables = tables(rules).unwrap();
    // 500 ranges have 1,001 stretches at most; twice that, and not its square.
    assert!(tables.lines.len() / 16 <= 2 * 1001 + 3, "{} bit vectors", tables.lines.len() / 16);
}

#[test]
fn too_many_rules_and_missing_chains_are_refused() {
    let many = (1..=16_385).map(|id| rule(id, |_| ())).collect();
    let error = tables(many).unwrap_err();
    assert_eq!(error, RuleError::TooMany { count: 16_385 });
    assert!(error.to_string().contains("at most 16384"), "{error}");
    let mut lost = rule(1, |_| ());
    lost.action = Action::Inspect { chain: "gone".into() };
    assert!(tables(vec![lost]).unwrap_err().to_string().contains("there are: default"));
}

#[test]
fn disabled_rules_take_no_room() {
    let mut many: Vec<Rule> = (1..=16_385).map(|id| rule(id, |_| ())).collect();
    many[7].enabled = false;
    assert_eq!(tables(many).unwrap().rules.len(), MAX_RULES);
}
