//! Packets of one frame: forwarding, counting, replies, services that take nothing.

use super::{HOST, RING, World, packet};
use crate::{
    counting::allocations,
    wire,
    worker::{core::Waiting, model_tests::long_packet},
    xsk::{Descriptor, Place, PortId},
};

#[test]
fn a_service_that_takes_nothing_does_not_stop_the_others() {
    let mut world = World::new();
    world.turn(0);
    // Service 0 never sends; thirty batches for it are far more than its ring and what may wait.
    for _ in 0..30 {
        world.arrive(0, &packet(0, 2, 64), 32);
        world.turn(0);
        world.check();
    }
    let drops = world.cores[0].shared().stats.read(0, None).drops;
    assert!(drops.iter().any(|drop| drop.name == "tx_full" && drop.value.packets > 0), "{drops:?}");
    assert_eq!(world.cores[0].waiting(), Waiting::Room);
    // Traffic for service 1 by the same worker still gets through.
    for _ in 0..10 {
        assert_eq!(world.arrive(0, &packet(1, 2, 64), 16), 16, "the fill ring ran dry");
        world.turn(0);
        world.turn(1);
        let out = world.out[1];
        world.rings(1, out).transmit(64);
    }
    world.turn(1);
    let out = world.out[1];
    assert_eq!(world.rings(1, out).wire.len(), 160);
}

#[test]
fn a_batch_for_one_of_many_services_is_sent_whole() {
    let mut world = World::new();
    for _ in 0..60 {
        world.add(0, None);
    }
    world.turn(0);
    assert_eq!(world.arrive(0, &packet(0, 2, 64), 32), 32);
    world.turn(0);
    let out = world.out[0];
    world.rings(0, out).transmit(64);
    assert_eq!(world.rings(0, out).wire.len(), 32);
}

#[test]
fn every_packet_is_counted_once() {
    let mut world = World::new();
    world.turn(0);
    world.arrive(0, &packet(0, 2, 64), 8); // forwarded
    world.arrive(0, &packet(0, 5, 64), 7); // the module's
    world.arrive(0, &packet(9, 2, 64), 6); // no such service
    world.arrive(0, &packet(0, 2, 1), 5); // routed no further
    world.arrive(0, &[1, 2, 3], 4); // no packet
    world.turn(0);
    let out = world.out[0];
    world.rings(0, out).transmit(64);
    world.turn(0);
    let status = world.cores[0].shared().stats.read(0, Some(1));
    let dropped = |name| status.drops.iter().find(|drop| drop.name == name).unwrap().value.packets;
    assert_eq!((status.rx.packets, status.tx.packets, status.batches), (30, 8, 1));
    assert_eq!((status.rx.bytes, status.tx.bytes), (26 * 60 + 4 * 3, 8 * 60));
    let names = ["module", "no_service", "ttl_expired", "malformed", "mtu", "tx_full", "rule"];
    assert_eq!(names.map(dropped), [7, 6, 5, 4, 0, 0, 0]);
    assert_eq!(status.reclassified, 26);
    assert_eq!(world.cores[0].shared().stats.service(0).packets, 8);
    assert_eq!((status.latency.count, status.core), (8, Some(1)));
    assert_eq!(status.frames.iter().map(|place| place.value).sum::<u64>(), 512, "{:?}", status.frames);
}

#[test]
fn both_ends_of_a_rejected_connection_are_told() {
    let mut world = World::new();
    world.turn(0);
    world.arrive(0, &packet(0, 35, 64), 3);
    world.turn(0);
    let sent = |world: &mut World, port: PortId| {
        world.rings(0, port).transmit(64);
        let wire = std::mem::take(&mut world.rings(0, port).wire);
        let read = |at: &Descriptor| {
            let frame = world.umem.claim(at.addr, at.len, Place::Tx(port), Place::Tx(port)).unwrap();
            world.umem.bytes(&frame).to_vec()
        };
        wire.iter().map(read).collect::<Vec<_>>()
    };
    let out = world.out[0];
    let (back, on) = (sent(&mut world, PortId(0)), sent(&mut world, out));
    assert_eq!((back.len(), on.len()), (3, 3));
    let [back, on] = [&back[0], &on[0]].map(|bytes| match wire::parse(bytes) {
        wire::Frame::Ip(headers) => (headers.src_port, headers.dst_port, bytes[..12].to_vec(), bytes[38..48].to_vec()),
        other => panic!("{other:?}"),
    });
    let macs = |dst: [u8; 6], src: [u8; 6]| [dst, src].concat();
    assert_eq!(back, (53, 35, macs([0; 6], HOST.0), vec![0, 0, 0, 7, 0, 0, 0, 0, 0x50, 4]));
    assert_eq!(on, (35, 53, macs([4; 6], [6; 6]), vec![0, 0, 0, 5, 0, 0, 0, 7, 0x50, 0x14]));
    world.turn(0);
    let status = world.cores[0].shared().stats.read(0, None);
    assert_eq!((status.replies.sent, status.replies.lost, status.tx.packets), (6, 0, 0));
    assert_eq!(status.drops.iter().find(|drop| drop.name == "rejected").unwrap().value.packets, 3);
    world.settle();
    world.check();
}

#[test]
fn errors_about_rejected_datagrams_keep_to_their_rate_and_replies_without_a_way_are_lost() {
    let mut world = World::new();
    world.turn(0);
    for _ in 0..2 {
        world.arrive(0, &packet(0, 3, 64), 30);
        world.turn(0);
    }
    let replies = |world: &World| world.cores[0].shared().stats.read(0, None).replies;
    world.settle();
    assert_eq!((replies(&world).sent, replies(&world).held_back, replies(&world).lost), (50, 10, 0));
    // Connections to a service that is not there: the sender alone is told.
    world.arrive(0, &packet(9, 35, 64), 4);
    world.turn(0);
    world.settle();
    assert_eq!((replies(&world).sent, replies(&world).lost), (54, 4));
    world.check();
}

#[test]
fn what_is_sent_is_rewritten_for_the_service() {
    let mut world = World::new();
    world.turn(0);
    world.arrive(0, &packet(0, 2, 64), 1);
    world.turn(0);
    let out = world.out[0];
    world.rings(0, out).transmit(1);
    let sent = world.rings(0, out).wire[0];
    let frame = world.umem.claim(sent.addr, sent.len, Place::Tx(out), Place::Tx(out)).unwrap();
    let bytes = world.umem.bytes(&frame);
    assert_eq!(&bytes[..12], [4, 4, 4, 4, 4, 4, 6, 6, 6, 6, 6, 6]);
    assert_eq!(bytes[22], 63);
}

#[test]
fn a_service_that_takes_packets_again_is_served_again() {
    let mut world = World::new();
    world.turn(0);
    for _ in 0..30 {
        world.arrive(0, &packet(0, 2, 64), 32);
        world.turn(0);
    }
    let lost = |world: &World| {
        let drops = world.cores[0].shared().stats.read(0, None).drops;
        drops.iter().find(|drop| drop.name == "tx_full").unwrap().value.packets
    };
    let starved = lost(&world);
    assert!(starved > 0, "its completion ring starves");
    world.settle();
    let out = world.out[0];
    world.rings(0, out).wire.clear();
    for _ in 0..10 {
        assert_eq!(world.arrive(0, &packet(0, 2, 64), 16), 16);
        world.turn(0);
        world.rings(0, out).transmit(64);
        world.check();
    }
    assert_eq!((world.rings(0, out).wire.len(), lost(&world)), (160, starved), "all are sent, none is lost any more");
    world.settle();
    assert_eq!(world.umem.counts().tx, 0);
}

#[test]
fn a_turn_allocates_nothing() {
    let mut world = World::new();
    let round = |world: &mut World| {
        let lens = [400, 300, 50];
        let long = long_packet(0, 2, &lens);
        assert!(world.arrive_split(0, &long, &lens));
        // Forwarded, by the other worker too, dropped by the module, for nobody, and no packet.
        world.arrive(0, &packet(0, 2, 64), 8);
        world.arrive(0, &packet(1, 2, 64), 8);
        world.arrive(0, &packet(0, 5, 64), 4);
        world.arrive(0, &packet(9, 2, 64), 4);
        world.arrive(0, &[1, 2, 3], 2);
        let allocations = allocations(|| {
            world.turn(0);
            world.turn(1);
        });
        for n in 0..2 {
            let out = world.out[n];
            world.rings(n, out).transmit(RING as usize);
            world.rings(n, out).wire.clear();
        }
        allocations
    };
    // The simulated kernel's own rings grow at first.
    let _warm = (0..200).map(|_| round(&mut world)).sum::<u64>();
    assert_eq!((0..200).map(|_| round(&mut world)).sum::<u64>(), 0);
    let status = world.cores[0].shared().stats.read(0, None);
    assert_eq!(status.rx.packets, 400 * 27, "every round was worked on");
}
