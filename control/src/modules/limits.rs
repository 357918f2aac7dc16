//! What a module may take, and what happens when it fails: as it is written, and as it is meant.

use std::{path::PathBuf, time::Duration};

use secuxflow::plane::{FailPolicy, ModuleConfig};
use serde::{Deserialize, Serialize};

use super::step::DEADLINES;
use crate::config::FailPolicyName;

/// Each as in the configuration's `[[module]]`; none for the default, or for what was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limits {
    /// What becomes of packets that the module fails on; open unless given.
    pub(crate) on_failure: Option<FailPolicyName>,
    /// Most processor time for one call in milliseconds; 50 unless given.
    pub(crate) deadline_ms: Option<i64>,
    /// Largest heap in MiB; 16 unless given.
    pub(crate) heap_mib: Option<i64>,
    /// Batches failed in a row after which the module is taken out of service; 16 unless given.
    pub(crate) max_failures: Option<i64>,
}

impl Limits {
    /// Write these into `config`, what is not given staying as it is; each broken rule goes to `fault` with its field.
    pub(crate) fn apply(&self, config: &mut ModuleConfig, mut fault: impl FnMut(&'static str, String)) {
        let mut within = |field, value: Option<i64>, range: std::ops::RangeInclusive<i64>| {
            let value = value?;
            if range.contains(&value) {
                return u32::try_from(value).ok();
            }
            fault(field, format!("{value} is not within {} to {}", range.start(), range.end()));
            None
        };
        if let Some(ms) = within("deadline_ms", self.deadline_ms, DEADLINES) {
            config.deadline = Duration::from_millis(ms.into());
        }
        // The guest's heap ends where the window onto the UMEM may begin: secuxflow_abi::HEAP_LIMIT, 1 GiB.
        if let Some(mib) = within("heap_mib", self.heap_mib, 1..=1023) {
            config.heap = (mib as usize) << 20;
        }
        if let Some(most) = within("max_failures", self.max_failures, 1..=1_000_000) {
            config.max_failures = most;
        }
        if let Some(policy) = self.on_failure {
            config.on_failure = policy.into();
        }
    }

    /// Those of `config`, every one given.
    pub(crate) fn of(config: &ModuleConfig) -> Self {
        Self {
            on_failure: Some(config.on_failure.into()),
            deadline_ms: i64::try_from(config.deadline.as_millis()).ok(),
            heap_mib: i64::try_from(config.heap >> 20).ok(),
            max_failures: Some(config.max_failures.into()),
        }
    }

    /// A module of this name without a file, with the defaults.
    pub(crate) fn default_config(name: &str) -> ModuleConfig {
        ModuleConfig {
            name: name.to_owned(),
            path: PathBuf::new(),
            code: None,
            on_failure: FailPolicy::Open,
            deadline: Duration::from_millis(50),
            heap: 16 << 20,
            max_failures: 16,
            config: "{}".to_owned(),
            revision: 0,
        }
    }
}
