//! What a connection's segments come to: what is forwarded, what is shown.

use std::time::Duration;

use proptest::prelude::*;
use secuxflow_abi::flags;

use super::{testing::*, *};

/// A model of an end that receives: what it has of the stream, by its rule for bytes that come twice.
#[derive(Debug, Clone)]
struct Receiver {
    bytes: Vec<Option<u8>>,
    last_wins: bool,
    /// Contiguous bytes; what lies before is never replaced.
    next: usize,
}

impl Receiver {
    fn new(len: usize, last_wins: bool) -> Self {
        Self { bytes: vec![None; len], last_wins, next: 0 }
    }

    fn receive(&mut self, at: usize, payload: &[u8]) {
        for (i, &byte) in payload.iter().enumerate().filter(|(i, _)| at + i >= self.next) {
            let place = &mut self.bytes[at + i];
            if place.is_none() || self.last_wins {
                *place = Some(byte);
            }
        }
        while self.bytes.get(self.next).is_some_and(Option::is_some) {
            self.next += 1;
        }
    }

    fn read(&self) -> Vec<u8> {
        self.bytes[..self.next].iter().map(|byte| byte.unwrap()).collect()
    }
}

fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap()
}

/// Pieces of a stream of `len` bytes, where each begins and how long it is: all of it in order, and pieces at random, mixed.
fn pieces(len: usize) -> impl Strategy<Value = Vec<(usize, usize)>> {
    let cuts = prop::collection::vec(1..1400_usize, 1..60);
    let more = prop::collection::vec((0..len, 1..1400_usize), 0..20);
    (cuts, more, prop::collection::vec(any::<u16>(), 80)).prop_map(move |(cuts, more, mix)| {
        let (mut at, mut all) = (0, Vec::new());
        for cut in cuts.iter().cycle() {
            if at >= len {
                break;
            }
            all.push((at, (*cut).min(len - at)));
            at += cut;
        }
        all.extend(more.into_iter().map(|(at, size)| (at, size.min(len - at))));
        let mut keyed: Vec<_> = all.into_iter().enumerate().map(|(i, piece)| (mix[i % mix.len()], piece)).collect();
        keyed.sort_by_key(|(key, _)| *key);
        keyed.into_iter().map(|(_, piece)| piece).collect()
    })
}

proptest! {
    #[test]
    fn any_segmentation_and_order_is_the_same_stream(
        pieces in (1..9000_usize).prop_flat_map(|len| (Just(len), pieces(len))), isn: u32, acks: bool, fin: bool
    ) {
        let (len, pieces) = pieces;
        let stream: Vec<u8> = (0..len).map(|i| (i * 7 % 251).to_le_bytes()[0]).collect();
        let mut bench = Bench::new();
        let first = isn.wrapping_add(1);
        bench.take(&Seg::there(SYN, isn, 0, &[]));
        bench.take(&Seg::back(SYN | ACK, 5000, first, &[]));
        let mut receiver = Receiver::new(len, true);
        for (at, size) in pieces {
            let payload = &stream[at..at + size];
            let flags = if fin && at + size == len { ACK | FIN } else { ACK };
            let step = bench.take(&Seg::there(flags, first.wrapping_add(number(at)), 5001, payload));
            prop_assert_eq!(step.refused, None);
            receiver.receive(at, payload);
            // What the receiver's application can read has been shown, and no more.
            prop_assert_eq!(&bench.read[0].bytes, &receiver.read());
            if acks {
                let ack = first.wrapping_add(number(receiver.next));
                prop_assert_eq!(bench.take(&Seg::back(ACK, 5001, ack, &[])).refused, None);
            }
        }
        prop_assert_eq!(&bench.read[0].bytes, &stream);
        prop_assert_eq!((bench.read[0].gaps, bench.read[0].ended), (0, fin));
    }

    /// Whatever is sent, and by whichever rule the receiver reads what was sent twice: it reads what was shown. With little
    /// room as with much.
    #[test]
    fn no_receiver_reads_what_was_not_shown(
        sent in prop::collection::vec((0..9000_usize, 1..1400_usize, 0..8_u8, any::<bool>()), 1..120), small: bool
    ) {
        const LEN: usize = 11_000;
        let room = if small { StreamConfig { early: 4096, history: 2048, ..StreamConfig::default() } } else { StreamConfig::default() };
        let mut bench = Bench::with(&StreamConfig { unverifiable: Unverifiable::Drop, ..room });
        bench.handshake();
        let mut receivers = [false, true].map(|last_wins| Receiver::new(LEN, last_wins));
        for (at, size, variant, ack) in sent {
            // Few pieces are of another stream, else hardly anything gets through.
            let other = u8::from(variant == 0);
            let payload: Vec<u8> = (at..at + size).map(|i| (i % 251).to_le_bytes()[0] ^ other).collect();
            if bench.send(1001 + number(at), &payload).is_none() {
                receivers.iter_mut().for_each(|receiver| receiver.receive(at, &payload));
            }
            for receiver in &receivers {
                prop_assert_eq!(&bench.read[0].bytes, &receiver.read());
            }
            if ack {
                bench.take(&Seg::back(ACK, 5001, 1001 + number(receivers[0].next), &[]));
            }
        }
    }

    #[test]
    fn no_bytes_are_too_strange(
        frames in prop::collection::vec((any::<u8>(), any::<u32>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..60), any::<bool>(), 12..40_u8), 1..200)
    ) {
        let mut bench = Bench::with(&StreamConfig { early: 4096, history: 2048, ..StreamConfig::default() });
        for (flags, seq, ack, payload, near, data) in frames {
            // Numbers close to each other more often than not, so that segments meet.
            let (seq, ack) = if near { (seq % 64, ack % 64) } else { (seq, ack) };
            let ends = if flags & 64 == 0 { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
            let mut frame = Seg::new(ends.0, ends.1, flags & 63, seq, ack, &payload).frame();
            if data > 36 {
                frame[46] = data << 4;
            }
            bench.now += u64::from(data) * SECOND;
            bench.frame(&frame);
            // Behind a stream that has ended in both directions another one begins.
            if bench.read.iter().any(|reader| reader.ended) {
                return Ok(());
            }
        }
    }
}

#[test]
fn a_handshake_opens_a_connection_and_packets_say_how_far_it_is() {
    let mut bench = Bench::new();
    let syn = bench.take(&Seg::there(SYN, 1000, 0, &[]));
    assert_eq!((syn.refused, syn.flags), (None, flags::FLOW_START));
    assert_eq!(bench.take(&Seg::back(SYN | ACK, 5000, 1001, &[])).flags, flags::TO_CLIENT);
    assert_eq!(bench.take(&Seg::there(ACK, 1001, 5001, &[])).flags, flags::ESTABLISHED);
    assert_eq!(bench.take(&Seg::back(ACK, 5001, 1001, b"220 hello")).flags, flags::ESTABLISHED | flags::TO_CLIENT);
    assert_eq!(bench.send(1001, b"EHLO"), None);
    assert_eq!((&bench.read[0].bytes[..], &bench.read[1].bytes[..]), (&b"EHLO"[..], &b"220 hello"[..]));
    assert!(!bench.read.iter().any(|reader| reader.midstream));
    bench.take(&Seg::there(ACK | FIN, 1005, 5010, &[]));
    assert!(bench.read[0].ended && !bench.read[1].ended);
    bench.take(&Seg::back(ACK | FIN, 5010, 1006, b"bye"));
    assert!(bench.read[1].ended);
    assert_eq!(bench.take(&Seg::there(ACK, 1006, 5014, &[])).refused, None);
    assert_eq!((bench.aborted, bench.counts().streams, bench.counts().opened), (0, 1, 1));
    // The port is used again.
    assert_eq!(bench.take(&Seg::there(SYN, 70_000, 0, &[])).flags, flags::FLOW_START);
    assert_eq!((bench.aborted, bench.counts().streams, bench.counts().opened), (0, 1, 2));
}

#[test]
fn one_direction_is_enough() {
    let mut bench = Bench::new();
    bench.take(&Seg::there(SYN, 1000, 0, &[]));
    assert_eq!(bench.take(&Seg::there(ACK, 1001, 5001, &[])).flags, flags::ESTABLISHED);
    assert_eq!(bench.send(1005, b"late"), None);
    assert_eq!(bench.send(1001, b"GET "), None);
    assert_eq!(bench.read[0].bytes, b"GET late");
    // What was not acknowledged, as far as is known, is compared.
    assert_eq!(bench.send(1001, b"GOT "), Some(Refusal::Conflict));
    assert_eq!(bench.send(1001, b"GET late, later"), None);
    assert_eq!(bench.read[0].bytes, b"GET late, later");

    let mut answers = Bench::new();
    let step = answers.take(&Seg::back(SYN | ACK, 5000, 1001, &[]));
    assert_eq!(step.flags, flags::FLOW_START | flags::TO_CLIENT);
    assert_eq!(answers.take(&Seg::back(ACK, 5001, 1010, b"200 OK")).flags, flags::ESTABLISHED | flags::TO_CLIENT);
    assert_eq!((&answers.read[1].bytes[..], answers.read[1].midstream), (&b"200 OK"[..], false));
    answers.take(&Seg::back(ACK | FIN, 5007, 1010, &[]));
    assert!(answers.read[1].ended);
}

#[test]
fn data_may_come_with_the_first_syn_and_both_ends_may_send_one() {
    let mut bench = Bench::new();
    bench.take(&Seg::there(SYN, 1000, 0, b"GET /"));
    assert_eq!(bench.read[0].bytes, b"GET /");
    // The server has taken none of it; it is sent again, and may not be different.
    bench.take(&Seg::back(SYN | ACK, 5000, 1001, &[]));
    assert_eq!(bench.send(1001, b"PUT /x"), Some(Refusal::Conflict));
    assert_eq!(bench.send(1001, b"GET /x"), None);
    assert_eq!(bench.read[0].bytes, b"GET /x");

    let mut bench = Bench::new();
    bench.take(&Seg::there(SYN, 1000, 0, &[]));
    bench.take(&Seg::back(SYN, 5000, 0, &[]));
    bench.take(&Seg::there(SYN | ACK, 1000, 5001, &[]));
    bench.take(&Seg::back(SYN | ACK, 5000, 1001, &[]));
    assert_eq!(bench.send(1001, b"a"), None);
    bench.take(&Seg::back(ACK, 5001, 1002, b"b"));
    assert_eq!((&bench.read[0].bytes[..], &bench.read[1].bytes[..]), (&b"a"[..], &b"b"[..]));
}

#[test]
fn of_several_attempts_the_one_that_was_answered_counts() {
    let mut bench = Bench::new();
    bench.take(&Seg::there(SYN, 1000, 0, &[]));
    bench.take(&Seg::there(SYN, 9000, 0, &[]));
    bench.take(&Seg::back(SYN | ACK, 5000, 1001, &[]));
    assert_eq!(bench.send(1001, b"real"), None);
    assert_eq!(bench.send(9001, b"decoy"), None, "early; nobody takes it, for nothing is ever shown");
    assert_eq!(bench.read[0].bytes, b"real");
}

#[test]
fn a_syn_in_an_open_connection_changes_nothing_until_the_other_end_answers_it() {
    let mut bench = Bench::open();
    assert_eq!(bench.send(1001, b"half a re"), None);
    assert_eq!(bench.take(&Seg::there(SYN, 1009, 0, &[])).refused, None);
    assert_eq!(bench.send(1010, b"quest"), None);
    assert_eq!(bench.read[0].bytes, b"half a request", "the SYN does not begin it anew");
    bench.take(&Seg::there(SYN, 70_000, 0, &[]));
    bench.take(&Seg::back(SYN | ACK, 90_000, 70_001, &[]));
    assert_eq!((bench.aborted, bench.counts().opened), (1, 2));
    bench.read = Default::default();
    assert_eq!(bench.take(&Seg::there(ACK, 70_001, 90_001, b"new")).refused, None);
    assert_eq!((&bench.read[0].bytes[..], bench.read[0].midstream), (&b"new"[..], false));
}

#[test]
fn a_connection_in_its_midst_follows_the_policy() {
    let midstream = |midstream| Bench::with(&StreamConfig { midstream, ..StreamConfig::default() });
    let mut bench = midstream(Midstream::Pickup);
    let step = bench.take(&Seg::back(ACK, 5000, 1001, b"tail"));
    assert_eq!(step.flags, flags::FLOW_START | flags::MIDSTREAM | flags::TO_CLIENT, "the lower port is the service's");
    bench.take(&Seg::there(ACK, 1001, 5004, b"next"));
    assert_eq!((&bench.read[0].bytes[..], &bench.read[1].bytes[..]), (&b"next"[..], &b"tail"[..]));
    assert!(bench.read.iter().all(|reader| reader.midstream));
    assert_eq!(bench.counts().midstream, 1);

    let mut bench = midstream(Midstream::Pass);
    let step = bench.take(&Seg::there(ACK, 1001, 5004, b"next"));
    assert_eq!((step.refused, step.flags, step.passage.is_none()), (None, flags::MIDSTREAM, true));
    assert_eq!((bench.read[0].chunks, bench.counts().streams), (0, 0));

    let mut bench = midstream(Midstream::Drop);
    assert_eq!(bench.send(1001, b"next"), Some(Refusal::Midstream));
    bench.handshake();
    assert_eq!(bench.send(1001, b"next"), None);
}

#[test]
fn decoys_that_the_receiver_does_not_take_are_dropped() {
    let mut bench = Bench::open();
    // A wrong checksum.
    let mut frame = Seg::there(ACK, 1001, 5001, b"decoy").frame();
    frame[54] ^= 1;
    assert_eq!(bench.frame(&frame).refused, Some(Refusal::BadChecksum));
    // No ACK flag; flags that contradict each other; a header that is longer than the segment.
    for flags in [0, 8, FIN, SYN | FIN, SYN | RST, RST | FIN] {
        assert_eq!(bench.take(&Seg::there(flags, 1001, 5001, b"decoy")).refused, Some(Refusal::BadHeader), "{flags}");
    }
    let mut frame = Seg::there(ACK, 1001, 5001, b"decoy").frame();
    frame[46] = 0xf0;
    assert_eq!(bench.frame(&frame).refused, Some(Refusal::BadHeader));
    // Before the beginning, and behind the window: 65,535 * 2^7 from the server's first ACK on.
    bench.take(&Seg::back(ACK, 5001, 1001, &[]));
    assert_eq!(bench.send(900, b"decoy"), Some(Refusal::OutOfWindow));
    assert_eq!(bench.send(1001 + 65_535 * 128, b"decoy"), Some(Refusal::OutOfWindow));
    // Acknowledges what the server never sent.
    let step = bench.take(&Seg::there(ACK, 1001, 6000, b"decoy"));
    assert_eq!(step.refused, Some(Refusal::BadAck));
    assert_eq!(bench.read[0].chunks, 0);
    assert_eq!(bench.send(1001, b"real"), None);
    assert_eq!(bench.read[0].bytes, b"real");
}

#[test]
fn a_timestamp_from_the_past_is_a_decoy() {
    let mut bench = Bench::new();
    bench.take(&Seg::there(SYN, 1000, 0, &[]).timestamp(50_000));
    bench.take(&Seg::back(SYN | ACK, 5000, 1001, &[]).timestamp(9));
    let decoy = Seg::there(ACK, 1001, 5001, b"decoy").timestamp(40_000);
    assert_eq!(bench.take(&decoy).refused, Some(Refusal::OldTimestamp));
    assert_eq!(bench.take(&Seg::there(ACK, 1001, 5001, b"real").timestamp(50_001)).refused, None);
    assert_eq!(bench.take(&Seg::there(ACK, 1005, 5001, b"ly").timestamp(49_999)).refused, None, "overtaken");
    assert_eq!(bench.read[0].bytes, b"really");
}

#[test]
fn the_first_bytes_win_and_others_are_dropped_and_alerted_once() {
    let mut bench = Bench::open();
    assert_eq!(bench.send(1005, b"good"), None);
    let step = bench.take(&Seg::there(ACK, 1001, 5001, b"very evil"));
    assert_eq!((step.refused, step.alert), (Some(Refusal::Conflict), true), "new wins: not with us between");
    let step = bench.take(&Seg::there(ACK, 1003, 5001, b"xxevil"));
    assert_eq!((step.refused, step.alert), (Some(Refusal::Conflict), false), "one alert a stream");
    assert_eq!(bench.send(1001, b"verygood"), None);
    assert_eq!(bench.send(1001, b"evil"), Some(Refusal::Conflict), "old wins: the bytes were shown");
    assert_eq!(bench.send(1001, b"verygood, all"), None);
    assert_eq!(bench.read[0].bytes, b"verygood, all");
    assert_eq!(bench.counts().refused(Refusal::Conflict), 3);
    // The end is a byte's place too.
    bench.take(&Seg::there(ACK | FIN, 1014, 5001, &[]));
    assert_eq!(bench.send(1014, b"more"), Some(Refusal::Conflict));
    assert_eq!(bench.take(&Seg::there(ACK | FIN, 1001, 5001, b"very")).refused, Some(Refusal::Conflict));
}

#[test]
fn what_is_acknowledged_need_not_be_kept_and_what_has_no_copy_follows_the_policy() {
    let config = StreamConfig { history: 2048, ..StreamConfig::default() };
    for (unverifiable, refused) in [(Unverifiable::Pass, None), (Unverifiable::Drop, Some(Refusal::Unverifiable))] {
        let mut bench = Bench::with(&StreamConfig { unverifiable, ..config.clone() });
        bench.handshake();
        for i in 0..8 {
            assert_eq!(bench.send(1001 + i * 1000, &[7; 1000]), None);
        }
        assert!(bench.counts().blocks <= 3);
        assert_eq!(bench.send(1001, &[8; 1000]), refused);
        assert_eq!(bench.send(8001, &[8; 1000]), Some(Refusal::Conflict));
        bench.take(&Seg::back(ACK, 5001, 9001, &[]));
        assert!(bench.counts().blocks <= 1);
        assert_eq!(bench.send(8001, &[8; 1000]), None, "the receiver throws it away");
        assert_eq!(bench.read[0].bytes, [7; 8000]);
    }
}

#[test]
fn without_room_an_early_segment_is_dropped_or_the_gap_is_skipped() {
    let config = StreamConfig { early: 4096, ..StreamConfig::default() };
    let mut bench = Bench::with(&config);
    bench.handshake();
    assert_eq!(bench.send(1001 + 3500, &[2; 1000]), Some(Refusal::Pressure));
    assert_eq!(bench.send(1001, &[1; 3500]), None);
    assert_eq!(bench.send(1001 + 3500, &[2; 1000]), None, "sent again");
    assert_eq!((bench.read[0].bytes.len(), bench.read[0].gaps), (4500, 0));

    let mut bench = Bench::with(&StreamConfig { pressure: Pressure::Skip, ..config });
    bench.handshake();
    assert_eq!(bench.send(1001 + 100, b"kept"), None);
    assert_eq!(bench.send(1001 + 5000, b"beyond"), None);
    assert_eq!((bench.read[0].gaps, bench.counts().gaps), (1, 1));
    assert_eq!(&bench.read[0].bytes[5000..], b"beyond");
    assert_eq!((bench.send(1001, b"late"), bench.counts().unverified), (None, 1));
}

#[test]
fn bytes_that_the_receiver_has_from_elsewhere_are_a_gap() {
    let mut bench = Bench::open();
    assert_eq!(bench.send(1011, b"after"), None);
    // They came by another way: the server says to have them.
    bench.take(&Seg::back(ACK, 5001, 1016, &[]));
    assert_eq!((bench.read[0].gaps, bench.send(1016, b", more")), (0, None));
    assert_eq!((bench.read[0].gaps, &bench.read[0].bytes[15..]), (1, &b", more"[..]));
}

#[test]
fn only_a_reset_that_the_receiver_takes_ends_a_connection() {
    let mut bench = Bench::open();
    assert_eq!(bench.send(1001, b"GET "), None);
    let mut decoy = Seg::there(RST, 1005, 0, &[]).frame();
    decoy[50] ^= 1;
    assert_eq!(bench.frame(&decoy).refused, Some(Refusal::BadChecksum));
    assert_eq!(bench.take(&Seg::there(RST, 1100, 0, &[])).refused, None, "in the window: it is asked about");
    bench.take(&Seg::back(ACK, 5001, 1005, &[]).windowed(1));
    assert_eq!(bench.take(&Seg::there(RST, 0x7000_0000, 0, &[])).refused, Some(Refusal::OutOfWindow));
    assert_eq!((bench.aborted, bench.send(1005, b"/")), (0, None));
    bench.take(&Seg::there(RST, 1006, 0, &[]));
    assert_eq!(bench.aborted, 1);
    assert_eq!(bench.send(1006, b"x"), Some(Refusal::Closed));
    assert_eq!(bench.take(&Seg::back(ACK, 5001, 1006, b"x")).refused, Some(Refusal::Closed));
    bench.read = Default::default();
    bench.handshake();
    assert_eq!((bench.send(1001, b"again"), &bench.read[0].bytes[..]), (None, &b"again"[..]));

    let mut refused = Bench::new();
    refused.take(&Seg::there(SYN, 1000, 0, &[]));
    refused.take(&Seg::back(RST | ACK, 0, 1001, &[]));
    assert_eq!((refused.aborted, refused.send(1001, b"x")), (0, Some(Refusal::Closed)), "nothing was told of it");
}

#[test]
fn urgent_data_follows_the_policy() {
    let urgent = Seg { urgent: 3, ..Seg::there(ACK | URG, 1001, 5001, b"abc") };
    for (policy, refused, clear) in
        [(Urgent::Clear, None, true), (Urgent::Drop, Some(Refusal::Urgent), false), (Urgent::Inline, None, false)]
    {
        let mut bench = Bench::with(&StreamConfig { urgent: policy, ..StreamConfig::default() });
        bench.handshake();
        let step = bench.take(&urgent);
        assert_eq!((step.refused, step.clear_urgent), (refused, clear));
    }
    let mut frame = urgent.frame();
    let crate::wire::Frame::Ip(headers) = crate::wire::parse(&frame) else { panic!("no packet") };
    clear_urgent(&mut frame, &headers);
    assert_eq!(frame, Seg::there(ACK, 1001, 5001, b"abc").frame(), "its checksum is right");
}

#[test]
fn probes_are_harmless() {
    let mut bench = Bench::open();
    assert_eq!(bench.take(&Seg::there(ACK, 1000, 5001, b"\0")).refused, None, "before the first byte");
    assert_eq!(bench.send(1001, b"abc"), None);
    bench.take(&Seg::back(ACK, 5001, 1004, &[]).windowed(0));
    for _ in 0..3 {
        assert_eq!(bench.take(&Seg::there(ACK, 1003, 5001, &[])).refused, None);
        assert_eq!(bench.take(&Seg::there(ACK, 1003, 5001, b"?")).refused, None, "the server has that byte");
    }
    assert_eq!(bench.read[0].bytes, b"abc");
}

#[test]
fn a_dropped_stream_stays_dropped_both_ways() {
    let mut bench = Bench::open();
    let step = bench.take(&Seg::there(ACK, 1001, 5001, b"evil"));
    let ack = bench.take(&Seg::back(ACK, 5001, 1001, &[]));
    bench.streams.dropped(&step.passage.unwrap(), true);
    assert_eq!(bench.streams.is_held_up(&ack.passage.unwrap()), Some(Refusal::Condemned), "later in the batch");
    for segment in [
        Seg::there(ACK, 1001, 5001, b"evil"),
        Seg::there(ACK, 1001, 5001, b"good"),
        Seg::back(ACK, 5001, 1001, b"answer"),
        Seg::there(RST, 1001, 0, &[]),
        Seg::there(SYN, 1000, 0, &[]),
    ] {
        let step = bench.take(&segment);
        assert_eq!((step.refused, step.alert), (Some(Refusal::Condemned), false), "{segment:?}");
    }
    assert_eq!((bench.read[0].bytes.len(), bench.counts().blocks), (4, 0));
    bench.now += 601 * SECOND;
    bench.read = Default::default();
    bench.handshake();
    assert_eq!(bench.send(1001, b"new"), None);
}

#[test]
fn a_packet_that_a_module_dropped_is_shown_again_with_all_behind_it() {
    let mut bench = Bench::open();
    assert_eq!(bench.send(1009, b"kept"), None);
    let first = bench.take(&Seg::there(ACK, 1001, 5001, b"1234")).passage.unwrap();
    let second = bench.take(&Seg::there(ACK, 1005, 5001, b"5678")).passage.unwrap();
    let other = bench.take(&Seg::back(ACK, 5001, 1001, b"x")).passage.unwrap();
    assert_eq!(bench.read[0].bytes, b"12345678kept");
    bench.streams.dropped(&first, false);
    assert_eq!(bench.streams.is_held_up(&second), Some(Refusal::Behind));
    assert_eq!(bench.streams.is_held_up(&other), None);
    bench.read[0] = Reader::default();
    assert_eq!(bench.send(1001, b"evil"), Some(Refusal::Conflict), "it may have been shown to a module already");
    assert_eq!(bench.send(1001, b"1234"), None);
    assert_eq!(bench.read[0].bytes, b"12345678kept");
}

#[test]
fn a_flow_that_was_not_shown_for_a_while_goes_on_behind_a_gap() {
    let mut bench = Bench::open();
    assert_eq!(bench.send(1001, b"abc"), None);
    let frame = Seg::there(ACK, 1004, 5001, &[]).frame();
    let crate::wire::Frame::Ip(headers) = crate::wire::parse(&frame) else { panic!("no packet") };
    let (key, _) = crate::flow::FlowKey::of(&headers);
    bench.streams.leave(&key, key.id(crate::flow::HashKey::fixed(1, 2)));
    assert_eq!(bench.send(1014, b"later"), None);
    assert_eq!((bench.read[0].gaps, &bench.read[0].bytes[13..]), (1, &b"later"[..]));
    // Rules that changed: where nothing is missing there is no gap.
    bench.generation = 2;
    assert_eq!(bench.send(1019, b"on"), None);
    assert_eq!((bench.read[0].gaps, &bench.read[0].bytes[13..]), (1, &b"lateron"[..]));
    // Another chain has it: for the one before it is over, for the other it begins.
    bench.chain = 1;
    let seen = std::mem::take(&mut bench.read[0]);
    assert_eq!(bench.send(1021, b"more"), None);
    assert_eq!((bench.aborted, &bench.read[0].bytes[..], bench.read[0].midstream), (1, &b"more"[..], true));
    assert_eq!(seen.gaps, 1);
}

#[test]
fn a_million_half_open_connections_push_out_only_their_like() {
    let config = StreamConfig { streams: 4096, ..StreamConfig::default() };
    let mut bench = Bench::with(&config);
    bench.handshake();
    assert_eq!(bench.send(1001, b"abc"), None);
    let allocations = crate::counting::allocations(|| {
        for n in 0..1_000_000_u32 {
            let [a, b, c, d] = n.to_be_bytes();
            // Made by hand: a frame is made without allocating.
            let mut frame = *b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0\x45\0\0\x28\0\0\0\0\x40\x06\0\0\0\0\0\0\x0a\0\0\x01\x9c\x40\0\x50\0\0\0\0\0\0\0\0\x50\x02\xff\xff\0\0\0\0";
            frame[26..30].copy_from_slice(&[a | 32, b, c, d]);
            let sum = crate::wire::checksum::pseudo_header([a | 32, b, c, d].into(), SERVER.0.into(), 6, 20);
            let sum = !crate::wire::checksum::fold(crate::wire::checksum::sum(&frame[34..], sum.into()));
            frame[50..52].copy_from_slice(&sum.to_be_bytes());
            bench.now += 10;
            assert_eq!(bench.frame(&frame).refused, None);
        }
    });
    let counts = bench.counts();
    assert_eq!((counts.streams, counts.evicted, counts.blocks), (1025, 1_000_000 - 1024, 1));
    assert_eq!(allocations, 0);
    assert_eq!(bench.send(1004, b"def"), None);
    assert_eq!((&bench.read[0].bytes[..], bench.aborted), (&b"abcdef"[..], 0));
}

#[test]
fn a_hundred_thousand_connections_at_a_time_keep_what_is_theirs() {
    let mut bench = Bench::new();
    let ends = |n: u32| ([172, n.to_be_bytes()[1], n.to_be_bytes()[2], n.to_be_bytes()[3]], 40_000);
    for n in 0..100_000 {
        bench.take(&Seg::new(ends(n), SERVER, SYN, n, 0, &[]));
        bench.take(&Seg::new(ends(n), SERVER, ACK, n + 1, 9, &[]));
        assert_eq!(bench.take(&Seg::new(ends(n), SERVER, ACK, n + 1, 9, b"one")).refused, None);
        bench.read = Default::default();
    }
    assert_eq!((bench.counts().streams, bench.counts().evicted), (100_000, 0));
    assert!(bench.counts().blocks * 2048 <= 31 << 20);
    for n in (0..100_000).step_by(997) {
        bench.read[0] = Reader { begun: true, bytes: b"one".to_vec(), ..Reader::default() };
        let step = bench.take(&Seg::new(ends(n), SERVER, ACK, n + 4, 9, b"two"));
        assert_eq!((step.refused, step.flags), (None, flags::ESTABLISHED));
        assert_eq!(bench.read[0].bytes, b"onetwo");
    }
}

#[test]
fn who_is_silent_is_forgotten_by_state_and_modules_are_told() {
    let config = StreamConfig { open: Duration::from_secs(100), ..StreamConfig::default() };
    let mut bench = Bench::with(&config);
    bench.handshake();
    assert_eq!(bench.send(1001, b"abc"), None);
    let other = ([192, 168, 0, 2], 40_000);
    bench.take(&Seg::new(other, SERVER, SYN, 1, 0, &[]));
    assert_eq!(bench.counts().streams, 2);
    let tick = |bench: &mut Bench, seconds| {
        bench.now += seconds * SECOND;
        bench.take(&Seg::new(([192, 168, 0, 3], 40_000), SERVER, RST, 1, 0, &[]));
        (bench.counts().streams, bench.counts().expired, bench.aborted)
    };
    assert_eq!(tick(&mut bench, 29), (2, 0, 0));
    assert_eq!(tick(&mut bench, 1), (1, 1, 0));
    assert_eq!(tick(&mut bench, 69), (1, 1, 0));
    assert_eq!(tick(&mut bench, 1), (0, 2, 1));
}
