//! Any segments between two ends: what is shown is in order and without a gap unless it says so, of memory that is there, and
//! memory stays bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use secuxflow::{
    flow::{FlowKey, HashKey},
    inspect::SharedMemory,
    stream::{Checksum, Events, MIN_MEMORY, Midstream, Pressure, Segment, StreamConfig, Streams, Unverifiable, Urgent},
    wire::{Frame, parse},
};
use secuxflow_abi::{WINDOW, chunk};

const ADDRESS: u32 = WINDOW + (1 << 16);

fn config(choice: u8) -> StreamConfig {
    StreamConfig {
        memory: MIN_MEMORY,
        streams: 1024,
        early: 8192,
        history: if choice & 1 == 0 { 4096 } else { 0 },
        midstream: if choice & 2 == 0 { Midstream::Pickup } else { Midstream::Pass },
        pressure: if choice & 4 == 0 { Pressure::Drop } else { Pressure::Skip },
        unverifiable: if choice & 8 == 0 { Unverifiable::Pass } else { Unverifiable::Drop },
        urgent: if choice & 16 == 0 { Urgent::Clear } else { Urgent::Drop },
        checksum: Checksum::Ignore,
        ..StreamConfig::default()
    }
}

/// A segment of the input: direction and port, flags, sequence and acknowledgement numbers, seconds passed, length, bytes.
fn frame(input: &[u8]) -> Option<(Vec<u8>, u64, &[u8])> {
    let (head, rest) = input.split_first_chunk::<10>()?;
    let [ends, flags, seq_high, seq_low, ack_high, ack_low, window, data, seconds, len] = *head;
    let (payload, rest) = rest.split_at(usize::from(len).min(rest.len()));
    let mut ports = [[0, 80], [1, ends & 3]];
    if ends & 4 != 0 {
        ports.reverse();
    }
    let total = u16::try_from(40 + payload.len()).ok()?.to_be_bytes();
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, 6, 0, 0];
    frame.extend([10, 0, 0, 1, 10, 0, 0, 1]);
    frame.extend(ports.concat());
    // Numbers that are close to each other and to where they wrap.
    frame.extend([seq_high & 0x80, 0, seq_high & 0x7f, seq_low, ack_high & 0x80, 0, ack_high & 0x7f, ack_low]);
    frame.extend([if data & 0x80 == 0 { 0x50 } else { data << 1 }, flags & 0x3f, window, 0, 0, 0, 0, 1]);
    frame.extend(payload);
    Some((frame, u64::from(seconds & 63), rest))
}

fuzz_target!(|input: &[u8]| {
    let Some((&choice, mut input)) = input.split_first() else { return };
    let memory = SharedMemory::new(MIN_MEMORY).expect("memory can be mapped");
    let end = u64::from(ADDRESS) + memory.len() as u64;
    let mut streams = Streams::new(&config(choice), memory, ADDRESS, HashKey::fixed(1, 2));
    let mut events = Events::new();
    let mut now = 1_000_000_000;
    let mut passages = Vec::new();
    while let Some((frame, seconds, rest)) = frame(input) {
        input = rest;
        now += seconds * 1_000_000_000;
        let Frame::Ip(headers) = parse(&frame) else { continue };
        let (key, way) = FlowKey::of(&headers);
        let segment = Segment {
            id: key.id(HashKey::fixed(3, 4)),
            key: &key,
            way,
            headers: &headers,
            frame: &frame,
            address: WINDOW,
            packet: 0,
            chain: 0,
            generation: 0,
            partial: true,
        };
        let step = streams.segment(now, &segment, &mut events);
        assert!(step.refused.is_none() || step.passage.is_none());
        let mut before: Option<(u64, u32, u64)> = None;
        for event in events.all() {
            let piece = event.chunk;
            let (data, len) = (u64::from(piece.data), u64::from(piece.len));
            assert!(data + len <= u64::from(WINDOW) + frame.len() as u64 || data >= u64::from(ADDRESS) && data + len <= end);
            let direction = piece.flags & chunk::TO_CLIENT;
            if piece.flags & (chunk::ABORT | chunk::GAP | chunk::START) == 0
                && let Some((flow, of, next)) = before
                && (flow, of) == (piece.flow, direction)
            {
                assert_eq!(piece.offset, next, "pieces follow each other");
            }
            before = Some((piece.flow, direction, piece.offset + len));
        }
        events.clear();
        passages.extend(step.passage);
        // Now and then a module drops a packet, or its stream.
        if choice & 32 != 0 && passages.len() > 7 {
            let passage = passages.swap_remove(usize::from(choice) % passages.len());
            streams.dropped(&passage, passages.len() & 1 == 0 && choice & 64 != 0);
            passages.iter().for_each(|passage| _ = streams.is_held_up(passage));
            passages.clear();
        }
        assert!(streams.counts().streams <= 1024 && streams.counts().blocks <= 512);
    }
});
