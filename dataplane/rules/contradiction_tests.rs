//! What counts as a contradiction, and that it is found.

use proptest::prelude::*;

use super::*;
use crate::rules::{
    PortRange, TcpFlags,
    shadow::tests::{crowd, decision, packet},
    shadows,
    testing::{address, rule, sets},
};

fn drops(id: u32, with: impl FnOnce(&mut Matcher)) -> Rule {
    Rule { action: Action::Drop, ..rule(id, with) }
}

fn found(rules: Vec<Rule>) -> Vec<(u32, u32, &'static str)> {
    let ruleset = Ruleset { sets: sets(), ..Ruleset::new(rules, Action::Pass) };
    let found = contradictions(&ruleset, &shadows(&ruleset));
    assert!(found.total == found.pairs.len() && !found.capped, "{found:?}");
    found.pairs.iter().map(|pair| (pair.first.0, pair.second.0, pair.field)).collect()
}

#[test]
fn rules_that_cross_and_act_differently_contradict_each_other() {
    let by_src = || drops(1, |m| m.src = address("10.0.0.0/8"));
    let by_dst = |id| rule(id, |m| m.dst = address("192.0.2.0/24"));
    assert_eq!(found(vec![by_src(), by_dst(2)]), [(2, 1, "dst")]);
    assert_eq!(found(vec![by_src(), Rule { action: Action::Drop, ..by_dst(2) }]), [], "they do the same");
    assert_eq!(found(vec![by_src(), Rule { priority: 1, ..by_dst(2) }]), [], "the priority was chosen");
    assert_eq!(found(vec![by_src(), Rule { enabled: false, ..by_dst(2) }]), []);
    assert_eq!(found(vec![Rule { monitor: true, ..by_src() }, by_dst(2)]), [], "a monitored rule decides nothing");
    assert_eq!(found(vec![by_src(), rule(2, |m| m.dst = address("fd00::/8"))]), [], "of two families");
    let inspect = |chain: &str| Action::Inspect { chain: chain.to_owned() };
    let both = vec![Rule { action: inspect("a"), ..by_src() }, Rule { action: inspect("b"), ..by_dst(2) }];
    assert_eq!(found(both), []);
    assert_eq!(found(vec![Rule { action: inspect("a"), ..by_src() }, by_dst(2)]), [(2, 1, "dst")]);
}

#[test]
fn an_exception_and_a_shadowed_rule_are_none() {
    let wide = || drops(1, |m| m.src = address("10.0.0.0/8"));
    assert_eq!(found(vec![wide(), rule(2, |m| m.src = address("10.1.0.0/16"))]), []);
    assert_eq!(found(vec![wide(), rule(2, |m| m.src = address("10.0.0.0/8"))]), []);
    // The third crosses the first, but never matches.
    let all = Rule { priority: 1, ..drops(3, |m| m.dst = address("192.0.2.0/24")) };
    assert_eq!(found(vec![wide(), all, rule(2, |m| m.dst = address("192.0.2.0/25"))]), []);
}

#[test]
fn ports_protocols_flags_and_vlans_keep_rules_apart() {
    let ports = |ranges: &[(u16, u16)]| Ports::new(ranges.iter().map(|&(first, last)| PortRange { first, last }));
    let tcp = |m: &mut Matcher| m.proto = Some(Protocol::TCP);
    let by_port = |list| {
        drops(1, |m| {
            tcp(m);
            m.port = ports(list);
            m.sport = ports(&[(1, 9)]);
        })
    };
    let other = |list| {
        rule(2, |m| {
            tcp(m);
            m.port = ports(list);
        })
    };
    assert_eq!(found(vec![by_port(&[(80, 80), (443, 450)]), other(&[(22, 22), (450, 451)])]), [(2, 1, "port")]);
    assert_eq!(found(vec![by_port(&[(80, 80), (443, 450)]), other(&[(81, 442), (451, 451)])]), []);
    let any_port = drops(1, |m| m.port = ports(&[(80, 80)]));
    let gre = rule(2, |m| {
        m.proto = Some(Protocol(47));
        m.src = address("10.0.0.0/8");
    });
    assert_eq!(found(vec![any_port, gre]), [], "it has no ports");
    let flags = |rule: Rule, set, clear| {
        let tcp_flags = Some(TcpFlags { set, clear });
        Rule { matcher: Matcher { proto: Some(Protocol::TCP), tcp_flags, ..rule.matcher.clone() }, ..rule }
    };
    let (a, b) = (|| drops(1, |_| ()), || rule(2, |_| ()));
    assert_eq!(found(vec![flags(a(), 2, 0), flags(b(), 16, 0)]), [(1, 2, "id")]);
    assert_eq!(found(vec![flags(a(), 2, 16), flags(b(), 16, 0)]), []);
    let vlan = |id| {
        rule(2, |m| {
            m.vlan = Some(id);
            m.dst = address("10.0.0.0/8");
        })
    };
    let tagged = || {
        drops(1, |m| {
            m.vlan = Some(7);
            m.src = address("10.0.0.0/8");
        })
    };
    assert_eq!(found(vec![tagged(), vlan(7)]), [(2, 1, "dst")]);
    assert_eq!(found(vec![tagged(), vlan(8)]), []);
}

#[test]
fn a_set_meets_itself_and_rules_without_the_field() {
    let named = |name: &str| Some(Address::Set(name.to_owned()));
    let by_set = || drops(1, |m| m.src = named("office"));
    let to = |src: Option<Address>| {
        rule(2, |m| {
            m.src = src;
            m.proto = Some(Protocol::TCP);
        })
    };
    assert_eq!(found(vec![by_set(), to(None)]), [(1, 2, "src")]);
    assert_eq!(found(vec![by_set(), to(named("bad-hosts.1"))]), []);
    assert_eq!(found(vec![by_set(), to(address("10.0.0.0/8"))]), [], "what is in it may change");
}

#[test]
fn some_are_named_and_the_work_is_bounded() {
    let host = |last: u32| Some(Address::from(std::net::IpAddr::from(last.to_be_bytes())));
    let cross = |count: u32| {
        let sources = (1..=count).map(|id| drops(id, |m| m.src = host(id)));
        let destinations = (1..=count).map(|id| rule(count + id, |m| m.dst = host(id)));
        Ruleset::new(sources.chain(destinations).collect(), Action::Pass)
    };
    let few = contradictions(&cross(10), &[]);
    assert_eq!((few.pairs.len(), few.total, few.capped), (20, 100, false));
    let alternate = |id: u32| Rule {
        action: [Action::Drop, Action::Pass][id as usize % 2].clone(),
        ..rule(id, |m| m.src = host(id))
    };
    let apart = contradictions(&Ruleset::new((1..=10_000).map(alternate).collect(), Action::Pass), &[]);
    assert_eq!((apart.total, apart.capped), (0, false), "sources keep them apart");
    let many = contradictions(&cross(8192), &[]);
    assert_eq!((many.pairs.len(), many.capped), (20, true));
    assert!(many.total > 1000, "{}", many.total);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(700) })]

    #[test]
    fn the_search_finds_what_comparing_each_with_each_finds(ruleset in crowd()) {
        let shadows = shadows(&ruleset);
        let never = |rule: &Rule| shadows.iter().any(|shadow| shadow.rule == rule.id);
        let rules: Vec<_> = ordered(&ruleset).into_iter().filter(|r| !never(r) && !ruleset.monitors(r)).collect();
        let pairs = rules.iter().enumerate().flat_map(|(at, a)| rules[at + 1..].iter().map(move |b| (a, b)));
        let expected = pairs.filter(|(a, b)| a.priority == b.priority && contradict(a, b)).count();
        let found = contradictions(&ruleset, &shadows);
        prop_assert_eq!((found.total, found.pairs.len(), found.capped), (expected, expected.min(NAMED), false));
        for Contradiction { first, second, .. } in found.pairs {
            let at = |id| rules.iter().position(|rule| rule.id == id);
            prop_assert!(at(first) < at(second));
        }
    }

    #[test]
    fn no_packet_matches_two_rules_that_do_not_meet(
        ruleset in crowd(), frames in proptest::collection::vec(packet(), 20),
    ) {
        // A set's prefixes are not looked at, so only rules of prefixes are held to it.
        let sides = |rule: &Rule| [rule.matcher.src.clone(), rule.matcher.dst.clone()];
        let by_set = |rule: &Rule| sides(rule).iter().flatten().any(|address| address.set().is_some());
        let rules: Vec<&Rule> = ruleset.rules.iter().filter(|rule| !by_set(rule)).collect();
        let matches = |rule: &Rule, frame| {
            let alone = Rule { enabled: true, monitor: false, ..rule.clone() };
            decision(&Ruleset::new(vec![alone], Action::Pass), frame).rule.is_some()
        };
        for frame in &frames {
            let matching: Vec<&&Rule> = rules.iter().filter(|rule| matches(rule, frame)).collect();
            for (at, a) in matching.iter().enumerate() {
                for b in &matching[at + 1..] {
                    prop_assert!(meet(&a.matcher, &b.matcher) && meet(&b.matcher, &a.matcher), "{:?} {:?}", a, b);
                }
            }
        }
    }
}
