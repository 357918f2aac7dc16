//! `secuxflow-bench path`: what comes through, what is lost and how late, ours and peers', on the same two cores.

mod bars;
mod drop;
mod figure;
mod latency;
mod plan;
mod report;
mod subject;
mod throughput;
mod workers;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::{
    bars::Bar,
    machine::Machine,
    results::Results,
    wire::{
        frames::{Family, Payload},
        links::Network,
    },
};
use plan::{Plan, say};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// What is forwarded of a flood, by size, flows and modules.
    Throughput,
    /// How late frames are at fixed rates, and what is lost in a minute.
    Latency,
    /// What is dropped by rule.
    Drop,
    /// Two workers beside one, and their memory.
    Workers,
}

/// Arguments of `path`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Fail when a bar is missed or not measured, and name each.
    #[arg(long)]
    pub(crate) check: bool,
    /// One short round of few loads: shows that everything works, not what it costs.
    #[arg(long)]
    quick: bool,
    /// Measure these parts only; may be given several times. All unless given.
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// Measure only forwarders whose name contains this; may be given several times. All unless given.
    #[arg(long, value_name = "TEXT")]
    who: Vec<String>,
    /// Rounds; the median of them is taken.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// Seconds that a load lasts.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: Option<u32>,
    /// Bytes of a frame, without its check sequence; may be given several times. Unless given: 64, 512, 1400, and
    /// 353, which stands for the internet mix of 64, 570 and 1514 with that mean.
    #[arg(long)]
    size: Vec<usize>,
    /// Flows; may be given several times. Unless given: 1, 10000.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    flows: Vec<u32>,
    /// Version of IP. With ipv6 the smallest frame has 82 bytes.
    #[arg(long, value_enum, default_value_t = Family::Ipv4)]
    family: Family,
    /// What the frames carry.
    #[arg(long, value_enum, default_value_t = Payload::Text)]
    payload: Payload,
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

impl Options {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

/// Measure, and write the results. The answer is the bars.
pub(crate) fn run(options: &Options) -> Result<Vec<Bar>> {
    let machine = Machine::here();
    // Paths first: they are looked for where the command was given.
    let plan = Plan::new(options)?;
    let network = Network::new()?;
    let (mut figures, mut bars) = (Vec::new(), Vec::new());
    let mut notes = plan.notes.clone();
    if options.wants(Part::Throughput) {
        figures.extend(throughput::measure(&network, &plan, &mut notes)?);
        bars.extend(bars::throughput(&figures, &plan));
    }
    if options.wants(Part::Drop) {
        figures.extend(drop::measure(&network, &plan)?);
        bars.extend(bars::drop(&figures, &plan));
    }
    if options.wants(Part::Latency) {
        figures.extend(latency::measure(&network, &plan)?);
        bars.extend(bars::latency(&figures, &plan));
    }
    if options.wants(Part::Workers) {
        let (workers, memory) = workers::measure(&network, &plan)?;
        figures.extend(workers);
        notes.push(memory);
        bars.extend(bars::workers(&figures));
    }
    say("done");
    let results = Results { name: "path", machine, bars, notes };
    report::write(&results, &figures, &options.out)?;
    println!("{}", results.place(&options.out));
    Ok(results.bars)
}
