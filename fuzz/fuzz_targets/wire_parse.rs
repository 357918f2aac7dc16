//! Any bytes as a frame: the parser answers, and its offsets keep their invariant.
#![no_main]

use libfuzzer_sys::fuzz_target;
use secuxflow::wire::{Frame, parse};

fuzz_target!(|frame: &[u8]| {
    let (Frame::Ip(headers) | Frame::Undecidable(_, Some(headers))) = parse(frame) else { return };
    assert!(headers.l3 <= headers.l4 && headers.l4 <= headers.payload);
    assert!(usize::from(headers.payload) + usize::from(headers.payload_len) <= frame.len());
    assert_eq!(headers.src.is_ipv4(), headers.dst.is_ipv4());
});
