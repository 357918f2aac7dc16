//! What can be wrong with modules, chains and the memory they read.

use std::{io, path::PathBuf};

/// Why inspection cannot be set up. Every variant that is about a module names it and its file.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The file cannot be read.
    #[error("module {name}: cannot read {}: {source}", path.display())]
    Read {
        /// Module.
        name: String,
        /// Its file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The file is no module of ABI version 1, or not one that its limits allow.
    #[error("module {name} ({}): {problem}", path.display())]
    Refused {
        /// Module.
        name: String,
        /// Its file.
        path: PathBuf,
        /// What is wrong and how to mend it.
        problem: String,
    },
    /// A setting of a module is out of range.
    #[error("module {name}: {setting} {problem}")]
    Setting {
        /// Module.
        name: String,
        /// Key of the configuration.
        setting: &'static str,
        /// The broken rule.
        problem: String,
    },
    /// Two modules or two chains of one name.
    #[error("two {kind} are named {name}; give one of them another name")]
    Duplicate {
        /// `modules` or `chains`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A chain names a module that is not there.
    #[error("chain {chain}: no module is named {module}; the modules are: {known}")]
    UnknownModule {
        /// Chain.
        chain: String,
        /// Name without a module.
        module: String,
        /// Names of the modules there are.
        known: String,
    },
    /// More modules than there is room for.
    #[error(
        "there is room for {room} modules, not for {count}: unload one that is not needed, or raise modules.max_modules in \
         the configuration and restart"
    )]
    NoRoom {
        /// How many there would be.
        count: usize,
        /// How many there may be.
        room: usize,
    },
    /// More modules or chains than their indices can tell apart.
    #[error("{count} {kind} are configured, at most {} are possible", u16::MAX)]
    TooMany {
        /// `modules` or `chains`.
        kind: &'static str,
        /// How many there are.
        count: usize,
    },
    /// The engine cannot be made: most often the process may not reserve the address space.
    #[error(
        "cannot reserve {gib} GiB of address space for {instances} module instances: {problem}; lower \
         modules.max_modules or the number of workers, or raise `ulimit -v`"
    )]
    Engine {
        /// Address space needed.
        gib: u64,
        /// Instances it is for.
        instances: u32,
        /// Cause.
        problem: String,
    },
    /// All instances that the engine has room for are in use.
    #[error("all {runners} runners that the inspector was made for are in use; drop one first")]
    NoRunnerLeft {
        /// Runners the inspector was made for.
        runners: usize,
    },
    /// The UMEM cannot be shown to guests.
    #[error("cannot map {len} bytes of packet memory into the modules: {problem}")]
    Region {
        /// Length of the region in bytes.
        len: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// The thread that measures deadlines cannot be started.
    #[error("cannot start the deadline thread: {0}")]
    Ticker(io::Error),
}
