//! The exact-match cache: that it is used, and that nothing stays in it which no longer holds. That it changes no verdict
//! is held to the reference model in `differential.rs`, where every packet runs twice.

use std::{collections::HashMap, net::IpAddr, sync::atomic::Ordering::Relaxed};

use super::{
    Filter,
    types::{Act, CacheShape},
};
use crate::{
    plane::FailPolicy,
    rules::{
        Action, Address, Matcher, PortRange, Protocol, Rule, RuleId, Ruleset, TcpFlags,
        testing::{Random, rule},
    },
    wire::testing::{self, Flow, tcp4},
};

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const LOOPBACK: u32 = 1;

/// The rule 1, which drops.
fn dropping(matcher: impl FnOnce(&mut Matcher)) -> Rule {
    Rule { action: Action::Drop, ..rule(1, matcher) }
}

fn publish(filter: &mut Filter, rules: Vec<Rule>) {
    filter.publish(&Ruleset::new(rules, Action::Pass), &[]).unwrap();
}

fn verdict(filter: &Filter, packet: &[u8]) -> u32 {
    filter.test_run(packet, LOOPBACK, 0).unwrap().0
}

/// Entries that IPv4 packets have left in the cache.
fn entries(filter: &Filter) -> usize {
    let cache = filter.cache();
    cache.words().chunks(ENTRY).filter(|entry| entry.iter().any(|word| word.load(Relaxed) != 0)).count()
}

/// Words of an IPv4 entry, and the one that has the action in its third byte: the last.
const ENTRY: usize = 4;
const ACTION_WORD: usize = 3;
const ACTION_SHIFT: u32 = 16;

#[test]
#[ignore = "needs root"]
fn the_second_packet_of_a_flow_takes_its_verdict_from_the_cache() {
    let mut filter = Filter::load(FailPolicy::Open).unwrap();
    publish(&mut filter, vec![]);
    let packet = tcp4([192, 0, 2, 1], [10, 0, 0, 5], 4000, 80);
    assert_eq!((verdict(&filter, &packet), entries(&filter)), (XDP_PASS, 1));
    // A verdict that no rule gives, so that only the cache can have given it.
    for entry in filter.cache().words().chunks(ENTRY).filter(|entry| entry[0].load(Relaxed) != 0) {
        entry[ACTION_WORD].fetch_or(u64::from(Act::SXF_DROP.0) << ACTION_SHIFT, Relaxed);
    }
    assert_eq!(verdict(&filter, &packet), XDP_DROP);
    assert_eq!(verdict(&filter, &tcp4([192, 0, 2, 1], [10, 0, 0, 5], 4001, 80)), XDP_PASS, "another flow");
    publish(&mut filter, vec![]);
    assert_eq!(verdict(&filter, &packet), XDP_PASS, "another generation");
}

#[test]
#[ignore = "needs root"]
fn switched_off_it_stays_empty() {
    let mut filter = Filter::load(FailPolicy::Open).unwrap();
    filter.cache_verdicts(false);
    publish(&mut filter, vec![]);
    for _ in 0..2 {
        assert_eq!(verdict(&filter, &tcp4([192, 0, 2, 1], [10, 0, 0, 5], 4000, 80)), XDP_PASS);
    }
    assert_eq!(entries(&filter), 0);
}

#[test]
#[ignore = "needs root"]
fn a_change_of_rules_holds_for_flows_that_are_cached() {
    let mut filter = Filter::load(FailPolicy::Open).unwrap();
    let packet = tcp4([192, 0, 2, 1], [10, 0, 0, 5], 4000, 80);
    for round in 0..6 {
        let dropped = round % 2 == 1;
        let port = |port| Some(PortRange { first: port, last: port }.into());
        publish(&mut filter, vec![dropping(|m| m.port = port(if dropped { 80 } else { 81 }))]);
        for _ in 0..3 {
            assert_eq!(verdict(&filter, &packet) == XDP_DROP, dropped, "round {round}");
        }
    }
    assert_eq!(filter.rule_counts()[0].count.packets, 9);
    assert_eq!(filter.default_count().packets, 9);
}

/// Flows that differ in one field each, all of which a rule may look at.
fn neighbours(flow: &Flow) -> Vec<Flow> {
    let change = |change: fn(&mut Flow)| {
        let mut other = *flow;
        change(&mut other);
        other
    };
    vec![
        *flow,
        change(|flow| flow.sport ^= 1),
        change(|flow| flow.port ^= 1),
        change(|flow| flow.protocol = 17),
        change(|flow| flow.vlan = 7),
        change(|flow| flow.tcp_flags = 0x12),
        change(|flow| std::mem::swap(&mut flow.src, &mut flow.dst)),
    ]
}

#[test]
#[ignore = "needs root"]
fn fields_that_rules_look_at_are_told_apart() {
    let flow = Flow {
        src: [10, 0, 0, 1].into(),
        dst: [10, 0, 0, 2].into(),
        sport: 4000,
        port: 80,
        protocol: 6,
        tcp_flags: 2,
        vlan: 0,
    };
    let flows = neighbours(&flow);
    // Each rule matches one of the flows that differ, and no other.
    let matchers: [fn(&mut Matcher); 6] = [
        |m| m.sport = Some(PortRange { first: 4001, last: 4001 }.into()),
        |m| m.port = Some(PortRange { first: 81, last: 81 }.into()),
        |m| m.proto = Some(Protocol::UDP),
        |m| m.vlan = Some(7),
        |m| (m.proto, m.tcp_flags) = (Some(Protocol::TCP), Some(TcpFlags { set: 0x10, clear: 0 })),
        |m| m.src = Some(Address::Net("10.0.0.2/32".parse().unwrap())),
    ];
    for (index, matcher) in matchers.into_iter().enumerate() {
        let mut filter = Filter::load(FailPolicy::Open).unwrap();
        publish(&mut filter, vec![dropping(matcher)]);
        for _ in 0..2 {
            for (number, flow) in flows.iter().enumerate() {
                let dropped = verdict(&filter, &testing::packet(flow)) == XDP_DROP;
                assert_eq!(dropped, number == index + 1, "rule {index}, {flow:?}");
            }
        }
    }
}

#[test]
#[ignore = "needs root"]
fn more_flows_than_entries_each_keep_their_verdict() {
    let mut filter = Filter::load(FailPolicy::Open).unwrap();
    publish(&mut filter, vec![dropping(|m| m.src = Some(Address::Net("10.1.0.0/17".parse().unwrap())))]);
    let mut random = Random(7);
    let mut dropped = HashMap::new();
    for _ in 0..8 * CacheShape::SXF_CACHE_LINES.0 {
        let src = [10, 1, random.byte(), random.byte()];
        let verdict = verdict(&filter, &tcp4(src, [10, 0, 0, 5], 4000, 80));
        assert_eq!(verdict == XDP_DROP, src[2] < 128, "{src:?}");
        *dropped.entry(verdict).or_insert(0_u32) += 1;
    }
    assert!(dropped.len() == 2 && dropped.values().all(|count| *count > 1000), "{dropped:?}");
}

/// IPv4 and IPv6 lie in the same lines, so that each pushes the other out and none may be taken for the other.
#[test]
#[ignore = "needs root"]
fn flows_of_both_families_each_keep_their_verdict() {
    let mut filter = Filter::load(FailPolicy::Open).unwrap();
    let net = |net: &str| Some(Address::Net(net.parse().unwrap()));
    let rules = vec![
        dropping(|m| m.src = net("10.1.0.0/17")),
        Rule { id: RuleId(2), ..dropping(|m| m.src = net("2001:db8:0:8000::/49")) },
    ];
    publish(&mut filter, rules);
    let mut random = Random(11);
    for round in 0..2 * CacheShape::SXF_CACHE_LINES.0 {
        let (third, last) = (random.byte(), random.byte());
        let flow =
            |src: IpAddr, dst: IpAddr| Flow { src, dst, sport: 4000, port: 80, protocol: 17, tcp_flags: 0, vlan: 0 };
        let v4 = flow([10, 1, third, last].into(), [10, 0, 0, 5].into());
        let v6 = flow(
            [0x2001, 0xdb8, 0, u16::from(third) << 8, 0, 0, 0, u16::from(last)].into(),
            [0x2001, 0xdb8, 1, 0, 0, 0, 0, 5].into(),
        );
        for _ in 0..2 {
            assert_eq!(verdict(&filter, &testing::packet(&v4)) == XDP_DROP, third < 128, "round {round}: {v4:?}");
            assert_eq!(verdict(&filter, &testing::packet(&v6)) == XDP_DROP, third >= 128, "round {round}: {v6:?}");
        }
    }
    let counted: u64 = filter.rule_counts().iter().map(|rule| rule.count.packets).sum();
    assert_eq!(counted + filter.default_count().packets, u64::from(8 * CacheShape::SXF_CACHE_LINES.0));
}
