//! What is dropped by rule, when all of a flood is to be dropped.

use std::{collections::HashSet, net::Ipv4Addr};

use anyhow::{Result, ensure};
use secuxflow::rules::shapes::Random;

use super::{
    figure::{Cell, Figure, Topic},
    plan::{Plan, say},
    subject::Subject,
};
use crate::{
    traffic::Mix,
    wire::{
        frames::{Family, Load},
        generator::Pace,
        links::Network,
    },
};

/// Rules, and addresses of a set.
pub(super) const RULES: u32 = 10_000;
/// Bytes of a frame.
pub(super) const SIZE: usize = 64;

/// As many different sources in 10.0.0.0/8.
fn sources() -> Vec<Ipv4Addr> {
    let (mut random, mut seen, mut sources) = (Random(3), HashSet::new(), Vec::new());
    while sources.len() < RULES as usize {
        let low = u32::from(random.byte()) << 16 | u32::from(random.port());
        // Neither the network's own address nor an end of it.
        let address = Ipv4Addr::from(0x0a00_0000 | low.clamp(1, 0x00ff_fffe));
        if seen.insert(address) {
            sources.push(address);
        }
    }
    sources
}

/// Rounds of all subjects in turn.
pub(super) fn measure(network: &Network, plan: &Plan) -> Result<Vec<Figure>> {
    let sources = sources();
    let mut subjects = vec![Subject::Rules(sources.clone()), Subject::Drop];
    if plan.nft.is_some() {
        subjects.push(Subject::Nft(sources.clone()));
    }
    let subjects = plan.choose(subjects);
    let flows = sources.into_iter().map(|source| (source.into(), 1024)).collect();
    let load = Load { sources: flows, mix: Mix::Hot, ..Load::plain(Family::Ipv4, SIZE, 1) };
    let mut wire = network.wire(1)?;
    wire.aim(&load.frames(wire.macs(false)?)?)?;
    let mut outcomes = vec![Vec::new(); subjects.len()];
    for round in 0..plan.rounds {
        for (subject, outcomes) in subjects.iter().zip(&mut outcomes) {
            say(&format!("drop, round {}: {}", round + 1, subject.name()));
            let _running = subject.start(plan, &wire)?;
            let outcome = wire.run(Pace::Flood, plan.warm, plan.time)?;
            ensure!(
                outcome.arrived.packets == 0,
                "{}: {} packets came through",
                subject.name(),
                outcome.arrived.packets
            );
            outcomes.push(outcome);
        }
    }
    let cell = Cell { topic: Topic::Drop, size: SIZE, flows: RULES, pace: None };
    Ok(subjects.iter().zip(&outcomes).map(|(subject, outcomes)| Figure::of(subject.name(), cell, outcomes)).collect())
}
