//! The way out that needs no socket: injection. Packets are copied into a lane, memory that user space and the kernel
//! share, and one call has an XDP program send them all, each to its own device, as frames without an skb.
//!
//! ```text
//!   worker ── copy ──► lane ── BPF_PROG_RUN, live frames ──► sxf_inject ── devmap ──► veth ──► the container's NAPI
//! ```
//!
//! What the receiving end has to have for that, and when it is cheaper than a TX ring: docs/decisions/0009.

mod gro;
mod injection;
mod lane;
mod spare;
mod types;

#[cfg(test)]
mod tests;

pub use gro::{GroError, turn_on};
pub use injection::{Injection, InjectionError, Loss};
pub use lane::{Inject, Injected, LONGEST, Lane, SLOTS};
