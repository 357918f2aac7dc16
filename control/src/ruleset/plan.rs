//! What applying a ruleset changes: which rules are added, removed, changed and kept, and the ids they get.

use std::collections::{HashMap, VecDeque};

use secuxflow::rules::{Action, Matcher, Rule, RuleId};

use super::check::Entry;
use crate::api::ChangedRule;

/// A ruleset to come, and how it differs from the one that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// All rules to come, by ascending id.
    pub(crate) rules: Vec<Rule>,
    /// Number that the next rule gets.
    pub(crate) next_rule: u32,
    /// Rules that are new, by ascending id.
    pub(crate) added: Vec<Rule>,
    /// Rules that go.
    pub(crate) removed: Vec<Rule>,
    /// Rules whose id stays while something else does not.
    pub(crate) changed: Vec<ChangedRule>,
    /// Rules that stay as they are.
    pub(crate) kept: usize,
}

impl Plan {
    /// Whether anything would differ.
    pub(crate) fn differs(&self) -> bool {
        !(self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty())
    }
}

/// Plan to replace `current` by `entries`. An id that the file gives is taken. A rule without one takes over that of an
/// equal rule, else of one that matches and does the same (`comment`, `enabled`, `monitor` and the end may differ), so that
/// its counters go on; else it gets a fresh one, in the order of the file.
///
/// # Errors
/// There is no number left for a fresh id.
pub(crate) fn plan(current: &[Rule], next_rule: u32, entries: Vec<Entry>) -> Result<Plan, String> {
    let mut ids: Vec<Option<RuleId>> = entries.iter().map(|entry| entry.id).collect();
    inherit(current, &entries, &mut ids, |rule| {
        (Meaning::of(rule), &rule.comment, rule.enabled, rule.monitor, rule.expires)
    });
    inherit(current, &entries, &mut ids, Meaning::of);
    let highest = ids.iter().flatten().map(|id| id.0).max().unwrap_or(0);
    // Fresh ids lie above all others, and one number is left for the rule after them.
    let mut next = u64::from(next_rule).max(u64::from(highest) + 1);
    let mut rules = Vec::with_capacity(entries.len());
    for (entry, id) in entries.into_iter().zip(ids) {
        let id = match id {
            Some(id) => id,
            None => {
                next += 1;
                RuleId(u32::try_from(next - 1).map_err(|_| no_number(highest))?)
            }
        };
        rules.push(Rule { id, ..entry.rule });
    }
    let next_rule = u32::try_from(next).map_err(|_| no_number(highest))?;
    rules.sort_by_key(|rule| rule.id);
    Ok(compare(current, rules, next_rule))
}

fn no_number(highest: u32) -> String {
    format!("id 'rule-{highest}': no number is left after it for the rules to come; choose a lower one")
}

/// What a rule does, whatever its id, comment, state and end.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Meaning<'a> {
    priority: i32,
    matcher: &'a Matcher,
    action: &'a Action,
}

impl<'a> Meaning<'a> {
    fn of(rule: &'a Rule) -> Self {
        Self { priority: rule.priority, matcher: &rule.matcher, action: &rule.action }
    }
}

/// Give rules without an id that of a rule of `current` with the same key, the lowest first, each once.
fn inherit<'a, K: Eq + std::hash::Hash>(
    current: &'a [Rule],
    entries: &'a [Entry],
    ids: &mut [Option<RuleId>],
    key: impl Fn(&'a Rule) -> K,
) {
    let taken: std::collections::HashSet<RuleId> = ids.iter().flatten().copied().collect();
    let mut free: HashMap<K, VecDeque<RuleId>> = HashMap::new();
    for rule in current.iter().filter(|rule| !taken.contains(&rule.id)) {
        free.entry(key(rule)).or_default().push_back(rule.id);
    }
    for (entry, id) in entries.iter().zip(ids).filter(|(_, id)| id.is_none()) {
        *id = free.get_mut(&key(&entry.rule)).and_then(VecDeque::pop_front);
    }
}

fn compare(current: &[Rule], rules: Vec<Rule>, next_rule: u32) -> Plan {
    let before: HashMap<RuleId, &Rule> = current.iter().map(|rule| (rule.id, rule)).collect();
    let (mut added, mut changed, mut kept) = (Vec::new(), Vec::new(), 0);
    for rule in &rules {
        match before.get(&rule.id) {
            None => added.push(rule.clone()),
            Some(same) if *same == rule => kept += 1,
            Some(other) => changed.push(ChangedRule { id: rule.id, from: (*other).into(), to: rule.into() }),
        }
    }
    let stays = |id: RuleId| rules.binary_search_by_key(&id, |rule| rule.id).is_ok();
    let removed = current.iter().filter(|rule| !stays(rule.id)).cloned().collect();
    Plan { rules, next_rule, added, removed, changed, kept }
}
