//! What an administrator may do, whatever it arrives by: each change goes to the dataplane, then to the state file, and
//! is taken back when either refuses.

mod chains;
mod change;
mod expiry;
mod flows;
mod modules;
mod rules;
mod services;
mod sets;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Instant,
};

use jiff::Timestamp;
use secuxflow::{
    alert::AlertQueue,
    plane::{ChainConfig, FailPolicy, ModuleConfig, ProbeReport},
    rules::{Action, Ruleset},
};

use crate::{
    alerts::AlertStore,
    api::{Alerts, ErrorCode, Inspect, Status},
    backend::{Backend, Names},
    config::{Config, Enforcement, WrittenOptions},
    error::ApiError,
    modules::Trust,
    probe,
    state::State,
};

/// Shape of every answer.
type Answer<T> = Result<T, ApiError>;

/// What the configuration fixes for the life of the daemon.
#[derive(Debug, Clone)]
struct Fixed {
    config: Option<String>,
    fail_policy: FailPolicy,
    enforcement: Enforcement,
    default_action: Action,
    /// Of the configuration, without their files' bytes.
    modules: Vec<ModuleConfig>,
    chains: Vec<ChainConfig>,
    /// Of those modules.
    options: WrittenOptions,
    trust: Trust,
    state_path: PathBuf,
    started: Timestamp,
    since: Instant,
}

/// The daemon's state and its dataplane.
pub(crate) struct Admin {
    // None once the daemon stops: a connection that lingers must not keep the dataplane alive.
    backend: RwLock<Option<Box<dyn Backend>>>,
    queue: Arc<AlertQueue>,
    fixed: Fixed,
    // Held across a whole change, so that dataplane, file and memory change together and in one order.
    state: Mutex<State>,
    // Taken before `state`, and held while modules and chains are made ready and changed: one such change after the other.
    inspection: Mutex<()>,
    // No entry of a set is taken out before this moment.
    entry_expiry: Mutex<Option<Instant>>,
    // When rules whose time was over could last not be taken out.
    expiry_failed: Mutex<Option<Timestamp>>,
    alerts: Arc<AlertStore>,
}

/// `state`'s rules and sets as the dataplane takes them.
pub(crate) fn ruleset(state: &State, default_action: &Action, enforcement: Enforcement) -> Ruleset {
    let sets = state.sets.values().map(|set| Arc::clone(set.prefixes())).collect();
    let monitor = enforcement == Enforcement::Monitor;
    Ruleset { sets, monitor, ..Ruleset::new(state.rules.clone(), default_action.clone()) }
}

impl Admin {
    /// Take over a `backend` that was started with `state`.
    pub(crate) fn new(config: &Config, backend: Box<dyn Backend>, state: State, alerts: Arc<AlertStore>) -> Self {
        let fixed = Fixed {
            config: config.origin.as_ref().map(|path| path.display().to_string()),
            fail_policy: config.plane.fail_policy,
            enforcement: config.enforcement,
            default_action: config.plane.default_action.clone(),
            modules: config.plane.modules.clone(),
            chains: config.plane.chains.clone(),
            options: config.options.clone(),
            trust: config.trust.clone(),
            state_path: config.state.clone(),
            started: Timestamp::now(),
            since: Instant::now(),
        };
        let queue = backend.alerts();
        Self {
            backend: RwLock::new(Some(backend)),
            queue,
            fixed,
            state: Mutex::new(state),
            inspection: Mutex::default(),
            entry_expiry: Mutex::default(),
            expiry_failed: Mutex::default(),
            alerts,
        }
    }

    /// Do `work` with the dataplane.
    fn with<T>(&self, work: impl FnOnce(&dyn Backend) -> T) -> Answer<T> {
        let backend = self.backend.read().unwrap_or_else(PoisonError::into_inner);
        let stopping = || ApiError::new(ErrorCode::Internal, "the daemon is stopping");
        backend.as_deref().map(work).ok_or_else(stopping)
    }

    /// As [`Self::with`], for work that the dataplane itself may fail at.
    fn ask<T>(&self, work: impl FnOnce(&dyn Backend) -> Result<T, String>) -> Answer<T> {
        self.with(work)?.map_err(|message| ApiError::new(ErrorCode::Internal, message))
    }

    /// Take out rules and entries of sets whose time is over, and let the dataplane look for changed links and neighbours.
    ///
    /// # Errors
    /// The daemon is stopping, or the kernel's tables cannot be read.
    pub(crate) fn tick(&self) -> Answer<()> {
        self.expire_rules(Timestamp::now());
        self.expire_entries(Timestamp::now(), Instant::now());
        self.ask(|backend| backend.tick())
    }

    /// The alert store.
    pub(crate) fn alerts(&self) -> &Arc<AlertStore> {
        &self.alerts
    }

    /// Shut the dataplane down once the calls under way are done; later ones are refused.
    pub(crate) fn shutdown(&self) {
        let backend = self.backend.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(error)) = backend.map(<dyn Backend>::shutdown) {
            tracing::error!(error, "the dataplane did not stop cleanly");
        }
    }

    fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The daemon and its dataplane.
    ///
    /// # Errors
    /// The daemon is stopping.
    pub(crate) fn status(&self) -> Answer<Status> {
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: self.fixed.started.to_string(),
            uptime_seconds: self.fixed.since.elapsed().as_secs(),
            config: self.fixed.config.clone(),
            fail_policy: self.fixed.fail_policy,
            enforcement: self.fixed.enforcement,
            default_action: action_name(&self.fixed.default_action).to_owned(),
            rule_count: self.state().rules.len(),
            alert_write_errors: self.alerts.write_errors(),
            plane: self.ask(|backend| backend.status())?,
        })
    }

    /// Moment the daemon was started.
    pub(crate) fn started(&self) -> Timestamp {
        self.fixed.started
    }

    /// What would happen to a packet.
    ///
    /// # Errors
    /// The tuple is not valid, or the dataplane cannot try it.
    pub(crate) fn inspect(&self, request: &Inspect) -> Answer<ProbeReport> {
        let probe = probe::check(request, &self.state().services)?;
        self.with(|backend| backend.probe(&probe))?.map_err(|message| ApiError::new(ErrorCode::Dataplane, message))
    }

    /// Names behind the indices in alerts.
    pub(crate) fn names(&self) -> Answer<Names> {
        self.with(|backend| backend.names())
    }

    /// The latest alerts, at most `limit`.
    pub(crate) fn alert_list(&self, limit: usize) -> Alerts {
        Alerts { alerts: self.alerts.latest(limit), raised: self.queue.raised(), dropped: self.queue.dropped() }
    }

    /// `state`'s rules under this configuration.
    fn ruleset(&self, state: &State) -> Ruleset {
        ruleset(state, &self.fixed.default_action, self.fixed.enforcement)
    }
}

/// The word for an action.
pub(crate) fn action_name(action: &Action) -> &'static str {
    match action {
        Action::Pass => "pass",
        Action::Drop => "drop",
        Action::Inspect { .. } => "inspect",
    }
}
