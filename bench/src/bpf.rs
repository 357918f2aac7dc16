//! Loading the programs of this crate, and filling their maps.

use std::{
    os::fd::{AsFd, OwnedFd},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use libbpf_rs::{ErrorKind, MapCore, MapFlags, MapHandle, Object, ObjectBuilder, OpenObject};

/// Entries of a map that are written at a time.
const BATCH: usize = 4096;
/// How often a batch is tried that the kernel's allocator has not kept up with.
const TRIES: u32 = 100;

/// Open an object.
pub(crate) fn open(bytes: &[u8], name: &str) -> Result<OpenObject> {
    open_with(&mut ObjectBuilder::default(), bytes, name)
}

/// As [`open`], by a builder with options.
pub(crate) fn open_with(builder: &mut ObjectBuilder, bytes: &[u8], name: &str) -> Result<OpenObject> {
    builder.name(name)?.open_memory(bytes).with_context(|| format!("opening the object {name}"))
}

/// Set the entries and, where given, the bytes of a value of a map that is not made yet.
pub(crate) fn size(open: &mut OpenObject, name: &str, entries: usize, value: Option<usize>) -> Result<()> {
    let mut map = open.maps_mut().find(|map| map.name() == name).with_context(|| format!("no map {name}"))?;
    map.set_max_entries(u32::try_from(entries.max(1))?)?;
    if let Some(value) = value {
        map.set_value_size(u32::try_from(value)?)?;
    }
    Ok(())
}

/// The map whose name ends so: sections of global variables carry the object's name in front.
pub(crate) fn map(object: &Object, suffix: &str) -> Result<MapHandle> {
    let wanted = |name: &std::ffi::OsStr| name.to_str().is_some_and(|name| name.ends_with(suffix));
    let map = object.maps().find(|map| wanted(map.name())).with_context(|| format!("no map {suffix}"))?;
    MapHandle::try_from(&map).with_context(|| format!("map {suffix}"))
}

/// A program, for a program array.
pub(crate) fn program(object: &Object, name: &str) -> Result<OwnedFd> {
    let program = object.progs().find(|program| program.name() == name);
    let program = program.with_context(|| format!("no program {name}"))?;
    Ok(program.as_fd().try_clone_to_owned()?)
}

/// Write `values` under `keys`, one behind the other. Tries and hash maps allocate entries as they come, and the kernel's
/// allocator refills behind them: a batch that finds it empty is written again.
pub(crate) fn fill(map: &MapHandle, keys: &[u8], values: &[u8]) -> Result<()> {
    let (key, value) = (map.key_size() as usize, map.value_size() as usize);
    for (keys, values) in keys.chunks(BATCH * key).zip(values.chunks(BATCH * value)) {
        let count = u32::try_from(keys.len() / key)?;
        let mut tries = 0;
        while let Err(error) = map.update_batch(keys, values, count, MapFlags::ANY, MapFlags::ANY) {
            tries += 1;
            if tries == TRIES || error.kind() != ErrorKind::OutOfMemory {
                return Err(anyhow!(error).context(format!("filling the map {}", map.name().to_string_lossy())));
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(())
}

/// Write `values` into an array, from its beginning.
pub(crate) fn fill_array(map: &MapHandle, first: u32, values: &[u8]) -> Result<()> {
    let count = u32::try_from(values.len() / map.value_size() as usize)?;
    let keys: Vec<u8> = (first..first + count).flat_map(u32::to_ne_bytes).collect();
    fill(map, &keys, values)
}

/// The first 64 bits of an entry of a per-CPU array, summed over all CPUs.
pub(crate) fn sum(map: &MapHandle, index: u32) -> Result<u64> {
    let values = map.lookup_percpu(&index.to_ne_bytes(), MapFlags::ANY)?;
    let values = values.with_context(|| format!("no entry {index}"))?;
    let word = |bytes: &Vec<u8>| bytes.first_chunk().map_or(0, |word| u64::from_ne_bytes(*word));
    Ok(values.iter().map(word).sum())
}
