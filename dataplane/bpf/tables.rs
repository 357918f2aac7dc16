//! A generation's own tables: how large their maps are, and how they are filled.

use std::os::fd::AsFd;

use bytemuck::cast_slice;
use libbpf_rs::{ErrorKind, Object, OpenObject};

use super::{
    BpfError,
    object::find_map,
    sys,
    types::{ClassEntry, Line, Node, RuleEntry, Skip},
};
use crate::rules::Tables;

/// What one map is filled with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content<'a> {
    map: &'static str,
    bytes: &'a [u8],
    /// Size of an entry where the map is sized to its content, `None` where its size is given.
    entry: Option<usize>,
}

/// The contents of all maps.
pub(super) fn contents(tables: &Tables) -> [Content<'_>; 10] {
    let content = |map, bytes, entry| Content { map, bytes, entry };
    [
        content("roots", cast_slice(&tables.roots), None),
        content("nodes", cast_slice(&tables.nodes), Some(size_of::<Node>())),
        content("skips", cast_slice(&tables.skips), Some(size_of::<Skip>())),
        content("port_rows", cast_slice(&tables.ports), None),
        content("protocol_rows", cast_slice(&tables.protocols), None),
        content("vlan_rows", cast_slice(&tables.extras.vlans), None),
        content("tcp_flag_rows", cast_slice(&tables.extras.tcp_flags), None),
        content("lines", cast_slice(&tables.lines), Some(size_of::<Line>())),
        content("rules", cast_slice(&tables.rules), Some(size_of::<RuleEntry>())),
        content("classes", cast_slice(&tables.classes.entries), Some(size_of::<ClassEntry>())),
    ]
}

/// Size the maps of an object that is not loaded yet; a map has one entry at least.
pub(super) fn size(open: &mut OpenObject, contents: &[Content<'_>]) -> Result<(), BpfError> {
    for mut map in open.maps_mut() {
        let sized = |content: &&Content<'_>| map.name() == content.map;
        let Some((content, entry)) = contents.iter().find(sized).and_then(|content| Some((content, content.entry?)))
        else {
            continue;
        };
        let entries = u32::try_from(content.bytes.len() / entry).unwrap_or(u32::MAX).max(1);
        map.set_max_entries(entries).map_err(|error| BpfError::libbpf("sizing a rule table", &error))?;
    }
    Ok(())
}

/// Why the kernel did not load a generation with these tables.
pub(super) fn refused(doing: &str, contents: &[Content<'_>], error: &libbpf_rs::Error) -> BpfError {
    if error.kind() != ErrorKind::OutOfMemory {
        return BpfError::libbpf(doing, error);
    }
    let bytes = total(contents);
    let rules = contents.iter().find(|content| content.map == "rules");
    let rules = rules.map_or(0, |content| content.bytes.len() / size_of::<RuleEntry>());
    BpfError::NoMemory { rules, mib: bytes.div_ceil(1 << 20) }
}

/// Bytes that the kernel is asked for, whole pages and the maps' own records apart.
pub(super) fn total(contents: &[Content<'_>]) -> usize {
    contents.iter().map(|content| content.bytes.len()).sum()
}

/// Fill the maps of a loaded object, whose program nobody runs yet.
pub(super) fn fill(generation: &Object, contents: &[Content<'_>]) -> Result<(), BpfError> {
    for content in contents {
        let map = find_map(generation, content.map)?;
        sys::fill_array(map.as_fd(), content.bytes)
            .map_err(|error| BpfError::io(format!("filling the table {}", content.map), error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use libbpf_rs::ObjectBuilder;

    use super::*;
    use crate::bpf::types::GENERATION_OBJECT;

    #[test]
    #[ignore = "needs root"]
    fn tables_that_the_kernel_has_no_memory_for_are_named_with_their_size() {
        let mut open = ObjectBuilder::default().open_memory(GENERATION_OBJECT).unwrap();
        // 250 GiB, which no test machine has to spare.
        open.maps_mut().find(|map| map.name() == "lines").unwrap().set_max_entries(u32::MAX - 8).unwrap();
        let error = open.load().unwrap_err();
        let lines = vec![0_u64; 3 << 17];
        let content = |map, bytes| Content { map, bytes, entry: None };
        let rules = [0; 5 * size_of::<RuleEntry>()];
        let contents = [content("lines", cast_slice(&lines)), content("rules", &rules)];
        let error = refused("loading", &contents, &error);
        assert!(matches!(error, BpfError::NoMemory { rules: 5, mib: 4 }), "{error}");
        assert!(error.to_string().contains("5 rules need 4 MiB"), "{error}");
    }
}
