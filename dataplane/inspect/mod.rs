//! Inspection: WASM modules that read frames in place.
//!
//! [`Inspector`] compiles the modules once, by its [`Loader`], and owns what outlives a worker (engine, counters). [`Runner`]
//! is a worker's own set of instances, each with the UMEM mapped read-only into its memory; [`Runner::run`] takes a batch of packet
//! descriptors through a chain. When modules or chains change, a [`Loadout`] is prepared aside, each worker gets a runner by
//! it, and that takes over the instances of all modules that stay. The contract with the guests is the crate `secuxflow_abi`.

mod batch;
mod budget;
mod engine;
mod error;
mod examine;
mod host;
mod inspector;
mod instance;
mod isolate;
mod loader;
mod metrics;
mod module;
mod numbers;
mod region;
mod runner;
mod sections;
mod shared;
mod stats;
mod ticker;
mod told;
mod window;

#[cfg(test)]
mod tests;

pub use error::InspectError;
pub use examine::{ModuleReport, examine};
pub use inspector::{Inspector, Loadout};
pub use loader::Loader;
pub use region::{ArenaPages, Region, SharedMemory};
pub use runner::{Outcome, Runner};
