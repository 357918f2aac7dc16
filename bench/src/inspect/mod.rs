//! `secuxflow-bench inspect`: what a module costs a packet in place, beside the very same code outside of any guest.

// The modules' own code. Not by their packages: those make a cdylib, whose file has no hash in its name, so that builds of
// two workspaces into one target directory would take each other's.
#[path = "../../../wasm_modules/header_guard/src/check.rs"]
#[expect(unreachable_pub, dead_code, reason = "what is public in the module's crate is not in this one")]
mod check;
#[path = "../../../wasm_modules/pattern_guard/src/patterns.rs"]
#[expect(unreachable_pub, reason = "as above")]
mod patterns;
mod report;

use std::{
    hint::black_box,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use secuxflow::{
    alert::AlertQueue,
    inspect::{Inspector, Runner, SharedMemory},
    plane::{ChainConfig, FailPolicy, ModuleConfig},
    wire,
};
use secuxflow_abi::{Packet, WINDOW, verdict};
use serde::Serialize;

use crate::{
    bars::Bar,
    lab,
    machine::Machine,
    modules,
    results::Results,
    rounds::Spread,
    wire::frames::{Family, Load, Macs},
};
use check::check;
use patterns::Patterns;

/// Packets of a batch.
const BATCH: usize = 64;
/// Distance of frames in memory, as in the UMEM.
const FRAME: usize = 4096;
/// Against the same parse in native Rust.
const BAR: f64 = 1.15;

/// Arguments of `inspect`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Fail when a bar is missed, and name each that is.
    #[arg(long)]
    pub(crate) check: bool,
    /// Fewer rounds: shows that everything works, not what it costs.
    #[arg(long)]
    quick: bool,
    /// Core to stay on.
    #[arg(long, default_value_t = 1)]
    core: usize,
    /// Folder of the modules that scripts/compile_wasm.sh builds.
    #[arg(long, value_name = "DIR", default_value = "target/wasm")]
    modules: PathBuf,
    /// Folder that results are written to.
    #[arg(long, value_name = "DIR", default_value = "bench/results")]
    out: PathBuf,
}

/// What a packet costs.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    /// What is done with each packet.
    pub(crate) task: &'static str,
    /// Bytes of a frame.
    pub(crate) size: usize,
    /// Who does it.
    pub(crate) subject: &'static str,
    /// Nanoseconds a packet, over all rounds.
    pub(crate) ns: Spread,
}

const NATIVE: &str = "native Rust";
const IN_PLACE: &str = "module, in place";
const NOTHING: &str = "module that does nothing";

/// Code that looks at a packet, outside of any guest: whether it passes.
type Native<'a> = dyn Fn(&Packet, &[u8]) -> bool + 'a;

/// A batch in memory of its own, and a module on it.
struct Subject {
    runner: Runner,
    packets: Vec<Packet>,
    /// The same frames where native code may read them.
    frames: Vec<u8>,
    _memory: SharedMemory,
    _inspector: Inspector,
}

/// Measure, and write the results. The answer is the bars.
pub(crate) fn run(options: &Options) -> Result<Vec<Bar>> {
    let mut results = Results { name: "inspect", machine: Machine::here(), bars: Vec::new(), notes: Vec::new() };
    lab::pin(options.core)?;
    let (rounds, batches) = if options.quick { (5, 500) } else { (41, 4000) };
    let none = options.modules.join("header_guard.wasm");
    let headers = module(&none, "")?;
    let words = modules::patterns(1000);
    let json = serde_json::json!({ "patterns": words }).to_string();
    let patterns = module(&options.modules.join("pattern_guard.wasm"), &json)?;
    let search = Patterns::new(&words, false).map_err(anyhow::Error::msg)?;
    let mut figures = Vec::new();
    for size in [64, 512, 1400] {
        let native = |packet: &Packet, frame: &[u8]| check(packet, frame).is_ok();
        figures.extend(task("every header read", size, &headers, &native, rounds, batches)?);
    }
    for size in [64, 512, 1400] {
        let native = |packet: &Packet, frame: &[u8]| {
            let payload = usize::from(packet.payload)..usize::from(packet.payload + packet.payload_len);
            frame.get(payload).is_some_and(|payload| search.find(payload).is_none())
        };
        // Long payloads take long: as many bytes in each round.
        let batches = (batches * 64 / u32::try_from(size)?).max(50);
        figures.extend(task("1,000 patterns searched", size, &patterns, &native, rounds, batches)?);
    }
    results.bars.extend(bars(&figures));
    report::write(&results, &figures, &options.out)?;
    println!("{}", results.place(&options.out));
    Ok(results.bars)
}

fn bars(figures: &[Figure]) -> Option<Bar> {
    let of = |subject| {
        let figure = figures.iter().find(|figure| figure.subject == subject && figure.size == 64)?;
        Some(figure.ns.median * BATCH as f64)
    };
    let (native, module, nothing) = (of(NATIVE)?, of(IN_PLACE)?, of(NOTHING)?);
    let name = "every header of a batch of 64 read in place";
    let bar = Bar::ratio(name, module, NATIVE, native, BAR);
    Some(bar.with_figures(format!(
        "{module:.0} ns, of which {nothing:.0} ns are the call, descriptors, clock and counters; native Rust {native:.0} ns"
    )))
}

/// All subjects in turn, so that what slows the machine for a while slows them all.
fn task(
    task: &'static str,
    size: usize,
    module: &ModuleConfig,
    native: &Native<'_>,
    rounds: u32,
    batches: u32,
) -> Result<Vec<Figure>> {
    let mut module = Subject::new(module, size)?;
    let nothing = tempfile::Builder::new().suffix(".wat").tempfile().context("a file for a module")?;
    std::fs::write(nothing.path(), modules::NOTHING).context("writing a module")?;
    let mut nothing = Subject::new(&self::module(nothing.path(), "")?, size)?;
    ensure!(module.native(native, 1) == module.guest(1), "{task}: native code and the module do not agree");
    let mut times = [const { Vec::new() }; 3];
    for round in 0..=rounds {
        let begin = Instant::now();
        black_box(module.native(native, batches));
        let first = begin.elapsed();
        black_box(module.guest(batches));
        let second = begin.elapsed();
        black_box(nothing.guest(batches));
        let third = begin.elapsed();
        if round > 0 {
            for (times, time) in times.iter_mut().zip([first, second - first, third - second]) {
                times.push(time.as_secs_f64() * 1e9 / f64::from(batches) / BATCH as f64);
            }
        }
    }
    let figure = |(subject, times): (&'static str, Vec<f64>)| Figure { task, size, subject, ns: Spread::of(times) };
    Ok([NATIVE, IN_PLACE, NOTHING].into_iter().zip(times).map(figure).collect())
}

fn module(path: &Path, config: &str) -> Result<ModuleConfig> {
    ensure!(
        path.is_file(),
        "{} is missing: run scripts/compile_wasm.sh, or name its folder with --modules",
        path.display()
    );
    Ok(ModuleConfig {
        name: "module".to_owned(),
        path: path.to_owned(),
        code: None,
        on_failure: FailPolicy::Closed,
        deadline: Duration::from_secs(1),
        heap: modules::HEAP << 20,
        max_failures: 1,
        config: config.to_owned(),
        revision: 0,
    })
}

impl Subject {
    fn new(module: &ModuleConfig, size: usize) -> Result<Self> {
        let chain = ChainConfig { name: "chain".to_owned(), modules: vec![module.name.as_str().into()] };
        let inspector = Inspector::new(std::slice::from_ref(module), &[chain], 1)?;
        let mut memory = SharedMemory::new(BATCH * FRAME).context("memory for frames")?;
        let macs = Macs { from: [2, 0, 0, 0, 0, 1], to: [2, 0, 0, 0, 0, 2] };
        let mut frames = vec![0; BATCH * FRAME];
        let mut packets = Vec::new();
        for index in 0..BATCH {
            let load = Load::plain(Family::Ipv4, size, u32::try_from(index)? + 1);
            let sources = load.sources[index..].to_vec();
            let frame = Load { sources, ..load }.frames(macs)?.longest;
            memory.write(index * FRAME, &frame).context("placing a frame")?;
            frames[index * FRAME..][..frame.len()].copy_from_slice(&frame);
            packets.push(describe(index * FRAME, &frame)?);
        }
        let runner = inspector.runner(&memory.region(), Arc::new(AlertQueue::new(1024)))?;
        Ok(Self { runner, packets, frames, _memory: memory, _inspector: inspector })
    }

    /// The batch through the module, some times; packets that passed in the last one.
    fn guest(&mut self, batches: u32) -> usize {
        for _ in 0..batches {
            self.runner.run(0, 0, black_box(&mut self.packets), &[]);
        }
        self.passed()
    }

    /// The same by `look`.
    fn native(&mut self, look: &Native<'_>, batches: u32) -> usize {
        for _ in 0..batches {
            let frames = black_box(&self.frames);
            for packet in black_box(&mut self.packets) {
                let at = (packet.frame - WINDOW) as usize;
                let pass = look(packet, &frames[at..at + packet.len as usize]);
                packet.verdict = if pass { verdict::PASS } else { verdict::DROP };
            }
        }
        self.passed()
    }

    fn passed(&self) -> usize {
        self.packets.iter().filter(|packet| packet.verdict == verdict::PASS).count()
    }
}

/// The descriptor that a worker makes of a frame.
pub(crate) fn describe(offset: usize, frame: &[u8]) -> Result<Packet> {
    let wire::Frame::Ip(headers) = wire::parse(frame) else { anyhow::bail!("a frame that is not IP") };
    Ok(Packet {
        flow: 7,
        frame: WINDOW + u32::try_from(offset)?,
        len: u32::try_from(frame.len())?,
        l3: headers.l3,
        l4: headers.l4,
        payload: headers.payload,
        payload_len: headers.payload_len,
        ethertype: headers.ethertype(),
        src_port: headers.src_port,
        dst_port: headers.dst_port,
        protocol: headers.protocol,
        tcp_flags: headers.tcp_flags,
        flags: 0,
        rule: 1,
        ingress: 0,
        verdict: verdict::PASS,
        reserved: [0; 4],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_module_costs_is_held_to_native_code() {
        let figure = |subject, ns| Figure { task: "every header read", size: 64, subject, ns: Spread::of([ns]) };
        let figures = |module| [figure(NATIVE, 5.0), figure(IN_PLACE, module), figure(NOTHING, 2.0)];
        assert!(bars(&figures(5.7)).unwrap().is_met());
        let missed = bars(&figures(6.0)).unwrap();
        assert!(!missed.is_met() && missed.to_string().contains("native Rust 320 ns"), "{missed}");
    }
}
