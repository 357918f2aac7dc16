//! Packets of several frames: tied together, cut by the ends of batches, taken apart.

use proptest::prelude::*;

use super::{Descriptor, Frame, MAX_PARTS, Place, PortId, Umem, assembly::Assembly};
use crate::plane::UmemLayout;

const LAYOUT: UmemLayout = UmemLayout { frames: 256, frame_size: 2048, ring: 64 };
const FILL: Place = Place::Fill(PortId(0));

/// A part of `len` bytes, all of them `value`, as if it had been received.
fn part(umem: &Umem, len: u32, value: u8) -> Frame {
    let free = umem.take_free().unwrap();
    umem.note(&free, Place::Rx);
    let mut frame = umem.claim(free.addr(), len, Place::Rx, Place::Rx).unwrap();
    umem.bytes_mut(&mut frame).fill(value);
    frame
}

fn bytes(umem: &Umem, packet: &Frame) -> Vec<u8> {
    let mut bytes = umem.bytes(packet).to_vec();
    umem.each_part_behind(packet, |part| bytes.extend_from_slice(part));
    bytes
}

#[test]
fn a_packet_goes_as_one_and_comes_apart_in_its_order() {
    let umem = Umem::in_memory(&LAYOUT, 1).unwrap();
    let mut packet = part(&umem, 100, 1);
    umem.join(&mut packet, part(&umem, 50, 2));
    umem.join(&mut packet, part(&umem, 7, 3));
    assert_eq!((packet.frames(), packet.is_split(), umem.packet_len(&packet)), (3, true, 157));
    assert_eq!(bytes(&umem, &packet), [vec![1; 100], vec![2; 50], vec![3; 7]].concat());
    umem.note(&packet, Place::Mailbox);
    assert_eq!(umem.counts().mailbox, 3, "all of its frames are where it is");
    let mut descriptors = [Descriptor::default(); 4];
    assert_eq!(umem.describe(&packet, &mut descriptors[..2]), 0, "all or none");
    assert_eq!(umem.describe(&packet, &mut descriptors), 3);
    assert_eq!(descriptors.map(|at| (at.len, at.more)), [(100, true), (50, true), (7, false), (0, false)]);
    let second = umem.take_tail(&mut packet).unwrap();
    assert_eq!(umem.bytes(&second), [2; 50]);
    assert_eq!(bytes(&umem, &packet), [vec![1; 100], vec![3; 7]].concat());
    umem.join(&mut packet, second);
    assert_eq!(bytes(&umem, &packet), [vec![1; 100], vec![3; 7], vec![2; 50]].concat());
    for _ in 0..2 {
        umem.put_back(umem.take_tail(&mut packet).unwrap());
    }
    assert!(umem.take_tail(&mut packet).is_none() && !packet.is_split());
    umem.put_back(packet);
    assert_eq!(umem.counts().free, 256);
}

proptest! {
    /// Packets as the kernel hands them over: parts in a row, each but the last marked. Some are too long, and of some
    /// descriptors the ledger knows nothing.
    #[test]
    fn whatever_comes_is_a_whole_packet_or_broken_and_no_frame_is_lost(
        packets in prop::collection::vec((1usize..20, prop::option::weighted(0.1, 0usize..20)), 1..12)
    ) {
        let umem = Umem::in_memory(&LAYOUT, 1).unwrap();
        let (mut assembly, mut whole, mut broken) = (Assembly::default(), Vec::new(), Vec::new());
        let (mut expected, mut frames) = (Vec::new(), 0);
        for (value, (count, lost)) in (0u8..).zip(&packets) {
            for n in 0..*count {
                let frame = (Some(n) != *lost).then(|| part(&umem, 10 + u32::try_from(n).unwrap(), value));
                frames += usize::from(frame.is_some());
                let more = n + 1 < *count;
                if more || assembly.is_open() {
                    assembly.take(&umem, frame, more, &mut whole, &mut broken);
                } else {
                    whole.extend(frame);
                }
            }
            prop_assert!(!assembly.is_open());
            let is_whole = *count <= MAX_PARTS && lost.is_none_or(|lost| lost >= *count);
            if is_whole {
                expected.push(vec![value; (0..*count).map(|n| 10 + n).sum()]);
            }
        }
        prop_assert_eq!(whole.iter().map(|packet| bytes(&umem, packet)).collect::<Vec<_>>(), expected);
        prop_assert_eq!(whole.iter().chain(&broken).map(Frame::frames).sum::<usize>(), frames);
        for mut packet in whole.into_iter().chain(broken) {
            while let Some(tail) = umem.take_tail(&mut packet) {
                umem.put_back(tail);
            }
            umem.put_back(packet);
        }
        prop_assert_eq!(umem.counts().free, 256);
    }
}

#[test]
fn a_packet_whose_end_has_not_come_is_held_and_can_be_given_up() {
    let umem = Umem::in_memory(&LAYOUT, 1).unwrap();
    let (mut assembly, mut whole, mut broken) = (Assembly::default(), Vec::new(), Vec::new());
    for value in 0..3 {
        assembly.take(&umem, Some(part(&umem, 10, value)), true, &mut whole, &mut broken);
    }
    assert_eq!((assembly.held(), whole.len(), broken.len()), (3, 0, 0));
    let packet = assembly.abandon().unwrap();
    assert_eq!((packet.frames(), assembly.held(), assembly.is_open()), (3, 0, false));
    assert!(umem.claim(packet.addr(), 0, FILL, Place::Rx).is_none(), "it is with the worker");
}
