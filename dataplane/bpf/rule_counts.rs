//! Packets and bytes of each rule: slots of every CPU, in memory that the programs share with this process.

use std::{
    os::fd::AsFd,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use libbpf_rs::{MapHandle, OpenObject};

use super::{
    BpfError,
    object::no_map,
    sys::Mapping,
    types::{CountEntry, Limits},
};
use crate::plane::Count;

/// Entries of one CPU.
const STRIDE: usize = Limits::SXF_COUNT_STRIDE.0 as usize;
/// Words of an entry.
const WORDS: usize = size_of::<CountEntry>() / size_of::<u64>();

/// See the module.
#[derive(Debug)]
pub(super) struct RuleCounts {
    mapping: Mapping,
}

impl RuleCounts {
    /// Give each CPU its entries, in an object that is not loaded yet.
    pub(super) fn size(open: &mut OpenObject) -> Result<(), BpfError> {
        let entries = u32::try_from(cpus()? * STRIDE).unwrap_or(u32::MAX);
        let mut map = open.maps_mut().find(|map| map.name() == "rule_counts").ok_or_else(|| no_map("rule_counts"))?;
        map.set_max_entries(entries).map_err(|error| BpfError::libbpf("sizing the counters of rules", &error))
    }

    /// The counters in `map`, sized as above.
    pub(super) fn of(map: &MapHandle) -> Result<Self, BpfError> {
        let mapping = Mapping::new(map.as_fd(), cpus()? * STRIDE * size_of::<CountEntry>());
        let mapping = mapping.map_err(|error| BpfError::io("mapping the counters of rules", error))?;
        Ok(Self { mapping })
    }

    /// What `slot` counted on all CPUs.
    pub(super) fn read(&self, slot: u32) -> Count {
        let mut sum = Count::default();
        for [packets, bytes] in self.entries(slot) {
            sum += Count { packets: packets.load(Relaxed), bytes: bytes.load(Relaxed) };
        }
        sum
    }

    /// Set `slot` to zero on every CPU. No live generation may count in it.
    pub(super) fn zero(&self, slot: u32) {
        for word in self.entries(slot).flatten() {
            word.store(0, Relaxed);
        }
    }

    /// The entry of `slot` on each CPU.
    fn entries(&self, slot: u32) -> impl Iterator<Item = &[AtomicU64; WORDS]> {
        let (entries, _) = self.mapping.words().as_chunks();
        entries.iter().skip(slot as usize).step_by(STRIDE)
    }
}

fn cpus() -> Result<usize, BpfError> {
    libbpf_rs::num_possible_cpus().map_err(|error| BpfError::libbpf("counting the CPUs", &error))
}
