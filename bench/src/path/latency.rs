//! How late frames are at rates that everybody should manage, and what is lost in a minute of the slowest.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};

use super::{
    figure::{Cell, Figure, Topic},
    plan::{Plan, say},
    subject::Subject,
};
use crate::{
    peers::testpmd::Driver,
    wire::{
        generator::Pace,
        links::{Network, Outcome},
    },
};

/// Mpps.
const RATES: [f64; 2] = [0.2, 0.5];
/// The one that nothing may be lost of.
pub(super) const CALM: f64 = RATES[0];

fn subjects(plan: &Plan) -> Vec<Subject> {
    let mut subjects: Vec<Subject> =
        plan.egress.iter().map(|egress| Subject::Ours { modules: 1, egress: *egress }).collect();
    subjects.push(Subject::Polling);
    if plan.testpmd.is_some() {
        subjects.push(Subject::Testpmd(Driver::Xdp));
    }
    subjects.extend([Subject::Bridge, Subject::Redirect]);
    plan.choose(subjects)
}

/// Rounds of all subjects in turn, then a long load for each that has a worker.
pub(super) fn measure(network: &Network, plan: &Plan) -> Result<Vec<Figure>> {
    let subjects = subjects(plan);
    let mut wire = network.wire(1)?;
    let (size, flows) = (plan.smallest(), 1);
    let mut outcomes: BTreeMap<(usize, usize), Vec<Outcome>> = BTreeMap::new();
    for round in 0..plan.rounds {
        for (number, subject) in subjects.iter().enumerate() {
            say(&format!("latency, round {}: {}", round + 1, subject.name()));
            let _running = subject.start(plan, &wire)?;
            wire.aim(&plan.load(size, flows).frames(wire.macs(subject.is_bridging())?)?)?;
            wire.wait().with_context(|| subject.name())?;
            for (place, rate) in RATES.iter().enumerate() {
                let outcome = wire.run(Pace::Rate(rate * 1e6), plan.warm, plan.time)?;
                outcomes.entry((place, number)).or_default().push(outcome);
            }
        }
    }
    let figure = |((place, number), outcomes): ((usize, usize), Vec<Outcome>)| {
        let cell = Cell { topic: Topic::Latency, size, flows, pace: Some(RATES[place]) };
        Figure::of(subjects[number].name(), cell, &outcomes)
    };
    let mut figures: Vec<Figure> = outcomes.into_iter().map(figure).collect();
    for subject in subjects
        .iter()
        .filter(|subject| matches!(subject, Subject::Ours { .. } | Subject::Polling | Subject::Testpmd(_)))
    {
        say(&format!("{} s at {CALM} Mpps: {}", plan.long.as_secs(), subject.name()));
        let running = subject.start(plan, &wire)?;
        wire.aim(&plan.load(size, flows).frames(wire.macs(false)?)?)?;
        wire.wait().with_context(|| subject.name())?;
        let outcome = wire.run(Pace::Rate(CALM * 1e6), Duration::from_millis(100), plan.long)?;
        if outcome.arrived.packets < outcome.sent.frames
            && let Some(daemon) = &running.daemon
        {
            // Where they went is in the daemon's own counters.
            say(&daemon.ask(&["status"])?);
        }
        let cell = Cell { topic: Topic::Loss, size, flows, pace: Some(CALM) };
        figures.push(Figure::of(subject.name(), cell, &[outcome]));
    }
    Ok(figures)
}
