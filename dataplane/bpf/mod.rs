//! The XDP programs: load, attach, publish a generation, read counters.

mod attach;
mod counters;
mod error;
mod filter;
mod flows;
mod mount;
mod object;
mod offload;
mod rule_counts;
mod samples;
mod set_tables;
mod shared;
mod slots;
mod sys;
mod tables;
pub(crate) mod types;

#[cfg(test)]
mod cache_tests;
#[cfg(test)]
mod differential;
#[cfg(test)]
mod figures;
#[cfg(test)]
mod flow_figures;
#[cfg(test)]
mod flow_tests;
#[cfg(test)]
mod monitor_tests;
#[cfg(test)]
mod set_figures;
#[cfg(test)]
mod set_tests;
#[cfg(test)]
mod split_tests;
#[cfg(test)]
mod swap_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod undecidable_tests;

pub use error::BpfError;
pub use filter::{Filter, MAX_INTERFACES, MAX_QUEUES};
pub use flows::{BlockedSource, CachedFlow, FlowCache, Swept};
pub use offload::{Exit, Features, Offload, features};
pub use samples::Sample;
pub use types::{METADATA_LEN, Metadata};

pub(crate) use object::quiet;
pub(crate) use sys::create_xdp_link;
