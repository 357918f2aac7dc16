//! The dataplane as a whole, as control drives it: start, publish rules, place services, read status, stop.

mod config;
mod egress;
mod error;
mod facade;
mod flows;
mod follow;
mod inspection;
mod interfaces;
mod offload;
mod packet;
mod probe;
mod registry;
mod running;
mod status;
mod streams;
mod tester;

#[cfg(test)]
mod netns_tests;

pub use config::{
    ChainConfig, ChainStep, Code, EgressRequest, FailPolicy, FlowConfig, ForwardTo, Mode, ModeRequest, ModuleConfig,
    MultiBuffer, NumaRequest, PlaneConfig, UmemLayout,
};
pub use error::PlaneError;
pub use facade::Plane;
pub use flows::{FlowRecord, FlowState, SourceRecord};
pub use inspection::PreparedInspection;
pub use probe::{ModuleSaid, Probe, ProbeAlert, ProbeReport};
pub use status::{
    Count, FlowTableStatus, InterfaceStatus, Latency, MetricKind, ModuleAbout, ModuleMetric, ModuleStatus, Named,
    OffloadStatus, PlaneStatus, Replies, RuleCount, SocketStatus, TableMemory, WorkerStatus,
};
