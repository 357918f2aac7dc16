//! Any bytes as a capture: it is read or refused, in memory that does not follow what it claims, and every packet becomes a
//! frame that can be parsed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use secuxflow::{
    offline::{CaptureReader, MAX_CAPTURED, to_ethernet},
    wire::{self, ETH_HLEN, Frame},
};

fuzz_target!(|file: &[u8]| {
    let Ok(mut reader) = CaptureReader::new(file) else { return };
    let (mut frame, mut packets) = (Vec::new(), 0);
    while let Ok(Some(packet)) = reader.next_packet() {
        packets += 1;
        assert!(packet.data.len() <= MAX_CAPTURED.min(file.len()));
        if to_ethernet(packet.link, packet.data, &mut frame) {
            assert!(frame.len() <= packet.data.len() + ETH_HLEN);
            if let Frame::Ip(headers) = wire::parse(&frame) {
                assert!(usize::from(headers.payload) + usize::from(headers.payload_len) <= frame.len());
            }
        }
    }
    // A packet takes 12 bytes at least, wherever it is.
    assert!(packets <= file.len() / 12);
    assert!(matches!(reader.next_packet(), Ok(None)));
});
