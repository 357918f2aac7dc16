//! The dataplane as a whole, as control drives it: start, publish rules, place services, read status, stop.

mod config;
mod packet;
mod probe;
mod registry;
mod status;

pub use config::{ChainConfig, FailPolicy, Mode, ModeRequest, ModuleConfig, PlaneConfig, UmemLayout};
pub use probe::{ModuleSaid, Probe, ProbeAlert, ProbeReport};
pub use status::{
    Count, InterfaceStatus, Latency, ModuleStatus, Named, PlaneStatus, RuleCount, SocketStatus, WorkerStatus,
};
