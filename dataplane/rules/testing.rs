//! Rules for tests.

use std::sync::Arc;

use jiff::Timestamp;
use proptest::{option, prelude::*};

pub(crate) use super::random::Random;
use super::{Action, Address, Matcher, PortRange, Ports, PrefixSet, Protocol, Rule, RuleId, TcpFlags};

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

/// The sets that [`arbitrary_rule`] names.
pub(crate) fn sets() -> Vec<Arc<PrefixSet>> {
    let set = |name: &str, prefixes: [&str; 3]| {
        Arc::new(PrefixSet::new(name, false, prefixes.map(|prefix| prefix.parse().unwrap())))
    };
    vec![
        set("office", ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"]),
        set("bad-hosts.1", ["0.0.0.0/1", "198.51.100.0/24", "3000::/4"]),
    ]
}

/// Names of [`sets`].
pub(crate) fn set_names() -> Vec<String> {
    sets().iter().map(|set| set.name().to_owned()).collect()
}

/// Any rule that the checks let through, all fields; chains are `default` and `web`, sets those of [`sets`], and none
/// ends before 2033.
pub(crate) fn arbitrary_rule() -> impl Strategy<Value = Rule> {
    let address = || option::weighted(0.3, prop_oneof![Just("office"), Just("bad-hosts.1")]);
    let flags = option::of((any::<u8>(), any::<u8>()));
    let vlan = option::weighted(0.4, prop_oneof![Just(0_u16), 1..=4094_u16]);
    let expires = option::of((2_000_000_000..9_000_000_000_i64, prop_oneof![Just(0), 0..1_000_000_000_i32]));
    let more = (address(), address(), flags, vlan, any::<bool>(), expires, more_ports(), more_ports());
    (plain_rule(), more).prop_map(|(mut rule, (src, dst, flags, vlan, monitor, expires, sport, port))| {
        let matcher = &mut rule.matcher;
        for (place, set) in [(&mut matcher.src, src), (&mut matcher.dst, dst)] {
            if let Some(name) = set {
                *place = Some(Address::Set(name.to_owned()));
            }
        }
        for (place, more) in [(&mut matcher.sport, sport), (&mut matcher.port, port)] {
            *place = place.take().and_then(|ports| Ports::new(ports.ranges().iter().copied().chain(more)));
        }
        let flags = flags.map(|(set, clear)| TcpFlags { set, clear: clear & !set });
        matcher.tcp_flags = flags.filter(|flags| matcher.proto == Some(Protocol::TCP) && flags.named() > 0);
        matcher.vlan = vlan;
        rule.monitor = monitor && rule.action == Action::Drop;
        rule.expires = expires.map(|(second, nanosecond)| Timestamp::new(second, nanosecond).unwrap());
        rule
    })
}

/// Any rule that the checks let through, of prefixes, one range of ports on each side, and a protocol.
pub(crate) fn plain_rule() -> impl Strategy<Value = Rule> {
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

fn more_ports() -> impl Strategy<Value = Vec<PortRange>> {
    proptest::collection::vec(arbitrary_range(), 0..4)
}

fn arbitrary_range() -> impl Strategy<Value = PortRange> {
    (any::<u16>(), any::<u16>()).prop_map(|(a, b)| PortRange { first: a.min(b), last: a.max(b) })
}

fn arbitrary_action() -> impl Strategy<Value = Action> {
    let inspect = |chain: &str| Just(Action::Inspect { chain: chain.to_owned() });
    prop_oneof![Just(Action::Pass), Just(Action::Drop), inspect("default"), inspect("web")]
}

fn arbitrary_matcher() -> impl Strategy<Value = Matcher> {
    let port = || option::of(arbitrary_range());
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
