//! `secuxflow inspect --pcap`: a capture through rules and modules, here and now.

mod flags;
mod progress;
mod summary;

use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
};

use jiff::Timestamp;
use secuxflow::{
    offline::{CaptureError, CaptureReader, DEFAULT_BATCH, Happened, Replay, ReplayOptions},
    rules::{Action, Known, Ruleset},
    stream::StreamConfig,
};

pub(super) use flags::CaptureFlags;
use progress::Progress;
use summary::{Summary, packet_json, packet_line};

use super::{alerts_show, exit::Failure, output::Output};
use crate::{
    alerts,
    backend::Names,
    config::{self, Config, Enforcement, Overrides},
    error::ApiError,
    ruleset::{self, RulesetError, RulesetFile},
};

/// The chain that packets go to when nothing else is said.
const DEFAULT_CHAIN: &str = "default";

/// Run the capture that `flags` name.
///
/// # Errors
/// Configuration, rules or modules are wrong, the output cannot be written; or the capture cannot be read to its end: then
/// what was read is told all the same.
pub(super) fn run(pcap: &Path, flags: &CaptureFlags, out: Output) -> Result<(), Failure> {
    // What modules say at their start.
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .with_max_level(tracing::Level::WARN)
        .with_target(false)
        .without_time()
        .init();
    let config = configuration(flags)?;
    let rules = rules(flags, &config)?;
    let names = Names {
        interfaces: Vec::new(),
        chains: config.chain_names(),
        modules: config.plane.modules.iter().map(|module| module.name.clone()).collect(),
    };
    let Opened { name, source, length } = open(pcap)?;
    let failed = |source: CaptureError| Failure::Capture { name: name.clone(), source };
    let mut replay = Replay::new(ReplayOptions {
        rules,
        modules: config.plane.modules,
        chains: config.plane.chains,
        fail_policy: config.plane.fail_policy,
        monitor: config.enforcement == Enforcement::Monitor,
        flows: config.plane.flows,
        streams: StreamConfig { checksum: flags.checksums.into(), ..config.plane.streams },
        batch: DEFAULT_BATCH,
    })?;
    let mut reader = CaptureReader::new(source).map_err(failed)?;
    let mut printer = Printer { out, names: &names, packets: flags.packets, progress: Progress::new(length) };
    let ended = go(&mut reader, &mut replay, &mut printer)?;
    printer.progress.finish();
    let summary = Summary::of(&name, &reader, &replay, &names, ended.as_ref());
    let passed_over = summary.passed_over();
    out.answer_line(&summary)?;
    match (ended, passed_over) {
        (Some(error), _) => Err(failed(error)),
        (None, Some(what)) => Err(Failure::PassedOver { name, what }),
        (None, None) => Ok(()),
    }
}

/// All packets, until the end or what keeps the rest from being read.
fn go(
    reader: &mut CaptureReader<'_>,
    replay: &mut Replay,
    printer: &mut Printer<'_>,
) -> Result<Option<CaptureError>, Failure> {
    let ended = loop {
        printer.progress.at(reader.position());
        match reader.next_packet() {
            Ok(Some(packet)) => replay.push(&packet, &mut |happened| printer.print(happened))?,
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    replay.flush(&mut |happened| printer.print(happened))?;
    Ok(ended)
}

/// The configuration with the modules of the command line in the place of its own, and its default action.
fn configuration(flags: &CaptureFlags) -> Result<Config, Failure> {
    // No interface is needed here; the configuration of a daemon names one all the same.
    let overrides = Overrides { interfaces: vec!["capture".to_owned()], ..Overrides::default() };
    let mut config = config::load(flags.config.as_deref(), &overrides)?;
    let chain = flags.chain.as_deref().unwrap_or(DEFAULT_CHAIN);
    if !flags.modules.is_empty() {
        let (modules, chain) = flags::chain(chain, &flags.modules).map_err(|why| ApiError::invalid("module", why))?;
        config.plane.modules = modules;
        config.plane.chains = vec![chain];
    }
    if flags.rules.is_none() || flags.chain.is_some() {
        if !config.plane.chains.iter().any(|known| known.name == chain) {
            let known = config.chain_names().join(", ");
            return Err(ApiError::invalid("chain", format!("there is no chain '{chain}'; known: {known}")).into());
        }
        config.plane.default_action = Action::Inspect { chain: chain.to_owned() };
    }
    Ok(config)
}

fn rules(flags: &CaptureFlags, config: &Config) -> Result<Ruleset, Failure> {
    let monitor = config.enforcement == Enforcement::Monitor;
    let default_action = config.plane.default_action.clone();
    let Some(path) = &flags.rules else {
        return Ok(Ruleset { monitor, ..Ruleset::new(Vec::new(), default_action) });
    };
    let (name, text) = ruleset::read(path)?;
    let file = RulesetFile::parse(&name, Some(path), &text)?;
    let chains = config.chain_names();
    let known = Known { chains: Some(&chains), ..Known::at(Timestamp::now()) };
    let entries = ruleset::check(&file.rules, &known).map_err(|faults| file.invalid(faults))?;
    let sets = ruleset::read_sets(&flags.sets)?;
    let lacking = ruleset::lacking(&entries, &sets);
    if !lacking.is_empty() {
        return Err(RulesetError::Lacking { name: file.name, sets: lacking }.into());
    }
    let (rules, _) = ruleset::offline(&entries, default_action);
    Ok(Ruleset { sets, monitor, ..rules })
}

/// A capture that is open.
struct Opened {
    name: String,
    source: Box<dyn Read + Send>,
    /// Bytes in it, where that is known.
    length: Option<u64>,
}

fn open(path: &Path) -> Result<Opened, Failure> {
    if path == Path::new("-") {
        return Ok(Opened { name: "standard input".to_owned(), source: Box::new(io::stdin()), length: None });
    }
    let name = path.display().to_string();
    let opened = File::open(path).and_then(|file| file.metadata().map(|of| (file, of)));
    match opened {
        Ok((_, of)) if of.is_dir() => {
            let source = CaptureError::Read(io::ErrorKind::IsADirectory.into());
            Err(Failure::Capture { name, source })
        }
        Ok((file, of)) => Ok(Opened { name, source: Box::new(file), length: of.is_file().then_some(of.len()) }),
        Err(error) => Err(Failure::Capture { name, source: CaptureError::Read(error) }),
    }
}

/// Writes what happens as it happens: a line each.
struct Printer<'a> {
    out: Output,
    names: &'a Names,
    /// Packets, too.
    packets: bool,
    progress: Progress,
}

impl Printer<'_> {
    fn print(&mut self, happened: Happened<'_>) -> Result<(), Failure> {
        let json = |error: serde_json::Error| Failure::Output(error.into());
        let mut line = match happened {
            Happened::Alert { number, event } => {
                let line = alerts::line(event, self.names, number).map_err(json)?;
                if self.out.json() { line } else { alerts_show::alert_line(&line) }
            }
            Happened::Packet(_) if !self.packets => return Ok(()),
            Happened::Packet(packet) if self.out.json() => packet_json(packet, self.names).map_err(json)?,
            Happened::Packet(packet) => packet_line(packet, self.names),
        };
        line.push('\n');
        // Standard output writes line by line of itself.
        let write = || io::stdout().lock().write_all(line.as_bytes());
        self.progress.aside(write).map_err(Failure::Output)
    }
}
