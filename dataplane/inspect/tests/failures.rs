//! Modules that misbehave, and what becomes of their packets.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use super::support::{Bench, guest, module, tcp};
use crate::{
    alert::{AlertKind, Verdict},
    clock,
    plane::FailPolicy,
};

const LOOP: &str = "(loop $for_ever (br $for_ever))";
const TRAP: &str = "(unreachable)";

fn bench(inspect: &str, on_failure: FailPolicy) -> (Bench, tempfile::NamedTempFile) {
    let (mut config, file) = module("bad", &guest(inspect));
    config.on_failure = on_failure;
    (Bench::new(&[config]), file)
}

#[test]
fn each_kind_of_failure_is_counted_and_follows_the_policy() {
    let cases = [
        (TRAP, "trap"),
        (LOOP, "timeout"),
        ("(return (i32.const 9))", "error"),
        ("(i32.store offset=44 (local.get $p) (i32.const 3))", "bad_verdict"),
        ("(call $alert (local.get $n) (i32.const 1) (i32.const 1) (i32.const 16) (i32.const 4))", "trap"),
        ("(call $alert (i32.const 0) (i32.const 5) (i32.const 1) (i32.const 16) (i32.const 4))", "trap"),
        ("(call $alert (i32.const 0) (i32.const 1) (i32.const 1) (i32.const 0x80000000) (i32.const 4))", "trap"),
        ("(call $alert (i32.const 0) (i32.const 1) (i32.const 1) (i32.const -1) (i32.const -1))", "trap"),
    ];
    for (inspect, kind) in cases {
        for (policy, pass) in [(FailPolicy::Open, true), (FailPolicy::Closed, false)] {
            let (mut bench, _file) = bench(inspect, policy);
            assert_eq!(bench.run(&[tcp(80, 2, b""), tcp(80, 2, b"")]), [pass, pass], "{inspect}");
            // Both together, then each by itself, unless time has run out already.
            let calls = if kind == "timeout" { 1 } else { 3 };
            assert_eq!(bench.failures(kind), calls, "{inspect}");
            let status = bench.status();
            let count = if pass { status.passed } else { status.dropped };
            assert_eq!((count.packets, status.calls), (2, calls));
            let alerts = bench.raised();
            assert_eq!(alerts.len(), 1);
            assert_eq!((alerts[0].kind, alerts[0].module), (AlertKind::ModuleFailure, Some(0)));
            assert!(alerts[0].message.contains("bad") && alerts[0].message.contains(kind), "{}", alerts[0].message);
        }
    }
}

#[test]
fn in_monitor_mode_alerts_say_that_the_packet_passed() {
    let alert = "(call $alert (i32.const 0) (i32.const 1) (i32.const 1) (i32.const 16) (i32.const 4))";
    let drop = format!("{alert} (i32.store offset=44 (local.get $p) (i32.const 1))");
    for inspect in [drop.as_str(), TRAP] {
        let (mut bench, _file) = bench(inspect, FailPolicy::Closed);
        for (monitor, verdict) in [(false, Verdict::Drop), (true, Verdict::Pass), (false, Verdict::Drop)] {
            bench.runner.set_monitor(monitor);
            assert_eq!(bench.run(&[tcp(80, 2, b"")]), [false], "the module's word stays what it is");
            let alerts = bench.raised();
            // A failing module is told of once in a while.
            assert!(alerts.iter().all(|alert| alert.verdict == verdict), "{alerts:?}");
            assert!(!alerts.is_empty() || inspect == TRAP);
        }
    }
}

#[test]
fn a_loop_ends_soon_after_its_deadline_also_when_the_clock_slept() {
    let (mut bench, _file) = bench(LOOP, FailPolicy::Open);
    std::thread::sleep(std::time::Duration::from_millis(1300));
    let started = Instant::now();
    assert_eq!(bench.run(&[tcp(80, 2, b"")]), [true]);
    let took = started.elapsed().as_millis();
    assert!((20..500).contains(&took), "{took} ms for a deadline of 20 ms");
    assert_eq!(bench.failures("timeout"), 1);
}

/// Counts for some tens of milliseconds.
const COUNT: &str = "(local $i i32) (loop $l
    (local.set $i (i32.add (local.get $i) (i32.const 1))) (br_if $l (i32.lt_u (local.get $i) (i32.const 50000000))))";

#[test]
fn time_in_which_the_core_does_something_else_does_not_count() {
    const OTHERS: usize = 15;
    let of_deadline = |deadline| {
        let (mut config, file) = module("slow", &guest(COUNT));
        config.deadline = deadline;
        (Bench::new(&[config]), file)
    };
    let (mut bench, _file) = of_deadline(Duration::from_secs(60));
    let begun = clock::thread();
    assert_eq!(bench.run(&[tcp(80, 2, b"")]), [true]);
    let deadline = 3 * (clock::thread() - begun);
    let (mut bench, _file) = of_deadline(deadline);
    let core = core_affinity::get_core_ids().unwrap()[0];
    let (ready, over) = (Barrier::new(OTHERS + 1), AtomicBool::new(false));
    let (passed, took) = thread::scope(|scope| {
        for _ in 0..OTHERS {
            scope.spawn(|| {
                core_affinity::set_for_current(core);
                ready.wait();
                while !over.load(Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let held_up = scope.spawn(|| {
            core_affinity::set_for_current(core);
            ready.wait();
            let begun = Instant::now();
            let passed = bench.run(&[tcp(80, 2, b"")]);
            let took = begun.elapsed();
            over.store(true, Relaxed);
            (passed, took)
        });
        held_up.join().unwrap()
    });
    assert!(took > deadline + Duration::from_millis(10), "{took:?}: the others did not hold it up for {deadline:?}");
    assert_eq!((passed, bench.failures("timeout")), (vec![true], 0));
}

#[test]
fn a_module_that_keeps_failing_is_taken_out_of_service() {
    let (mut bench, _file) = bench(TRAP, FailPolicy::Open);
    for _ in 0..10 {
        assert_eq!(bench.run(&[tcp(80, 2, b"")]), [true]);
    }
    let status = bench.status();
    assert!(!status.in_service);
    assert_eq!((status.calls, bench.failures("trap")), (3, 3), "not called after the third failure");
    assert_eq!(status.passed.packets, 10);
    let kinds: Vec<_> = bench.raised().iter().map(|alert| (alert.kind, alert.severity)).collect();
    assert_eq!(kinds, [(AlertKind::ModuleFailure, 2), (AlertKind::ModuleDisabled, 1)], "one failure alert a second");
}

#[test]
fn failures_that_are_not_in_a_row_do_not_add_up() {
    // Traps when the payload is not empty.
    let odd = "(if (i32.load16_u offset=22 (local.get $p)) (then (unreachable)))";
    let (mut bench, _file) = bench(odd, FailPolicy::Closed);
    for _ in 0..5 {
        assert_eq!(bench.run(&[tcp(80, 2, b"x")]), [false]);
        assert_eq!(bench.run(&[tcp(80, 2, b"")]), [true], "a new instance took over");
    }
    assert!(bench.status().in_service);
    assert_eq!(bench.failures("trap"), 5);
}

/// Traps when a payload of the batch begins with `!`, and drops packets whose payload is longer than a byte.
const POISON: &str = "(loop $l (if (local.get $n) (then
    (if (i32.load16_u offset=22 (local.get $p)) (then
        (if (i32.eq (i32.const 0x21) (i32.load8_u (i32.add
                (i32.load offset=8 (local.get $p)) (i32.load16_u offset=20 (local.get $p)))))
            (then (unreachable)))
        (i32.store offset=44 (local.get $p) (i32.gt_u (i32.load16_u offset=22 (local.get $p)) (i32.const 1)))))
    (local.set $p (i32.add (local.get $p) (i32.const 64)))
    (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br $l))))";

#[test]
fn a_packet_that_a_module_fails_on_does_not_let_its_neighbours_pass() {
    let (mut config, _file) = module("bad", &guest(POISON));
    config.on_failure = FailPolicy::Open;
    // Time enough to take everything apart, however busy the machine is.
    config.deadline = std::time::Duration::from_secs(5);
    let mut bench = Bench::new(&[config]);
    for round in 1..=5 {
        let mut frames = vec![tcp(80, 2, b"an attack"); 64];
        frames[37] = tcp(80, 2, b"!");
        frames[5] = tcp(80, 2, b"");
        let passed: Vec<usize> = (0..).zip(bench.run(&frames)).filter(|(_, pass)| *pass).map(|(i, _)| i).collect();
        assert_eq!(passed, [5, 37]);
        assert!(bench.status().in_service, "it works on all packets but one");
        assert_eq!(bench.failures("trap"), round * 7, "64 packets are cut six times");
    }
    let alerts = bench.raised();
    assert!(alerts[0].message.contains("1 packets passed"), "{}", alerts[0].message);
}

#[test]
fn a_batch_full_of_packets_that_a_module_fails_on_ends_after_a_bounded_number_of_calls() {
    let (mut bench, _file) = bench(POISON, FailPolicy::Closed);
    let frame = tcp(80, 2, b"!");
    for _ in 0..2 {
        assert_eq!(bench.run(&vec![frame.clone(); 64]), [false; 64]);
    }
    assert!(bench.status().in_service, "two batches, and the third failure in a row is the last");
    // Fewer where the deadline of 20 ms went by first.
    let calls = bench.status().calls;
    assert!((4..=2 * 33).contains(&calls), "{calls} calls");
    bench.run(&[frame]);
    assert!(!bench.status().in_service);
}

#[test]
fn a_test_runner_counts_nothing_and_explains() {
    let (mut config, _file) = module("bad", &guest(TRAP));
    config.max_failures = 1;
    let bench = Bench::new(&[config]);
    let frame = tcp(80, 2, b"");
    let mut memory = crate::inspect::SharedMemory::new(4096).unwrap();
    memory.write(0, &frame).unwrap();
    let alerts = std::sync::Arc::clone(&bench.alerts);
    let mut runner = bench.inspector.test_runner(&memory.region(), alerts).unwrap();
    let packet = [super::support::packet(0, &frame)];
    let said = runner.explain(0, 0, &mut packet.clone(), &[]);
    assert_eq!(said.len(), 1);
    assert!(said[0].failure.as_deref().unwrap().starts_with("trap: sxf_inspect"), "{said:?}");
    let said = runner.explain(0, 0, &mut packet.clone(), &[]);
    assert!(said[0].failure.as_deref().unwrap().contains("out of service"), "{said:?}");
    let status = bench.status();
    assert!(status.in_service);
    assert_eq!((status.calls, status.dropped.packets), (0, 0));
}

#[test]
fn a_dropped_packet_is_not_shown_to_the_next_module_and_alerts_tell_the_final_verdict() {
    let each = |action: &str| {
        format!(
            "(loop $l (if (local.get $n) (then {action}
               (local.set $p (i32.add (local.get $p) (i32.const 64)))
               (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br $l))))"
        )
    };
    let has_payload = "(i32.ne (i32.load16_u offset=22 (local.get $p)) (i32.const 0))";
    let all =
        "(call $alert (i32.sub (local.get $n) (i32.const 1)) (i32.const 3) (i32.const 1) (i32.const 16) (i32.const 4))";
    let (first, _f1) = module(
        "first",
        &guest(&format!(
            "(local $unused i32) {}",
            each(&format!("(i32.store offset=44 (local.get $p) {has_payload})"))
        )),
    );
    let (second, _f2) = module("second", &guest(&each(all)));
    let (third, _f3) = module("third", &guest(&each("(i32.store offset=44 (local.get $p) (i32.const 1))")));
    let mut bench = Bench::new(&[first, second, third]);
    assert_eq!(bench.run(&[tcp(1, 2, b"x"), tcp(2, 2, b""), tcp(3, 2, b"x"), tcp(4, 2, b"")]), [false; 4]);
    let mut ports: Vec<_> = bench.raised().iter().map(|a| (a.flow.unwrap().dst_port, a.verdict)).collect();
    ports.sort_by_key(|p| p.0);
    assert_eq!(ports, [(2, crate::alert::Verdict::Drop), (4, crate::alert::Verdict::Drop)]);
    let seen: Vec<_> = bench.inspector.status().iter().map(|m| (m.passed.packets, m.dropped.packets)).collect();
    assert_eq!(seen, [(2, 2), (2, 0), (0, 2)]);
}

#[test]
fn alerts_beyond_the_limit_of_a_call_are_counted() {
    let flood =
        "(local $i i32) (loop $l (call $alert (i32.const 0) (i32.const 4) (local.get $i) (i32.const 16) (i32.const 4))
        (local.set $i (i32.add (local.get $i) (i32.const 1))) (br_if $l (i32.lt_u (local.get $i) (i32.const 100))))";
    let (mut bench, _file) = bench(flood, FailPolicy::Closed);
    assert_eq!(bench.run(&[tcp(80, 2, b"")]), [true]);
    assert_eq!((bench.raised().len(), bench.alerts.dropped(), bench.alerts.raised()), (64, 36, 100));
    assert_eq!(bench.status().alerts, 100);
}

#[test]
fn more_packets_than_a_call_holds_are_inspected_in_several() {
    let (mut bench, _file) =
        bench("(if (i32.gt_u (local.get $n) (i32.const 512)) (then (unreachable)))", FailPolicy::Closed);
    let frame = tcp(80, 2, b"");
    let mut packets = vec![super::support::packet(0, &frame); 1100];
    bench.runner.run(0, 0, &mut packets, &[]);
    assert!(packets.iter().all(|packet| packet.verdict == 0));
    assert_eq!(bench.status().calls, 3);
    bench.runner.run(0, 9, &mut packets, &[]);
    assert!(packets.iter().all(|packet| packet.verdict == 1), "an unknown chain drops");
}
