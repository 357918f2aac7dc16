//! dns_guard: drops DNS queries over UDP whose names break RFC 1035, and names longer than configured (tunnels).
//!
//! The parsing is plain safe code over slices, tested on the build machine; `guest` binds it to the host.
#![cfg_attr(target_arch = "wasm32", no_std)]
#![deny(missing_docs)]

mod config;
mod name;

#[cfg(target_arch = "wasm32")]
mod guest;

pub use config::{Config, parse as parse_config};
pub use name::{Flaw, check};
