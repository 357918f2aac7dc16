//! The module's configuration: `{}` or `{"max_name": N}`.

use serde::Deserialize;

/// What can be configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Longest name in octets, 1 to 255.
    pub max_name: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_name: 180 }
    }
}
