//! pattern_guard: searches payloads for all of many byte strings at once, with one step a byte whatever their number.
//!
//! The automaton is aho-corasick's DFA, made from the configuration when the module starts; `guest` binds it to the host.
#![cfg_attr(target_arch = "wasm32", no_std)]
#![deny(missing_docs)]

extern crate alloc;

mod config;
mod patterns;

#[cfg(target_arch = "wasm32")]
mod guest;

pub use config::{Config, parse as parse_config};
pub use patterns::Patterns;
