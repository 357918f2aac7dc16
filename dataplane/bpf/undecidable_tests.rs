//! Packets that hide what rules look at, as an attacker makes them: too many extension headers, tiny first fragments
//! (RFC 1858), cut headers. None gets past a rule that drops, whatever the fail policy.

use super::Filter;
use crate::{
    plane::FailPolicy,
    rules::{Action, Address, Classifier, Matcher, Outcome, PortRange, Protocol, Rule, Ruleset, testing::rule},
    wire::{
        parse,
        testing::{self, Flow},
    },
};

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const LOOPBACK: u32 = 1;

fn flow(src: &str, dst: &str, protocol: u8) -> Flow {
    Flow {
        src: src.parse().unwrap(),
        dst: dst.parse().unwrap(),
        protocol,
        sport: 4000,
        port: 8000,
        tcp_flags: 2,
        vlan: 0,
    }
}

/// The packet of `flow` behind `count` destination options of eight bytes each.
fn behind_options(flow: &Flow, count: u8) -> Vec<u8> {
    const NEXT_AT: usize = 14 + 6;
    const OPTIONS: u8 = 60;
    let mut frame = testing::packet(flow);
    for _ in 0..count {
        let header = [frame[NEXT_AT], 0, 1, 4, 0, 0, 0, 0];
        frame[NEXT_AT] = OPTIONS;
        frame.splice(14 + 40..14 + 40, header);
        let length = u16::from_be_bytes([frame[18], frame[19]]) + 8;
        frame[18..20].copy_from_slice(&length.to_be_bytes());
    }
    frame
}

/// The first `bytes` of the transport header, as a first fragment or as a packet that says so of its length.
fn cut(flow: &Flow, bytes: u16, fragment: bool) -> Vec<u8> {
    let mut frame = testing::packet(flow);
    frame.truncate(14 + 20 + usize::from(bytes));
    frame[16..18].copy_from_slice(&(20 + bytes).to_be_bytes());
    frame[20] = if fragment { 0x20 } else { 0 };
    frame
}

/// Places of ICMP among them.
const ICMP: [usize; 2] = [8, 13];

/// Packets to the same destination that all hide something.
fn hiding() -> Vec<Vec<u8>> {
    let v6 = |protocol| flow("fd00::1", "fd00::2", protocol);
    let v4 = |protocol| flow("10.0.0.1", "10.0.0.2", protocol);
    let mut packets: Vec<_> = [9, 10, 40].map(|count| behind_options(&v6(6), count)).into();
    packets.push(behind_options(&v6(17), 9));
    for fragment in [true, false] {
        packets.extend([0, 8, 16].map(|bytes| cut(&v4(6), bytes, fragment)));
        packets.push(cut(&v4(17), 4, fragment));
        packets.push(cut(&v4(1), 4, fragment));
    }
    packets
}

fn dropping(priority: i32, matcher: impl FnOnce(&mut Matcher)) -> Rule {
    Rule { priority, action: Action::Drop, ..rule(9, matcher) }
}

fn net(text: &str) -> Option<Address> {
    Some(Address::Net(text.parse().unwrap()))
}

/// What becomes of each packet; the model says the same.
fn verdicts(policy: FailPolicy, ruleset: &Ruleset) -> Vec<u32> {
    let mut filter = Filter::load(policy).unwrap();
    filter.publish(ruleset, &[]).unwrap();
    let model = Classifier::new(ruleset, &[]).unwrap();
    let verdict = |packet: Vec<u8>| {
        let verdict = filter.test_run(&packet, LOOPBACK, 0).unwrap().0;
        let drops = model.classify(&parse(&packet)).action == Outcome::Drop;
        assert_eq!(verdict == XDP_DROP, drops || policy == FailPolicy::Closed, "{packet:02x?} of {ruleset:#?}");
        verdict
    };
    hiding().into_iter().map(verdict).collect()
}

#[test]
#[ignore = "needs root"]
fn what_a_rule_may_drop_is_dropped() {
    let port = |m: &mut Matcher| m.port = Some(PortRange { first: 8000, last: 8000 }.into());
    let pass = |priority| Rule { priority, ..rule(1, |m| m.port = Some(PortRange { first: 80, last: 80 }.into())) };
    let rulesets = [
        vec![dropping(0, |_| ())],
        vec![dropping(0, port)],
        vec![dropping(0, |m| m.src = net("10.0.0.0/8")), dropping(1, |m| m.src = net("fd00::/16"))],
        vec![dropping(0, |m| m.dst = net("10.0.0.2/32")), dropping(1, |m| m.dst = net("fd00::2/128"))],
        // A rule for something else comes first: it may match, which is no reason to let the packet pass.
        vec![pass(5), dropping(0, |_| ())],
        vec![pass(5), dropping(0, port)],
    ];
    for (index, mut rules) in rulesets.into_iter().enumerate() {
        for (id, rule) in (1..).zip(&mut rules) {
            rule.id.0 = id;
        }
        // ICMP, whatever is hidden of it, has no ports.
        let by_port = rules.iter().all(|rule| rule.matcher.needs_transport());
        let verdicts = verdicts(FailPolicy::Open, &Ruleset::new(rules, Action::Pass));
        for (place, verdict) in verdicts.into_iter().enumerate() {
            let expected = if by_port && ICMP.contains(&place) { XDP_PASS } else { XDP_DROP };
            assert_eq!(verdict, expected, "ruleset {index}, packet {place}");
        }
    }
    let default = verdicts(FailPolicy::Open, &Ruleset::new(vec![pass(0)], Action::Drop));
    assert!(default.iter().all(|verdict| *verdict == XDP_DROP), "{default:?}");
}

#[test]
#[ignore = "needs root"]
fn what_no_rule_may_drop_follows_the_fail_policy() {
    let before = Rule { priority: 9, ..rule(1, |m| m.src = net("0.0.0.0/0")) };
    let before6 = Rule { priority: 9, ..rule(2, |m| m.src = net("::/0")) };
    let rulesets = [
        vec![],
        vec![dropping(0, |m| m.src = net("192.0.2.0/24"))],
        // Certain, for it looks at addresses alone.
        vec![before, before6, dropping(0, |_| ())],
        vec![Rule { monitor: true, ..dropping(0, |_| ()) }],
        vec![dropping(0, |m| m.proto = Some(Protocol(132))), dropping(0, |m| m.vlan = Some(7))],
    ];
    for (index, mut rules) in rulesets.into_iter().enumerate() {
        for (id, rule) in (1..).zip(&mut rules) {
            rule.id.0 = id;
        }
        let ruleset = Ruleset::new(rules, Action::Pass);
        let open = verdicts(FailPolicy::Open, &ruleset);
        // Behind too many extension headers anything may lie, SCTP as well.
        let may_be_sctp = |place: usize| index == 4 && place < 4;
        for (place, verdict) in open.into_iter().enumerate() {
            assert_eq!(
                verdict,
                if may_be_sctp(place) { XDP_DROP } else { XDP_PASS },
                "ruleset {index}, packet {place}"
            );
        }
        let closed = verdicts(FailPolicy::Closed, &ruleset);
        assert!(closed.iter().all(|verdict| *verdict == XDP_DROP), "ruleset {index}: {closed:?}");
    }
}

#[test]
#[ignore = "needs root"]
fn only_what_no_router_has_forwarded_is_neighbour_discovery() {
    const HOPS_AT: usize = 14 + 7;
    const KIND_AT: usize = 14 + 40;
    let mut filter = Filter::load(FailPolicy::Open).unwrap();
    filter.publish(&Ruleset::new(vec![dropping(0, |_| ())], Action::Pass), &[]).unwrap();
    for kind in 133..=137 {
        let mut packet = testing::packet(&flow("fd00::1", "fd00::2", 58));
        packet[KIND_AT] = kind;
        for (hops, verdict) in [(255, XDP_PASS), (254, XDP_DROP), (64, XDP_DROP)] {
            packet[HOPS_AT] = hops;
            assert_eq!(filter.test_run(&packet, LOOPBACK, 0).unwrap().0, verdict, "type {kind}, {hops} hops");
        }
    }
}
