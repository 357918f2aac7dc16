//! `secuxflow-bench classifier`: nanoseconds a packet by `BPF_PROG_TEST_RUN`, ours and peers', in the same rounds.

mod counting;
mod figure;
mod ours;
mod plan;
mod prefixes;
mod publish;
mod report;
mod rules;
mod verify;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};

use crate::{
    bars::Bar, generator::Generator, lab, machine::Machine, peers::xdp_filter, results::Results, rounds::Effort,
};
use plan::{Plan, say};

pub(crate) use rules::ruleset;

/// Where `scripts/bench.sh` unpacks xdp-tools.
const UNPACKED: &str = "target/xdp-tools";

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The first rule that matches, by number and shape of rules.
    Rules,
    /// Whether the source is in a list of prefixes, of 10 to a million.
    Prefixes,
    /// What counting by rule costs.
    Counting,
    /// How long a publication takes.
    Publish,
}

/// Arguments of `classifier`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Fail when a bar is missed, and name each that is.
    #[arg(long)]
    pub(crate) check: bool,
    /// Fewer rounds, and no list of a million prefixes: shows that everything works, not what it costs.
    #[arg(long)]
    quick: bool,
    /// Measure these parts only; may be given several times. All unless given.
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// Rounds; the median of them is taken.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: Option<u32>,
    /// Distinct packets for each ruleset, 64 to 16384; a power of two. Lists of prefixes get eight times as many.
    #[arg(long, default_value_t = 8192)]
    packets: usize,
    /// Core to stay on.
    #[arg(long, default_value_t = 0)]
    core: usize,
    /// Folder with xdp-filter's object files, xdpfilt_*.o. Unless given, that of an installed xdp-tools, or one below
    /// target/xdp-tools.
    #[arg(long, value_name = "DIR")]
    xdp_filter: Option<PathBuf>,
    /// Folder that results are written to.
    #[arg(long, value_name = "DIR", default_value = "bench/results")]
    out: PathBuf,
}

impl Options {
    fn plan(&self) -> Result<Plan> {
        ensure!(
            self.packets.is_power_of_two() && (64..=16_384).contains(&self.packets),
            "--packets {}: a power of two from 64 to 16384 is needed",
            self.packets
        );
        let (rounds, turns, largest, publications) =
            if self.quick { (5, 2, 100_000, 3) } else { (21, 8, 1_000_000, 9) };
        Ok(Plan {
            packets: self.packets,
            effort: Effort { rounds: self.rounds.unwrap_or(rounds), turns },
            largest,
            xdp_filter: xdp_filter::find(self.xdp_filter.as_deref(), Path::new(UNPACKED)),
            publications,
        })
    }

    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

/// Measure, and write the results. The answer is the bars.
pub(crate) fn run(options: &Options) -> Result<Vec<Bar>> {
    let plan = options.plan()?;
    let machine = Machine::here();
    let mut notes = Vec::new();
    if plan.xdp_filter.is_none() && options.wants(Part::Rules) {
        let why = "xdp-filter was not measured, nor the bar against it: its object files were not found \
                   (install xdp-tools, or let scripts/bench.sh unpack it)";
        say(why);
        notes.push(why.to_owned());
    }
    lab::pin(options.core)?;
    let mut generator = Generator::load(lab::isolate()?)?;
    let (mut figures, mut bars) = (Vec::new(), Vec::new());
    if options.wants(Part::Rules) {
        figures.extend(rules::measure(&mut generator, &plan)?);
        bars.extend(rules::bars(&figures));
    }
    if options.wants(Part::Prefixes) {
        figures.extend(prefixes::measure(&mut generator, &plan)?);
        bars.extend(prefixes::bars(&figures));
    }
    if options.wants(Part::Counting) {
        let (counting, bar) = counting::measure(&mut generator, &plan)?;
        figures.extend(counting);
        bars.extend(bar);
    }
    if options.wants(Part::Publish) {
        bars.extend(publish::measure(&plan)?);
    }
    let results = Results { name: "classifier", machine, bars, notes };
    report::write(&results, &figures, &options.out)?;
    println!("{}", results.place(&options.out));
    Ok(results.bars)
}
