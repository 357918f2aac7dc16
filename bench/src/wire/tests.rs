//! Generator, wire and sink together, without anything of ours in between. Counts only, no times.

use std::time::Duration;

use etherparse::SlicedPacket;

use super::{
    frames::{Family, IMIX, Load},
    generator::Pace,
    links::{IN, Network, OUT, Threaded, Wire},
    programs::{Attached, Program},
};
use crate::lab;

const NONE: Duration = Duration::ZERO;
const SHORT: Duration = Duration::from_millis(200);
/// So slow that a ring of a veth bridges a tenth of a second in which nobody receives.
const CALM: Pace = Pace::Rate(2_000.0);

fn index(device: &str) -> i32 {
    lab::index(device).unwrap().cast_signed()
}

fn redirect() -> Attached {
    Attached::forwarder(Program::Redirect(lab::index(OUT).unwrap()), index(IN)).unwrap()
}

fn aimed(network: &Network, load: &Load) -> Wire {
    let mut wire = network.wire(1).unwrap();
    let frames = load.frames(wire.macs(false).unwrap()).unwrap();
    wire.aim(&frames).unwrap();
    wire
}

#[test]
#[ignore = "needs root"]
fn all_that_is_paced_arrives_in_order_and_what_is_dropped_does_not() {
    let network = Network::new().unwrap();
    for (family, size, flows) in [(Family::Ipv4, 64, 1), (Family::Ipv6, 82, 7), (Family::Ipv4, 1400, 1000)] {
        let mut wire = aimed(&network, &Load::plain(family, size, flows));
        let forwarder = redirect();
        let outcome = wire.run(CALM, NONE, SHORT).unwrap();
        let arrived = outcome.arrived;
        assert!(outcome.sent.frames > 0);
        assert_eq!((arrived.packets, arrived.disordered, arrived.strange), (outcome.sent.frames, 0, 0));
        assert_eq!(arrived.bytes, arrived.packets * size as u64);
        assert_eq!(arrived.latency.unwrap().timed, arrived.packets);
        drop(forwarder);
        let _dropping = Attached::forwarder(Program::Drop, index(IN)).unwrap();
        let outcome = wire.run(CALM, NONE, SHORT).unwrap();
        assert_eq!((outcome.arrived.packets, outcome.received), (0, outcome.sent.frames));
    }
}

#[test]
#[ignore = "needs root"]
fn a_flood_is_counted_frame_by_frame_also_when_the_kernel_receives_on_another_core() {
    let network = Network::new().unwrap();
    let mut wire = aimed(&network, &Load { sizes: IMIX.to_vec(), ..Load::plain(Family::Ipv4, 64, 100) });
    for on_another_core in [false, true] {
        let _forwarder = redirect();
        let _threaded = on_another_core.then(|| Threaded::begin().unwrap());
        let outcome = wire.run(Pace::Flood, NONE, SHORT).unwrap();
        let (sent, arrived) = (outcome.sent.frames, outcome.arrived);
        assert!(arrived.packets > 0 && arrived.packets <= sent, "{} of {sent}", arrived.packets);
        assert_eq!(arrived.disordered, 0);
        let timed = arrived.latency.unwrap().timed;
        assert!(timed > 0 && timed <= sent / 64 + 1, "{timed} of {sent} frames were timed");
    }
}

#[test]
#[ignore = "needs root"]
fn frames_keep_their_checksums_whatever_number_and_time_they_carry() {
    let network = Network::new().unwrap();
    for family in [Family::Ipv4, Family::Ipv6] {
        let sizes = vec![1401, 90, 600, 123];
        let load = Load { sizes: sizes.clone(), ..Load::plain(family, 100, 4) };
        let wire = network.wire(1).unwrap();
        let frames = load.frames(wire.macs(true).unwrap()).unwrap();
        drop(wire);
        let _wire = network.wire(1).unwrap();
        let mut generator = network.second_generator().unwrap();
        generator.aim(&frames).unwrap();
        let mut buffer = frames.longest.clone();
        for size in sizes {
            assert_eq!(generator.sample(&mut buffer), size, "each size comes, in the order given");
        }
        for _ in 0..40 {
            let length = generator.sample(&mut buffer);
            assert_whole(&buffer[..length]);
        }
    }
}

/// Both checksums are right.
fn assert_whole(frame: &[u8]) {
    let packet = SlicedPacket::from_ethernet(frame).unwrap();
    let Some(etherparse::TransportSlice::Udp(udp)) = &packet.transport else { panic!("no UDP in {packet:?}") };
    let header = udp.to_header();
    let (payload, right) = match &packet.net {
        Some(etherparse::NetSlice::Ipv4(ip)) => {
            let header4 = ip.header().to_header();
            assert_eq!(header4.header_checksum, header4.calc_header_checksum());
            (udp.payload(), header.calc_checksum_ipv4(&header4, udp.payload()).unwrap())
        }
        Some(etherparse::NetSlice::Ipv6(ip)) => {
            (udp.payload(), header.calc_checksum_ipv6(&ip.header().to_header(), udp.payload()).unwrap())
        }
        other => panic!("{other:?}"),
    };
    assert!(header.checksum == right, "{:04x} for {right:04x}, {} bytes of payload", header.checksum, payload.len());
}
