//! What an administrator may do, whatever it arrives by: each change goes to the dataplane, then to the state file, and
//! is taken back when either refuses.

mod chains;
mod expiry;
mod flows;
mod modules;
mod sets;

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Instant,
};

use jiff::Timestamp;
use secuxflow::{
    alert::AlertQueue,
    plane::{ChainConfig, Count, FailPolicy, ModuleConfig, PreparedInspection, ProbeReport, RuleCount},
    rules::{Action, Known, MAX_RULES, RuleError, RuleId, RuleRecord, Ruleset},
    service::{Service, ServiceSpec},
};

use crate::{
    alerts::AlertStore,
    api::{
        self, AddRule, Alerts, ApplyOptions, ErrorCode, Explain, Explanation, Inspect, RuleAdded, RuleInfo, Rules,
        RulesetChange, Services, Status,
    },
    backend::{Backend, Names},
    config::{Config, Enforcement},
    error::ApiError,
    explain,
    modules::{self as module_files, Trust},
    probe, ruleset, sets as set_files,
    state::{self, State, StateError},
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

/// Names of the sets that rules may name.
fn set_names(state: &State) -> Vec<String> {
    state.sets.keys().cloned().collect()
}

/// What a rule is checked against now.
fn known<'a>(sets: &'a [String], chains: &'a [String]) -> Known<'a> {
    Known { chains: Some(chains), sets: Some(sets), now: Timestamp::now() }
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

    /// All rules with their counters.
    ///
    /// # Errors
    /// The daemon is stopping.
    pub(crate) fn rules(&self) -> Answer<Rules> {
        let counts = self.ask(|backend| Ok(backend.status()?.rules))?;
        Ok(self.count_rules(&counts))
    }

    /// All rules with these counters.
    pub(crate) fn count_rules(&self, counts: &[RuleCount]) -> Rules {
        let state = self.state();
        let counts: HashMap<RuleId, Count> = counts.iter().map(|count| (count.id, count.count)).collect();
        let now = Timestamp::now();
        let info =
            |rule: &secuxflow::rules::Rule| RuleInfo::of(rule, counts.get(&rule.id).copied().unwrap_or_default(), now);
        Rules { revision: state.revision, rules: state.rules.iter().map(info).collect() }
    }

    /// Add a rule.
    ///
    /// # Errors
    /// The rule is not valid, its id is or was taken, there are too many, or the change cannot be made.
    pub(crate) fn add_rule(&self, request: &AddRule) -> Answer<RuleAdded> {
        request.id.map_or(Ok(()), RuleId::check_chosen)?;
        self.change(|state| {
            let id = request.id.unwrap_or(RuleId(state.next_rule));
            if state.rules.iter().any(|rule| rule.id == id) {
                return Err(ApiError::field(ErrorCode::Conflict, "id", format!("{id} exists; delete it first")));
            }
            if id.0 < state.next_rule {
                let message =
                    format!("{id} was used before; leave the id out, or take rule-{} or above", state.next_rule);
                return Err(ApiError::field(ErrorCode::Conflict, "id", message));
            }
            let Some(next) = id.0.checked_add(1) else {
                return Err(ApiError::invalid("id", format!("{id}: no number is left after it")));
            };
            let rule = request.rule.check(id, &known(&set_names(state), &state.inspection.chain_names()))?;
            let mut warnings = warnings(&rule, &state.services);
            state.rules.push(rule.clone());
            state.next_rule = next;
            let count = state.rules.iter().filter(|rule| rule.enabled).count();
            if count > MAX_RULES {
                return Err(RuleError::TooMany { count }.into());
            }
            let rules = self.ruleset(state);
            warnings.extend(ruleset::shadow_warning(&rules, &rule));
            warnings.extend(ruleset::blocklist_warning(&rules, &rule));
            Ok(RuleAdded { id, warnings })
        })
    }

    /// Delete the rule `id`.
    ///
    /// # Errors
    /// There is none of that id, or the change cannot be made.
    pub(crate) fn delete_rule(&self, id: RuleId) -> Answer<usize> {
        self.change(|state| {
            let before = state.rules.len();
            state.rules.retain(|rule| rule.id != id);
            match before - state.rules.len() {
                0 => Err(ApiError::field(ErrorCode::NotFound, "id", format!("there is no rule {id}; see `rule list`"))),
                removed => Ok(removed),
            }
        })
    }

    /// Put a whole ruleset in the place of the one that is, or tell what that would change.
    ///
    /// # Errors
    /// Every rule that is not valid, by position and field; the rules are at another revision than the one named; the
    /// change cannot be made.
    pub(crate) fn replace_rules(&self, request: &api::Ruleset, options: ApplyOptions) -> Answer<RulesetChange> {
        ruleset::check_count(request.rule_count, request.rules.len())
            .map_err(|message| ApiError::invalid("rule_count", message))?;
        let (sets, chains) = {
            let state = self.state();
            (set_names(&state), state.inspection.chain_names())
        };
        let entries = ruleset::check(&request.rules, &known(&sets, &chains)).map_err(ApiError::ruleset)?;
        let edit = |state: &mut State| -> Answer<RulesetChange> {
            same_revision(state.revision, options.if_revision)?;
            let plan = ruleset::plan(&state.rules, state.next_rule, entries);
            let plan = plan.map_err(|message| ApiError::invalid("id", message))?;
            let step = u64::from(plan.differs() && !options.dry_run);
            state.rules = plan.rules;
            state.next_rule = plan.next_rule;
            Ok(RulesetChange {
                dry_run: options.dry_run,
                revision: state.revision + step,
                added: plan.added.into_iter().map(RuleRecord::from).collect(),
                removed: plan.removed.into_iter().map(RuleRecord::from).collect(),
                changed: plan.changed,
                kept: plan.kept,
                warnings: Vec::new(),
            })
        };
        let (mut answer, state) = if options.dry_run {
            let mut state = self.state();
            (edit(&mut state)?, state)
        } else {
            self.change(|state| Ok((edit(state)?, state.clone())))?
        };
        answer.warnings = self.ruleset_warnings(&state);
        Ok(answer)
    }

    /// Why a packet meets the rule that it meets, by the reference model.
    ///
    /// # Errors
    /// The tuple is not valid.
    pub(crate) fn explain(&self, request: &Explain) -> Answer<Explanation> {
        let tuple = probe::check_explain(request)?;
        Ok(explain::explain(&self.ruleset(&self.state()), &tuple, |id| id.to_string()))
    }

    /// Delete every rule.
    ///
    /// # Errors
    /// The change cannot be made.
    pub(crate) fn clear_rules(&self) -> Answer<usize> {
        self.change(|state| Ok(std::mem::take(&mut state.rules).len()))
    }

    /// All services.
    ///
    /// # Errors
    /// The daemon is stopping.
    pub(crate) fn services(&self) -> Answer<Services> {
        self.ask(|backend| Ok(Services { services: backend.status()?.services }))
    }

    /// Add a service.
    ///
    /// # Errors
    /// The service is not valid, its name or address is taken, or the change cannot be made.
    pub(crate) fn add_service(&self, spec: &ServiceSpec) -> Answer<Service> {
        let service = spec.check()?;
        self.change(|state| {
            for known in &state.services {
                if known.name == service.name {
                    let message = format!("there is a service '{}' already; delete it first", known.name);
                    return Err(ApiError::field(ErrorCode::Conflict, "name", message));
                }
                if known.ip == service.ip {
                    let message = format!("{} belongs to the service '{}' already", known.ip, known.name);
                    return Err(ApiError::field(ErrorCode::Conflict, "ip", message));
                }
            }
            state.services.push(service.clone());
            Ok(service)
        })
    }

    /// Delete the service `name`.
    ///
    /// # Errors
    /// There is none of that name, or the change cannot be made.
    pub(crate) fn delete_service(&self, name: &str) -> Answer<usize> {
        self.change(|state| {
            let before = state.services.len();
            state.services.retain(|service| service.name != name);
            match before - state.services.len() {
                0 => {
                    let message = format!("there is no service '{name}'; see `service list`");
                    Err(ApiError::field(ErrorCode::NotFound, "name", message))
                }
                removed => Ok(removed),
            }
        })
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

    /// Make one change: compute it on a copy, apply it, store it, and only then believe it. Modules and chains are changed by
    /// [`change_inspection`](Self::change_inspection).
    fn change<T>(&self, edit: impl FnOnce(&mut State) -> Answer<T>) -> Answer<T> {
        self.change_to(None, edit)
    }

    /// As [`change`](Self::change) for modules and chains, and nothing else of the state. Modules may take seconds until they
    /// are ready; rules, services and sets are read and changed meanwhile.
    fn change_inspection<T>(&self, edit: impl FnOnce(&mut State) -> Answer<T>) -> Answer<T> {
        let _changing = self.inspection.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.state();
        let mut next = current.clone();
        let answer = edit(&mut next)?;
        let prepared = if current.inspection.differs(&next.inspection) {
            let (modules, chains) = next.inspection.configs();
            self.with(|backend| backend.prepare_inspection(&modules, &chains))??
        } else {
            None
        };
        self.change_to(prepared, |state| {
            state.inspection = next.inspection;
            Ok(answer)
        })
    }

    /// As [`change`](Self::change), where modules and chains may be prepared.
    fn change_to<T>(
        &self,
        prepared: Option<PreparedInspection>,
        edit: impl FnOnce(&mut State) -> Answer<T>,
    ) -> Answer<T> {
        let mut current = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = current.clone();
        let answer = edit(&mut next)?;
        sets::known(&next)?;
        known_chains(&next)?;
        if next.rules != current.rules {
            next.revision += 1;
        }
        // The backend changes all or nothing, and an edit touches rules, services or one set: a refusal left no trace.
        self.apply(&current, &next, prepared)?;
        if let Err(error) = self.store(&current, &next) {
            self.take_back(&next, &current);
            return Err(ApiError::new(ErrorCode::State, format!("{error}; nothing was changed")));
        }
        *current = next;
        Ok(answer)
    }

    /// Bring the dataplane from one state to another, touching only what differs.
    fn apply(&self, from: &State, to: &State, prepared: Option<PreparedInspection>) -> Answer<()> {
        let refused = |message| ApiError::new(ErrorCode::Dataplane, message);
        if from.services != to.services {
            self.with(|backend| backend.set_services(&to.services))?.map_err(refused)?;
        }
        if from.inspection.differs(&to.inspection) {
            let (modules, chains) = to.inspection.configs();
            let generation = self.with(|backend| backend.set_inspection(&modules, &chains, prepared))??;
            tracing::debug!(generation, modules = modules.len(), chains = chains.len(), "modules and chains are live");
        }
        if from.rules != to.rules || sets::differ(from, to) {
            let rules = self.ruleset(to);
            let generation = self.with(|backend| backend.apply_rules(&rules))?.map_err(refused)?;
            tracing::debug!(generation, rules = to.rules.len(), sets = to.sets.len(), "ruleset is live");
        }
        Ok(())
    }

    /// Write the files that differ. Sets that are new come before the rules that may name them, those that are gone
    /// after: whatever the moment of a crash, every stored rule finds its sets.
    fn store(&self, from: &State, to: &State) -> Result<(), StateError> {
        let path = &self.fixed.state_path;
        let directory = set_files::directory(path);
        for (name, set) in &to.sets {
            if !from.sets.get(name).is_some_and(|before| before.same_file(set)) {
                set_files::save(&directory, set)?;
            }
        }
        let directory_of_modules = module_files::directory(path);
        let inspection = |source| StateError::Inspection { path: path.clone(), source };
        module_files::save(&directory_of_modules, &from.inspection, &to.inspection).map_err(inspection)?;
        if !from.same_file(to) {
            state::save(path, to)?;
        }
        module_files::delete(&directory_of_modules, &from.inspection, &to.inspection);
        for name in from.sets.keys().filter(|name| !to.sets.contains_key(*name)) {
            set_files::delete(&directory, name)?;
        }
        Ok(())
    }

    /// `state`'s rules under this configuration.
    fn ruleset(&self, state: &State) -> Ruleset {
        ruleset(state, &self.fixed.default_action, self.fixed.enforcement)
    }

    /// Everything about a whole ruleset that is allowed but probably not meant, each once.
    fn ruleset_warnings(&self, state: &State) -> Vec<String> {
        let rules = self.ruleset(state);
        let mut found = ruleset::order_warnings(&rules, |id| id.to_string());
        found.extend(rules.rules.iter().filter_map(|rule| ruleset::blocklist_warning(&rules, rule)));
        let mut seen = HashSet::new();
        for rule in state.rules.iter().filter(|rule| rule.enabled) {
            found.extend(warnings(rule, &state.services).into_iter().filter(|warning| seen.insert(warning.clone())));
        }
        found
    }

    fn take_back(&self, from: &State, to: &State) {
        if let Err(error) = self.apply(from, to, None) {
            tracing::error!("a refused change could not be taken back, restart the daemon: {error}");
        }
    }
}

/// Refuse a ruleset, made while a chain was deleted, that names it.
fn known_chains(state: &State) -> Answer<()> {
    let gone = state.rules.iter().find_map(|rule| match &rule.action {
        Action::Inspect { chain } if state.inspection.chain(chain).is_none() => Some((rule.id, chain)),
        _ => None,
    });
    gone.map_or(Ok(()), |(id, chain)| {
        Err(ApiError::invalid("chain", format!("{id}: there is no chain '{chain}'; see `chain list`")))
    })
}

/// The word for an action.
pub(crate) fn action_name(action: &Action) -> &'static str {
    match action {
        Action::Pass => "pass",
        Action::Drop => "drop",
        Action::Inspect { .. } => "inspect",
    }
}

fn same_revision(revision: u64, wanted: Option<u64>) -> Answer<()> {
    match wanted {
        Some(wanted) if wanted != revision => {
            let message = format!(
                "the rules are at revision {revision}, not {wanted}: somebody changed them since; look at them again, \
                 and repeat with --if-revision {revision}"
            );
            Err(ApiError::field(ErrorCode::Conflict, "if_revision", message))
        }
        _ => Ok(()),
    }
}

fn warnings(rule: &secuxflow::rules::Rule, services: &[Service]) -> Vec<String> {
    let covered = |service: &Service| rule.matcher.dst_net().is_none_or(|dst| dst.contains(&service.ip));
    if !matches!(rule.action, Action::Inspect { .. }) || services.iter().any(covered) {
        return Vec::new();
    }
    let dst = rule.matcher.dst.as_ref().map_or_else(|| "any destination".to_owned(), ToString::to_string);
    vec![format!(
        "no service lives in {dst}: inspected packets have nowhere to go and follow the fail policy; \
         see `secuxflow service add --help`"
    )]
}
