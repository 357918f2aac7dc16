//! Fields that most rulesets do not use to bit vectors: VLAN, TCP flags, and which rules are enforced.

use std::collections::BTreeMap;

use super::rows::Rows;
use crate::{
    bpf::types::{Shape, Uses},
    rules::{Rule, Ruleset},
};

const VLANS: usize = Shape::SXF_VLANS.0 as usize;

/// Bit vectors by their first lines; a table whose field no rule uses is empty.
#[derive(Debug, Clone)]
pub(crate) struct Extras {
    /// Which fields the rules use: bits of [`Uses`].
    pub(crate) uses: u32,
    /// By VLAN id, 4096 of them.
    pub(crate) vlans: Vec<u32>,
    /// By the flags of a TCP header, 256 of them.
    pub(crate) tcp_flags: Vec<u32>,
    /// Of the rules that are not monitored.
    pub(crate) enforced: u32,
    /// Of those that drop, or whose match rests on addresses and VLAN alone: what there is to say of a packet that cannot
    /// be decided on.
    pub(crate) strict: u32,
}

impl Extras {
    /// The extras of `rules`, which are those of `ruleset` in order.
    pub(super) fn new(ruleset: &Ruleset, rules: &[&Rule], rows: &mut Rows) -> Self {
        let (vlans, tcp_flags) = (vlans(rules, rows), tcp_flags(rules, rows));
        let used = |table: &[u32], field: Uses| if table.is_empty() { 0 } else { field.0 };
        let uses = used(&vlans, Uses::SXF_USES_VLAN) | used(&tcp_flags, Uses::SXF_USES_TCP_FLAGS);
        let [enforced, strict] = [false, true].map(|strict| {
            let wanted = |rule: &Rule| !ruleset.monitors(rule) && (!strict || rule.is_strict());
            let places = rules.iter().enumerate().filter(|(_, rule)| wanted(rule)).map(|(place, _)| place);
            let bits = rows.set(places);
            rows.line(&bits)
        });
        Self { uses, vlans, tcp_flags, enforced, strict }
    }
}

fn vlans(rules: &[&Rule], rows: &mut Rows) -> Vec<u32> {
    let mut places = BTreeMap::<u16, Vec<usize>>::new();
    for (place, rule) in rules.iter().enumerate() {
        if let Some(vlan) = rule.matcher.vlan {
            places.entry(vlan).or_default().push(place);
        }
    }
    if places.is_empty() {
        return Vec::new();
    }
    let any =
        rows.set(rules.iter().enumerate().filter(|(_, rule)| rule.matcher.vlan.is_none()).map(|(place, _)| place));
    let mut table = vec![rows.line(&any); VLANS];
    for (vlan, places) in places {
        let mut bits = any.clone();
        places.into_iter().for_each(|place| bits.insert(place));
        table[usize::from(vlan)] = rows.line(&bits);
    }
    table
}

fn tcp_flags(rules: &[&Rule], rows: &mut Rows) -> Vec<u32> {
    if rules.iter().all(|rule| rule.matcher.tcp_flags.is_none()) {
        return Vec::new();
    }
    let mut table = Vec::with_capacity(usize::from(u8::MAX) + 1);
    for flags in 0..=u8::MAX {
        let matches = |(_, rule): &(usize, &&Rule)| rule.matcher.tcp_flags.is_none_or(|wanted| wanted.matches(flags));
        let bits = rows.set(rules.iter().enumerate().filter(matches).map(|(place, _)| place));
        table.push(rows.line(&bits));
    }
    table
}
