//! The rules for `[modules]`, `[[module]]` and `[[chain]]`.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
};

use secuxflow::plane::{ChainConfig, ModuleConfig};
use serde_json::{Map, Value};

use super::{
    check::{DEFAULT_CHAIN, Faults},
    file::{RawChain, RawModule, RawModules},
};
use crate::modules::{Limits, PublicKey, Trust, check_name, read_options};

/// Checked modules, in the order of the file.
pub(super) fn modules(raw: &[RawModule], faults: &mut Faults) -> Vec<ModuleConfig> {
    let mut seen = HashSet::new();
    let mut modules = Vec::with_capacity(raw.len());
    for (i, module) in raw.iter().enumerate() {
        let key = |name: &str| format!("module[{i}].{name}");
        name(&key("name"), &module.name, &mut seen, faults);
        if !module.path.is_file() {
            faults.add(key("path"), format!("{} is not a readable file", module.path.display()));
        }
        let mut checked = ModuleConfig {
            path: module.path.clone(),
            config: config(&key("config"), module, faults),
            ..Limits::default_config(&module.name)
        };
        let RawModule { on_failure, deadline_ms, heap_mib, max_failures, .. } = *module;
        let limits = Limits { on_failure, deadline_ms, heap_mib, max_failures };
        limits.apply(&mut checked, |field, rule| faults.add(key(field), rule));
        modules.push(checked);
    }
    modules
}

/// The options of modules as they are written, for when files that they name are to be read anew.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct WrittenOptions(HashMap<String, (Map<String, Value>, PathBuf)>);

impl WrittenOptions {
    /// Those of `raw`, which are checked.
    pub(super) fn of(raw: &[RawModule]) -> Self {
        let written = |module: &RawModule| Some((module.name.clone(), (options(&module.config)?, module.base.clone())));
        Self(raw.iter().filter_map(written).collect())
    }

    /// What the configuration gives the module `name`, with the files as they are now.
    ///
    /// # Errors
    /// The option, and why its file cannot be used.
    pub(crate) fn read(&self, name: &str) -> Result<String, (String, String)> {
        let Some((options, base)) = self.0.get(name) else { return Ok("{}".to_owned()) };
        let mut options = options.clone();
        read_options(&mut options, base)?;
        Ok(Value::from(options).to_string())
    }
}

/// Whom modules have to come from.
pub(super) fn trust(raw: &RawModules, faults: &mut Faults) -> Trust {
    let mut keys: Vec<PublicKey> = Vec::with_capacity(raw.keys.len());
    for (i, path) in raw.keys.iter().enumerate() {
        match PublicKey::read(path) {
            Ok(key) if keys.iter().any(|known| known.name == key.name) => {
                faults.add(format!("modules.keys[{i}]"), format!("two keys are named '{}'; rename a file", key.name));
            }
            Ok(key) => keys.push(key),
            Err(error) => faults.add(format!("modules.keys[{i}]"), error.to_string()),
        }
    }
    if raw.require_signed && raw.keys.is_empty() {
        faults.add("modules.require_signed", "no module could be loaded without a key in modules.keys");
    }
    Trust { required: raw.require_signed, keys }
}

/// Checked chains; the one named `default` comes first and exists always.
pub(super) fn chains(raw: &[RawChain], modules: &[ModuleConfig], faults: &mut Faults) -> Vec<ChainConfig> {
    let mut seen = HashSet::new();
    let mut chains = Vec::with_capacity(raw.len() + 1);
    for (i, chain) in raw.iter().enumerate() {
        name(&format!("chain[{i}].name"), &chain.name, &mut seen, faults);
        let mut steps = Vec::with_capacity(chain.modules.len());
        for (j, step) in chain.modules.iter().enumerate() {
            let key = format!("chain[{i}].modules[{j}]");
            if !modules.iter().any(|known| known.name == step.module) {
                faults.add(&*key, format!("there is no module '{}'", step.module));
            }
            match step.check() {
                Ok(step) => steps.push(step),
                Err((field, rule)) => faults.add(format!("{key}.{field}"), rule),
            }
        }
        chains.push(ChainConfig { name: chain.name.clone(), modules: steps });
    }
    match chains.iter().position(|chain| chain.name == DEFAULT_CHAIN) {
        Some(at) => chains[..=at].rotate_right(1),
        None if raw.is_empty() => {
            chains.push(ChainConfig { name: DEFAULT_CHAIN.to_owned(), modules: Vec::new() });
        }
        None => faults.add("chain", format!("one chain must be named '{DEFAULT_CHAIN}': rules that name none use it")),
    }
    chains
}

fn name<'a>(key: &str, name: &'a str, seen: &mut HashSet<&'a str>, faults: &mut Faults) {
    if let Err(rule) = check_name(name) {
        faults.add(key, rule);
    }
    if !seen.insert(name) {
        faults.add(key, format!("'{name}' is used twice"));
    }
}

/// The module's table, with what lies in files of its own, as the JSON text that `sxf_init` gets; `{}` where there is none.
fn config(key: &str, module: &RawModule, faults: &mut Faults) -> String {
    let Some(mut options) = options(&module.config) else {
        faults.add(key, "nan and inf have no form in JSON");
        return String::new();
    };
    if let Err((field, why)) = read_options(&mut options, &module.base) {
        faults.add(format!("{key}.{field}"), why);
    }
    Value::from(options).to_string()
}

/// A table in JSON; none where [`json`] has none.
fn options(table: &toml::Table) -> Option<Map<String, Value>> {
    table.iter().map(|(name, value)| Some((name.clone(), json(value)?))).collect()
}

/// `value` in JSON, dates as strings; none for numbers that JSON lacks.
fn json(value: &toml::Value) -> Option<Value> {
    Some(match value {
        toml::Value::String(text) => text.as_str().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => serde_json::Number::from_f64(*number)?.into(),
        toml::Value::Boolean(flag) => (*flag).into(),
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(items) => items.iter().map(json).collect::<Option<Vec<_>>>()?.into(),
        toml::Value::Table(table) => Value::Object(options(table)?),
    })
}
