//! secuxflow's dataplane: XDP classification, AF_XDP workers, and WASM modules that read frames in place.
//!
//! The folders are the architecture's nouns; `docs/architecture.md` draws how a packet goes through them. The crate knows
//! nothing of daemons, sockets toward administrators or metrics: [`plane`] is what control drives it by.

pub mod alert;
pub mod bpf;
mod chained;
pub mod clock;
mod counter;
#[cfg(test)]
mod counting;
pub mod egress;
pub mod flow;
pub mod inspect;
mod numa;
pub mod offline;
pub mod plane;
pub mod process;
pub mod rules;
pub mod service;
pub mod stream;
pub mod wire;
pub mod worker;
pub mod xsk;
