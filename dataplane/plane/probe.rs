//! Test inspection: what would happen to a packet, without sending one.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::rules::RuleId;

/// The packet to try, made up from its tuple.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Source address.
    pub src: IpAddr,
    /// Destination address, of the same family.
    pub dst: IpAddr,
    /// Source port.
    pub sport: u16,
    /// Destination port.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// Transport payload, at most 1400 bytes.
    pub payload: Vec<u8>,
}

/// What a module said of the packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleSaid {
    /// Module.
    pub module: String,
    /// `pass`, `drop` or `failed: …`.
    pub verdict: String,
    /// Alerts it raised: severity, signature, message.
    pub alerts: Vec<ProbeAlert>,
}

/// An alert raised during test inspection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeAlert {
    /// 1 (high) to 4 (informational).
    pub severity: u8,
    /// Signature number.
    pub signature: u32,
    /// Text.
    pub message: String,
}

/// What would happen to the packet, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeReport {
    /// Rule that wins, none for the default action.
    pub rule: Option<RuleId>,
    /// Its action: `pass`, `drop`, `inspect`.
    pub action: String,
    /// Chain for `inspect`.
    pub chain: Option<String>,
    /// Why this rule: for every matching rule in order, the field that decided against the next.
    pub reasons: Vec<String>,
    /// Modules that ran, in order.
    pub modules: Vec<ModuleSaid>,
    /// Name of the service that would get it.
    pub service: Option<String>,
    /// End result: `pass`, `drop`, `forward`, with the cause in words.
    pub verdict: String,
    /// The cause in words.
    pub cause: String,
}
