//! An explanation against the model, and what it says of each field.

use proptest::prelude::*;

use super::*;
use crate::{
    rules::{
        Cause, Classifier, Outcome, PortRange, TcpFlags,
        testing::{address, arbitrary_rule, rule, sets},
    },
    wire::Frame,
};

fn tuple(src: [u8; 4], port: u16) -> Tuple {
    let dst = [192, 0, 2, 1].into();
    Tuple { src: src.into(), dst, sport: 4000, port, protocol: Protocol::TCP, tcp_flags: 2, vlan: 0 }
}

fn dropping(mut rule: Rule) -> Rule {
    rule.action = Action::Drop;
    rule
}

#[test]
fn each_rule_has_the_field_that_decided() {
    let range = || Some(PortRange { first: 80, last: 80 }.into());
    let rules = vec![
        rule(1, |m| m.src = address("10.0.0.0/8")),
        rule(2, |m| m.port = range()),
        rule(3, |_| ()),
        rule(4, |m| m.proto = Some(Protocol::UDP)),
        rule(5, |m| m.dst = address("192.0.2.2/32")),
        rule(6, |m| m.sport = range()),
        rule(7, |m| m.vlan = Some(100)),
        rule(8, |m| {
            m.proto = Some(Protocol::TCP);
            m.tcp_flags = Some(TcpFlags { set: 16, clear: 0 });
        }),
        rule(9, |m| m.src = Some(super::super::Address::Set("bad-hosts.1".to_owned()))),
    ];
    let ruleset = Ruleset { sets: sets(), ..Ruleset::new(rules, Action::Pass) };
    let found = explain(&ruleset, &tuple([10, 0, 0, 1], 80)).candidates;
    let fields: Vec<_> = found.iter().map(|candidate| (candidate.id.0, candidate.ruled_out_by)).collect();
    let expected = [
        (5, Some("dst")),
        (1, None),
        (9, None),
        (2, None),
        (6, Some("sport")),
        (8, Some("tcp_flags")),
        (4, Some("proto")),
        (7, Some("vlan")),
        (3, None),
    ];
    assert_eq!(fields, expected);
    let before = found[1].before.as_ref().unwrap();
    assert_eq!((before.id, before.field), (RuleId(9), "src"));
    assert_eq!(before.why, "src: 10.0.0.0/8 is more specific than @bad-hosts.1");
    assert_eq!(found[8].before, None, "nothing is behind the last");
    let tagged = Tuple { vlan: 100, tcp_flags: 18, ..tuple([191, 0, 0, 1], 81) };
    let found = explain(&ruleset, &tagged);
    let matching = found.candidates.iter().filter(|candidate| candidate.ruled_out_by.is_none());
    assert_eq!(matching.map(|candidate| candidate.id.0).collect::<Vec<_>>(), [8, 7, 3]);
    assert_eq!(found.rule, Some(RuleId(8)));
}

#[test]
fn a_monitored_rule_is_told_and_does_not_decide() {
    let mut watched = dropping(rule(1, |m| m.src = address("10.0.0.0/8")));
    watched.monitor = true;
    let ruleset = Ruleset::new(vec![watched, rule(2, |_| ())], Action::Drop);
    let found = explain(&ruleset, &tuple([10, 0, 0, 1], 80));
    assert!(found.candidates[0].monitored && !found.candidates[1].monitored);
    assert_eq!((found.rule, found.action), (Some(RuleId(2)), Action::Pass));
    assert_eq!(found.monitored, Some(Monitored::Rule(RuleId(1))));

    let ruleset = Ruleset { monitor: true, ..Ruleset::new(vec![], Action::Drop) };
    let found = explain(&ruleset, &tuple([10, 0, 0, 1], 80));
    assert_eq!((found.action, found.monitored), (Action::Pass, Some(Monitored::Default)));
}

#[test]
fn a_blocklist_decides_before_any_rule_unless_all_is_monitored() {
    let list = Arc::new(PrefixSet::new("feed", true, ["10.0.0.0/8".parse().unwrap()]));
    let mut ruleset = Ruleset { sets: vec![list], ..Ruleset::new(vec![rule(1, |_| ())], Action::Pass) };
    let found = explain(&ruleset, &tuple([10, 0, 0, 1], 80));
    assert_eq!((found.blocklist.as_deref(), found.rule, found.action), (Some("feed"), None, Action::Drop));
    assert_eq!(explain(&ruleset, &tuple([11, 0, 0, 1], 80)).blocklist, None);
    ruleset.monitor = true;
    let found = explain(&ruleset, &tuple([10, 0, 0, 1], 80));
    assert_eq!((found.rule, found.monitored), (Some(RuleId(1)), Some(Monitored::Blocklist)));
}

/// A packet that `rule` may want.
fn wanted(rule: Option<&Rule>) -> impl Strategy<Value = Tuple> + use<> {
    let matcher = rule.map(|rule| rule.matcher.clone()).unwrap_or_default();
    let ports = [matcher.sport.clone(), matcher.port.clone()].map(|ports| ports.map(|ports| ports.ranges()[0].first));
    let exact = any::<[bool; 4]>();
    (exact, any::<u16>(), any::<u16>(), any::<u8>(), any::<u8>(), 0..3_u16).prop_map(
        move |(exact, sport, port, proto, flags, vlan)| {
            let src = matcher.src_net().map_or(IpAddr::from([10, 0, 0, 1]), |net| net.addr());
            let dst = matcher.dst_net().map(|net| net.addr());
            let (src, dst) = match dst {
                Some(dst) if matcher.src_net().is_none() && dst.is_ipv6() => ("2001:db8::1".parse().unwrap(), dst),
                dst => (src, dst.filter(|dst| dst.is_ipv4() == src.is_ipv4()).unwrap_or(src)),
            };
            let protocol = matcher.proto.filter(|_| exact[0]).unwrap_or(Protocol(proto));
            let port_of = |at: usize, other: u16| ports[at].filter(|_| exact[1]).unwrap_or(other);
            let tcp_flags = matcher.tcp_flags.filter(|_| exact[2]).map_or(flags, |flags| flags.set);
            Tuple {
                src,
                dst,
                sport: port_of(0, sport),
                port: port_of(1, port),
                protocol,
                tcp_flags: if protocol == Protocol::TCP { tcp_flags } else { 0 },
                vlan: matcher.vlan.filter(|_| exact[3]).unwrap_or(vlan),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn what_is_explained_is_what_the_model_decides(
        (rules, tuple) in proptest::collection::vec(arbitrary_rule(), 0..30).prop_flat_map(|rules| {
            let tuple = wanted(rules.first());
            (Just(rules), tuple)
        }),
        monitor: bool, default_drop: bool, blocklist: bool,
    ) {
        let rules = rules.into_iter().zip(1..).map(|(rule, id)| Rule { id: RuleId(id), ..rule });
        let default = if default_drop { Action::Drop } else { Action::Pass };
        let mut sets = sets();
        if blocklist {
            sets.push(Arc::new(PrefixSet::new("feed", true, ["10.0.0.0/9".parse().unwrap()])));
        }
        let ruleset = Ruleset { sets, monitor, ..Ruleset::new(rules.collect(), default) };
        let classifier = Classifier::new(&ruleset, &["default".to_owned(), "web".to_owned()]).unwrap();
        let decided = classifier.classify(&Frame::Ip(tuple.headers()));
        let found = explain(&ruleset, &tuple);
        prop_assert_eq!(found.rule, decided.rule);
        prop_assert_eq!(found.monitored, decided.monitored);
        prop_assert_eq!(found.blocklist.is_some() && !monitor, decided.cause == Cause::Blocklist);
        prop_assert_eq!(found.action == Action::Drop, decided.action == Outcome::Drop);
        prop_assert_eq!(found.action == Action::Pass, decided.action == Outcome::Pass);
    }
}
