//! The modules and chains that there are: those of the configuration, with what the API changed put over them.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use secuxflow::plane::{ChainConfig, Code, ModuleConfig, PlaneConfig};
use serde::{Deserialize, Serialize};

use super::{
    MAX_CODE,
    key::{KeyError, Signature, Trust},
    sha256,
};

/// Who said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Origin {
    /// The configuration file.
    Config,
    /// The API; it is kept beside the state file, and wins.
    Api,
}

impl Origin {
    /// The word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Api => "api",
        }
    }
}

/// A module's file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("module {name} ({}): {reason}", path.display())]
pub(crate) struct LoadError {
    name: String,
    path: PathBuf,
    reason: String,
}

/// A module with its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoadedModule {
    /// For the dataplane; with the file's bytes.
    pub(crate) config: ModuleConfig,
    /// Of the file, hex.
    pub(crate) sha256: String,
    /// What it came with.
    pub(crate) signature: Option<Signature>,
    /// The name of the key that it was signed by.
    pub(crate) signed_by: Option<String>,
    /// Who loaded it.
    pub(crate) origin: Origin,
}

impl LoadedModule {
    /// `config` with `code`, if that may be trusted.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn new(
        config: ModuleConfig,
        code: Vec<u8>,
        signature: Option<Signature>,
        origin: Origin,
        trust: &Trust,
    ) -> Result<Self, String> {
        let signed_by = trust.check(&code, signature.as_ref())?;
        let sha256 = sha256(&code);
        let config = ModuleConfig { code: Some(Code::from(code)), ..config };
        Ok(Self { config, sha256, signature, signed_by, origin })
    }

    /// A module of the configuration, its file and the signature beside it read now.
    ///
    /// # Errors
    /// The file cannot be read, or is not to be trusted.
    pub(crate) fn configured(config: &ModuleConfig, trust: &Trust) -> Result<Self, LoadError> {
        let fail = |reason| LoadError { name: config.name.clone(), path: config.path.clone(), reason };
        let code = read_file(&config.path).map_err(|e| fail(e.to_string()))?;
        let signature = beside(&config.path).map_err(|e| fail(e.to_string()))?;
        Self::new(config.clone(), code, signature, Origin::Config, trust).map_err(fail)
    }

    /// The file's bytes.
    pub(crate) fn code(&self) -> &[u8] {
        self.config.code.as_ref().map_or(&[], Code::bytes)
    }
}

/// The signature beside a module's file, where there is one.
fn beside(path: &Path) -> Result<Option<Signature>, KeyError> {
    let mut name = OsString::from(path);
    name.push(".sig");
    match Signature::read(Path::new(&name)) {
        Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// A module's file, if it is not too large.
///
/// # Errors
/// What the system said, or the limit.
pub(crate) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut code = Vec::new();
    File::open(path)?.take(MAX_CODE as u64 + 1).read_to_end(&mut code)?;
    if code.len() > MAX_CODE {
        return Err(io::Error::other(format!("larger than {} MiB, the most that a module may have", MAX_CODE >> 20)));
    }
    Ok(code)
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoadedChain {
    /// For the dataplane.
    pub(crate) config: ChainConfig,
    /// Who made it as it is.
    pub(crate) origin: Origin,
}

/// All modules and chains.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Inspection {
    /// The modules, those of the configuration first.
    pub(crate) modules: Vec<Arc<LoadedModule>>,
    /// The chains, the one named `default` first.
    pub(crate) chains: Vec<LoadedChain>,
    /// Modules of the configuration that were unloaded.
    pub(crate) unloaded: BTreeSet<String>,
    /// Chains of the configuration that were deleted.
    pub(crate) deleted: BTreeSet<String>,
}

impl Inspection {
    /// What the configuration says.
    ///
    /// # Errors
    /// The first module whose file cannot be used.
    pub(crate) fn configured(plane: &PlaneConfig, trust: &Trust) -> Result<Self, LoadError> {
        let module = |config| LoadedModule::configured(config, trust).map(Arc::new);
        let chain = |config: &ChainConfig| LoadedChain { config: config.clone(), origin: Origin::Config };
        Ok(Self {
            modules: plane.modules.iter().map(module).collect::<Result<_, _>>()?,
            chains: plane.chains.iter().map(chain).collect(),
            ..Self::default()
        })
    }

    /// The module of this name.
    pub(crate) fn module(&self, name: &str) -> Option<&Arc<LoadedModule>> {
        self.modules.iter().find(|module| module.config.name == name)
    }

    /// The chain of this name.
    pub(crate) fn chain(&self, name: &str) -> Option<&LoadedChain> {
        self.chains.iter().find(|chain| chain.config.name == name)
    }

    /// Put a module in the place of the one of its name, or behind all others.
    pub(crate) fn put_module(&mut self, module: LoadedModule) {
        self.unloaded.remove(&module.config.name);
        match self.modules.iter_mut().find(|known| known.config.name == module.config.name) {
            Some(known) => *known = Arc::new(module),
            None => self.modules.push(Arc::new(module)),
        }
    }

    /// Put a chain in the place of the one of its name, or behind all others.
    pub(crate) fn put_chain(&mut self, chain: LoadedChain) {
        self.deleted.remove(&chain.config.name);
        match self.chains.iter_mut().find(|known| known.config.name == chain.config.name) {
            Some(known) => *known = chain,
            None => self.chains.push(chain),
        }
    }

    /// Names of the chains that have a module, each once.
    pub(crate) fn chains_with(&self, module: &str) -> Vec<&str> {
        let has = |chain: &&LoadedChain| chain.config.modules.iter().any(|step| step.module == module);
        self.chains.iter().filter(has).map(|chain| chain.config.name.as_str()).collect()
    }

    /// The first chain that has a module which is not there, and that module.
    pub(crate) fn lacking_module(&self) -> Option<(&str, &str)> {
        self.chains.iter().find_map(|chain| {
            let step = chain.config.modules.iter().find(|step| self.module(&step.module).is_none())?;
            Some((chain.config.name.as_str(), step.module.as_str()))
        })
    }

    /// Names of the chains.
    pub(crate) fn chain_names(&self) -> Vec<String> {
        self.chains.iter().map(|chain| chain.config.name.clone()).collect()
    }

    /// For the dataplane.
    pub(crate) fn configs(&self) -> (Vec<ModuleConfig>, Vec<ChainConfig>) {
        let modules = self.modules.iter().map(|module| module.config.clone());
        (modules.collect(), self.chains.iter().map(|chain| chain.config.clone()).collect())
    }

    /// Whether the dataplane would see others.
    pub(crate) fn differs(&self, other: &Self) -> bool {
        let modules = |(a, b): (&Arc<LoadedModule>, &Arc<LoadedModule>)| Arc::ptr_eq(a, b) || a.config == b.config;
        let chains = |(a, b): (&LoadedChain, &LoadedChain)| a.config == b.config;
        self.modules.len() != other.modules.len()
            || self.chains.len() != other.chains.len()
            || !self.modules.iter().zip(&other.modules).all(modules)
            || !self.chains.iter().zip(&other.chains).all(chains)
    }
}
