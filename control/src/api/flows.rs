//! Flows and blocked sources, as the API tells them.

use secuxflow::plane::{FlowRecord, FlowState, SourceRecord};
use serde::{Deserialize, Serialize};

/// Which flows are asked for, and in what order. What is left out lets every flow through.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FlowQuery {
    /// Address or prefix that one of the two ends lies in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
    /// Port of one of the two ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) port: Option<u16>,
    /// Protocol by name or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) proto: Option<String>,
    /// How the flow is dealt with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<FlowState>,
    /// What comes first; packets where it is not given.
    #[serde(default)]
    pub(crate) sort: FlowOrder,
    /// Most flows to tell; all where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<usize>,
}

/// Order of flows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FlowOrder {
    /// Most packets first.
    #[default]
    Packets,
    /// Most bytes first.
    Bytes,
    /// The latest packet first.
    Recent,
}

/// Flows that match, the first `limit` of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Flows {
    /// How many match.
    pub(crate) matching: usize,
    /// How many are known.
    pub(crate) known: usize,
    /// The flows.
    pub(crate) flows: Vec<FlowRecord>,
}

/// Sources that modules blocked, by address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sources {
    /// The sources.
    pub(crate) sources: Vec<SourceRecord>,
}
