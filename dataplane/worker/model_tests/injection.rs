//! Packets that are injected, and those that are not.

use super::{World, device, packet};
use crate::{
    egress::SLOTS,
    worker::{core::Waiting, injecting::WORTH, simulation::LANE},
    xsk::PortId,
};

#[test]
fn a_large_batch_is_injected_and_its_frames_are_free_at_once() {
    let mut world = World::new();
    world.lead(0, true, true);
    world.turn(0);
    let before = world.umem.counts();
    assert_eq!(world.arrive(0, &packet(0, 2, 64), WORTH), WORTH);
    world.turn(0);
    world.check();
    let sent = world.injected(0);
    assert_eq!(sent.len(), WORTH);
    assert_eq!((&sent[0][..6], sent[0][22]), (&[4; 6][..], 63), "rewritten for the service");
    assert_eq!(world.umem.counts(), before, "no frame is under way");
    let status = world.cores[0].shared().stats.read(0, None);
    assert_eq!((status.injected, status.inject_lost, status.inject_calls), (WORTH as u64, 0, 1));
    assert_eq!((status.tx.packets, status.latency.count), (WORTH as u64, WORTH as u64));
    assert_eq!(world.cores[0].shared().stats.service(0).packets, WORTH as u64);
    assert_eq!(world.cores[0].waiting(), Waiting::Idle);
}

#[test]
fn a_turn_ends_under_a_flood_of_which_nearly_nothing_is_let_through() {
    let mut world = World::new();
    world.lead(0, false, true);
    world.turn(0);
    assert_eq!(world.arrive(0, &packet(0, 2, 64), 1), 1);
    // What else is in the frames is no packet, and dropped.
    world.rings(0, PortId(0)).flood = true;
    world.turn(0);
    world.check();
    assert!(!world.injected(0).is_empty(), "what was let through is sent");
    let received = world.cores[0].shared().stats.read(0, None).rx.packets;
    assert!((32..=SLOTS as u64).contains(&received), "{received}");
}

#[test]
fn a_small_batch_takes_the_ring_where_there_is_one() {
    let mut world = World::new();
    world.lead(0, true, true);
    world.lead(1, false, true);
    world.turn(0);
    world.arrive(0, &packet(0, 2, 64), WORTH - 1);
    world.turn(0);
    let out = world.out[0];
    world.rings(0, out).transmit(64);
    assert_eq!((world.injected(0).len(), world.rings(0, out).wire.len()), (0, WORTH - 1));
    world.arrive(0, &packet(1, 2, 64), 1);
    world.turn(0);
    assert_eq!(world.injected(1).len(), 1, "service 1 has no ring, worker 0 needs none of worker 1's");
    world.check();
}

#[test]
fn one_call_serves_all_services_of_a_turn() {
    let mut world = World::new();
    world.lead(0, true, true);
    world.lead(1, true, true);
    world.turn(0);
    world.arrive(0, &packet(0, 2, 64), WORTH / 2);
    world.arrive(0, &packet(1, 2, 64), WORTH / 2);
    world.turn(0);
    assert_eq!((world.injected(0).len(), world.injected(1).len()), (WORTH / 2, WORTH / 2));
    assert_eq!(world.lane.devices().calls, 1);
    world.check();
}

#[test]
fn what_waits_for_room_is_not_overtaken() {
    let mut world = World::new();
    world.lead(0, true, true);
    world.turn(0);
    // Small batches, until the ring is full and some wait.
    for n in 0..6 {
        world.arrive(0, &packet(0, 2 * n, 64), 20);
        world.turn(0);
    }
    assert!(world.cores[0].pending() > 0);
    world.arrive(0, &packet(0, 100, 64), 32);
    world.turn(0);
    world.check();
    let ports: Vec<_> = world.injected(0).iter().map(|p| u16::from_be_bytes([p[34], p[35]])).collect();
    assert!(ports.len() > LANE, "what waited, and the batch: {}", ports.len());
    assert!(ports.is_sorted(), "{ports:?}");
    assert_eq!(world.cores[0].pending(), 0);
}

#[test]
fn a_device_that_refuses_costs_one_call_and_the_others_go_on() {
    let mut world = World::new();
    world.lead(0, true, true);
    world.lead(1, true, true);
    world.turn(0);
    world.lane.devices().refusing.insert(device(0));
    for _ in 0..2 {
        world.arrive(0, &packet(0, 2, 64), 16);
        world.arrive(0, &packet(1, 2, 64), 16);
        world.turn(0);
        world.turn(1);
        let out = world.out[0];
        world.rings(0, out).transmit(64);
        world.check();
    }
    assert!(world.injected(0).is_empty());
    assert_eq!(world.lane.devices().lost, 16);
    let out = world.out[0];
    assert_eq!(world.rings(0, out).wire.len(), 16, "by the ring from then on");
    // Sixteen alone are not worth a call, and go to the ring of worker 1.
    let out = world.out[1];
    world.rings(1, out).transmit(64);
    assert_eq!(world.injected(1).len() + world.rings(1, out).wire.len(), 32);
    // Control has looked at it.
    world.lane.devices().refusing.clear();
    world.point(0);
    world.arrive(0, &packet(0, 2, 64), 32);
    world.turn(0);
    assert_eq!(world.injected(0).len(), 32);
}

#[test]
fn calls_that_fail_end_injection_and_traffic_goes_on() {
    let mut world = World::new();
    world.lead(0, true, true);
    world.turn(0);
    world.lane.devices().broken = true;
    for _ in 0..3 {
        world.arrive(0, &packet(0, 2, 64), 32);
        world.turn(0);
        let out = world.out[0];
        world.rings(0, out).transmit(64);
        world.check();
    }
    let out = world.out[0];
    assert_eq!(world.rings(0, out).wire.len(), 64);
    assert_eq!(world.lane.devices().calls, 1);
    assert_eq!(world.cores[0].shared().stats.broken_calls(), 1);
}
