//! Random steps: whatever happens, no frame is lost or used twice.

use proptest::prelude::*;

use super::{World, device, long_packet, packet};

/// Keep the panics that the test wants out of its output.
fn quieten() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info.to_string().contains("takes the host down") {
                hook(info);
            }
        }));
    });
}

#[derive(Debug, Clone)]
enum Step {
    Arrive { worker: usize, service: u8, src_port: u16, ttl: u8, count: usize },
    Split { worker: usize, service: u8, src_port: u16, lens: Vec<u32>, count: usize },
    Garbage { worker: usize, bytes: Vec<u8> },
    Turn(usize),
    Transmit { service: usize, count: usize },
    Unplug(usize),
    Replace(usize),
    Lead { service: usize, ring: bool, inject: bool },
    Refuse { service: usize, refuse: bool },
    Break(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0usize..2, 0u8..3, 0u16..40, 0u8..4, 0usize..100).prop_map(|(worker, service, src_port, ttl, count)| {
            Step::Arrive { worker, service, src_port, ttl, count }
        }),
        4 => (0usize..2, 0u8..3, 0u16..40, prop::collection::vec(0u32..250, 2..20), 0usize..12).prop_map(
            |(worker, service, src_port, lens, count)| Step::Split { worker, service, src_port, lens, count }
        ),
        1 => (0usize..2, prop::collection::vec(any::<u8>(), 0..200))
            .prop_map(|(worker, bytes)| Step::Garbage { worker, bytes }),
        8 => (0usize..2).prop_map(Step::Turn),
        4 => (0usize..2, 0usize..80).prop_map(|(service, count)| Step::Transmit { service, count }),
        1 => (0usize..2).prop_map(Step::Unplug),
        1 => (0usize..2).prop_map(Step::Replace),
        3 => (0usize..2, any::<bool>(), any::<bool>())
            .prop_map(|(service, ring, inject)| Step::Lead { service, ring, inject }),
        1 => (0usize..2, any::<bool>()).prop_map(|(service, refuse)| Step::Refuse { service, refuse }),
        1 => any::<bool>().prop_map(Step::Break),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_frame_is_lost_or_used_twice(steps in prop::collection::vec(step(), 1..300)) {
        quieten();
        let mut world = World::new();
        for step in steps {
            match step {
                Step::Arrive { worker, service, src_port, ttl, count } => {
                    world.arrive(worker, &packet(service, src_port, ttl), count);
                }
                Step::Split { worker, service, src_port, lens, count } => {
                    let bytes = long_packet(service, src_port, &lens);
                    (0..count).take_while(|_| world.arrive_split(worker, &bytes, &lens)).for_each(drop);
                }
                Step::Garbage { worker, bytes } => {
                    world.arrive(worker, &bytes, 1);
                }
                Step::Turn(worker) => world.turn(worker),
                Step::Transmit { service, count } => {
                    let out = world.out[service];
                    world.rings(service, out).transmit(count);
                }
                Step::Unplug(service) => {
                    let out = world.out[service];
                    world.rings(service, out).gone = true;
                }
                Step::Replace(service) => world.replace(service),
                Step::Lead { service, ring, inject } => world.lead(service, ring, inject),
                Step::Refuse { service, refuse } => {
                    let refusing = &mut world.lane.devices().refusing;
                    if refuse {
                        refusing.insert(device(service));
                    } else {
                        refusing.remove(&device(service));
                    }
                }
                Step::Break(broken) => world.lane.devices().broken = broken,
            }
            world.check();
        }
        // With healthy ports everything comes to rest, and all frames are free or in a fill ring.
        for service in 0..2 {
            world.lead(service, true, false);
        }
        world.replace(0);
        world.replace(1);
        world.settle();
        world.check();
        let counts = world.umem.counts();
        prop_assert_eq!((counts.rx, counts.tx, counts.mailbox), (0, 0, 0));
        // And both workers still forward.
        for worker in 0..2 {
            for n in 0..2u8 {
                let out = world.out[usize::from(n)];
                world.rings(usize::from(n), out).wire.clear();
                prop_assert_eq!(world.arrive(worker, &packet(n, 2, 64), 10), 10);
                world.settle();
                prop_assert_eq!(world.rings(usize::from(n), out).wire.len(), 10);
            }
        }
    }
}
