//! What the daemon needs of a dataplane, and the one place where the real one is started.

use std::{net::IpAddr, sync::Arc};

use secuxflow::{
    alert::AlertQueue,
    inspect::InspectError,
    plane::{
        ChainConfig, FlowRecord, ModuleConfig, Plane, PlaneConfig, PlaneError, PlaneStatus, PreparedInspection, Probe,
        ProbeReport, SourceRecord,
    },
    rules::Ruleset,
    service::Service,
};

use crate::{api::ErrorCode, error::ApiError};

/// Names behind the indices that alerts carry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Filtered interfaces.
    pub(crate) interfaces: Vec<String>,
    /// Chains.
    pub(crate) chains: Vec<String>,
    /// Modules.
    pub(crate) modules: Vec<String>,
}

/// A running dataplane. Every method may block for some milliseconds (a ruleset is compiled, a device is bound), so it
/// is called outside the async executor. Errors are messages for people.
pub(crate) trait Backend: Send + Sync {
    /// Make `rules` the live ruleset, all or nothing; returns its generation.
    fn apply_rules(&self, rules: &Ruleset) -> Result<u64, String>;
    /// Make `services` the known services, all or nothing.
    fn set_services(&self, services: &[Service]) -> Result<(), String>;
    /// Get these modules and chains ready to be set. It may take seconds, in which all else goes on.
    fn prepare_inspection(
        &self,
        modules: &[ModuleConfig],
        chains: &[ChainConfig],
    ) -> Result<Option<PreparedInspection>, ApiError>;
    /// Make these the modules and chains, all or nothing; returns the generation of the rules. What was prepared must be of the
    /// same, and without it they are made ready now.
    fn set_inspection(
        &self,
        modules: &[ModuleConfig],
        chains: &[ChainConfig],
        prepared: Option<PreparedInspection>,
    ) -> Result<u64, ApiError>;
    /// Counters and states of this moment.
    fn status(&self) -> Result<PlaneStatus, String>;
    /// What would happen to a packet.
    fn probe(&self, probe: &Probe) -> Result<ProbeReport, String>;
    /// All flows that are known, in no order.
    fn flows(&self) -> Result<Vec<FlowRecord>, String>;
    /// Forget the flow with this number; whether there was one.
    fn forget_flow(&self, flow_id: u64) -> Result<bool, String>;
    /// Forget all flows; how many there were.
    fn forget_flows(&self) -> Result<usize, String>;
    /// Sources that modules blocked, in no order.
    fn blocked_sources(&self) -> Result<Vec<SourceRecord>, String>;
    /// Let a source in again, or all; how many were blocked.
    fn unblock(&self, source: Option<IpAddr>) -> Result<usize, String>;
    /// The queue that the workers put alerts into.
    fn alerts(&self) -> Arc<AlertQueue>;
    /// Names behind the indices in alerts.
    fn names(&self) -> Names;
    /// Look for changed links and neighbours; called twice a second.
    fn tick(&self) -> Result<(), String>;
    /// Detach, stop the workers and release everything.
    fn shutdown(self: Box<Self>) -> Result<(), String>;
}

/// Start the dataplane with what the configuration and the state file say.
///
/// # Errors
/// Whatever keeps the dataplane from starting, naming the interface, module or setting.
pub(crate) fn start_backend(
    config: &PlaneConfig,
    rules: &Ruleset,
    services: &[Service],
) -> anyhow::Result<Box<dyn Backend>> {
    Ok(Box::new(Plane::start(config, rules, services)?))
}

impl Backend for Plane {
    fn apply_rules(&self, rules: &Ruleset) -> Result<u64, String> {
        Self::apply_rules(self, rules).map_err(words)
    }

    fn set_services(&self, services: &[Service]) -> Result<(), String> {
        Self::set_services(self, services).map_err(words)
    }

    fn prepare_inspection(
        &self,
        modules: &[ModuleConfig],
        chains: &[ChainConfig],
    ) -> Result<Option<PreparedInspection>, ApiError> {
        Self::prepare_inspection(self, modules, chains).map(Some).map_err(of_inspection)
    }

    fn set_inspection(
        &self,
        modules: &[ModuleConfig],
        chains: &[ChainConfig],
        prepared: Option<PreparedInspection>,
    ) -> Result<u64, ApiError> {
        let prepared = prepared.map_or_else(|| Self::prepare_inspection(self, modules, chains), Ok);
        prepared.and_then(|prepared| Self::set_inspection(self, prepared)).map_err(of_inspection)
    }

    fn status(&self) -> Result<PlaneStatus, String> {
        Self::status(self).map_err(words)
    }

    fn probe(&self, probe: &Probe) -> Result<ProbeReport, String> {
        Self::probe(self, probe).map_err(words)
    }

    fn flows(&self) -> Result<Vec<FlowRecord>, String> {
        Self::flows(self).map_err(words)
    }

    fn forget_flow(&self, flow_id: u64) -> Result<bool, String> {
        Self::forget_flow(self, flow_id).map_err(words)
    }

    fn forget_flows(&self) -> Result<usize, String> {
        Self::forget_flows(self).map_err(words)
    }

    fn blocked_sources(&self) -> Result<Vec<SourceRecord>, String> {
        Self::blocked_sources(self).map_err(words)
    }

    fn unblock(&self, source: Option<IpAddr>) -> Result<usize, String> {
        Self::unblock(self, source).map_err(words)
    }

    fn alerts(&self) -> Arc<AlertQueue> {
        Self::alerts(self)
    }

    fn names(&self) -> Names {
        let (modules, chains) = self.inspection_names();
        Names { interfaces: self.interfaces().to_vec(), chains, modules }
    }

    fn tick(&self) -> Result<(), String> {
        Self::tick(self).map_err(words)
    }

    fn shutdown(self: Box<Self>) -> Result<(), String> {
        Self::shutdown(*self).map_err(words)
    }
}

/// What is wrong with modules and chains, with the field of the request that it is about.
fn of_inspection(error: PlaneError) -> ApiError {
    let (code, field) = match &error {
        PlaneError::Inspect(InspectError::Refused { problem, .. }) => {
            (ErrorCode::Invalid, Some(if problem.contains("configuration") { "config" } else { "code" }))
        }
        PlaneError::Inspect(InspectError::Setting { setting, .. }) => (ErrorCode::Invalid, Some(*setting)),
        PlaneError::Inspect(InspectError::NoRoom { .. }) => (ErrorCode::Conflict, Some("name")),
        _ => (ErrorCode::Dataplane, None),
    };
    ApiError { field: field.map(str::to_owned), ..ApiError::new(code, words(error)) }
}

/// An error with its causes in one line; a cause that the text before it holds already is not said again.
pub(crate) fn words(error: impl Into<anyhow::Error>) -> String {
    let error = error.into();
    error.chain().skip(1).fold(error.to_string(), |told, cause| {
        let cause = cause.to_string();
        if told.contains(&cause) { told } else { format!("{told}: {cause}") }
    })
}

#[cfg(test)]
mod tests {
    use super::words;

    #[derive(Debug, thiserror::Error)]
    enum Nested {
        #[error("outer: {source}")]
        Told { source: std::io::Error },
        #[error("outer")]
        Silent { source: std::io::Error },
    }

    #[test]
    fn every_cause_is_said_once() {
        let cause = || std::io::Error::from_raw_os_error(1);
        let once = format!("outer: {}", cause());
        assert_eq!(words(Nested::Told { source: cause() }), once);
        assert_eq!(words(Nested::Silent { source: cause() }), once);
    }
}
