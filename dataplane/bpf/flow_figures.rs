//! What an offloaded packet and an order cost, measured: the figures of `docs/offload.md`.

use std::{
    net::IpAddr,
    os::fd::{AsFd, BorrowedFd},
    path::Path,
};

use super::{
    Exit, Filter, Offload,
    flow_tests::{HOUR, LOOPBACK, chains, data, inspecting, offload, order},
    sys,
    tests::{ip, isolated},
};
use crate::{
    clock,
    flow::FlowVerdict,
    plane::FailPolicy,
    rules::{
        Action,
        shapes::{self, Families, Shape},
        testing::Random,
    },
    service::Mac,
};

/// What a packet costs that is offloaded, beside one that 10 rules or 1,000 pass; and what an order costs.
#[test]
#[ignore = "needs root"]
fn cost_of_an_offloaded_packet() {
    isolated(measure);
}

/// What a frame takes from end to end that a cleared flow sends into a veth, beside a program that only redirects. One core
/// does everything: the program, the redirect, and the other end's NAPI with a program that drops.
#[test]
#[ignore = "needs root"]
fn an_offloaded_flow_beside_a_raw_redirect() {
    const FRAMES: u32 = 1 << 20;
    isolated(|bpffs| {
        ["near.1", "far"].iter().for_each(|dev| ip(&format!("link set {dev} up")));
        let index = |dev| i32::try_from(nix::net::if_::if_nametoindex(dev).unwrap()).unwrap();
        // r0 = XDP_DROP; exit.
        let drop_all = sys::assemble(&[(0xb7, 0, 0, 1), (0x95, 0, 0, 0)]).unwrap();
        let _far = sys::create_xdp_link(drop_all.as_fd(), index("far"), false).unwrap();
        // return bpf_redirect(near, 0).
        let raw = [(0xb7, 1, 0, index("near.1")), (0xb7, 2, 0, 0), (0x85, 0, 0, 23), (0x95, 0, 0, 0)];
        let raw = sys::assemble(&raw).unwrap();
        let (mut filter, cache) = inspecting(true);
        filter.attach("near.1", false, bpffs).unwrap();
        let ifindex = u32::try_from(index("near.1")).unwrap();
        let exit = Exit { ifindex, mtu: 1500, split: false, dst_mac: Mac([2, 2, 3, 4, 5, 6]), src_mac: Mac([6; 6]) };
        cache.set_exits(&[(0, IpAddr::from([10, 0, 0, 5]), exit)]).unwrap();
        cache.write(&[order(&data(1), FlowVerdict::Cleared, 1, clock::monotonic_ns() + HOUR)]).unwrap();
        let ours = filter.entry_program().unwrap();
        let time = |program: BorrowedFd<'_>| {
            let begin = std::time::Instant::now();
            sys::run_live(program, &data(1), FRAMES).unwrap();
            begin.elapsed().as_nanos() as f64 / f64::from(FRAMES)
        };
        // Warm, then in turns.
        let warm = time(raw.as_fd()) + time(ours.as_fd());
        assert!(warm > 0.0);
        let mut rounds: Vec<_> = (0..9).map(|_| (time(raw.as_fd()), time(ours.as_fd()))).collect();
        rounds.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
        for (raw, ours) in &rounds {
            println!("raw redirect {raw:.0} ns, offloaded flow {ours:.0} ns a frame: {:.2} of its rate", raw / ours);
        }
        let forwarded = filter.actions().unwrap().into_iter().find(|action| action.name == "forward").unwrap().value;
        assert_eq!(forwarded.packets, 10 * u64::from(FRAMES), "all by the flow");
        filter.detach_all().unwrap();
    });
}

fn measure(bpffs: &Path) {
    const RUNS: u32 = 20_000;
    println!("rules  no offload  passed  cleared  forwarded  condemned  (ns a packet, median of 15)");
    for count in [0, 10, 1000] {
        let mut random = Random(7);
        let mut ruleset = shapes::ruleset(Shape::Acl, Families::V4, count, &mut random);
        ruleset.rules.iter_mut().for_each(|rule| rule.action = Action::Pass);
        ruleset.default_action = Action::Pass;
        let cost = |with: Offload, verdict: Option<FlowVerdict>| {
            let mut filter = Filter::with_offload(FailPolicy::Open, with).unwrap();
            filter.publish(&ruleset, &chains()).unwrap();
            filter.attach("near.1", false, bpffs).unwrap();
            let exit = Exit {
                ifindex: LOOPBACK,
                mtu: 1500,
                split: false,
                dst_mac: Mac([2, 2, 3, 4, 5, 6]),
                src_mac: Mac([6; 6]),
            };
            let cache = filter.flow_cache();
            cache.set_exits(&[(0, IpAddr::from([10, 0, 0, 5]), exit)]).unwrap();
            let until = clock::monotonic_ns() + HOUR;
            let orders: Vec<_> =
                (2..200).map(|at| order(&data(at), verdict.unwrap_or(FlowVerdict::Cleared), 1, until)).collect();
            if with.flows {
                cache.write(&orders).unwrap();
            }
            let packet = if verdict.is_some() { data(7) } else { data(250) };
            let mut times: Vec<_> = (0..15).map(|_| filter.time(&packet, RUNS)).collect();
            times.sort_unstable();
            if verdict.is_some() {
                let event = |name| filter.events().unwrap().iter().find(|event| event.name == name).unwrap().value;
                let dealt = event("flow_cleared") + event("flow_condemned");
                // A forwarded packet loses a TTL at each run of the same bytes, and goes by the rules at the end.
                assert!(dealt > 0, "it was not offloaded");
            }
            filter.detach_all().unwrap();
            times[7]
        };
        let [cleared, condemned] = [Some(FlowVerdict::Cleared), Some(FlowVerdict::Condemned)];
        println!(
            "{count:>5} {:>11} {:>7} {:>8} {:>10} {:>10}",
            cost(Offload::default(), None),
            cost(offload(false), None),
            cost(offload(false), cleared),
            cost(offload(true), cleared),
            cost(offload(false), condemned),
        );
    }
    let (_filter, cache) = inspecting(false);
    let until = clock::monotonic_ns() + HOUR;
    for size in [1_u32, 16, 64, 256, 1024] {
        let orders: Vec<_> =
            (0..size).map(|at| order(&data(u8::try_from(at % 256).unwrap()), FlowVerdict::Cleared, 1, until)).collect();
        let rounds = 20_000 / size;
        let begin = std::time::Instant::now();
        for _ in 0..rounds {
            cache.write(&orders).unwrap();
        }
        println!("{size:>5} orders a system call: {} ns each", begin.elapsed().as_nanos() / u128::from(rounds * size));
    }
    let queue = crate::flow::OrderQueue::new(1 << 16);
    let one = order(&data(1), FlowVerdict::Cleared, 1, until);
    let begin = std::time::Instant::now();
    (0..1 << 16).for_each(|_| queue.push(one));
    println!("an order into the queue: {} ns", begin.elapsed().as_nanos() >> 16);
}
