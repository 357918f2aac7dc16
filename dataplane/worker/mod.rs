//! The I/O loop: one pinned thread per queue.

mod budget;
mod command;
mod core;
mod error;
mod injecting;
mod latency;
mod reject;
mod rivals;
mod set;
mod shared;
mod spin;
mod stats;
mod thread;

#[cfg(test)]
mod figures;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod netns_tests;
#[cfg(test)]
mod simulation;

pub use error::WorkerError;
pub use set::{Idle, Inspecting, OpenError, Opened, Options, Workers};
pub use stats::MAX_SERVICES;
