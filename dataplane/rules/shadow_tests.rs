//! What counts as never matching, and that leaving such a rule out changes nothing.

use proptest::prelude::*;

use super::*;
use crate::{
    rules::{
        Action, Classifier, Decision, PortRange, TcpFlags, Tuple,
        testing::{address, rule, sets},
    },
    wire::{Fragment, Frame},
};

fn set(rules: Vec<Rule>) -> Ruleset {
    Ruleset { sets: sets(), ..Ruleset::new(rules, Action::Pass) }
}

fn named(name: &str) -> Option<Address> {
    Some(Address::Set(name.to_owned()))
}

fn list(ranges: &[(u16, u16)]) -> Option<Ports> {
    Ports::new(ranges.iter().map(|&(first, last)| PortRange { first, last }))
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

#[test]
fn a_list_of_ports_covers_its_parts() {
    let tcp = |id, port: Option<Ports>| {
        rule(id, |m| {
            m.proto = Some(Protocol::TCP);
            m.port = port;
        })
    };
    let wide = first(tcp(1, list(&[(80, 80), (443, 443), (8000, 8099)])));
    let part = tcp(2, list(&[(443, 443), (8010, 8020)]));
    let across = tcp(3, list(&[(80, 443)]));
    let more = tcp(4, list(&[(80, 80), (8100, 8100)]));
    assert_eq!(pairs(vec![wide, part, across, more]), [(2, 1, Overlap::Shadowed, "priority")]);
}

#[test]
fn fewer_flags_and_no_vlan_cover_more() {
    let tcp = |id, set, clear, vlan| {
        rule(id, |m| {
            m.proto = Some(Protocol::TCP);
            m.tcp_flags = (set | clear != 0).then_some(TcpFlags { set, clear });
            m.vlan = vlan;
        })
    };
    let syn = first(tcp(1, 2, 0, None));
    let rules = vec![
        syn,
        tcp(2, 2, 16, Some(7)),
        tcp(3, 0, 2, None),
        tcp(4, 16, 0, None),
        tcp(5, 0, 0, None),
        tcp(6, 2, 0, Some(0)),
    ];
    assert_eq!(pairs(rules), [(2, 1, Overlap::Shadowed, "priority"), (6, 1, Overlap::Shadowed, "priority")]);
    let tagged = first(tcp(1, 2, 0, Some(7)));
    let rules = vec![tagged, tcp(2, 2, 0, Some(7)), tcp(3, 2, 0, Some(8)), tcp(4, 2, 0, None)];
    assert_eq!(pairs(rules), [(2, 1, Overlap::Duplicate, "priority")]);
    // Ports and flags are both of a transport header: all ports cover a rule with flags alone.
    let all = first(rule(1, |m| m.port = ports(0, 65535)));
    assert_eq!(pairs(vec![all, tcp(2, 2, 0, None), tcp(3, 0, 0, None)]), [(2, 1, Overlap::Shadowed, "priority")]);
}

#[test]
fn a_set_covers_itself_alone_and_only_everything_covers_it() {
    let by_set = first(rule(1, |m| m.src = named("office")));
    let rules = vec![
        by_set,
        rule(2, |m| {
            m.src = named("office");
            m.dst = address("10.0.0.0/8");
        }),
        rule(3, |m| m.src = named("bad-hosts.1")),
        rule(4, |m| m.src = address("10.0.0.0/8")),
    ];
    assert_eq!(pairs(rules), [(2, 1, Overlap::Shadowed, "priority")]);
    let by_net = first(rule(1, |m| m.src = address("0.0.0.0/0")));
    let rules = vec![
        by_net,
        rule(2, |m| m.src = named("office")),
        rule(3, |m| {
            m.src = named("office");
            m.dst = address("10.0.0.0/8");
        }),
    ];
    assert_eq!(pairs(rules), [(3, 1, Overlap::Shadowed, "priority")], "beside an IPv4 prefix a set is of IPv4");
}

#[test]
fn a_monitored_rule_shadows_only_monitored_ones() {
    let drop = |id, monitor| Rule { action: Action::Drop, monitor, ..rule(id, |m| m.src = address("10.0.0.0/8")) };
    let found = pairs(vec![drop(1, true), drop(2, true), drop(3, false), drop(4, false), drop(5, true)]);
    assert_eq!(
        found,
        [(2, 1, Overlap::Duplicate, "id"), (4, 3, Overlap::Duplicate, "id"), (5, 1, Overlap::Duplicate, "id"),]
    );
    let found = pairs(vec![first(drop(1, false)), drop(2, true)]);
    assert_eq!(found, [(2, 1, Overlap::Shadowed, "priority")]);
    let all = Ruleset { monitor: true, ..set(vec![first(drop(1, false)), rule(2, |_| ())]) };
    assert_eq!(shadows(&all), [], "where all is monitored, no drop decides");
}

#[test]
fn the_time_for_ten_thousand_rules_is_not_that_of_comparing_each_with_each() {
    let taken = |count| {
        let ruleset = set((1..=count).map(spread).collect());
        let tries = (0..3).map(|_| {
            let begin = std::time::Instant::now();
            assert_eq!(shadows(&ruleset), []);
            begin.elapsed()
        });
        tries.min().unwrap()
    };
    let (few, many) = (taken(500), taken(10_000));
    // Twenty times as many rules: 400 times the pairs.
    assert!(many < few * 120, "{few:?} for 500 rules, {many:?} for 10,000");
}

/// Rules of many addresses, half of them with a VLAN, a third with a set.
fn spread(id: u32) -> Rule {
    let [_, a, b, c] = id.to_be_bytes();
    rule(id, |m| {
        m.src = if id.is_multiple_of(3) { named("office") } else { Some(std::net::IpAddr::from([10, a, b, c]).into()) };
        m.dst = Some(std::net::IpAddr::from([10, c, a, b]).into());
        m.port = list(&[(80, 80), (c.into(), c.into())]);
        m.vlan = id.is_multiple_of(2).then_some(7);
    })
}

/// Rules over so few values that they meet.
fn crowded() -> impl Strategy<Value = Rule> {
    let side = || {
        prop_oneof![
            2 => Just(None),
            4 => (0..4_u8, prop_oneof![Just(0_u8), Just(8), Just(31), Just(32)])
                .prop_map(|(low, len)| Some(IpNet::new_assert([10, 0, 0, low].into(), len).trunc().into())),
            1 => prop_oneof![Just(named("office")), Just(named("bad-hosts.1"))],
        ]
    };
    let range = || (0..4_u16, 0..4_u16).prop_map(|(a, b)| (a.min(b), a.max(b)));
    let port = || {
        prop_oneof![
            3 => Just(None),
            1 => range().prop_map(|range| list(&[range])),
            1 => (range(), range()).prop_map(|(a, b)| list(&[a, b])),
            1 => Just(ports(0, 65535)),
        ]
    };
    let proto = prop_oneof![Just(None), Just(Some(Protocol::TCP)), Just(Some(Protocol::UDP))];
    let flags = prop_oneof![2 => Just(None), 1 => (0..4_u8, 0..4_u8).prop_map(Some)];
    let vlan = prop_oneof![2 => Just(None), 1 => (0..2_u16).prop_map(Some)];
    let does = (0..3_i32, any::<bool>(), 0..3_u8, 0..8_u8);
    (side(), side(), port(), port(), proto, flags, vlan, does).prop_map(
        |(src, dst, port, sport, proto, flags, vlan, (priority, drop, watch, off))| {
            let flags = flags.map(|(set, clear)| TcpFlags { set, clear: clear & !set }).filter(|f| f.named() > 0);
            let tcp_flags = flags.filter(|_| proto == Some(Protocol::TCP));
            let mut rule = rule(1, |m| *m = Matcher { src, dst, sport, port, proto, tcp_flags, vlan });
            rule.priority = priority;
            rule.enabled = off > 0;
            if drop {
                rule.action = Action::Drop;
                rule.monitor = watch == 0;
            }
            rule
        },
    )
}

pub(in crate::rules) fn crowd() -> impl Strategy<Value = Ruleset> {
    (proptest::collection::vec(crowded(), 0..25), 0..4_u8).prop_map(|(mut rules, watch)| {
        for (rule, id) in rules.iter_mut().zip(1..) {
            rule.id = RuleId(id);
        }
        Ruleset { monitor: watch == 0, ..set(rules) }
    })
}

pub(in crate::rules) fn packet() -> impl Strategy<Value = Frame> {
    let address = || prop_oneof![(0..5_u8).prop_map(|low| [10, 0, 0, low]), Just([192, 0, 2, 1]), Just([8, 8, 8, 8])];
    let protocol = prop_oneof![2 => Just(Protocol::TCP), 1 => Just(Protocol::UDP), 1 => Just(Protocol::ICMP)];
    (address(), address(), 0..5_u16, 0..5_u16, protocol, 0..4_u8, 0..3_u16, 0..3_u8).prop_map(
        |(src, dst, sport, port, protocol, flags, vlan, later)| {
            let (sport, port) = if protocol.has_ports() { (sport, port) } else { (0, 0) };
            let tcp_flags = if protocol == Protocol::TCP { flags } else { 0 };
            let tuple = Tuple { src: src.into(), dst: dst.into(), sport, port, protocol, tcp_flags, vlan };
            let mut headers = tuple.headers();
            if later == 0 {
                headers.fragment = Fragment::Later;
            }
            Frame::Ip(headers)
        },
    )
}

pub(in crate::rules) fn decision(ruleset: &Ruleset, frame: &Frame) -> Decision {
    Classifier::new(ruleset, &[]).unwrap().classify(frame)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(700) })]

    #[test]
    fn the_index_finds_what_comparing_each_with_each_finds(ruleset in crowd()) {
        let order = ordered(&ruleset);
        let mut expected = Vec::new();
        for (at, rule) in order.iter().enumerate() {
            let may = |by: &&&Rule| !ruleset.monitors(by) || ruleset.monitors(rule);
            if let Some(by) = order[..at].iter().filter(may).find(|by| covers(&by.matcher, &rule.matcher)) {
                expected.push(shadow(&ruleset, rule, by));
            }
        }
        let one_by_one: Vec<Shadow> = order.iter().filter_map(|rule| shadow_of(&ruleset, rule)).collect();
        prop_assert_eq!(&one_by_one, &expected);
        prop_assert_eq!(shadows(&ruleset), expected);
    }

    #[test]
    fn a_shadowed_rule_never_decides_and_never_counts(
        ruleset in crowd(), frames in proptest::collection::vec(packet(), 20),
    ) {
        let gone: Vec<RuleId> = shadows(&ruleset).iter().map(|shadow| shadow.rule).collect();
        let rest = ruleset.rules.iter().filter(|rule| !gone.contains(&rule.id)).cloned().collect();
        let rest = Ruleset { monitor: ruleset.monitor, ..set(rest) };
        for frame in frames {
            prop_assert_eq!(decision(&ruleset, &frame), decision(&rest, &frame));
        }
    }
}
