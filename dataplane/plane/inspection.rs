//! Modules and chains, changed while traffic runs.

use std::{
    fmt,
    sync::{Arc, PoisonError},
};

use super::{ChainConfig, ModuleConfig, Plane, PlaneError, facade::offload, offload::Offloader, running::Running};
use crate::{
    inspect::{Loadout, Region},
    rules::Classifier,
    worker::Inspecting,
};

/// Modules and chains that are compiled and tried, with the instances that the workers are to have of them.
pub struct PreparedInspection {
    loadout: Loadout,
    runners: Vec<(u32, Inspecting)>,
    /// What there was, and is to be there still when they take its place.
    before: Loadout,
}

impl fmt::Debug for PreparedInspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedInspection").field("loadout", &self.loadout).finish_non_exhaustive()
    }
}

impl Plane {
    /// Get modules and chains ready to be [set](Plane::set_inspection). The first chain is the one that always was. What differs
    /// from the modules that there are is compiled and tried, which may take seconds, in which all else goes on. Nothing changes
    /// yet.
    ///
    /// # Errors
    /// The module or chain that is wrong.
    pub fn prepare_inspection(
        &self,
        modules: &[ModuleConfig],
        chains: &[ChainConfig],
    ) -> Result<PreparedInspection, PlaneError> {
        let before = self.inspector.loadout();
        let loadout = self.inspector.prepare(modules, chains)?;
        // Its instances make room for the workers'.
        *self.tester.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let runners = self.successors(&loadout)?;
        Ok(PreparedInspection { loadout, runners, before })
    }

    /// Make `prepared` the modules and chains, all or nothing; the generation of the rules that names them. Modules that stay
    /// as they are keep what they remember. Workers go from the old ones to the new ones between two batches, so that no packet
    /// is lost, and whatever was said of flows before counts no more.
    ///
    /// # Errors
    /// Others were set since it was prepared, a rule whose chain would be gone, or a worker that does not answer.
    pub fn set_inspection(&self, prepared: PreparedInspection) -> Result<u64, PlaneError> {
        let PreparedInspection { loadout, runners, before } = prepared;
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.inspector.loadout().is(&before) {
            return Err(PlaneError::InspectionChanged);
        }
        // Held, so that nothing is tried by modules that are about to go.
        let mut tester = self.tester.lock().unwrap_or_else(PoisonError::into_inner);
        *tester = None;
        let mut running = self.lock();
        let (generation, before) = running.change_inspection(&loadout, runners)?;
        drop(running);
        // Counters of the runners before are added to the sums when they go.
        drop(before);
        self.inspector.commit(loadout);
        Ok(generation)
    }

    /// A runner by `loadout` for each worker that lives. Starting instances takes its time, in which all else goes on.
    fn successors(&self, loadout: &Loadout) -> Result<Vec<(u32, Inspecting)>, PlaneError> {
        let (umem, arenas, workers) = {
            let running = self.lock();
            let dead = running.workers.dead();
            let live = (0..running.workers.count()).filter(|worker| !dead.contains(worker));
            (running.workers.umem().clone(), running.workers.arenas().to_vec(), live.collect::<Vec<_>>())
        };
        let region = Region::of_umem(&umem)?;
        let runner = |worker: u32| {
            let arena = arenas.get(worker as usize);
            let region = arena.map_or(Ok(region), |arena| region.with_arena(arena))?;
            let runner = self.inspector.successor(loadout, &region, Arc::clone(&self.alerts))?;
            Ok((worker, Box::new(runner) as Inspecting))
        };
        workers.into_iter().map(runner).collect()
    }
}

impl Running {
    /// Let the workers go by `runners`, then rules and snapshot by `loadout`. The runners before are handed back.
    fn change_inspection(
        &mut self,
        loadout: &Loadout,
        runners: Vec<(u32, Inspecting)>,
    ) -> Result<(u64, Vec<(u32, Inspecting)>), PlaneError> {
        let chains = loadout.chains().to_vec();
        let classifier = Arc::new(Classifier::new(&self.ruleset, &chains)?);
        let offload = offload(&self.config.flows, loadout);
        if (offload.flows || offload.sources)
            && self.offloader.is_none()
            && let Some(orders) = &self.orders
        {
            self.offloader = Some(Offloader::start(self.filter.flow_cache(), Arc::clone(orders))?);
        }
        let before = self.workers.set_all_inspect(runners)?;
        self.filter.set_offload(offload.flows, offload.sources);
        // After the workers, so that what the old modules say still counts for the old generation only.
        match self.filter.publish(&self.ruleset, &chains) {
            Ok(generation) => {
                (self.classifier, self.chains, self.offload) = (classifier, chains, offload);
                self.publish_snapshot();
                Ok((generation, before))
            }
            Err(error) => {
                self.filter.set_offload(self.offload.flows, self.offload.sources);
                if let Err(error) = self.workers.set_all_inspect(before) {
                    tracing::error!(%error, "modules that were refused stay: restart the daemon");
                }
                Err(error.into())
            }
        }
    }
}
