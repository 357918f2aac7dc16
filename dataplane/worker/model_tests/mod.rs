//! Two workers over a simulated kernel.
#![expect(unsafe_code, reason = "frames are taken back from sockets that are only simulated")]

mod injection;
mod random;
mod single;
mod split;

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use crossbeam_channel::bounded;
use secuxflow_abi::{Chunk, Packet, verdict};

use super::{
    command::{Command, Egress, Ring},
    core::Core,
    shared::Shared,
    simulation::{SHIFT, SimLane, SimRings},
};
use crate::{
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
