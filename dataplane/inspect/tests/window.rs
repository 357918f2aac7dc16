//! What a guest can and cannot do to packet memory.

use std::sync::Arc;

use super::support::{Bench, chain, guest, module, packet, tcp};
use crate::{
    alert::{AlertKind, AlertQueue, Verdict},
    inspect::{Inspector, SharedMemory},
};

/// First byte of the frame becomes part of the alert's signature.
const READ: &str = "(call $alert (i32.const 0) (i32.const 2) (i32.load8_u offset=5 (i32.load offset=8 (local.get $p)))
    (i32.const 16) (i32.const 4))";

#[test]
fn a_frame_is_read_in_place() {
    let (config, _file) = module("reader", &guest(READ));
    let mut bench = Bench::new(&[config]);
    assert_eq!(bench.run(&[tcp(80, 0x18, b"x")]), [true]);
    let alerts = bench.raised();
    assert_eq!(alerts.len(), 1);
    let alert = &alerts[0];
    assert_eq!((alert.kind, alert.severity, alert.signature), (AlertKind::Signature, 2, 2), "byte 5 of the frame is 2");
    assert_eq!((alert.message.as_str(), alert.rule, alert.ingress), ("seen", 5, Some(0)));
    assert_eq!((alert.chain, alert.module, alert.verdict), (Some(0), Some(0), Verdict::Pass));
    let flow = alert.flow.unwrap();
    assert_eq!((flow.id, flow.protocol, flow.src_port, flow.dst_port), (7, 6, 40000, 80));
    assert_eq!((flow.src, flow.dst), ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()));
}

/// The guest must trap, and the frame be what it was.
fn traps(what: &str, inspect: &str) {
    let (config, _file) = module("vandal", &guest(inspect));
    let mut bench = Bench::new(&[config]);
    assert_eq!(bench.run(&[tcp(80, 0x18, b"x")]), [false], "{what}: fail closed");
    assert_eq!(bench.failures("trap"), 1, "{what}");
}

#[test]
fn the_window_cannot_be_written() {
    let frame = "(i32.load offset=8 (local.get $p))";
    traps("store", &format!("(i32.store8 {frame} (i32.const 255))"));
    traps("fill", &format!("(memory.fill {frame} (i32.const 255) (i32.const 4))"));
    traps("copy into", &format!("(memory.copy {frame} (i32.const 16) (i32.const 4))"));
    traps("copy from", &format!("(memory.copy (i32.const 16) {frame} (i32.const 4))"));
    traps("below", "(drop (i32.load (i32.sub (i32.load offset=8 (local.get $p)) (i32.const 4096))))");
    traps("past the end", "(drop (i32.load offset=0x40000 (i32.load offset=8 (local.get $p))))");
}

#[test]
fn growth_ends_at_the_heap_limit_and_leaves_the_window_alone() {
    // Grow as far as possible: the answer must be -1 at the cap, then the guest goes on and reads the frame.
    let grow = format!(
        "(block $done (loop $more (br_if $done (i32.eq (memory.grow (i32.const 1)) (i32.const -1))) (br $more)))
         (if (i32.ne (memory.size) (i32.const 16)) (then (unreachable)))
         (if (i32.ne (memory.grow (i32.const 0x8000)) (i32.const -1)) (then (unreachable)))
         {READ}"
    );
    let (config, _file) = module("grower", &guest(&grow));
    let mut bench = Bench::new(&[config]);
    assert_eq!(bench.run(&[tcp(80, 0x18, b"x")]), [true]);
    assert_eq!(bench.raised()[0].signature, 2);

    // Also with the largest heap there is.
    let (mut config, _file) = module(
        "grower",
        &guest(&format!(
            "(drop (memory.grow (i32.const 0x8000)))
         (if (i32.ge_u (memory.size) (i32.const 0x4001)) (then (unreachable))) {READ}"
        )),
    );
    config.heap = secuxflow_abi::HEAP_LIMIT as usize;
    let mut bench = Bench::new(&[config]);
    assert_eq!(bench.run(&[tcp(80, 0x18, b"x")]), [true]);
}

#[test]
fn a_reused_pool_slot_shows_nothing_of_the_region_before() {
    // With room for three runners, 3 of 64 pages and then 3 of 1: the second set reuses the slots of the first, and a
    // read at page 32 must trap there.
    let peek = "(drop (i32.load offset=0x20000 (i32.load offset=8 (local.get $p))))";
    let (config, _file) = module("peek", &guest(peek));
    let modules = [config];
    let inspector = Inspector::new(&modules, &[chain(&modules)], 1).unwrap();
    let alerts = Arc::new(AlertQueue::new(64));
    let run = |pages: usize| {
        let mut memory = SharedMemory::new(pages * 4096).unwrap();
        let frame = tcp(80, 0x18, b"x");
        memory.write(0, &frame).unwrap();
        let runners: Vec<_> =
            (0..3).map(|_| inspector.runner(&memory.region(), Arc::clone(&alerts)).unwrap()).collect();
        let mut verdicts = Vec::new();
        for mut runner in runners {
            let mut packets = [packet(0, &frame)];
            runner.run(0, 0, &mut packets, &[]);
            verdicts.push(packets[0].verdict);
        }
        verdicts
    };
    assert_eq!(run(64), [0, 0, 0]);
    assert_eq!(run(1), [1, 1, 1], "fail closed: the read trapped");
    assert_eq!(inspector.status()[0].failures[0].value, 3);
    assert_eq!(inspector.status()[0].calls, 6, "counters outlive their runners");
}

#[test]
fn the_arena_lies_right_behind_the_frames_and_is_read_only_too() {
    // Reads the first byte of the arena, one page behind the frame that lies at the window's beginning.
    let peek = "(call $alert (i32.const 0) (i32.const 3)
        (i32.load8_u offset=4096 (i32.load offset=8 (local.get $p))) (i32.const 16) (i32.const 4))";
    let poke = "(i32.store8 offset=4096 (i32.load offset=8 (local.get $p)) (i32.const 1))";
    let beyond = "(drop (i32.load8_u offset=12288 (i32.load offset=8 (local.get $p))))";
    let frame = tcp(80, 0x18, b"x");
    for (body, passes) in [(peek, 0), (poke, 1), (beyond, 1)] {
        let (config, _file) = module("arena", &guest(body));
        let modules = [config];
        let inspector = Inspector::new(&modules, &[chain(&modules)], 1).unwrap();
        let alerts = Arc::new(AlertQueue::new(64));
        let mut memory = SharedMemory::new(4096).unwrap();
        memory.write(0, &frame).unwrap();
        let mut arena = SharedMemory::new(8192).unwrap();
        let pages = arena.pages();
        let region = memory.region().with_arena(&pages).unwrap();
        assert_eq!(region.len(), 12_288);
        let mut runner = inspector.runner(&region, Arc::clone(&alerts)).unwrap();
        // What is kept aside later is seen.
        arena.write(0, &[42]).unwrap();
        let mut packets = [packet(0, &frame)];
        runner.run(0, 0, &mut packets, &[]);
        assert_eq!(packets[0].verdict, passes);
        assert_eq!(arena.read(0, 1).unwrap(), [42]);
        if passes == 0 {
            assert_eq!(alerts.pop().unwrap().signature, 42);
        }
    }
}

#[test]
fn a_runner_outlives_its_packet_memory() {
    let (config, _file) = module("reader", &guest(READ));
    let modules = [config];
    let inspector = Inspector::new(&modules, &[chain(&modules)], 1).unwrap();
    let alerts = Arc::new(AlertQueue::new(64));
    let frame = tcp(80, 0x18, b"x");
    let mut memory = SharedMemory::new(4096).unwrap();
    memory.write(0, &frame).unwrap();
    let mut runner = inspector.runner(&memory.region(), Arc::clone(&alerts)).unwrap();
    drop(memory);
    let mut packets = [packet(0, &frame)];
    runner.run(0, 0, &mut packets, &[]);
    assert_eq!(packets[0].verdict, 0);
    assert!(alerts.pop().unwrap().flow.is_some());
}
