//! What all workers share: the engine, the modules and chains, which may change while workers run, and everyone's counters.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::{
    InspectError, Loader, Region, Runner,
    host::{self, TOLD_LINES},
    instance::{FailureKind, Instance},
    module::{Module, refused},
    numbers::Numbers,
    shared::{Base, Chain, Shared, Step},
    stats::{Health, Totals},
};
use crate::{
    alert::AlertQueue,
    flow::Ask,
    plane::{ChainConfig, ChainStep, ModuleConfig, ModuleStatus, Named},
};

/// Runners beyond the workers' own, for test inspection.
const SPARE_RUNNERS: usize = 2;

/// The modules, each compiled once, and what is known of them. See the [module's documentation](super).
#[derive(Debug)]
pub struct Inspector {
    base: Arc<Base>,
    current: Mutex<Loadout>,
    // What was prepared last counts, so that a name is known before its first alert.
    numbers: Mutex<(Numbers, Numbers)>,
}

/// Modules and chains that are ready to be put in the place of those that are.
#[derive(Debug, Clone)]
pub struct Loadout {
    shared: Arc<Shared>,
    /// Shared, for it is copied with each look, and options may be whole rule files.
    configs: Arc<[ModuleConfig]>,
    chains: Vec<String>,
}

impl Loadout {
    /// Names of the chains, by number; empty for a number whose chain is gone.
    #[must_use]
    pub fn chains(&self) -> &[String] {
        &self.chains
    }

    /// Whether this is `other`, not only alike.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Whether any module may ask for something of this kind: it imports the function for it.
    #[must_use]
    pub fn may_ask(&self, ask: Ask) -> bool {
        let imports = self.shared.modules.iter().flat_map(|module| module.pre.module().imports());
        imports.into_iter().any(|import| host::ask_of(import.name()) == Some(ask))
    }
}

impl Inspector {
    /// Read, check and compile every module, try each once with its configuration, and resolve the chains.
    /// `workers` is the number of runners that live at a time, two for test inspection come on top.
    ///
    /// # Errors
    /// The first module or chain that is wrong, by name.
    pub fn new(modules: &[ModuleConfig], chains: &[ChainConfig], workers: usize) -> Result<Self, InspectError> {
        Self::with_room(modules, chains, workers, modules.len())
    }

    /// As [`Inspector::new`], with room for `room` modules at a time when they are changed later.
    ///
    /// # Errors
    /// As [`Inspector::new`].
    pub fn with_room(
        modules: &[ModuleConfig],
        chains: &[ChainConfig],
        workers: usize,
        room: usize,
    ) -> Result<Self, InspectError> {
        // Twice the room: what was, as long as it may come back.
        let loader = Arc::new(Loader::new(Self::instances(workers, room), room.saturating_mul(2))?);
        Self::with_loader(&loader, modules, chains, workers, room)
    }

    /// Instances that an inspector has at a time, at most: while modules change each worker has the runner that it had and
    /// the one that it gets, with the instances that differ; and one more instance is tried.
    #[must_use]
    pub fn instances(workers: usize, room: usize) -> usize {
        (workers + SPARE_RUNNERS).saturating_mul(room).saturating_add(workers + 1)
    }

    /// As [`Inspector::with_room`], with a loader that has [instances](Inspector::instances) enough for all who use it.
    ///
    /// # Errors
    /// As [`Inspector::new`].
    pub fn with_loader(
        loader: &Arc<Loader>,
        modules: &[ModuleConfig],
        chains: &[ChainConfig],
        workers: usize,
        room: usize,
    ) -> Result<Self, InspectError> {
        let base = Arc::new(Base::new(Arc::clone(loader), 2 * workers + SPARE_RUNNERS, room));
        let none = Shared {
            modules: Vec::new(),
            names: Arc::new([]),
            numbers: Vec::new(),
            chains: Vec::new(),
            health: Arc::new([]),
            base: Arc::clone(&base),
        };
        let none = Loadout { shared: Arc::new(none), configs: Arc::new([]), chains: Vec::new() };
        let inspector = Self { base, current: Mutex::new(none), numbers: Mutex::default() };
        inspector.commit(inspector.prepare(modules, chains)?);
        Ok(inspector)
    }

    /// Get modules and chains ready that are to take the place of those that are. What a module has in common with one of
    /// the same name before is kept: where nothing differs it is not compiled again, and is in service or not as before.
    /// Nothing changes yet.
    ///
    /// # Errors
    /// The first module or chain that is wrong, by name.
    pub fn prepare(&self, modules: &[ModuleConfig], chains: &[ChainConfig]) -> Result<Loadout, InspectError> {
        unique("modules", modules.iter().map(|module| module.name.as_str()))?;
        unique("chains", chains.iter().map(|chain| chain.name.as_str()))?;
        if modules.len() > self.base.room {
            return Err(InspectError::NoRoom { count: modules.len(), room: self.base.room });
        }
        for chain in chains {
            known(chain, modules)?;
        }
        let before = self.current().clone();
        let (mut loaded, mut health) = (Vec::with_capacity(modules.len()), Vec::with_capacity(modules.len()));
        for config in modules {
            if let Some(at) = before.configs.iter().position(|known| known == config) {
                loaded.push(Arc::clone(&before.shared.modules[at]));
                health.push(Arc::clone(&before.shared.health[at]));
            } else {
                loaded.push(Arc::new(load(&self.base.loader, config)?));
                health.push(Arc::new(Health::default()));
            }
        }
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let too_many = |kind| move |count| InspectError::TooMany { kind, count };
        numbers.0.set(modules.iter().map(|module| module.name.as_str()), now).map_err(too_many("modules"))?;
        numbers.1.set(chains.iter().map(|chain| chain.name.as_str()), now).map_err(too_many("chains"))?;
        let resolved: Vec<_> = chains.iter().map(|chain| resolve(chain, &loaded)).collect();
        let place = |name: Option<&str>| {
            let at = chains.iter().position(|chain| Some(chain.name.as_str()) == name).unwrap_or(0);
            resolved.get(at).cloned().unwrap_or(Chain { steps: Vec::new() })
        };
        let shared = Shared {
            names: modules.iter().map(|module| module.name.clone()).collect(),
            numbers: modules.iter().map(|module| numbers.0.of(&module.name).unwrap_or_default()).collect(),
            modules: loaded,
            chains: numbers.1.there().map(place).collect(),
            health: health.into(),
            base: Arc::clone(&self.base),
        };
        let names = numbers.1.there().map(|name| name.unwrap_or_default().to_owned()).collect();
        Ok(Loadout { shared: Arc::new(shared), configs: modules.into(), chains: names })
    }

    /// Let `loadout` be what is: the runners of the one before have all had their [successor](Inspector::successor).
    pub fn commit(&self, loadout: Loadout) {
        let mut current = self.current();
        self.base.follow(&current.shared.modules, &loadout.shared.modules);
        *current = loadout;
    }

    /// Modules and chains as they are.
    #[must_use]
    pub fn loadout(&self) -> Loadout {
        self.current().clone()
    }

    /// A worker's own instances of all modules, reading the packets of `region`; made before traffic starts.
    ///
    /// # Errors
    /// The region cannot be mapped, a module does not start, or `workers` runners exist already.
    pub fn runner(&self, region: &Region<'_>, alerts: Arc<AlertQueue>) -> Result<Runner, InspectError> {
        let shared = Arc::clone(&self.current().shared);
        let health = Arc::clone(&shared.health);
        Runner::new(&shared, region, alerts, health, true, |_| false)
    }

    /// A runner by `loadout` for a worker that has one by what is now. It has instances of the modules that differ, and
    /// takes the others over: see [`Runner::take_over`].
    ///
    /// # Errors
    /// As [`Inspector::runner`].
    pub fn successor(
        &self,
        loadout: &Loadout,
        region: &Region<'_>,
        alerts: Arc<AlertQueue>,
    ) -> Result<Runner, InspectError> {
        let before = Arc::clone(&self.current().shared);
        let stays = |module: &Arc<Module>| before.modules.iter().any(|known| Arc::ptr_eq(known, module));
        Runner::new(&loadout.shared, region, alerts, Arc::clone(&loadout.shared.health), true, stays)
    }

    /// A runner for test inspection: what it does appears in no counter, and failures of its modules do not take them
    /// out of service.
    ///
    /// # Errors
    /// As [`Inspector::runner`].
    pub fn test_runner(&self, region: &Region<'_>, alerts: Arc<AlertQueue>) -> Result<Runner, InspectError> {
        let shared = Arc::clone(&self.current().shared);
        let health = shared.health.iter().map(|health| Arc::new(health.apart())).collect();
        Runner::new(&shared, region, alerts, health, false, |_| false)
    }

    /// Number of a chain by name, for [`Runner::run`].
    #[must_use]
    pub fn chain(&self, name: &str) -> Option<u16> {
        let current = self.current();
        current.chains.iter().position(|known| known == name).and_then(|number| u16::try_from(number).ok())
    }

    /// Names of modules and chains by the numbers that alerts carry; of those that are gone, the last that they stood for.
    #[must_use]
    pub fn names(&self) -> (Vec<String>, Vec<String>) {
        let numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        (numbers.0.latest(), numbers.1.latest())
    }

    /// Every module, its counters summed over all runners that there are and were. The order is the configuration's.
    #[must_use]
    pub fn status(&self) -> Vec<ModuleStatus> {
        let Loadout { shared, chains, .. } = self.loadout();
        let mut totals = self.base.totals();
        let modules = shared.modules.iter().enumerate();
        modules
            .map(|(index, module)| {
                let totals = totals.remove(&module.name).unwrap_or_default();
                module_status(&shared, &chains, index, module, totals)
            })
            .collect()
    }

    fn current(&self) -> MutexGuard<'_, Loadout> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn module_status(shared: &Shared, chains: &[String], index: usize, module: &Module, totals: Totals) -> ModuleStatus {
    let part_of = |(name, chain): &(&String, &Chain)| {
        !name.is_empty() && chain.steps.iter().any(|step| usize::from(step.module) == index)
    };
    let failures = FailureKind::ALL.iter().zip(totals.failures);
    ModuleStatus {
        name: module.name.clone(),
        path: module.path.clone(),
        sha256: module.sha256.clone(),
        size: module.size,
        abi: module.abi,
        in_service: shared.health[index].in_service(),
        on_failure: module.on_failure,
        chains: chains.iter().zip(&shared.chains).filter(part_of).map(|(name, _)| name.clone()).collect(),
        passed: totals.passed,
        dropped: totals.dropped,
        monitored: totals.monitored,
        alerts: totals.alerts,
        calls: totals.calls,
        time_ns: totals.time_ns,
        about: module.about.clone(),
        metrics: module.measured(&totals),
        failures: failures.map(|(kind, value)| Named { name: kind.label().to_owned(), value }).collect(),
    }
}

fn unique<'a>(kind: &'static str, names: impl Iterator<Item = &'a str>) -> Result<(), InspectError> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(InspectError::Duplicate { kind, name: name.to_owned() });
        }
    }
    Ok(())
}

/// Refuse a chain with a module that is not there.
fn known(chain: &ChainConfig, modules: &[ModuleConfig]) -> Result<(), InspectError> {
    let lacks = |step: &&ChainStep| !modules.iter().any(|module| module.name == step.module);
    match chain.modules.iter().find(lacks) {
        None => Ok(()),
        Some(step) => Err(InspectError::UnknownModule {
            chain: chain.name.clone(),
            module: step.module.clone(),
            known: modules.iter().map(|module| module.name.as_str()).collect::<Vec<_>>().join(", "),
        }),
    }
}

/// The steps of a chain whose modules are all there.
fn resolve(chain: &ChainConfig, modules: &[Arc<Module>]) -> Chain {
    let step = |step: &ChainStep| {
        let at = modules.iter().position(|module| module.name == step.module)?;
        Some(Step {
            module: u16::try_from(at).ok()?,
            monitor: step.monitor,
            on_failure: step.on_failure.unwrap_or(modules[at].on_failure),
            deadline: step.deadline.unwrap_or(modules[at].deadline),
        })
    };
    Chain { steps: chain.modules.iter().filter_map(step).collect() }
}

/// Load a module and start it once, so that what would fail later fails now; its log lines are written out once, here.
fn load(loader: &Loader, config: &ModuleConfig) -> Result<Module, InspectError> {
    let mut module = Module::load(loader, config)?;
    let instance = try_start(loader, &module, config)?;
    for line in instance.lines().iter().take(TOLD_LINES) {
        let (name, text) = (module.name.as_str(), line.text.as_str());
        match line.level {
            1 => tracing::error!(module = name, "{text}"),
            2 => tracing::warn!(module = name, "{text}"),
            _ => tracing::info!(module = name, "{text}"),
        }
    }
    if let Some(more) = instance.lines().len().checked_sub(TOLD_LINES).filter(|more| *more > 0) {
        tracing::warn!(module = module.name.as_str(), "{more} more lines; `secuxflow module check` shows all of them");
    }
    module.metrics = instance.metrics().to_vec();
    Ok(module)
}

/// Start a module that is shown no packets.
pub(super) fn try_start(loader: &Loader, module: &Module, config: &ModuleConfig) -> Result<Instance, InspectError> {
    let pulse = loader.ticker.pulse();
    pulse.enter();
    let tried = Instance::start(module, None);
    pulse.leave();
    tried.map_err(|failure| refused(config, failure.to_string()))
}
