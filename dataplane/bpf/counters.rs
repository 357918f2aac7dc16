//! Per-CPU counters, summed.

use libbpf_rs::{MapCore, MapFlags, MapHandle};

use super::{
    BpfError,
    types::{Act, CountEntry, Event},
};
use crate::plane::{Count, Named};

/// What XDP did with packets, in the order of the map.
const ACTIONS: [(&str, Act); 4] =
    [("pass", Act::SXF_PASS), ("drop", Act::SXF_DROP), ("inspect", Act::SXF_INSPECT), ("forward", Act::SXF_FORWARD)];

const EVENTS: [(&str, Event); 18] = [
    ("neighbour", Event::SXF_NEIGHBOUR),
    ("non_ip", Event::SXF_NON_IP),
    ("undecidable", Event::SXF_UNDECIDABLE),
    ("later_fragment", Event::SXF_LATER_FRAGMENT),
    ("no_service", Event::SXF_NO_SERVICE),
    ("no_generation", Event::SXF_NO_GENERATION),
    ("no_metadata", Event::SXF_NO_METADATA),
    ("fail_open", Event::SXF_FAIL_OPEN),
    ("fail_closed", Event::SXF_FAIL_CLOSED),
    ("blocklist", Event::SXF_BLOCKED),
    ("monitored", Event::SXF_MONITORED),
    ("sample_lost", Event::SXF_SAMPLE_LOST),
    ("flow_cleared", Event::SXF_CLEARED),
    ("flow_condemned", Event::SXF_CONDEMNED),
    ("source_blocked", Event::SXF_SOURCE_BLOCKED),
    ("truncated", Event::SXF_TRUNCATED),
    ("bad_header", Event::SXF_BAD_HEADER),
    ("long_chain", Event::SXF_LONG_CHAIN),
];

const _: () = assert!(ACTIONS.len() == Act::SXF_ACTIONS.0 as usize && EVENTS.len() == Event::SXF_EVENTS.0 as usize);

/// All actions, by name.
pub(super) fn actions(map: &MapHandle) -> Result<Vec<Named<Count>>, BpfError> {
    ACTIONS.iter().map(|(name, act)| Ok(Named { name: (*name).to_owned(), value: packets(map, act.0)? })).collect()
}

/// All events, by name.
pub(super) fn events(map: &MapHandle) -> Result<Vec<Named<u64>>, BpfError> {
    let sum = |event: &Event| Ok::<_, BpfError>(per_cpu::<u64>(map, event.0)?.iter().sum());
    EVENTS.iter().map(|(name, event)| Ok(Named { name: (*name).to_owned(), value: sum(event)? })).collect()
}

/// Packets and bytes of one entry.
pub(super) fn packets(map: &MapHandle, index: u32) -> Result<Count, BpfError> {
    let mut sum = Count::default();
    for CountEntry { packets, bytes } in per_cpu::<CountEntry>(map, index)? {
        sum += Count { packets, bytes };
    }
    Ok(sum)
}

fn per_cpu<T: bytemuck::AnyBitPattern>(map: &MapHandle, index: u32) -> Result<Vec<T>, BpfError> {
    let values = map
        .lookup_percpu(&index.to_ne_bytes(), MapFlags::ANY)
        .map_err(|error| BpfError::libbpf("reading a counter", &error))?
        .ok_or_else(|| BpfError::Object(format!("counter {index} is not in its map")))?;
    values
        .iter()
        .map(|bytes| {
            bytemuck::try_pod_read_unaligned(bytes).map_err(|_| BpfError::Object("a counter has another size".into()))
        })
        .collect()
}
