//! header_guard: reads every header of every packet, and drops those that no honest sender writes.
//!
//! The checks are plain safe code over slices, tested on the build machine, where the benchmark runs the very same code
//! outside of any guest; `guest` binds it to the host.
#![cfg_attr(target_arch = "wasm32", no_std)]
#![deny(missing_docs)]

mod check;

#[cfg(target_arch = "wasm32")]
mod guest;

pub use check::{Flaw, check};
