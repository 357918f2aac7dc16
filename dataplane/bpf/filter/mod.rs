//! The kernel's part as control drives it: one entry program, the maps that all generations share, the live generation.

mod attachment;
mod counts;
mod steering;
mod trial;

use std::{
    collections::BTreeSet,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::PathBuf,
    sync::Arc,
};

use bytemuck::bytes_of;
use libbpf_rs::Object;

pub(super) use steering::address;
#[cfg(test)]
pub(super) use steering::socket_index;

use super::{
    BpfError,
    attach::Attached,
    flows::FlowCache,
    object::{array_bytes, hash_bytes, load, open, program, quiet, set_section, update},
    offload::Offload,
    rule_counts::RuleCounts,
    set_tables::SetTables,
    shared::{Shared, size_cache},
    slots::Slots,
    tables::{self, Content},
    types::{Config, ConfigSection, ENTRY_OBJECT, GENERATION_OBJECT, Limits, Uses},
};
use crate::{
    plane::{FailPolicy, TableMemory},
    rules::{Ruleset, Tables, compile},
};

/// Most interfaces that may be filtered.
pub const MAX_INTERFACES: u32 = Limits::SXF_INTERFACES.0;
/// Most queues of one interface that inspection is possible on.
pub const MAX_QUEUES: u32 = Limits::SXF_QUEUES.0;
const _: () = assert!(MAX_INTERFACES * MAX_QUEUES == Limits::SXF_SOCKETS.0);

/// The loaded XDP programs and their maps. Dropping it leaves what is attached in place, by its pins: the fail policy
/// outlives the daemon. [`Filter::detach_all`] is the orderly end.
#[derive(Debug)]
pub struct Filter {
    entry: Object,
    /// Keeps the live generation's maps findable; the kernel keeps the program itself by the program array.
    live: Option<Object>,
    shared: Shared,
    rule_counts: RuleCounts,
    /// What the live generation looks sets up in.
    sets: SetTables,
    memory: TableMemory,
    slots: Slots,
    generation: u64,
    /// Generations keep verdicts for packets with the same fields.
    caching: bool,
    fail_policy: FailPolicy,
    /// Packets may lie in several buffers.
    split: bool,
    offload: Offload,
    flow_cache: Arc<FlowCache>,
    attached: Vec<Attached>,
    /// Where links are, or were to be, pinned.
    bpffs: BTreeSet<PathBuf>,
}

impl Filter {
    /// Load the entry program. Nothing is attached, and there is no generation yet: publish one before attaching, or
    /// packets meet the fail policy.
    ///
    /// # Errors
    /// The kernel refuses, for lack of capabilities or features.
    pub fn load(fail_policy: FailPolicy) -> Result<Self, BpfError> {
        Self::with_offload(fail_policy, Offload::default())
    }

    /// As [`Filter::load`], with verdicts of modules on whole flows and sources looked up before the rules, as far as
    /// `offload` says so.
    ///
    /// # Errors
    /// As [`Filter::load`], or the kernel has no memory for the entries.
    pub fn with_offload(fail_policy: FailPolicy, offload: Offload) -> Result<Self, BpfError> {
        Self::new(fail_policy, offload, false)
    }

    /// As [`Filter::with_offload`], for packets that lie in several buffers too (`xdp.frags`, Linux 5.18): of an MTU above
    /// some 3,500 bytes.
    ///
    /// # Errors
    /// As [`Filter::with_offload`].
    pub fn for_split_packets(fail_policy: FailPolicy, offload: Offload) -> Result<Self, BpfError> {
        Self::new(fail_policy, offload, true)
    }

    fn new(fail_policy: FailPolicy, offload: Offload, split: bool) -> Result<Self, BpfError> {
        quiet();
        let mut open = open(ENTRY_OBJECT, "sxf_entry", split)?;
        offload.size(&mut open)?;
        size_cache(&mut open)?;
        RuleCounts::size(&mut open)?;
        set_section(&mut open, ".rodata", &u32::from(fail_policy == FailPolicy::Closed).to_ne_bytes())?;
        let entry = load(open, "loading the entry program")?;
        let shared = Shared::of(&entry)?;
        let flow_cache = Arc::new(FlowCache::new(&shared)?);
        let hashes = [&shared.flows4, &shared.flows6, &shared.sources].map(hash_bytes);
        let arrays = [&shared.rule_counts, &shared.cache].map(array_bytes);
        let lasting = hashes.iter().chain(&arrays).sum();
        Ok(Self {
            entry,
            live: None,
            rule_counts: RuleCounts::of(&shared.rule_counts)?,
            shared,
            sets: SetTables::none(),
            memory: TableMemory { shared: lasting, ..TableMemory::default() },
            slots: Slots::new(),
            generation: 0,
            caching: !is_realtime(),
            fail_policy,
            split,
            offload,
            flow_cache,
            attached: Vec::new(),
            bpffs: BTreeSet::new(),
        })
    }

    /// From the next generation on, look up flows and sources or not.
    pub fn set_offload(&mut self, flows: bool, sources: bool) {
        self.offload = Offload { flows, sources, ..self.offload };
    }

    /// Make `ruleset` what packets meet: a new generation with tables of its own is loaded and filled, then replaces the
    /// live one at once. `chains` are the chains' names in the order of the workers' configuration. Counters of rules
    /// that stay go on counting. Tables of sets are made anew only when the ruleset's sets are others, by their [`Arc`]s
    /// and in order. On an error the live generation stays. The answer counts generations from 1.
    ///
    /// # Errors
    /// A rule names a missing chain or set, there are too many rules or sets, the kernel has no memory for their tables,
    /// or it refuses for another reason.
    ///
    /// [`Arc`]: std::sync::Arc
    pub fn publish(&mut self, ruleset: &Ruleset, chains: &[String]) -> Result<u64, BpfError> {
        let mut slots = self.slots.clone();
        let taken = slots.assign(ruleset);
        let changed = if self.sets.are_of(&ruleset.sets) { None } else { Some(SetTables::new(&ruleset.sets)?) };
        let sets = changed.as_ref().unwrap_or(&self.sets);
        let tables = compile(ruleset, chains, sets.masks(), |id| slots.of(id))?;
        for slot in taken {
            self.rule_counts.zero(slot);
        }
        let contents = tables::contents(&tables);
        let generation = self.load_generation(&tables, &contents, sets)?;
        let fd = program(&generation, "sxf_generation")?.as_fd().as_raw_fd();
        update(&self.shared.programs, &0_u32.to_ne_bytes(), &fd.to_ne_bytes(), "publishing the generation")?;
        self.flow_cache.set_generation(self.next_generation(), tables.extras.uses & Uses::SXF_USES_TCP_FLAGS.0 != 0);
        self.slots = slots;
        self.live = Some(generation);
        let [rules, sets] = [tables::total(&contents), sets.bytes()].map(|bytes| bytes as u64);
        self.memory = TableMemory { rules, sets, ..self.memory };
        if let Some(changed) = changed {
            self.sets = changed;
        }
        self.generation += 1;
        Ok(self.generation)
    }

    /// Whether rules are counted from the next publication on; they are unless told otherwise. What the default action
    /// decides is always counted. For measuring what counting costs.
    pub fn count_rules(&mut self, count: bool) {
        self.slots.count(count);
    }

    /// Whether verdicts are kept for packets with the same fields, from the next publication on; they are unless told
    /// otherwise, but on a kernel with `PREEMPT_RT`. For measuring what that is worth.
    pub fn cache_verdicts(&mut self, cache: bool) {
        self.caching = cache && !is_realtime();
    }

    /// The program that is attached to interfaces. For measuring tools, which tail-call it from a program of their own:
    /// that has to be an XDP program without fragments (`SEC("xdp")`), or the kernel does not take this one into its
    /// program array. It finds generations for as long as this filter lives.
    ///
    /// # Errors
    /// The process has too many files open.
    pub fn entry_program(&self) -> Result<OwnedFd, BpfError> {
        let entry = program(&self.entry, "sxf_entry")?;
        let fd = entry.as_fd().try_clone_to_owned();
        fd.map_err(|error| BpfError::io("duplicating the entry program's file descriptor", error))
    }

    /// Number of the live generation, 0 before the first.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The live generation as packets' metadata has it.
    #[must_use]
    pub fn stamp(&self) -> u32 {
        self.generation.checked_sub(1).map_or(0, stamp_behind)
    }

    /// The verdicts on flows and sources that are looked up before the rules, to be written and read beside this.
    #[must_use]
    pub fn flow_cache(&self) -> Arc<FlowCache> {
        Arc::clone(&self.flow_cache)
    }

    /// Memory of the live generation's tables, of the sets', and of what all generations share.
    #[must_use]
    pub fn memory(&self) -> TableMemory {
        self.memory
    }

    /// What tells entries of the next generation from those of others; not 0.
    fn next_generation(&self) -> u32 {
        stamp_behind(self.generation)
    }

    fn load_generation(&self, tables: &Tables, contents: &[Content<'_>], sets: &SetTables) -> Result<Object, BpfError> {
        let mut open = open(GENERATION_OBJECT, "sxf_generation", self.split)?;
        let config = Config {
            default_verdict: tables.default,
            generation: self.next_generation(),
            cached: self.caching.into(),
            fail_closed: (self.fail_policy == FailPolicy::Closed).into(),
            uses: tables.extras.uses | tables.classes.uses,
            enforced: tables.extras.enforced,
            strict: tables.extras.strict,
            blocklists: tables.classes.blocklists,
            offload: self.offload.bits(),
            split: self.split.into(),
        };
        set_section(&mut open, ".rodata.config", bytes_of(&ConfigSection { config }))?;
        self.shared.lend(&mut open)?;
        sets.lend(&mut open)?;
        tables::size(&mut open, contents)?;
        let doing = "loading a generation (needs linux 5.17)";
        let generation = open.load().map_err(|error| tables::refused(doing, contents, &error))?;
        tables::fill(&generation, contents)?;
        Ok(generation)
    }
}

/// Whether the kernel is one of `PREEMPT_RT`, where the handler of one device may interrupt that of another on the same
/// CPU, in the middle of an entry.
fn is_realtime() -> bool {
    std::fs::read("/sys/kernel/realtime").is_ok_and(|flag| flag.starts_with(b"1"))
}

/// The stamp of the generation that follows number `generation`. It comes round after four thousand million publications,
/// when no old entry is left.
fn stamp_behind(generation: u64) -> u32 {
    u32::try_from(generation % u64::from(u32::MAX)).map_or(1, |number| number + 1)
}
