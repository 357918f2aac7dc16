//! The engine, and the module files that were compiled for it: each once, by the SHA-256 of the file.

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use sha2::{Digest, Sha256};
use wasmtime::Linker;

use super::{
    InspectError,
    engine::engine,
    host::{self, Host},
    module::{Compiled, refused},
    ticker::Ticker,
};
use crate::plane::ModuleConfig;

/// What modules are compiled by and instances live in. An [`Inspector`](super::Inspector) has one of its own, unless it is
/// made with one that others use too: then a file that several of them run is compiled once.
pub struct Loader {
    pub(super) linker: Linker<Host>,
    pub(super) ticker: Ticker,
    /// Those used last come last.
    compiled: Mutex<Vec<Arc<Compiled>>>,
    /// Files that are kept compiled, also when no module is of them.
    keep: usize,
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader").field("compiled", &self.compiled).field("keep", &self.keep).finish_non_exhaustive()
    }
}

impl Loader {
    /// A loader with address space for `instances` instances at a time, which keeps the `keep` files that were used last
    /// compiled.
    ///
    /// # Errors
    /// Address space for so many cannot be had, or the thread of the deadlines cannot be started.
    pub fn new(instances: usize, keep: usize) -> Result<Self, InspectError> {
        let engine = engine(u32::try_from(instances).unwrap_or(u32::MAX))?;
        let ticker = Ticker::start(&engine).map_err(InspectError::Ticker)?;
        Ok(Self { linker: host::linker(&engine), ticker, compiled: Mutex::default(), keep })
    }

    /// The module's file, checked and compiled. One file is compiled at a time: whoever asks meanwhile, for whichever, waits.
    pub(super) fn compiled(&self, config: &ModuleConfig) -> Result<Arc<Compiled>, InspectError> {
        let bytes = match &config.code {
            Some(code) => Cow::Borrowed(code.bytes()),
            None => Cow::Owned(std::fs::read(&config.path).map_err(|source| InspectError::Read {
                name: config.name.clone(),
                path: config.path.clone(),
                source,
            })?),
        };
        let sha256: [u8; 32] = Sha256::digest(&bytes).into();
        let mut kept = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match kept.iter().position(|known| known.sha256 == sha256) {
            Some(at) => kept.remove(at),
            None => {
                Arc::new(Compiled::new(&self.linker, &bytes, sha256, config.heap).map_err(|why| refused(config, why))?)
            }
        };
        kept.push(Arc::clone(&found));
        let oldest = kept.len().saturating_sub(self.keep);
        kept.drain(..oldest);
        Ok(found)
    }
}
