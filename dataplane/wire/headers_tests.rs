//! What the parser promises, on well-formed packets and on any bytes.

use proptest::prelude::*;

use super::{testing::*, *};

fn headers(frame: &Frame) -> Option<Headers> {
    match frame {
        Frame::Ip(headers) => Some(*headers),
        Frame::Undecidable(_, headers) => *headers,
        Frame::Neighbour | Frame::NonIp => None,
    }
}

fn assert_inside(frame: &[u8]) {
    let Some(headers) = headers(&parse(frame)) else { return };
    assert!(usize::from(headers.l3) >= ETH_HLEN && headers.l3 <= headers.l4 && headers.l4 <= headers.payload);
    assert!(usize::from(headers.payload) + usize::from(headers.payload_len) <= frame.len());
    assert_eq!(headers.src.is_ipv4(), headers.dst.is_ipv4());
    assert!(usize::from(headers.vlan_tags) <= MAX_VLAN_TAGS);
    if headers.fragment == Fragment::Later {
        assert_eq!((headers.src_port, headers.dst_port, headers.tcp_flags), (0, 0, 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn offsets_stay_inside_any_bytes(frame in proptest::collection::vec(any::<u8>(), 0..200)) {
        assert_inside(&frame);
    }

    #[test]
    fn offsets_stay_inside_packets_cut_anywhere(choices in proptest::collection::vec(any::<u8>(), 64)) {
        let mut choices = choices.into_iter().cycle();
        let frame = arbitrary(|| choices.next().unwrap_or(0));
        for length in 0..=frame.len() {
            assert_inside(&frame[..length]);
        }
    }

    #[test]
    fn tags_move_the_offsets_and_change_nothing_else(port in any::<u16>(), sport in any::<u16>()) {
        let plain = tcp4([1, 2, 3, 4], [5, 6, 7, 8], sport, port);
        let Frame::Ip(bare) = parse(&plain) else { panic!("a TCP segment") };
        prop_assert_eq!((bare.src_port, bare.dst_port, bare.protocol, bare.tcp_flags), (sport, port, 6, 2));
        let double = vlan(&vlan(&plain, 0x8100), 0x88a8);
        let shifted = Headers {
            l3: bare.l3 + 8, l4: bare.l4 + 8, payload: bare.payload + 8, vlan_tags: 2, vlan: 5, ..bare
        };
        prop_assert_eq!(parse(&double), Frame::Ip(shifted));
    }
}

#[test]
fn a_third_tag_is_not_passed_unseen() {
    let frame = vlan(&vlan(&vlan(&tcp4([1; 4], [2; 4], 1, 2), 0x8100), 0x8100), 0x8100);
    assert_eq!(parse(&frame), Frame::Undecidable(Undecidable::LongChain, None));
}

/// An ICMPv6 neighbour solicitation, behind a fragment header whose offset and flags are `fragment`.
fn solicitation(fragment: Option<u16>) -> Vec<u8> {
    let mut frame = vec![0; 12];
    frame.extend(ETH_P_IPV6.to_be_bytes());
    let length = if fragment.is_some() { 32 } else { 24 };
    frame.extend([0x60, 0, 0, 0, 0, length, if fragment.is_some() { 44 } else { 58 }, 255]);
    frame.extend([0xfd; 32]);
    if let Some(fragment) = fragment {
        frame.extend([58, 0]);
        frame.extend(fragment.to_be_bytes());
        frame.extend([0; 4]);
    }
    frame.push(135);
    frame.extend([0; 23]);
    frame
}

#[test]
fn neighbour_discovery_is_passed_but_not_as_a_fragment() {
    assert_eq!(parse(&solicitation(None)), Frame::Neighbour);
    assert!(matches!(parse(&solicitation(Some(1))), Frame::Ip(h) if h.fragment == Fragment::First));
    assert!(matches!(parse(&solicitation(Some(8))), Frame::Ip(h) if h.fragment == Fragment::Later));
}

#[test]
fn padding_is_not_payload() {
    let mut frame = tcp4([1; 4], [2; 4], 1, 2);
    let length = frame.len();
    frame.resize(length + 10, 0xaa);
    let Frame::Ip(headers) = parse(&frame) else { panic!("a TCP segment") };
    assert_eq!(usize::from(headers.payload + headers.payload_len), length);
    assert!(!headers.truncated);
}
