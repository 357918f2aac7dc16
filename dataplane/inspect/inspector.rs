//! What all workers share: the engine, the compiled modules, the chains, and everyone's counters.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use crossbeam_utils::CachePadded;

use super::{
    InspectError, Region, Runner,
    engine::engine,
    host,
    instance::{FailureKind, Instance},
    module::{Module, refused},
    stats::{Health, RunnerCounters, Totals},
    ticker::Ticker,
};
use crate::{
    alert::AlertQueue,
    flow::Ask,
    plane::{ChainConfig, ModuleConfig, ModuleStatus, Named},
};

/// Runners beyond the workers' own, for test inspection.
const SPARE_RUNNERS: usize = 2;

/// A named order of modules, by index.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) name: String,
    pub(super) modules: Vec<u16>,
}

/// Counters of the runners there are, and the sum of those that are gone.
#[derive(Debug, Default)]
struct Ledger {
    live: Vec<Arc<RunnerCounters>>,
    gone: Vec<Totals>,
}

/// What runners and the inspector share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) modules: Vec<Module>,
    pub(super) chains: Vec<Chain>,
    pub(super) health: Arc<[Health]>,
    pub(super) ticker: Ticker,
    ledger: Mutex<Ledger>,
    runners: AtomicUsize,
    max_runners: usize,
}

impl Shared {
    /// Enter a runner's counters.
    pub(super) fn enlist(&self, counters: &Arc<RunnerCounters>) {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).live.push(Arc::clone(counters));
    }

    /// Give back a runner's place; its counters, if entered, are kept as part of the sum.
    pub(super) fn release(&self, counters: &Arc<RunnerCounters>) {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = ledger.live.iter().position(|live| Arc::ptr_eq(live, counters)) {
            ledger.live.swap_remove(at);
            for (sum, counters) in ledger.gone.iter_mut().zip(counters.iter()) {
                *sum += counters;
            }
        }
        self.runners.fetch_sub(1, Relaxed);
    }

    /// Take a runner's place.
    pub(super) fn take_place(&self) -> Result<(), InspectError> {
        let taken = self.runners.try_update(Relaxed, Relaxed, |n| (n < self.max_runners).then_some(n + 1));
        taken.map(|_| ()).map_err(|_| InspectError::NoRunnerLeft { runners: self.max_runners })
    }

    /// A fresh set of counters.
    pub(super) fn counters(&self) -> Arc<RunnerCounters> {
        self.modules.iter().map(|_| CachePadded::default()).collect()
    }
}

/// The modules, compiled once, and what is known of them. See the [module's documentation](super).
#[derive(Debug)]
pub struct Inspector {
    shared: Arc<Shared>,
}

impl Inspector {
    /// Read, check and compile every module, try each once with its configuration, and resolve the chains.
    /// `workers` is the number of runners that live at a time, two for test inspection come on top.
    ///
    /// # Errors
    /// The first module or chain that is wrong, by name.
    pub fn new(modules: &[ModuleConfig], chains: &[ChainConfig], workers: usize) -> Result<Self, InspectError> {
        unique("modules", modules.iter().map(|module| module.name.as_str()))?;
        unique("chains", chains.iter().map(|chain| chain.name.as_str()))?;
        let chains = chains.iter().map(|chain| resolve(chain, modules)).collect::<Result<Vec<_>, _>>()?;
        let max_runners = workers.saturating_add(SPARE_RUNNERS);
        let instances = u32::try_from(max_runners.saturating_mul(modules.len()).max(1)).unwrap_or(u32::MAX);
        let engine = engine(instances)?;
        let linker = host::linker(&engine);
        let ticker = Ticker::start(&engine).map_err(InspectError::Ticker)?;
        let loaded = modules.iter().map(|config| load(&linker, &ticker, config)).collect::<Result<Vec<_>, _>>()?;
        let health = loaded.iter().map(|_| Health::default()).collect();
        let ledger = Mutex::new(Ledger { live: Vec::new(), gone: vec![Totals::default(); loaded.len()] });
        let shared =
            Shared { modules: loaded, chains, health, ticker, ledger, runners: AtomicUsize::new(0), max_runners };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// A worker's own instances of all modules, reading the packets of `region`; made before traffic starts.
    ///
    /// # Errors
    /// The region cannot be mapped, a module does not start, or `workers` runners exist already.
    pub fn runner(&self, region: &Region<'_>, alerts: Arc<AlertQueue>) -> Result<Runner, InspectError> {
        let health = Arc::clone(&self.shared.health);
        Runner::new(&self.shared, region, alerts, health, true)
    }

    /// Whether any module may ask for something of this kind: it imports the function for it.
    #[must_use]
    pub fn may_ask(&self, ask: Ask) -> bool {
        let imports = self.shared.modules.iter().flat_map(|module| module.pre.module().imports());
        imports.into_iter().any(|import| host::ask_of(import.name()) == Some(ask))
    }

    /// A runner for test inspection: what it does appears in no counter, and failures of its modules do not take them
    /// out of service.
    ///
    /// # Errors
    /// As [`Inspector::runner`].
    pub fn test_runner(&self, region: &Region<'_>, alerts: Arc<AlertQueue>) -> Result<Runner, InspectError> {
        let health = self.shared.health.iter().map(Health::apart).collect();
        Runner::new(&self.shared, region, alerts, health, false)
    }

    /// Index of a chain by name, for [`Runner::run`].
    #[must_use]
    pub fn chain(&self, name: &str) -> Option<u16> {
        self.shared.chains.iter().position(|chain| chain.name == name).and_then(|index| u16::try_from(index).ok())
    }

    /// Every module, its counters summed over all runners that there are and were. The order is the configuration's.
    #[must_use]
    pub fn status(&self) -> Vec<ModuleStatus> {
        let mut totals = {
            let ledger = self.shared.ledger.lock().unwrap_or_else(PoisonError::into_inner);
            let mut totals = ledger.gone.clone();
            for runner in &ledger.live {
                for (sum, counters) in totals.iter_mut().zip(runner.iter()) {
                    *sum += counters;
                }
            }
            totals.into_iter()
        };
        let modules = self.shared.modules.iter().enumerate();
        modules.map(|(index, module)| self.module_status(index, module, totals.next().unwrap_or_default())).collect()
    }

    fn module_status(&self, index: usize, module: &Module, totals: Totals) -> ModuleStatus {
        let part_of = |chain: &&Chain| chain.modules.iter().any(|&m| usize::from(m) == index);
        let failures = FailureKind::ALL.iter().zip(totals.failures);
        ModuleStatus {
            name: module.name.clone(),
            path: module.path.clone(),
            sha256: module.sha256.clone(),
            abi: module.abi,
            in_service: self.shared.health[index].in_service(),
            on_failure: module.on_failure,
            chains: self.shared.chains.iter().filter(part_of).map(|chain| chain.name.clone()).collect(),
            passed: totals.passed,
            dropped: totals.dropped,
            alerts: totals.alerts,
            calls: totals.calls,
            time_ns: totals.time_ns,
            about: module.about.clone(),
            metrics: module.measured(&totals),
            failures: failures.map(|(kind, value)| Named { name: kind.label().to_owned(), value }).collect(),
        }
    }
}

fn unique<'a>(kind: &'static str, names: impl Iterator<Item = &'a str>) -> Result<(), InspectError> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(InspectError::Duplicate { kind, name: name.to_owned() });
        }
    }
    if seen.len() > usize::from(u16::MAX) {
        return Err(InspectError::TooMany { kind, count: seen.len() });
    }
    Ok(())
}

fn resolve(chain: &ChainConfig, modules: &[ModuleConfig]) -> Result<Chain, InspectError> {
    let index = |name: &String| {
        let at = modules.iter().position(|module| module.name == *name);
        at.and_then(|at| u16::try_from(at).ok()).ok_or_else(|| InspectError::UnknownModule {
            chain: chain.name.clone(),
            module: name.clone(),
            known: modules.iter().map(|module| module.name.as_str()).collect::<Vec<_>>().join(", "),
        })
    };
    Ok(Chain { name: chain.name.clone(), modules: chain.modules.iter().map(index).collect::<Result<_, _>>()? })
}

/// Load a module and start it once, so that what would fail later fails now; its log lines are written out once, here.
fn load(linker: &wasmtime::Linker<host::Host>, ticker: &Ticker, config: &ModuleConfig) -> Result<Module, InspectError> {
    let mut module = Module::load(linker, config)?;
    let pulse = ticker.pulse();
    pulse.enter();
    let tried = Instance::start(&module, None);
    pulse.leave();
    let instance = tried.map_err(|failure| refused(config, failure.to_string()))?;
    for line in instance.lines() {
        let (name, text) = (module.name.as_str(), line.text.as_str());
        match line.level {
            1 => tracing::error!(module = name, "{text}"),
            2 => tracing::warn!(module = name, "{text}"),
            _ => tracing::info!(module = name, "{text}"),
        }
    }
    module.metrics = instance.metrics().to_vec();
    Ok(module)
}
