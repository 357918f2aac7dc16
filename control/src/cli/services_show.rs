//! Services as they are shown.

use secuxflow::service::{Service, ServiceState, ServiceStatus, WayOut};
use serde::{Deserialize, Serialize};

use super::{output::Show, table::table};
use crate::api::Services;

/// Columns of numbers among those of services.
pub(super) const SERVICE_NUMBERS: [&str; 2] = ["PACKETS", "BYTES"];

/// The columns of services, the first one called `name`.
pub(super) fn service_head(name: &str) -> [&str; 9] {
    [name, "IP", "DEV", "MAC", "STATE", "WAY", "PACKETS", "BYTES", "REASON"]
}

/// A service as a row.
pub(super) fn service_row(status: &ServiceStatus) -> [String; 9] {
    let (state, reason) = match &status.state {
        ServiceState::Up => ("up", status.way_reason.clone()),
        ServiceState::Pending { reason } => ("pending", reason.clone()),
        ServiceState::Down { reason } => ("down", reason.clone()),
    };
    let mac = status.resolved_mac.map_or_else(|| "-".to_owned(), |mac| mac.to_string());
    let Service { name, ip, dev, .. } = &status.service;
    let (packets, bytes) = (status.tx_packets.to_string(), status.tx_bytes.to_string());
    let way = status.way.map_or("-", WayOut::word);
    [name.clone(), ip.to_string(), dev.clone(), mac, state.into(), way.into(), packets, bytes, reason]
}

impl Show for Services {
    fn show(&self) -> String {
        table(service_head("NAME"), self.services.iter().map(service_row), &SERVICE_NUMBERS)
    }
}

/// The service that was added.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct ServiceAdded(Service);

impl Show for ServiceAdded {
    fn show(&self) -> String {
        format!("{}\n", self.0.name)
    }
}
