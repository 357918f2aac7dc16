//! The configuration as it is written: TOML keys and their types, before any rule is checked.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use secuxflow::{
    plane::{EgressRequest, FailPolicy, ForwardTo, ModeRequest, MultiBuffer},
    stream::{Midstream, Pressure, Unverifiable, Urgent},
};
use serde::{Deserialize, Serialize};

use super::Overrides;
use crate::modules::StepSpec;

/// `mode`: how frames get from the driver into the UMEM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ModeName {
    /// The fastest that the driver has.
    #[default]
    Auto,
    /// Zero-copy, or refuse to start.
    ZeroCopy,
    /// Copy mode with native XDP, or refuse to start.
    Copy,
    /// Generic XDP, which every device has.
    Skb,
}

impl From<ModeName> for ModeRequest {
    fn from(name: ModeName) -> Self {
        match name {
            ModeName::Auto => Self::Auto,
            ModeName::ZeroCopy => Self::ZeroCopy,
            ModeName::Copy => Self::Copy,
            ModeName::Skb => Self::Skb,
        }
    }
}

/// `workers.egress`: how packets leave toward services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum EgressName {
    /// By whichever way is cheaper.
    #[default]
    Auto,
    /// By AF_XDP TX only.
    Tx,
    /// By injection only, or not at all.
    Inject,
}

impl From<EgressName> for EgressRequest {
    fn from(name: EgressName) -> Self {
        match name {
            EgressName::Auto => Self::Auto,
            EgressName::Tx => Self::Tx,
            EgressName::Inject => Self::Inject,
        }
    }
}

/// `fail_policy` and `on_failure`: what happens to traffic that should be inspected and cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FailPolicyName {
    /// It passes uninspected.
    #[default]
    #[serde(alias = "fail_open")]
    #[value(alias = "fail_open")]
    Open,
    /// It is dropped.
    #[serde(alias = "fail_closed")]
    #[value(alias = "fail_closed")]
    Closed,
}

impl From<FailPolicyName> for FailPolicy {
    fn from(name: FailPolicyName) -> Self {
        match name {
            FailPolicyName::Open => Self::Open,
            FailPolicyName::Closed => Self::Closed,
        }
    }
}

impl From<FailPolicy> for FailPolicyName {
    fn from(policy: FailPolicy) -> Self {
        match policy {
            FailPolicy::Open => Self::Open,
            FailPolicy::Closed => Self::Closed,
        }
    }
}

impl FailPolicyName {
    /// The word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// `enforcement`: whether what would drop a packet does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Enforcement {
    /// It does.
    #[default]
    Enforce,
    /// Drops of rules, blocklists and the default action only count and alert.
    Monitor,
}

impl Enforcement {
    /// The word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Monitor => "monitor",
        }
    }
}

/// `default_action`: what happens to packets that no rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DefaultAction {
    #[default]
    Pass,
    Drop,
    Inspect,
}

/// The whole file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawConfig {
    pub(super) interfaces: Vec<String>,
    pub(super) mode: ModeName,
    pub(super) fail_policy: FailPolicyName,
    pub(super) enforcement: Enforcement,
    pub(super) default_action: DefaultAction,
    pub(super) default_chain: Option<String>,
    pub(super) state: Option<PathBuf>,
    pub(super) bpffs: Option<PathBuf>,
    pub(super) log: Option<String>,
    pub(super) socket: RawSocket,
    pub(super) metrics: RawMetrics,
    pub(super) alerts: RawAlerts,
    pub(super) umem: RawUmem,
    pub(super) workers: RawWorkers,
    pub(super) flows: RawFlows,
    pub(super) streams: RawStreams,
    #[serde(rename = "modules")]
    pub(super) module_rules: RawModules,
    #[serde(rename = "module")]
    pub(super) modules: Vec<RawModule>,
    #[serde(rename = "chain")]
    pub(super) chains: Vec<RawChain>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSocket {
    pub(super) path: Option<PathBuf>,
    pub(super) group: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawMetrics {
    pub(super) listen: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAlerts {
    pub(super) file: Option<String>,
    pub(super) ring: Option<i64>,
    pub(super) queue: Option<i64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawUmem {
    pub(super) frames: Option<i64>,
    pub(super) frame_size: Option<i64>,
    pub(super) ring: Option<i64>,
    pub(super) multi_buffer: MultiBuffer,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawWorkers {
    pub(super) cores: Vec<usize>,
    pub(super) numa: Option<RawNuma>,
    pub(super) batch: Option<i64>,
    pub(super) busy_poll: bool,
    pub(super) spin_us: Option<i64>,
    pub(super) prefer_busy_poll: bool,
    pub(super) egress: EgressName,
    pub(super) set_gro: bool,
}

/// `workers.numa`: the number of a node, or a word.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum RawNuma {
    Node(i64),
    Word(String),
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawFlows {
    pub(super) table: Option<i64>,
    pub(super) idle_seconds: Option<i64>,
    pub(super) offload: Option<bool>,
    pub(super) offloaded: Option<i64>,
    pub(super) blocked: Option<i64>,
    pub(super) ttl_seconds: Option<i64>,
    pub(super) max_ttl_seconds: Option<i64>,
    pub(super) forward: ForwardName,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawStreams {
    pub(super) memory_mib: Option<i64>,
    pub(super) table: Option<i64>,
    pub(super) early_kib: Option<i64>,
    pub(super) history_kib: Option<i64>,
    pub(super) midstream: Midstream,
    pub(super) pressure: Pressure,
    pub(super) unverifiable: Unverifiable,
    pub(super) urgent: Urgent,
    pub(super) opening_seconds: Option<i64>,
    pub(super) open_seconds: Option<i64>,
    pub(super) closing_seconds: Option<i64>,
    pub(super) datagrams: Option<i64>,
    pub(super) datagram_seconds: Option<i64>,
}

/// `flows.forward`: where packets of cleared flows go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ForwardName {
    /// To the kernel's stack.
    #[default]
    Stack,
    /// Straight into the service's device.
    Service,
}

impl From<ForwardName> for ForwardTo {
    fn from(name: ForwardName) -> Self {
        match name {
            ForwardName::Stack => Self::Stack,
            ForwardName::Service => Self::Service,
        }
    }
}

/// `[modules]`: what holds for all of them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawModules {
    pub(super) max: Option<i64>,
    pub(super) require_signed: bool,
    pub(super) keys: Vec<PathBuf>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawModule {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) on_failure: Option<FailPolicyName>,
    pub(super) deadline_ms: Option<i64>,
    pub(super) heap_mib: Option<i64>,
    pub(super) max_failures: Option<i64>,
    #[serde(default)]
    pub(super) config: toml::Table,
    /// Where paths within `config` begin.
    #[serde(skip)]
    pub(super) base: PathBuf,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawChain {
    pub(super) name: String,
    #[serde(default)]
    pub(super) modules: Vec<StepSpec>,
}

impl RawConfig {
    /// Make relative paths relative to `base`, the folder of the file they were written in.
    pub(super) fn resolve(&mut self, base: &Path) {
        for path in [&mut self.state, &mut self.bpffs, &mut self.socket.path].into_iter().flatten() {
            *path = base.join(&*path);
        }
        for path in self.modules.iter_mut().map(|module| &mut module.path).chain(&mut self.module_rules.keys) {
            *path = base.join(&*path);
        }
        for module in &mut self.modules {
            base.clone_into(&mut module.base);
        }
        if let Some(file) = &mut self.alerts.file
            && file != super::check::OFF
        {
            *file = base.join(&*file).to_string_lossy().into_owned();
        }
    }

    /// Put values of the command line over those of the file.
    pub(super) fn put_over(&mut self, flags: &Overrides) {
        if !flags.interfaces.is_empty() {
            self.interfaces.clone_from(&flags.interfaces);
        }
        self.mode = flags.mode.unwrap_or(self.mode);
        self.fail_policy = flags.fail_policy.unwrap_or(self.fail_policy);
        if flags.monitor {
            self.enforcement = Enforcement::Monitor;
        }
        put(&mut self.socket.path, flags.socket.as_ref());
        put(&mut self.socket.group, flags.socket_group.as_ref());
        put(&mut self.metrics.listen, flags.metrics.as_ref());
        put(&mut self.alerts.file, flags.alert_file.as_ref());
        put(&mut self.state, flags.state.as_ref());
        put(&mut self.log, flags.log.as_ref());
    }
}

fn put<T: Clone>(place: &mut Option<T>, flag: Option<&T>) {
    if let Some(value) = flag {
        *place = Some(value.clone());
    }
}
