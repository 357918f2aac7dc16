//! Rewriting and checksum completion, held against a packet built from scratch.

use std::net::IpAddr;

use proptest::prelude::*;

use super::{Frame, Headers, Rewrite, TtlExpired, checksum, parse};
use crate::service::Mac;

const INGRESS: Mac = Mac([2, 0, 0, 0, 0, 1]);
const REWRITE: Rewrite =
    Rewrite { ingress_mac: INGRESS, dst_mac: Mac([4; 6]), src_mac: Mac([6; 6]), repair_checksums: true };

/// A TCP (6) or UDP (17) packet with a complete checksum.
fn packet(v6: bool, protocol: u8, ttl: u8, payload: &[u8]) -> Vec<u8> {
    let mut segment = vec![0x12, 0x34, 0, 80];
    match protocol {
        6 => segment.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 1, 0, 0, 0, 0, 0]),
        _ => segment.extend([&u16::try_from(8 + payload.len()).unwrap().to_be_bytes()[..], &[0, 0]].concat()),
    }
    segment.extend(payload);
    let length = u16::try_from(segment.len()).unwrap();
    let (src, dst): (IpAddr, IpAddr) = if v6 {
        ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap())
    } else {
        ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap())
    };
    let at = if protocol == 6 { 16 } else { 6 };
    let mut pseudo = octets(src);
    pseudo.extend(octets(dst));
    pseudo.extend([0, protocol]);
    pseudo.extend(length.to_be_bytes());
    pseudo.extend(&segment);
    let whole = match checksum::internet(&pseudo) {
        0 if protocol == 17 => 0xffff,
        whole => whole,
    };
    segment[at..at + 2].copy_from_slice(&whole.to_be_bytes());
    let mut frame = [&INGRESS.0[..], &[8; 6], if v6 { &[0x86, 0xdd] } else { &[8, 0] }].concat();
    if v6 {
        frame.extend([0x60, 0, 0, 0]);
        frame.extend(length.to_be_bytes());
        frame.extend([protocol, ttl]);
    } else {
        let mut header = vec![0x45, 0];
        header.extend((length + 20).to_be_bytes());
        header.extend([0xab, 0xcd, 0x40, 0, ttl, protocol, 0, 0]);
        let whole = checksum::internet(&[&header[..], &octets(src), &octets(dst)].concat());
        header[10..12].copy_from_slice(&whole.to_be_bytes());
        frame.extend(header);
    }
    frame.extend(octets(src));
    frame.extend(octets(dst));
    frame.extend(segment);
    frame
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn headers(frame: &[u8]) -> Headers {
    match parse(frame) {
        Frame::Ip(headers) => headers,
        other => panic!("{other:?}"),
    }
}

/// Put the pseudo-header's sum where the checksum is, as a local sender leaves it; returns the whole one.
fn make_partial(frame: &mut [u8]) -> u16 {
    let headers = headers(frame);
    let at = usize::from(headers.l4) + if headers.protocol == 6 { 16 } else { 6 };
    let length = u16::try_from(frame.len()).unwrap() - headers.l4;
    let pseudo = checksum::pseudo_header(headers.src, headers.dst, headers.protocol, length);
    let whole = u16::from_be_bytes([frame[at], frame[at + 1]]);
    frame[at..at + 2].copy_from_slice(&pseudo.to_be_bytes());
    whole
}

proptest! {
    #[test]
    fn a_partial_checksum_becomes_the_whole_one(
        v6: bool, tcp: bool, payload in prop::collection::vec(any::<u8>(), 0..1400)
    ) {
        let whole = packet(v6, if tcp { 6 } else { 17 }, 64, &payload);
        let mut frame = whole.clone();
        make_partial(&mut frame);
        prop_assert!(frame != whole);
        let headers = headers(&frame);
        prop_assert!(checksum::complete_partial(&mut frame, &headers));
        prop_assert_eq!(&frame, &whole);
        // A second time there is nothing to complete.
        prop_assert!(!checksum::complete_partial(&mut frame, &headers));
        prop_assert_eq!(frame, whole);
    }

    #[test]
    fn a_wrong_checksum_stays_wrong(v6: bool, tcp: bool, flip in 1u16..) {
        let mut frame = packet(v6, if tcp { 6 } else { 17 }, 64, b"payload");
        let headers = headers(&frame);
        let at = usize::from(headers.l4) + if tcp { 16 } else { 6 };
        let wrong = u16::from_be_bytes([frame[at], frame[at + 1]]) ^ flip;
        let length = u16::try_from(frame.len()).unwrap() - headers.l4;
        prop_assume!(wrong != checksum::pseudo_header(headers.src, headers.dst, headers.protocol, length));
        frame[at..at + 2].copy_from_slice(&wrong.to_be_bytes());
        let before = frame.clone();
        prop_assert!(!checksum::complete_partial(&mut frame, &headers));
        prop_assert_eq!(frame, before);
    }

    #[test]
    fn a_routed_packet_is_the_one_built_with_one_hop_less(v6: bool, ttl in 2u8.., payload in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut frame = packet(v6, 6, ttl, &payload);
        let mut expected = packet(v6, 6, ttl - 1, &payload);
        expected[..6].fill(4);
        expected[6..12].fill(6);
        let headers = headers(&frame);
        let done = REWRITE.apply(&mut frame, &headers).unwrap();
        prop_assert!(done.routed && !done.repaired);
        prop_assert_eq!(frame, expected);
    }
}

#[test]
fn a_bridged_packet_keeps_its_ttl_and_sender() {
    for v6 in [false, true] {
        let mut frame = packet(v6, 17, 1, b"x");
        frame[..6].copy_from_slice(&[9; 6]);
        let mut expected = frame.clone();
        expected[..6].fill(4);
        let headers = headers(&frame);
        assert!(!REWRITE.apply(&mut frame, &headers).unwrap().routed);
        assert_eq!(frame, expected);
    }
}

#[test]
fn the_last_hop_is_refused_and_the_frame_left_alone() {
    for (v6, ttl) in [(false, 0), (false, 1), (true, 0), (true, 1)] {
        let mut frame = packet(v6, 6, ttl, b"");
        let (before, headers) = (frame.clone(), headers(&frame));
        assert_eq!(REWRITE.apply(&mut frame, &headers), Err(TtlExpired));
        assert_eq!(frame, before);
    }
}

#[test]
fn a_udp_checksum_of_zero_is_written_as_ones() {
    // The payload is chosen so that the whole checksum comes to 0, which in UDP means that there is none.
    let zero = packet(false, 17, 64, &[0, 0]);
    let sum = u16::from_be_bytes([zero[40], zero[41]]);
    let mut frame = packet(false, 17, 64, &sum.to_be_bytes());
    assert_eq!(make_partial(&mut frame), 0xffff);
    let headers = headers(&frame);
    assert!(checksum::complete_partial(&mut frame, &headers));
    assert_eq!(frame[40..42], [0xff, 0xff]);
}

#[test]
fn fragments_and_absent_udp_checksums_are_left_alone() {
    let mut fragment = packet(false, 6, 64, b"payload");
    make_partial(&mut fragment);
    fragment[20] |= 0x20; // more fragments
    let mut absent = packet(false, 17, 64, b"payload");
    absent[40..42].fill(0);
    for mut frame in [fragment, absent] {
        let (before, headers) = (frame.clone(), headers(&frame));
        assert!(!checksum::complete_partial(&mut frame, &headers));
        assert_eq!(frame, before);
    }
}

#[test]
fn a_routed_frame_leaves_its_vlan_tag() {
    let plain = packet(false, 6, 64, b"GET / HTTP/1.1");
    let mut tagged = [&plain[..12], &[0x81, 0, 0, 7], &plain[12..]].concat();
    make_partial(&mut tagged);
    let mut expected = packet(false, 6, 63, b"GET / HTTP/1.1");
    expected[..6].fill(4);
    expected[6..12].fill(6);
    let headers = headers(&tagged);
    let done = REWRITE.apply(&mut tagged, &headers).unwrap();
    assert!(done.routed && done.repaired);
    assert_eq!(tagged[..done.len], expected);
}
