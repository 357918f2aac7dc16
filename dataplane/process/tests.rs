//! Batches without a NIC: every frame gets one outcome, and the right one.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use proptest::prelude::*;
use secuxflow_abi::{Chunk, MAX_BATCH, Packet, WINDOW, flags, verdict};

use super::{
    Classified, Classify, DropReason, EgressId, Frames, Ingress, Inspect, Outcome, Processor, Route, Snapshot,
};
use crate::{bpf::Metadata, flow::HashKey, plane::FailPolicy, service::Mac, wire};

const HOST: Mac = Mac([2, 0, 0, 0, 0, 1]);
pub(super) const SERVICE: Outcome = Outcome::Forward { egress: EgressId(7), service: 3 };

/// Frames in plain memory.
pub(super) struct Plain {
    pub(super) ingress: u16,
    pub(super) frames: Vec<(Vec<u8>, Option<Metadata>)>,
}

impl Frames for Plain {
    fn count(&self) -> usize {
        self.frames.len()
    }

    fn ingress(&self) -> u16 {
        self.ingress
    }

    fn bytes(&self, index: usize) -> &[u8] {
        &self.frames[index].0
    }

    fn bytes_mut(&mut self, index: usize) -> &mut [u8] {
        &mut self.frames[index].0
    }

    fn addr(&self, index: usize) -> u32 {
        u32::try_from(index).unwrap() * 4096 + 256
    }

    fn truncate(&mut self, index: usize, len: usize) {
        self.frames[index].0.truncate(len);
    }

    fn take_metadata(&mut self, index: usize) -> Option<Metadata> {
        self.frames[index].1.take()
    }
}

/// Remembers what it was given; drops packets to port 666 and rejects those to 667; panics on port 13.
#[derive(Default)]
struct Recorder(Vec<(u16, Vec<Packet>)>, bool);

impl Inspect for Recorder {
    fn run(&mut self, _now_ns: u64, chain: u16, packets: &mut [Packet], _chunks: &[Chunk]) {
        for packet in &mut *packets {
            assert_ne!(packet.dst_port, 13, "wanted");
            packet.verdict = match packet.dst_port {
                666 => verdict::DROP,
                667 => verdict::REJECT,
                _ => verdict::PASS,
            };
        }
        self.0.push((chain, packets.to_vec()));
    }

    fn set_monitor(&mut self, monitor: bool) {
        self.1 = monitor;
    }
}

/// By destination port: 1 pass, 2 drop, else chain 1 by rule 9.
struct ByPort;

impl Classify for ByPort {
    fn classify(&self, frame: &wire::Frame) -> Classified {
        match frame {
            wire::Frame::Ip(headers) if headers.dst_port == 1 => Classified::Pass,
            wire::Frame::Ip(headers) if headers.dst_port == 2 => Classified::Drop,
            _ => Classified::Inspect { chain: 1, rule: 9 },
        }
    }
}

pub(super) fn snapshot() -> Snapshot {
    let mut routes = HashMap::default();
    let route = Route { service: 3, egress: EgressId(7), dst_mac: Mac([4; 6]), src_mac: Mac([6; 6]), mtu: 100 };
    routes.insert(IpAddr::from([10, 0, 0, 1]), route);
    Snapshot {
        routes,
        ingress: vec![Ingress { mac: HOST, repair_checksums: true }],
        classifier: Arc::new(ByPort),
        generation: 1,
        chains: 2,
        default_chain: Some(0),
        fail_policy: FailPolicy::Closed,
        monitor: false,
    }
}

/// A UDP packet to 10.0.0.`host`, `len` bytes of IP packet.
pub(super) fn packet(host: u8, port: u16, ttl: u8, len: u8) -> Vec<u8> {
    let mut bytes = vec![0; 14 + usize::from(len)];
    bytes[..6].copy_from_slice(&HOST.0);
    bytes[12..14].copy_from_slice(&[8, 0]);
    bytes[14] = 0x45;
    bytes[17] = len;
    bytes[22] = ttl;
    bytes[23] = 17;
    bytes[26..30].copy_from_slice(&[192, 168, 0, 1]);
    bytes[30..34].copy_from_slice(&[10, 0, 0, host]);
    bytes[36..38].copy_from_slice(&port.to_be_bytes());
    bytes[39] = len - 20;
    bytes
}

fn said(chain: u16) -> Option<Metadata> {
    Some(Metadata::of(chain, 5))
}

fn run(snapshot: &Snapshot, frames: Vec<(Vec<u8>, Option<Metadata>)>) -> (Vec<Outcome>, Recorder, super::Tally) {
    let (mut plain, mut recorder) = (Plain { ingress: 0, frames }, Recorder::default());
    let mut processor = Processor::new(HashKey::fixed(1, 2));
    let tally = processor.run(snapshot, &mut plain, &mut recorder);
    (processor.outcomes().to_vec(), recorder, tally)
}

#[test]
fn a_rejected_packet_is_told_from_a_dropped_one_and_passes_in_monitor_mode() {
    let frames = || vec![(packet(1, 666, 64, 50), said(0)), (packet(1, 667, 64, 50), said(0))];
    let (outcomes, _, tally) = run(&snapshot(), frames());
    assert_eq!(outcomes, [DropReason::Module, DropReason::Rejected].map(Outcome::Drop));
    assert_eq!(tally.monitored, 0);
    let (outcomes, _, tally) = run(&Snapshot { monitor: true, ..snapshot() }, frames());
    assert_eq!((outcomes, tally.monitored), (vec![SERVICE; 2], 2));
}

fn one(snapshot: &Snapshot, frame: Vec<u8>, metadata: Option<Metadata>) -> Outcome {
    run(snapshot, vec![(frame, metadata)]).0[0]
}

#[test]
fn each_way_out_has_its_reason() {
    let s = snapshot();
    let drop = Outcome::Drop;
    assert_eq!(one(&s, packet(1, 80, 64, 50), said(0)), SERVICE);
    assert_eq!(one(&s, packet(1, 666, 64, 50), said(0)), drop(DropReason::Module));
    assert_eq!(one(&s, packet(2, 80, 64, 50), said(0)), drop(DropReason::NoService));
    assert_eq!(one(&s, packet(1, 80, 1, 50), said(0)), drop(DropReason::TtlExpired));
    assert_eq!(one(&s, packet(1, 80, 64, 100), said(0)), SERVICE);
    assert_eq!(one(&s, packet(1, 80, 64, 101), said(0)), drop(DropReason::Mtu));
    assert_eq!(one(&s, vec![0; 60], said(0)), drop(DropReason::Malformed));
    assert_eq!(one(&s, packet(1, 2, 64, 50), None), drop(DropReason::Rule));
    assert_eq!(one(&s, packet(1, 1, 64, 50), None), SERVICE);
    assert_eq!(one(&s, packet(1, 80, 64, 50), None), SERVICE);
}

/// `frame` behind VLAN tags.
fn tagged(frame: &[u8], tags: usize) -> Vec<u8> {
    [&frame[..12], &[0x81, 0, 0, 7].repeat(tags), &frame[12..]].concat()
}

#[test]
fn a_routed_frame_leaves_its_vlan_and_a_bridged_one_stays_in_it() {
    for tags in 0..=2 {
        let routed = packet(1, 80, 64, 60);
        let bridged = [&[4; 6], &routed[6..]].concat();
        let frames = [&routed, &bridged].map(|frame| (tagged(frame, tags), said(0)));
        let mut plain = Plain { ingress: 0, frames: frames.to_vec() };
        let mut processor = Processor::new(HashKey::fixed(1, 2));
        processor.run(&snapshot(), &mut plain, &mut Recorder::default());
        assert_eq!(processor.outcomes(), [SERVICE, SERVICE]);
        let expected = packet(1, 80, 63, 60);
        assert_eq!(plain.frames[0].0[..12], [[4; 6], [6; 6]].concat(), "{tags} tags");
        assert_eq!(plain.frames[0].0[12..23], expected[12..23], "{tags} tags");
        assert_eq!(plain.frames[0].0.len(), expected.len(), "{tags} tags");
        assert_eq!(plain.frames[1].0, tagged(&bridged, tags), "{tags} tags");
    }
}

#[test]
fn a_tag_does_not_count_against_the_mtu() {
    let plain = packet(1, 80, 64, 100);
    let tagged = [&plain[..12], &[0x81, 0, 0, 7], &plain[12..]].concat();
    assert_eq!(one(&snapshot(), tagged, said(0)), SERVICE);
}

#[test]
fn packets_are_grouped_by_chain_and_keep_their_order() {
    let frames = vec![
        (packet(1, 100, 64, 50), said(1)),
        (packet(1, 101, 64, 50), said(0)),
        (packet(1, 102, 64, 50), None),
        (packet(1, 103, 64, 50), said(0)),
        (packet(1, 104, 64, 50), said(7)),
        (packet(1, 1, 64, 50), None),
    ];
    let (outcomes, recorder, tally) = run(&snapshot(), frames);
    assert_eq!(outcomes, [SERVICE; 6]);
    let calls: Vec<_> = recorder
        .0
        .iter()
        .map(|(chain, p)| (*chain, p.iter().map(|p| (p.dst_port, p.rule)).collect::<Vec<_>>()))
        .collect();
    // A chain that is not there is the default one's; what the rules pass is not inspected.
    assert_eq!(calls, [(0, vec![(101, 5), (103, 5), (104, 5)]), (1, vec![(100, 5), (102, 9)])]);
    assert_eq!((tally.reclassified, tally.panics), (2, 0));
}

#[test]
fn a_module_sees_where_everything_is() {
    let (_, recorder, _) = run(&snapshot(), vec![(vec![0; 3], None), (packet(1, 80, 64, 50), said(0))]);
    let seen = recorder.0[0].1[0];
    assert_eq!((seen.frame, seen.len, seen.ingress), (WINDOW + 4096 + 256, 64, 0));
    assert_eq!((seen.l3, seen.l4, seen.payload, seen.payload_len), (14, 34, 42, 22));
    assert_eq!((seen.ethertype, seen.protocol, seen.dst_port, seen.flags), (0x0800, 17, 80, 0));
}

#[test]
fn a_truncated_packet_goes_where_the_classifier_says() {
    let mut frame = packet(1, 80, 64, 50);
    frame.truncate(14 + 20 + 4);
    let (outcomes, recorder, _) = run(&snapshot(), vec![(frame, None)]);
    assert_eq!(outcomes, [SERVICE]);
    assert_eq!(recorder.0[0].0, 1);
    assert_eq!(recorder.0[0].1[0].flags & flags::TRUNCATED, flags::TRUNCATED);
}

#[test]
fn a_panic_costs_its_chain_only_and_follows_the_fail_policy() {
    let frames = || vec![(packet(1, 13, 64, 50), said(0)), (packet(1, 80, 64, 50), said(1))];
    let (outcomes, _, tally) = run(&snapshot(), frames());
    assert_eq!(outcomes, [Outcome::Drop(DropReason::Module), SERVICE]);
    assert_eq!(tally.panics, 1);
    let open = Snapshot { fail_policy: FailPolicy::Open, ..snapshot() };
    assert_eq!(run(&open, frames()).0, [SERVICE, SERVICE]);
}

#[test]
fn what_a_module_drops_is_forwarded_in_monitor_mode_and_counted() {
    let monitor = Snapshot { monitor: true, ..snapshot() };
    let frames = vec![
        (packet(1, 666, 64, 50), said(0)),
        (packet(1, 80, 64, 50), said(0)),
        (packet(1, 13, 64, 50), said(1)),
        (packet(1, 2, 64, 50), None),
    ];
    let (outcomes, recorder, tally) = run(&monitor, frames.clone());
    // What the module says, and the fail policy for it; a rule's verdict is the classifier's, which knows of monitor mode.
    assert_eq!(outcomes, [SERVICE, SERVICE, SERVICE, Outcome::Drop(DropReason::Rule)]);
    assert_eq!((tally.monitored, tally.panics), (2, 1));
    assert!(recorder.1, "modules' alerts are to say so");
    let (_, recorder, tally) = run(&snapshot(), frames);
    assert_eq!((tally.monitored, recorder.1), (0, false));
}

#[test]
fn without_a_chain_the_fail_policy_decides() {
    let closed = Snapshot { chains: 0, default_chain: None, ..snapshot() };
    assert_eq!(one(&closed, packet(1, 80, 64, 50), said(0)), Outcome::Drop(DropReason::Module));
    let open = Snapshot { fail_policy: FailPolicy::Open, ..closed };
    assert_eq!(one(&open, packet(1, 80, 64, 50), said(0)), SERVICE);
}

/// Bytes that are nearly a packet: a good one, cut, with some bytes overwritten, or noise.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let spoilt =
        (0u8..3, 0u16..700, 0u8..3, 50u8..120, 0usize..140, prop::collection::vec((0usize..60, any::<u8>()), 0..4));
    let spoilt = spoilt.prop_map(|(host, port, ttl, len, cut, changes)| {
        let mut bytes = packet(host, port, ttl, len);
        bytes.truncate(cut);
        for (at, value) in changes {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes
    });
    prop_oneof![prop::collection::vec(any::<u8>(), 0..200), spoilt]
}

proptest! {
    #[test]
    fn any_bytes_have_an_outcome(
        frames in prop::collection::vec((frame(), any::<Option<(u16, u32)>>()), 0..64), ingress in 0u16..3
    ) {
        let frames: Vec<_> =
            frames.into_iter().map(|(bytes, said)| (bytes, said.map(|(chain, rule)| Metadata::of(chain % 4, rule)))).collect();
        let before = frames.clone();
        let (mut plain, mut recorder) = (Plain { ingress, frames }, Recorder::default());
        let mut processor = Processor::new(HashKey::fixed(1, 2));
        processor.run(&snapshot(), &mut plain, &mut recorder);
        prop_assert_eq!(processor.outcomes().len(), plain.frames.len());
        for (_, packets) in &recorder.0 {
            for packet in packets {
                prop_assert!(packet.l3 <= packet.l4 && packet.l4 <= packet.payload);
                prop_assert!(u32::from(packet.payload) + u32::from(packet.payload_len) <= packet.len);
            }
        }
        for ((outcome, (after, _)), (before, _)) in processor.outcomes().iter().zip(&plain.frames).zip(&before) {
            prop_assert!(after.len() <= before.len());
            match outcome {
                Outcome::Forward { .. } => {
                    prop_assert_eq!(*outcome, SERVICE);
                    prop_assert_eq!(&after[..6], &[4; 6]);
                }
                Outcome::Drop(_) => prop_assert_eq!(after, before),
            }
        }
    }
}

#[test]
fn a_batch_that_is_too_long_is_cut_not_overrun() {
    let frames = vec![(packet(1, 80, 64, 50), said(0)); MAX_BATCH + 3];
    let (outcomes, recorder, _) = run(&snapshot(), frames);
    assert_eq!(recorder.0[0].1.len(), MAX_BATCH);
    assert_eq!(outcomes.len(), MAX_BATCH + 3);
    assert_eq!(outcomes[MAX_BATCH..], [Outcome::Drop(DropReason::Malformed); 3]);
}
