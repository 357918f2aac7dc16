//! Rounds of all chains in turn; within a round each meets all loads.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{
    figure::{PathFigure, Run},
    load::Load,
    network::Network,
    subject::Subject,
};
use crate::daemon::Daemon;

/// The daemon's only worker.
const WORKER: &str = "worker-0";

/// How much is measured, and with what.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) rounds: u32,
    /// Of each load: a third of it first without counting.
    pub(super) time: Duration,
    pub(super) binary: PathBuf,
    pub(super) modules: PathBuf,
    /// Parts of the names of the chains to be measured; all when empty.
    pub(super) who: Vec<String>,
}

/// Measure; what should be known about the figures goes to `notes`.
pub(super) fn measure(network: &Network, plan: &Plan, notes: &mut Vec<String>) -> Result<Vec<PathFigure>> {
    let wanted = |subject: &Subject| {
        let name = subject.name();
        *subject == Subject::Empty || plan.who.is_empty() || plan.who.iter().any(|part| name.contains(part))
    };
    let subjects: Vec<Subject> = Subject::ALL.into_iter().filter(wanted).collect();
    let mut runs: BTreeMap<(usize, usize), Vec<Run>> = BTreeMap::new();
    let mut said = BTreeSet::new();
    for round in 0..plan.rounds {
        for (number, subject) in subjects.iter().enumerate() {
            eprintln!("round {}: {}", round + 1, subject.name());
            let daemon = subject.start(&plan.binary, &plan.modules)?;
            for (place, load) in Load::ALL.into_iter().enumerate() {
                let run = run(network, &daemon, load, plan.time)
                    .with_context(|| format!("{}, alerts: {:?}", subject.name(), alerts(&daemon)))?;
                runs.entry((place, number)).or_default().push(run);
            }
            said.extend(alerts(&daemon)?.into_iter().map(|alert| format!("{}: alert: {alert}", subject.name())));
        }
    }
    notes.extend(said);
    let figure = |((place, number), runs): ((usize, usize), Vec<Run>)| {
        PathFigure::of(Load::ALL[place], subjects[number].name(), &runs)
    };
    Ok(runs.into_iter().map(figure).collect())
}

fn run(network: &Network, daemon: &Daemon, load: Load, time: Duration) -> Result<Run> {
    load.run(network, time / 3)?;
    let (packets, worker) = (inspected(daemon)?, daemon.processor_time(WORKER)?);
    let done = load.run(network, time)?;
    let worker = daemon.processor_time(WORKER)?.saturating_sub(worker).as_secs_f64();
    ensure!(inspected(daemon)? > packets, "{}: it did not go through the worker", load.name());
    Ok(Run { done, worker })
}

/// Packets that the worker took.
fn inspected(daemon: &Daemon) -> Result<u64> {
    let status: Value = serde_json::from_str(&daemon.ask(&["status", "--json"])?)?;
    status.pointer("/workers/0/rx/packets").and_then(Value::as_u64).context("no count of packets in the status")
}

/// What alerts said, each text once.
fn alerts(daemon: &Daemon) -> Result<BTreeSet<String>> {
    let list: Value = serde_json::from_str(&daemon.ask(&["alert", "list", "--limit", "1000", "--json"])?)?;
    let alerts = list["alerts"].as_array().context("no list of alerts")?;
    Ok(alerts.iter().map(|alert| alert["alert"]["signature"].as_str().unwrap_or("without a text").to_owned()).collect())
}
