//! What a packet and a publication cost, measured: the figures of `docs/classifier.md`.

use std::{net::IpAddr, path::Path, time::Instant};

use super::{Filter, Offload, tables, tests::isolated};
use crate::{
    plane::FailPolicy,
    rules::{
        Action, Address, MAX_RULES, Ruleset, compile,
        shapes::{Families, SHAPES, flow, ruleset},
        testing::{Random, rule},
    },
    wire::testing::{packet, tcp4},
};

const RUNS: u32 = 1000;
const FLOWS: usize = 512;

#[test]
#[ignore = "needs root"]
fn cost_of_a_packet_and_of_a_publication() {
    isolated(measure);
}

fn measure(bpffs: &Path) {
    println!("shape     family   rules  tables KiB  compile ms  publish ms  ns: median   mean  worst");
    for shape in SHAPES {
        for families in [Families::V4, Families::V6] {
            for count in [10, 1000, 10_000] {
                let mut random = Random(u64::from(count));
                let mut ruleset = ruleset(shape, families, count, &mut random);
                no_inspection(&mut ruleset);
                let figures = figures(&ruleset, bpffs, &mut random);
                println!("{:<9} {:<6} {count:>7} {figures}", format!("{shape:?}"), format!("{families:?}"));
            }
        }
    }
}

fn figures(ruleset: &Ruleset, bpffs: &Path, random: &mut Random) -> String {
    let begin = Instant::now();
    let compiled = compile(ruleset, &[], &[0], |id| id.0).unwrap();
    let compiling = begin.elapsed().as_secs_f64() * 1e3;
    let kib = tables::total(&tables::contents(&compiled)) / 1024;
    let mut filter = Filter::load(FailPolicy::Open).unwrap();
    // Else every run but the first would measure the cache.
    filter.cache_verdicts(false);
    let begin = Instant::now();
    filter.publish(ruleset, &[]).unwrap();
    let publishing = begin.elapsed().as_secs_f64() * 1e3;
    // Attached natively somewhere: otherwise the kernel waits for a grace period before every test run.
    filter.attach("near.1", false, bpffs).unwrap();
    let mut ns: Vec<u128> = (0..FLOWS).map(|_| filter.time(&packet(&flow(ruleset, random)), RUNS)).collect();
    filter.detach_all().unwrap();
    ns.sort_unstable();
    let (median, mean, worst) = (ns[FLOWS / 2], ns.iter().sum::<u128>() / FLOWS as u128, ns[FLOWS - 1]);
    assert!(median < 5000, "{median} ns per packet: the lookup walks the rules");
    format!("{kib:>11} {compiling:>11.1} {publishing:>11.1} {median:>11} {mean:>6} {worst:>6}")
}

/// The most that a lookup can take: rules that fit by source and rules that fit by destination take turns, so that every
/// word has to be looked at and none has a rule.
#[test]
#[ignore = "needs root"]
fn cost_of_the_worst_packet() {
    let [from, to, other] =
        [[10, 0, 0, 1], [10, 0, 0, 2], [10, 0, 0, 3]].map(|ip| Some(Address::Net(IpAddr::from(ip).into())));
    let turns =
        |id: u32| if id.is_multiple_of(2) { (from.clone(), other.clone()) } else { (other.clone(), to.clone()) };
    let count = u32::try_from(MAX_RULES).unwrap();
    let rules = (1..=count).map(|id| rule(id, |m| (m.src, m.dst) = turns(id))).collect();
    let mut filter = Filter::load(FailPolicy::Open).unwrap();
    // Else every run but the first would measure the cache.
    filter.cache_verdicts(false);
    filter.publish(&Ruleset::new(rules, Action::Pass), &[]).unwrap();
    let ns = filter.time(&tcp4([10, 0, 0, 1], [10, 0, 0, 2], 1, 2), 10_000);
    println!("a packet that fits {count} rules by halves: {ns} ns");
    assert_eq!(filter.default_count().packets, 10_000);
    assert!(ns < 50_000, "{ns} ns");
}

/// What a packet of one buffer costs more where packets of several are taken too.
#[test]
#[ignore = "needs root"]
fn cost_of_being_ready_for_split_packets() {
    isolated(|bpffs| {
        let packet = tcp4([192, 0, 2, 1], [10, 0, 0, 2], 1, 2);
        let mut filters = [
            Filter::load(FailPolicy::Open).unwrap(),
            Filter::for_split_packets(FailPolicy::Open, Offload::default()).unwrap(),
        ];
        for filter in &mut filters {
            filter.publish(&Ruleset::new(vec![rule(1, |_| ())], Action::Pass), &[]).unwrap();
        }
        // As above; an attached program spares both the wait.
        filters[0].attach("near.1", false, bpffs).unwrap();
        filters[1].attach("far", false, &bpffs.join("../other")).unwrap();
        let mut rounds = [Vec::new(), Vec::new()];
        for _ in 0..31 {
            for (filter, times) in filters.iter().zip(&mut rounds) {
                times.push(filter.time(&packet, 200_000));
            }
        }
        let [plain, split] = rounds.map(|mut times| {
            times.sort_unstable();
            (times[7], times[15], times[23])
        });
        println!("quartiles, ns: one buffer only {plain:?}, several too {split:?}");
        filters.iter_mut().for_each(|filter| filter.detach_all().unwrap());
    });
}

/// Inspection of a test packet measures the fail policy.
fn no_inspection(ruleset: &mut Ruleset) {
    for action in ruleset.rules.iter_mut().map(|rule| &mut rule.action).chain([&mut ruleset.default_action]) {
        if matches!(action, Action::Inspect { .. }) {
            *action = Action::Drop;
        }
    }
}
