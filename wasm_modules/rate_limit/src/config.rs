//! The module's configuration.

use alloc::{format, string::String, vec::Vec};

use secuxflow_sdk::{Action, Rate, check_range};
use serde::Deserialize;

/// A limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Lasting rate.
    pub per_second: u64,
    /// As much at once; as `per_second` unless given.
    pub burst: Option<u64>,
}

impl Limit {
    pub(crate) fn rate(self, name: &str) -> Result<Rate, String> {
        check_range(&format!("{name}.per_second"), &self.per_second, &(1..=1_000_000_000_000))?;
        if let Some(burst) = self.burst {
            check_range(&format!("{name}.burst"), &burst, &(1..=Rate::MAX_BURST))?;
        }
        Ok(Rate::new(self.per_second, self.burst.unwrap_or(self.per_second)))
    }
}

/// The options; `schema.json` says what each is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "in schema.json and wasm_modules/README.md")]
pub struct Config {
    pub packets: Option<Limit>,
    pub bytes: Option<Limit>,
    pub connections: Option<Limit>,
    pub prefix_v4: u8,
    pub prefix_v6: u8,
    pub on_excess: Action,
    pub block_seconds: u32,
    pub answers: bool,
    pub exempt: Vec<String>,
    pub sources: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            packets: None,
            bytes: None,
            connections: None,
            prefix_v4: 32,
            prefix_v6: 64,
            on_excess: Action::Drop,
            block_seconds: 0,
            answers: false,
            exempt: Vec::new(),
            sources: 65536,
        }
    }
}

impl Config {
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.on_excess == Action::Ignore {
            return Err("on_excess: ignore, it must be alert, drop or reject".into());
        }
        check_range("prefix_v4", &self.prefix_v4, &(1..=32))?;
        check_range("prefix_v6", &self.prefix_v6, &(1..=128))?;
        check_range("block_seconds", &self.block_seconds, &(0..=86_400))?;
        check_range("sources", &self.sources, &(16..=4_000_000))?;
        if self.packets.is_none() && self.bytes.is_none() && self.connections.is_none() {
            return Err("no limit is given: packets, bytes, connections or several of them are expected".into());
        }
        Ok(())
    }
}
