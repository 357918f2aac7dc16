//! Objects, programs and maps of libbpf, with errors that say what was being done.

use std::sync::Once;

use libbpf_rs::{
    MapCore, MapFlags, MapHandle, Object, ObjectBuilder, OpenObject, PrintLevel, Program,
    libbpf_sys::BPF_F_XDP_HAS_FRAGS,
};

use super::BpfError;

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
pub(super) fn open(object: &[u8], name: &str, split: bool) -> Result<OpenObject, BpfError> {
    let failed = |error| BpfError::libbpf(format!("opening the object {name}"), &error);
    let mut open = ObjectBuilder::default().name(name).map_err(failed)?.open_memory(object).map_err(failed)?;
    if split {
        open.progs_mut().for_each(|mut program| program.set_flags(BPF_F_XDP_HAS_FRAGS));
    }
    Ok(open)
}

pub(super) fn load(open: OpenObject, doing: &str) -> Result<Object, BpfError> {
    open.load().map_err(|error| BpfError::libbpf(doing, &error))
}

/// Set the initial value of the global variables in `section`.
pub(super) fn set_section(open: &mut OpenObject, section: &str, value: &[u8]) -> Result<(), BpfError> {
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

pub(super) fn program<'a>(object: &'a Object, name: &str) -> Result<Program<'a>, BpfError> {
    let missing = || BpfError::Object(format!("no program {name}"));
    object.progs().find(|program| program.name() == name).ok_or_else(missing)
}

/// Size of an array map.
pub(super) fn array_bytes(map: &MapHandle) -> u64 {
    u64::from(map.max_entries()) * u64::from(map.value_size())
}

/// Size of a hash map, the kernel's own records of entries apart.
pub(super) fn hash_bytes(map: &MapHandle) -> u64 {
    u64::from(map.max_entries()) * u64::from(map.key_size() + map.value_size())
}

pub(super) fn update(map: &MapHandle, key: &[u8], value: &[u8], doing: &str) -> Result<(), BpfError> {
    map.update(key, value, MapFlags::ANY).map_err(|error| BpfError::libbpf(doing, &error))
}

/// Delete an entry; one that is not there is as good as deleted.
pub(super) fn delete(map: &MapHandle, key: &[u8], doing: &str) -> Result<(), BpfError> {
    match map.delete(key) {
        Err(error) if error.kind() != libbpf_rs::ErrorKind::NotFound => Err(BpfError::libbpf(doing, &error)),
        _ => Ok(()),
    }
}
