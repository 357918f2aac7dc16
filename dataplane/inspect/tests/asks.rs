//! What modules ask for beside their verdicts: flows cleared and condemned, sources blocked.

use super::support::{Bench, built, guest, module, tcp, udp};
use crate::flow::Ask;

/// Clears packets to even ports for 7 seconds, condemns those to odd ones, and blocks the source of those to port 9.
const BY_PORT: &str = "(local $i i32) (local $port i32) (loop $next
    (local.set $port (i32.load16_u offset=28 (local.get $p)))
    (if (i32.and (local.get $port) (i32.const 1))
        (then (call $condemn (local.get $i) (i32.const 0)) (i32.store offset=44 (local.get $p) (i32.const 1)))
        (else (call $clear (local.get $i) (i32.const 7))))
    (if (i32.eq (local.get $port) (i32.const 9)) (then (call $block (local.get $i) (i32.const 3))))
    (local.set $p (i32.add (local.get $p) (i32.const 64)))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br_if $next (i32.lt_u (local.get $i) (local.get $n))))";
/// Clears every packet.
const ALL: &str = "(local $i i32) (loop $next
    (call $clear (local.get $i) (i32.const 0))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br_if $next (i32.lt_u (local.get $i) (local.get $n))))";
/// Clears the first packet and traps when there is a second.
const TRAPS_ON_TWO: &str = "(call $clear (i32.const 0) (i32.const 0))
    (if (i32.gt_u (local.get $n) (i32.const 1)) (then (unreachable)))";

#[test]
fn wishes_are_told_by_packet_of_the_batch_and_step_of_the_chain() {
    let (first, _one) = module("first", &guest(BY_PORT));
    let (second, _two) = module("second", &guest(ALL));
    let mut bench = Bench::new(&[first, second]);
    assert!(bench.inspector.loadout().may_ask(Ask::Block));
    let frames = [tcp(80, 16, b"x"), tcp(9, 16, b"x"), tcp(82, 16, b"x")];
    assert_eq!(bench.run(&frames), [true, false, true]);
    let expected = [
        (0, 0, 2, Ask::Clear, 7),
        (1, 0, 2, Ask::Condemn, 0),
        (1, 0, 2, Ask::Block, 3),
        (2, 0, 2, Ask::Clear, 7),
        // The second module does not see the packet that the first drops.
        (0, 1, 2, Ask::Clear, 0),
        (2, 1, 2, Ask::Clear, 0),
    ];
    assert_eq!(bench.asked(), expected);
    assert_eq!(bench.run(&[tcp(80, 16, b"x")]), [true]);
    assert_eq!(bench.asked().len(), 2, "those of the last run only");
}

#[test]
fn a_call_that_fails_asks_for_nothing() {
    let (bad, _file) = module("bad", &guest(TRAPS_ON_TWO));
    let mut bench = Bench::new(&[bad]);
    assert_eq!(bench.run(&[tcp(80, 16, b""), tcp(81, 16, b"")]), [true, true], "each by itself");
    assert_eq!(bench.asked(), [(0, 0, 1, Ask::Clear, 0), (1, 0, 1, Ask::Clear, 0)]);
    let (wrong, _file) = module("wrong", &guest("(call $condemn (local.get $n) (i32.const 0))"));
    let mut bench = Bench::new(&[wrong]);
    bench.run(&[tcp(80, 16, b"")]);
    assert_eq!((bench.failures("trap"), bench.asked().len()), (1, 0), "there is no such packet");
}

#[test]
fn clear_after_clears_a_flow_after_so_many_packets_with_content() {
    let mut bench = Bench::new(&[built("clear_after.wasm", r#"{"packets": 3, "seconds": 9}"#)]);
    assert!(bench.inspector.loadout().may_ask(Ask::Clear) && !bench.inspector.loadout().may_ask(Ask::Condemn));
    let empty = tcp(80, 16, b"");
    let full = udp(80, b"x");
    bench.run(&[full.clone(), empty.clone(), full.clone(), empty]);
    assert_eq!(bench.asked(), []);
    assert_eq!(bench.run(&[full.clone(), full]), [true, true]);
    assert_eq!(bench.asked(), [(0, 0, 1, Ask::Clear, 9), (1, 0, 1, Ask::Clear, 9)]);
}

#[test]
fn clear_after_refuses_what_it_does_not_understand() {
    for (json, words) in [
        (r#"{"packets": 0}"#, "packets: must be"),
        (r#"{"seconds": 86401}"#, "too large"),
        (r#"{"x": 1}"#, "unknown option"),
    ] {
        let error = Bench::try_new(&[built("clear_after.wasm", json)]).err().expect("refused").to_string();
        assert!(error.contains(words), "{error}");
    }
}
