//! A lookup in the sets' tries as `bpf/sets.h` does it, so that the compiler can be tested without a kernel.

use std::net::IpAddr;

use super::{
    SetTries,
    nodes::{LINE_ENTRIES, NODE_RUNS, ROOT_LINES},
};
use crate::bpf::types::{Entry, Runs, SetFamily, Skip};

/// The class of an address. A walk longer than the kernel's panics.
pub(in super::super) fn class(tries: &SetTries, address: IpAddr) -> u32 {
    let (family, bytes, steps) = match address {
        IpAddr::V4(address) => (SetFamily::SXF_SET_V4, u128::from(address.to_bits()) << 96, 2),
        IpAddr::V6(address) => (SetFamily::SXF_SET_V6, address.to_bits(), 14),
    };
    let byte = |at: usize| bytes.to_be_bytes()[at];
    let line = |line: usize| &tries.lines[line * 8..line * 8 + 8];
    let entries = |index: usize| -> &[u32] { bytemuck::cast_slice(line(index)) };
    let root = usize::from(u16::from_be_bytes([byte(0), byte(1)]));
    let mut entry = entries(family.0 as usize * ROOT_LINES + root / LINE_ENTRIES)[root % LINE_ENTRIES];
    let mut at = 2;
    for _ in 0..steps {
        let index = (entry & Entry::SXF_INDEX.0) as usize;
        if entry & Entry::SXF_TO_NODE.0 != 0 {
            let runs: Runs = bytemuck::pod_read_unaligned(bytemuck::cast_slice(line(index)));
            let (word, bit) = (usize::from(byte(at)) / 64, byte(at) % 64);
            let run = usize::from(runs.before[word]) + (runs.begins[word] << (63 - bit)).count_ones() as usize;
            entry = match run.checked_sub(NODE_RUNS) {
                None => runs.entries[run],
                Some(more) => entries(index + 1 + more / LINE_ENTRIES)[more % LINE_ENTRIES],
            };
            at += 1;
        } else if entry & Entry::SXF_TO_SKIP.0 != 0 {
            assert!(address.is_ipv6(), "the kernel looks for skips in IPv6 only");
            let skip: Skip = bytemuck::pod_read_unaligned(bytemuck::cast_slice(line(index)));
            let has = |word: usize, bits: u64| bits & skip.mask[word] == skip.key[word];
            let hit = has(0, u64::try_from(bytes >> 64).unwrap()) && has(1, u64::try_from(bytes << 64 >> 64).unwrap());
            (entry, at) = (if hit { skip.hit } else { skip.miss }, skip.next as usize);
        }
    }
    assert_eq!(entry & !Entry::SXF_INDEX.0, 0, "the walk ends at a class");
    entry
}
