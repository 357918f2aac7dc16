//! Two workers beside one. The generator needs a core too, so each worker shares its own with a generator of its own: one
//! core with both, then two such cores.

use anyhow::{Context, Result};

use super::{
    figure::{Cell, Figure, Topic},
    plan::{Plan, say},
    subject::Subject,
};
use crate::wire::{
    generator::Pace,
    links::{GENERATOR_CORE, Network, WORKER_CORE},
};

/// Rounds of one and of two workers in turn; and what memory they take, in words.
pub(super) fn measure(network: &Network, plan: &Plan) -> Result<(Vec<Figure>, String)> {
    let (size, flows) = (plan.smallest(), 1);
    let subjects = [vec![GENERATOR_CORE], vec![GENERATOR_CORE, WORKER_CORE]].map(Subject::Workers);
    let (mut outcomes, mut memory) = ([const { Vec::new() }; 2], [0.0; 2]);
    for round in 0..plan.rounds {
        for (number, subject) in subjects.iter().enumerate() {
            say(&format!("workers, round {}: {}", round + 1, subject.name()));
            let mut wire = network.wire(u32::try_from(number)? + 1)?;
            let running = subject.start(plan, &wire)?;
            let frames = plan.load(size, flows).frames(wire.macs(false)?)?;
            wire.aim(&frames)?;
            let mut second = network.second_generator()?;
            second.aim(&frames)?;
            let others = [(&second, WORKER_CORE)];
            outcomes[number].push(wire.with_others(&others[..number], Pace::Flood, plan.warm, plan.time)?);
            let daemon = running.daemon.as_ref().context("no daemon")?;
            memory[number] = daemon.memory()?.process as f64 / f64::from(1 << 20);
        }
    }
    let cell = Cell { topic: Topic::Workers, size, flows, pace: None };
    let figure = |(subject, outcomes): (&Subject, &Vec<_>)| Figure::of(subject.name(), cell, outcomes);
    let words = format!(
        "memory: {:.0} MiB resident with one worker and one module, {:.0} MiB with two workers: {:.0} MiB for a worker",
        memory[0],
        memory[1],
        memory[1] - memory[0]
    );
    say(&words);
    Ok((subjects.iter().zip(&outcomes).map(figure).collect(), words))
}
