//! All sets of a ruleset as one trie for each family, from address to *class*: which of the sets hold it.
//!
//! What a class means to the rules is in a generation's own table, so that the tries stay as they are while rules change.

mod merge;
mod nodes;
mod rows;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) mod walk;

use std::{collections::HashMap, sync::Arc};

use super::trie::{Leaf, Prefix, Root};
use crate::{
    bpf::types::SetFamily,
    rules::{MAX_SETS, PrefixSet, RuleError},
};
use merge::Merge;
use nodes::Nodes;
pub(crate) use rows::Classes;
pub(super) use rows::classes;

/// Most classes: ways in which the sets hold each other's addresses.
const MAX_CLASSES: usize = 1 << 20;

/// The sets that hold an address, a bit for each in their order in the ruleset.
type Mask = u64;
const _: () = assert!(MAX_SETS <= Mask::BITS as usize);

/// The tries of a ruleset's sets.
#[derive(Debug, Clone)]
pub(crate) struct SetTries {
    /// Whole lines: the roots, then nodes and skips.
    pub(crate) lines: Vec<u64>,
    /// The sets that hold the addresses of each class. The first is that of addresses in none.
    pub(crate) masks: Vec<Mask>,
}

/// Compile `sets`, in the order that their bits shall have. Besides the answer this takes a few kilobytes of memory.
///
/// # Errors
/// Too many sets, tables of more than 4 GiB, or more than a million classes.
pub(crate) fn compile_sets(sets: &[Arc<PrefixSet>]) -> Result<SetTries, RuleError> {
    if sets.len() > MAX_SETS {
        return Err(RuleError::TooManySets { count: sets.len() });
    }
    let too_large = || too_large(sets);
    let mut nodes = Nodes::new();
    let mut masks = Masks::new();
    for (family, v4) in [(SetFamily::SXF_SET_V4, true), (SetFamily::SXF_SET_V6, false)] {
        let mut root = Root::new(&mut nodes, 0, !v4);
        let mut containing: Vec<(Prefix, Mask)> = Vec::new();
        for (net, own) in Merge::new(sets, v4) {
            let prefix = Prefix::of(net);
            while containing.pop_if(|(other, _)| !other.contains(&prefix)).is_some() {}
            let outer = containing.last().map_or(0, |(_, mask)| *mask);
            // What says nothing new takes no room.
            if outer | own != outer {
                containing.push((prefix, outer | own));
                root.add(Leaf { prefix, value: masks.class(outer | own).ok_or_else(too_large)? });
            }
        }
        let entries = root.finish();
        nodes.set_root(family, &entries);
    }
    let lines = nodes.into_lines().ok_or_else(too_large)?;
    Ok(SetTries { lines, masks: masks.in_order })
}

/// Why no table holds `sets`.
fn too_large(sets: &[Arc<PrefixSet>]) -> RuleError {
    let prefixes: usize = sets.iter().map(|set| set.prefixes().len()).sum();
    let rule = format!(
        "their {prefixes} prefixes need tables of more than 4 GiB, or overlap in more ways than there is room for: \
         delete some, or sets that overlap much with others"
    );
    RuleError::Conflict { fields: "sets", rule }
}

/// Numbers for masks.
#[derive(Debug)]
struct Masks {
    in_order: Vec<Mask>,
    classes: HashMap<Mask, u32>,
}

impl Masks {
    fn new() -> Self {
        Self { in_order: vec![0], classes: HashMap::from([(0, 0)]) }
    }

    /// The class of `mask`; `None` when there are too many.
    fn class(&mut self, mask: Mask) -> Option<u32> {
        if let Some(class) = self.classes.get(&mask) {
            return Some(*class);
        }
        let class = u32::try_from(self.in_order.len()).ok().filter(|_| self.in_order.len() < MAX_CLASSES)?;
        self.in_order.push(mask);
        self.classes.insert(mask, class);
        Some(class)
    }
}
