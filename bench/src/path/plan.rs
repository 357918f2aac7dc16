//! What is measured, how long, and with what.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::{
    Options,
    subject::{Egress, Subject},
};
use crate::{
    daemon,
    peers::{nft, testpmd},
    wire::frames::{Family, IMIX, IMIX_MEAN, Load, Payload},
};

/// Where `scripts/bench.sh` unpacks what is not installed.
const DPDK: &str = "target/dpdk";
const NFTABLES: &str = "target/nftables";

/// The arguments, checked, and what was found on this machine.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) rounds: u32,
    /// Of each load: first without counting, then counted.
    pub(super) warm: Duration,
    pub(super) time: Duration,
    /// Of the load of which nothing may be lost.
    pub(super) long: Duration,
    pub(super) sizes: Vec<usize>,
    /// Sizes of the internet mix that the family can have.
    mix: Vec<usize>,
    pub(super) flows: Vec<u32>,
    pub(super) family: Family,
    pub(super) payload: Payload,
    pub(super) binary: PathBuf,
    pub(super) modules: PathBuf,
    pub(super) testpmd: Option<testpmd::Tool>,
    pub(super) nft: Option<nft::Tool>,
    /// The ways out that the daemon knows.
    pub(super) egress: Vec<Egress>,
    /// Whether its modules may clear flows.
    pub(super) offload: bool,
    /// Parts of the names of those to be measured; all when empty.
    who: Vec<String>,
    /// What is left out, and why.
    pub(super) notes: Vec<String>,
}

impl Plan {
    pub(super) fn new(options: &Options) -> Result<Self> {
        let mut notes = Vec::new();
        let binary = options.binary.canonicalize().with_context(|| {
            let file = options.binary.display();
            format!("{file}: build it with `cargo build --release`, or name another with --binary")
        })?;
        let modules = options.modules.canonicalize().unwrap_or_else(|_| options.modules.clone());
        for name in ["header_guard.wasm", "pattern_guard.wasm", "basic_inspect.wat"] {
            let file = modules.join(name);
            let missing = "run scripts/compile_wasm.sh, or name its folder with --modules";
            ensure!(file.is_file(), "{} is missing: {missing}", file.display());
        }
        let testpmd = testpmd::find(&absolute(DPDK)?);
        let nft = nft::find(&absolute(NFTABLES)?);
        let mut note = |missing: bool, text: &str| {
            if missing {
                say(text);
                notes.push(text.to_owned());
            }
        };
        note(testpmd.is_none(), "dpdk-testpmd NOT MEASURED: it was not found (package dpdk-dev, or scripts/bench.sh)");
        note(nft.is_none(), "nftables NOT MEASURED: it was not found (package nftables, or scripts/bench.sh)");
        let inject = daemon::knows(&binary, "[workers]\negress = \"auto\"\n")?;
        note(!inject, "injection NOT MEASURED: this daemon has only one way out, AF_XDP TX");
        let offload = daemon::knows(&binary, "[flows]\nforward = \"service\"\n")?;
        note(!offload, "offloaded flows NOT MEASURED: modules of this daemon cannot clear flows");
        let (rounds, warm, time, long) = if options.quick { (1, 100, 300, 3_000) } else { (5, 300, 1_000, 60_000) };
        let milliseconds = Duration::from_millis;
        let or = |given: &[usize], all: &[usize]| if given.is_empty() { all.to_vec() } else { given.to_vec() };
        let smallest = smallest(options.family);
        let sizes = or(&options.size, if options.quick { &[64, 1400] } else { &[64, IMIX_MEAN, 512, 1400] });
        Ok(Self {
            rounds: options.rounds.unwrap_or(rounds),
            warm: milliseconds(warm),
            time: options.seconds.map_or(milliseconds(time), |seconds| Duration::from_secs(seconds.into())),
            long: milliseconds(long),
            sizes: sizes.into_iter().map(|size| size.max(smallest)).collect(),
            mix: IMIX.iter().map(|size| (*size).max(smallest)).collect(),
            flows: match (options.flows.is_empty(), options.quick) {
                (false, _) => options.flows.clone(),
                (true, true) => vec![1],
                (true, false) => vec![1, 10_000],
            },
            family: options.family,
            payload: options.payload,
            binary,
            modules,
            testpmd,
            nft,
            egress: if inject { vec![Egress::Auto, Egress::Tx] } else { vec![Egress::Only] },
            offload,
            who: options.who.clone(),
            notes,
        })
    }

    /// Those of `subjects` that were asked for.
    pub(super) fn choose(&self, mut subjects: Vec<Subject>) -> Vec<Subject> {
        let wanted = |name: &str| self.who.is_empty() || self.who.iter().any(|part| name.contains(part));
        subjects.retain(|subject| wanted(&subject.name()));
        subjects
    }

    /// Frames of one size in some flows.
    pub(super) fn load(&self, size: usize, flows: u32) -> Load {
        Load { payload: self.payload, ..Load::plain(self.family, size, flows) }
    }

    /// Frames of one size, or of the internet mix, which stands for its mean.
    pub(super) fn load_or_mix(&self, size: usize, flows: u32) -> Load {
        let load = self.load(size, flows);
        if size == IMIX_MEAN { Load { sizes: self.mix.clone(), ..load } } else { load }
    }

    /// The smallest frame of the family: bars are about it.
    pub(super) fn smallest(&self) -> usize {
        smallest(self.family)
    }
}

fn smallest(family: Family) -> usize {
    match family {
        Family::Ipv4 => 64,
        Family::Ipv6 => 82,
    }
}

fn absolute(path: &str) -> Result<PathBuf> {
    std::path::absolute(Path::new(path)).context("the current folder")
}

/// Tell what is going on.
pub(super) fn say(text: &str) {
    eprintln!("{text}");
}
