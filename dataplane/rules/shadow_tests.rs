//! What counts as never matching, and that leaving such a rule out changes nothing.

use proptest::prelude::*;

use super::*;
use crate::rules::{
    Action, Ports,
    explain::{Tuple, explain},
    testing::{address, rule},
};

fn set(rules: Vec<Rule>) -> Ruleset {
    Ruleset::new(rules, Action::Pass)
}

fn ports(first: u16, last: u16) -> Option<Ports> {
    Some(PortRange { first, last }.into())
}

fn first(mut rule: Rule) -> Rule {
    rule.priority = 1;
    rule
}

fn pairs(rules: Vec<Rule>) -> Vec<(u32, u32, Overlap, &'static str)> {
    shadows(&set(rules)).into_iter().map(|s| (s.rule.0, s.by.0, s.overlap, s.field)).collect()
}

#[test]
fn a_higher_priority_shadows_and_the_same_match_is_a_duplicate() {
    let wide = first(rule(1, |m| m.dst = address("10.0.0.0/8")));
    let narrow = rule(2, |m| {
        m.dst = address("10.1.0.0/16");
        m.port = ports(80, 80);
    });
    let same = rule(3, |m| m.dst = address("10.0.0.0/8"));
    let other = rule(4, |m| m.dst = address("11.0.0.0/8"));
    let again = rule(5, |m| m.dst = address("11.0.0.0/8"));
    let mut against = rule(6, |m| m.dst = address("11.0.0.0/8"));
    against.action = Action::Drop;
    let found = pairs(vec![wide, narrow, same, other, again, against]);
    assert_eq!(
        found,
        [
            (2, 1, Overlap::Shadowed, "priority"),
            (3, 1, Overlap::Duplicate, "priority"),
            (5, 4, Overlap::Duplicate, "id"),
            (6, 4, Overlap::Shadowed, "id"),
        ]
    );
}

#[test]
fn the_more_specific_rule_is_not_shadowed() {
    assert_eq!(pairs(vec![rule(1, |_| ()), rule(2, |m| m.dst = address("10.0.0.0/8"))]), []);
}

#[test]
fn disabled_rules_neither_shadow_nor_are_shadowed() {
    let mut off = first(rule(1, |_| ()));
    off.enabled = false;
    assert_eq!(pairs(vec![off, rule(2, |_| ())]), []);
}

#[test]
fn all_ports_do_not_cover_none_for_later_fragments_have_none() {
    let all = first(rule(1, |m| {
        m.proto = Some(Protocol::TCP);
        m.port = ports(0, 65535);
    }));
    let tcp = rule(2, |m| m.proto = Some(Protocol::TCP));
    let from = rule(3, |m| {
        m.proto = Some(Protocol::TCP);
        m.sport = ports(80, 80);
    });
    assert_eq!(pairs(vec![all, tcp, from]), [(3, 1, Overlap::Shadowed, "priority")]);
}

#[test]
fn a_prefix_of_one_side_names_the_family_of_the_other() {
    let all4 = first(rule(1, |m| m.src = address("0.0.0.0/0")));
    let v4 = rule(2, |m| m.dst = address("10.0.0.0/8"));
    let v6 = rule(3, |m| m.dst = address("fd00::/8"));
    let both = rule(4, |_| ());
    assert_eq!(pairs(vec![all4, v4, v6, both]), [(2, 1, Overlap::Shadowed, "priority")]);
}

/// Rules over so few values that they meet.
fn crowded() -> impl Strategy<Value = Rule> {
    let net = || {
        prop_oneof![
            Just(None),
            (0..4_u8, prop_oneof![Just(0_u8), Just(8), Just(31), Just(32)])
                .prop_map(|(low, len)| Some(IpNet::new_assert([10, 0, 0, low].into(), len).trunc()))
        ]
    };
    let port = || {
        prop_oneof![
            2 => Just(None),
            1 => (0..4_u16, 0..4_u16).prop_map(|(a, b)| ports(a.min(b), a.max(b))),
            1 => Just(ports(0, 65535)),
        ]
    };
    let proto = prop_oneof![Just(None), Just(Some(Protocol::TCP)), Just(Some(Protocol::UDP))];
    (net(), net(), port(), port(), proto, 0..3_i32, any::<bool>(), 0..8_u8).prop_map(
        |(src, dst, port, sport, proto, priority, drop, off)| {
            let mut rule = rule(1, |m| {
                let (src, dst) = (src.map(Address::Net), dst.map(Address::Net));
                *m = Matcher { src, dst, sport, port, proto, ..Matcher::default() };
            });
            rule.priority = priority;
            rule.enabled = off > 0;
            if drop {
                rule.action = Action::Drop;
            }
            rule
        },
    )
}

fn crowd() -> impl Strategy<Value = Vec<Rule>> {
    proptest::collection::vec(crowded(), 0..25).prop_map(|mut rules| {
        for (rule, id) in rules.iter_mut().zip(1..) {
            rule.id = RuleId(id);
        }
        rules
    })
}

fn winner(rules: &[Rule], tuple: &Tuple) -> Option<RuleId> {
    explain(&set(rules.to_vec()), tuple).into_iter().find(|c| c.ruled_out_by.is_none()).map(|c| c.id)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn the_index_finds_what_comparing_each_with_each_finds(rules in crowd()) {
        let ruleset = set(rules);
        let order = ordered(&ruleset);
        let mut expected = Vec::new();
        for (at, rule) in order.iter().enumerate() {
            if let Some(by) = order[..at].iter().find(|by| covers(&by.matcher, &rule.matcher)) {
                expected.push(shadow(rule, by));
            }
        }
        prop_assert_eq!(shadows(&ruleset), expected);
    }

    #[test]
    fn a_shadowed_rule_never_decides(
        rules in crowd(), src in 0..5_u8, dst in 0..5_u8, sport in 0..5_u16, port in 0..5_u16, udp: bool,
    ) {
        let protocol = if udp { Protocol::UDP } else { Protocol::TCP };
        let tuple = Tuple { src: [10, 0, 0, src].into(), dst: [10, 0, 0, dst].into(), sport, port, protocol };
        let gone: Vec<RuleId> = shadows(&set(rules.clone())).iter().map(|shadow| shadow.rule).collect();
        let rest: Vec<Rule> = rules.iter().filter(|rule| !gone.contains(&rule.id)).cloned().collect();
        prop_assert_eq!(winner(&rules, &tuple), winner(&rest, &tuple));
    }
}
