//! ips: runs rules of the Suricata language on packets, streams and transactions of application protocols.
//!
//! The engine is plain safe Rust; `module` binds it to the host. docs/ips.md says what of the language is done.
#![cfg_attr(target_arch = "wasm32", no_std)]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

pub mod app;
pub mod buffers;
pub mod config;
pub mod detect;
pub mod engine;
pub mod load;
mod module;
pub mod packet;
pub mod report;
pub mod rule;
pub mod state;

pub use module::Ips;
