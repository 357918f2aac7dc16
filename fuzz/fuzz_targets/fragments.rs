//! Any frames as fragments: a datagram that is put together parses, lies in memory that is there, and memory stays bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use secuxflow::{
    bpf::Metadata,
    flow::HashKey,
    inspect::SharedMemory,
    stream::{Collected, Fragments, MIN_MEMORY, StreamConfig, Streams},
    wire::{Fragment, Frame, parse},
};
use secuxflow_abi::WINDOW;

/// Headers that inputs go on from: IPv4, and IPv6 with a fragment header.
const V4: [u8; 34] = *b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0\x45\0\0\0\0\x01\0\0\x40\x11\0\0\x0a\0\0\x01\x0a\0\0\x02";
const V6: [u8; 62] = *b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x86\xdd\x60\0\0\0\0\0\x2c\x40\
    \xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\x11\0\0\0\0\0\0\x01";

/// A frame of the input: which headers, the field with offset and flags, what to spoil, length, bytes.
fn frame(input: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let (head, rest) = input.split_first_chunk::<6>()?;
    let [kind, high, low, spoil, with, len] = *head;
    let (data, rest) = rest.split_at(usize::from(len).min(rest.len()));
    let mut frame = if kind & 1 == 0 { V4.to_vec() } else { V6.to_vec() };
    let (field, length, counted) = if kind & 1 == 0 { (20, 16, 20 + data.len()) } else { (56, 18, 8 + data.len()) };
    frame[field..field + 2].copy_from_slice(&[high, low]);
    frame[length..length + 2].copy_from_slice(&u16::try_from(counted).ok()?.to_be_bytes());
    frame.extend_from_slice(data);
    if kind & 2 != 0
        && let Some(byte) = frame.get_mut(usize::from(spoil))
    {
        *byte = with;
    }
    Some((frame, rest))
}

fuzz_target!(|input: &[u8]| {
    let mut input = input;
    let memory = SharedMemory::new(MIN_MEMORY).expect("memory can be mapped");
    let config = StreamConfig { memory: MIN_MEMORY, streams: 1024, datagrams: 4, ..StreamConfig::default() };
    let mut streams = Streams::new(&config, memory, WINDOW, HashKey::fixed(1, 2));
    let mut fragments = Fragments::new(&streams);
    let mut now = 1_000_000_000;
    while let Some((frame, rest)) = frame(input) {
        input = rest;
        now += 1_000_000_000;
        let (Frame::Ip(headers) | Frame::Undecidable(_, Some(headers))) = parse(&frame) else { continue };
        if headers.fragment == Fragment::None {
            continue;
        }
        if let Collected::Whole(datagram) = fragments.collect(now, &frame, &headers, Metadata::of(0, 1), &mut streams) {
            assert!(datagram.address - WINDOW + datagram.len <= 1 << 20);
            let (Frame::Ip(whole) | Frame::Undecidable(_, Some(whole))) = parse(fragments.frame()) else {
                panic!("no packet")
            };
            assert_eq!((whole, whole.fragment, whole.truncated), (datagram.headers, Fragment::None, false));
            fragments.settle(datagram.number, frame.len() & 1 == 0, &mut streams);
            fragments.begin();
        }
        assert!(streams.counts().datagrams <= 4 && streams.counts().blocks <= 512);
    }
});
