//! Chains: made, changed and deleted while traffic runs.

use secuxflow::{
    plane::{ChainConfig, ChainStep},
    rules::Action,
};

use super::{Admin, Answer, sets::named_rules};
use crate::{
    api::{ChainInfo, Chains, ErrorCode, SetChain},
    config::DEFAULT_CHAIN,
    error::ApiError,
    modules::{LoadedChain, Origin, StepSpec, check_name},
    state::State,
};

impl Admin {
    /// All chains.
    pub(crate) fn chains(&self) -> Chains {
        let state = self.state();
        Chains { chains: state.inspection.chains.iter().map(|chain| self.chain_info(&state, chain)).collect() }
    }

    /// Make a chain.
    ///
    /// # Errors
    /// The name is not valid or taken, a module is not there, or the change cannot be made.
    pub(crate) fn create_chain(&self, name: &str, request: &SetChain) -> Answer<ChainInfo> {
        check_name(name).map_err(|rule| ApiError::invalid("name", rule))?;
        let modules = steps(request)?.unwrap_or_default();
        self.change_inspection(|state| {
            if state.inspection.chain(name).is_some() {
                let message = format!("there is a chain '{name}' already; `chain set` gives it other modules");
                return Err(ApiError::field(ErrorCode::Conflict, "name", message));
            }
            self.put_chain(state, name, modules, Origin::Api)
        })
    }

    /// Give a chain other modules.
    ///
    /// # Errors
    /// There is none of this name, a module is not there, or the change cannot be made.
    pub(crate) fn set_chain(&self, name: &str, request: &SetChain) -> Answer<ChainInfo> {
        let given = steps(request)?;
        self.change_inspection(|state| {
            if request.reset {
                let chain = self.configured_chain(name)?;
                return self.put_chain(state, name, chain.modules.clone(), Origin::Config);
            }
            let chain = state.inspection.chain(name).ok_or_else(|| unknown(name))?;
            let modules = given.unwrap_or_else(|| chain.config.modules.clone());
            self.put_chain(state, name, modules, Origin::Api)
        })
    }

    /// Delete a chain.
    ///
    /// # Errors
    /// There is none of this name, rules or the default action use it, or the change cannot be made.
    pub(crate) fn delete_chain(&self, name: &str) -> Answer<usize> {
        self.change_inspection(|state| {
            if state.inspection.chain(name).is_none() {
                return Err(unknown(name));
            }
            let conflict = |message: String| Err(ApiError::field(ErrorCode::Conflict, "name", message));
            if name == DEFAULT_CHAIN {
                return conflict(format!("the chain '{DEFAULT_CHAIN}' is for what names no other, and stays"));
            }
            let users: Vec<_> =
                state.rules.iter().filter(|rule| uses(&rule.action, name)).map(|rule| rule.id).collect();
            if !users.is_empty() {
                let named = named_rules(&users);
                return conflict(format!("the chain '{name}' is used by {named}; delete or change those rules first"));
            }
            if uses(&self.fixed.default_action, name) {
                return conflict(format!("the chain '{name}' is the configuration's default_chain"));
            }
            state.inspection.chains.retain(|chain| chain.config.name != name);
            if self.configured_chain(name).is_ok() {
                state.inspection.deleted.insert(name.to_owned());
            }
            Ok(1)
        })
    }

    fn put_chain(&self, state: &mut State, name: &str, modules: Vec<ChainStep>, origin: Origin) -> Answer<ChainInfo> {
        let lost = modules.iter().position(|step| state.inspection.module(&step.module).is_none());
        if let Some(at) = lost {
            let message = format!("there is no module '{}'; see `module list` and `module load`", modules[at].module);
            return Err(ApiError::invalid(&format!("modules[{at}]"), message));
        }
        let chain = LoadedChain { config: ChainConfig { name: name.to_owned(), modules }, origin };
        let info = self.chain_info(state, &chain);
        state.inspection.put_chain(chain);
        Ok(info)
    }

    fn chain_info(&self, state: &State, chain: &LoadedChain) -> ChainInfo {
        let name = &chain.config.name;
        let rules = state.rules.iter().filter(|rule| uses(&rule.action, name)).count();
        ChainInfo {
            name: name.clone(),
            modules: chain.config.modules.iter().map(StepSpec::from).collect(),
            origin: chain.origin,
            used_by: rules + usize::from(uses(&self.fixed.default_action, name)),
        }
    }

    /// What the configuration says of a chain.
    fn configured_chain(&self, name: &str) -> Answer<&ChainConfig> {
        self.fixed.chains.iter().find(|chain| chain.name == name).ok_or_else(|| {
            let message = format!("the configuration file has no chain '{name}'");
            ApiError::field(ErrorCode::NotFound, "name", message)
        })
    }
}

fn uses(action: &Action, name: &str) -> bool {
    matches!(action, Action::Inspect { chain } if chain == name)
}

fn unknown(name: &str) -> ApiError {
    ApiError::field(ErrorCode::NotFound, "name", format!("there is no chain '{name}'; see `chain list`"))
}

/// The modules that are asked for; none where none are given.
fn steps(request: &SetChain) -> Answer<Option<Vec<ChainStep>>> {
    if request.reset && request.modules.is_some() {
        return Err(ApiError::invalid("reset", "with it no modules may be given"));
    }
    let Some(modules) = &request.modules else { return Ok(None) };
    let step = |(at, step): (usize, &StepSpec)| {
        step.check().map_err(|(field, rule)| {
            let field = format!("modules[{at}].{field}");
            ApiError::invalid(&field, format!("{field}: {rule}"))
        })
    };
    modules.iter().enumerate().map(step).collect::<Answer<_>>().map(Some)
}
