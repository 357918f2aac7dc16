//! The sets' tables. They outlive a generation: the next one is lent them unless a set has changed, so that a change of
//! rules does not wait for a million prefixes.

use std::{os::fd::AsFd, sync::Arc};

use bytemuck::cast_slice;
use libbpf_rs::{ErrorKind, MapHandle, MapType, OpenObject, libbpf_sys};

use super::{BpfError, sys, types::Line};
use crate::rules::{PrefixSet, SetTries, compile_sets};

/// Name of the map in a generation.
const MAP: &str = "set_lines";

/// The tries of some sets in the kernel.
#[derive(Debug)]
pub(super) struct SetTables {
    sets: Vec<Arc<PrefixSet>>,
    masks: Vec<u64>,
    /// `None` without sets: a generation then makes a map of one entry, which nobody looks into.
    map: Option<MapHandle>,
    bytes: usize,
}

impl SetTables {
    /// Of no set.
    pub(super) fn none() -> Self {
        Self { sets: Vec::new(), masks: vec![0], map: None, bytes: 0 }
    }

    /// Of `sets`, compiled and filled.
    ///
    /// # Errors
    /// Too many sets, or the kernel has no memory for their tables.
    pub(super) fn new(sets: &[Arc<PrefixSet>]) -> Result<Self, BpfError> {
        if sets.is_empty() {
            return Ok(Self::none());
        }
        let SetTries { lines, masks } = compile_sets(sets)?;
        let bytes = size_of_val(&*lines);
        let map = create(bytes / size_of::<Line>()).map_err(|error| refused(sets, bytes, &error))?;
        sys::fill_array(map.as_fd(), cast_slice(&lines))
            .map_err(|error| BpfError::io("filling the table of sets", error))?;
        Ok(Self { sets: sets.to_vec(), masks, map: Some(map), bytes })
    }

    /// Whether these are the tables of exactly `sets`. Compares which they are, not what is in them.
    pub(super) fn are_of(&self, sets: &[Arc<PrefixSet>]) -> bool {
        self.sets.len() == sets.len() && self.sets.iter().zip(sets).all(|(a, b)| Arc::ptr_eq(a, b))
    }

    /// The sets that hold the addresses of each class.
    pub(super) fn masks(&self) -> &[u64] {
        &self.masks
    }

    /// Bytes that they take in the kernel.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Make `generation` look into these tables.
    pub(super) fn lend(&self, generation: &mut OpenObject) -> Result<(), BpfError> {
        let Some(lent) = &self.map else { return Ok(()) };
        let missing = || BpfError::Object(format!("no map {MAP}"));
        let mut map = generation.maps_mut().find(|map| map.name() == MAP).ok_or_else(missing)?;
        map.reuse_fd(lent.as_fd()).map_err(|error| BpfError::libbpf("sharing the table of sets", &error))
    }
}

fn create(lines: usize) -> Result<MapHandle, libbpf_rs::Error> {
    let options = libbpf_sys::bpf_map_create_opts {
        sz: size_of::<libbpf_sys::bpf_map_create_opts>() as libbpf_sys::size_t,
        map_flags: libbpf_sys::BPF_F_MMAPABLE,
        ..Default::default()
    };
    let [key, value] = [size_of::<u32>(), size_of::<Line>()].map(|bytes| u32::try_from(bytes).unwrap_or(u32::MAX));
    let lines = u32::try_from(lines).unwrap_or(u32::MAX);
    MapHandle::create(MapType::Array, Some(MAP), key, value, lines, &options)
}

/// Why the kernel did not make a map of this size.
fn refused(sets: &[Arc<PrefixSet>], bytes: usize, error: &libbpf_rs::Error) -> BpfError {
    if error.kind() != ErrorKind::OutOfMemory {
        return BpfError::libbpf("making the table of sets", error);
    }
    let prefixes = sets.iter().map(|set| set.prefixes().len()).sum();
    BpfError::NoMemoryForSets { prefixes, mib: bytes.div_ceil(1 << 20) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[ignore = "needs root"]
    fn tables_that_the_kernel_has_no_memory_for_are_named_with_their_size() {
        // 250 GiB, which no test machine has to spare.
        let error = create(u32::MAX as usize - 8).unwrap_err();
        let set = PrefixSet::new("a", true, (0..=255).map(|low| std::net::IpAddr::from([10, 0, 0, low]).into()));
        let error = refused(&[Arc::new(set)], 3 << 20, &error);
        assert!(matches!(error, BpfError::NoMemoryForSets { prefixes: 256, mib: 3 }), "{error}");
        assert!(error.to_string().contains("256 prefixes"), "{error}");
    }

    #[test]
    #[ignore = "needs root"]
    fn they_are_of_the_sets_that_they_were_made_for_and_of_no_others() {
        let set = |name| Arc::new(PrefixSet::new(name, false, []));
        let (a, b) = (set("a"), set("b"));
        let tables = SetTables::new(&[a.clone(), b.clone()]).unwrap();
        assert!(tables.are_of(&[a.clone(), b.clone()]));
        // The order of the sets is that of their bits. And an equal set may be another.
        assert!(!tables.are_of(&[b.clone(), a.clone()]));
        assert!(!tables.are_of(&[set("a"), b]));
        assert!(!tables.are_of(&[a]));
        assert!(!tables.are_of(&[]) && SetTables::none().are_of(&[]));
    }
}
