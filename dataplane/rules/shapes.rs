//! Rulesets in the shapes that real ones have, and packets that hit their corners; for tests.
//!
//! The shapes are those that packet-classification benchmarks tell apart: access lists (exact destinations, exact
//! ports), firewalls (many wildcards, ranges of source ports), and chains between pairs of networks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::{Action, Address, Matcher, PortRange, Ports, Protocol, Rule, RuleId, Ruleset, TcpFlags, testing::Random};
use crate::wire::testing::Flow;

/// What kind of ruleset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Acl,
    Firewall,
    Chain,
}

/// All shapes.
pub(crate) const SHAPES: [Shape; 3] = [Shape::Acl, Shape::Firewall, Shape::Chain];

/// Which families the rules are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Families {
    V4,
    V6,
    Both,
}

/// A ruleset of `count` enabled rules; chains are `default` and `web`.
pub(crate) fn ruleset(shape: Shape, families: Families, count: u32, random: &mut Random) -> Ruleset {
    let networks = 4 + count / 20;
    let rules = (1..=count).map(|id| rule(shape, families, id, networks, random)).collect();
    Ruleset::new(rules, action(random))
}

fn rule(shape: Shape, families: Families, id: u32, networks: u32, random: &mut Random) -> Rule {
    let v6 = match families {
        Families::V4 => false,
        Families::V6 => true,
        Families::Both => random.byte() < 128,
    };
    // Of 256, how often a source and a destination are given.
    let (src, dst) = match shape {
        Shape::Acl => (150, 250),
        Shape::Firewall => (130, 130),
        Shape::Chain => (230, 230),
    };
    let mut prefix = |share: u8| (random.byte() < share).then(|| net(v6, networks, random));
    let (src, dst) = (prefix(src), prefix(dst));
    let proto =
        random.pick(&[Some(6), Some(6), Some(6), Some(17), Some(17), Some(132), Some(1), Some(47), Some(60), None]);
    let proto = proto.map(Protocol);
    let with_ports = proto.is_none_or(Protocol::has_ports);
    let sports = if shape == Shape::Acl { 4 } else { 80 };
    let sport = (with_ports && random.byte() < sports).then(|| range(random));
    let port = (with_ports && random.byte() < 200).then(|| range(random));
    let priority = random.pick(&[0, 0, 0, 0, 0, 0, 0, 5, -3]);
    let matcher = Matcher {
        src: src.map(Address::Net),
        dst: dst.map(Address::Net),
        sport: sport.map(Ports::from),
        port: port.map(Ports::from),
        proto,
        ..Matcher::default()
    };
    Rule { priority, ..Rule::new(RuleId(id), matcher, action(random)) }
}

/// Give a share of the rules what few rulesets use: lists of ports, VLANs, TCP flags, and monitor mode.
pub(crate) fn season(ruleset: &mut Ruleset, random: &mut Random) {
    for rule in &mut ruleset.rules {
        let Matcher { sport, port, proto, tcp_flags, vlan, .. } = &mut rule.matcher;
        for ports in [sport, port] {
            if ports.is_some() && random.byte() < 80 {
                *ports = Ports::new((0..5).map(|_| range(random)));
            }
        }
        if *proto == Some(Protocol::TCP) && random.byte() < 90 {
            *tcp_flags = Some(random.pick(&FLAGS));
        }
        *vlan = (random.byte() < 50).then(|| random.pick(&VLANS));
        rule.monitor = rule.action == Action::Drop && random.byte() < 80;
    }
    ruleset.monitor = random.byte() < 60;
}

const VLANS: [u16; 5] = [0, 1, 5, 100, 4095];
/// A connection's start, an answer, a reset, segments that no stack sends.
const FLAGS: [TcpFlags; 5] = [
    TcpFlags { set: 0x02, clear: 0x10 },
    TcpFlags { set: 0x10, clear: 0 },
    TcpFlags { set: 0x04, clear: 0 },
    TcpFlags { set: 0x29, clear: 0x16 },
    TcpFlags { set: 0, clear: 0xff },
];

fn action(random: &mut Random) -> Action {
    let inspect = |chain: &str| Action::Inspect { chain: chain.to_owned() };
    random.pick(&[Action::Pass, Action::Drop, inspect("default"), inspect("web")])
}

fn range(random: &mut Random) -> PortRange {
    let known = [20, 22, 25, 53, 80, 110, 123, 143, 161, 443, 445, 993, 1433, 3306, 5060, 8080];
    let (first, last) = match random.byte() {
        0..140 => (random.pick(&known), 0),
        140..170 => (1024, 65535),
        170..180 => (0, 1023),
        180..190 => (0, 65535),
        190..200 => (65535, 65535),
        200..220 => (random.port(), 0),
        _ => {
            let first = random.port();
            (first, first.saturating_add(u16::from(random.byte()) * 4))
        }
    };
    PortRange { first, last: last.max(first) }
}

/// A prefix in one of `networks` networks: hosts mostly, then subnets, then whole networks; anything at times.
fn net(v6: bool, networks: u32, random: &mut Random) -> IpNet {
    let network = random.below(usize::try_from(networks).unwrap());
    let low = random.next();
    let address: IpAddr = if v6 {
        // /48 networks of one /32, subnets of 64 bits, hosts numbered from below or at random.
        let host = if low & 3 == 0 { u128::from(random.next()) } else { u128::from((low >> 8) & 0xff) };
        let subnet = u128::from((low >> 16) & 0xf);
        let network = u128::try_from(network).unwrap();
        Ipv6Addr::from((0x2001_0db8_u128 << 96) | (network << 80) | (subnet << 64) | host).into()
    } else {
        // /24 networks under different /8.
        let network = u32::try_from(network).unwrap();
        let high = 10 + network % 5 * 38;
        let host = u32::try_from(low & 0xff).unwrap();
        Ipv4Addr::from((high << 24) | ((network / 5) << 8) | host).into()
    };
    let lengths: [u8; 12] = if v6 {
        [128, 128, 128, 64, 64, 64, 48, 48, 127, 61, 32, 3 + random.byte() % 126]
    } else {
        [32, 32, 32, 32, 24, 24, 24, 28, 31, 17, 16, random.byte() % 33]
    };
    IpNet::new(address, random.pick(&lengths)).unwrap().trunc()
}

/// A flow at or around the edges of what a rule matches, or of two rules at once.
pub(crate) fn flow(ruleset: &Ruleset, random: &mut Random) -> Flow {
    let any = Matcher::default();
    let pick = |random: &mut Random| match ruleset.rules.len() {
        0 => &any,
        count => &ruleset.rules[random.below(count)].matcher,
    };
    let one = pick(random);
    let other = if random.byte() < 80 { pick(random) } else { one };
    let v6 = one.src_net().or(one.dst_net()).map_or_else(|| random.byte() < 128, |net| matches!(net, IpNet::V6(_)));
    let mut address = |net: Option<IpNet>| match net {
        Some(net) if matches!(net, IpNet::V6(_)) == v6 => near(net, random),
        _ => anywhere(v6, random),
    };
    let (src, dst) = (address(one.src_net()), address(other.dst_net()));
    let protocol = one.proto.map_or_else(|| random.pick(&[6, 17, 132, 1, 58, 47, 60, 44]), |proto| proto.0);
    let protocol = if random.byte() < 30 { random.pick(&[6, 17, 132, 1, 47]) } else { protocol };
    let (sport, port) = (port(one.sport.as_ref(), random), port(other.port.as_ref(), random));
    let vlan = match random.byte() {
        0..20 => random.pick(&VLANS),
        _ => one.vlan.or(other.vlan).unwrap_or(0),
    };
    let tcp_flags = match one.tcp_flags.or(other.tcp_flags) {
        Some(TcpFlags { set, clear }) if random.byte() < 220 => (random.byte() | set) & !clear,
        _ => random.pick(&[0x02, 0x10, 0x12, 0x18, 0x04, 0]),
    };
    Flow { src, dst, protocol, sport, port, tcp_flags, vlan }
}

/// The first, last or any address of a prefix, or the one before or after it.
pub(crate) fn near(net: IpNet, random: &mut Random) -> IpAddr {
    let (first, last, bits) = match net {
        IpNet::V4(net) => (u128::from(net.network().to_bits()), u128::from(net.broadcast().to_bits()), 32),
        IpNet::V6(net) => (net.network().to_bits(), net.broadcast().to_bits(), 128),
    };
    let inside = (u128::from(random.next()) << 64) | u128::from(random.next());
    let address = match random.byte() {
        0..70 => first,
        70..120 => last,
        120..140 => first.wrapping_sub(1),
        140..160 => last.wrapping_add(1),
        _ => first + inside % (last - first).max(1),
    };
    if bits == 32 {
        Ipv4Addr::from(u32::try_from(address & 0xffff_ffff).unwrap()).into()
    } else {
        Ipv6Addr::from(address).into()
    }
}

fn anywhere(v6: bool, random: &mut Random) -> IpAddr {
    if v6 {
        return Ipv6Addr::from((u128::from(random.next()) << 64) | u128::from(random.next())).into();
    }
    Ipv4Addr::from(u32::try_from(random.next() >> 32).unwrap()).into()
}

fn port(ports: Option<&Ports>, random: &mut Random) -> u16 {
    let Some(ports) = ports else {
        return random.port();
    };
    let PortRange { first, last } = random.pick(ports.ranges());
    match random.byte() {
        0..80 => first,
        80..160 => last,
        160..175 => first.wrapping_sub(1),
        175..190 => last.wrapping_add(1),
        _ => first + random.port() % (last - first).max(1),
    }
}
