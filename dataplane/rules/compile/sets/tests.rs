//! The tries of sets against [`PrefixSet::contains`], without a kernel.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use proptest::prelude::*;

use super::{super::NODE_ENTRIES, *};
use crate::rules::testing::Random;
use walk::class;

const LINE: usize = 8;

fn set(name: &str, prefixes: impl IntoIterator<Item = IpNet>) -> Arc<PrefixSet> {
    Arc::new(PrefixSet::new(name, false, prefixes))
}

fn of(prefixes: &[&str]) -> SetTries {
    compile_sets(&[set("a", prefixes.iter().map(|text| text.parse().unwrap()))]).unwrap()
}

/// Lines behind the roots.
fn lines(tries: &SetTries) -> usize {
    tries.lines.len() / LINE - 2 * nodes::ROOT_LINES
}

/// The first and last address of `net`, and those around them.
fn edges(net: IpNet) -> [IpAddr; 4] {
    match net {
        IpNet::V4(net) => {
            let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
            [first, last, first.wrapping_sub(1), last.wrapping_add(1)].map(|bits| Ipv4Addr::from_bits(bits).into())
        }
        IpNet::V6(net) => {
            let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
            [first, last, first.wrapping_sub(1), last.wrapping_add(1)].map(|bits| Ipv6Addr::from_bits(bits).into())
        }
    }
}

/// Every edge of every prefix is in the sets that the tries say, and in no other.
fn assert_agree(sets: &[Arc<PrefixSet>]) {
    let tries = compile_sets(sets).unwrap();
    for net in sets.iter().flat_map(|set| set.prefixes()) {
        for address in edges(*net) {
            let found = tries.masks[class(&tries, address) as usize];
            let expected = sets.iter().enumerate().filter(|(_, set)| set.contains(address));
            let expected = expected.fold(0, |mask: Mask, (number, _)| mask | 1 << number);
            assert_eq!(found, expected, "{address} in {sets:?}");
        }
    }
}

/// Prefixes that often lie in each other and beside each other.
fn nested(v4: bool) -> impl Strategy<Value = IpNet> {
    // Few values for each byte, so that prefixes share their beginnings.
    let byte = || prop_oneof![Just(0_u8), Just(1), Just(0x7f), Just(0x80), Just(0xff), any::<u8>()];
    let bytes = proptest::collection::vec(byte(), if v4 { 4 } else { 16 });
    (bytes, any::<u16>()).prop_map(move |(bytes, len)| {
        let len = u8::try_from(len % if v4 { 33 } else { 129 }).unwrap();
        let address: IpAddr = match <[u8; 4]>::try_from(bytes.as_slice()) {
            Ok(bytes) => bytes.into(),
            Err(_) => <[u8; 16]>::try_from(bytes).unwrap().into(),
        };
        IpNet::new_assert(address, len).trunc()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn an_address_has_the_class_of_the_sets_that_hold_it(
        sets in proptest::collection::vec(
            proptest::collection::vec(prop_oneof![nested(true), nested(false)], 0..60), 0..6,
        ),
    ) {
        assert_agree(&sets.into_iter().map(|nets| set("a", nets)).collect::<Vec<_>>());
    }
}

#[test]
fn empty_and_whole_sets_of_one_family_and_64_sets_agree() {
    assert_agree(&[]);
    let whole = |text: &str| set("whole", [text.parse().unwrap()]);
    assert_agree(&[set("empty", []), whole("0.0.0.0/0"), whole("::/0")]);
    let tries = compile_sets(&[set("empty", []), whole("0.0.0.0/0")]).unwrap();
    assert_eq!(tries.masks[class(&tries, "198.51.100.7".parse().unwrap()) as usize], 0b10);
    assert_eq!(class(&tries, "2001:db8::1".parse().unwrap()), 0);
    let mut random = Random(64);
    let many: Vec<_> = (0..64)
        .map(|_| {
            let net = |_| IpNet::new_assert(Ipv4Addr::from([10, 0, random.byte(), random.byte()]).into(), 22);
            set("a", (0..40).map(net))
        })
        .collect();
    assert_agree(&many);
    let more: Vec<_> = many.iter().chain(&many[..1]).cloned().collect();
    assert_eq!(compile_sets(&more).unwrap_err(), RuleError::TooManySets { count: 65 });
}

#[test]
fn nodes_with_many_runs_agree_at_every_byte() {
    // Every other address of a /24, and a few of the next: 256 runs, and each number of runs around a whole line.
    for hosts in [3, 4, 11, 12, 27, 128] {
        let nets = (0..hosts).map(|host| Ipv4Addr::from([10, 1, 2, host * 2 + u8::from(hosts < 128)]).into());
        let v6 = (0..hosts).map(|host| Ipv6Addr::from_bits(0xfd00 << 112 | (u128::from(host) * 2) << 8).into());
        let tries = compile_sets(&[set("a", nets.chain(v6).map(|ip: IpAddr| ip.into()))]).unwrap();
        for low in 0..=u8::MAX {
            let expected = low % 2 == u8::from(hosts < 128) && low / 2 < hosts;
            assert_eq!(class(&tries, [10, 1, 2, low].into()) == 1, expected, "{low} of {hosts}");
            let v6 = IpAddr::from(Ipv6Addr::from_bits(0xfd00 << 112 | u128::from(low) << 8));
            assert_eq!(class(&tries, v6) == 1, low % 2 == 0 && low / 2 < hosts, "{v6} of {hosts}");
        }
    }
}

#[test]
fn what_says_nothing_new_takes_no_room() {
    let outer = of(&["10.0.0.0/8"]);
    let inner = of(&["10.0.0.0/8", "10.1.0.0/16", "10.2.3.4/32", "10.0.0.0/9"]);
    assert_eq!(outer.lines, inner.lines);
    // Halves that are one together: no node for them.
    assert_eq!(of(&["10.1.2.0/25", "10.1.2.128/25"]).lines, of(&["10.1.2.0/24"]).lines);
}

#[test]
fn a_node_of_nodes_that_are_all_alike_keeps_its_step() {
    // Each /24 of a /16 has the same node, so the node above has one run, which must not stand for it.
    let nets: Vec<IpNet> = (0..=u8::MAX).map(|low| IpNet::from(IpAddr::from([10, 1, low, 7]))).collect();
    let tries = compile_sets(&[set("a", nets)]).unwrap();
    assert_eq!(lines(&tries), 2);
    assert_eq!(class(&tries, [10, 1, 9, 7].into()), 1);
    assert_eq!(class(&tries, [10, 1, 7, 9].into()), 0);
}

#[test]
fn scattered_hosts_take_little_room_in_either_family() {
    let mut random = Random(11);
    let mut bits = || u128::from(random.next()) << 64 | u128::from(random.next());
    let v4: Vec<IpNet> =
        (0..20_000).map(|_| IpAddr::from(Ipv4Addr::from_bits(u32::try_from(bits() >> 96).unwrap())).into()).collect();
    let tries = compile_sets(&[set("a", v4)]).unwrap();
    // A line for a node of each /16, and a few that are shared below.
    assert!(lines(&tries) < 20_000, "{}", lines(&tries));
    let v6: Vec<IpNet> = (0..20_000).map(|_| IpAddr::from(Ipv6Addr::from_bits(bits())).into()).collect();
    let tries = compile_sets(&[set("a", v6)]).unwrap();
    assert!(lines(&tries) < 26_000, "{}", lines(&tries));
}

#[test]
fn a_class_is_named_once_however_many_prefixes_it_has() {
    let hosts = |from: u8, to: u8| (from..to).map(|low| IpNet::from(IpAddr::from([10, 0, low, 1])));
    let tries = compile_sets(&[set("a", hosts(0, 100)), set("b", hosts(50, 150))]).unwrap();
    assert_eq!(tries.masks, [0, 0b01, 0b11, 0b10]);
    assert_eq!(NODE_ENTRIES, 256);
}
