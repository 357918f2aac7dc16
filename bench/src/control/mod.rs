//! `secuxflow-bench control`: how long the commands of a user take, from their start to their end, and what memory.

mod report;

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use secuxflow::rules::{
    Rule,
    shapes::{Families, Random, Shape},
};
use serde::{Deserialize, Serialize};

use crate::{
    bars::Bar,
    daemon::{Daemon, Memory, Setup},
    lab, lists,
    machine::Machine,
    results::Results,
    rounds::Spread,
};

const RULES: u32 = 10_000;
const PREFIXES: usize = 1_000_000;

/// Arguments of `control`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Fail when a bar is missed, and name each that is.
    #[arg(long)]
    pub(crate) check: bool,
    /// How often each command is timed; the median is taken.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Time each command once: shows that everything works, not what it costs.
    #[arg(long, conflicts_with = "runs")]
    quick: bool,
    /// The daemon and client.
    #[arg(long, value_name = "FILE", default_value = "target/release/secuxflow")]
    binary: PathBuf,
    /// Folder that results are written to.
    #[arg(long, value_name = "DIR", default_value = "bench/results")]
    out: PathBuf,
}

/// What a command took, or memory.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Measure {
    /// What was done.
    pub(crate) what: String,
    /// `ms`, or `MiB`.
    pub(crate) unit: &'static str,
    /// Over all runs.
    pub(crate) spread: Spread,
    /// Runs.
    pub(crate) runs: usize,
}

/// Measure, and write the results. The answer is the bars.
pub(crate) fn run(options: &Options) -> Result<Vec<Bar>> {
    let mut results = Results { name: "control", machine: Machine::here(), bars: Vec::new(), notes: Vec::new() };
    let runs = if options.quick { 1 } else { options.runs };
    lab::isolate()?;
    lab::up()?;
    let daemon = Daemon::start(&options.binary, &Setup { interfaces: &[lab::DEVICE], ..Setup::default() })?;
    let mut measures = memory("before", daemon.memory()?);
    let rules = rules(&daemon, runs)?;
    results.bars.extend(rules.iter().zip([500.0, 300.0]).map(|(measure, limit)| bar(measure, limit)));
    measures.extend(rules);
    measures.extend(memory("with 10,000 rules", daemon.memory()?));
    if daemon.command(&["set", "list"])?.is_ok() {
        let import = import(&daemon, runs)?;
        results.bars.push(Bar::most(&import.what, import.spread.median / 1e3, 5.0, "s"));
        measures.push(import);
        measures.extend(memory("with 10,000 rules and 1,000,000 prefixes", daemon.memory()?));
    } else {
        let why = "the import of a million prefixes was not measured: this secuxflow has no command `set`";
        eprintln!("{why}");
        results.notes.push(why.to_owned());
    }
    report::write(&results, &measures, &options.out)?;
    println!("{}", results.place(&options.out));
    Ok(results.bars)
}

fn bar(measure: &Measure, limit: f64) -> Bar {
    Bar::most(&measure.what, measure.spread.median, limit, measure.unit)
}

fn measure(what: &str, times: Vec<f64>) -> Measure {
    Measure { what: what.to_owned(), unit: "ms", runs: times.len(), spread: Spread::of(times) }
}

fn memory(when: &str, memory: Memory) -> Vec<Measure> {
    let mib = |bytes: u64| Spread::of([bytes as f64 / f64::from(1 << 20)]);
    let of = |whose, bytes| Measure { what: format!("{whose} {when}"), unit: "MiB", spread: mib(bytes), runs: 1 };
    vec![of("resident memory of the daemon", memory.process), of("BPF maps", memory.maps)]
}

/// A file of rules applied to a daemon without any, and a rule added to them.
fn rules(daemon: &Daemon, runs: u32) -> Result<[Measure; 2]> {
    let (file, none) = (daemon.folder().join("rules.json"), daemon.folder().join("none.json"));
    fs::write(&file, ruleset()?).context("writing rules")?;
    fs::write(&none, r#"{"rules": []}"#).context("writing rules")?;
    let apply = |file: &PathBuf| daemon.time(&["rule", "apply", &file.to_string_lossy()]);
    let mut applied = Vec::new();
    for _ in 0..runs {
        apply(&none)?;
        applied.push(apply(&file)?);
    }
    let add = |run: u32| {
        let address = format!("203.0.113.{}", run % 256);
        daemon.time(&["rule", "add", "--src", &address, "--action", "drop", "--priority", "9"])
    };
    let added = (0..runs).map(add).collect::<Result<Vec<f64>>>()?;
    Ok([measure("rule apply of 10,000 rules", applied), measure("rule add at 10,000 rules", added)])
}

/// 10,000 rules as a file. The generator makes some that say nothing, which a file may not have.
fn ruleset() -> Result<String> {
    let ruleset = crate::classifier::ruleset(Shape::Acl, Families::Both, 2 * RULES, &mut Random(RULES.into()));
    let records = ruleset.rules.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
    let mut records: Vec<_> = records.into_iter().filter(|record| Rule::deserialize(record).is_ok()).collect();
    records.truncate(RULES as usize);
    ensure!(records.len() == RULES as usize, "only {} of {RULES} generated rules are valid", records.len());
    Ok(serde_json::json!({ "rules": records }).to_string())
}

/// A threat feed imported as a blocklist, beside the rules.
fn import(daemon: &Daemon, runs: u32) -> Result<Measure> {
    let file = daemon.folder().join("feed.txt");
    let prefixes = lists::list(lists::Kind::Feed, PREFIXES, &mut Random(1));
    let text: String = prefixes.iter().map(|prefix| format!("{prefix}\n")).collect();
    fs::write(&file, text).context("writing a feed")?;
    let mut imported = Vec::new();
    for run in 0..runs {
        if run > 0 {
            daemon.time(&["set", "delete", "feed"])?;
        }
        daemon.time(&["set", "create", "feed", "--blocklist"])?;
        // Strict, so that a success is one of every line.
        imported.push(daemon.time(&["set", "import", "feed", &file.to_string_lossy(), "--strict"])?);
    }
    Ok(measure("set import of 1,000,000 prefixes", imported))
}
