//! The daemon's configuration: TOML text and flags become one checked [`Config`], once.

mod check;
mod file;
mod modules;
mod streams;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use secuxflow::plane::PlaneConfig;

use crate::modules::Trust;

pub(crate) use check::DEFAULT_CHAIN;
pub(crate) use file::{Enforcement, FailPolicyName, ModeName, RawConfig};
pub(crate) use modules::WrittenOptions;

/// Where the configuration is looked for when no file is named.
pub(crate) const DEFAULT_PATH: &str = "/etc/secuxflow/secuxflow.toml";
/// Where the control socket is unless configured.
pub(crate) const DEFAULT_SOCKET: &str = "/run/secuxflow/secuxflow.sock";

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}; name the right file, or copy config/secuxflow.example.toml there", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text is not TOML, or has a key or a type that is not known.
    #[error("{}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The parser's words with line and column.
        message: String,
    },
    /// Values that break rules, all of them.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<Fault>),
}

/// One value that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {rule}")]
pub(crate) struct Fault {
    /// Path of the key, as in `module[0].heap_mib`.
    pub(crate) key: String,
    /// The rule it breaks, and how to mend it.
    pub(crate) rule: String,
}

/// The control socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SocketConfig {
    /// Path of the Unix socket.
    pub(crate) path: PathBuf,
    /// Group that may use it besides root.
    pub(crate) group: Option<String>,
}

/// Where alerts go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AlertConfig {
    /// EVE JSON lines are appended here; none switches the file off.
    pub(crate) file: Option<PathBuf>,
    /// Alerts kept for `alert list`.
    pub(crate) ring: usize,
}

/// Everything that the daemon is told, checked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    /// The file it came from, none when flags alone were given.
    pub(crate) origin: Option<PathBuf>,
    /// The dataplane's part.
    pub(crate) plane: PlaneConfig,
    /// Options of its modules as they are written.
    pub(crate) options: WrittenOptions,
    /// Whom modules have to come from.
    pub(crate) trust: Trust,
    /// Whether drops of rules, blocklists and the default action only count and alert.
    pub(crate) enforcement: Enforcement,
    /// The control socket.
    pub(crate) socket: SocketConfig,
    /// Address of the metrics endpoint; none switches it off.
    pub(crate) metrics: Option<SocketAddr>,
    /// Alerts.
    pub(crate) alerts: AlertConfig,
    /// File that rules and services survive a restart in.
    pub(crate) state: PathBuf,
    /// Log filter, as in `info` or `secuxflow=debug`.
    pub(crate) log: String,
}

impl Config {
    /// Names of the chains, in the order that alerts count them.
    pub(crate) fn chain_names(&self) -> Vec<String> {
        self.plane.chains.iter().map(|chain| chain.name.clone()).collect()
    }
}

/// Values given on the command line; they win over the file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overrides {
    /// Interfaces to filter.
    pub(crate) interfaces: Vec<String>,
    /// Bind mode.
    pub(crate) mode: Option<ModeName>,
    /// Fail policy.
    pub(crate) fail_policy: Option<FailPolicyName>,
    /// Only count and alert what would be dropped, whatever the file says.
    pub(crate) monitor: bool,
    /// Control socket.
    pub(crate) socket: Option<PathBuf>,
    /// Group of the control socket.
    pub(crate) socket_group: Option<String>,
    /// Metrics address, or `off`.
    pub(crate) metrics: Option<String>,
    /// State file.
    pub(crate) state: Option<PathBuf>,
    /// EVE file, or `off`.
    pub(crate) alert_file: Option<String>,
    /// Log filter.
    pub(crate) log: Option<String>,
}

/// Read `path` (or nothing), put `overrides` over it and check the result.
///
/// # Errors
/// [`ConfigError`]: the file is unreadable, is not understood, or has values that break rules.
pub(crate) fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Config, ConfigError> {
    let (mut raw, base) = match path {
        None => (RawConfig::default(), PathBuf::new()),
        Some(path) => {
            let text =
                fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
            (parse(path, &text)?, path.parent().map(Path::to_owned).unwrap_or_default())
        }
    };
    raw.resolve(&base);
    raw.put_over(overrides);
    let mut config = check::check(raw)?;
    config.origin = path.map(Path::to_owned);
    Ok(config)
}

fn parse(path: &Path, text: &str) -> Result<RawConfig, ConfigError> {
    toml::from_str(text)
        .map_err(|e| ConfigError::Syntax { path: path.to_owned(), message: e.to_string().trim_end().to_owned() })
}

#[cfg(test)]
mod tests;
