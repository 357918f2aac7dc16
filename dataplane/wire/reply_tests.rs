//! Replies to rejected packets, read by a parser that is not ours.

use etherparse::{Icmpv4Header, Icmpv6Header, NetHeaders, PacketHeaders, TcpHeader, TransportHeader};
use proptest::prelude::*;

use super::{reply::*, testing::*, *};

const CLIENT: [u8; 6] = [2, 0, 0, 0, 0, 1];
const SERVER: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// A frame from the client to the server with `segment` behind its IP header.
fn frame(v6: bool, protocol: u8, segment: &[u8]) -> Vec<u8> {
    let length = u16::try_from(segment.len()).unwrap();
    let mut frame = [SERVER, CLIENT].concat();
    if v6 {
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        frame.extend(length.to_be_bytes());
        frame.extend([protocol, 9]);
        for last in [1, 2] {
            frame.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
        }
    } else {
        frame.extend([8, 0, 0x45, 0]);
        frame.extend((length + 20).to_be_bytes());
        frame.extend([0, 0, 0, 0, 9, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    }
    frame.extend(segment);
    frame
}

/// A segment from port 4000 to port 80.
fn segment(seq: u32, ack: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut segment = vec![0x0f, 0xa0, 0, 80];
    segment.extend(seq.to_be_bytes());
    segment.extend(ack.to_be_bytes());
    segment.extend([0x50, flags, 1, 0, 0xde, 0xad, 0, 0]);
    segment.extend(payload);
    segment
}

fn headers(frame: &[u8]) -> Headers {
    match parse(frame) {
        Frame::Ip(headers) | Frame::Undecidable(_, Some(headers)) => headers,
        other => panic!("{other:?}"),
    }
}

/// Everything in `reply` that a receiver checks; its TCP header, or none for an ICMP message.
fn checked(reply: &[u8]) -> Option<TcpHeader> {
    let read = PacketHeaders::from_ethernet_slice(reply).unwrap();
    let body = read.payload.slice();
    match (read.net.unwrap(), read.transport.unwrap()) {
        (NetHeaders::Ipv4(ip, _), transport) => {
            assert_eq!(ip.header_checksum, ip.calc_header_checksum());
            match transport {
                TransportHeader::Tcp(tcp) => {
                    assert_eq!(tcp.checksum, tcp.calc_checksum_ipv4(&ip, body).unwrap());
                    Some(tcp)
                }
                TransportHeader::Icmpv4(Icmpv4Header { icmp_type, checksum }) => {
                    assert_eq!(checksum, icmp_type.calc_checksum(body));
                    assert_eq!(
                        (icmp_type.header_len(), &reply[reply.len() - body.len() - 8..][..2]),
                        (8, &[3, 13][..])
                    );
                    None
                }
                other => panic!("{other:?}"),
            }
        }
        (NetHeaders::Ipv6(ip, _), transport) => match transport {
            TransportHeader::Tcp(tcp) => {
                assert_eq!(tcp.checksum, tcp.calc_checksum_ipv6(&ip, body).unwrap());
                Some(tcp)
            }
            TransportHeader::Icmpv6(Icmpv6Header { icmp_type, checksum }) => {
                assert_eq!(checksum, icmp_type.calc_checksum(ip.source, ip.destination, body).unwrap());
                assert_eq!(&reply[reply.len() - body.len() - 8..][..2], &[1, 1]);
                None
            }
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_segment_is_answered_by_what_its_sender_expects_and_followed_by_what_its_receiver_does() {
    let (fin, syn, ack) = (1, 2, 16);
    for v6 in [false, true] {
        for (flags, payload, to_sender, to_receiver) in [
            // Sequence number, acknowledgement if there is one.
            (ack, &b"data!"[..], (7000, None), Some((5000, Some(7000)))),
            (ack | fin, b"", (7000, None), Some((5000, Some(7000)))),
            (syn | ack, b"", (7000, None), Some((5000, Some(7000)))),
            (syn, b"", (0, Some(5001)), None),
            (syn, b"early", (0, Some(5006)), None),
            (fin, b"ab", (0, Some(5003)), Some((5000, None))),
        ] {
            let frame = frame(v6, 6, &segment(5000, 7000, flags, payload));
            let headers = headers(&frame);
            let tell = |tcp: TcpHeader| {
                assert!(tcp.rst && !tcp.syn && !tcp.fin && tcp.window_size == 0);
                (tcp.sequence_number, tcp.ack.then_some(tcp.acknowledgment_number))
            };
            let sender = reset_to_sender(&frame, &headers).unwrap();
            assert_eq!(tell(checked(&sender).unwrap()), to_sender, "{flags}");
            let back = self::headers(&sender);
            assert_eq!((back.src, back.dst), (headers.dst, headers.src));
            assert_eq!(
                (back.src_port, back.dst_port, &sender[..6], &sender[6..12]),
                (80, 4000, &CLIENT[..], &SERVER[..])
            );
            let receiver = reset_to_receiver(&frame, &headers);
            assert_eq!(receiver.as_ref().map(|reply| tell(checked(reply).unwrap())), to_receiver, "{flags}");
            if let Some(receiver) = receiver {
                let on = self::headers(&receiver);
                assert_eq!((on.src, on.dst, on.src_port, on.dst_port), (headers.src, headers.dst, 4000, 80));
                assert_eq!(receiver[..14], frame[..14]);
            }
        }
    }
}

#[test]
fn resets_answer_no_resets_no_fragments_and_nothing_that_is_cut() {
    let reset = frame(false, 6, &segment(1, 2, 4, b""));
    assert_eq!(reset_to_sender(&reset, &headers(&reset)), None);
    assert_eq!(reset_to_receiver(&reset, &headers(&reset)), None);
    let mut fragment = frame(false, 6, &segment(1, 2, 16, b"abcd"));
    fragment[20] = 0x20;
    assert_eq!(reset_to_sender(&fragment, &headers(&fragment)), None);
    let whole = frame(false, 6, &segment(1, 2, 16, b"abcd"));
    let cut = &whole[..whole.len() - 1];
    assert_eq!(reset_to_sender(cut, &headers(cut)), None);
    let udp = frame(false, 17, &[0, 1, 0, 2, 0, 8, 0, 0]);
    assert_eq!(reset_to_sender(&udp, &headers(&udp)), None);
}

#[test]
fn a_datagram_is_quoted_as_far_as_it_fits() {
    for (v6, most) in [(false, 576), (true, 1280)] {
        for length in [0, 1, 9, 500, 1400] {
            let udp =
                [&[0, 1, 0, 53][..], &u16::try_from(8 + length).unwrap().to_be_bytes(), &[0, 0], &vec![7; length]];
            let mut frame = frame(v6, 17, &udp.concat());
            let whole = frame.len();
            // Padding is not quoted.
            frame.extend([0; 5]);
            let reply = prohibited(&frame, &headers(&frame)).unwrap();
            assert_eq!(checked(&reply), None);
            let head = if v6 { 48 } else { 28 };
            assert_eq!(reply.len(), 14 + most.min(head + whole - 14), "{length}");
            assert_eq!(reply[14 + head..], frame[14..reply.len() - head]);
        }
    }
}

#[test]
fn nothing_is_sent_about_what_the_standards_name() {
    let icmp = |v6: bool, kind: u8| frame(v6, if v6 { 58 } else { 1 }, &[kind, 0, 0, 0, 0, 1, 0, 1]);
    let answered = |frame: &[u8]| prohibited(frame, &headers(frame)).is_some();
    let answers = |v6, kinds: [u8; 12]| kinds.map(|kind| answered(&icmp(v6, kind)));
    let (yes, no) = (true, false);
    assert_eq!(
        answers(false, [0, 3, 4, 5, 8, 9, 11, 12, 13, 15, 17, 42]),
        [no, no, no, no, yes, no, no, no, yes, yes, yes, no]
    );
    // Neighbour discovery is not inspected when it is whole; here its hop limit is wrong.
    assert_eq!(
        answers(true, [0, 1, 2, 3, 4, 100, 127, 128, 129, 130, 137, 200]),
        [no, no, no, no, no, no, no, yes, yes, yes, no, yes]
    );
    let udp = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut frame = frame(false, 17, &[0, 1, 0, 53, 0, 8, 0, 0]);
        change(&mut frame);
        answered(&frame)
    };
    assert!(udp(&|_| ()));
    for (at, byte, what) in [
        (0, 3, "a group's MAC"),
        (6, 3, "from a group's MAC"),
        (26, 224, "from a group"),
        (26, 127, "from loopback"),
        (26, 0, "from nobody"),
        (26, 255, "from everybody"),
        (30, 239, "to a group"),
        (30, 255, "to everybody"),
        (21, 1, "a later fragment"),
    ] {
        assert!(!udp(&|frame: &mut Vec<u8>| frame[at] = byte), "{what}");
    }
    assert!(udp(&|frame: &mut Vec<u8>| frame[20] = 0x20), "a first fragment");
    let mut all = frame(true, 17, &[0, 1, 0, 53, 0, 8, 0, 0]);
    all[22..38].fill(0);
    assert!(!answered(&all), "from ::");
    all[22] = 0xff;
    assert!(!answered(&all), "from a group");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3000) })]

    #[test]
    fn whatever_comes_a_reply_is_whole_and_goes_back_where_it_came_from(
        choices in proptest::collection::vec(any::<u8>(), 64)
    ) {
        let mut choices = choices.into_iter().cycle();
        let mut frame = arbitrary(|| choices.next().unwrap_or(0));
        if let Some(link) = frame.first_chunk_mut::<12>() {
            *link = [SERVER, CLIENT].concat().try_into().unwrap();
        }
        let (Frame::Ip(headers) | Frame::Undecidable(_, Some(headers))) = parse(&frame) else { return Ok(()) };
        let sender = reset_to_sender(&frame, &headers);
        let told = prohibited(&frame, &headers);
        for reply in sender.iter().chain(&told) {
            let is_tcp = checked(reply).is_some();
            let back = self::headers(reply);
            prop_assert_eq!((back.src, back.dst, back.vlan, back.vlan_tags), (headers.dst, headers.src, headers.vlan, headers.vlan_tags));
            prop_assert_eq!((&reply[..6], &reply[6..12]), (&CLIENT[..], &SERVER[..]));
            if is_tcp {
                prop_assert_eq!((back.src_port, back.dst_port), (headers.dst_port, headers.src_port));
            }
        }
        if let Some(receiver) = reset_to_receiver(&frame, &headers) {
            prop_assert!(checked(&receiver).unwrap().rst && sender.is_some());
            prop_assert_eq!(&receiver[..usize::from(headers.l3)], &frame[..usize::from(headers.l3)]);
        }
        prop_assert!(told.is_none() || headers.fragment != Fragment::Later);
    }

    #[test]
    fn any_bytes_are_survived(frame in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (Frame::Ip(headers) | Frame::Undecidable(_, Some(headers))) = parse(&frame) else { return Ok(()) };
        let _ = (reset_to_sender(&frame, &headers), reset_to_receiver(&frame, &headers), prohibited(&frame, &headers));
    }
}
