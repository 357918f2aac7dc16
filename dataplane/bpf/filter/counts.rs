//! What the programs counted, and what they sampled.

use super::Filter;
use crate::{
    bpf::{
        BpfError, counters,
        samples::{self, Sample},
        types::Limits,
    },
    plane::{Count, Named, RuleCount},
};

impl Filter {
    /// What each rule matched since it was added, by id. A rule that was never enabled is not listed.
    #[must_use]
    pub fn rule_counts(&self) -> Vec<RuleCount> {
        self.slots.all().into_iter().map(|(id, slot)| RuleCount { id, count: self.rule_counts.read(slot) }).collect()
    }

    /// Packets that the default action decided on.
    #[must_use]
    pub fn default_count(&self) -> Count {
        self.rule_counts.read(Limits::SXF_DEFAULT_SLOT.0)
    }

    /// Packets by what XDP did: `pass`, `drop`, `inspect`. What followed the fail policy counts as what came of it.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn actions(&self) -> Result<Vec<Named<Count>>, BpfError> {
        counters::actions(&self.shared.actions)
    }

    /// Packets by the odd things XDP met, named as in [`crate::plane::PlaneStatus::events`].
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn events(&self) -> Result<Vec<Named<u64>>, BpfError> {
        counters::events(&self.shared.events)
    }

    /// Hand the oldest samples of what monitor mode let through to `each`, `most` at most; how many there were. Does not
    /// wait for any. There is one a second at most for each rule and CPU.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn samples(&self, most: usize, each: impl FnMut(Sample)) -> Result<usize, BpfError> {
        samples::take(&self.shared.samples, most, each)
    }
}
