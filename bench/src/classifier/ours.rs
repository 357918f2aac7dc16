//! secuxflow's own classifier, loaded as the daemon loads it.

use std::{
    collections::HashMap,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use anyhow::{Context, Result};
use secuxflow::{
    bpf::Filter,
    plane::FailPolicy,
    rules::{RuleId, Ruleset},
};

/// A filter with one published ruleset.
#[derive(Debug)]
pub(crate) struct Ours {
    program: OwnedFd,
    filter: Filter,
}

impl Ours {
    /// Publish `ruleset`, with rules counted or not.
    pub(crate) fn load(ruleset: &Ruleset, counting: bool) -> Result<Self> {
        let mut filter = Filter::load(FailPolicy::Open)?;
        filter.count_rules(counting);
        Self::publish(filter, ruleset)
    }

    /// Publish `ruleset`, without the cache of verdicts.
    pub(crate) fn uncached(ruleset: &Ruleset) -> Result<Self> {
        let mut filter = Filter::load(FailPolicy::Open)?;
        filter.cache_verdicts(false);
        Self::publish(filter, ruleset)
    }

    fn publish(mut filter: Filter, ruleset: &Ruleset) -> Result<Self> {
        filter.publish(ruleset, &[]).context("publishing a ruleset")?;
        Ok(Self { program: filter.entry_program()?, filter })
    }

    /// The program that is attached to interfaces: every packet goes through all of it.
    pub(crate) fn program(&self) -> BorrowedFd<'_> {
        self.program.as_fd()
    }

    /// Packets by the rule that decided; `None` is the default action.
    pub(crate) fn counts(&self) -> HashMap<Option<RuleId>, u64> {
        let rules = self.filter.rule_counts().into_iter().map(|rule| (Some(rule.id), rule.count.packets));
        rules.chain([(None, self.filter.default_count().packets)]).collect()
    }
}
