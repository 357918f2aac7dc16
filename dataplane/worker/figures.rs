//! What the ways out toward a veth cost: the figures of docs/decisions/0009. Run it on a quiet machine, built with
//! optimisation: `cargo test --release -p secuxflow worker::figures -- --ignored --nocapture`.
//!
//! ```text
//!   core 0: packets made by a program, live frames ── wrk-a ═ wrk-b ── redirect ── worker on core 1 ── wrk-c ═ wrk-d: drop
//! ```
#![expect(unsafe_code, reason = "hand-made XDP programs, and live frames")]

use std::{
    os::fd::{AsRawFd, OwnedFd},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use libbpf_rs::libbpf_sys;
use secuxflow_abi::{Chunk, Packet};

use super::{
    Idle, Options, Workers,
    netns_tests::{Lab, Redirect, ifindex, load, mac, packet, snapshot, spec},
};
use crate::{
    egress::{Inject, Injection, Lane},
    plane::{ModeRequest, UmemLayout},
    process::{EgressId, Inspect},
    xsk::{self, Kick, Outgoing, Pending, Place, PortId, Umem},
};

const LAYOUT: UmemLayout = UmemLayout { frames: 8192, frame_size: 4096, ring: 2048 };
const LENGTHS: [usize; 2] = [64, 1400];
const ROUNDS: usize = 3;
const BATCHES: [u32; 5] = [16, 32, 64, 256, 512];
const SECONDS: Duration = Duration::from_secs(1);

/// Lets everything through.
struct PassAll;

impl Inspect for PassAll {
    fn run(&mut self, _now_ns: u64, _chain: u16, _packets: &mut [Packet], _chunks: &[Chunk]) {}
}

fn pin(core: usize) {
    assert!(core_affinity::set_for_current(core_affinity::CoreId { id: core }));
}

/// A program that returns `action`, attached natively.
fn attach(dev: &str, action: i32) -> (OwnedFd, OwnedFd) {
    let program = load("act", &[(0xb7, 0x00, 0, action), (0x95, 0x00, 0, 0)]);
    let link = crate::bpf::create_xdp_link(std::os::fd::AsFd::as_fd(&program), ifindex(dev), false).unwrap();
    (program, link)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Send `bytes` out of wrk-a until told to stop, as fast as one core can.
fn generate(program: &OwnedFd, bytes: &[u8], stop: &AtomicBool) {
    pin(0);
    let context: [u32; 6] = [0, u32::try_from(bytes.len()).unwrap(), 0, ifindex("wrk-a").cast_unsigned(), 0, 0];
    while !stop.load(Relaxed) {
        let mut options = libbpf_sys::bpf_test_run_opts {
            sz: size_of::<libbpf_sys::bpf_test_run_opts>() as libbpf_sys::size_t,
            data_in: bytes.as_ptr().cast(),
            data_size_in: u32::try_from(bytes.len()).unwrap(),
            ctx_in: context.as_ptr().cast(),
            ctx_size_in: 24,
            repeat: 1 << 14,
            batch_size: 256,
            flags: libbpf_sys::BPF_F_TEST_XDP_LIVE_FRAMES,
            ..Default::default()
        };
        // SAFETY: the program is borrowed and open; `options` says its own size and those of what it points to, which
        // outlives the call.
        assert_eq!(unsafe { libbpf_sys::bpf_prog_test_run_opts(program.as_raw_fd(), &raw mut options) }, 0);
    }
}

/// Packets of `len` bytes a second through one worker, in millions; how many of a call; and the share of losses.
fn forwarded(len: usize, batch: u32, ring: bool, inject: bool, generator: &OwnedFd) -> (f64, f64, f64) {
    let redirect = Redirect::attach("wrk-b");
    let umem = Umem::create(&LAYOUT, 1).unwrap();
    let options =
        Options { umem, workers: 1, cores: vec![1], batch, idle: Idle::default(), flows: None, streaming: vec![] };
    let workers = Workers::start(options, snapshot(), vec![Box::new(PassAll)]).unwrap();
    let mut injection = Injection::load(1).unwrap();
    workers.set_lane(0, Box::new(injection.take_lanes().remove(0))).unwrap();
    let device = ifindex("wrk-c").cast_unsigned();
    injection.admit(device).unwrap();
    let ingress = workers.open(&spec("wrk-b", 0, Some(0)), ModeRequest::Copy).unwrap();
    let ports: Vec<_> =
        ring.then(|| workers.open(&spec("wrk-c", 0, None), ModeRequest::Copy).unwrap().id).into_iter().collect();
    workers.set_egress(EgressId(0), &ports, inject.then_some(device)).unwrap();
    redirect.set(0, ingress.fd);
    let mut bytes = packet(mac("wrk-b"), 80, 0);
    bytes.resize(len, 0);
    let total = u16::try_from(len - 14).unwrap();
    bytes[16..18].copy_from_slice(&total.to_be_bytes());
    bytes[38..40].copy_from_slice(&(total - 20).to_be_bytes());
    let stop = AtomicBool::new(false);
    let figures = thread::scope(|scope| {
        scope.spawn(|| generate(generator, &bytes, &stop));
        thread::sleep(Duration::from_millis(300));
        let (before, begin) = (workers.status().remove(0), Instant::now());
        thread::sleep(SECONDS);
        let (after, time) = (workers.status().remove(0), begin.elapsed());
        stop.store(true, Relaxed);
        let lost = after.inject_lost - before.inject_lost;
        let sent = after.tx.packets - before.tx.packets;
        let batches = (after.batches - before.batches).max(1);
        let mpps = (sent - lost) as f64 / time.as_secs_f64() / 1e6;
        (mpps, sent as f64 / batches as f64, lost as f64 / sent.max(1) as f64)
    });
    for port in ports {
        workers.close(port).unwrap();
    }
    figures
}

#[test]
#[ignore = "needs root"]
fn what_a_worker_forwards() {
    Lab::new("mpps").run(|| {
        // Attached anywhere: it only must not be changed into the kernel's dispatcher at each call.
        let (generator, _at_c) = attach("wrk-c", 3);
        let (_drop, _at_d) = attach("wrk-d", 1);
        println!("way     bytes  batch |   Mpps  packets a batch  lost");
        for len in LENGTHS {
            for (way, ring, inject) in [("tx", true, false), ("inject", false, true), ("both", true, true)] {
                for batch in BATCHES {
                    let figures: Vec<_> =
                        (0..ROUNDS).map(|_| forwarded(len, batch, ring, inject, &generator)).collect();
                    let of = |value: fn(&(f64, f64, f64)) -> f64| median(figures.iter().map(value).collect());
                    let (mpps, size, lost) = (of(|f| f.0), of(|f| f.1), of(|f| f.2));
                    println!("{way:<7} {len:>5} {batch:>6} | {mpps:>6.2} {size:>16.0} {:>5.1}%", 100.0 * lost);
                }
            }
        }
    });
}

/// Nanoseconds a packet for calls of `count` packets that lie in the frames of a cold UMEM.
fn injected(lane: &mut Lane, umem: &Umem, frames: &[xsk::Frame], count: usize, device: u32) -> f64 {
    let mut frames = frames.iter().cycle();
    let calls = (200_000 / count).clamp(200, 20_000);
    let begin = Instant::now();
    for _ in 0..calls {
        for frame in frames.by_ref().take(count) {
            assert!(lane.push(device, umem.bytes(frame)));
        }
        assert!(!lane.run().broken);
    }
    begin.elapsed().as_nanos() as f64 / (calls * count) as f64
}

/// The same frames, as packets of `len` bytes.
fn fill(umem: &Umem, frames: Vec<xsk::Frame>, len: usize) -> Vec<xsk::Frame> {
    let len = u32::try_from(len).unwrap();
    frames.into_iter().map(|frame| umem.claim(frame.addr(), len, Place::Free, Place::Free).unwrap()).collect()
}

/// The same by the TX ring of a socket.
fn transmitted(port: &mut xsk::Port, umem: &Umem, frames: &mut Vec<xsk::Frame>, count: usize, len: usize) -> f64 {
    let calls = (200_000 / count).clamp(200, 20_000);
    let (mut pending, mut sent) = (Pending::with_capacity(count), Vec::with_capacity(frames.len()));
    let mut time = Duration::ZERO;
    for _ in 0..calls {
        if frames.len() < count {
            frames.extend(fill(umem, std::mem::take(&mut sent), len));
        }
        let begin = Instant::now();
        let batch = frames.drain(frames.len() - count..);
        batch.for_each(|frame| pending.push(Outgoing { frame, service: 0, received_ns: 0 }));
        assert_eq!(port.send(&mut pending, |_| ()), count);
        while port.sending() > 0 {
            assert_ne!(port.kick(1), Kick::Gone);
            port.reap(&mut sent);
        }
        time += begin.elapsed();
    }
    frames.extend(fill(umem, sent, len));
    time.as_nanos() as f64 / (calls * count) as f64
}

#[test]
#[ignore = "needs root"]
fn what_a_packet_costs_by_batch_size() {
    Lab::new("cost").run(|| {
        pin(1);
        let (_drop, _at_d) = attach("wrk-d", 1);
        let mut injection = Injection::load(1).unwrap();
        let mut lane = injection.take_lanes().remove(0);
        let device = ifindex("wrk-c").cast_unsigned();
        injection.admit(device).unwrap();
        let umem = Umem::create(&LAYOUT, 1).unwrap();
        let bound = xsk::bind(&umem, PortId(0), &spec("wrk-c", 0, None), ModeRequest::Copy).unwrap();
        let mut port = bound.port;
        println!("bytes packets | ns a packet: tx ring  injection");
        for len in LENGTHS {
            let mut frames = fill(&umem, std::iter::from_fn(|| umem.take_free()).collect(), len);
            for count in [1, 2, 4, 8, 16, 24, 32, 64, 128, 256, 512] {
                let (mut by_ring, mut by_lane) = (Vec::new(), Vec::new());
                for _ in 0..ROUNDS {
                    by_lane.push(injected(&mut lane, &umem, &frames, count, device));
                    by_ring.push(transmitted(&mut port, &umem, &mut frames, count, len));
                }
                println!("{len:>5} {count:>7} | {:>20.0} {:>10.0}", median(by_ring), median(by_lane));
            }
            for frame in frames {
                umem.put_back(frame);
            }
        }
    });
}
