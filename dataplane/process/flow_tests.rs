//! Flows through whole batches: what chains say of them is kept, and a flood of flows neither grows nor stalls anything.

use std::{sync::Arc, time::Instant};

use secuxflow_abi::{Chunk, MAX_BATCH, Packet, verdict};

use super::{
    DropReason, Inspect, Outcome, Processor, Snapshot, Tally,
    tests::{Plain, SERVICE, packet, snapshot},
};
use crate::{
    bpf::Metadata,
    flow::{Ask, Asked, FlowOrder, FlowVerdict, HashKey, Lifetimes, Order, OrderQueue, Tracker, TrackerOptions},
};

const SECOND: u64 = 1_000_000_000;
const TABLE: u64 = 65_536;

/// Asks for what the destination port says: 100 clears, 200 condemns, 300 blocks the source. Counts what it sees.
#[derive(Default)]
struct Asking {
    seen: usize,
    asked: Vec<Asked>,
}

impl Inspect for Asking {
    fn run(&mut self, _now_ns: u64, _chain: u16, packets: &mut [Packet], _chunks: &[Chunk]) {
        self.seen += packets.len();
        self.asked.clear();
        for (index, packet) in (0..).zip(packets) {
            packet.verdict = verdict::PASS;
            let ask = match packet.dst_port {
                100 => Ask::Clear,
                200 => Ask::Condemn,
                300 => Ask::Block,
                _ => continue,
            };
            self.asked.push(Asked { packet: index, step: 0, steps: 1, ask, seconds: 0 });
        }
    }

    fn asked(&self) -> &[Asked] {
        &self.asked
    }
}

struct Bench {
    processor: Processor,
    inspect: Asking,
    orders: Arc<OrderQueue>,
    snapshot: Snapshot,
    now: u64,
}

impl Bench {
    fn new() -> Self {
        let orders = Arc::new(OrderQueue::new(1024));
        let lifetimes = Lifetimes { default_ns: 10 * SECOND, max_ns: 60 * SECOND };
        let options = TrackerOptions {
            flows: usize::try_from(TABLE).unwrap(),
            idle_ns: 100 * SECOND,
            lifetimes,
            orders: Some(Arc::clone(&orders)),
        };
        let processor = Processor::new(HashKey::random()).with_tracker(Tracker::new(options));
        Self { processor, inspect: Asking::default(), orders, snapshot: snapshot(), now: SECOND }
    }

    fn run(&mut self, frames: Vec<(Vec<u8>, Option<Metadata>)>) -> (Vec<Outcome>, Tally) {
        let mut plain = Plain { ingress: 0, frames };
        let tally = self.processor.run_at(self.now, &self.snapshot, &mut plain, &mut self.inspect);
        (self.processor.outcomes().to_vec(), tally)
    }

    fn one(&mut self, port: u16) -> Outcome {
        self.run(vec![(packet(1, port, 64, 50), said(1))]).0[0]
    }
}

fn said(generation: u32) -> Option<Metadata> {
    Some(Metadata { chain: 0, rule: 5, generation, slot: 4 })
}

#[test]
fn a_cleared_flow_is_forwarded_without_its_chain_and_a_condemned_one_dropped() {
    let mut bench = Bench::new();
    assert_eq!((bench.one(100), bench.one(100), bench.inspect.seen), (SERVICE, SERVICE, 1));
    assert_eq!(bench.one(200), SERVICE, "the packet itself follows its verdict");
    assert_eq!((bench.one(200), bench.inspect.seen), (Outcome::Drop(DropReason::Condemned), 2));
    let orders: Vec<_> = std::iter::from_fn(|| bench.orders.pop()).collect();
    let verdicts = orders.iter().map(|order| match order {
        Order::Flow(FlowOrder { verdict, slot: 4, rule: 5, generation: 1, .. }) => *verdict,
        other => panic!("{other:?}"),
    });
    assert_eq!(verdicts.collect::<Vec<_>>(), [FlowVerdict::Cleared, FlowVerdict::Condemned]);
    // What the kernel says nothing of is inspected, and nothing is ordered for it.
    let (outcomes, tally) = bench.run(vec![(packet(1, 100, 64, 50), None)]);
    assert_eq!((&outcomes[..], tally.cleared, tally.granted), (&[SERVICE][..], 0, 1));
    assert!(bench.orders.is_empty());
}

#[test]
fn in_monitor_mode_nothing_is_condemned_or_blocked() {
    let mut bench = Bench::new();
    bench.snapshot.monitor = true;
    for port in [200, 300, 200] {
        assert_eq!(bench.one(port), SERVICE);
    }
    assert_eq!((bench.inspect.seen, bench.orders.is_empty()), (3, true));
}

#[test]
fn a_million_flows_leave_the_table_bounded_and_every_packet_with_an_outcome() {
    const FLOWS: u32 = 1_000_000;
    let mut bench = Bench::new();
    let (mut next, mut slowest, mut granted) = (0_u32, 0, 0);
    let mut frames = Plain { ingress: 0, frames: vec![(packet(1, 100, 64, 50), None); MAX_BATCH] };
    while next < FLOWS {
        for (frame, metadata) in &mut frames.frames {
            // The last forwarding has changed it; every flow has a source of its own, every third is cleared.
            frame.clone_from_slice(&packet(1, if next.is_multiple_of(3) { 100 } else { 80 }, 64, 50));
            frame[26..30].copy_from_slice(&next.to_be_bytes());
            *metadata = said(1);
            next += 1;
        }
        bench.now += 1000;
        let begin = Instant::now();
        let tally = bench.processor.run_at(bench.now, &bench.snapshot, &mut frames, &mut bench.inspect);
        slowest = slowest.max(begin.elapsed().as_micros());
        granted += tally.granted;
        assert!(bench.processor.outcomes().iter().all(|outcome| *outcome == SERVICE));
    }
    println!("slowest batch of {MAX_BATCH}: {slowest} us");
    let counts = bench.processor.tracker().unwrap().counts();
    assert_eq!((counts.flows, counts.entered, counts.evicted), (TABLE, u64::from(next), u64::from(next) - TABLE));
    assert_eq!(bench.inspect.seen, usize::try_from(next).unwrap(), "each was new");
    // The queue took what it holds, counted the rest, and the table goes by the verdicts all the same.
    let waiting = u64::try_from(std::iter::from_fn(|| bench.orders.pop()).count()).unwrap();
    assert_eq!((waiting, waiting + bench.orders.lost()), (1024, granted));
    let mut last = packet(1, 100, 64, 50);
    let cleared = (next - 3..next).find(|number| number.is_multiple_of(3)).unwrap();
    last[26..30].copy_from_slice(&cleared.to_be_bytes());
    let (_, tally) = bench.run(vec![(last, said(1))]);
    assert_eq!(tally.cleared, 1);
}
