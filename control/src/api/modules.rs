//! Requests and responses about modules and chains.

use secuxflow::plane::ModuleStatus;
use serde::{Deserialize, Serialize};

use crate::{
    config::FailPolicyName,
    modules::{Limits, Origin, StepSpec},
};

/// Largest body with a module, in bytes: 64 MiB in base64, and 42 MiB for its configuration.
pub(crate) const MAX_MODULE_BODY: usize = 128 << 20;

/// A module to be loaded, or loaded anew. What is left out of a module that is there stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LoadModule {
    /// The file's bytes in base64. Left out when loading anew: of a module of the configuration the file is read again, of
    /// any other the bytes are those that there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    /// Where the file was, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
    /// The Ed25519 signature of the file in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signature: Option<String>,
    /// What the module is handed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) config: Option<serde_json::Map<String, serde_json::Value>>,
    /// As in [`Limits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) on_failure: Option<FailPolicyName>,
    /// As in [`Limits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deadline_ms: Option<i64>,
    /// As in [`Limits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) heap_mib: Option<i64>,
    /// As in [`Limits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_failures: Option<i64>,
    /// Load anew what the configuration file says, and forget what the API changed of it. Nothing else may be given.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) reset: bool,
}

impl LoadModule {
    /// What it may take.
    pub(crate) fn limits(&self) -> Limits {
        let Self { on_failure, deadline_ms, heap_mib, max_failures, .. } = *self;
        Limits { on_failure, deadline_ms, heap_mib, max_failures }
    }
}

/// A module, with its counters and where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ModuleInfo {
    /// What the dataplane tells.
    #[serde(flatten)]
    pub(crate) status: ModuleStatus,
    /// Who loaded it.
    pub(crate) origin: Origin,
    /// The key that it was signed by.
    pub(crate) signed_by: Option<String>,
    /// Most processor time for one call in milliseconds.
    pub(crate) deadline_ms: Option<i64>,
    /// Largest heap in MiB.
    pub(crate) heap_mib: Option<i64>,
    /// Batches failed in a row after which it is taken out of service.
    pub(crate) max_failures: Option<i64>,
    /// What it was handed.
    pub(crate) config: serde_json::Value,
}

/// All modules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Modules {
    /// The modules.
    pub(crate) modules: Vec<ModuleInfo>,
}

/// A chain as it is to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SetChain {
    /// Its modules, first to last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) modules: Option<Vec<StepSpec>>,
    /// Make it what the configuration file says, and forget what the API changed of it. Nothing else may be given.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) reset: bool,
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChainInfo {
    /// Its name.
    pub(crate) name: String,
    /// Its modules, first to last.
    pub(crate) modules: Vec<StepSpec>,
    /// Who made it as it is.
    pub(crate) origin: Origin,
    /// Number of rules that use it, and one more when the default action does.
    pub(crate) used_by: usize,
}

/// All chains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Chains {
    /// The chains; the one named `default` first.
    pub(crate) chains: Vec<ChainInfo>,
}
