//! Two workers over a simulated kernel, driven by random steps: whatever happens, no frame is lost or used twice.
#![expect(unsafe_code, reason = "frames are taken back from sockets that are only simulated")]

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use crossbeam_channel::bounded;
use proptest::prelude::*;
use secuxflow_abi::{Chunk, Packet, verdict};

use super::{
    command::{Command, Egress, Ring},
    core::{Core, Waiting},
    injecting::WORTH,
    shared::Shared,
    simulation::{LANE, SHIFT, SimLane, SimRings},
};
use crate::{
    counting::allocations,
    egress::SLOTS,
    flow::HashKey,
    inspect::SharedMemory,
    plane::{FailPolicy, UmemLayout, WorkerStatus},
    process::{Classified, Classify, EgressId, GATHERED, Gather, Ingress, Inspect, Processor, Route, Snapshot},
    service::Mac,
    wire,
    xsk::{Descriptor, MAX_PARTS, Place, Port, PortId, Umem},
};

const RING: u32 = 64;
const LAYOUT: UmemLayout = UmemLayout { frames: 512, frame_size: 1 << SHIFT, ring: RING };
const FRAMES: u64 = 1024;
const HOST: Mac = Mac([2, 0, 0, 0, 0, 1]);

/// Worker 0 has ports 0 (in) and 2 (out), worker 1 has ports 1 (in) and 3 (out); service `n` lives behind port `2 + n`.
struct World {
    umem: Umem,
    cores: Vec<Core<SimRings>>,
    snapshot: Snapshot,
    next_port: u16,
    /// Ports out by service, and the worker that serves each.
    out: [PortId; 2],
    /// Whether the service has a TX ring, and whether its device takes injected packets.
    ways: [(bool, bool); 2],
    /// The workers' lanes are copies of this: they share its devices.
    lane: SimLane,
    clock: u64,
}

/// Keep the panics that the test wants out of its output.
fn quieten() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info.to_string().contains("takes the host down") {
                hook(info);
            }
        }));
    });
}

/// Drops packets whose source port is odd, and rejects every fourth; panics on 13.
pub(super) struct Picky;

impl Inspect for Picky {
    fn run(&mut self, _now_ns: u64, _chain: u16, packets: &mut [Packet], _chunks: &[Chunk]) {
        for packet in packets {
            assert_ne!(packet.src_port, 13, "a module that takes the host down");
            packet.verdict = match packet.src_port % 4 {
                1 => verdict::DROP,
                3 => verdict::REJECT,
                _ => verdict::PASS,
            };
        }
    }
}

struct InspectAll;

impl Classify for InspectAll {
    fn classify(&self, _frame: &wire::Frame) -> Classified {
        Classified::Inspect { chain: 0, rule: 0 }
    }
}

fn service(n: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, n])
}

pub(super) fn snapshot() -> Snapshot {
    let route = |n: u8| {
        let n16 = u16::from(n);
        Route { service: n16, egress: EgressId(n16), dst_mac: Mac([4; 6]), src_mac: Mac([6; 6]), mtu: 1500 }
    };
    let mut routes = HashMap::default();
    routes.extend((0..2).map(|n| (service(n), route(n))));
    let ingress = Ingress { mac: HOST, repair_checksums: true };
    Snapshot {
        routes,
        ingress: vec![ingress, ingress],
        classifier: Arc::new(InspectAll),
        generation: 1,
        chains: 1,
        default_chain: Some(0),
        fail_policy: FailPolicy::Closed,
        monitor: false,
    }
}

/// Index of the device of service `n`.
fn device(n: usize) -> u32 {
    100 + u32::try_from(n).unwrap()
}

/// A UDP packet to service `n`, or a TCP segment from source ports above 31.
fn packet(n: u8, src_port: u16, ttl: u8) -> Vec<u8> {
    let mut bytes = vec![0; 60];
    bytes[..6].copy_from_slice(&HOST.0);
    bytes[12..14].copy_from_slice(&[8, 0]);
    bytes[14] = 0x45;
    bytes[17] = 46;
    bytes[22] = ttl;
    bytes[23] = 17;
    bytes[26..30].copy_from_slice(&[192, 168, 0, 1]);
    bytes[30..34].copy_from_slice(&[10, 0, 0, n]);
    bytes[34..36].copy_from_slice(&src_port.to_be_bytes());
    bytes[36..38].copy_from_slice(&[0, 53]);
    bytes[39] = 26;
    if src_port > 31 {
        bytes[23] = 6;
        bytes[38..50].copy_from_slice(&[0, 0, 0, 5, 0, 0, 0, 7, 0x50, 0x10, 0, 0]);
    }
    bytes
}

/// The same, as long as `lens` say, of which the first holds the headers at least where that is how it is to be sent.
fn long_packet(n: u8, src_port: u16, lens: &[u32]) -> Vec<u8> {
    let mut bytes = packet(n, src_port, 64);
    let len = lens.iter().sum::<u32>() as usize;
    let total = u16::try_from(len.saturating_sub(14)).unwrap();
    bytes[16..18].copy_from_slice(&total.to_be_bytes());
    bytes[38..40].copy_from_slice(&total.saturating_sub(20).to_be_bytes());
    bytes.resize(len, 7);
    bytes
}

impl World {
    fn new() -> Self {
        let umem = Umem::in_memory(&LAYOUT, 2).unwrap();
        // A small mailbox, so that it fills up.
        let all: Arc<[Shared]> = (0..2).map(|_| Shared::new(16).unwrap()).collect();
        let core = |index| {
            let gather = Gather::new(SharedMemory::new(GATHERED).unwrap(), 0);
            let processor = Processor::new(HashKey::fixed(1, 2)).with_gather(gather);
            Core::new(index, 32, umem.clone(), all.clone(), processor, Box::new(Picky))
        };
        let cores = vec![core(0), core(1)];
        let mut world = Self {
            umem,
            cores,
            snapshot: snapshot(),
            next_port: 0,
            out: [PortId(2), PortId(3)],
            ways: [(true, false); 2],
            lane: SimLane::default(),
            clock: 0,
        };
        for core in &mut world.cores {
            core.command(Command::Lane { lane: Some(Box::new(world.lane.clone())), reply: bounded(1).0 });
        }
        for worker in 0..2 {
            world.add(worker, Some(u16::try_from(worker).unwrap()));
        }
        for worker in 0..2 {
            world.out[worker] = world.add(worker, None);
            world.point(worker);
        }
        world
    }

    fn add(&mut self, worker: usize, ingress: Option<u16>) -> PortId {
        let id = PortId(self.next_port);
        self.next_port += 1;
        let port = Port::new(id, self.umem.clone(), SimRings::new(RING as usize), ingress, MAX_PARTS);
        let (reply, answer) = bounded(1);
        self.cores[worker].command(Command::Add { port: Box::new(port), reply });
        answer.recv().unwrap();
        id
    }

    /// Tell both workers where service `n` is.
    fn point(&mut self, n: usize) {
        let (id, port) = (EgressId(u16::try_from(n).unwrap()), self.out[n]);
        let (has_ring, injects) = self.ways[n];
        for worker in 0..2 {
            let remote = Ring::Remote { worker: u16::try_from(n).unwrap(), port };
            let ring = if worker == n { Ring::Local(port) } else { remote };
            let egress = Egress { ring: has_ring.then_some(ring), device: injects.then_some(device(n)) };
            self.cores[worker].command(Command::Egress { id, egress, reply: crossbeam_channel::bounded(1).0 });
        }
    }

    /// Control says how service `n` is reached: by its TX ring, by injection, by both or not at all.
    fn lead(&mut self, n: usize, ring: bool, inject: bool) {
        self.ways[n] = (ring, inject);
        self.point(n);
    }

    /// Packets injected toward service `n`.
    fn injected(&self, n: usize) -> Vec<Vec<u8>> {
        let devices = self.lane.devices();
        devices.wire.iter().filter(|(to, _)| *to == device(n)).map(|(_, packet)| packet.clone()).collect()
    }

    fn rings(&mut self, worker: usize, port: PortId) -> &mut SimRings {
        self.cores[worker].port_mut(port).unwrap().rings_mut()
    }

    /// `count` packets come in by a worker's interface; returns how many were taken.
    fn arrive(&mut self, worker: usize, bytes: &[u8], count: usize) -> usize {
        let in_port = PortId(u16::try_from(worker).unwrap());
        for n in 0..count {
            let len = u32::try_from(bytes.len()).unwrap();
            let Some(at) = self.rings(worker, in_port).arrive(len) else { return n };
            self.write(in_port, at, bytes);
        }
        count
    }

    /// A packet comes in that takes several frames, as long as `lens` says; whether it was taken.
    fn arrive_split(&mut self, worker: usize, bytes: &[u8], lens: &[u32]) -> bool {
        let port = PortId(u16::try_from(worker).unwrap());
        let Some(parts) = self.rings(worker, port).arrive_split(lens) else { return false };
        let mut rest = bytes;
        for at in parts {
            let (part, behind) = rest.split_at(at.len as usize);
            self.write(port, at, part);
            rest = behind;
        }
        assert!(rest.is_empty());
        true
    }

    /// Write a packet into a frame that the simulated kernel owns.
    fn write(&mut self, port: PortId, at: Descriptor, bytes: &[u8]) {
        let mut frame = self.umem.claim(at.addr, at.len, Place::Fill(port), Place::Rx).expect("the kernel owns it");
        self.umem.bytes_mut(&mut frame).copy_from_slice(bytes);
        self.umem.note(&frame, Place::Fill(port));
    }

    fn turn(&mut self, worker: usize) {
        self.clock += 1000;
        let now = self.clock;
        self.cores[worker].turn(&self.snapshot, &|| now);
    }

    /// The way out of service `n` is taken away and made anew, as when a container restarts.
    fn replace(&mut self, n: usize) {
        let old = self.out[n];
        let (reply, answer) = bounded(1);
        self.cores[n].command(Command::Remove { id: old, reply });
        drop(answer.recv().unwrap());
        // SAFETY: the simulated socket is dropped, and no kernel knows of this memory.
        unsafe { self.umem.reclaim(old) };
        self.out[n] = self.add(n, None);
        // Mail for the old port may be under way; the new one is announced only now.
        self.point(n);
    }

    /// The ledger, the workers' own numbers and the rings agree, and every frame is somewhere.
    fn check(&mut self) {
        let counts = self.umem.counts();
        assert_eq!(counts.total(), FRAMES);
        let (mut fill, mut tx) = (0, 0);
        for (worker, port) in [(0, PortId(0)), (1, PortId(1)), (0, self.out[0]), (1, self.out[1])] {
            let port = self.cores[worker].port_mut(port).unwrap();
            let (in_fill, in_tx) = (u64::from(port.filled()), u64::from(port.sending()));
            let frames = port.rings_mut().frames();
            assert_eq!((in_fill, in_tx), (frames.0 as u64, frames.1 as u64), "the port has lost count");
            fill += in_fill;
            tx += in_tx;
        }
        assert_eq!((counts.fill, counts.tx), (fill, tx));
        let waiting: u64 = self.cores.iter().map(Core::pending).sum();
        let mail: u64 = self.cores.iter().map(|core| core.shared().mail()).sum();
        assert_eq!((counts.rx, counts.mailbox), (waiting, mail));
        self.check_counters();
    }

    /// Every packet that a worker received is sent, dropped with a reason, waiting, or under way between workers; and what
    /// was injected is on the wire or counted as lost.
    fn check_counters(&self) {
        let stats: Vec<_> = self.cores.iter().map(|core| core.shared().stats.read(0, None)).collect();
        let sum = |of: fn(&WorkerStatus) -> u64| stats.iter().map(of).sum::<u64>();
        let waiting: u64 = self.cores.iter().map(Core::pending_packets).sum();
        let mail: usize = self.cores.iter().map(|core| core.shared().mailbox.len()).sum();
        let dropped = sum(|worker| worker.drops.iter().map(|drop| drop.value.packets).sum());
        let made: u64 = self.cores.iter().map(|core| core.shared().stats.replies_made()).sum();
        assert_eq!(
            sum(|worker| worker.rx.packets) + made,
            sum(|worker| worker.tx.packets + worker.replies.sent + worker.replies.lost)
                + dropped
                + waiting
                + mail as u64
        );
        assert_eq!(sum(|worker| worker.latency.count), sum(|worker| worker.tx.packets + worker.replies.sent));
        let devices = self.lane.devices();
        assert_eq!(sum(|worker| worker.injected), devices.wire.len() as u64 + devices.lost);
        assert_eq!(
            (sum(|worker| worker.inject_lost), sum(|worker| worker.inject_calls)),
            (devices.lost, devices.calls)
        );
    }

    /// Let everything drain: afterwards no frame is on its way.
    fn settle(&mut self) {
        for _ in 0..40 {
            for n in 0..2 {
                for port in [self.out[n], PortId(u16::try_from(n).unwrap())] {
                    self.rings(n, port).transmit(RING as usize);
                }
            }
            self.turn(0);
            self.turn(1);
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Arrive { worker: usize, service: u8, src_port: u16, ttl: u8, count: usize },
    Split { worker: usize, service: u8, src_port: u16, lens: Vec<u32>, count: usize },
    Garbage { worker: usize, bytes: Vec<u8> },
    Turn(usize),
    Transmit { service: usize, count: usize },
    Unplug(usize),
    Replace(usize),
    Lead { service: usize, ring: bool, inject: bool },
    Refuse { service: usize, refuse: bool },
    Break(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0usize..2, 0u8..3, 0u16..40, 0u8..4, 0usize..100).prop_map(|(worker, service, src_port, ttl, count)| {
            Step::Arrive { worker, service, src_port, ttl, count }
        }),
        4 => (0usize..2, 0u8..3, 0u16..40, prop::collection::vec(0u32..250, 2..20), 0usize..12).prop_map(
            |(worker, service, src_port, lens, count)| Step::Split { worker, service, src_port, lens, count }
        ),
        1 => (0usize..2, prop::collection::vec(any::<u8>(), 0..200))
            .prop_map(|(worker, bytes)| Step::Garbage { worker, bytes }),
        8 => (0usize..2).prop_map(Step::Turn),
        4 => (0usize..2, 0usize..80).prop_map(|(service, count)| Step::Transmit { service, count }),
        1 => (0usize..2).prop_map(Step::Unplug),
        1 => (0usize..2).prop_map(Step::Replace),
        3 => (0usize..2, any::<bool>(), any::<bool>())
            .prop_map(|(service, ring, inject)| Step::Lead { service, ring, inject }),
        1 => (0usize..2, any::<bool>()).prop_map(|(service, refuse)| Step::Refuse { service, refuse }),
        1 => any::<bool>().prop_map(Step::Break),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_frame_is_lost_or_used_twice(steps in prop::collection::vec(step(), 1..300)) {
        quieten();
        let mut world = World::new();
        for step in steps {
            match step {
                Step::Arrive { worker, service, src_port, ttl, count } => {
                    world.arrive(worker, &packet(service, src_port, ttl), count);
                }
                Step::Split { worker, service, src_port, lens, count } => {
                    let bytes = long_packet(service, src_port, &lens);
                    (0..count).take_while(|_| world.arrive_split(worker, &bytes, &lens)).for_each(drop);
                }
                Step::Garbage { worker, bytes } => {
                    world.arrive(worker, &bytes, 1);
                }
                Step::Turn(worker) => world.turn(worker),
                Step::Transmit { service, count } => {
                    let out = world.out[service];
                    world.rings(service, out).transmit(count);
                }
                Step::Unplug(service) => {
                    let out = world.out[service];
                    world.rings(service, out).gone = true;
                }
                Step::Replace(service) => world.replace(service),
                Step::Lead { service, ring, inject } => world.lead(service, ring, inject),
                Step::Refuse { service, refuse } => {
                    let refusing = &mut world.lane.devices().refusing;
                    if refuse {
                        refusing.insert(device(service));
                    } else {
                        refusing.remove(&device(service));
                    }
                }
                Step::Break(broken) => world.lane.devices().broken = broken,
            }
            world.check();
        }
        // With healthy ports everything comes to rest, and all frames are free or in a fill ring.
        for service in 0..2 {
            world.lead(service, true, false);
        }
        world.replace(0);
        world.replace(1);
        world.settle();
        world.check();
        let counts = world.umem.counts();
        prop_assert_eq!((counts.rx, counts.tx, counts.mailbox), (0, 0, 0));
        // And both workers still forward.
        for worker in 0..2 {
            for n in 0..2u8 {
                let out = world.out[usize::from(n)];
                world.rings(usize::from(n), out).wire.clear();
                prop_assert_eq!(world.arrive(worker, &packet(n, 2, 64), 10), 10);
                world.settle();
                prop_assert_eq!(world.rings(usize::from(n), out).wire.len(), 10);
            }
        }
    }
}

#[test]
fn a_service_that_takes_nothing_does_not_stop_the_others() {
    let mut world = World::new();
    world.turn(0);
    // Service 0 never sends; thirty batches for it are far more than its ring and what may wait.
    for _ in 0..30 {
        world.arrive(0, &packet(0, 2, 64), 32);
        world.turn(0);
        world.check();
    }
    let drops = world.cores[0].shared().stats.read(0, None).drops;
    assert!(drops.iter().any(|drop| drop.name == "tx_full" && drop.value.packets > 0), "{drops:?}");
    assert_eq!(world.cores[0].waiting(), Waiting::Room);
    // Traffic for service 1 by the same worker still gets through.
    for _ in 0..10 {
        assert_eq!(world.arrive(0, &packet(1, 2, 64), 16), 16, "the fill ring ran dry");
        world.turn(0);
        world.turn(1);
        let out = world.out[1];
        world.rings(1, out).transmit(64);
    }
    world.turn(1);
    let out = world.out[1];
    assert_eq!(world.rings(1, out).wire.len(), 160);
}

#[test]
fn a_batch_for_one_of_many_services_is_sent_whole() {
    let mut world = World::new();
    for _ in 0..60 {
        world.add(0, None);
    }
    world.turn(0);
    assert_eq!(world.arrive(0, &packet(0, 2, 64), 32), 32);
    world.turn(0);
    let out = world.out[0];
    world.rings(0, out).transmit(64);
    assert_eq!(world.rings(0, out).wire.len(), 32);
}

#[test]
fn every_packet_is_counted_once() {
    let mut world = World::new();
    world.turn(0);
    world.arrive(0, &packet(0, 2, 64), 8); // forwarded
    world.arrive(0, &packet(0, 5, 64), 7); // the module's
    world.arrive(0, &packet(9, 2, 64), 6); // no such service
    world.arrive(0, &packet(0, 2, 1), 5); // routed no further
    world.arrive(0, &[1, 2, 3], 4); // no packet
    world.turn(0);
    let out = world.out[0];
    world.rings(0, out).transmit(64);
    world.turn(0);
    let status = world.cores[0].shared().stats.read(0, Some(1));
    let dropped = |name| status.drops.iter().find(|drop| drop.name == name).unwrap().value.packets;
    assert_eq!((status.rx.packets, status.tx.packets, status.batches), (30, 8, 1));
    assert_eq!((status.rx.bytes, status.tx.bytes), (26 * 60 + 4 * 3, 8 * 60));
    let names = ["module", "no_service", "ttl_expired", "malformed", "mtu", "tx_full", "rule"];
    assert_eq!(names.map(dropped), [7, 6, 5, 4, 0, 0, 0]);
    assert_eq!(status.reclassified, 26);
    assert_eq!(world.cores[0].shared().stats.service(0).packets, 8);
    assert_eq!((status.latency.count, status.core), (8, Some(1)));
    assert_eq!(status.frames.iter().map(|place| place.value).sum::<u64>(), 512, "{:?}", status.frames);
}

#[test]
fn both_ends_of_a_rejected_connection_are_told() {
    let mut world = World::new();
    world.turn(0);
    world.arrive(0, &packet(0, 35, 64), 3);
    world.turn(0);
    let sent = |world: &mut World, port: PortId| {
        world.rings(0, port).transmit(64);
        let wire = std::mem::take(&mut world.rings(0, port).wire);
        let read = |at: &Descriptor| {
            let frame = world.umem.claim(at.addr, at.len, Place::Tx(port), Place::Tx(port)).unwrap();
            world.umem.bytes(&frame).to_vec()
        };
        wire.iter().map(read).collect::<Vec<_>>()
    };
    let out = world.out[0];
    let (back, on) = (sent(&mut world, PortId(0)), sent(&mut world, out));
    assert_eq!((back.len(), on.len()), (3, 3));
    let [back, on] = [&back[0], &on[0]].map(|bytes| match wire::parse(bytes) {
        wire::Frame::Ip(headers) => (headers.src_port, headers.dst_port, bytes[..12].to_vec(), bytes[38..48].to_vec()),
        other => panic!("{other:?}"),
    });
    let macs = |dst: [u8; 6], src: [u8; 6]| [dst, src].concat();
    assert_eq!(back, (53, 35, macs([0; 6], HOST.0), vec![0, 0, 0, 7, 0, 0, 0, 0, 0x50, 4]));
    assert_eq!(on, (35, 53, macs([4; 6], [6; 6]), vec![0, 0, 0, 5, 0, 0, 0, 7, 0x50, 0x14]));
    world.turn(0);
    let status = world.cores[0].shared().stats.read(0, None);
    assert_eq!((status.replies.sent, status.replies.lost, status.tx.packets), (6, 0, 0));
    assert_eq!(status.drops.iter().find(|drop| drop.name == "rejected").unwrap().value.packets, 3);
    world.settle();
    world.check();
}

#[test]
fn errors_about_rejected_datagrams_keep_to_their_rate_and_replies_without_a_way_are_lost() {
    let mut world = World::new();
    world.turn(0);
    for _ in 0..2 {
        world.arrive(0, &packet(0, 3, 64), 30);
        world.turn(0);
    }
    let replies = |world: &World| world.cores[0].shared().stats.read(0, None).replies;
    world.settle();
    assert_eq!((replies(&world).sent, replies(&world).held_back, replies(&world).lost), (50, 10, 0));
    // Connections to a service that is not there: the sender alone is told.
    world.arrive(0, &packet(9, 35, 64), 4);
    world.turn(0);
    world.settle();
    assert_eq!((replies(&world).sent, replies(&world).lost), (54, 4));
    world.check();
}

#[test]
fn what_is_sent_is_rewritten_for_the_service() {
    let mut world = World::new();
    world.turn(0);
    world.arrive(0, &packet(0, 2, 64), 1);
    world.turn(0);
    let out = world.out[0];
    world.rings(0, out).transmit(1);
    let sent = world.rings(0, out).wire[0];
    let frame = world.umem.claim(sent.addr, sent.len, Place::Tx(out), Place::Tx(out)).unwrap();
    let bytes = world.umem.bytes(&frame);
    assert_eq!(&bytes[..12], [4, 4, 4, 4, 4, 4, 6, 6, 6, 6, 6, 6]);
    assert_eq!(bytes[22], 63);
}

#[test]
fn a_service_that_takes_packets_again_is_served_again() {
    let mut world = World::new();
    world.turn(0);
    for _ in 0..30 {
        world.arrive(0, &packet(0, 2, 64), 32);
        world.turn(0);
    }
    let lost = |world: &World| {
        let drops = world.cores[0].shared().stats.read(0, None).drops;
        drops.iter().find(|drop| drop.name == "tx_full").unwrap().value.packets
    };
    let starved = lost(&world);
    assert!(starved > 0, "its completion ring starves");
    world.settle();
    let out = world.out[0];
    world.rings(0, out).wire.clear();
    for _ in 0..10 {
        assert_eq!(world.arrive(0, &packet(0, 2, 64), 16), 16);
        world.turn(0);
        world.rings(0, out).transmit(64);
        world.check();
    }
    assert_eq!((world.rings(0, out).wire.len(), lost(&world)), (160, starved), "all are sent, none is lost any more");
    world.settle();
    assert_eq!(world.umem.counts().tx, 0);
}

/// What the device of service `n` behind worker 0 has sent, packets put together.
fn sent(world: &mut World, n: usize) -> Vec<Vec<u8>> {
    let port = world.out[n];
    world.rings(n, port).transmit(RING as usize);
    let wire = std::mem::take(&mut world.rings(n, port).wire);
    let mut packets = vec![Vec::new()];
    for at in wire {
        let frame = world.umem.claim(at.addr, at.len, Place::Tx(port), Place::Tx(port)).unwrap();
        packets.last_mut().unwrap().extend_from_slice(world.umem.bytes(&frame));
        if !at.more {
            packets.push(Vec::new());
        }
    }
    assert!(packets.pop().unwrap().is_empty(), "the last packet is whole");
    packets
}

#[test]
fn a_packet_of_several_frames_leaves_by_the_ring_in_the_frames_it_came_in() {
    let mut world = World::new();
    world.lead(0, true, true);
    world.turn(0);
    let lens = [700, 500, 200];
    let bytes = long_packet(0, 2, &lens);
    // Enough for injection, which takes no such packet; and 30 to one call leave the last one cut at the end of a batch.
    let mut came = 0;
    while came < 20 && world.arrive_split(0, &bytes, &lens) {
        came += 1;
    }
    assert_eq!(came, 20);
    let mut left = Vec::new();
    for _ in 0..4 {
        world.turn(0);
        world.check();
        left.append(&mut sent(&mut world, 0));
    }
    world.turn(0);
    assert_eq!(left.len(), 20);
    assert!(world.injected(0).is_empty());
    for packet in left {
        assert_eq!((&packet[..12], packet[22]), (&[4, 4, 4, 4, 4, 4, 6, 6, 6, 6, 6, 6][..], 63));
        assert_eq!(packet[26..], bytes[26..]);
    }
    let status = world.cores[0].shared().stats.read(0, None);
    assert_eq!((status.rx.packets, status.tx.packets, status.multi_buffer), (20, 20, 20));
    assert_eq!((status.rx.bytes, status.tx.bytes), (20 * 1400, 20 * 1400));
    assert_eq!(world.cores[0].shared().stats.service(0).bytes, 20 * 1400);
}

#[test]
fn packets_of_one_and_of_several_frames_keep_their_order() {
    let mut world = World::new();
    world.lead(0, true, true);
    world.turn(0);
    let lens = [400, 300];
    // A large batch, which is injected, right before one with long packets in it, of the same turn.
    world.arrive(0, &packet(0, 2, 64), 32);
    world.arrive(0, &packet(0, 4, 64), 5);
    assert!(world.arrive_split(0, &long_packet(0, 6, &lens), &lens));
    world.arrive(0, &packet(0, 8, 64), 5);
    world.turn(0);
    world.check();
    let ports =
        |packets: Vec<Vec<u8>>| -> Vec<u16> { packets.iter().map(|p| u16::from_be_bytes([p[34], p[35]])).collect() };
    assert_eq!(ports(world.injected(0)), [2; 32]);
    assert_eq!(ports(sent(&mut world, 0)), [4, 4, 4, 4, 4, 6, 8, 8, 8, 8, 8]);
}

#[test]
fn what_waits_behind_a_long_packet_is_not_injected_past_it() {
    let mut world = World::new();
    world.lead(0, true, true);
    world.turn(0);
    let lens = [400, 300];
    for _ in 0..40 {
        world.arrive_split(0, &long_packet(0, 2, &lens), &lens);
        world.turn(0);
    }
    assert!(world.cores[0].pending() > 0, "the ring is full");
    world.arrive(0, &packet(0, 4, 64), 32);
    world.turn(0);
    world.check();
    assert!(world.injected(0).is_empty());
    world.settle();
    world.check();
}

#[test]
fn a_packet_of_too_many_frames_is_dropped_once_and_what_comes_behind_it_is_not() {
    let mut world = World::new();
    world.turn(0);
    let lens = [80; MAX_PARTS + 4];
    assert!(world.arrive_split(0, &long_packet(0, 2, &lens), &lens));
    let most = [80; MAX_PARTS];
    assert!(world.arrive_split(0, &long_packet(0, 2, &most), &most));
    world.arrive(0, &packet(0, 2, 64), 1);
    world.turn(0);
    world.turn(0);
    world.check();
    let status = world.cores[0].shared().stats.read(0, None);
    let incomplete = status.drops.iter().find(|drop| drop.name == "incomplete").unwrap().value;
    assert_eq!((incomplete.packets, incomplete.bytes), (1, 80 * MAX_PARTS as u64));
    assert_eq!((status.rx.packets, status.tx.packets), (3, 2));
    assert_eq!(sent(&mut world, 0).iter().map(Vec::len).collect::<Vec<_>>(), [80 * MAX_PARTS, 60]);
}

#[test]
fn a_way_that_takes_single_frames_only_drops_the_others_by_name() {
    let mut world = World::new();
    // Service 0 is reached by injection alone, service 1 by a ring of packets of one frame.
    world.lead(0, false, true);
    let lens = [400, 300];
    let id = PortId(world.next_port);
    let port = Port::new(id, world.umem.clone(), SimRings::new(RING as usize), None, 1);
    world.cores[0].command(Command::Add { port: Box::new(port), reply: bounded(1).0 });
    let egress = Egress { ring: Some(Ring::Local(id)), device: None };
    world.cores[0].command(Command::Egress { id: EgressId(1), egress, reply: bounded(1).0 });
    world.turn(0);
    for n in 0..2 {
        assert!(world.arrive_split(0, &long_packet(n, 2, &lens), &lens));
        world.arrive(0, &packet(n, 2, 64), 1);
    }
    world.turn(0);
    let status = world.cores[0].shared().stats.read(0, None);
    let dropped = |name| status.drops.iter().find(|drop| drop.name == name).unwrap().value;
    assert_eq!((dropped("buffers").packets, dropped("buffers").bytes), (2, 1400));
    assert_eq!(status.tx.packets, 2);
}

#[test]
fn a_packet_whose_end_never_comes_goes_with_its_port() {
    let mut world = World::new();
    world.turn(0);
    // 33 frames, of which a batch takes 32.
    for _ in 0..11 {
        assert!(world.arrive_split(0, &long_packet(0, 2, &[80; 3]), &[80; 3]));
    }
    world.turn(0);
    let (reply, answer) = bounded(1);
    world.cores[0].command(Command::Remove { id: PortId(0), reply });
    drop(answer.recv().unwrap());
    // SAFETY: the simulated socket is dropped, and no kernel knows of this memory.
    unsafe { world.umem.reclaim(PortId(0)) };
    assert_eq!(world.umem.counts().rx, world.cores[0].pending());
    let status = world.cores[0].shared().stats.read(0, None);
    assert_eq!(status.drops.iter().find(|drop| drop.name == "incomplete").unwrap().value.packets, 1);
}

#[test]
fn both_ends_of_a_rejected_connection_are_told_of_a_long_segment() {
    let mut world = World::new();
    world.turn(0);
    let lens = [400, 300, 200];
    let mut bytes = long_packet(0, 35, &lens);
    bytes[38..50].copy_from_slice(&[0, 0, 0, 5, 0, 0, 0, 7, 0x50, 0x10, 0, 0]);
    assert!(world.arrive_split(0, &bytes, &lens));
    world.turn(0);
    world.check();
    let on = sent(&mut world, 0);
    assert_eq!((on.len(), on[0].len()), (1, 54));
    assert_eq!(on[0][38..48], [0, 0, 0, 5, 0, 0, 0, 7, 0x50, 0x14]);
    world.settle();
    world.check();
    let status = world.cores[0].shared().stats.read(0, None);
    assert_eq!((status.replies.sent, status.replies.lost), (2, 0));
    let rejected = status.drops.iter().find(|drop| drop.name == "rejected").unwrap().value;
    assert_eq!((rejected.packets, rejected.bytes), (1, 900));
    assert_eq!(world.umem.counts().rx, 0);
}

#[test]
fn a_turn_allocates_nothing() {
    let mut world = World::new();
    let round = |world: &mut World| {
        let lens = [400, 300, 50];
        let long = long_packet(0, 2, &lens);
        assert!(world.arrive_split(0, &long, &lens));
        // Forwarded, by the other worker too, dropped by the module, for nobody, and no packet.
        world.arrive(0, &packet(0, 2, 64), 8);
        world.arrive(0, &packet(1, 2, 64), 8);
        world.arrive(0, &packet(0, 5, 64), 4);
        world.arrive(0, &packet(9, 2, 64), 4);
        world.arrive(0, &[1, 2, 3], 2);
        let allocations = allocations(|| {
            world.turn(0);
            world.turn(1);
        });
        for n in 0..2 {
            let out = world.out[n];
            world.rings(n, out).transmit(RING as usize);
            world.rings(n, out).wire.clear();
        }
        allocations
    };
    // The simulated kernel's own rings grow at first.
    let _warm = (0..200).map(|_| round(&mut world)).sum::<u64>();
    assert_eq!((0..200).map(|_| round(&mut world)).sum::<u64>(), 0);
    let status = world.cores[0].shared().stats.read(0, None);
    assert_eq!(status.rx.packets, 400 * 27, "every round was worked on");
}

#[test]
fn a_large_batch_is_injected_and_its_frames_are_free_at_once() {
    let mut world = World::new();
    world.lead(0, true, true);
    world.turn(0);
    let before = world.umem.counts();
    assert_eq!(world.arrive(0, &packet(0, 2, 64), WORTH), WORTH);
    world.turn(0);
    world.check();
    let sent = world.injected(0);
    assert_eq!(sent.len(), WORTH);
    assert_eq!((&sent[0][..6], sent[0][22]), (&[4; 6][..], 63), "rewritten for the service");
    assert_eq!(world.umem.counts(), before, "no frame is under way");
    let status = world.cores[0].shared().stats.read(0, None);
    assert_eq!((status.injected, status.inject_lost, status.inject_calls), (WORTH as u64, 0, 1));
    assert_eq!((status.tx.packets, status.latency.count), (WORTH as u64, WORTH as u64));
    assert_eq!(world.cores[0].shared().stats.service(0).packets, WORTH as u64);
    assert_eq!(world.cores[0].waiting(), Waiting::Idle);
}

#[test]
fn a_turn_ends_under_a_flood_of_which_nearly_nothing_is_let_through() {
    let mut world = World::new();
    world.lead(0, false, true);
    world.turn(0);
    assert_eq!(world.arrive(0, &packet(0, 2, 64), 1), 1);
    // What else is in the frames is no packet, and dropped.
    world.rings(0, PortId(0)).flood = true;
    world.turn(0);
    world.check();
    assert!(!world.injected(0).is_empty(), "what was let through is sent");
    let received = world.cores[0].shared().stats.read(0, None).rx.packets;
    assert!((32..=SLOTS as u64).contains(&received), "{received}");
}

#[test]
fn a_small_batch_takes_the_ring_where_there_is_one() {
    let mut world = World::new();
    world.lead(0, true, true);
    world.lead(1, false, true);
    world.turn(0);
    world.arrive(0, &packet(0, 2, 64), WORTH - 1);
    world.turn(0);
    let out = world.out[0];
    world.rings(0, out).transmit(64);
    assert_eq!((world.injected(0).len(), world.rings(0, out).wire.len()), (0, WORTH - 1));
    world.arrive(0, &packet(1, 2, 64), 1);
    world.turn(0);
    assert_eq!(world.injected(1).len(), 1, "service 1 has no ring, worker 0 needs none of worker 1's");
    world.check();
}

#[test]
fn one_call_serves_all_services_of_a_turn() {
    let mut world = World::new();
    world.lead(0, true, true);
    world.lead(1, true, true);
    world.turn(0);
    world.arrive(0, &packet(0, 2, 64), WORTH / 2);
    world.arrive(0, &packet(1, 2, 64), WORTH / 2);
    world.turn(0);
    assert_eq!((world.injected(0).len(), world.injected(1).len()), (WORTH / 2, WORTH / 2));
    assert_eq!(world.lane.devices().calls, 1);
    world.check();
}

#[test]
fn what_waits_for_room_is_not_overtaken() {
    let mut world = World::new();
    world.lead(0, true, true);
    world.turn(0);
    // Small batches, until the ring is full and some wait.
    for n in 0..6 {
        world.arrive(0, &packet(0, 2 * n, 64), 20);
        world.turn(0);
    }
    assert!(world.cores[0].pending() > 0);
    world.arrive(0, &packet(0, 100, 64), 32);
    world.turn(0);
    world.check();
    let ports: Vec<_> = world.injected(0).iter().map(|p| u16::from_be_bytes([p[34], p[35]])).collect();
    assert!(ports.len() > LANE, "what waited, and the batch: {}", ports.len());
    assert!(ports.is_sorted(), "{ports:?}");
    assert_eq!(world.cores[0].pending(), 0);
}

#[test]
fn a_device_that_refuses_costs_one_call_and_the_others_go_on() {
    let mut world = World::new();
    world.lead(0, true, true);
    world.lead(1, true, true);
    world.turn(0);
    world.lane.devices().refusing.insert(device(0));
    for _ in 0..2 {
        world.arrive(0, &packet(0, 2, 64), 16);
        world.arrive(0, &packet(1, 2, 64), 16);
        world.turn(0);
        world.turn(1);
        let out = world.out[0];
        world.rings(0, out).transmit(64);
        world.check();
    }
    assert!(world.injected(0).is_empty());
    assert_eq!(world.lane.devices().lost, 16);
    let out = world.out[0];
    assert_eq!(world.rings(0, out).wire.len(), 16, "by the ring from then on");
    // Sixteen alone are not worth a call, and go to the ring of worker 1.
    let out = world.out[1];
    world.rings(1, out).transmit(64);
    assert_eq!(world.injected(1).len() + world.rings(1, out).wire.len(), 32);
    // Control has looked at it.
    world.lane.devices().refusing.clear();
    world.point(0);
    world.arrive(0, &packet(0, 2, 64), 32);
    world.turn(0);
    assert_eq!(world.injected(0).len(), 32);
}

#[test]
fn calls_that_fail_end_injection_and_traffic_goes_on() {
    let mut world = World::new();
    world.lead(0, true, true);
    world.turn(0);
    world.lane.devices().broken = true;
    for _ in 0..3 {
        world.arrive(0, &packet(0, 2, 64), 32);
        world.turn(0);
        let out = world.out[0];
        world.rings(0, out).transmit(64);
        world.check();
    }
    let out = world.out[0];
    assert_eq!(world.rings(0, out).wire.len(), 64);
    assert_eq!(world.lane.devices().calls, 1);
    assert_eq!(world.cores[0].shared().stats.broken_calls(), 1);
}
