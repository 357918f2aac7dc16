//! What the classes of addresses mean to the rules of one generation.

use std::collections::HashMap;

use super::{super::rows::Rows, Mask, too_large};
use crate::{
    bpf::types::{Blocklists, ClassEntry, Uses},
    rules::{Address, Matcher, RuleError, Ruleset, reference::check_sets},
};

/// Most memory for bit vectors of sets as sources, and again as destinations, bytes.
const MAX_BYTES: usize = 1 << 29;

/// What a generation knows of sets.
#[derive(Debug, Clone)]
pub(crate) struct Classes {
    /// By class; empty when nothing is looked up.
    pub(crate) entries: Vec<ClassEntry>,
    /// Which sets the rules use: bits of [`Uses`].
    pub(crate) uses: u32,
    /// What becomes of packets from a blocklist, by [`Blocklists`].
    pub(crate) blocklists: u32,
}

/// What `masks`, the sets that hold each class, mean to `matchers`, which are the rules of `ruleset` in order.
///
/// # Errors
/// A rule names a set that is not in the ruleset, or the sets overlap in so many ways that the bit vectors for them take
/// more than 1 GiB: half of it for sources, half for destinations.
pub(in super::super) fn classes(
    ruleset: &Ruleset,
    matchers: &[&Matcher],
    masks: &[Mask],
    rows: &mut Rows,
) -> Result<Classes, RuleError> {
    for matcher in matchers {
        check_sets(matcher, ruleset.sets.iter().map(|set| set.name()))?;
    }
    let sets = ruleset.sets.iter().enumerate();
    let blocklists = sets.filter(|(_, set)| set.is_blocklist()).fold(0, |mask, (set, _)| mask | 1 << set);
    let src = Direction::new(ruleset, matchers, |matcher| matcher.src.as_ref());
    let dst = Direction::new(ruleset, matchers, |matcher| matcher.dst.as_ref());
    let used = |direction: &Direction, bit: Uses| if direction.named == 0 { 0 } else { bit.0 };
    let uses = used(&src, Uses::SXF_USES_SRC_SETS) | used(&dst, Uses::SXF_USES_DST_SETS);
    let action = match blocklists {
        0 => Blocklists::SXF_NO_BLOCKLIST,
        _ if ruleset.monitor => Blocklists::SXF_BLOCKLIST_COUNTS,
        _ => Blocklists::SXF_BLOCKLIST_DROPS,
    };
    if blocklists == 0 && uses == 0 {
        return Ok(Classes { entries: Vec::new(), uses, blocklists: action.0 });
    }
    let too_large = || too_large(&ruleset.sets);
    let src = src.lines(matchers.len(), masks, rows).ok_or_else(too_large)?;
    let dst = dst.lines(matchers.len(), masks, rows).ok_or_else(too_large)?;
    let entry = |((mask, src), dst): ((&Mask, u32), u32)| ClassEntry {
        src,
        dst,
        blocked: (mask & blocklists != 0).into(),
        reserved: 0,
    };
    Ok(Classes { entries: masks.iter().zip(src).zip(dst).map(entry).collect(), uses, blocklists: action.0 })
}

/// How the rules use sets for source or destination.
#[derive(Debug)]
struct Direction {
    /// Sets that a rule names.
    named: Mask,
    /// Rules that name none.
    without: Vec<usize>,
    /// Rules, and the sets of the name that they give.
    with: Vec<(usize, Mask)>,
}

impl Direction {
    fn new<'a>(
        ruleset: &Ruleset,
        matchers: &[&'a Matcher],
        address: impl Fn(&'a Matcher) -> Option<&'a Address>,
    ) -> Self {
        let mut by_name = HashMap::<&str, Mask>::new();
        for (number, set) in ruleset.sets.iter().enumerate() {
            *by_name.entry(set.name()).or_default() |= 1 << number;
        }
        let mut direction = Self { named: 0, without: Vec::new(), with: Vec::new() };
        for (rule, matcher) in matchers.iter().enumerate() {
            match address(matcher).and_then(Address::set) {
                Some(name) => {
                    let sets = by_name.get(name).copied().unwrap_or(0);
                    direction.named |= sets;
                    direction.with.push((rule, sets));
                }
                None => direction.without.push(rule),
            }
        }
        direction
    }

    /// The bit vector of each class, by its first line; `None` when they take too much memory.
    fn lines(&self, rules: usize, masks: &[Mask], rows: &mut Rows) -> Option<Vec<u32>> {
        let without = rows.set(self.without.iter().copied());
        let mut known = HashMap::<Mask, u32>::new();
        let mut line = |mask: &Mask| {
            // Sets that no rule names make no difference.
            let mask = mask & self.named;
            if let Some(line) = known.get(&mask) {
                return Some(*line);
            }
            if known.len() * (rules / 8) > MAX_BYTES {
                return None;
            }
            let mut bits = without.clone();
            let matching = self.with.iter().filter(|(_, sets)| sets & mask != 0);
            matching.for_each(|(rule, _)| bits.insert(*rule));
            known.insert(mask, rows.line(&bits));
            known.get(&mask).copied()
        };
        masks.iter().map(&mut line).collect()
    }
}
