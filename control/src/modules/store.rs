//! What the API changed of modules and chains, as it is kept: in the state file, and each module's bytes in a file of their
//! own, named by their SHA-256, in the directory `modules` beside it.
//!
//! A module's file is written before the state file names it, and removed when that names it no more: so the daemon may
//! die at any moment, and every module finds its file.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use secuxflow::plane::{ChainConfig, ModuleConfig};
use serde::{Deserialize, Serialize};

use super::{
    check_name,
    key::{Signature, Trust},
    limits::Limits,
    loaded::{Inspection, LoadedChain, LoadedModule, Origin, read_file},
    sha256,
    step::StepSpec,
};
use crate::{config::FailPolicyName, durable};

/// Why what is kept of modules and chains could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// A module's file cannot be read.
    #[error("module {name}: {}: {source}; bring the file back, or remove the module from the state file", path.display())]
    Read {
        /// The module.
        name: String,
        /// Its file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A module's file cannot be written.
    #[error("module file {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something that was stored is not, or no longer, right.
    #[error("{what}: {reason}")]
    Wrong {
        /// The module or chain.
        what: String,
        /// What is wrong with it and how to mend it.
        reason: String,
    },
}

/// The part of the state file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StoredInspection {
    modules: Vec<StoredModule>,
    chains: Vec<StoredChain>,
    unloaded_modules: BTreeSet<String>,
    deleted_chains: BTreeSet<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredModule {
    name: String,
    /// Where its file was when it was loaded; for people.
    path: PathBuf,
    sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    on_failure: Option<FailPolicyName>,
    deadline_ms: Option<i64>,
    heap_mib: Option<i64>,
    max_failures: Option<i64>,
    config: serde_json::Value,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredChain {
    name: String,
    modules: Vec<StepSpec>,
}

impl StoredInspection {
    /// Nothing was changed.
    pub(crate) fn is_empty(&self) -> bool {
        self.modules.is_empty()
            && self.chains.is_empty()
            && self.unloaded_modules.is_empty()
            && self.deleted_chains.is_empty()
    }
}

impl From<&Inspection> for StoredInspection {
    fn from(all: &Inspection) -> Self {
        let modules = all.modules.iter().filter(|module| module.origin == Origin::Api);
        let chains = all.chains.iter().filter(|chain| chain.origin == Origin::Api);
        Self {
            modules: modules.map(|module| stored(module)).collect(),
            chains: chains
                .map(|chain| StoredChain {
                    name: chain.config.name.clone(),
                    modules: chain.config.modules.iter().map(StepSpec::from).collect(),
                })
                .collect(),
            unloaded_modules: all.unloaded.clone(),
            deleted_chains: all.deleted.clone(),
        }
    }
}

fn stored(module: &LoadedModule) -> StoredModule {
    let Limits { on_failure, deadline_ms, heap_mib, max_failures } = Limits::of(&module.config);
    StoredModule {
        name: module.config.name.clone(),
        path: module.config.path.clone(),
        sha256: module.sha256.clone(),
        signature: module.signature.map(|signature| signature.text()),
        on_failure,
        deadline_ms,
        heap_mib,
        max_failures,
        config: serde_json::from_str(&module.config.config).unwrap_or_default(),
    }
}

/// The directory of module files that belong to the state file at `state`.
pub(crate) fn directory(state: &Path) -> PathBuf {
    durable::directory(state).join("modules")
}

fn file(directory: &Path, sha256: &str) -> PathBuf {
    directory.join(format!("{sha256}.module"))
}

/// Put what is stored over what the configuration says.
///
/// # Errors
/// [`StoreError`]: a file is gone or another than it was, or a module or chain is not right, or no longer.
pub(crate) fn restore(
    base: &Inspection,
    stored: StoredInspection,
    directory: &Path,
    trust: &Trust,
) -> Result<Inspection, StoreError> {
    let mut all = base.clone();
    all.modules.retain(|module| !stored.unloaded_modules.contains(&module.config.name));
    all.chains.retain(|chain| !stored.deleted_chains.contains(&chain.config.name));
    (all.unloaded, all.deleted) = (stored.unloaded_modules, stored.deleted_chains);
    for module in stored.modules {
        all.put_module(restored(module, directory, trust)?);
    }
    for StoredChain { name, modules } in stored.chains {
        let wrong = |reason: String| StoreError::Wrong { what: format!("chain {name}"), reason };
        check_name(&name).map_err(wrong)?;
        let step =
            |step: &StepSpec| step.check().map_err(|(field, rule)| wrong(format!("{}: {field}: {rule}", step.module)));
        let modules = modules.iter().map(step).collect::<Result<_, _>>()?;
        all.put_chain(LoadedChain { config: ChainConfig { name, modules }, origin: Origin::Api });
    }
    if let Some((chain, module)) = all.lacking_module() {
        let reason = format!("there is no module '{module}': mend the configuration, or the state file's `inspection`");
        return Err(StoreError::Wrong { what: format!("chain {chain}"), reason });
    }
    Ok(all)
}

fn restored(stored: StoredModule, directory: &Path, trust: &Trust) -> Result<LoadedModule, StoreError> {
    let StoredModule { name, path, sha256: hash, signature, on_failure, deadline_ms, heap_mib, max_failures, config } =
        stored;
    let wrong = |reason: String| StoreError::Wrong { what: format!("module {name}"), reason };
    check_name(&name).map_err(wrong)?;
    let signature = match signature {
        None => None,
        Some(text) => {
            let parsed = Signature::parse(text.as_bytes());
            Some(parsed.ok_or_else(|| wrong("signature: 64 bytes in base64 expected".into()))?)
        }
    };
    let mut module = ModuleConfig { path, config: config.to_string(), ..Limits::default_config(&name) };
    let mut fault = None;
    let limits = Limits { on_failure, deadline_ms, heap_mib, max_failures };
    limits.apply(&mut module, |field, rule| fault = Some(format!("{field}: {rule}")));
    if let Some(fault) = fault {
        return Err(wrong(fault));
    }
    let hex = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !hex {
        return Err(wrong("sha256: 64 hex digits expected".into()));
    }
    let file = file(directory, &hash);
    let code =
        read_file(&file).map_err(|source| StoreError::Read { name: name.clone(), path: file.clone(), source })?;
    if sha256(&code) != hash {
        return Err(wrong(format!("{} is damaged: it has another SHA-256", file.display())));
    }
    LoadedModule::new(module, code, signature, Origin::Api, trust).map_err(wrong)
}

/// Hashes of the files that are kept.
fn kept(all: &Inspection) -> BTreeSet<&str> {
    all.modules.iter().filter(|module| module.origin == Origin::Api).map(|module| module.sha256.as_str()).collect()
}

/// Write the files that `to` has and `from` has not.
///
/// # Errors
/// [`StoreError::Write`].
pub(crate) fn save(directory: &Path, from: &Inspection, to: &Inspection) -> Result<(), StoreError> {
    let before = kept(from);
    for module in to.modules.iter().filter(|module| module.origin == Origin::Api) {
        if before.contains(module.sha256.as_str()) {
            continue;
        }
        let path = file(directory, &module.sha256);
        let write = || {
            fs::DirBuilder::new().recursive(true).mode(0o750).create(directory)?;
            durable::replace(&path, module.code())
        };
        write().map_err(|source| StoreError::Write { path: path.clone(), source })?;
    }
    Ok(())
}

/// Remove the files that `from` has and `to` has not. One that cannot be removed is told in the log: nothing names it.
pub(crate) fn delete(directory: &Path, from: &Inspection, to: &Inspection) {
    for hash in kept(from).difference(&kept(to)) {
        let path = file(directory, hash);
        if let Err(error) = durable::remove(&path) {
            tracing::warn!("{} is needed no more and cannot be removed: {error}", path.display());
        }
    }
}
