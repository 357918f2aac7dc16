//! Chunks of streams on their way through a chain.

use secuxflow_abi::{Chunk, NO_PACKET, chunk, verdict};

use super::support::{Bench, NOW, each_chunk, exporting, inspecting, module, piece, streaming, tcp};
use crate::{
    alert::{AlertKind, Verdict},
    flow::Ask,
    plane::FailPolicy,
};

/// Alerts on each chunk's packet: the signature is flags, then the first byte.
const TELL: &str = "(call $alert (i32.load offset=24 (local.get $c)) (i32.const 3)
    (i32.or (i32.shl (i32.load offset=28 (local.get $c)) (i32.const 8)) (i32.load8_u (i32.load offset=16 (local.get $c))))
    (i32.const 16) (i32.const 4))";
/// Drops the packets of chunks that begin with `x`, rejects those with `r`, traps at `!`.
const JUDGE: &str =
    "(if (i32.eq (i32.load8_u (i32.load offset=16 (local.get $c))) (i32.const 0x21)) (then (unreachable)))
    (if (i32.eq (i32.load8_u (i32.load offset=16 (local.get $c))) (i32.const 0x78)) (then
      (i32.store offset=44 (i32.add (local.get $p) (i32.mul (i32.load offset=24 (local.get $c)) (i32.const 64)))
        (i32.const 1))))
    (if (i32.eq (i32.load8_u (i32.load offset=16 (local.get $c))) (i32.const 0x72)) (then
      (i32.store offset=44 (i32.add (local.get $p) (i32.mul (i32.load offset=24 (local.get $c)) (i32.const 64)))
        (i32.const 2))))";
/// Drops packets to port 9.
const NOT_NINE: &str = "(loop $l (if (local.get $n) (then
    (if (i32.eq (i32.load16_u offset=28 (local.get $p)) (i32.const 9)) (then
      (i32.store offset=44 (local.get $p) (i32.const 1))))
    (local.set $p (i32.add (local.get $p) (i32.const 64)))
    (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br $l))))";

type Frames = Vec<(u64, Vec<u8>)>;

/// A segment of each flow, to the flow's number as port.
fn segments(of: &[(u64, &[u8])]) -> Frames {
    of.iter().map(|&(flow, payload)| (flow, tcp(u16::try_from(flow).unwrap(), 24, payload))).collect()
}

/// Port and signature of each alert, in order.
fn told(bench: &Bench) -> Vec<(u16, u32)> {
    let alerts = bench.raised();
    let signatures = alerts.iter().filter(|alert| alert.kind == AlertKind::Signature);
    signatures.map(|alert| (alert.flow.unwrap().dst_port, alert.signature)).collect()
}

fn sign(flags: u32, byte: u8) -> u32 {
    flags << 8 | u32::from(byte)
}

#[test]
fn a_module_of_streams_sees_chunks_and_no_packets() {
    let (config, _file) = module("streams", &exporting(&each_chunk(TELL)));
    let mut bench = Bench::new(&[config]);
    assert!(bench.runner.wants_streams(0) && !bench.runner.wants_streams(1));
    let frames = segments(&[(1, b"a"), (2, b"b"), (3, b"c"), (4, b"d")]);
    assert_eq!(bench.stream(&frames, &[]), [0; 4]);
    assert_eq!(bench.status().calls, 0);
    let chunks = [
        piece(1, &frames, 0, chunk::START),
        piece(1, &frames, 1, chunk::TO_CLIENT),
        // The bytes of an earlier packet, which this one made contiguous.
        Chunk { packet: 3, ..piece(2, &frames, 7, 0) },
        piece(3, &frames, 8, chunk::END),
    ];
    assert_eq!(bench.stream(&frames, &chunks), [0; 4]);
    assert_eq!(told(&bench), [(2, sign(2, b'b')), (2, sign(1, b'b')), (4, sign(0, b'c')), (4, sign(4, b'd'))]);
    let status = bench.status();
    assert_eq!((status.calls, status.passed.packets), (1, 2), "two packets carried something");
}

#[test]
fn packets_come_before_their_chunks_and_what_is_dropped_leaves_a_gap() {
    let (config, _file) = module("both", &exporting(&(inspecting(NOT_NINE) + &each_chunk(TELL))));
    let (later, _later) = module("later", &exporting(&each_chunk(TELL)));
    let mut bench = Bench::new(&[config, later]);
    let mut frames = segments(&[(1, b"a"), (1, b"bb"), (1, b"c"), (2, b"d")]);
    frames[1].1 = tcp(9, 24, b"bb");
    let chunks = [
        piece(0, &frames, 0, 0),
        piece(1, &frames, 1, 0),
        piece(2, &frames, 3, 0),
        // The other direction and another flow at the same offset: nothing is missing there.
        piece(2, &frames, 3, chunk::TO_CLIENT),
        piece(3, &frames, 3, 0),
    ];
    assert_eq!(bench.stream(&frames, &chunks), [0, 1, 0, 0]);
    let once = [(1, sign(0, b'a')), (1, sign(chunk::GAP, b'c')), (1, sign(1, b'c')), (2, sign(0, b'd'))];
    assert_eq!(told(&bench), [once, once].concat());
    let counts: Vec<_> =
        bench.inspector.status().iter().map(|m| (m.passed.packets, m.dropped.packets, m.calls)).collect();
    assert_eq!(counts, [(3, 1, 2), (3, 0, 1)]);
    assert!(bench.runner.cut().is_empty(), "the packet was dropped as a packet");
}

#[test]
fn a_stream_that_is_cut_takes_the_rest_of_its_flow_along() {
    let (config, _file) = module("cuts", &exporting(&each_chunk(JUDGE)));
    let (later, _later) = module("later", &exporting(&each_chunk(TELL)));
    let mut bench = Bench::new(&[config, later]);
    let frames = segments(&[(1, b"a"), (2, b"b"), (1, b"x"), (1, b"c"), (2, b"d"), (1, b""), (3, b"r")]);
    let chunks: Vec<_> = [0, 1, 2, 3, 4, 6].map(|i| piece(i, &frames, 0, 0)).into();
    let [pass, drop, reject] = [verdict::PASS, verdict::DROP, verdict::REJECT];
    assert_eq!(bench.stream(&frames, &chunks), [pass, pass, drop, drop, pass, drop, reject]);
    assert_eq!(bench.runner.cut(), [2, 6]);
    assert_eq!(told(&bench), [(1, sign(0, b'a')), (2, sign(0, b'b')), (2, sign(0, b'd'))], "the later module's");
    let status = bench.status();
    assert_eq!((status.passed.packets, status.dropped.packets), (3, 3), "packets that carried chunks");
    bench.runner.set_monitor(true);
    assert_eq!(bench.stream(&frames, &chunks), [pass, pass, drop, pass, pass, pass, reject]);
    assert_eq!(bench.runner.cut(), [2, 6]);
}

#[test]
fn a_rejected_packet_is_told_of_as_such() {
    let body = format!("{TELL} {JUDGE}");
    let (config, _file) = module("rejects", &exporting(&each_chunk(&body)));
    let mut bench = Bench::new(&[config]);
    let frames = segments(&[(1, b"r")]);
    assert_eq!(bench.stream(&frames, &[piece(0, &frames, 0, 0)]), [verdict::REJECT]);
    assert_eq!(bench.raised()[0].verdict, Verdict::Reject);
    bench.runner.set_monitor(true);
    bench.stream(&frames, &[piece(0, &frames, 0, 0)]);
    assert_eq!(bench.raised()[0].verdict, Verdict::Pass);
}

#[test]
fn events_without_a_packet_are_shown_alone() {
    let count = format!("(call $log (i32.const 3) (i32.const 16) (i32.const 4)) {TELL}");
    let (config, _file) = module("events", &exporting(&each_chunk(&count)));
    let mut bench = Bench::new(&[config]);
    let over =
        Chunk { flow: 3, offset: 9, data: secuxflow_abi::WINDOW, len: 0, packet: NO_PACKET, flags: chunk::ABORT };
    assert_eq!(bench.stream(&[], &[over]), Vec::<u32>::new());
    assert_eq!(bench.failures("trap"), 1, "there is no packet to alert on");
    let (config, _file) = module(
        "events",
        &exporting(&streaming(
            "(return (i32.add (local.get $n) (i32.ne (local.get $m)
        (i32.const 2))))",
        )),
    );
    let mut bench = Bench::new(&[config]);
    bench.stream(&[], &[over, over]);
    assert_eq!((bench.status().calls, bench.raised().len()), (1, 0), "no packet, two chunks");
    // Of a packet that is not there: not shown.
    bench.stream(&[], &[Chunk { packet: 5, ..over }]);
    assert_eq!(bench.status().calls, 1);
}

#[test]
fn more_chunks_than_a_call_holds_come_in_several() {
    let (config, _file) = module(
        "many",
        &exporting(&streaming(
            "(if (i32.gt_u (local.get $m) (i32.const 1024)) (then (unreachable)))
         (call $clear (i32.sub (local.get $n) (i32.const 1)) (i32.const 0))",
        )),
    );
    let mut bench = Bench::new(&[config]);
    let frames = segments(&[(1, b"a"), (2, b"b")]);
    let chunks: Vec<_> = (0..2500_u32).map(|i| piece(usize::from(i >= 2000), &frames, i.into(), 0)).collect();
    assert_eq!(bench.stream(&frames, &chunks), [0, 0]);
    assert_eq!(bench.status().calls, 3);
    let asked: Vec<_> = bench.asked().iter().map(|&(packet, step, steps, ask, _)| (packet, step, steps, ask)).collect();
    assert_eq!(asked, [(0, 0, 1, Ask::Clear), (1, 0, 1, Ask::Clear), (1, 0, 1, Ask::Clear)]);
}

#[test]
fn chunks_stay_with_their_packets_when_these_are_too_many_for_a_call() {
    let (config, _file) = module("many", &exporting(&each_chunk(&format!("{TELL} {JUDGE}"))));
    let mut bench = Bench::new(&[config]);
    let frames = segments(&[(1, b"a"), (2, b"x")]);
    let mut packets: Vec<_> = (0..1100).map(|_| super::support::packet(0, &frames[0].1)).collect();
    packets[1050] = super::support::packet(4096, &frames[1].1);
    packets[1050].flow = 2;
    bench.stream(&frames, &[]);
    let chunks = [0, 600, 1050].map(|packet| Chunk { packet, ..piece(usize::from(packet == 1050), &frames, 0, 0) });
    bench.runner.run(NOW, 0, &mut packets, &chunks);
    assert_eq!(told(&bench), [(1, sign(0, b'a')), (1, sign(0, b'a')), (2, sign(0, b'x'))]);
    let dropped: Vec<_> = (0..).zip(&packets).filter(|(_, p)| p.verdict != 0).map(|(i, _)| i).collect::<Vec<u32>>();
    assert_eq!((dropped, bench.runner.cut()), (vec![1050], &[1050][..]));
}

#[test]
fn a_chunk_that_a_module_fails_on_does_not_let_its_neighbours_pass() {
    for (policy, poisoned) in [(FailPolicy::Open, verdict::PASS), (FailPolicy::Closed, verdict::REJECT)] {
        let (mut config, _file) = module("bad", &exporting(&each_chunk(&format!("{TELL} {JUDGE}"))));
        config.on_failure = policy;
        // Time enough to take everything apart, however busy the machine is.
        config.deadline = std::time::Duration::from_secs(5);
        let mut bench = Bench::new(&[config]);
        let frames: Frames = (0..64_u16)
            .map(|i| {
                (
                    i.into(),
                    tcp(
                        i,
                        24,
                        match i {
                            37 => b"!",
                            5 => b"x",
                            _ => b"a",
                        },
                    ),
                )
            })
            .collect();
        let chunks: Vec<_> = (0..64).map(|i| piece(i, &frames, 0, 0)).collect();
        for round in 1..=5 {
            let mut expected = [verdict::PASS; 64];
            expected[5] = verdict::DROP;
            expected[37] = poisoned;
            assert_eq!(bench.stream(&frames, &chunks), expected);
            let cut: &[u32] = if policy == FailPolicy::Open { &[5] } else { &[5, 37] };
            assert_eq!(bench.runner.cut(), cut);
            let mut ports: Vec<_> = told(&bench).iter().map(|(port, _)| *port).collect();
            ports.sort_unstable();
            let each: Vec<u16> = (0..64).filter(|port| *port != 37).collect();
            assert_eq!(ports, each, "each that is inspected is so once, as far as anyone can tell");
            assert!(bench.status().in_service, "it works on all chunks but one");
            assert_eq!(bench.failures("trap"), round * 7, "64 chunks are cut six times");
        }
    }
}

#[test]
fn a_module_that_fails_on_every_stream_is_taken_out_of_service_though_it_works_on_packets() {
    for (policy, said) in [(FailPolicy::Open, verdict::PASS), (FailPolicy::Closed, verdict::DROP)] {
        let (mut config, _file) = module("bad", &exporting(&(inspecting("") + &streaming("(unreachable)"))));
        config.on_failure = policy;
        let mut bench = Bench::new(&[config]);
        let frames = segments(&[(1, b"a"), (2, b"b"), (1, b"")]);
        // The last segment is of a flow whose stream is cut, where the policy cuts it. Both ends are told of that.
        let told = if policy == FailPolicy::Open { said } else { verdict::REJECT };
        for _ in 0..3 {
            assert_eq!(bench.stream(&frames, &[piece(0, &frames, 0, 0)]), [told, 0, said]);
        }
        assert!(!bench.status().in_service);
        let kinds: Vec<_> = bench.raised().iter().map(|alert| alert.kind).collect();
        assert_eq!(kinds, [AlertKind::ModuleFailure, AlertKind::ModuleDisabled]);
        assert_eq!(bench.stream(&frames, &[]), [said; 3], "out of service, it would have seen every packet");
    }
}

#[test]
fn a_module_of_streams_that_is_out_of_service_lets_bare_packets_be() {
    let (mut config, _file) = module("bad", &exporting(&streaming("(return (i32.const 1))")));
    config.max_failures = 1;
    let mut bench = Bench::new(&[config]);
    let frames = segments(&[(1, b"a"), (2, b"")]);
    for _ in 0..2 {
        assert_eq!(bench.stream(&frames, &[piece(0, &frames, 0, 0)]), [verdict::REJECT, verdict::PASS]);
        assert_eq!(bench.runner.cut(), [0]);
    }
    assert_eq!((bench.failures("error"), bench.status().in_service), (1, false));
}

#[test]
fn a_stream_that_takes_too_long_is_not_tried_again() {
    let (config, _file) = module("slow", &exporting(&streaming("(loop $for_ever (br $for_ever))")));
    let mut bench = Bench::new(&[config]);
    let frames = segments(&[(1, b"a"), (2, b"b")]);
    let chunks: Vec<_> = (0..2000_u32).map(|i| piece(usize::from(i >= 1000), &frames, i.into(), 0)).collect();
    assert_eq!(bench.stream(&frames, &chunks), [verdict::REJECT; 2]);
    assert_eq!((bench.failures("timeout"), bench.status().calls), (1, 1));
}

#[test]
fn streams_are_inspected_without_allocating() {
    let (config, _file) = module("both", &exporting(&(inspecting(NOT_NINE) + &each_chunk(&format!("{TELL} {JUDGE}")))));
    let mut bench = Bench::new(&[config]);
    let frames: Frames =
        (0..64_u16).map(|i| (u64::from(i % 20), tcp(i % 20, 24, if i == 40 { b"x" } else { b"a" }))).collect();
    let chunks: Vec<_> = (0..64_u8).map(|i| piece(i.into(), &frames, i.into(), 0)).collect();
    let _ = bench.stream_allocations(&frames, &chunks, 1);
    assert_eq!(bench.stream_allocations(&frames, &chunks, 100), 0);
    assert!(bench.status().dropped.packets > 0 && bench.status().alerts > 0);
}
