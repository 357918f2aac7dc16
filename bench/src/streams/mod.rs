//! `secuxflow-bench streams`: what modules that inspect TCP streams leave of the path's throughput, and what a kilobyte costs in
//! a guest beside the very same code natively.

mod bars;
mod cost;
mod figure;
mod load;
mod network;
mod path;
mod report;
mod requests;
mod rules;
mod subject;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::{bars::Bar, machine::Machine, results::Results};
use network::Network;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Bulk TCP and HTTP through the daemon.
    Path,
    /// The same bytes through a module in a guest, and through its code natively.
    Cost,
}

/// Arguments of `streams`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Fail when a bar is missed or not measured, and name each.
    #[arg(long)]
    pub(crate) check: bool,
    /// One short round: shows that everything works, not what it costs.
    #[arg(long)]
    quick: bool,
    /// Measure this part only. Both unless given.
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Measure only chains whose name contains this, and the one without a module; may be given several times. All unless given.
    #[arg(long, value_name = "TEXT")]
    who: Vec<String>,
    /// Rounds; the median of them is taken.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// Seconds that a load lasts.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: Option<u32>,
    /// The daemon and client.
    #[arg(long, value_name = "FILE", default_value = "target/release/secuxflow")]
    binary: PathBuf,
    /// Folder of the modules that scripts/compile_wasm.sh builds.
    #[arg(long, value_name = "DIR", default_value = "target/wasm")]
    modules: PathBuf,
    /// Folder that results are written to.
    #[arg(long, value_name = "DIR", default_value = "bench/results")]
    out: PathBuf,
}

/// Measure, and write the results. The answer is the bars.
pub(crate) fn run(options: &Options) -> Result<Vec<Bar>> {
    let mut results = Results { name: "streams", machine: Machine::here(), bars: Vec::new(), notes: Vec::new() };
    let (mut paths, mut costs) = (Vec::new(), Vec::new());
    if options.only != Some(Part::Path) {
        costs = cost::measure(options)?;
        results.bars.extend(bars::cost(&costs));
    }
    if options.only != Some(Part::Cost) {
        let binary = options.binary.canonicalize().with_context(|| {
            let file = options.binary.display();
            format!("{file}: build it with `cargo build --release`, or name another with --binary")
        })?;
        let plan = path::Plan {
            rounds: options.rounds.unwrap_or(if options.quick { 1 } else { 5 }),
            time: Duration::from_millis(match options.seconds {
                Some(seconds) => u64::from(seconds) * 1000,
                None if options.quick => 200,
                None => 1000,
            }),
            binary,
            modules: options.modules.canonicalize().unwrap_or_else(|_| options.modules.clone()),
            who: options.who.clone(),
        };
        paths = path::measure(&Network::new()?, &plan, &mut results.notes)?;
        results.bars.splice(0..0, bars::path(&paths));
    }
    report::write(&results, &paths, &costs, &options.out)?;
    println!("{}", results.place(&options.out));
    Ok(results.bars)
}
