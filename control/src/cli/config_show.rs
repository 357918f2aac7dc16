//! A checked configuration as it is shown.

use secuxflow::plane::ChainConfig;
use serde::Serialize;

use super::output::Show;
use crate::{config::Config, modules::StepSpec};

fn steps(chain: &ChainConfig) -> String {
    chain.modules.iter().map(|step| StepSpec::from(step).to_string()).collect::<Vec<_>>().join(", ")
}

/// What a valid configuration says.
#[derive(Debug, Serialize)]
pub(super) struct ConfigSummary {
    valid: bool,
    file: String,
    interfaces: Vec<String>,
    modules: Vec<String>,
    chains: Vec<String>,
    socket: String,
    metrics: String,
    state: String,
}

impl ConfigSummary {
    /// `config` in words.
    pub(super) fn of(config: &Config) -> Self {
        let chains = config.plane.chains.iter();
        Self {
            valid: true,
            file: config.origin.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
            interfaces: config.plane.interfaces.clone(),
            modules: config.plane.modules.iter().map(|module| module.name.clone()).collect(),
            chains: chains.map(|chain| format!("{} [{}]", chain.name, steps(chain))).collect(),
            socket: config.socket.path.display().to_string(),
            metrics: config.metrics.map_or_else(|| "off".to_owned(), |address| address.to_string()),
            state: config.state.display().to_string(),
        }
    }
}

impl Show for ConfigSummary {
    fn show(&self) -> String {
        let list = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        format!(
            "{}: valid\ninterfaces  {}\nmodules     {}\nchains      {}\nsocket      {}\nmetrics     {}\nstate       {}\n",
            self.file,
            list(&self.interfaces),
            list(&self.modules),
            list(&self.chains),
            self.socket,
            self.metrics,
            self.state,
        )
    }
}
