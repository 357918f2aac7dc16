//! What is forwarded of a flood.

use std::collections::BTreeMap;

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

/// All that are there to be measured.
fn subjects(plan: &Plan) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for egress in &plan.egress {
        subjects.extend([0, 1, 3].map(|modules| Subject::Ours { modules, egress: *egress }));
    }
    if plan.offload {
        subjects.push(Subject::Offload);
    }
    if plan.testpmd.is_some() {
        subjects.extend([Driver::Xdp, Driver::Packet].map(Subject::Testpmd));
    }
    subjects.extend([Subject::Bridge, Subject::Redirect]);
    plan.choose(subjects)
}

/// Rounds of all subjects in turn; within a round each meets all loads.
pub(super) fn measure(network: &Network, plan: &Plan, notes: &mut Vec<String>) -> Result<Vec<Figure>> {
    let mut subjects = subjects(plan);
    let mut wire = network.wire(1)?;
    let loads: Vec<(usize, u32)> =
        plan.sizes.iter().flat_map(|size| plan.flows.iter().map(|flows| (*size, *flows))).collect();
    let mut outcomes: BTreeMap<(usize, usize), Vec<Outcome>> = BTreeMap::new();
    for round in 0..plan.rounds {
        let mut number = 0;
        while number < subjects.len() {
            let subject = subjects[number].clone();
            say(&format!("flood, round {}: {}", round + 1, subject.name()));
            let _running = match subject.start(plan, &wire) {
                Ok(running) => running,
                // A peer that does not start here is told of, and left out; ours has to.
                Err(error) if round == 0 && matches!(subject, Subject::Testpmd(_)) => {
                    let why = format!("{} NOT MEASURED: {error:#}", subject.name());
                    say(&why);
                    notes.push(why);
                    subjects.remove(number);
                    continue;
                }
                Err(error) => return Err(error),
            };
            wire.aim(&plan.load(plan.smallest(), 1).frames(wire.macs(subject.is_bridging())?)?)?;
            wire.wait().with_context(|| subject.name())?;
            for (place, (size, flows)) in loads.iter().enumerate() {
                wire.aim(&plan.load_or_mix(*size, *flows).frames(wire.macs(subject.is_bridging())?)?)?;
                let outcome = wire.run(Pace::Flood, plan.warm, plan.time)?;
                outcomes.entry((place, number)).or_default().push(outcome);
            }
            number += 1;
        }
    }
    let figure = |((place, number), outcomes): ((usize, usize), Vec<Outcome>)| {
        let (size, flows) = loads[place];
        Figure::of(subjects[number].name(), Cell { topic: Topic::Throughput, size, flows, pace: None }, &outcomes)
    };
    Ok(outcomes.into_iter().map(figure).collect())
}
