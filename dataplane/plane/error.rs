//! Why the dataplane could not start or take a change.

use crate::{
    bpf::BpfError, inspect::InspectError, rules::RuleError, service::NetlinkError, worker::WorkerError, xsk::XskError,
};

/// Why the dataplane could not start or take a change. Whatever it was doing is undone.
#[derive(Debug, thiserror::Error)]
pub enum PlaneError {
    /// A setting breaks its rule.
    #[error("{setting}: {rule}")]
    Setting {
        /// The setting, as the configuration file spells it.
        setting: &'static str,
        /// The rule it breaks, and how to mend it.
        rule: String,
    },
    /// A service was refused.
    #[error("{0}")]
    Service(String),
    /// A packet to be tried cannot be made.
    #[error("{0}")]
    Probe(String),
    /// A rule was refused.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// The kernel's part failed.
    #[error(transparent)]
    Bpf(#[from] BpfError),
    /// Modules and chains were prepared to take the place of others than those that are.
    #[error("modules or chains were changed while these were made ready; try again")]
    InspectionChanged,
    /// A module or chain was refused.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// A socket or the UMEM could not be had.
    #[error(transparent)]
    Xsk(#[from] XskError),
    /// A worker could not be started or told something.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The kernel's tables could not be read.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
}
