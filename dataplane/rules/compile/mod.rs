//! An ordered ruleset as the tables that a generation looks packets up in: aggregated bit vectors over multibit tries.
//!
//! `docs/classifier.md` draws the tables. A rule's bit is its place in the order, the same for both families.

mod addresses;
mod extras;
mod rows;
mod sets;
mod transport;
mod trie;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod walk;

use super::{Action, MAX_RULES, Rule, RuleError, RuleId, Ruleset, ordered};
use crate::bpf::types::{Act, Limits, PortTable, RuleEntry, Shape, Skip, Trie as TrieIndex, VerdictEntry};
pub(crate) use extras::Extras;
use rows::Rows;
pub(crate) use sets::{Classes, SetTries, compile_sets};
use trie::Tries;

const _: () = assert!(MAX_RULES == Limits::SXF_MAX_RULES.0 as usize);

const ROOT_ENTRIES: usize = Shape::SXF_ROOT_ENTRIES.0 as usize;
const NODE_ENTRIES: usize = Shape::SXF_NODE_ENTRIES.0 as usize;
const TRIES: usize = TrieIndex::SXF_TRIES.0 as usize;
const PORTS: usize = Shape::SXF_PORTS.0 as usize;
const PORT_TABLES: usize = PortTable::SXF_PORT_TABLES.0 as usize;
const PROTOCOLS: usize = Shape::SXF_PROTOCOLS.0 as usize;

/// What a generation is filled with, each table flat, as its map holds it.
#[derive(Debug, Clone)]
pub(crate) struct Tables {
    /// [`TRIES`] times [`ROOT_ENTRIES`] entries.
    pub(crate) roots: Vec<u32>,
    /// [`NODE_ENTRIES`] for each node.
    pub(crate) nodes: Vec<u32>,
    pub(crate) skips: Vec<Skip>,
    /// [`PORT_TABLES`] times [`PORTS`] bit vectors, by their first lines.
    pub(crate) ports: Vec<u32>,
    /// [`PROTOCOLS`] bit vectors, by their first lines.
    pub(crate) protocols: Vec<u32>,
    /// Bit vectors by fields that most rulesets do not use.
    pub(crate) extras: Extras,
    /// What the classes of the sets' tries mean to the rules.
    pub(crate) classes: Classes,
    /// The bit vectors, in whole lines.
    pub(crate) lines: Vec<u64>,
    /// The rules in order.
    pub(crate) rules: Vec<RuleEntry>,
    /// What happens where no rule matches.
    pub(crate) default: VerdictEntry,
}

/// Compile `ruleset`, whose sets have been compiled to classes with these `masks`; `slot` says where each enabled rule is
/// counted.
///
/// # Errors
/// Too many enabled rules, a chain that is not in `chains`, or a set that is not in the ruleset.
pub(crate) fn compile(
    ruleset: &Ruleset,
    chains: &[String],
    masks: &[u64],
    slot: impl Fn(RuleId) -> u32,
) -> Result<Tables, RuleError> {
    let ordered = ordered(ruleset);
    if ordered.len() > MAX_RULES {
        return Err(RuleError::TooMany { count: ordered.len() });
    }
    let monitored = ruleset.monitor && ruleset.default_action == Action::Drop;
    let default = VerdictEntry {
        rule: 0,
        slot: Limits::SXF_DEFAULT_SLOT.0,
        monitored: monitored.into(),
        ..verdict(&ruleset.default_action, chains)?
    };
    let entry = |rule: &&Rule| {
        let (monitored, slot) = (ruleset.monitors(rule).into(), slot(rule.id));
        let verdict = VerdictEntry { rule: rule.id.0, slot, monitored, ..verdict(&rule.action, chains)? };
        Ok(entry(rule, verdict))
    };
    let rules = ordered.iter().map(entry).collect::<Result<_, RuleError>>()?;
    let matchers: Vec<_> = ordered.iter().map(|rule| &rule.matcher).collect();
    let mut rows = Rows::new(matchers.len());
    let mut tries = Tries::new();
    addresses::add(&matchers, &mut rows, &mut tries);
    let ports = transport::ports(&matchers, &mut rows);
    let protocols = transport::protocols(&matchers, &mut rows);
    let extras = Extras::new(ruleset, &ordered, &mut rows);
    let classes = sets::classes(ruleset, &matchers, masks, &mut rows)?;
    Ok(Tables {
        roots: tries.roots,
        nodes: tries.nodes,
        skips: tries.skips,
        ports,
        protocols,
        extras,
        classes,
        lines: rows.into_lines(),
        rules,
        default,
    })
}

/// Index of `chain` as workers and modules know it.
///
/// # Errors
/// There is no such chain; the message lists those that exist.
pub(super) fn chain_index(chain: &str, chains: &[String]) -> Result<u16, RuleError> {
    let index = chains.iter().position(|name| name == chain).and_then(|index| u16::try_from(index).ok());
    index.ok_or_else(|| {
        let rule = if chains.is_empty() {
            "there is no chain; add one to the configuration".to_owned()
        } else {
            format!("there is no such chain; there are: {}", chains.join(", "))
        };
        RuleError::field("chain", chain, rule)
    })
}

/// What is done; of no rule yet.
fn verdict(action: &Action, chains: &[String]) -> Result<VerdictEntry, RuleError> {
    let (act, chain) = match action {
        Action::Pass => (Act::SXF_PASS, 0),
        Action::Drop => (Act::SXF_DROP, 0),
        Action::Inspect { chain } => (Act::SXF_INSPECT, chain_index(chain, chains)?),
    };
    let [action, ..] = act.0.to_le_bytes();
    Ok(VerdictEntry { rule: 0, slot: Limits::SXF_NO_SLOT.0, chain, action, monitored: 0 })
}

fn entry(rule: &Rule, verdict: VerdictEntry) -> RuleEntry {
    let matcher = &rule.matcher;
    RuleEntry {
        verdict,
        protocol: matcher.proto.map_or(0, |proto| proto.0),
        any_protocol: matcher.proto.is_none().into(),
        needs_transport: matcher.needs_transport().into(),
        reserved: 0,
    }
}
