//! Real sockets on veth pairs, in a network namespace of the test's own.
//!
//! ```text
//!   sender (AF_PACKET) ── wrk-a ═ wrk-b ── XDP redirect ── worker 0 ── wrk-c ═ wrk-d ── reader (AF_PACKET)
//! ```

mod lab;

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use secuxflow_abi::{Chunk, Packet, verdict};

pub(super) use lab::{Lab, Redirect, ifindex, load, mac, packet, spec};
use lab::{Raw, SERVICE, ip};

use super::{Idle, OpenError, Options, WorkerError, Workers};
use crate::{
    egress::{Injection, turn_on},
    plane::{FailPolicy, Mode, ModeRequest, UmemLayout},
    process::{Classified, Classify, EgressId, Ingress, Inspect, Route, Snapshot},
    service::Netlink,
    wire,
    xsk::{Umem, XskError},
};

const LAYOUT: UmemLayout = UmemLayout { frames: 1024, frame_size: 4096, ring: 256 };

struct InspectAll;

impl Classify for InspectAll {
    fn classify(&self, _frame: &wire::Frame) -> Classified {
        Classified::Inspect { chain: 0, rule: 0 }
    }
}

/// Drops packets to port 666.
struct NoEvil;

impl Inspect for NoEvil {
    fn run(&mut self, _now_ns: u64, _chain: u16, packets: &mut [Packet], _chunks: &[Chunk]) {
        for packet in packets {
            packet.verdict = if packet.dst_port == 666 { verdict::DROP } else { verdict::PASS };
        }
    }
}

pub(in crate::worker) fn snapshot() -> Snapshot {
    let mut routes = HashMap::default();
    let route = Route { service: 0, egress: EgressId(0), dst_mac: mac("wrk-d"), src_mac: mac("wrk-c"), mtu: 1500 };
    routes.insert(IpAddr::from(SERVICE), route);
    Snapshot {
        routes,
        ingress: vec![Ingress { mac: mac("wrk-b"), repair_checksums: true }],
        classifier: Arc::new(InspectAll),
        generation: 1,
        chains: 1,
        default_chain: Some(0),
        fail_policy: FailPolicy::Closed,
        monitor: false,
    }
}

fn start(workers: u32) -> Workers {
    let umem = Umem::create(&LAYOUT, workers).unwrap();
    let options =
        Options { umem, workers, cores: vec![1, 0], batch: 64, idle: Idle::default(), flows: None, streaming: vec![] };
    let runners = (0..workers).map(|_| Box::new(NoEvil) as Box<dyn Inspect + Send>).collect();
    Workers::start(options, snapshot(), runners).unwrap()
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(5);
    while !condition() {
        assert!(Instant::now() < until, "never came true: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
#[ignore = "needs root"]
fn packets_go_from_one_veth_to_the_other_and_every_frame_comes_back() {
    let lab = Lab::new("fwd");
    lab.run(|| {
        let redirect = Redirect::attach("wrk-b");
        let (sender, reader) = (Raw::new("wrk-a"), Raw::new("wrk-d"));
        let workers = start(1);
        let ingress = workers.open(&spec("wrk-b", 0, Some(0)), ModeRequest::Auto).unwrap();
        assert_eq!((ingress.mode, ingress.worker), (Mode::Copy, 0));
        assert!(ingress.reason.contains("no AF_XDP zero-copy"), "{}", ingress.reason);
        let egress = workers.open(&spec("wrk-c", 0, None), ModeRequest::Copy).unwrap();
        workers.set_egress(EgressId(0), &[egress.id], None).unwrap();
        redirect.set(0, ingress.fd);
        assert_eq!(workers.frames().fill, 256, "an open port can receive at once");

        // More than all rings together, so that every frame goes round several times.
        let to = mac("wrk-b");
        let mut seen = Vec::new();
        for round in 0..100 {
            for n in 0..32 {
                sender.send(&packet(to, 80, round * 32 + n));
            }
            sender.send(&packet(to, 666, 0));
            seen.extend(reader.read(32, Duration::from_secs(5)));
        }
        let numbers: Vec<u32> = seen.iter().map(|p| u32::from_be_bytes(p[42..46].try_into().unwrap())).collect();
        assert_eq!(numbers, (0..3200).collect::<Vec<_>>(), "each exactly once, in order");
        let first = &seen[0];
        assert_eq!((&first[..6], &first[6..12]), (&mac("wrk-d").0[..], &mac("wrk-c").0[..]));
        assert_eq!(first[22], 63, "routed: one hop less");
        assert_eq!(wire::checksum::internet(&first[14..34]), 0, "the header's checksum is right");

        let status = &workers.status()[0];
        assert_eq!((status.rx.packets, status.tx.packets), (3300, 3200));
        assert_eq!(status.drops.iter().map(|drop| drop.value.packets).sum::<u64>(), 100);
        assert_eq!((workers.service(0).packets, workers.latency().count), (3200, 3200));
        assert_eq!(status.core, Some(1));
        let sockets = workers.sockets();
        assert_eq!(sockets.len(), 2);
        assert!(
            sockets.iter().all(|s| !s.zero_copy && s.tx_invalid_descs + s.rx_dropped + s.rx_ring_full == 0),
            "{sockets:?}"
        );
        eventually("all frames are home", || {
            let frames = workers.frames();
            (frames.free, frames.fill) == (1024 - 256, 256)
        });

        workers.close(egress.id).unwrap();
        assert!(matches!(workers.close(egress.id), Err(WorkerError::UnknownPort(_))));
        // The queue can be bound again, at once or after the kernel let go of it.
        let again = workers.open(&spec("wrk-c", 0, None), ModeRequest::Copy).unwrap();
        workers.set_egress(EgressId(0), &[again.id], None).unwrap();
        sender.send(&packet(to, 80, 7));
        assert_eq!(reader.read(1, Duration::from_secs(5)).len(), 1);
    });
}

/// Lets everything through, and takes its time over the first packet, so that those behind it become one batch.
struct SlowStart(bool);

impl Inspect for SlowStart {
    fn run(&mut self, _now_ns: u64, _chain: u16, _packets: &mut [Packet], _chunks: &[Chunk]) {
        if !std::mem::replace(&mut self.0, true) {
            thread::sleep(Duration::from_millis(300));
        }
    }
}

#[test]
#[ignore = "needs root"]
fn one_call_injects_a_batch_for_two_services_and_small_ones_take_the_ring() {
    const OTHER: [u8; 4] = [10, 0, 0, 2];
    let lab = Lab::new("inject");
    let name = lab.name().to_owned();
    lab.run(|| {
        ip(&["-n", &name, "link", "add", "wrk-e", "type", "veth", "peer", "name", "wrk-f"]);
        for dev in ["wrk-e", "wrk-f"] {
            ip(&["-n", &name, "link", "set", dev, "addrgenmode", "none", "up"]);
        }
        let redirect = Redirect::attach("wrk-b");
        let readers = [Raw::new("wrk-d"), Raw::new("wrk-f")];
        let sender = Raw::new("wrk-a");
        let workers = start(1);
        let mut first = snapshot();
        let route = Route { service: 1, egress: EgressId(1), ..first.routes[&IpAddr::from(SERVICE)] };
        first.routes.insert(OTHER.into(), route);
        workers.publish(first);
        let mut injection = Injection::load(1).unwrap();
        workers.set_lane(0, Box::new(injection.take_lanes().remove(0))).unwrap();
        let ingress = workers.open(&spec("wrk-b", 0, Some(0)), ModeRequest::Auto).unwrap();
        for (n, dev) in [(0, "wrk-c"), (1, "wrk-e")] {
            let port = workers.open(&spec(dev, 0, None), ModeRequest::Copy).unwrap();
            let device = ifindex(dev).cast_unsigned();
            injection.admit(device).unwrap();
            turn_on(&mut Netlink::open().unwrap(), device).unwrap();
            workers.set_egress(EgressId(n), &[port.id], Some(device)).unwrap();
        }
        redirect.set(0, ingress.fd);
        workers.set_inspect(0, Box::new(SlowStart(false))).unwrap();
        let to = mac("wrk-b");
        for n in 0..100 {
            let mut packet = packet(to, 80, n);
            packet[30..34].copy_from_slice(if n % 2 == 0 { &SERVICE } else { &OTHER });
            sender.send(&packet);
        }
        for (parity, reader) in (0..).zip(&readers) {
            let seen = reader.read(50, Duration::from_secs(5));
            let numbers: Vec<u32> = seen.iter().map(|p| u32::from_be_bytes(p[42..46].try_into().unwrap())).collect();
            let all: Vec<u32> = (0..100).filter(|n| n % 2 == parity).collect();
            assert_eq!(numbers, all, "each exactly once, in order, whichever way it took");
        }
        let status = &workers.status()[0];
        assert_eq!((workers.service(0).packets, workers.service(1).packets), (50, 50));
        assert!(status.injected >= 64, "{status:?}");
        assert!(status.inject_calls < 10, "{status:?}");
        assert_eq!((status.inject_lost, status.tx.packets, status.latency.count), (0, 100, 100));
        eventually("all frames are home", || {
            let frames = workers.frames();
            (frames.free, frames.fill) == (1024 - 256, 256)
        });
        // One packet alone is not worth a call.
        let calls = workers.status()[0].inject_calls;
        sender.send(&packet(to, 80, 7));
        assert_eq!(readers[0].read(1, Duration::from_secs(5)).len(), 1);
        assert_eq!(workers.status()[0].inject_calls, calls);
    });
}

#[test]
#[ignore = "needs root"]
fn a_service_whose_device_vanishes_gives_its_frames_back() {
    vanish(0);
}

#[test]
#[ignore = "needs root"]
fn a_service_of_another_worker_whose_device_vanishes_gives_its_frames_back() {
    vanish(1);
}

/// Take the device away whose queue `queue` leads to the service; worker 0 receives, worker `queue` sends.
fn vanish(queue: u32) {
    let lab = Lab::new(&format!("gone{queue}"));
    let name = lab.name().to_owned();
    lab.run(|| {
        let redirect = Redirect::attach("wrk-b");
        let sender = Raw::new("wrk-a");
        let workers = start(2);
        let ingress = workers.open(&spec("wrk-b", 0, Some(0)), ModeRequest::Auto).unwrap();
        let egress = workers.open(&spec("wrk-c", queue, None), ModeRequest::Copy).unwrap();
        assert_eq!((ingress.worker, egress.worker), (0, queue));
        workers.set_egress(EgressId(0), &[egress.id], None).unwrap();
        redirect.set(0, ingress.fd);
        let to = mac("wrk-b");
        sender.send(&packet(to, 80, 0));
        eventually("it is sent", || workers.service(0).packets == 1);
        ip(&["-n", &name, "link", "delete", "wrk-c"]);
        for n in 0..500 {
            sender.send(&packet(to, 80, n));
        }
        eventually("whatever was received is dropped", || {
            let status = workers.status();
            let drops: u64 = status.iter().flat_map(|s| &s.drops).map(|drop| drop.value.packets).sum();
            status[0].rx.packets > 100 && drops + workers.service(0).packets == status[0].rx.packets
        });
        workers.close(egress.id).unwrap();
        eventually("all frames are home", || {
            let frames = workers.frames();
            (frames.free, frames.fill) == (2048 - 256, 256)
        });
        assert!(workers.dead().is_empty());
    });
}

#[test]
#[ignore = "needs root"]
fn refusals_say_what_to_do() {
    let lab = Lab::new("err");
    lab.run(|| {
        let workers = start(1);
        let said = |dev: &str, queue, mode| workers.open(&spec(dev, queue, None), mode).unwrap_err().to_string();
        let says = |text: &str, part: &str| assert!(text.contains(part), "{text}");
        says(&said("nosuch0", 0, ModeRequest::Copy), "no such interface");
        says(&said("wrk-b", 9, ModeRequest::Copy), "no queue 9");
        says(&said("wrk-b", 0, ModeRequest::ZeroCopy), "no AF_XDP zero-copy");
        says(&said("a-name-that-is-too-long", 0, ModeRequest::Copy), "1 to 15 bytes");
        let first = workers.open(&spec("wrk-b", 0, Some(0)), ModeRequest::Skb).unwrap();
        assert_eq!(first.mode, Mode::Skb);
        says(&said("wrk-c", 0, ModeRequest::ZeroCopy), "no AF_XDP zero-copy");
        assert!(matches!(workers.close(first.id), Err(WorkerError::HoldsUmem { .. })));
        // A queue that another UMEM holds is waited for, then refused.
        let before = Instant::now();
        let error = start(1).open(&spec("wrk-b", 0, None), ModeRequest::Copy).unwrap_err();
        assert!(before.elapsed() >= Duration::from_secs(2));
        assert!(matches!(&error, OpenError::Xsk(XskError::Bind { .. })));
        assert!(error.to_string().contains("another socket or program holds the queue"), "{error}");
    });
}

#[test]
#[ignore = "needs root"]
fn a_worker_without_traffic_sleeps() {
    let lab = Lab::new("idle");
    lab.run(|| {
        let workers = start(1);
        workers.open(&spec("wrk-b", 0, Some(0)), ModeRequest::Auto).unwrap();
        let egress = workers.open(&spec("wrk-c", 0, None), ModeRequest::Copy).unwrap();
        workers.set_egress(EgressId(0), &[egress.id], None).unwrap();
        eventually("it is at rest", || workers.frames().fill == 256);
        let (before, start) = (switches(), Instant::now());
        thread::sleep(Duration::from_secs(1));
        let wakes = switches() - before;
        assert!(wakes < 20, "{wakes} times awake in {:?} without traffic", start.elapsed());
    });
}

/// Times that the worker threads of this test, which are those in its namespace, gave up their core: each sleep is one.
fn switches() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let here = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
    let workers = tasks.filter(|task| {
        std::fs::read_link(task.join("ns/net")).is_ok_and(|namespace| namespace == here)
            && std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.starts_with("worker-"))
    });
    let of = |status: String| {
        let lines = status.lines().filter(|line| line.contains("ctxt_switches"));
        lines.map(|line| line.split('\t').nth(1).unwrap().trim().parse::<u64>().unwrap()).sum::<u64>()
    };
    workers.map(|task| std::fs::read_to_string(task.join("status")).map_or(0, of)).sum()
}

/// Frames that were received by the UMEM's first registration are sent by another, and the other way round; a device
/// whose loss takes the first registration along does not keep its successor from receiving.
#[test]
#[ignore = "needs root"]
fn sockets_of_several_registrations_share_the_frames() {
    let lab = Lab::new("reg");
    let name = lab.name().to_owned();
    lab.run(|| {
        let workers = start(1);
        let first = workers.open(&spec("wrk-b", 0, Some(0)), ModeRequest::Copy).unwrap();
        for round in 0..3 {
            ip(&["-n", &name, "link", "delete", "wrk-a"]);
            if round == 0 {
                workers.close(first.id).unwrap();
            }
            ip(&["-n", &name, "link", "add", "wrk-a", "type", "veth", "peer", "name", "wrk-b"]);
            for dev in ["wrk-a", "wrk-b"] {
                ip(&["-n", &name, "link", "set", dev, "addrgenmode", "none"]);
                ip(&["-n", &name, "link", "set", dev, "up"]);
            }
            let redirect = Redirect::attach("wrk-b");
            let (sender, reader) = (Raw::new("wrk-a"), Raw::new("wrk-d"));
            let ingress = workers.open(&spec("wrk-b", 0, Some(0)), ModeRequest::Auto).unwrap();
            assert_eq!(ingress.mode, Mode::Copy);
            redirect.set(0, ingress.fd);
            let egress = [0, 1].map(|queue| workers.open(&spec("wrk-c", queue, None), ModeRequest::Copy).unwrap().id);
            workers.publish(snapshot());
            let to = mac("wrk-b");
            for port in egress {
                workers.set_egress(EgressId(0), &[port], None).unwrap();
                for n in 0..600 {
                    sender.send(&packet(to, 80, n));
                    let packets = reader.read(1, Duration::from_secs(5));
                    assert_eq!(packets[0][42..46], n.to_be_bytes(), "round {round}");
                }
            }
            for port in egress.iter().rev().chain([&ingress.id]) {
                workers.close(*port).unwrap();
            }
            eventually("all frames are home", || workers.frames().free == 1024);
        }
    });
}
