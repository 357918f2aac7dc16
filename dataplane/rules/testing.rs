//! Rules for tests.

use proptest::{option, prelude::*};

pub(crate) use super::random::Random;
use super::{Action, Address, Matcher, PortRange, Ports, Protocol, Rule, RuleId};

/// An enabled pass rule of priority 0 that matches everything, changed by `with`.
pub(crate) fn rule(id: u32, with: impl FnOnce(&mut Matcher)) -> Rule {
    let mut matcher = Matcher::default();
    with(&mut matcher);
    Rule::new(RuleId(id), matcher, Action::Pass)
}

/// The addresses of a prefix.
pub(crate) fn address(prefix: &str) -> Option<Address> {
    Some(Address::Net(prefix.parse().unwrap()))
}

/// Any rule that the checks let through; chains are `default` and `web`.
pub(crate) fn arbitrary_rule() -> impl Strategy<Value = Rule> {
    let parts =
        (1..u32::MAX, any::<i32>(), arbitrary_matcher(), arbitrary_action(), option::of(".{0,60}"), any::<bool>());
    parts.prop_map(|(id, priority, matcher, action, comment, enabled)| Rule {
        id: RuleId(id),
        priority,
        comment,
        enabled,
        ..Rule::new(RuleId(1), matcher, action)
    })
}

fn arbitrary_action() -> impl Strategy<Value = Action> {
    let inspect = |chain: &str| Just(Action::Inspect { chain: chain.to_owned() });
    prop_oneof![Just(Action::Pass), Just(Action::Drop), inspect("default"), inspect("web")]
}

fn arbitrary_matcher() -> impl Strategy<Value = Matcher> {
    let port =
        || option::of((any::<u16>(), any::<u16>()).prop_map(|(a, b)| PortRange { first: a.min(b), last: a.max(b) }));
    let v4 = || option::of((any::<[u8; 4]>(), 0..=32_u8).prop_map(|(ip, len)| net(ip.into(), len)));
    // In 2000::/3, where no address is IPv4-mapped.
    let v6 = || {
        option::of((any::<[u8; 16]>(), 3..=128_u8).prop_map(|(mut ip, len)| {
            ip[0] = 0x20 | ip[0] & 0x1f;
            net(ip.into(), len)
        }))
    };
    let nets = prop_oneof![(v4(), v4()), (v6(), v6())];
    let proto = option::of(prop_oneof![Just(6_u8), Just(17), Just(132), Just(47), Just(200)]);
    (nets, port(), port(), proto).prop_map(|((src, dst), sport, port, proto)| {
        let proto = proto.map(Protocol);
        let ports = proto.is_none_or(Protocol::has_ports);
        Matcher {
            src: src.map(Address::Net),
            dst: dst.map(Address::Net),
            sport: sport.filter(|_| ports).map(Ports::from),
            port: port.filter(|_| ports).map(Ports::from),
            proto,
            ..Matcher::default()
        }
    })
}

fn net(ip: std::net::IpAddr, len: u8) -> ipnet::IpNet {
    ipnet::IpNet::new_assert(ip, len).trunc()
}
