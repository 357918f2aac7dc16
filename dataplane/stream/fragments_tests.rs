//! Fragments, in any cut and order: one datagram, or none that passes.

use std::time::Duration;

use proptest::prelude::*;

use super::{testing::*, *};
use crate::wire::{Frame, parse};

/// A datagram with a TCP segment of 900 bytes that follows the handshake, of either family.
fn whole(v6: bool) -> (Vec<u8>, usize) {
    let payload: Vec<u8> = (0..900_u16).map(|i| i.to_le_bytes()[0]).collect();
    let frame = Seg::there(16, 1001, 5001, &payload).frame();
    if !v6 {
        return (frame, 920);
    }
    let mut tcp = frame[34..].to_vec();
    let mut datagram = ipv6(6, &tcp);
    let Frame::Ip(headers) = parse(&datagram) else { panic!("no packet") };
    tcp[16..18].copy_from_slice(&[0, 0]);
    let sum = crate::wire::checksum::pseudo_header(headers.src, headers.dst, 6, 920);
    let sum = !crate::wire::checksum::fold(crate::wire::checksum::sum(&tcp, sum.into()));
    datagram[62 + 16..62 + 18].copy_from_slice(&sum.to_be_bytes());
    (datagram, 920)
}

fn forwarded(collected: &Collected) -> bool {
    !matches!(collected, Collected::Refused(..))
}

proptest! {
    #[test]
    fn any_cut_and_order_is_the_same_datagram(
        cuts in prop::collection::vec(1..12_usize, 1..60), mix in prop::collection::vec(any::<u16>(), 120), v6: bool, twice: bool
    ) {
        let (frame, len) = whole(v6);
        let mut bench = Bench::new();
        let (mut at, mut pieces) = (0, Vec::new());
        for cut in cuts.iter().cycle() {
            if at >= len {
                break;
            }
            let size = (cut * 8).min(len - at);
            pieces.push(fragment(&frame, 77, at, size));
            at += size;
        }
        let mut order: Vec<usize> = (0..pieces.len()).collect();
        order.sort_by_key(|&i| mix[i % mix.len()].wrapping_add(u16::try_from(i).unwrap()));
        if pieces.len() == 1 {
            return Ok(());
        }
        let last = order.len() - 1;
        for (n, &i) in order.iter().enumerate() {
            let collected = bench.fragment(&pieces[i]);
            if twice && n < last {
                prop_assert!(matches!(bench.fragment(&pieces[i]), Collected::Forward), "the same again");
            }
            if n < last {
                prop_assert!(matches!(collected, Collected::Forward));
                continue;
            }
            let Collected::Whole(datagram) = collected else { panic!("{collected:?}") };
            // The datagram as it would have come, but for what fragments need: the identification of IPv4 stays.
            let mut expected = frame.clone();
            if !v6 {
                let id = fragment(&frame, 77, 0, len);
                expected[..34].copy_from_slice(&id[..34]);
            }
            prop_assert_eq!(bench.fragments.frame(), &expected);
            prop_assert_eq!((datagram.headers.dst_port, datagram.said.rule), (80, 5));
            prop_assert_eq!(&bench.read[0].bytes, &expected[expected.len() - 900..]);
            bench.fragments.settle(datagram.number, false, &mut bench.streams);
        }
        prop_assert_eq!((bench.counts().reassembled, bench.counts().datagrams), (1, 0));
    }

    /// Whichever of the bytes that came twice a receiver takes: it reads what was shown, or has no datagram.
    #[test]
    fn no_receiver_puts_together_what_was_not_shown(
        sent in prop::collection::vec((0..20_usize, 1..6_usize, 0..6_u8, any::<bool>()), 1..80)
    ) {
        const LEN: usize = 160;
        let mut bench = Bench::new();
        let mut receivers = [false, true].map(|_| vec![None; LEN]);
        let mut shown: Option<Vec<u8>> = None;
        for (at, size, variant, _) in sent {
            let (at, end) = (at * 8, (at * 8 + size * 8).min(LEN));
            let data: Vec<u8> = (at..end).map(|i| i.to_le_bytes()[0] ^ u8::from(variant == 0)).collect();
            let field = u16::try_from(at / 8).unwrap() | if end < LEN { 0x2000 } else { 0 };
            let frame = ipv4([1, 2, 3, 4], [10, 0, 0, 1], 17, 9, field, &data);
            let collected = bench.fragment(&frame);
            if let Collected::Whole(datagram) = collected {
                prop_assert!(shown.is_none(), "shown once");
                shown = Some(bench.fragments.frame()[34..].to_vec());
                // It is not known yet what becomes of it, so nothing else of it passes.
                prop_assert_eq!(datagram.len, u32::try_from(34 + LEN).unwrap());
            }
            if forwarded(&collected) {
                for (last_wins, bytes) in receivers.iter_mut().enumerate() {
                    for (i, &byte) in data.iter().enumerate() {
                        if bytes[at + i].is_none() || last_wins == 1 {
                            bytes[at + i] = Some(byte);
                        }
                    }
                }
            }
        }
        for receiver in receivers {
            if let Some(read) = receiver.into_iter().collect::<Option<Vec<u8>>>() {
                prop_assert_eq!(Some(read), shown.clone());
            }
        }
    }

    #[test]
    fn no_fragment_is_too_strange(
        frames in prop::collection::vec(
            (any::<bool>(), any::<u16>(), any::<u16>(), prop::collection::vec(any::<u8>(), 0..80), 0..4_u16, any::<u8>()), 1..60
        )
    ) {
        let mut bench = Bench::with(&StreamConfig { datagrams: 2, ..StreamConfig::default() });
        for (v6, field, cut, data, id, kind) in frames {
            let mut frame = if v6 {
                let header = [&[kind, 0][..], &field.to_be_bytes(), &[0, 0], &id.to_be_bytes()].concat();
                ipv6(if kind < 200 { 44 } else { kind }, &[&header, &data[..]].concat())
            } else {
                ipv4([1, 2, 3, 4], [10, 0, 0, 1], kind, id, field, &data)
            };
            frame.truncate(34 + usize::from(cut) % 200);
            bench.now += SECOND;
            if let Frame::Ip(h) | Frame::Undecidable(_, Some(h)) = parse(&frame)
                && h.fragment != crate::wire::Fragment::None
                && let Collected::Whole(datagram) = bench.fragment(&frame)
            {
                bench.fragments.settle(datagram.number, kind % 2 == 0, &mut bench.streams);
            }
            prop_assert!(bench.counts().datagrams <= 2);
        }
    }
}

#[test]
fn fragments_that_overlap_or_contradict_spoil_their_datagram() {
    let (frame, _) = whole(false);
    let mut evil = frame.clone();
    evil[100] ^= 1;
    let first = fragment(&frame, 1, 0, 400);
    let cases = [
        // New wins, old wins; partly, with the same bytes; behind the end; another end.
        (fragment(&evil, 1, 0, 400), Refusal::FragmentOverlap),
        (fragment(&evil, 1, 64, 104), Refusal::FragmentOverlap),
        (fragment(&frame, 1, 392, 400), Refusal::FragmentOverlap),
        (ipv4(CLIENT.0, SERVER.0, 6, 1, 10, &[0; 40]), Refusal::FragmentOverlap),
    ];
    for (second, refusal) in cases {
        let mut bench = Bench::new();
        assert!(forwarded(&bench.fragment(&first)));
        assert!(matches!(bench.fragment(&second), Collected::Refused(why, true) if why == refusal));
        let rest = fragment(&frame, 1, 400, 520);
        assert!(matches!(bench.fragment(&rest), Collected::Refused(why, false) if why == refusal), "no second alert");
        assert!(matches!(bench.fragment(&first), Collected::Refused(..)));
        assert_eq!((bench.counts().reassembled, bench.counts().blocks), (0, 0));
        // Another datagram is another matter.
        assert!(forwarded(&bench.fragment(&fragment(&frame, 2, 0, 400))));
    }
    let mut bench = Bench::new();
    assert!(forwarded(&bench.fragment(&fragment(&frame, 3, 800, 120))));
    let beyond = ipv4(CLIENT.0, SERVER.0, 6, 3, 0x2000 | 120, &[0; 8]);
    assert!(matches!(bench.fragment(&beyond), Collected::Refused(Refusal::FragmentOverlap, true)));
}

#[test]
fn a_fragment_that_fits_nowhere_is_dropped() {
    let mut bench = Bench::new();
    for (field, len) in [(0x2000, 12), (0x2001, 0), (0x1fff, 16), (0x2000 | 0x1ff9, 48)] {
        let frame = ipv4(CLIENT.0, SERVER.0, 17, 1, field, &vec![0; len]);
        let collected = bench.fragment(&frame);
        assert!(matches!(collected, Collected::Refused(Refusal::BadFragment, true)), "{field:x}: {collected:?}");
    }
    assert_eq!(bench.counts().datagrams, 0);
}

#[test]
fn the_longest_datagram_is_put_together() {
    let mut bench = Bench::new();
    let data: Vec<u8> = (0..65_515_u32).map(|i| i.to_le_bytes()[0] ^ i.to_le_bytes()[1]).collect();
    let mut at = 0;
    while at < data.len() {
        let end = data.len().min(at + 1480);
        let field = u16::try_from(at / 8).unwrap() | if end < data.len() { 0x2000 } else { 0 };
        let collected = bench.fragment(&ipv4([1, 2, 3, 4], [10, 0, 0, 1], 17, 9, field, &data[at..end]));
        assert_eq!(matches!(collected, Collected::Whole(_)), end == data.len());
        at = end;
    }
    assert_eq!(&bench.fragments.frame()[34..], data);
    assert_eq!(bench.fragments.frame()[16..18], [0xff, 0xff]);
}

#[test]
fn the_last_fragment_of_a_dropped_datagram_does_not_pass_later() {
    let (frame, _) = whole(false);
    let (first, last) = (fragment(&frame, 1, 0, 400), fragment(&frame, 1, 400, 520));
    let mut bench = Bench::new();
    bench.fragment(&first);
    let Collected::Whole(datagram) = bench.fragment(&last) else { panic!("not whole") };
    assert!(matches!(bench.fragment(&last), Collected::Refused(Refusal::Behind, _)), "before it is known");
    bench.fragments.settle(datagram.number, true, &mut bench.streams);
    assert!(matches!(bench.fragment(&last), Collected::Refused(Refusal::Condemned, _)));
    bench.now += 61 * SECOND;
    assert!(forwarded(&bench.fragment(&last)), "the receiver has forgotten the others");
    assert_eq!(bench.counts().datagrams, 1);
}

#[test]
fn without_room_a_fragment_is_dropped_or_passes_unseen() {
    let (frame, _) = whole(false);
    for (pressure, passes) in [(Pressure::Drop, false), (Pressure::Skip, true)] {
        let config =
            StreamConfig { datagrams: 2, datagram: Duration::from_secs(10), pressure, ..StreamConfig::default() };
        let mut bench = Bench::with(&config);
        assert!(forwarded(&bench.fragment(&fragment(&frame, 1, 0, 400))));
        assert!(forwarded(&bench.fragment(&fragment(&frame, 2, 0, 400))));
        assert_eq!(forwarded(&bench.fragment(&fragment(&frame, 3, 0, 400))), passes);
        assert_eq!(bench.counts().fragments_skipped, u64::from(passes));
        bench.now += 10 * SECOND;
        assert!(forwarded(&bench.fragment(&fragment(&frame, 3, 0, 400))));
        assert_eq!((bench.counts().datagrams, bench.counts().unfinished), (1, 2));
    }
    // A batch takes as many datagrams as there is room to show.
    let mut bench = Bench::with(&StreamConfig { memory: 64 << 20, ..StreamConfig::default() });
    let big = ipv4([1, 2, 3, 4], [10, 0, 0, 1], 17, 0, 0, &[0; 65_000]);
    let whole = |bench: &mut Bench, id| {
        bench.fragment(&fragment(&big, id, 0, 32_000));
        matches!(bench.fragment(&fragment(&big, id, 32_000, 33_000)), Collected::Whole(_))
    };
    let shown = (0..20).filter(|&id| whole(&mut bench, id)).count();
    assert_eq!(shown, 16);
    bench.fragments.begin();
    assert!(whole(&mut bench, 100));
}

#[test]
fn a_flood_of_fragments_allocates_nothing_and_is_bounded() {
    let mut bench = Bench::new();
    let mut frames: Vec<_> = (0..4).map(|i| ipv4([1, 2, 3, i], [10, 0, 0, 1], 17, 0, 0x2000, &[7; 1480])).collect();
    let allocations = crate::counting::allocations(|| {
        for n in 0..100_000_u32 {
            let frame = &mut frames[(n % 4) as usize];
            frame[18..20].copy_from_slice(&n.to_be_bytes()[2..4]);
            bench.now += SECOND / 1000;
            let Frame::Ip(headers) = parse(frame) else { panic!("no packet") };
            let said = crate::bpf::Metadata::of(0, 1);
            bench.fragments.collect(bench.now, frame, &headers, said, &mut bench.streams);
        }
    });
    assert_eq!(allocations, 0);
    assert!(bench.counts().datagrams <= 256 && bench.counts().blocks <= 256);
    assert!(bench.counts().refused(Refusal::Pressure) > 90_000);
}
