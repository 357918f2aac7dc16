//! What inspects: chains of one module or none, and the daemon that they run in.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{
    network::{ENDS, INTERFACES},
    rules,
};
use crate::{
    daemon::{Daemon, Setup},
    modules,
    wire::links::WORKER_CORE,
};

/// MiB of heap that 10,000 rules need, with their automata.
const HEAP: usize = 512;
/// Milliseconds for one batch: the clock goes on while a shared machine gives the worker's core to others, and a module that
/// runs out of time condemns streams.
const DEADLINE: u32 = 1000;
/// Longest time for a service to come up.
const PATIENCE: Duration = Duration::from_secs(10);

/// A chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// No module: what all the others are compared with.
    Empty,
    /// `header_guard`, which reads the headers of packets.
    Headers,
    /// A module that passes every stream without looking: what putting them in order costs.
    Streams,
    /// `waf` with its defaults, on port 80; flows of other ports it clears.
    Waf,
    /// `ips` with so many rules.
    Ips(usize),
}

impl Subject {
    pub(super) const ALL: [Self; 6] =
        [Self::Empty, Self::Headers, Self::Streams, Self::Waf, Self::Ips(1_000), Self::Ips(10_000)];

    /// As figures name it.
    pub(super) fn name(self) -> String {
        match self {
            Self::Empty => "no module".to_owned(),
            Self::Headers => "header_guard".to_owned(),
            Self::Streams => "streams, not looked at".to_owned(),
            Self::Waf => "waf".to_owned(),
            Self::Ips(rules) => format!("ips, {rules} rules"),
        }
    }

    /// Its module: file, and configuration in JSON. The modules written here are put into `folder`.
    pub(super) fn module(self, modules: &Path, folder: &Path) -> Result<Option<(std::path::PathBuf, String)>> {
        let file = |name: &str| {
            let file = modules.join(name);
            let missing = "run scripts/compile_wasm.sh, or name its folder with --modules";
            ensure!(file.is_file(), "{} is missing: {missing}", file.display());
            Ok(file)
        };
        Ok(Some(match self {
            Self::Empty => return Ok(None),
            Self::Headers => (file("header_guard.wasm")?, "{}".to_owned()),
            Self::Streams => {
                let file = folder.join("streams.wat");
                std::fs::write(&file, modules::STREAMS).context("writing a module")?;
                (file, "{}".to_owned())
            }
            Self::Waf => (file("waf.wasm")?, json!({ "ports": [80] }).to_string()),
            Self::Ips(count) => (file("ips.wasm")?, json!({ "rules": rules::rules(count) }).to_string()),
        }))
    }

    /// A daemon between client and server, through whose chain both directions go.
    pub(super) fn start(self, binary: &Path, modules: &Path) -> Result<Daemon> {
        self.try_start(binary, modules).with_context(|| self.name())
    }

    fn try_start(self, binary: &Path, modules: &Path) -> Result<Daemon> {
        let folder = tempfile::tempdir().context("a folder for a module")?;
        let mut tables = format!("[workers]\ncores = [{WORKER_CORE}]\nset_gro = true\n");
        let mut names = "";
        if let Some((file, config)) = self.module(modules, folder.path())? {
            let config: Value = serde_json::from_str(&config)?;
            // A string of JSON is a string of TOML.
            let options: Vec<String> =
                config.as_object().into_iter().flatten().map(|(key, value)| format!("{key} = {value}")).collect();
            tables.push_str(&format!(
                "[[module]]\nname = \"module\"\npath = {:?}\non_failure = \"closed\"\nheap_mib = {HEAP}\ndeadline_ms = {DEADLINE}\n\
                 config = {{ {} }}\n",
                file.display().to_string(),
                options.join(", ")
            ));
            names = "\"module\"";
        }
        tables.push_str(&format!("[[chain]]\nname = \"default\"\nmodules = [{names}]\n"));
        let daemon = Daemon::start(binary, &Setup { interfaces: &INTERFACES, tables })?;
        for (device, address) in INTERFACES.into_iter().zip(ENDS) {
            daemon.ask(&["service", "add", device, "--ip", address, "--dev", device])?;
        }
        daemon.ask(&["rule", "add", "--proto", "tcp", "--action", "inspect"])?;
        let begin = Instant::now();
        loop {
            let list: Value = serde_json::from_str(&daemon.ask(&["service", "list", "--json"])?)?;
            let services = list["services"].as_array().context("no list of services")?;
            if services.iter().all(|service| service["state"] == "up") {
                return Ok(daemon);
            }
            ensure!(begin.elapsed() < PATIENCE, "the services do not come up: {list}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}
