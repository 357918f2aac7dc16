//! Ports and protocols to bit vectors.
//!
//! Protocol and destination port are one vector, source ports another: with all three in one, the number of vectors would
//! be the product of the ranges of both ports, gigabytes for rulesets that are rich in both.

use super::{PORT_TABLES, PORTS, PROTOCOLS, rows::Rows};
use crate::{
    bpf::types::PortTable,
    rules::{Matcher, Ports, Protocol},
};

/// The tables of port to bit vector.
pub(super) fn ports(matchers: &[&Matcher], rows: &mut Rows) -> Vec<u32> {
    let mut tables = vec![0; PORT_TABLES * PORTS];
    for (table, protocol) in [
        (PortTable::SXF_TCP_PORT, Protocol::TCP),
        (PortTable::SXF_UDP_PORT, Protocol::UDP),
        (PortTable::SXF_SCTP_PORT, Protocol::SCTP),
    ] {
        let of_protocol = matchers.iter().enumerate();
        let of_protocol = of_protocol.filter(|(_, matcher)| matcher.proto.is_none_or(|proto| proto == protocol));
        let rules = of_protocol.map(|(rule, matcher)| (rule, matcher.port.as_ref()));
        fill(table_mut(&mut tables, table), rules, rows);
    }
    let rules = matchers.iter().enumerate().map(|(rule, matcher)| (rule, matcher.sport.as_ref()));
    fill(table_mut(&mut tables, PortTable::SXF_SPORT), rules, rows);
    tables
}

/// The table of protocol to bit vector, for packets whose ports do not exist or are not seen.
pub(super) fn protocols(matchers: &[&Matcher], rows: &mut Rows) -> Vec<u32> {
    let mut table = Vec::with_capacity(PROTOCOLS);
    for protocol in (0..=u8::MAX).map(Protocol) {
        // With ports it is looked up for later fragments only, which rules with ports might match.
        let matches = |(_, matcher): &(usize, &&Matcher)| {
            matcher.proto.is_none_or(|proto| proto == protocol) && (protocol.has_ports() || !matcher.needs_transport())
        };
        let bits = rows.set(matchers.iter().enumerate().filter(matches).map(|(rule, _)| rule));
        table.push(rows.line(&bits));
    }
    table
}

fn table_mut(tables: &mut [u32], table: PortTable) -> &mut [u32] {
    let begin = table.0 as usize * PORTS;
    &mut tables[begin..begin + PORTS]
}

/// Sweep over the ports from below: rules come in where their range begins and leave behind its end.
fn fill<'a>(table: &mut [u32], rules: impl Iterator<Item = (usize, Option<&'a Ports>)>, rows: &mut Rows) {
    let mut current = rows.set([]);
    let mut changes: Vec<(usize, bool, usize)> = Vec::new();
    for (rule, ports) in rules {
        let Some(ports) = ports else {
            current.insert(rule);
            continue;
        };
        for range in ports.ranges() {
            changes.push((range.first.into(), true, rule));
            changes.push((usize::from(range.last) + 1, false, rule));
        }
    }
    changes.sort_unstable();
    let mut begin = 0;
    for changes in changes.chunk_by(|a, b| a.0 == b.0) {
        let at = changes[0].0;
        if at > begin {
            table[begin..at].fill(rows.line(&current));
            begin = at;
        }
        for (_, comes, rule) in changes {
            if *comes { current.insert(*rule) } else { current.remove(*rule) }
        }
    }
    if begin < table.len() {
        table[begin..].fill(rows.line(&current));
    }
}
