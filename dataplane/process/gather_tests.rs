//! Packets of several buffers through whole batches: however they are cut, what comes of them is the same.

use std::sync::Arc;

use proptest::prelude::*;
use secuxflow_abi::{Chunk, Packet, WINDOW, verdict};

use super::{
    DropReason, Frames, GATHERED, Gather, Inspect, Outcome, Processor, Snapshot, Streaming, Tally,
    tests::{SERVICE, packet, snapshot},
};
use crate::{
    alert::AlertQueue,
    bpf::Metadata,
    flow::HashKey,
    inspect::SharedMemory,
    stream::{
        MIN_MEMORY, StreamConfig, Streams,
        testing::{ACK, SERVER, SYN, Seg, URG},
    },
    wire::{self, checksum},
};

/// Guest address of the memory where packets are put together, behind the frames of [`Cut`].
const BEHIND: u32 = WINDOW + (1 << 24);

/// Packets in plain memory, each cut into buffers.
struct Cut {
    packets: Vec<(Vec<Vec<u8>>, Option<Metadata>)>,
}

impl Frames for Cut {
    fn count(&self) -> usize {
        self.packets.len()
    }

    fn ingress(&self) -> u16 {
        0
    }

    fn bytes(&self, index: usize) -> &[u8] {
        &self.packets[index].0[0]
    }

    fn bytes_mut(&mut self, index: usize) -> &mut [u8] {
        &mut self.packets[index].0[0]
    }

    fn addr(&self, index: usize) -> u32 {
        u32::try_from(index).unwrap() * 4096 + 256
    }

    fn truncate(&mut self, index: usize, len: usize) {
        self.packets[index].0[0].truncate(len);
    }

    fn take_metadata(&mut self, index: usize) -> Option<Metadata> {
        self.packets[index].1.take()
    }

    fn is_split(&self, index: usize) -> bool {
        self.packets[index].0.len() > 1
    }

    fn each_part_behind(&self, index: usize, each: impl FnMut(&[u8])) {
        self.packets[index].0[1..].iter().map(Vec::as_slice).for_each(each);
    }
}

/// Cut `bytes` at these places.
fn cut(bytes: &[u8], at: &[usize]) -> Vec<Vec<u8>> {
    let mut places: Vec<usize> = at.iter().map(|at| at % (bytes.len() + 1)).collect();
    places.sort_unstable();
    let ends = places.iter().copied().chain([bytes.len()]);
    let mut from = 0;
    ends.map(|end| bytes[std::mem::replace(&mut from, end)..end].to_vec()).collect()
}

/// Drops what has `evil` in it, wherever guests see it, and remembers the descriptors.
struct Searching {
    frames: Vec<Vec<u8>>,
    gathered: SharedMemory,
    seen: Vec<Packet>,
}

impl Inspect for Searching {
    fn run(&mut self, _now_ns: u64, _chain: u16, packets: &mut [Packet], _chunks: &[Chunk]) {
        for packet in &mut *packets {
            let len = packet.len as usize;
            let bytes = match packet.frame.checked_sub(BEHIND) {
                Some(at) => self.gathered.read(at as usize, len).unwrap(),
                None => &self.frames[(packet.frame - WINDOW) as usize / 4096][..len],
            };
            let evil = bytes.windows(4).any(|window| window == b"evil");
            packet.verdict = if evil { verdict::DROP } else { verdict::PASS };
        }
        self.seen.extend_from_slice(packets);
    }
}

/// Outcomes, descriptors and the packets as they are sent.
fn run(snapshot: &Snapshot, packets: &[Vec<Vec<u8>>]) -> (Vec<Outcome>, Vec<Packet>, Vec<Vec<u8>>, Tally) {
    let memory = SharedMemory::new(GATHERED).unwrap();
    let mut inspect = Searching {
        frames: packets.iter().map(|parts| parts[0].clone()).collect(),
        gathered: SharedMemory::of(&memory.pages()),
        seen: Vec::new(),
    };
    let said = |parts: &Vec<Vec<u8>>| (parts.clone(), Some(Metadata::of(0, 5)));
    let mut frames = Cut { packets: packets.iter().map(said).collect() };
    let mut processor = Processor::new(HashKey::fixed(1, 2)).with_gather(Gather::new(memory, BEHIND));
    let tally = processor.run(snapshot, &mut frames, &mut inspect);
    let left = frames.packets.iter().map(|(parts, _)| parts.concat()).collect();
    (processor.outcomes().to_vec(), inspect.seen, left, tally)
}

fn long() -> Snapshot {
    let mut snapshot = snapshot();
    snapshot.routes.values_mut().for_each(|route| route.mtu = 9000);
    snapshot
}

/// A datagram of `len` bytes of data to 10.0.0.`host`, behind `tags` VLAN tags, whose checksum is partial if so wanted.
fn datagram(host: u8, ttl: u8, len: u16, tags: usize, partial: bool) -> Vec<u8> {
    let mut bytes = packet(host, 80, ttl, 60);
    bytes.truncate(42);
    bytes.extend((0..len).map(|at| u8::try_from(at % 251).unwrap()));
    bytes[16..18].copy_from_slice(&(28 + len).to_be_bytes());
    bytes[38..40].copy_from_slice(&(8 + len).to_be_bytes());
    if partial {
        let pseudo =
            checksum::pseudo_header([192, 168, 0, 1].into(), [10, 0, 0, host].into(), 17, 8 + len).to_be_bytes();
        bytes[40..42].copy_from_slice(&pseudo);
    }
    [&bytes[..12], &[0x81, 0, 0, 7].repeat(tags), &bytes[12..]].concat()
}

proptest! {
    #[test]
    fn a_packet_is_judged_and_rewritten_the_same_however_it_is_cut(
        host in 1u8..3, ttl in 1u8..3, len in 0u16..9100, tags in 0usize..3, partial: bool,
        evil in prop::option::of(0usize..9100), cuts in prop::collection::vec(0usize..9200, 1..5)
    ) {
        let mut bytes = datagram(host, ttl, len, tags, partial);
        if let Some(at) = evil && let Some(place) = bytes.get_mut(50..).and_then(|data| data.get_mut(at..at + 4)) {
            place.copy_from_slice(b"evil");
        }
        // Behind the headers: what has them elsewhere is below.
        let headers = 42 + 4 * tags;
        let cuts: Vec<usize> = cuts.iter().map(|at| headers + at % (bytes.len() - headers + 1)).collect();
        let snapshot = long();
        let (expected, seen, left, _) = run(&snapshot, &[vec![bytes.clone()]]);
        let (outcomes, seen_cut, left_cut, tally) = run(&snapshot, &[cut(&bytes, &cuts)]);
        prop_assert_eq!(&outcomes, &expected);
        prop_assert_eq!((tally.multi_buffer, tally.bytes), (1, bytes.len() as u64));
        let blind = |seen: &[Packet]| seen.iter().map(|packet| Packet { frame: 0, ..*packet }).collect::<Vec<_>>();
        prop_assert_eq!(blind(&seen_cut), blind(&seen));
        if matches!(outcomes[0], Outcome::Forward { .. }) {
            prop_assert_eq!(&left_cut, &left);
        }
        // A partial checksum is completed over all parts.
        if partial && outcomes[0] == SERVICE {
            let wire::Frame::Ip(found) = wire::parse(&left_cut[0]) else { panic!("no packet any more") };
            let segment = &left_cut[0][usize::from(found.l4)..];
            let pseudo = checksum::pseudo_header(found.src, found.dst, 17, 8 + len);
            prop_assert_eq!(checksum::fold(checksum::sum(segment, pseudo.into())), 0xffff);
        }
    }

    #[test]
    fn any_bytes_cut_anyhow_have_an_outcome(
        packets in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..200), prop::collection::vec(0usize..200, 0..6)), 0..20
        )
    ) {
        let packets: Vec<_> = packets.iter().map(|(bytes, cuts)| cut(bytes, cuts)).collect();
        let (outcomes, seen, ..) = run(&long(), &packets);
        prop_assert_eq!(outcomes.len(), packets.len());
        for packet in seen {
            prop_assert!(u32::from(packet.payload) + u32::from(packet.payload_len) <= packet.len);
        }
    }
}

#[test]
fn a_packet_whose_headers_are_cut_is_inspected_and_not_sent() {
    for at in 0..42 {
        let (outcomes, seen, ..) = run(&long(), &[cut(&datagram(1, 64, 5000, 0, false), &[at])]);
        assert_eq!(outcomes, [Outcome::Drop(DropReason::Buffers)], "{at}");
        assert_eq!((seen.len(), seen[0].payload, seen[0].payload_len), (1, 42, 5000));
    }
    let (outcomes, ..) = run(&long(), &[cut(&datagram(1, 64, 5000, 0, false), &[42])]);
    assert_eq!(outcomes, [SERVICE]);
}

#[test]
fn short_and_long_packets_of_a_batch_are_told_apart() {
    let short = datagram(1, 64, 100, 0, false);
    let mut evil = datagram(1, 64, 8000, 0, false);
    evil[3999..4003].copy_from_slice(b"evil");
    let long_one = datagram(1, 64, 8000, 0, false);
    let packets = [vec![short.clone()], cut(&evil, &[4001]), vec![short], cut(&long_one, &[3840, 7680])];
    let (outcomes, seen, _, tally) = run(&long(), &packets);
    assert_eq!(outcomes, [SERVICE, Outcome::Drop(DropReason::Module), SERVICE, SERVICE]);
    assert_eq!(seen.iter().map(|packet| packet.frame >= BEHIND).collect::<Vec<_>>(), [false, true, false, true]);
    assert_eq!(seen[3].frame - seen[1].frame, 8064, "the next multiple of a cache line");
    assert_eq!(tally.multi_buffer, 2);
}

#[test]
fn without_room_or_a_place_for_them_they_are_dropped_and_counted() {
    let packets: Vec<_> = (0..70).map(|_| cut(&datagram(1, 64, 8000, 0, false), &[3840])).collect();
    let (outcomes, ..) = run(&long(), &packets);
    let fit = GATHERED / 8064;
    assert!(outcomes[..fit].iter().all(|outcome| *outcome == SERVICE));
    assert!(outcomes[fit..].iter().all(|outcome| *outcome == Outcome::Drop(DropReason::Incomplete)));
    let mut frames = Cut { packets: vec![(packets[0].clone(), None)] };
    let mut processor = Processor::new(HashKey::fixed(1, 2));
    let mut nobody = Searching { frames: Vec::new(), gathered: SharedMemory::new(1).unwrap(), seen: Vec::new() };
    let tally = processor.run(&long(), &mut frames, &mut nobody);
    assert_eq!(processor.outcomes(), [Outcome::Drop(DropReason::Incomplete)]);
    assert_eq!((tally.bytes, tally.multi_buffer), (8042, 1));
}

/// Puts the client's stream together as it is shown, and remembers the flags of the TCP headers that guests see.
struct Following {
    arena: SharedMemory,
    stream: Vec<u8>,
    flags: Vec<u8>,
}

impl Inspect for Following {
    fn run(&mut self, _now_ns: u64, _chain: u16, packets: &mut [Packet], chunks: &[Chunk]) {
        let read = |at: u32, len: u32| self.arena.read((at - BEHIND) as usize, len as usize).unwrap();
        for packet in packets.iter().filter(|packet| packet.frame >= BEHIND) {
            self.flags.push(read(packet.frame, packet.len)[usize::from(packet.l4) + 13]);
        }
        for piece in chunks.iter().filter(|piece| piece.data >= BEHIND && piece.len > 0) {
            self.stream.extend_from_slice(read(piece.data, piece.len));
        }
    }

    fn wants_streams(&self, _chain: u16) -> bool {
        true
    }
}

#[test]
fn a_stream_of_long_segments_is_shown_in_one_piece_each_and_urgent_data_as_any_other() {
    let memory = SharedMemory::new(GATHERED + MIN_MEMORY).unwrap();
    let mut following = Following { arena: SharedMemory::of(&memory.pages()), stream: Vec::new(), flags: Vec::new() };
    let (gathered, kept) = memory.split(GATHERED).unwrap();
    let streams = Streams::new(
        &StreamConfig { memory: MIN_MEMORY, ..StreamConfig::default() },
        kept,
        BEHIND + u32::try_from(GATHERED).unwrap(),
        HashKey::fixed(5, 6),
    );
    let streaming = Streaming::new(streams, Arc::new(AlertQueue::new(8))).with_gather(Gather::new(gathered, BEHIND));
    let mut processor = Processor::new(HashKey::fixed(1, 2)).with_streaming(streaming);
    let mut snapshot = long();
    let route = snapshot.routes[&SERVER.0.into()];
    snapshot.routes.insert([192, 168, 0, 1].into(), route);
    let text: Vec<u8> = (0..16_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let urgent = Seg { urgent: 5, ..Seg::there(ACK | URG, 9001, 5001, &text[8000..]) };
    let segments = [
        Seg::there(SYN, 1000, 0, &[]),
        Seg::back(SYN | ACK, 5000, 1001, &[]),
        Seg::there(ACK, 1001, 5001, &[]),
        Seg::there(ACK, 1001, 5001, &text[..8000]),
        urgent,
    ];
    for segment in segments {
        let frame = segment.frame();
        let parts = if frame.len() > 3840 { cut(&frame, &[3840, 7680]) } else { vec![frame.clone()] };
        let mut frames = Cut { packets: vec![(parts, Some(Metadata::of(0, 5)))] };
        processor.run(&snapshot, &mut frames, &mut following);
        assert_eq!(processor.outcomes(), [SERVICE]);
        let left = frames.packets[0].0.concat();
        let wire::Frame::Ip(headers) = wire::parse(&left) else { panic!("no packet any more") };
        assert_eq!(headers.tcp_flags, segment.flags & !URG);
        let tcp = &left[usize::from(headers.l4)..];
        let length = u16::try_from(tcp.len()).unwrap();
        let pseudo = checksum::pseudo_header(headers.src, headers.dst, 6, length);
        assert_eq!(checksum::fold(checksum::sum(tcp, pseudo.into())), 0xffff);
    }
    assert_eq!(following.flags, [ACK, ACK], "guests see what is sent");
    assert!(following.stream == text);
}
