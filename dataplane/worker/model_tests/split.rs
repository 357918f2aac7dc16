//! Packets of several frames.
#![expect(unsafe_code, reason = "frames are taken back from sockets that are only simulated")]

use crossbeam_channel::bounded;

use super::{RING, World, long_packet, packet};
use crate::{
    process::EgressId,
    worker::{
        command::{Command, Egress, Ring},
        simulation::SimRings,
    },
    xsk::{MAX_PARTS, Place, Port, PortId},
};

/// What the device of service `n` behind worker 0 has sent, packets put together.
fn sent(world: &mut World, n: usize) -> Vec<Vec<u8>> {
    let port = world.out[n];
    world.rings(n, port).transmit(RING as usize);
    let wire = std::mem::take(&mut world.rings(n, port).wire);
    let mut packets = vec![Vec::new()];
    for at in wire {
        let frame = world.umem.claim(at.addr, at.len, Place::Tx(port), Place::Tx(port)).unwrap();
        packets.last_mut().unwrap().extend_from_slice(world.umem.bytes(&frame));
        if !at.more {
            packets.push(Vec::new());
        }
    }
    assert!(packets.pop().unwrap().is_empty(), "the last packet is whole");
    packets
}

#[test]
fn a_packet_of_several_frames_leaves_by_the_ring_in_the_frames_it_came_in() {
    let mut world = World::new();
    world.lead(0, true, true);
    world.turn(0);
    let lens = [700, 500, 200];
    let bytes = long_packet(0, 2, &lens);
    // Enough for injection, which takes no such packet; and 30 to one call leave the last one cut at the end of a batch.
    let mut came = 0;
    while came < 20 && world.arrive_split(0, &bytes, &lens) {
        came += 1;
    }
    assert_eq!(came, 20);
    let mut left = Vec::new();
    for _ in 0..4 {
        world.turn(0);
        world.check();
        left.append(&mut sent(&mut world, 0));
    }
    world.turn(0);
    assert_eq!(left.len(), 20);
    assert!(world.injected(0).is_empty());
    for packet in left {
        assert_eq!((&packet[..12], packet[22]), (&[4, 4, 4, 4, 4, 4, 6, 6, 6, 6, 6, 6][..], 63));
        assert_eq!(packet[26..], bytes[26..]);
    }
    let status = world.cores[0].shared().stats.read(0, None);
    assert_eq!((status.rx.packets, status.tx.packets, status.multi_buffer), (20, 20, 20));
    assert_eq!((status.rx.bytes, status.tx.bytes), (20 * 1400, 20 * 1400));
    assert_eq!(world.cores[0].shared().stats.service(0).bytes, 20 * 1400);
}

#[test]
fn packets_of_one_and_of_several_frames_keep_their_order() {
    let mut world = World::new();
    world.lead(0, true, true);
    world.turn(0);
    let lens = [400, 300];
    // A large batch, which is injected, right before one with long packets in it, of the same turn.
    world.arrive(0, &packet(0, 2, 64), 32);
    world.arrive(0, &packet(0, 4, 64), 5);
    assert!(world.arrive_split(0, &long_packet(0, 6, &lens), &lens));
    world.arrive(0, &packet(0, 8, 64), 5);
    world.turn(0);
    world.check();
    let ports =
        |packets: Vec<Vec<u8>>| -> Vec<u16> { packets.iter().map(|p| u16::from_be_bytes([p[34], p[35]])).collect() };
    assert_eq!(ports(world.injected(0)), [2; 32]);
    assert_eq!(ports(sent(&mut world, 0)), [4, 4, 4, 4, 4, 6, 8, 8, 8, 8, 8]);
}

#[test]
fn what_waits_behind_a_long_packet_is_not_injected_past_it() {
    let mut world = World::new();
    world.lead(0, true, true);
    world.turn(0);
    let lens = [400, 300];
    for _ in 0..40 {
        world.arrive_split(0, &long_packet(0, 2, &lens), &lens);
        world.turn(0);
    }
    assert!(world.cores[0].pending() > 0, "the ring is full");
    world.arrive(0, &packet(0, 4, 64), 32);
    world.turn(0);
    world.check();
    assert!(world.injected(0).is_empty());
    world.settle();
    world.check();
}

#[test]
fn a_packet_of_too_many_frames_is_dropped_once_and_what_comes_behind_it_is_not() {
    let mut world = World::new();
    world.turn(0);
    let lens = [80; MAX_PARTS + 4];
    assert!(world.arrive_split(0, &long_packet(0, 2, &lens), &lens));
    let most = [80; MAX_PARTS];
    assert!(world.arrive_split(0, &long_packet(0, 2, &most), &most));
    world.arrive(0, &packet(0, 2, 64), 1);
    world.turn(0);
    world.turn(0);
    world.check();
    let status = world.cores[0].shared().stats.read(0, None);
    let incomplete = status.drops.iter().find(|drop| drop.name == "incomplete").unwrap().value;
    assert_eq!((incomplete.packets, incomplete.bytes), (1, 80 * MAX_PARTS as u64));
    assert_eq!((status.rx.packets, status.tx.packets), (3, 2));
    assert_eq!(sent(&mut world, 0).iter().map(Vec::len).collect::<Vec<_>>(), [80 * MAX_PARTS, 60]);
}

#[test]
fn a_way_that_takes_single_frames_only_drops_the_others_by_name() {
    let mut world = World::new();
    // Service 0 is reached by injection alone, service 1 by a ring of packets of one frame.
    world.lead(0, false, true);
    let lens = [400, 300];
    let id = PortId(world.next_port);
    let port = Port::new(id, world.umem.clone(), SimRings::new(RING as usize), None, 1);
    world.cores[0].command(Command::Add { port: Box::new(port), reply: bounded(1).0 });
    let egress = Egress { ring: Some(Ring::Local(id)), device: None };
    world.cores[0].command(Command::Egress { id: EgressId(1), egress, reply: bounded(1).0 });
    world.turn(0);
    for n in 0..2 {
        assert!(world.arrive_split(0, &long_packet(n, 2, &lens), &lens));
        world.arrive(0, &packet(n, 2, 64), 1);
    }
    world.turn(0);
    let status = world.cores[0].shared().stats.read(0, None);
    let dropped = |name| status.drops.iter().find(|drop| drop.name == name).unwrap().value;
    assert_eq!((dropped("buffers").packets, dropped("buffers").bytes), (2, 1400));
    assert_eq!(status.tx.packets, 2);
}

#[test]
fn a_packet_whose_end_never_comes_goes_with_its_port() {
    let mut world = World::new();
    world.turn(0);
    // 33 frames, of which a batch takes 32.
    for _ in 0..11 {
        assert!(world.arrive_split(0, &long_packet(0, 2, &[80; 3]), &[80; 3]));
    }
    world.turn(0);
    let (reply, answer) = bounded(1);
    world.cores[0].command(Command::Remove { id: PortId(0), reply });
    drop(answer.recv().unwrap());
    // SAFETY: the simulated socket is dropped, and no kernel knows of this memory.
    unsafe { world.umem.reclaim(PortId(0)) };
    assert_eq!(world.umem.counts().rx, world.cores[0].pending());
    let status = world.cores[0].shared().stats.read(0, None);
    assert_eq!(status.drops.iter().find(|drop| drop.name == "incomplete").unwrap().value.packets, 1);
}

#[test]
fn both_ends_of_a_rejected_connection_are_told_of_a_long_segment() {
    let mut world = World::new();
    world.turn(0);
    let lens = [400, 300, 200];
    let mut bytes = long_packet(0, 35, &lens);
    bytes[38..50].copy_from_slice(&[0, 0, 0, 5, 0, 0, 0, 7, 0x50, 0x10, 0, 0]);
    assert!(world.arrive_split(0, &bytes, &lens));
    world.turn(0);
    world.check();
    let on = sent(&mut world, 0);
    assert_eq!((on.len(), on[0].len()), (1, 54));
    assert_eq!(on[0][38..48], [0, 0, 0, 5, 0, 0, 0, 7, 0x50, 0x14]);
    world.settle();
    world.check();
    let status = world.cores[0].shared().stats.read(0, None);
    assert_eq!((status.replies.sent, status.replies.lost), (2, 0));
    let rejected = status.drops.iter().find(|drop| drop.name == "rejected").unwrap().value;
    assert_eq!((rejected.packets, rejected.bytes), (1, 900));
    assert_eq!(world.umem.counts().rx, 0);
}
