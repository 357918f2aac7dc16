//! Sets and blocklists in the kernel: against the reference model, and across generations.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use ipnet::IpNet;

use super::{
    BpfError, Filter,
    differential::{compare, random_action, random_rule},
};
use crate::{
    plane::FailPolicy,
    rules::{
        Action, Address, PrefixSet, Rule, RuleError, RuleId, Ruleset, shapes,
        testing::{Random, rule},
    },
    wire::testing::{Flow, disguised, packet, tcp4},
};

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const LOOPBACK: u32 = 1;

/// Prefixes that often lie in each other, of both families, around the addresses that random rules name.
fn random_prefix(random: &mut Random) -> IpNet {
    let few = [0, 0, 1, 5, 127, 128, 255];
    let byte = |random: &mut Random| random.pick(&few);
    let (address, longest): (IpAddr, u8) = if random.byte() < 128 {
        let first = random.pick(&[[10, 0], [10, 0], [192, 168]]);
        ([first[0], first[1], byte(random), byte(random)].into(), 32)
    } else {
        let mut bytes = [0; 16];
        bytes[0] = 0xfd;
        for _ in 0..3 {
            bytes[1 + random.below(15)] = byte(random);
        }
        (bytes.into(), 128)
    };
    let length = match random.byte() {
        0..100 => longest,
        100..104 => random.byte() % 9,
        104..180 => longest - random.byte() % 16,
        _ => 8 + random.byte() % (longest - 7),
    };
    IpNet::new_assert(address, length).trunc()
}

fn random_sets(random: &mut Random) -> Vec<Arc<PrefixSet>> {
    let count = random.pick(&[1, 2, 5, 20, 64]);
    let set = |number| {
        let prefixes: Vec<IpNet> = (0..random.pick(&[0, 1, 3, 30, 400])).map(|_| random_prefix(random)).collect();
        let blocklist = random.byte() < 16;
        Arc::new(PrefixSet::new(format!("set-{number}"), blocklist, prefixes))
    };
    (0..count).map(set).collect()
}

/// Random rules of which many name a set.
fn random_ruleset(random: &mut Random) -> Ruleset {
    let sets = random_sets(random);
    let named = |random: &mut Random, address: &mut Option<Address>| {
        if random.byte() < 110 {
            *address = Some(Address::Set(random.pick(&sets).name().to_owned()));
        }
    };
    let mut rules: Vec<Rule> = Vec::new();
    for id in 1..=random.pick(&[0, 1, 10, 70, 300]) {
        let mut rule = random_rule(random, id);
        named(random, &mut rule.matcher.src);
        named(random, &mut rule.matcher.dst);
        rules.push(rule);
    }
    let mut ruleset = Ruleset { sets: sets.clone(), ..Ruleset::new(rules, random_action(random)) };
    if random.byte() < 170 {
        shapes::season(&mut ruleset, random);
    }
    ruleset.monitor = random.byte() < 60;
    ruleset
}

/// An address at an edge of a prefix of a set, or what rules name.
fn random_address(ruleset: &Ruleset, v4: bool, random: &mut Random) -> IpAddr {
    let set = random.pick(&ruleset.sets);
    let prefixes: Vec<IpNet> = set.prefixes().iter().filter(|net| net.addr().is_ipv4() == v4).copied().collect();
    let net = if prefixes.is_empty() || random.byte() < 40 {
        std::iter::repeat_with(|| random_prefix(random)).find(|net| net.addr().is_ipv4() == v4).unwrap()
    } else {
        random.pick(&prefixes)
    };
    shapes::near(net, random)
}

fn random_packet(ruleset: &Ruleset, random: &mut Random) -> Vec<u8> {
    let v4 = random.byte() < 128;
    let [src, dst] = [(); 2].map(|()| random_address(ruleset, v4, random));
    let protocol = random.pick(&[6, 6, 17, 132, 1, 58, 60]);
    let ports = [80, 22, 443, 8080, 65535, 7];
    let (sport, port) = (random.pick(&ports), random.pick(&ports));
    let (tcp_flags, vlan) = (random.pick(&[2, 16, 4]), random.pick(&[0, 0, 5, 100]));
    let flow = Flow { src, dst, protocol, sport, port, tcp_flags, vlan };
    if random.byte() < 100 { packet(&flow) } else { disguised(&flow, || random.byte()) }
}

#[test]
#[ignore = "needs root"]
fn the_kernel_and_the_reference_model_agree_on_sets_and_blocklists() {
    let mut seen = BTreeMap::new();
    for seed in 1..=100_u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let ruleset = random_ruleset(&mut random);
        let packets: Vec<_> = (0..300).map(|_| random_packet(&ruleset, &mut random)).collect();
        let services = (0..50).map(|_| random_address(&ruleset, true, &mut random)).collect();
        compare(&ruleset, services, packets, &mut random, &mut seen);
    }
    println!("decided by: {seen:#?}");
    for cause in
        ["Blocklist 1", "Rule 1", "Rule 2", "Rule 4", "Default 1", "LaterFragment 4", "Undecidable(Truncated) 2"]
    {
        assert!(seen.get(cause).is_some_and(|count| *count > 20), "{cause}: {seen:#?}");
    }
}

fn set(name: &str, blocklist: bool, prefixes: &[&str]) -> Arc<PrefixSet> {
    Arc::new(PrefixSet::new(name, blocklist, prefixes.iter().map(|text| text.parse().unwrap())))
}

fn drops_to(id: u32, name: &str) -> Rule {
    let dst = Some(Address::Set(name.to_owned()));
    Rule { action: Action::Drop, ..rule(id, |m| m.dst = dst) }
}

fn verdict(filter: &Filter, src: [u8; 4], dst: [u8; 4]) -> u32 {
    filter.test_run(&tcp4(src, dst, 1, 2), LOOPBACK, 0).unwrap().0
}

fn event(filter: &Filter, name: &str) -> u64 {
    filter.events().unwrap().into_iter().find(|event| event.name == name).unwrap().value
}

const NEAR: [u8; 4] = [10, 0, 0, 1];
const FAR: [u8; 4] = [192, 0, 2, 1];

#[test]
#[ignore = "needs root"]
fn a_change_of_rules_keeps_the_tables_of_sets_and_a_change_of_a_set_replaces_them() {
    let mut filter = Filter::load(FailPolicy::Closed).unwrap();
    let mut ruleset = Ruleset::new(Vec::new(), Action::Pass);
    filter.publish(&ruleset, &[]).unwrap();
    assert_eq!(filter.memory().sets, 0);
    ruleset.sets = vec![set("a", false, &["10.0.0.0/8"])];
    ruleset.rules = vec![drops_to(1, "a")];
    filter.publish(&ruleset, &[]).unwrap();
    let (first, memory) = (filter.set_map(), filter.memory());
    assert_eq!((verdict(&filter, FAR, NEAR), verdict(&filter, NEAR, FAR)), (XDP_DROP, XDP_PASS));
    assert!(memory.sets >= 1 << 19 && memory.rules > 2 << 20, "{memory:?}");
    // Other rules over the same sets.
    ruleset.rules.push(rule(2, |m| m.src = Some(Address::Set("a".to_owned()))));
    ruleset.rules[1].priority = 7;
    filter.publish(&ruleset, &[]).unwrap();
    assert_eq!(filter.set_map(), first);
    assert_eq!((verdict(&filter, NEAR, NEAR), verdict(&filter, FAR, NEAR)), (XDP_PASS, XDP_DROP));
    // The same rules over another set.
    ruleset.sets = vec![set("a", false, &["192.0.2.0/24"])];
    filter.publish(&ruleset, &[]).unwrap();
    assert_ne!(filter.set_map(), first);
    assert_eq!((verdict(&filter, NEAR, FAR), verdict(&filter, FAR, NEAR)), (XDP_DROP, XDP_PASS));
    // And over a blocklist more, which comes before them.
    ruleset.sets.push(set("feed", true, &["192.0.2.1/32"]));
    filter.publish(&ruleset, &[]).unwrap();
    assert_eq!((verdict(&filter, FAR, NEAR), event(&filter, "blocklist")), (XDP_DROP, 1));
    assert_eq!((verdict(&filter, NEAR, NEAR), event(&filter, "blocklist")), (XDP_PASS, 1));
}

#[test]
#[ignore = "needs root"]
fn what_is_refused_leaves_the_live_rules_and_sets_in_place() {
    let mut filter = Filter::load(FailPolicy::Closed).unwrap();
    let live =
        Ruleset { sets: vec![set("a", false, &["10.0.0.0/8"])], ..Ruleset::new(vec![drops_to(1, "a")], Action::Pass) };
    filter.publish(&live, &[]).unwrap();
    let (map, memory) = (filter.set_map(), filter.memory());
    let many = Ruleset {
        sets: (0..65).map(|number| set(&format!("set-{number}"), false, &[])).collect(),
        ..Ruleset::new(Vec::new(), Action::Pass)
    };
    let refused = filter.publish(&many, &[]).unwrap_err();
    assert!(matches!(refused, BpfError::Rule(RuleError::TooManySets { count: 65 })), "{refused}");
    let unknown = Ruleset { rules: vec![drops_to(1, "b")], ..live.clone() };
    let refused = filter.publish(&unknown, &[]).unwrap_err();
    assert!(refused.to_string().contains("there are: @a"), "{refused}");
    assert_eq!((filter.set_map(), filter.memory(), filter.generation()), (map, memory, 1));
    assert_eq!(verdict(&filter, FAR, NEAR), XDP_DROP);
    // The tables still are those of the set that was live.
    filter.publish(&live, &[]).unwrap();
    assert_eq!(filter.set_map(), map);
}

#[test]
#[ignore = "needs root"]
fn a_blocklist_takes_packets_without_a_transport_header_but_no_neighbour_discovery() {
    let mut filter = Filter::load(FailPolicy::Open).unwrap();
    let ruleset = Ruleset {
        sets: vec![set("all", true, &["0.0.0.0/0", "::/0"])],
        ..Ruleset::new(vec![rule(1, |_| ())], Action::Pass)
    };
    filter.publish(&ruleset, &[]).unwrap();
    let whole = tcp4(NEAR, FAR, 1, 2);
    let run = |packet: &[u8]| filter.test_run(packet, LOOPBACK, 0).unwrap().0;
    assert_eq!(run(&whole), XDP_DROP);
    // Undecidable: the TCP header is cut. Its source is known all the same.
    assert_eq!(run(&whole[..40]), XDP_DROP);
    assert_eq!((event(&filter, "undecidable"), event(&filter, "blocklist")), (1, 2));
    // Cut in the IP header, it has no source: the fail policy.
    assert_eq!(run(&whole[..30]), XDP_PASS);
    let mut arp = whole.clone();
    arp[12..14].copy_from_slice(&[0x08, 0x06]);
    let (src, dst) = ("fe80::1".parse().unwrap(), "ff02::1".parse().unwrap());
    let mut solicitation = packet(&Flow { src, dst, protocol: 58, sport: 0, port: 0, tcp_flags: 0, vlan: 0 });
    (solicitation[14 + 7], solicitation[54]) = (255, 135);
    assert_eq!((run(&arp), run(&solicitation)), (XDP_PASS, XDP_PASS));
    assert_eq!((event(&filter, "blocklist"), event(&filter, "neighbour")), (2, 2));
    assert_eq!(filter.rule_counts()[0].count.packets, 0, "{:?}", RuleId(1));
}
