//! `chain list`, `create`, `set` and `delete`.

use clap::{ArgGroup, Subcommand};
use serde::{Deserialize, Serialize};

use super::{
    ask::segment,
    exit::Failure,
    output::{Output, Show},
    table::table,
};
use crate::{
    api::{ChainInfo, Chains, Removed, SetChain},
    client::Client,
    modules::StepSpec,
};

/// `secuxflow chain`.
#[derive(Debug, Subcommand)]
pub(crate) enum ChainCommand {
    /// List chains with their modules.
    List,
    /// Make a chain, which rules may name then.
    Create {
        /// Unique name, as rules spell it.
        name: String,
        /// A module, first to last: NAME, or NAME:mode=monitor,on_failure=closed,deadline_ms=20 with any of the three.
        #[arg(long = "module", value_name = "MODULE")]
        modules: Vec<StepSpec>,
    },
    /// Put other modules in the place of those that a chain has.
    #[command(group(ArgGroup::new("what").required(true).args(["modules", "empty", "reset"])))]
    Set {
        /// Its name.
        name: String,
        /// A module, as in create; all that the chain is to have.
        #[arg(long = "module", value_name = "MODULE")]
        modules: Vec<StepSpec>,
        /// No module: everything passes.
        #[arg(long)]
        empty: bool,
        /// Those of the configuration file, and forget what was changed since.
        #[arg(long)]
        reset: bool,
    },
    /// Delete a chain that no rule uses.
    Delete {
        /// Its name.
        name: String,
    },
}

/// Run one of these.
///
/// # Errors
/// The daemon cannot be reached or refuses, or the answer cannot be written.
pub(super) async fn run(client: &Client, command: ChainCommand, out: Output) -> Result<(), Failure> {
    match command {
        ChainCommand::List => out.answer(&client.get::<Chains>("/v1/chains").await?),
        ChainCommand::Create { name, modules } => {
            let request = SetChain { modules: Some(modules), reset: false };
            out.answer(&client.post::<Chain>(&path(&name), &request).await?)
        }
        ChainCommand::Set { name, modules, empty: _, reset } => {
            let request = SetChain { modules: (!reset).then_some(modules), reset };
            out.answer(&client.put::<Chain>(&path(&name), &request).await?)
        }
        ChainCommand::Delete { name } => out.answer(&client.delete::<Removed>(&path(&name)).await?),
    }
}

fn path(name: &str) -> String {
    format!("/v1/chains/{}", segment(name))
}

fn row(chain: &ChainInfo) -> [String; 4] {
    let modules: Vec<_> = chain.modules.iter().map(ToString::to_string).collect();
    let modules = if modules.is_empty() { "-".to_owned() } else { modules.join(" ") };
    [chain.name.clone(), chain.used_by.to_string(), chain.origin.word().to_owned(), modules]
}

const HEAD: [&str; 4] = ["NAME", "USED BY", "FROM", "MODULES"];

impl Show for Chains {
    fn show(&self) -> String {
        table(HEAD, self.chains.iter().map(row), &["USED BY"])
    }
}

/// One chain.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct Chain(ChainInfo);

impl Show for Chain {
    fn show(&self) -> String {
        table(HEAD, [row(&self.0)], &["USED BY"])
    }
}
