//! Kernel LPM_TRIE and bit vectors, bpf-iptables' way.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result, ensure};
use libbpf_rs::{MapHandle, Object, OpenObject};
use secuxflow::rules::{Action, RuleId, Ruleset, ordered};

use super::vectors::Vectors;
use crate::bpf;

/// The program's object file.
const OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/lpm_bv.bpf.o"));
/// The tries, in the order of [`Vectors::prefixes`].
const TRIES: [&str; 4] = ["src4", "dst4", "src6", "dst6"];
const ADDRESS: [usize; 4] = [4, 4, 16, 16];

/// The loaded peer.
#[derive(Debug)]
pub(crate) struct LpmBv {
    program: OwnedFd,
    counts: MapHandle,
    /// Rules by their number in the program.
    order: Vec<RuleId>,
    _object: Object,
}

impl LpmBv {
    /// Load it with a ruleset that inspects nothing.
    pub(crate) fn load(ruleset: &Ruleset) -> Result<Self> {
        ensure!(ruleset.sets.is_empty() && !ruleset.monitor, "rulesets with sets or in monitor mode are not compared");
        let rules = ordered(ruleset);
        let vectors = Vectors::of(&rules)?;
        let mut open = bpf::open(OBJECT, "bench_lpm_bv")?;
        let rule_count = u32::try_from(rules.len())?;
        size(&mut open, &vectors, rules.len())?;
        configure(&mut open, u32::try_from(vectors.words)?, rule_count)?;
        let object = open.load().with_context(|| format!("loading LPM_TRIE and bit vectors for {rule_count} rules"))?;
        for (name, prefixes) in TRIES.iter().zip(&vectors.prefixes) {
            bpf::fill(&bpf::map(&object, name)?, &prefixes.keys, &prefixes.values)?;
        }
        let actions = rules.iter().map(|rule| &rule.action).chain([&ruleset.default_action]);
        let verdicts: Vec<u8> = actions.flat_map(|action| u32::from(*action != Action::Pass).to_ne_bytes()).collect();
        let arrays = [
            ("vectors", &vectors.vectors),
            ("port_rows", &vectors.port_rows),
            ("protocol_rows", &vectors.protocol_rows),
            ("verdicts", &verdicts),
        ];
        for (name, bytes) in arrays {
            bpf::fill_array(&bpf::map(&object, name)?, 0, bytes)?;
        }
        Ok(Self {
            program: bpf::program(&object, "bench_lpm_bv")?,
            counts: bpf::map(&object, "rule_counts")?,
            order: rules.iter().map(|rule| rule.id).collect(),
            _object: object,
        })
    }

    /// The program.
    pub(crate) fn program(&self) -> BorrowedFd<'_> {
        self.program.as_fd()
    }

    /// Packets by the rule that decided; `None` is the default action.
    pub(crate) fn counts(&self) -> Result<Vec<(Option<RuleId>, u64)>> {
        let ids = self.order.iter().copied().map(Some).chain([None]);
        ids.zip(0..).map(|(id, index)| Ok((id, bpf::sum(&self.counts, index)?))).collect()
    }
}

fn size(open: &mut OpenObject, vectors: &Vectors, rules: usize) -> Result<()> {
    let bytes = vectors.words * size_of::<u64>();
    for ((name, prefixes), address) in TRIES.iter().zip(&vectors.prefixes).zip(ADDRESS) {
        bpf::size(open, name, prefixes.keys.len() / (address + 4), Some(bytes))?;
    }
    bpf::size(open, "vectors", vectors.vectors.len() / bytes, Some(bytes))?;
    bpf::size(open, "verdicts", rules + 1, None)?;
    bpf::size(open, "rule_counts", rules + 1, None)
}

/// `config` of the program.
fn configure(open: &mut OpenObject, words: u32, fallback: u32) -> Result<()> {
    let mut maps = open.maps_mut();
    let mut section = maps.find(|map| map.name() == ".rodata.config").context("no section .rodata.config")?;
    let bytes = section.initial_value_mut().context("no values in .rodata.config")?;
    let config = [words, fallback].map(u32::to_ne_bytes).concat();
    ensure!(bytes.len() == config.len(), "config has {} bytes", bytes.len());
    bytes.copy_from_slice(&config);
    Ok(())
}
