//! Publications while packets come on every core: each packet meets the old rules or the new ones, and none is lost.

use std::{
    net::{IpAddr, Ipv4Addr},
    os::fd::AsFd,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
};

use super::{Filter, sys};
use crate::{
    plane::FailPolicy,
    rules::{Action, Rule, Ruleset, testing::rule},
    wire::testing::tcp4,
};

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
/// Flows, each with a rule of its own.
const FLOWS: u32 = 64;

fn host(id: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0000 + id)
}

/// What becomes of flow `id` in odd and even rulesets.
fn action(id: u32, turn: u32) -> Action {
    if (id + turn).is_multiple_of(2) { Action::Drop } else { Action::Pass }
}

/// A rule for each flow. Rulesets of odd and even turns say the opposite of each flow, in the opposite order, with other
/// rules between them in tables of another size: a packet that met parts of both would meet another flow's rule, or none.
/// What no rule matches goes to inspection, where nothing is served: it follows the fail policy, and is counted.
fn ruleset(turn: u32) -> Ruleset {
    let flow = |id: u32| {
        let mut rule = rule(id, |matcher| matcher.dst = Some(IpAddr::from(host(id)).into()));
        rule.action = action(id, turn);
        let place = i32::try_from(id).unwrap();
        rule.priority = if turn.is_multiple_of(2) { place } else { -place };
        rule
    };
    let other = |id: u32| {
        let mut rule: Rule = rule(id, |matcher| {
            matcher.src = Some(IpAddr::from(host(id)).into());
            matcher.vlan = Some(9);
        });
        rule.priority = 1000;
        rule
    };
    let others = if turn.is_multiple_of(2) { 1000..1000 } else { 1000..1300 };
    Ruleset::new((1..=FLOWS).map(flow).chain(others.map(other)).collect(), Action::Inspect { chain: "none".into() })
}

fn swap(publications: u32) {
    let chains = ["none".to_owned()];
    let packets: Vec<Vec<u8>> = (1..=FLOWS).map(|id| tcp4([192, 0, 2, 1], host(id).octets(), 1, 2)).collect();
    let runs: Vec<AtomicU64> = packets.iter().map(|_| AtomicU64::new(0)).collect();
    let mut filter = Filter::load(FailPolicy::Closed).unwrap();
    filter.publish(&ruleset(0), &chains).unwrap();
    let program = filter.entry_program().unwrap();
    let done = AtomicBool::new(false);
    let (packets, runs, program, done) = (&packets, &runs, program.as_fd(), &done);
    let load = move || {
        let (mut old, mut new) = (0_u64, 0_u64);
        while !done.load(Relaxed) {
            for ((id, packet), runs) in (1..).zip(packets).zip(runs) {
                let verdict = sys::run(program, packet).unwrap();
                runs.fetch_add(1, Relaxed);
                match (verdict, action(id, 0)) {
                    (XDP_DROP, Action::Drop) | (XDP_PASS, Action::Pass) => old += 1,
                    (XDP_DROP | XDP_PASS, _) => new += 1,
                    (other, _) => panic!("a third verdict, {other}"),
                }
            }
        }
        (old, new)
    };
    thread::scope(|scope| {
        let cores = thread::available_parallelism().unwrap().get();
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(load)).collect();
        for turn in 1..=publications {
            filter.publish(&ruleset(turn), &chains).unwrap();
            for ((id, packet), runs) in (1..).zip(packets).zip(runs) {
                let expected = if action(id, turn) == Action::Drop { XDP_DROP } else { XDP_PASS };
                assert_eq!(sys::run(program, packet).unwrap(), expected, "what is published is live at once");
                runs.fetch_add(1, Relaxed);
            }
        }
        done.store(true, Relaxed);
        let seen: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        println!("{publications} publications; packets that met the even rules and the odd ones, by core: {seen:?}");
        assert!(seen.iter().all(|(even, odd)| *even > 0 && *odd > 0), "{seen:?}");
    });
    // Each packet was counted for its own rule, once, and none met the default action or an empty slot.
    for count in filter.rule_counts() {
        let wanted =
            count.id.0.checked_sub(1).and_then(|flow| runs.get(flow as usize)).map_or(0, |runs| runs.load(Relaxed));
        assert_eq!(count.count.packets, wanted, "{}", count.id);
    }
    assert_eq!(filter.default_count().packets, 0);
    assert!(filter.events().unwrap().iter().all(|event| event.value == 0), "{:?}", filter.events());
    assert_eq!(filter.generation(), u64::from(publications) + 1);
}

#[test]
#[ignore = "needs root"]
fn every_packet_meets_the_old_rules_or_the_new_ones() {
    swap(20);
}

#[test]
#[ignore = "needs root; takes minutes"]
fn a_thousand_publications_under_load() {
    swap(1000);
}
