//! A lookup in compiled tables as `bpf/classify.h` does it, so that the compiler can be tested without a kernel.

use std::net::IpAddr;

use super::{Extras, NODE_ENTRIES, PORTS, ROOT_ENTRIES, Tables};
use crate::{
    bpf::types::{Entry, PortTable, RuleEntry, Shape, Trie, Uses},
    rules::{Monitored, Protocol, RuleId},
    wire::{Fragment, Headers, is_extension},
};

const LINE_WORDS: usize = Shape::SXF_LINE_WORDS.0 as usize;
const SUMMARY_WORDS: usize = Shape::SXF_SUMMARY_WORDS.0 as usize;

/// What a lookup finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// This rule matches first.
    Rule(u32),
    /// A later fragment hides whether the first rule that may match does.
    Hidden,
    None,
}

/// The first rule in `tables` that a packet matches and that is enforced, and what is not.
pub(super) fn find(tables: &Tables, packet: &Headers) -> (Found, Option<Monitored>) {
    let mut rows = rows(tables, packet);
    let first = first_rule(&tables.lines, &rows).map(|rule| tables.rules[rule]);
    match first {
        Some(rule) if rule.verdict.monitored == 1 => {
            rows.push(tables.extras.enforced);
            let enforced = first_rule(&tables.lines, &rows).map(|rule| tables.rules[rule]);
            let monitored = is_sure(&rule, packet).then_some(Monitored::Rule(RuleId(rule.verdict.rule)));
            (found(enforced, packet), monitored)
        }
        None if tables.default.monitored == 1 => (Found::None, Some(Monitored::Default)),
        first => (found(first, packet), None),
    }
}

fn found(rule: Option<RuleEntry>, packet: &Headers) -> Found {
    match rule {
        Some(rule) if is_sure(&rule, packet) => Found::Rule(rule.verdict.rule),
        Some(_) => Found::Hidden,
        None => Found::None,
    }
}

fn is_sure(rule: &RuleEntry, packet: &Headers) -> bool {
    let unseen = rule.needs_transport == 1 || (rule.any_protocol == 0 && rule.protocol != packet.protocol);
    packet.fragment != Fragment::Later || !unseen
}

/// The bit vectors of a packet, by their first lines.
fn rows(tables: &Tables, packet: &Headers) -> Vec<u32> {
    let (src, dst) = match packet.src {
        IpAddr::V4(_) => (Trie::SXF_SRC4, Trie::SXF_DST4),
        IpAddr::V6(_) => (Trie::SXF_SRC6, Trie::SXF_DST6),
    };
    let later = packet.fragment == Fragment::Later;
    let hidden = later && packet.src.is_ipv6() && is_extension(packet.protocol);
    let (protocol, sport) = match port_table(packet.protocol) {
        Some(table) if !later => {
            (port_row(tables, table, packet.dst_port), port_row(tables, PortTable::SXF_SPORT, packet.src_port))
        }
        _ if hidden => (0, 0),
        _ => (tables.protocols[usize::from(packet.protocol)], 0),
    };
    let mut rows = vec![address(tables, src, packet.src), address(tables, dst, packet.dst), protocol, sport];
    rows.extend(extras(&tables.extras, packet));
    rows
}

/// Bit vectors of fields that the rules use, beside the four of every packet.
fn extras<'a>(extras: &'a Extras, packet: &'a Headers) -> impl Iterator<Item = u32> + 'a {
    let uses = |field: Uses| extras.uses & field.0 != 0;
    let vlan = uses(Uses::SXF_USES_VLAN).then(|| extras.vlans[usize::from(packet.vlan)]);
    let visible = packet.protocol == Protocol::TCP.0 && packet.fragment != Fragment::Later;
    let flags = (visible && uses(Uses::SXF_USES_TCP_FLAGS)).then(|| extras.tcp_flags[usize::from(packet.tcp_flags)]);
    vlan.into_iter().chain(flags)
}

/// The first line of the bit vector of an address, and nothing else: a walk longer than the kernel's loop panics.
pub(super) fn address(tables: &Tables, trie: Trie, address: IpAddr) -> u32 {
    let (bytes, steps) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 2),
        IpAddr::V6(address) => (address.to_bits(), 14),
    };
    let byte = |at: usize| bytes.to_be_bytes()[at];
    let root = usize::from(u16::from_be_bytes([byte(0), byte(1)]));
    let mut entry = tables.roots[trie.0 as usize * ROOT_ENTRIES + root];
    let mut at = 2;
    for _ in 0..steps {
        let index = (entry & Entry::SXF_INDEX.0) as usize;
        if entry & Entry::SXF_TO_NODE.0 != 0 {
            entry = tables.nodes[index * NODE_ENTRIES + usize::from(byte(at))];
            at += 1;
        } else if entry & Entry::SXF_TO_SKIP.0 != 0 {
            assert!(address.is_ipv6(), "the kernel looks for skips in IPv6 only");
            let skip = tables.skips[index];
            let has = |word: usize, bits: u64| bits & skip.mask[word] == skip.key[word];
            let hit = has(0, u64::try_from(bytes >> 64).unwrap()) && has(1, u64::try_from(bytes << 64 >> 64).unwrap());
            (entry, at) = (if hit { skip.hit } else { skip.miss }, skip.next as usize);
        }
    }
    assert_eq!(entry & !Entry::SXF_INDEX.0, 0, "the walk ends at a bit vector");
    entry
}

fn port_table(protocol: u8) -> Option<PortTable> {
    match Protocol(protocol) {
        Protocol::TCP => Some(PortTable::SXF_TCP_PORT),
        Protocol::UDP => Some(PortTable::SXF_UDP_PORT),
        Protocol::SCTP => Some(PortTable::SXF_SCTP_PORT),
        _ => None,
    }
}

fn port_row(tables: &Tables, table: PortTable, port: u16) -> u32 {
    tables.ports[table.0 as usize * PORTS + usize::from(port)]
}

/// The bits of the vector at `line`, word by word: its summary, then its rules.
pub(super) fn words(lines: &[u64], line: u32) -> &[u64] {
    &lines[line as usize * LINE_WORDS..]
}

fn first_rule(lines: &[u64], rows: &[u32]) -> Option<usize> {
    let all = |at: usize| rows.iter().fold(u64::MAX, |bits, row| bits & words(lines, *row)[at]);
    for group in 0..SUMMARY_WORDS {
        let mut summary = all(group);
        while summary != 0 {
            let word = group * 64 + summary.trailing_zeros() as usize;
            let rules = all(SUMMARY_WORDS + word);
            if rules != 0 {
                return Some(word * 64 + rules.trailing_zeros() as usize);
            }
            summary &= summary - 1;
        }
    }
    None
}
