//! What inspection modules in Rust are written with.
//!
//! A module is a type that implements [`Module`], and [`Inspect`] (packets), [`Stream`] (TCP streams) or both. [`module!`]
//! makes a guest of it: the exports, the allocator, the panic handler, and the sections that say what it is. There is no
//! `unsafe` in a module.
//!
//! ```
//! use secuxflow_sdk::{Batch, Inspect, Module, Setup, Severity, Verdict, serde::Deserialize};
//!
//! #[derive(Deserialize)]
//! #[serde(crate = "secuxflow_sdk::serde", deny_unknown_fields, default)]
//! struct Config {
//!     port: u16,
//! }
//!
//! impl Default for Config {
//!     fn default() -> Self {
//!         Self { port: 23 }
//!     }
//! }
//!
//! struct Telnet {
//!     port: u16,
//! }
//!
//! impl Module for Telnet {
//!     type Config = Config;
//!
//!     fn new(config: Config, _setup: &mut Setup) -> Result<Self, String> {
//!         if config.port == 0 { Err("port: must be 1 to 65535".into()) } else { Ok(Self { port: config.port }) }
//!     }
//! }
//!
//! impl Inspect for Telnet {
//!     fn inspect(&mut self, batch: &mut Batch<'_>) {
//!         for mut packet in batch.iter() {
//!             if packet.is_tcp() && packet.dst_port == self.port {
//!                 packet.alert(Severity::Medium, 1, "telnet");
//!                 packet.set_verdict(Verdict::Drop);
//!             }
//!         }
//!     }
//! }
//!
//! secuxflow_sdk::module!(Telnet: Inspect, schema = r#"{"type": "object", "properties": {
//!     "port": {"type": "integer", "minimum": 1, "maximum": 65535, "default": 23}}, "additionalProperties": false}"#);
//!
//! // On the build machine, without a guest:
//! use secuxflow_sdk::harness::{Frame, Harness};
//! let mut harness = Harness::<Telnet>::new("{}").unwrap();
//! let report = harness.frames(&[Frame::tcp("10.0.0.1:40000", "10.0.0.2:23").bytes()]);
//! assert_eq!(report.verdicts, [Verdict::Drop]);
//! assert_eq!(report.signatures(), [1]);
//! ```
//!
//! Slices of packets and chunks are the frames themselves, read-only, in the window (`wasm_modules/README.md`). They are
//! read by plain loads, and copied with [`copy`]. Where `core` and `alloc` are built with the module and without bulk memory,
//! as `scripts/compile_wasm.sh` does, every other copy is made of plain loads too.
#![cfg_attr(target_arch = "wasm32", no_std)]
#![deny(missing_docs, missing_debug_implementations, unsafe_code, unsafe_op_in_unsafe_fn)]
#![deny(clippy::undocumented_unsafe_blocks)]

#[cfg(all(target_arch = "wasm32", target_feature = "bulk-memory"))]
compile_error!("build with -C target-cpu=mvp, as scripts/compile_wasm.sh does: memory.copy from the window traps");

/// The example in Rust of the specification is a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
#[derive(Debug)]
pub struct Specification;

#[doc(hidden)]
pub extern crate alloc;

mod action;
mod alert;
mod batch;
mod calls;
mod config;
mod domains;
#[cfg(any(target_arch = "wasm32", test))]
mod heap;
#[cfg(any(target_arch = "wasm32", test))]
mod memory;
mod module;
mod networks;
mod rate;
mod setup;
mod sliding;
mod stream;
mod table;
mod window;

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod guest;
#[cfg(not(target_arch = "wasm32"))]
pub mod harness;

pub use action::Action;
pub use alert::{Fields, Severity};
pub use batch::{Batch, Packet, Verdict};
pub use config::{check_range, parse as parse_config};
pub use domains::Domains;
pub use module::{Exports, Inspect, Module, Stream, about};
pub use networks::Networks;
pub use rate::{Bucket, Rate};
pub use secuxflow_abi as abi;
pub use serde;
pub use serde_json;
pub use setup::{Counter, Gauge, Setup, clock};
pub use sliding::{Count, Halves, Sketch};
pub use stream::{Chunk, Chunks};
pub use table::{FlowStates, Sources, Table, prefix};
pub use window::copy;
