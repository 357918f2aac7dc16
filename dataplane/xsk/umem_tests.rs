//! Tokens and metadata, on a UMEM in plain memory.

use std::collections::HashSet;

use super::{Frame, Place, PortId, Umem};
use crate::{
    bpf::{METADATA_LEN, types::Magic},
    plane::UmemLayout,
};

const LAYOUT: UmemLayout = UmemLayout { frames: 256, frame_size: 2048, ring: 64 };

fn umem() -> Umem {
    Umem::in_memory(&LAYOUT, 1).unwrap()
}

/// The token of a packet of `len` bytes at `addr`, in the UMEM's first frame, as if it had been received.
fn received(umem: &Umem, addr: u32, len: u32) -> Option<Frame> {
    let frame = umem.take_free().filter(|frame| frame.addr() / LAYOUT.frame_size == addr / LAYOUT.frame_size)?;
    umem.note(&frame, Place::Rx);
    umem.claim(addr, len, Place::Rx, Place::Rx)
}

/// What the XDP program writes first.
fn magic() -> u16 {
    Magic::SXF_MAGIC.0.try_into().expect("the header gives it 16 bits")
}

/// Write what the XDP program would in front of the packet at `addr`.
fn write_metadata(umem: &Umem, addr: u32, magic: u16, chain: u16, rule: u32) {
    let begin = addr - u32::try_from(METADATA_LEN).unwrap();
    let mut at = umem.claim(begin, 8, Place::Rx, Place::Rx).unwrap();
    let bytes = [&magic.to_ne_bytes()[..], &chain.to_ne_bytes(), &rule.to_ne_bytes()].concat();
    umem.bytes_mut(&mut at).copy_from_slice(&bytes);
}

#[test]
fn every_frame_has_one_token() {
    let umem = umem();
    let frames: Vec<_> = std::iter::from_fn(|| umem.take_free()).collect();
    assert_eq!(frames.iter().map(|frame| frame.addr() / 2048).collect::<HashSet<_>>().len(), 256);
    assert_eq!(umem.counts().total(), 256);
    for frame in frames {
        umem.put_back(frame);
    }
    assert_eq!(umem.counts().free, 256);
}

#[test]
fn metadata_is_believed_once() {
    let umem = umem();
    let mut frame = received(&umem, 256, 60).unwrap();
    write_metadata(&umem, 256, magic(), 3, 77);
    let said = umem.take_metadata(&mut frame).map(|said| (said.chain, said.rule));
    assert_eq!(said, Some((3, 77)));
    assert_eq!(umem.take_metadata(&mut frame), None);
}

#[test]
fn anything_else_in_front_of_a_packet_is_no_metadata() {
    let umem = umem();
    let mut frame = received(&umem, 256, 60).unwrap();
    write_metadata(&umem, 256, 0x5359, 3, 77);
    assert_eq!(umem.take_metadata(&mut frame), None);
    // A packet at the very start of its frame has nothing in front of it but the frame before.
    let mut first = umem.claim(0, 60, Place::Rx, Place::Rx).unwrap();
    assert_eq!(umem.take_metadata(&mut first), None);
}

#[test]
fn a_descriptor_that_cannot_be_is_not_believed() {
    let umem = umem();
    let fill = Place::Fill(PortId(0));
    assert!(umem.claim(256, 60, fill, Place::Rx).is_none(), "the frame is free, not in a ring");
    assert!(umem.claim(256 * 2048, 60, Place::Free, Place::Rx).is_none(), "behind the end");
    assert!(umem.claim(u32::MAX, 60, Place::Free, Place::Rx).is_none());
    assert!(umem.claim(256, 2048 - 255, Place::Free, Place::Rx).is_none(), "reaches into the next frame");
    assert!(umem.claim(256, u32::MAX, Place::Free, Place::Rx).is_none());
    assert_eq!(umem.counts().free, 256);
}

#[test]
#[should_panic(expected = "a frame of another UMEM")]
fn a_frame_of_another_umem_is_refused() {
    let (one, other) = (umem(), umem());
    let frame = one.take_free().unwrap();
    let _ = other.bytes(&frame);
}
