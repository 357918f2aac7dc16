//! The rules for `[[module]]` and `[[chain]]`.

use std::{collections::HashSet, time::Duration};

use secuxflow::plane::{ChainConfig, ModuleConfig};

use super::{
    check::{DEFAULT_CHAIN, Faults},
    file::{RawChain, RawModule},
};

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
        let deadline = faults.range(&key("deadline_ms"), module.deadline_ms, 50, 1, 60_000);
        // The guest's heap ends where the window onto the UMEM may begin: secuxflow_abi::HEAP_LIMIT, 1 GiB.
        let heap_mib = faults.range(&key("heap_mib"), module.heap_mib, 16, 1, 1023);
        modules.push(ModuleConfig {
            name: module.name.clone(),
            path: module.path.clone(),
            on_failure: module.on_failure.into(),
            deadline: Duration::from_millis(u64::from(deadline)),
            heap: usize::try_from(heap_mib).unwrap_or(usize::MAX) << 20,
            max_failures: faults.range(&key("max_failures"), module.max_failures, 16, 1, 1_000_000),
            config: config(&key("config"), &module.config, faults),
        });
    }
    modules
}

/// Checked chains; the one named `default` comes first and exists always.
pub(super) fn chains(raw: &[RawChain], modules: &[ModuleConfig], faults: &mut Faults) -> Vec<ChainConfig> {
    let mut seen = HashSet::new();
    let mut chains = Vec::with_capacity(raw.len() + 1);
    for (i, chain) in raw.iter().enumerate() {
        name(&format!("chain[{i}].name"), &chain.name, &mut seen, faults);
        for (j, module) in chain.modules.iter().enumerate() {
            if !modules.iter().any(|known| known.name == *module) {
                faults.add(format!("chain[{i}].modules[{j}]"), format!("there is no module '{module}'"));
            }
        }
        chains.push(ChainConfig { name: chain.name.clone(), modules: chain.modules.clone() });
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
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 63 || !name.chars().all(fits) {
        faults.add(key, format!("'{name}' is no name: 1 to 63 letters, digits, '-', '_' or '.'"));
    }
    if !seen.insert(name) {
        faults.add(key, format!("'{name}' is used twice"));
    }
}

/// The module's table as the JSON text that `sxf_init` gets; `{}` where there is none.
fn config(key: &str, table: &toml::Table, faults: &mut Faults) -> String {
    let json = json(&toml::Value::Table(table.clone())).map(|json| json.to_string());
    json.unwrap_or_else(|| {
        faults.add(key, "nan and inf have no form in JSON");
        String::new()
    })
}

/// `value` in JSON, dates as strings; none for numbers that JSON lacks.
fn json(value: &toml::Value) -> Option<serde_json::Value> {
    Some(match value {
        toml::Value::String(text) => text.as_str().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => serde_json::Number::from_f64(*number)?.into(),
        toml::Value::Boolean(flag) => (*flag).into(),
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(items) => items.iter().map(json).collect::<Option<Vec<_>>>()?.into(),
        toml::Value::Table(table) => {
            let entries = table.iter().map(|(key, value)| Some((key.clone(), json(value)?)));
            serde_json::Value::Object(entries.collect::<Option<_>>()?)
        }
    })
}
