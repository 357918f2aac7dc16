//! What a million prefixes cost, measured: the figures of `docs/set-tables.md`.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
    sync::Arc,
    time::Instant,
};

use ipnet::IpNet;

use super::{Filter, tests::isolated};
use crate::{
    plane::FailPolicy,
    rules::{Action, MAX_SET_PREFIXES, PrefixSet, Ruleset, compile_sets, testing::Random},
    wire::testing::{Flow, packet},
};

const RUNS: u32 = 1000;
const FLOWS: usize = 2000;

/// What kind of prefixes a set has.
#[derive(Debug, Clone, Copy)]
enum Mix {
    /// Hosts, many in networks where others are, and a few networks.
    Threats,
    /// Networks of the lengths that are announced between providers.
    Routes,
    /// Hosts anywhere.
    Scattered,
    Threats6,
    Scattered6,
}

/// A prefix length by its share of a hundred.
fn length(shares: &[(u8, usize)], random: &mut Random) -> u8 {
    let mut at = random.below(100);
    let found = shares.iter().find(|(_, share)| at.checked_sub(*share).map(|rest| at = rest).is_none());
    found.unwrap().0
}

fn prefix(mix: Mix, random: &mut Random) -> IpNet {
    let high = random.next();
    let v4 = |bits: u64| IpAddr::from(Ipv4Addr::from_bits(u32::try_from(bits & 0xffff_ffff).unwrap()));
    let v6 = |random: &mut Random| (u128::from(random.next()) << 64) | u128::from(random.next());
    // Global unicast.
    let global = |bits: u128| IpAddr::from(Ipv6Addr::from_bits(bits >> 3 | 1 << 125));
    let (address, length) = match mix {
        // One of 60,000 networks, for two hosts of three.
        Mix::Threats if !high.is_multiple_of(3) => {
            let network = Random(1 + (high >> 32) % 60_000).next() >> 40;
            (v4(network << 8 | high & 0xff), length(&[(32, 100)], random))
        }
        Mix::Threats => (v4(high >> 32), length(&[(32, 78), (24, 18), (22, 2), (16, 2)], random)),
        Mix::Routes => {
            let lengths = [(24, 60), (23, 10), (22, 12), (21, 5), (20, 5), (19, 4), (18, 2), (16, 2)];
            (v4(high >> 32), length(&lengths, random))
        }
        Mix::Scattered => (v4(high >> 32), 32),
        Mix::Threats6 => (
            global(v6(random) & (u128::MAX << 96 | 0xffff_ffff_ffff) & !(0xfff << 100)),
            length(&[(128, 60), (64, 25), (48, 10), (40, 5)], random),
        ),
        Mix::Scattered6 => (global(v6(random)), 128),
    };
    IpNet::new_assert(address, length).trunc()
}

#[test]
#[ignore = "needs root; takes a minute"]
fn cost_of_a_million_prefixes() {
    isolated(measure);
}

fn measure(bpffs: &Path) {
    println!("mix         prefixes  set ms  compile ms  tables MiB  publish ms  rule change ms  ns: inside  outside");
    for mix in [Mix::Threats, Mix::Routes, Mix::Scattered, Mix::Threats6, Mix::Scattered6] {
        for count in [1000, MAX_SET_PREFIXES] {
            println!("{:<11} {count:>8} {}", format!("{mix:?}"), figures(mix, count, bpffs));
        }
    }
}

fn milliseconds<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let begin = Instant::now();
    let done = work();
    (begin.elapsed().as_secs_f64() * 1e3, done)
}

fn figures(mix: Mix, count: usize, bpffs: &Path) -> String {
    let mut random = Random(5);
    let prefixes: Vec<IpNet> = (0..count).map(|_| prefix(mix, &mut random)).collect();
    let (building, set) = milliseconds(|| Arc::new(PrefixSet::new("feed", true, prefixes)));
    let (compiling, tries) = milliseconds(|| compile_sets(std::slice::from_ref(&set)).unwrap());
    drop(tries);
    let ruleset = Ruleset { sets: vec![set.clone()], ..Ruleset::new(Vec::new(), Action::Pass) };
    let mut filter = Filter::load(FailPolicy::Open).unwrap();
    // Else every run but the first would measure the cache.
    filter.cache_verdicts(false);
    let (publishing, _) = milliseconds(|| filter.publish(&ruleset, &[]).unwrap());
    let (changing, _) = milliseconds(|| filter.publish(&ruleset, &[]).unwrap());
    // Attached natively somewhere: otherwise the kernel waits for a grace period before every test run.
    filter.attach("near.1", false, bpffs).unwrap();
    let mut median = |inside: bool| {
        let mut ns: Vec<u128> = (0..FLOWS)
            .map(|_| {
                let src = match inside {
                    true => random.pick(set.prefixes()).addr(),
                    false => prefix(mix, &mut random).addr(),
                };
                let dst = if src.is_ipv4() { [192, 0, 2, 1].into() } else { Ipv6Addr::LOCALHOST.into() };
                filter.time(&packet(&Flow { src, dst, protocol: 17, sport: 1, port: 2, tcp_flags: 0, vlan: 0 }), RUNS)
            })
            .collect();
        ns.sort_unstable();
        ns[FLOWS / 2]
    };
    let (inside, outside) = (median(true), median(false));
    filter.detach_all().unwrap();
    let mib = filter.memory().sets / (1 << 20);
    assert!(mib < 150 && inside < 2000, "{mib} MiB, {inside} ns");
    format!("{building:>7.0} {compiling:>11.0} {mib:>11} {publishing:>11.0} {changing:>15.0} {inside:>11} {outside:>8}")
}
