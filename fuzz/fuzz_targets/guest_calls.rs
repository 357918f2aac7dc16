//! A guest that does whatever a packet tells it to: calls of the host with any arguments, verdicts and descriptors overwritten,
//! traps, failures. The host lives, every packet has one fate, and alerts are of packets that there are.
#![no_main]

use std::{cell::RefCell, convert::Infallible, path::PathBuf, time::Duration};

use libfuzzer_sys::fuzz_target;
use secuxflow::{
    offline::{Captured, Fate, Happened, LinkType, Replay, ReplayOptions},
    plane::{ChainConfig, Code, FailPolicy, FlowConfig, ModuleConfig},
    process::DropReason,
    rules::{Action, Ruleset},
    stream::StreamConfig,
};

/// Packets of a batch.
const BATCH: usize = 8;
/// Bytes of commands in a packet: ten.
const SCRIPT: usize = 320;

/// The payload is commands of 32 bytes: a number and seven arguments.
const GUEST: &str = concat!(
    include_str!("../../tests/guest_head.wat"),
    r#"  (data (i32.const 16) "packets")
  (data (i32.const 64) "{\"category\":\"fuzz\",\"metadata\":{\"a\":[\"b\"]}}")
  (func (export "sxf_init") (param i32 i32) (result i32)
    (drop (call $metric (i32.const 0) (i32.const 16) (i32.const 7))) (i32.const 0))
  (func $arg (param $s i32) (param $n i32) (result i32)
    (i32.load (i32.add (local.get $s) (i32.shl (local.get $n) (i32.const 2)))))
  (func $do (param $s i32) (param $p i32) (param $n i32) (local $a i32) (local $b i32) (local $c i32)
    (local.set $a (call $arg (local.get $s) (i32.const 1)))
    (local.set $b (call $arg (local.get $s) (i32.const 2)))
    (local.set $c (call $arg (local.get $s) (i32.const 3)))
    (block $alert (block $fields (block $measure (block $log (block $clear (block $condemn (block $block (block $desc
    (block $store (block $grow (block $trap (block $load (block $metric (block $none
      (br_table $alert $fields $measure $log $clear $condemn $block $desc $store $grow $trap $load $metric $none
        (i32.and (i32.load8_u (local.get $s)) (i32.const 15))))
      (drop (call $clock)) return)
      (drop (call $metric (local.get $a) (local.get $b) (local.get $c))) return)
      (drop (i32.load (local.get $a))) return)
      unreachable)
      (drop (memory.grow (local.get $a))) return)
      (i32.store (local.get $a) (local.get $b)) return)
      (i32.store (i32.add (local.get $p) (i32.rem_u (local.get $a) (i32.shl (local.get $n) (i32.const 6)))) (local.get $b))
      return)
      (call $block (local.get $a) (local.get $b)) return)
      (call $condemn (local.get $a) (local.get $b)) return)
      (call $clear (local.get $a) (local.get $b)) return)
      (call $log (local.get $a) (local.get $b) (local.get $c)) return)
      (call $measure (local.get $a) (i64.extend_i32_u (local.get $b))) return)
      (call $fields (local.get $a) (local.get $b) (local.get $c) (call $arg (local.get $s) (i32.const 4))
        (call $arg (local.get $s) (i32.const 5)) (call $arg (local.get $s) (i32.const 6))
        (call $arg (local.get $s) (i32.const 7))) return)
      (call $alert (local.get $a) (local.get $b) (local.get $c) (call $arg (local.get $s) (i32.const 4))
        (call $arg (local.get $s) (i32.const 5))))
  (func (export "sxf_inspect") (param $p i32) (param $n i32) (result i32)
    (local $i i32) (local $d i32) (local $s i32) (local $left i32)
    (loop $packets
      (local.set $d (i32.add (local.get $p) (i32.shl (local.get $i) (i32.const 6))))
      (local.set $s (i32.add (i32.load offset=8 (local.get $d)) (i32.load16_u offset=20 (local.get $d))))
      (local.set $left (i32.shr_u (i32.load16_u offset=22 (local.get $d)) (i32.const 5)))
      (block $done (loop $commands
        (br_if $done (i32.eqz (local.get $left)))
        (call $do (local.get $s) (local.get $p) (local.get $n))
        (local.set $s (i32.add (local.get $s) (i32.const 32)))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br $commands)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $packets (i32.lt_u (local.get $i) (local.get $n))))
    (i32.and (i32.load8_u offset=1 (local.get $s)) (i32.const 1))))"#
);

fn module(name: &str) -> ModuleConfig {
    ModuleConfig {
        name: name.to_owned(),
        path: PathBuf::from("guest.wat"),
        code: Some(Code::from(GUEST.as_bytes().to_vec())),
        on_failure: FailPolicy::Closed,
        deadline: Duration::from_secs(1),
        heap: 4 << 20,
        // It fails for ever, and is started anew each time.
        max_failures: u32::MAX,
        config: String::new(),
        revision: 0,
    }
}

fn replay() -> Replay {
    Replay::new(ReplayOptions {
        rules: Ruleset::new(Vec::new(), Action::Inspect { chain: "default".into() }),
        modules: vec![module("first"), module("second")],
        chains: vec![ChainConfig { name: "default".into(), modules: vec!["first".into(), "second".into()] }],
        fail_policy: FailPolicy::Closed,
        monitor: false,
        flows: FlowConfig::default(),
        streams: StreamConfig::default(),
        batch: BATCH,
    })
    .expect("the guest starts")
}

/// A datagram with `payload`, from a source that differs by packet, so that one blocked source does not end it all.
fn datagram(number: u64, payload: &[u8]) -> Vec<u8> {
    let length = |more: usize| u16::try_from(more + payload.len()).expect("a script is short").to_be_bytes();
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
    frame.extend(length(28));
    frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 10]);
    frame.extend(&number.to_be_bytes()[5..]);
    frame.extend([10, 0, 0, 1, 0, 9, 0, 9]);
    frame.extend(length(8));
    frame.extend([0, 0]);
    frame.extend(payload);
    frame
}

/// What runs, and the number of the last packet.
type Run = (Replay, u64);

thread_local! {
    static RUN: RefCell<Run> = RefCell::new((replay(), 0));
}

fuzz_target!(|input: &[u8]| {
    RUN.with_borrow_mut(|(replay, last)| {
        let first = *last + 1;
        let (mut fates, mut alerts) = (Vec::new(), Vec::new());
        let mut tell = |happened: Happened<'_>| {
            match happened {
                Happened::Packet(packet) => fates.push((packet.number, packet.fate)),
                Happened::Alert { number, event } => {
                    assert!(std::str::from_utf8(event.message.as_bytes()).is_ok() && (1..=4).contains(&event.severity));
                    alerts.extend(number);
                }
            }
            Ok::<(), Infallible>(())
        };
        for script in input.chunks(SCRIPT).take(BATCH * 2) {
            *last += 1;
            let data = datagram(*last, script);
            let original_len = u32::try_from(data.len()).expect("a script is short");
            let packet =
                Captured { number: *last, time_ns: *last * 1_000, link: LinkType::ETHERNET, data: &data, original_len };
            replay.push(&packet, &mut tell).expect("it cannot fail");
        }
        replay.flush(&mut tell).expect("it cannot fail");
        let numbers: Vec<u64> = fates.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, (first..=*last).collect::<Vec<_>>(), "each packet has one fate");
        assert!(alerts.iter().all(|number| (first..=*last).contains(number)));
        for (_, fate) in fates {
            let whole = !matches!(fate, Fate::WorkerDrop(DropReason::Malformed));
            assert!(whole, "no packet of ours is malformed");
        }
        // Packets of more than a few sources are blocked after a while; then all begins anew.
        if *last > 50_000 {
            (*replay, *last) = (self::replay(), 0);
        }
    });
});
