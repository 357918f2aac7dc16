//! Which counter belongs to which rule. A rule keeps its slot for as long as it exists, across all generations.

use std::collections::{HashMap, HashSet, VecDeque};

use super::types::Limits;
use crate::rules::{RuleId, Ruleset};

/// Slots by rule, and the free ones, longest free first: a slot is not taken again while a packet may still be counted
/// for the rule that left it.
#[derive(Debug, Clone)]
pub(crate) struct Slots {
    by_rule: HashMap<RuleId, u32>,
    free: VecDeque<u32>,
    counting: bool,
}

impl Slots {
    pub(crate) fn new() -> Self {
        Self { by_rule: HashMap::new(), free: (0..Limits::SXF_RULE_SLOTS.0).collect(), counting: true }
    }

    /// Give every enabled rule a slot and take back those of rules that are gone. A disabled rule keeps the slot it has
    /// until an enabled one needs it. The answer is the slots newly taken, which are to be zeroed before use.
    ///
    /// There are at least as many slots as rules may be enabled, which the compiler has checked before.
    pub(crate) fn assign(&mut self, ruleset: &Ruleset) -> Vec<u32> {
        let present: HashSet<RuleId> = ruleset.rules.iter().map(|rule| rule.id).collect();
        self.release(|id| present.contains(&id));
        let enabled: HashSet<RuleId> = ruleset.rules.iter().filter(|rule| rule.enabled).map(|rule| rule.id).collect();
        let wanted = enabled.iter().filter(|id| !self.by_rule.contains_key(id)).count();
        if wanted > self.free.len() {
            self.release(|id| enabled.contains(&id));
        }
        let mut new: Vec<RuleId> = enabled.into_iter().filter(|id| !self.by_rule.contains_key(id)).collect();
        new.sort_unstable();
        let taken: Vec<(RuleId, u32)> = new.into_iter().zip(self.free.drain(..wanted.min(self.free.len()))).collect();
        self.by_rule.extend(taken.iter().copied());
        taken.into_iter().map(|(_, slot)| slot).collect()
    }

    /// Whether rules are told their slots, so that they are counted.
    pub(crate) fn count(&mut self, counting: bool) {
        self.counting = counting;
    }

    /// Slot of `id`; a rule without one is not counted.
    pub(crate) fn of(&self, id: RuleId) -> u32 {
        self.by_rule.get(&id).filter(|_| self.counting).copied().unwrap_or(Limits::SXF_NO_SLOT.0)
    }

    /// Rules and their slots, by id.
    pub(crate) fn all(&self) -> Vec<(RuleId, u32)> {
        let mut all: Vec<_> = self.by_rule.iter().map(|(id, slot)| (*id, *slot)).collect();
        all.sort_unstable();
        all
    }

    fn release(&mut self, keep: impl Fn(RuleId) -> bool) {
        let mut gone: Vec<u32> = Vec::new();
        self.by_rule.retain(|id, slot| {
            let kept = keep(*id);
            if !kept {
                gone.push(*slot);
            }
            kept
        });
        gone.sort_unstable();
        self.free.extend(gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{Action, testing::rule};

    /// Most rules that may be enabled.
    const FULL: u32 = Limits::SXF_MAX_RULES.0;

    fn ruleset(ids: impl IntoIterator<Item = u32>) -> Ruleset {
        Ruleset::new(ids.into_iter().map(|id| rule(id, |_| ())).collect(), Action::Pass)
    }

    #[test]
    fn a_rule_keeps_its_slot_while_others_come_and_go() {
        let mut slots = Slots::new();
        slots.assign(&ruleset([1, 2, 3]));
        let (second, third) = (slots.of(RuleId(2)), slots.of(RuleId(3)));
        assert_eq!(slots.assign(&ruleset([2, 3, 4])).len(), 1, "only the new rule's slot is new");
        assert_eq!((slots.of(RuleId(2)), slots.of(RuleId(3))), (second, third));
        assert_eq!(slots.of(RuleId(1)), Limits::SXF_NO_SLOT.0);
    }

    #[test]
    fn a_rule_that_is_not_counted_has_its_slot_back_when_it_is_again() {
        let mut slots = Slots::new();
        slots.assign(&ruleset([1]));
        let slot = slots.of(RuleId(1));
        slots.count(false);
        assert_eq!((slots.of(RuleId(1)), slots.all().len()), (Limits::SXF_NO_SLOT.0, 1));
        slots.count(true);
        assert_eq!(slots.of(RuleId(1)), slot);
    }

    #[test]
    fn a_slot_is_not_taken_again_at_once() {
        let mut slots = Slots::new();
        let full = slots.assign(&ruleset(1..=FULL));
        let next = slots.assign(&ruleset(FULL + 1..=2 * FULL));
        assert!(next.iter().all(|slot| !full.contains(slot)));
    }

    #[test]
    fn a_disabled_rule_keeps_its_slot_until_it_is_needed() {
        let mut slots = Slots::new();
        slots.assign(&ruleset([1]));
        let mut with_disabled = ruleset([1]);
        with_disabled.rules[0].enabled = false;
        slots.assign(&with_disabled);
        assert_ne!(slots.of(RuleId(1)), Limits::SXF_NO_SLOT.0);
        // Two full sets of disabled rules leave no slot free.
        for first in [2, 2 + FULL] {
            let mut more = ruleset(first..first + FULL);
            more.rules.extend(with_disabled.rules.iter().cloned());
            slots.assign(&more);
            more.rules.iter_mut().for_each(|rule| rule.enabled = false);
            with_disabled = more;
        }
        let mut all = ruleset([90_000]);
        all.rules.extend(with_disabled.rules);
        assert_eq!(slots.assign(&all).len(), 1);
        assert_ne!(slots.of(RuleId(90_000)), Limits::SXF_NO_SLOT.0);
    }
}
