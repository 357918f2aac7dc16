//! What secuxflow costs, beside its peers, and whether that is as little as was promised.

extern crate alloc;

mod bars;
mod bpf;
mod classifier;
mod control;
mod daemon;
mod detect;
mod generator;
mod inspect;
mod lab;
mod lists;
mod machine;
mod modules;
mod path;
mod peers;
mod plot;
mod results;
mod rounds;
mod streams;
mod traffic;
mod wire;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use bars::Bar;

/// Measures secuxflow beside its peers. Needs root; everything happens in namespaces of its own.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 measured; 1 something failed; 2 wrong arguments; 3 --check, and a bar is missed."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Nanoseconds a packet of the classifier in the kernel, beside LPM_TRIE with bit vectors and xdp-filter.
    Classifier(classifier::Options),
    /// How long the commands of a user take, and what memory the daemon.
    Control(control::Options),
    /// How much of what they should find modules find, and how much that is none, on corpora of other projects. Needs no root.
    Detect(detect::Options),
    /// What a module costs a packet in place, beside the same code outside of any guest.
    Inspect(inspect::Options),
    /// What is forwarded, lost and how late, beside DPDK, the kernel's bridge and raw XDP, on the same two cores.
    Path(path::Options),
    /// What modules that inspect TCP streams leave of the path's throughput, and what bytes cost in a guest beside the same code
    /// natively.
    Streams(streams::Options),
}

/// Exit code when a bar is missed.
const MISSED: u8 = 3;

fn main() -> ExitCode {
    match run(&Cli::parse().command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<u8> {
    if let Command::Detect(options) = command
        && options.json
    {
        // The bars are part of the answer.
        let bars = detect::run(options)?;
        return Ok(if options.check && !bars.iter().all(Bar::is_met) { MISSED } else { 0 });
    }
    let (bars, check) = match command {
        Command::Classifier(options) => (classifier::run(options)?, options.check),
        Command::Control(options) => (control::run(options)?, options.check),
        Command::Detect(options) => (detect::run(options)?, options.check),
        Command::Inspect(options) => (inspect::run(options)?, options.check),
        Command::Path(options) => (path::run(options)?, options.check),
        Command::Streams(options) => (streams::run(options)?, options.check),
    };
    Ok(conclude(&bars, check))
}

/// Show the bars; the answer is the exit code.
fn conclude(bars: &[Bar], check: bool) -> u8 {
    for bar in bars {
        println!("{} {bar}", if bar.is_met() { "met:   " } else { "missed:" });
    }
    match bars::missed(bars) {
        Some(missed) if check => {
            eprint!("{missed}");
            MISSED
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn a_missed_bar_fails_the_run_only_when_it_is_checked() {
        let (met, missed) = (Bar::most("a", 1.0, 2.0, "ms"), Bar::most("b", 3.0, 2.0, "ms"));
        assert_eq!(conclude(&[met.clone(), missed.clone()], false), 0);
        assert_eq!(conclude(&[met.clone(), missed], true), MISSED);
        assert_eq!(conclude(&[met], true), 0);
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
