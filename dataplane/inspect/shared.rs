//! What runners and the inspector share: the engine's part, which lasts, and the modules and chains of one moment.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use crossbeam_utils::CachePadded;
use secuxflow_abi::MAX_METRICS;

use super::{
    InspectError,
    loader::Loader,
    metrics::Metric,
    module::Module,
    stats::{Health, RunnerCounters, Totals},
};
use crate::plane::FailPolicy;

/// A named order of modules.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    pub(super) steps: Vec<Step>,
}

/// A module's place in a chain.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// Position in [`Shared::modules`].
    pub(super) module: u16,
    /// What it would drop goes on.
    pub(super) monitor: bool,
    pub(super) on_failure: FailPolicy,
    /// Processor time for one call.
    pub(super) deadline: Duration,
}

/// What is the same for all modules and chains there ever are.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) loader: Arc<Loader>,
    ledger: Mutex<Ledger>,
    runners: AtomicUsize,
    max_runners: usize,
    /// Most modules at a time.
    pub(super) room: usize,
}

/// Counters of the runners there are, with the names of their modules, and by name the sum of those that are gone.
#[derive(Debug, Default)]
struct Ledger {
    live: Vec<(Arc<[String]>, Arc<RunnerCounters>)>,
    gone: HashMap<String, Totals>,
}

impl Base {
    /// Room for `max_runners` runners and `room` modules.
    pub(super) fn new(loader: Arc<Loader>, max_runners: usize, room: usize) -> Self {
        Self { loader, ledger: Mutex::default(), runners: AtomicUsize::new(0), max_runners, room }
    }

    /// Sums by module.
    pub(super) fn totals(&self) -> HashMap<String, Totals> {
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let mut totals = ledger.gone.clone();
        for (names, counters) in &ledger.live {
            for (name, counters) in names.iter().zip(counters.iter()) {
                *totals.entry(name.clone()).or_default() += counters;
            }
        }
        totals
    }

    /// Forget what modules counted that are there no more; of those that are others now, what they themselves counted goes
    /// on by its name. All runners of the modules `before` are gone.
    pub(super) fn follow(&self, before: &[Arc<Module>], after: &[Arc<Module>]) {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.gone.retain(|name, totals| {
            let Some(module) = after.iter().find(|module| module.name == *name) else { return false };
            if let Some(old) = before.iter().find(|old| old.name == *name) {
                let numbered = |metric: &Metric| old.metrics.iter().position(|known| known == metric);
                let counted = std::mem::replace(&mut totals.metrics, [0; MAX_METRICS]);
                for (total, metric) in totals.metrics.iter_mut().zip(&module.metrics) {
                    *total = numbered(metric).map_or(0, |number| counted[number]);
                }
            }
            true
        });
    }
}

/// Modules and chains of one moment.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) modules: Vec<Arc<Module>>,
    /// Their names.
    pub(super) names: Arc<[String]>,
    /// Their numbers outside, as in [`AlertEvent::module`](crate::alert::AlertEvent::module).
    pub(super) numbers: Vec<u16>,
    /// By number; one whose name is gone has the modules of the first chain.
    pub(super) chains: Vec<Chain>,
    pub(super) health: Arc<[Arc<Health>]>,
    pub(super) base: Arc<Base>,
}

impl Shared {
    /// Enter a runner's counters.
    pub(super) fn enlist(&self, counters: &Arc<RunnerCounters>) {
        let mut ledger = self.base.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.live.push((Arc::clone(&self.names), Arc::clone(counters)));
    }

    /// Give back a runner's place; its counters, if entered, are kept as part of the sums.
    pub(super) fn release(&self, counters: &Arc<RunnerCounters>) {
        let mut ledger = self.base.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = ledger.live.iter().position(|(_, live)| Arc::ptr_eq(live, counters)) {
            let (names, _) = ledger.live.swap_remove(at);
            for (name, counters) in names.iter().zip(counters.iter()) {
                *ledger.gone.entry(name.clone()).or_default() += counters;
            }
        }
        self.base.runners.fetch_sub(1, Relaxed);
    }

    /// Take a runner's place.
    pub(super) fn take_place(&self) -> Result<(), InspectError> {
        let most = self.base.max_runners;
        let taken = self.base.runners.try_update(Relaxed, Relaxed, |n| (n < most).then_some(n + 1));
        taken.map(|_| ()).map_err(|_| InspectError::NoRunnerLeft { runners: most })
    }

    /// A fresh set of counters.
    pub(super) fn counters(&self) -> Arc<RunnerCounters> {
        self.modules.iter().map(|_| CachePadded::default()).collect()
    }
}
