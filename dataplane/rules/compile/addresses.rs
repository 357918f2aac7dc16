//! Source and destination addresses: prefixes to bit vectors to tries.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::{
    rows::{Bits, Rows},
    trie::{Leaf, Prefix, Tries},
};
use crate::{bpf::types::Trie, rules::Matcher};

/// Add the tries for both families and directions, and their bit vectors.
pub(super) fn add(matchers: &[&Matcher], rows: &mut Rows, tries: &mut Tries) {
    for (trie, v4, direction) in [
        (Trie::SXF_SRC4, true, (Matcher::src_net) as fn(&Matcher) -> Option<IpNet>),
        (Trie::SXF_DST4, true, Matcher::dst_net),
        (Trie::SXF_SRC6, false, Matcher::src_net),
        (Trie::SXF_DST6, false, Matcher::dst_net),
    ] {
        let (everywhere, leaves) = leaves(matchers, v4, direction, rows);
        tries.add(trie, everywhere, &leaves, !v4);
    }
}

/// The bit vector of addresses in no prefix, and every prefix of a family and direction with the bit vector of
/// addresses that it is the longest match of.
fn leaves(
    matchers: &[&Matcher],
    v4: bool,
    direction: fn(&Matcher) -> Option<IpNet>,
    rows: &mut Rows,
) -> (u32, Vec<Leaf>) {
    let mut everywhere = rows.set([]);
    // In the order of prefixes, which puts each behind those that contain it.
    let mut rules = BTreeMap::<Prefix, Vec<usize>>::new();
    for (rule, matcher) in matchers.iter().enumerate() {
        if matcher.src_net().or(matcher.dst_net()).is_some_and(|net| matches!(net, IpNet::V4(_)) != v4) {
            continue;
        }
        match direction(matcher).map(Prefix::of) {
            Some(prefix) if !prefix.is_everywhere() => rules.entry(prefix).or_default().push(rule),
            _ => everywhere.insert(rule),
        }
    }
    let mut containing: Vec<(Prefix, Bits)> = Vec::new();
    let mut leaves = Vec::with_capacity(rules.len());
    for (prefix, rules) in rules {
        while containing.pop_if(|(other, _)| !other.contains(&prefix)).is_some() {}
        let mut bits = containing.last().map_or(&everywhere, |(_, bits)| bits).clone();
        rules.into_iter().for_each(|rule| bits.insert(rule));
        leaves.push(Leaf { prefix, value: rows.line(&bits) });
        containing.push((prefix, bits));
    }
    (rows.line(&everywhere), leaves)
}
