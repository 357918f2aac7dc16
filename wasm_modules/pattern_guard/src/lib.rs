//! pattern_guard: searches payloads for all of many byte strings at once, with one step a byte whatever their number.
//!
//! The automaton is aho-corasick's DFA, made from the configuration when the module starts.
#![cfg_attr(target_arch = "wasm32", no_std)]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

mod config;
mod patterns;

use alloc::string::String;

pub use config::Config;
pub use patterns::Patterns;
use secuxflow_sdk::{Batch, Inspect, Module, Setup, Severity, Verdict};

/// The module.
#[derive(Debug)]
pub struct PatternGuard {
    patterns: Patterns,
    drop: bool,
}

impl Module for PatternGuard {
    type Config = Config;

    fn new(config: Config, _setup: &mut Setup) -> Result<Self, String> {
        config.check()?;
        Ok(Self { patterns: Patterns::new(&config.patterns, config.ignore_case)?, drop: config.drop })
    }
}

impl Inspect for PatternGuard {
    fn inspect(&mut self, batch: &mut Batch<'_>) {
        for mut packet in batch.iter() {
            if let Some(pattern) = self.patterns.find(packet.payload()) {
                packet.alert(Severity::High, pattern, "pattern in the payload");
                if self.drop {
                    packet.set_verdict(Verdict::Drop);
                }
            }
        }
    }
}

secuxflow_sdk::module!(PatternGuard: Inspect, schema = include_str!("../schema.json"));
