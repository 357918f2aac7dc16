//! A change: computed on a copy, brought to the dataplane, written to its files, and only then believed.

use std::sync::PoisonError;

use secuxflow::{plane::PreparedInspection, rules::Action};

use super::{Admin, Answer, sets};
use crate::{
    api::ErrorCode,
    error::ApiError,
    modules as module_files, sets as set_files,
    state::{self, State, StateError},
};

impl Admin {
    /// Make one change: compute it on a copy, apply it, store it, and only then believe it. Modules and chains are changed by
    /// [`change_inspection`](Self::change_inspection).
    pub(super) fn change<T>(&self, edit: impl FnOnce(&mut State) -> Answer<T>) -> Answer<T> {
        self.change_to(None, edit)
    }

    /// As [`change`](Self::change) for modules and chains, and nothing else of the state. Modules may take seconds until they
    /// are ready; rules, services and sets are read and changed meanwhile.
    pub(super) fn change_inspection<T>(&self, edit: impl FnOnce(&mut State) -> Answer<T>) -> Answer<T> {
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
    pub(super) fn apply(&self, from: &State, to: &State, prepared: Option<PreparedInspection>) -> Answer<()> {
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
