//! The kernel's part as control drives it: one entry program, the maps that all generations share, the live generation.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    path::{Path, PathBuf},
    sync::{Arc, Once},
};

use bytemuck::bytes_of;
use libbpf_rs::libbpf_sys::BPF_F_XDP_HAS_FRAGS;
use libbpf_rs::{MapCore, MapFlags, MapHandle, Object, ObjectBuilder, OpenObject, PrintLevel, Program, ProgramInput};

use super::{
    BpfError,
    attach::{self, Attached},
    counters,
    flows::FlowCache,
    mount,
    offload::Offload,
    rule_counts::RuleCounts,
    samples::{self, Sample},
    set_tables::SetTables,
    slots::Slots,
    tables::{self, Content},
    types::{
        Address, CacheShape, Config, ConfigSection, ENTRY_OBJECT, GENERATION_OBJECT, Limits, METADATA_LEN, Port,
        ServiceEntry, Uses,
    },
};
use crate::{
    plane::{Count, FailPolicy, Named, RuleCount, TableMemory},
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

/// Maps that every generation uses.
#[derive(Debug)]
pub(super) struct Shared {
    programs: MapHandle,
    xsks: MapHandle,
    ports: MapHandle,
    services: MapHandle,
    rule_counts: MapHandle,
    actions: MapHandle,
    events: MapHandle,
    samples: MapHandle,
    sampled: MapHandle,
    pub(super) flows4: MapHandle,
    pub(super) flows6: MapHandle,
    pub(super) sources: MapHandle,
    pub(super) offload_used: MapHandle,
    pub(super) exits: MapHandle,
    cache: MapHandle,
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

    /// Attach to the interface `name` in native mode, or in generic mode (`skb`), by a link pinned in `bpffs`, where a bpf
    /// file system is mounted when there is none. A link that an earlier daemon left there is taken over. The answer is
    /// the interface's index.
    ///
    /// # Errors
    /// No such interface, another XDP program there, no native XDP, too large an MTU, missing capabilities.
    pub fn attach(&mut self, name: &str, skb: bool, bpffs: &Path) -> Result<u32, BpfError> {
        mount::ensure(bpffs)?;
        self.bpffs.insert(bpffs.to_owned());
        let entry = program(&self.entry, "sxf_entry")?;
        let attached = Attached::new(&entry, &self.shared.programs, name, skb, bpffs)?;
        let ifindex = attached.ifindex;
        // Of the same name: the link of a device that is gone, whose pin has been replaced.
        self.attached.retain(|other| other.ifindex != ifindex && other.name() != name);
        self.attached.push(attached);
        Ok(ifindex)
    }

    /// Whether an earlier daemon left a link to `name` pinned in `bpffs`.
    #[must_use]
    pub fn is_pinned(bpffs: &Path, name: &str) -> bool {
        attach::is_pinned(bpffs, name)
    }

    /// Whether the program runs on the interface; not so once the interface is gone.
    #[must_use]
    pub fn is_attached(&self, ifindex: u32) -> bool {
        self.attached.iter().any(|attached| attached.ifindex == ifindex && attached.is_live())
    }

    /// Detach links in `bpffs` that are not of this filter: an earlier daemon's, for interfaces no longer configured.
    ///
    /// # Errors
    /// The directory cannot be read, or the kernel refuses.
    pub fn detach_others(&self, bpffs: &Path) -> Result<(), BpfError> {
        attach::detach_others(bpffs, &self.attached)
    }

    /// Detach from every interface, remove the pins, and unmount the bpf file systems that were mounted by
    /// [`Filter::attach`], of this process or an earlier one.
    ///
    /// # Errors
    /// The first that went wrong; everything else is undone all the same.
    pub fn detach_all(&mut self) -> Result<(), BpfError> {
        let mut first = Ok(());
        for attached in self.attached.drain(..) {
            first = first.and(attached.detach());
        }
        for dir in std::mem::take(&mut self.bpffs) {
            first = first.and(mount::remove(&dir));
        }
        first
    }

    /// Undo [`Filter::attach`] on every interface but those of `keep`, which an earlier daemon had left attached.
    ///
    /// # Errors
    /// The first that went wrong; everything else is undone all the same.
    pub fn undo(&mut self, keep: &[String]) -> Result<(), BpfError> {
        if keep.is_empty() {
            return self.detach_all();
        }
        let mut first = Ok(());
        for attached in self.attached.extract_if(.., |attached| !keep.iter().any(|name| name == attached.name())) {
            first = first.and(attached.detach());
        }
        first
    }

    /// Make packets of `ifindex` inspectable; `ingress` is the interface's place in the configuration, 0 to
    /// [`MAX_INTERFACES`] - 1, and the `port` of [`Filter::set_socket`].
    ///
    /// # Errors
    /// `ingress` is too large, or the kernel refuses.
    pub fn set_port(&self, ifindex: u32, ingress: u32) -> Result<(), BpfError> {
        let port = Port { first_socket: socket_index(ingress, 0)?, ingress };
        update(&self.shared.ports, &ifindex.to_ne_bytes(), bytes_of(&port), "registering an interface")
    }

    /// Forget an interface that is gone; its packets follow the fail policy.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn remove_port(&self, ifindex: u32) -> Result<(), BpfError> {
        delete(&self.shared.ports, &ifindex.to_ne_bytes(), "forgetting an interface")
    }

    /// Send packets for inspection from queue `queue` of the interface at place `port` to the AF_XDP socket `socket`.
    ///
    /// # Errors
    /// `port` or `queue` is too large, or `socket` is no AF_XDP socket.
    pub fn set_socket(&self, port: u32, queue: u32, socket: RawFd) -> Result<(), BpfError> {
        let index = socket_index(port, queue)?;
        update(&self.shared.xsks, &index.to_ne_bytes(), &socket.to_ne_bytes(), "registering an af_xdp socket")
    }

    /// Take a socket out; packets for it follow the fail policy. Closing a socket does the same.
    ///
    /// # Errors
    /// `port` or `queue` is too large, or the kernel refuses.
    pub fn clear_socket(&self, port: u32, queue: u32) -> Result<(), BpfError> {
        let index = socket_index(port, queue)?;
        delete(&self.shared.xsks, &index.to_ne_bytes(), "taking an af_xdp socket out")
    }

    /// Let inspected packets for `ip` go to the workers. Those for any other address follow the fail policy.
    ///
    /// # Errors
    /// More services than fit, or the kernel refuses.
    pub fn set_service(&self, ip: IpAddr) -> Result<(), BpfError> {
        let entry = ServiceEntry { up: 1 };
        update(&self.shared.services, bytes_of(&address(ip)), bytes_of(&entry), "registering a service (1024 fit)")
    }

    /// Services that are registered.
    #[cfg(test)]
    pub(crate) fn service_count(&self) -> usize {
        self.shared.services.keys().count()
    }

    /// Forget a service; inspected packets for it follow the fail policy.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn remove_service(&self, ip: IpAddr) -> Result<(), BpfError> {
        delete(&self.shared.services, bytes_of(&address(ip)), "forgetting a service")
    }

    /// What each rule matched since it was added, by id. A rule that was never enabled is not listed.
    #[must_use]
    pub fn rule_counts(&self) -> Vec<RuleCount> {
        self.slots.all().into_iter().map(|(id, slot)| RuleCount { id, count: self.rule_counts.read(slot) }).collect()
    }

    /// Packets that the default action decided on.
    #[must_use]
    pub fn default_count(&self) -> Count {
        self.rule_counts.read(Limits::SXF_DEFAULT_SLOT.0)
    }

    /// Packets by what XDP did: `pass`, `drop`, `inspect`. What followed the fail policy counts as what came of it.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn actions(&self) -> Result<Vec<Named<Count>>, BpfError> {
        counters::actions(&self.shared.actions)
    }

    /// Packets by the odd things XDP met, named as in [`crate::plane::PlaneStatus::events`].
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn events(&self) -> Result<Vec<Named<u64>>, BpfError> {
        counters::events(&self.shared.events)
    }

    /// Hand the oldest samples of what monitor mode let through to `each`, `most` at most; how many there were. Does not
    /// wait for any. There is one a second at most for each rule and CPU.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn samples(&self, most: usize, each: impl FnMut(Sample)) -> Result<usize, BpfError> {
        samples::take(&self.shared.samples, most, each)
    }

    /// Run the programs on `packet` as if queue `queue` of `ifindex` had received it. The answer is the `XDP_*` action
    /// and the packet afterwards, metadata in front of it.
    ///
    /// # Errors
    /// `packet` is shorter than an Ethernet header or longer than a page holds, or there is no such interface or queue.
    pub fn test_run(&self, packet: &[u8], ifindex: u32, queue: u32) -> Result<(u32, Vec<u8>), BpfError> {
        let length = u32::try_from(packet.len()).unwrap_or(u32::MAX);
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let mut context: [u32; 6] = [0, length, 0, ifindex, queue, 0];
        let mut out = vec![0; packet.len() + METADATA_LEN];
        let input = ProgramInput {
            context_in: Some(bytemuck::bytes_of_mut(&mut context)),
            data_in: Some(packet),
            data_out: Some(&mut out),
            ..Default::default()
        };
        let missing = || BpfError::Object("no program sxf_entry".to_owned());
        let entry = self.entry.progs_mut().find(|program| program.name() == "sxf_entry").ok_or_else(missing)?;
        let output =
            entry.test_run(input).map_err(|error| BpfError::libbpf("running the program on a test packet", &error))?;
        let action = output.return_value;
        let packet = output.data.map_or_else(Vec::new, |data| data.to_vec());
        Ok((action, packet))
    }

    /// Nanoseconds that the programs take for `packet`, the mean of `repeat` runs.
    #[cfg(test)]
    pub(super) fn time(&self, packet: &[u8], repeat: u32) -> u128 {
        let input = ProgramInput { data_in: Some(packet), repeat, ..Default::default() };
        let entry = self.entry.progs_mut().find(|program| program.name() == "sxf_entry").unwrap();
        entry.test_run(input).unwrap().duration.as_nanos()
    }

    /// Instructions that the verifier processed for the live generation.
    #[cfg(test)]
    pub(super) fn verified_instructions(&self) -> u32 {
        let live = self.live.as_ref().unwrap();
        super::sys::verified_instructions(program(live, "sxf_generation").unwrap().as_fd()).unwrap()
    }

    /// All entries of the cache of verdicts.
    #[cfg(test)]
    pub(super) fn cache(&self) -> super::sys::Mapping {
        let cache = &self.shared.cache;
        super::sys::Mapping::new(cache.as_fd(), usize::try_from(array_bytes(cache)).unwrap()).unwrap()
    }

    /// The kernel's number of the map that the live generation looks sets up in.
    #[cfg(test)]
    pub(super) fn set_map(&self) -> u32 {
        find_map(self.live.as_ref().unwrap(), "set_lines").unwrap().info().unwrap().info.id
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

/// Give each CPU its lines of the cache.
fn size_cache(open: &mut OpenObject) -> Result<(), BpfError> {
    let failed = |error| BpfError::libbpf("sizing the cache of verdicts", &error);
    let cpus = libbpf_rs::num_possible_cpus().map_err(failed)?;
    let entries = u32::try_from(cpus).unwrap_or(u32::MAX).saturating_mul(CacheShape::SXF_CACHE_LINES.0);
    let mut cache = open.maps_mut().find(|map| map.name() == "cache").ok_or_else(|| no_map("cache"))?;
    cache.set_max_entries(entries).map_err(failed)
}

impl Shared {
    fn of(entry: &Object) -> Result<Self, BpfError> {
        let handle = |name: &str| {
            let map = find_map(entry, name)?;
            MapHandle::try_from(&map).map_err(|error| BpfError::libbpf(format!("map {name}"), &error))
        };
        Ok(Self {
            programs: handle("programs")?,
            xsks: handle("xsks")?,
            ports: handle("ports")?,
            services: handle("services")?,
            rule_counts: handle("rule_counts")?,
            actions: handle("actions")?,
            events: handle("events")?,
            samples: handle("samples")?,
            sampled: handle("sampled")?,
            flows4: handle("flows4")?,
            flows6: handle("flows6")?,
            sources: handle("sources")?,
            offload_used: handle("offload_used")?,
            exits: handle("exits")?,
            cache: handle("cache")?,
        })
    }

    /// Make `generation` use these maps rather than make its own.
    fn lend(&self, generation: &mut OpenObject) -> Result<(), BpfError> {
        for mut map in generation.maps_mut() {
            let handle = match map.name().to_str() {
                Some("programs") => &self.programs,
                Some("xsks") => &self.xsks,
                Some("ports") => &self.ports,
                Some("services") => &self.services,
                Some("rule_counts") => &self.rule_counts,
                Some("actions") => &self.actions,
                Some("events") => &self.events,
                Some("samples") => &self.samples,
                Some("sampled") => &self.sampled,
                Some("flows4") => &self.flows4,
                Some("flows6") => &self.flows6,
                Some("sources") => &self.sources,
                Some("offload_used") => &self.offload_used,
                Some("exits") => &self.exits,
                Some("cache") => &self.cache,
                _ => continue,
            };
            map.reuse_fd(handle.as_fd()).map_err(|error| BpfError::libbpf("sharing a map", &error))?;
        }
        Ok(())
    }
}

/// The stamp of the generation that follows number `generation`. It comes round after four thousand million publications,
/// when no old entry is left.
fn stamp_behind(generation: u64) -> u32 {
    u32::try_from(generation % u64::from(u32::MAX)).map_or(1, |number| number + 1)
}

/// libbpf writes to stderr unless told otherwise.
pub(crate) fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        libbpf_rs::set_print(Some((PrintLevel::Debug, |level, text| {
            tracing::debug!(target: "libbpf", ?level, "{}", text.trim_end());
        })));
    });
}

/// Open an object; where packets may lie in several buffers, its programs are to be told that they see the first only.
fn open(object: &[u8], name: &str, split: bool) -> Result<OpenObject, BpfError> {
    let failed = |error| BpfError::libbpf(format!("opening the object {name}"), &error);
    let mut open = ObjectBuilder::default().name(name).map_err(failed)?.open_memory(object).map_err(failed)?;
    if split {
        open.progs_mut().for_each(|mut program| program.set_flags(BPF_F_XDP_HAS_FRAGS));
    }
    Ok(open)
}

fn load(open: OpenObject, doing: &str) -> Result<Object, BpfError> {
    open.load().map_err(|error| BpfError::libbpf(doing, &error))
}

/// Set the initial value of the global variables in `section`.
fn set_section(open: &mut OpenObject, section: &str, value: &[u8]) -> Result<(), BpfError> {
    let missing = || BpfError::Object(format!("no {section} of the expected size"));
    let wanted = |name: &std::ffi::OsStr| name.to_str().is_some_and(|name| name.ends_with(section));
    let mut map = open.maps_mut().find(|map| wanted(map.name())).ok_or_else(missing)?;
    let bytes = map.initial_value_mut().filter(|bytes| bytes.len() == value.len()).ok_or_else(missing)?;
    bytes.copy_from_slice(value);
    Ok(())
}

pub(super) fn find_map<'a>(object: &'a Object, name: &str) -> Result<libbpf_rs::Map<'a>, BpfError> {
    object.maps().find(|map| map.name() == name).ok_or_else(|| no_map(name))
}

pub(super) fn no_map(name: &str) -> BpfError {
    BpfError::Object(format!("no map {name}"))
}

fn program<'a>(object: &'a Object, name: &str) -> Result<Program<'a>, BpfError> {
    let missing = || BpfError::Object(format!("no program {name}"));
    object.progs().find(|program| program.name() == name).ok_or_else(missing)
}

/// Size of an array map.
fn array_bytes(map: &MapHandle) -> u64 {
    u64::from(map.max_entries()) * u64::from(map.value_size())
}

/// Size of a hash map, the kernel's own records of entries apart.
fn hash_bytes(map: &MapHandle) -> u64 {
    u64::from(map.max_entries()) * u64::from(map.key_size() + map.value_size())
}

fn update(map: &MapHandle, key: &[u8], value: &[u8], doing: &str) -> Result<(), BpfError> {
    map.update(key, value, MapFlags::ANY).map_err(|error| BpfError::libbpf(doing, &error))
}

/// Delete an entry; one that is not there is as good as deleted.
fn delete(map: &MapHandle, key: &[u8], doing: &str) -> Result<(), BpfError> {
    match map.delete(key) {
        Err(error) if error.kind() != libbpf_rs::ErrorKind::NotFound => Err(BpfError::libbpf(doing, &error)),
        _ => Ok(()),
    }
}

pub(super) fn socket_index(port: u32, queue: u32) -> Result<u32, BpfError> {
    let too_many = |what, given, most| Err(BpfError::TooMany { what, given, most });
    if port >= MAX_INTERFACES {
        return too_many("interface number", port, MAX_INTERFACES);
    }
    if queue >= MAX_QUEUES {
        return too_many("queue number", queue, MAX_QUEUES);
    }
    Ok(port * MAX_QUEUES + queue)
}

pub(super) fn address(ip: IpAddr) -> Address {
    let bytes = match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    };
    Address { bytes }
}
