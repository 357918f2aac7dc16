//! The module's configuration.

use alloc::{string::String, vec, vec::Vec};

use secuxflow_sdk::{Action, check_range};
use serde::Deserialize;

/// The options; `schema.json` says what each is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "in schema.json and wasm_modules/README.md")]
pub struct Config {
    pub window_seconds: u32,
    pub ports: u32,
    pub hosts: u32,
    pub on_scan: Action,
    pub half_open: u32,
    pub on_flood: Action,
    pub half_open_source: u32,
    pub on_half_open: Action,
    pub half_open_seconds: u32,
    pub login_ports: Vec<u16>,
    pub logins: u32,
    pub on_brute_force: Action,
    pub block_seconds: u32,
    pub exempt: Vec<String>,
    pub sources: usize,
    pub attempts: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            window_seconds: 60,
            ports: 25,
            hosts: 100,
            on_scan: Action::Drop,
            half_open: 1000,
            on_flood: Action::Alert,
            half_open_source: 100,
            on_half_open: Action::Drop,
            half_open_seconds: 30,
            login_ports: vec![21, 22, 23, 110, 143, 389, 445, 993, 995, 1433, 3306, 3389, 5432, 5900],
            logins: 20,
            on_brute_force: Action::Drop,
            block_seconds: 0,
            exempt: Vec::new(),
            sources: 16384,
            attempts: 32768,
        }
    }
}

impl Config {
    pub(crate) fn check(&self) -> Result<(), String> {
        check_range("window_seconds", &self.window_seconds, &(2..=86_400))?;
        check_range("ports", &self.ports, &(2..=256))?;
        check_range("hosts", &self.hosts, &(2..=256))?;
        check_range("half_open", &self.half_open, &(1..=1_000_000))?;
        check_range("half_open_source", &self.half_open_source, &(1..=1_000_000))?;
        check_range("half_open_seconds", &self.half_open_seconds, &(1..=3600))?;
        check_range("logins", &self.logins, &(1..=1_000_000))?;
        check_range("block_seconds", &self.block_seconds, &(0..=86_400))?;
        check_range("sources", &self.sources, &(16..=1_000_000))?;
        check_range("attempts", &self.attempts, &(16..=4_000_000))?;
        if self.login_ports.contains(&0) {
            return Err("login_ports: 0, it must be 1 to 65535".into());
        }
        Ok(())
    }
}
