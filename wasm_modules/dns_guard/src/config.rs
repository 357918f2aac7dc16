//! The module's configuration.

use alloc::{string::String, vec, vec::Vec};

use secuxflow_sdk::{Action, check_range};
use serde::Deserialize;

/// The options; `schema.json` says what each is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "in schema.json and wasm_modules/README.md")]
pub struct Config {
    pub ports: Vec<u16>,
    pub max_name: usize,
    pub on_malformed: Action,
    pub deny: Vec<String>,
    pub on_denied: Action,
    pub window_seconds: u32,
    pub tunnel_names: u32,
    pub on_tunnel: Action,
    pub names: u32,
    pub on_many: Action,
    pub generated: u32,
    pub on_generated: Action,
    pub trusted: Vec<String>,
    pub domains: usize,
    pub sources: usize,
    pub flows: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ports: vec![53],
            max_name: 180,
            on_malformed: Action::Drop,
            deny: Vec::new(),
            on_denied: Action::Drop,
            window_seconds: 60,
            tunnel_names: 20,
            on_tunnel: Action::Drop,
            names: 150,
            on_many: Action::Alert,
            generated: 10,
            on_generated: Action::Alert,
            trusted: Vec::new(),
            domains: 8192,
            sources: 4096,
            flows: 1024,
        }
    }
}

impl Config {
    pub(crate) fn check(&self) -> Result<(), String> {
        check_range("max_name", &self.max_name, &(1..=255))?;
        check_range("window_seconds", &self.window_seconds, &(2..=86_400))?;
        check_range("tunnel_names", &self.tunnel_names, &(2..=256))?;
        check_range("names", &self.names, &(2..=256))?;
        check_range("generated", &self.generated, &(2..=256))?;
        check_range("domains", &self.domains, &(16..=1_000_000))?;
        check_range("sources", &self.sources, &(16..=1_000_000))?;
        check_range("flows", &self.flows, &(16..=100_000))?;
        if self.ports.contains(&0) {
            return Err("ports: 0, it must be 1 to 65535".into());
        }
        Ok(())
    }
}
