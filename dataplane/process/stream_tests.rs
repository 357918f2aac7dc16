//! Streams through whole batches: what chains are shown, and what their verdicts do.

use std::sync::Arc;

use secuxflow_abi::{Chunk, NO_PACKET, Packet, WINDOW, chunk, flags, verdict};

use super::{
    DropReason, Inspect, Outcome, Processor, Snapshot, Streaming, Tally,
    tests::{Plain, SERVICE, snapshot},
};
use crate::{
    alert::{AlertKind, AlertQueue, Verdict},
    bpf::Metadata,
    flow::{Ask, Asked, HashKey, Lifetimes, OrderQueue, Tracker, TrackerOptions},
    inspect::{ArenaPages, SharedMemory},
    stream::{
        Refusal, StreamConfig, StreamCounts, Streams,
        testing::{ACK, SECOND, SERVER, SYN, Seg, URG, fragment},
    },
};

/// Bytes of frames in front of the arena: where the frames of [`Plain`] lie.
const FRAMES: u32 = 4096 * 512;
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const DROPPED: Outcome = Outcome::Drop(DropReason::Module);
const REFUSED: Outcome = Outcome::Drop(DropReason::Stream);

/// A module in the host's place: it drops the streams that have `evil` in them, and packets that begin with `!`, and puts
/// the streams together that it is shown.
struct Searching {
    /// Copies of what guests see: the frames of this batch.
    frames: Vec<Vec<u8>>,
    arena: SharedMemory,
    seen: Vec<(u32, Vec<u8>)>,
    packets: Vec<Packet>,
    chunks: Vec<Chunk>,
    cut: Vec<u32>,
    asked: Vec<Asked>,
    /// The first packet's flow is to be cleared.
    clear: bool,
    streams: bool,
    now: u64,
}

impl Searching {
    fn bytes(&self, chunk: &Chunk) -> Vec<u8> {
        let (at, len) = ((chunk.data - WINDOW) as usize, chunk.len as usize);
        match at.checked_sub(FRAMES as usize) {
            Some(at) => self.arena.read(at, len).unwrap().to_vec(),
            None => self.frames[at / 4096][at % 4096 - 256..][..len].to_vec(),
        }
    }
}

impl Inspect for Searching {
    fn run(&mut self, now_ns: u64, chain: u16, packets: &mut [Packet], chunks: &[Chunk]) {
        self.now = now_ns;
        self.cut.clear();
        self.asked.clear();
        for packet in &mut *packets {
            let at = ((packet.frame - WINDOW) as usize).checked_sub(FRAMES as usize);
            assert!(at.is_some() == (packet.flags & flags::REASSEMBLED != 0));
            packet.verdict = verdict::PASS;
            if at.is_none() {
                let frame = &self.frames[(packet.frame - WINDOW) as usize / 4096];
                let bang = frame.get(usize::from(packet.payload)) == Some(&b'!');
                packet.verdict = if bang { verdict::DROP } else { verdict::PASS };
            }
        }
        for piece in chunks {
            let bytes = self.bytes(piece);
            let packet = packets.get_mut(piece.packet as usize);
            if packet.as_ref().is_some_and(|packet| packet.verdict != verdict::PASS) {
                continue;
            }
            let direction = u32::from(chain) << 1 | piece.flags & chunk::TO_CLIENT;
            if self.seen.iter().all(|(of, _)| *of != direction) {
                self.seen.push((direction, Vec::new()));
            }
            let seen = &mut self.seen.iter_mut().find(|(of, _)| *of == direction).unwrap().1;
            seen.truncate(usize::try_from(piece.offset).unwrap());
            let attacked = |seen: &[u8]| seen.windows(4).any(|window| window == b"evil");
            let before = attacked(seen);
            seen.extend(bytes);
            if !before
                && attacked(seen)
                && let Some(packet) = packet
            {
                packet.verdict = verdict::DROP;
                self.cut.push(piece.packet);
            }
        }
        if self.clear && !packets.is_empty() {
            self.asked.push(Asked { packet: 0, step: 0, steps: 1, ask: Ask::Clear, seconds: 0 });
        }
        self.packets.extend_from_slice(packets);
        self.chunks.extend_from_slice(chunks);
    }

    fn wants_streams(&self, _chain: u16) -> bool {
        self.streams
    }

    fn cut(&self) -> &[u32] {
        &self.cut
    }

    fn asked(&self) -> &[Asked] {
        &self.asked
    }
}

struct Bench {
    processor: Processor,
    inspect: Searching,
    alerts: Arc<AlertQueue>,
    snapshot: Snapshot,
    now: u64,
    tally: Tally,
    /// The frames of the last batch, as they left.
    left: Vec<Vec<u8>>,
    _pages: ArenaPages,
}

impl Bench {
    fn new() -> Self {
        Self::with(&StreamConfig::default())
    }

    fn with(config: &StreamConfig) -> Self {
        let alerts = Arc::new(AlertQueue::new(64));
        let memory = SharedMemory::new(config.memory).unwrap();
        let streams = Streams::new(config, memory, WINDOW + FRAMES, HashKey::fixed(5, 6));
        let streaming = Streaming::new(streams, Arc::clone(&alerts));
        let pages = streaming.pages();
        let lifetimes = Lifetimes { default_ns: 10 * SECOND, max_ns: 60 * SECOND };
        let orders = Some(Arc::new(OrderQueue::new(64)));
        let tracker = Tracker::new(TrackerOptions { flows: 0, idle_ns: 100 * SECOND, lifetimes, orders });
        let processor = Processor::new(HashKey::fixed(1, 2)).with_tracker(tracker).with_streaming(streaming);
        let inspect = Searching {
            frames: Vec::new(),
            arena: SharedMemory::of(&pages),
            seen: Vec::new(),
            packets: Vec::new(),
            chunks: Vec::new(),
            cut: Vec::new(),
            asked: Vec::new(),
            clear: false,
            streams: true,
            now: 0,
        };
        let mut snapshot = snapshot();
        snapshot.routes.get_mut(&SERVER.0.into()).unwrap().mtu = 1500;
        // The way back.
        let mut route = snapshot.routes[&SERVER.0.into()];
        route.mtu = 1500;
        snapshot.routes.insert([192, 168, 0, 1].into(), route);
        let tally = Tally::default();
        Self { processor, inspect, alerts, snapshot, now: SECOND, tally, left: Vec::new(), _pages: pages }
    }

    fn open() -> Self {
        let mut bench = Self::new();
        bench.handshake();
        bench
    }

    fn handshake(&mut self) {
        let batch =
            [Seg::there(SYN, 1000, 0, &[]), Seg::back(SYN | ACK, 5000, 1001, &[]), Seg::there(ACK, 1001, 5001, &[])];
        assert_eq!(self.segments(&batch), [SERVICE; 3]);
    }

    fn segments(&mut self, segments: &[Seg]) -> Vec<Outcome> {
        self.frames(segments.iter().map(Seg::frame).collect())
    }

    /// Data of the client at these places.
    fn send(&mut self, pieces: &[(u32, &[u8])]) -> Vec<Outcome> {
        self.segments(&pieces.iter().map(|(seq, data)| Seg::there(ACK, *seq, 5001, data)).collect::<Vec<_>>())
    }

    fn frames(&mut self, mut frames: Vec<Vec<u8>>) -> Vec<Outcome> {
        frames.iter_mut().for_each(|frame| frame[..6].copy_from_slice(&MAC));
        self.inspect.frames.clone_from(&frames);
        self.inspect.packets.clear();
        self.inspect.chunks.clear();
        let said = |frame| (frame, Some(Metadata { chain: 0, rule: 5, generation: 1, slot: 4 }));
        let mut plain = Plain { ingress: 0, frames: frames.into_iter().map(said).collect() };
        self.tally = self.processor.run_at(self.now, &self.snapshot, &mut plain, &mut self.inspect);
        self.left = plain.frames.into_iter().map(|(frame, _)| frame).collect();
        self.processor.outcomes().to_vec()
    }

    fn seen(&self) -> &[u8] {
        self.inspect.seen.first().map_or(&[], |(_, bytes)| bytes)
    }

    fn counts(&self) -> StreamCounts {
        self.processor.streaming().unwrap().counts()
    }
}

#[test]
fn an_attack_in_one_byte_segments_in_any_order_is_dropped_with_the_segment_that_completes_it() {
    let attack = b"GET /?q=evil HTTP/1.1";
    let end = 1001 + u32::try_from(attack.len()).unwrap();
    let pieces: Vec<_> = (1001..end).zip(attack.chunks(1)).collect();
    // In one batch, in order: up to the byte that completes it all pass, and nothing after.
    let mut bench = Bench::open();
    let outcomes = bench.send(&pieces);
    assert_eq!(outcomes[..11], [SERVICE; 11]);
    assert_eq!(outcomes[11..], [&[DROPPED][..], &[REFUSED; 9]].concat());
    assert_eq!(bench.send(&[(1012, b"l")]), [REFUSED], "sent again");
    assert_eq!(bench.segments(&[Seg::back(ACK, 5001, 1001, b"200")]), [REFUSED], "both ways");
    assert_eq!(bench.counts().refused(Refusal::Condemned), 11);
    // Backwards, in batches of one: the first byte comes last and fills the gap.
    let mut bench = Bench::open();
    for piece in pieces.iter().skip(1).rev() {
        assert_eq!(bench.send(&[*piece]), [SERVICE]);
    }
    assert_eq!(bench.seen(), b"");
    assert_eq!(bench.send(&pieces[..1]), [DROPPED]);
    assert_eq!(bench.seen(), attack);
}

#[test]
fn descriptors_tell_of_flows_and_chunks_of_their_packets() {
    let mut bench = Bench::open();
    let told: Vec<_> = bench.inspect.packets.iter().map(|packet| packet.flags).collect();
    assert_eq!(told, [flags::FLOW_START, flags::TO_CLIENT, flags::ESTABLISHED]);
    assert_eq!((bench.inspect.chunks.len(), bench.inspect.now), (0, SECOND));
    let mut other = Seg::there(ACK, 7, 1, b"other");
    other.from.1 = 999;
    bench.segments(&[other, Seg::back(ACK, 5001, 1001, b"hello"), Seg::there(ACK, 1001, 5006, b"bye")]);
    let chunks = &bench.inspect.chunks;
    let told: Vec<_> = chunks.iter().map(|chunk| (chunk.packet, chunk.len, chunk.flags)).collect();
    assert_eq!(
        told,
        [(0, 5, chunk::START | chunk::MIDSTREAM), (1, 5, chunk::START | chunk::TO_CLIENT), (2, 3, chunk::START)]
    );
    for chunk in chunks {
        assert_eq!(chunk.flow, bench.inspect.packets[chunk.packet as usize].flow);
    }
    assert_eq!(bench.inspect.packets[0].flags & flags::MIDSTREAM, flags::MIDSTREAM);
    // A chain without modules of streams pays for none, and knows of flows what the flow table does.
    let mut plain = Bench::new();
    plain.inspect.streams = false;
    plain.handshake();
    let told: Vec<_> = plain.inspect.packets.iter().map(|packet| packet.flags).collect();
    assert_eq!(told, [flags::FLOW_START, flags::TO_CLIENT | flags::ESTABLISHED, flags::ESTABLISHED]);
    assert_eq!((plain.send(&[(1001, b"evil")]), plain.counts().opened), (vec![SERVICE], 0));
}

#[test]
fn a_stream_without_a_packet_tells_its_end_to_its_chain() {
    let mut bench = Bench::open();
    bench.send(&[(1001, b"abc")]);
    bench.now += 601 * SECOND;
    let mut other = Seg::there(4, 7, 1, &[]);
    other.from.1 = 999;
    assert_eq!(bench.segments(&[other]), [SERVICE]);
    let told: Vec<_> = bench.inspect.chunks.iter().map(|chunk| (chunk.packet, chunk.flags, chunk.offset)).collect();
    assert_eq!(told, [(NO_PACKET, chunk::ABORT, 3)]);
}

#[test]
fn what_contradicts_itself_is_dropped_unseen_and_alerted() {
    let mut bench = Bench::open();
    assert_eq!(bench.send(&[(1005, b"good"), (1001, b"very evil"), (1001, b"very")]), [SERVICE, REFUSED, SERVICE]);
    assert_eq!((bench.seen(), bench.inspect.packets.len()), (&b"verygood"[..], 2));
    let alert = bench.alerts.pop().unwrap();
    let flow = alert.flow.unwrap();
    assert_eq!((alert.kind, alert.verdict, alert.severity, alert.rule), (AlertKind::Dataplane, Verdict::Drop, 2, 5));
    assert_eq!((flow.dst_port, flow.src_port, alert.frame), (80, 40_000, Some(4096 + 256)));
    assert!(alert.message.contains("contradicts"), "{}", alert.message);
    assert!(bench.alerts.pop().is_none());
    // A decoy with a wrong checksum is dropped without a word, however often it comes.
    let mut decoy = Seg::there(ACK, 1009, 5001, b"decoy").frame();
    decoy[54] ^= 1;
    assert_eq!(bench.frames(vec![decoy; 3]), [REFUSED; 3]);
    assert!(bench.alerts.pop().is_none());
    assert_eq!(bench.send(&[(1009, b", end")]), [SERVICE]);
    // Many streams that do are alerted a few times a second.
    for port in 1..100 {
        let from = |seq, data: &[u8]| {
            let mut segment = Seg::there(ACK, seq, 5001, data);
            segment.from.1 = port;
            segment
        };
        bench.segments(&[from(1, b"ab"), from(1, b"xy")]);
    }
    assert_eq!(std::iter::from_fn(|| bench.alerts.pop()).count(), 15);
    assert_eq!(bench.counts().refused(Refusal::Conflict), 100);
}

#[test]
fn decoys_that_do_not_get_as_far_as_the_receiver_do_not_count() {
    let mut bench = Bench::open();
    let mut expires = Seg::there(ACK, 1001, 5001, b"decoy").frame();
    expires[22] = 1;
    assert_eq!(bench.frames(vec![expires]), [Outcome::Drop(DropReason::TtlExpired)]);
    bench.snapshot.routes.get_mut(&SERVER.0.into()).unwrap().mtu = 60;
    assert_eq!(bench.send(&[(1001, &[b'x'; 60])]), [Outcome::Drop(DropReason::Mtu)]);
    assert_eq!(bench.send(&[(1001, b"evil")]), [DROPPED]);
    assert_eq!(bench.seen(), b"evil");
}

#[test]
fn a_packet_that_is_dropped_alone_is_shown_again_and_its_stream_goes_on() {
    let mut bench = Bench::open();
    let outcomes = bench.send(&[(1001, b"ab"), (1003, b"!d"), (1005, b"ef")]);
    assert_eq!(outcomes, [SERVICE, DROPPED, REFUSED], "what came behind it was not shown in order");
    bench.inspect.seen.clear();
    assert_eq!(bench.send(&[(1003, b"cd")]), [REFUSED], "it has to be the same");
    bench.inspect.frames.clear();
    // The module lets it pass this time.
    let again = Seg::there(ACK, 1002, 5001, b"b!d");
    assert_eq!(bench.segments(&[again, Seg::there(ACK, 1005, 5001, b"ef")]), [SERVICE; 2]);
    let told: Vec<_> = bench.inspect.chunks.iter().map(|chunk| (chunk.offset, chunk.len)).collect();
    assert_eq!(told, [(2, 2), (4, 2)]);
}

#[test]
fn fragments_are_shown_as_they_come_and_whole() {
    let attack = Seg::there(ACK, 1001, 5001, b"GET /?q=evil HTTP/1.1, and some more").frame();
    let pieces: Vec<_> = [(40, 16), (0, 24), (24, 16)].map(|(at, len)| fragment(&attack, 7, at, len)).to_vec();
    let mut bench = Bench::open();
    assert_eq!(bench.frames(pieces.clone()), [SERVICE, SERVICE, DROPPED], "without the last there is no datagram");
    let told: Vec<_> = bench.inspect.packets.iter().map(|packet| (packet.flags, packet.dst_port)).collect();
    let later = flags::FRAGMENT | flags::LATER_FRAGMENT;
    let whole = flags::REASSEMBLED | flags::ESTABLISHED;
    assert_eq!(told[0], (later, 0));
    assert_eq!((told[1].0 & later, told[1].1), (flags::FRAGMENT, 80));
    assert_eq!((told[2], told[3]), ((later, 0), (whole, 80)));
    assert_eq!(bench.seen(), &attack[54..], "as in one packet");
    assert_eq!(bench.frames(vec![pieces[2].clone()]), [REFUSED], "nor with the last one again");
    assert_eq!(bench.send(&[(1001, b"x")]), [REFUSED], "and its stream is dropped");
    // What passes goes on in its stream.
    let mut bench = Bench::open();
    let good = Seg::there(ACK, 1001, 5001, b"GET /?q=good HTTP/1.1, and some more").frame();
    let pieces: Vec<_> = [(0, 24), (24, 32)].map(|(at, len)| fragment(&good, 7, at, len)).to_vec();
    assert_eq!(bench.frames(pieces), [SERVICE, SERVICE]);
    assert_eq!(bench.send(&[(1037, b"!")]), [DROPPED]);
    assert_eq!(bench.seen(), b"GET /?q=good HTTP/1.1, and some more");
    // Fragments that overlap are alerted.
    bench.frames(vec![fragment(&good, 8, 0, 32), fragment(&good, 8, 24, 32)]);
    assert!(bench.alerts.pop().unwrap().message.contains("overlap"));
}

#[test]
fn a_flow_that_its_chain_cleared_comes_back_behind_a_gap() {
    let mut bench = Bench::open();
    bench.inspect.clear = true;
    assert_eq!(bench.send(&[(1001, b"abc")]), [SERVICE]);
    bench.inspect.clear = false;
    assert_eq!((bench.send(&[(1004, b"evil")]), bench.tally.cleared), (vec![SERVICE], 1));
    bench.now += 11 * SECOND;
    assert_eq!(bench.send(&[(1008, b"def")]), [SERVICE]);
    let chunk = bench.inspect.chunks[0];
    assert_eq!((chunk.offset, chunk.flags), (7, chunk::GAP));
}

#[test]
fn monitor_mode_drops_nothing_and_tells_all_the_same() {
    let mut bench = Bench::open();
    bench.snapshot.monitor = true;
    assert_eq!(bench.send(&[(1001, b"evil"), (1001, b"good"), (1005, b"more")]), [SERVICE; 3]);
    assert_eq!(bench.tally.monitored, 2);
    assert_eq!(bench.alerts.pop().unwrap().verdict, Verdict::Pass);
    assert_eq!(bench.send(&[(1009, b"!")]), [SERVICE], "no stream is dropped");
    assert_eq!(bench.seen(), b"evilmore");
}

#[test]
fn urgent_data_is_data_as_any_other_for_module_and_receiver() {
    let mut bench = Bench::open();
    let urgent = Seg { urgent: 1, ..Seg::there(ACK | URG, 1001, 5001, b"evil") };
    assert_eq!(bench.segments(std::slice::from_ref(&urgent)), [DROPPED]);
    let mut bench = Bench::open();
    let urgent = Seg { payload: b"good".to_vec(), ..urgent };
    assert_eq!(bench.segments(&[urgent]), [SERVICE]);
    assert_eq!(bench.left[0][34..], Seg::there(ACK, 1001, 5001, b"good").frame()[34..]);
}

#[test]
fn operators_may_pardon_a_stream() {
    let mut bench = Bench::open();
    assert_eq!(bench.send(&[(1001, b"evil")]), [DROPPED]);
    assert_eq!(bench.send(&[(1001, b"good")]), [REFUSED]);
    bench.processor.forget(None);
    bench.inspect.seen.clear();
    assert_eq!(bench.send(&[(1001, b"good")]), [SERVICE]);
}

#[test]
fn batches_allocate_nothing() {
    let mut bench = Bench::open();
    let frames: Vec<_> = (0..64_u32).map(|n| Seg::there(ACK, 1001 + (63 - n) * 100, 5001, &[7; 100]).frame()).collect();
    let said = Metadata { chain: 0, rule: 5, generation: 1, slot: 4 };
    let mut plain = Plain { ingress: 0, frames: frames.into_iter().map(|frame| (frame, Some(said))).collect() };
    let mut passing = Passing;
    let allocations = crate::counting::allocations(|| {
        bench.processor.run_at(bench.now, &bench.snapshot, &mut plain, &mut passing);
    });
    assert_eq!((allocations, bench.counts().bytes), (0, 6400));
}

/// Passes everything.
struct Passing;

impl Inspect for Passing {
    fn run(&mut self, _now_ns: u64, _chain: u16, packets: &mut [Packet], _chunks: &[Chunk]) {
        packets.iter_mut().for_each(|packet| packet.verdict = verdict::PASS);
    }

    fn wants_streams(&self, _chain: u16) -> bool {
        true
    }
}
