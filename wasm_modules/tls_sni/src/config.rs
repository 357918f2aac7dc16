//! The module's configuration.

use alloc::{format, string::String, vec::Vec};

use secuxflow_sdk::{Action, Domains, check_range};
use serde::Deserialize;

use crate::ja4::Ja4;

/// The options; `schema.json` says what each is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "in schema.json and wasm_modules/README.md")]
pub struct Config {
    pub ports: Vec<u16>,
    pub allow: Vec<String>,
    pub deny: Vec<String>,
    pub deny_ja4: Vec<String>,
    pub on_denied: Action,
    pub on_malformed: Action,
    pub on_missing: Option<Action>,
    pub on_ech: Action,
    pub log: bool,
    pub clear: bool,
    pub flows: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ports: Vec::new(),
            allow: Vec::new(),
            deny: Vec::new(),
            deny_ja4: Vec::new(),
            on_denied: Action::Drop,
            on_malformed: Action::Drop,
            on_missing: None,
            on_ech: Action::Ignore,
            log: false,
            clear: true,
            flows: 4096,
        }
    }
}

/// What follows from the configuration.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) config: Config,
    pub(crate) allow: Domains,
    pub(crate) deny: Domains,
    /// In order.
    pub(crate) deny_ja4: Vec<Ja4>,
    pub(crate) on_missing: Action,
}

impl Policy {
    /// Check and prepare.
    pub(crate) fn new(config: Config) -> Result<Self, String> {
        check_range("flows", &config.flows, &(16..=1_000_000))?;
        if config.ports.contains(&0) {
            return Err("ports: 0, it must be 1 to 65535".into());
        }
        let mut deny_ja4 = Vec::new();
        for (number, text) in config.deny_ja4.iter().enumerate() {
            let fingerprint = Ja4::parse(text);
            deny_ja4.push(fingerprint.ok_or_else(|| {
                format!(
                    "deny_ja4[{number}]: {text:?} is no JA4 fingerprint, such as t13d1516h2_8daaf6152771_e5627efa2ab1"
                )
            })?);
        }
        deny_ja4.sort_unstable();
        let allow = Domains::new("allow", &config.allow)?;
        let deny = Domains::new("deny", &config.deny)?;
        let on_missing = if allow.is_empty() { Action::Ignore } else { config.on_denied };
        Ok(Self { on_missing: config.on_missing.unwrap_or(on_missing), config, allow, deny, deny_ja4 })
    }
}
