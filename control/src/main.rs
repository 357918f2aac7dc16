//! `secuxflow`: the daemon, and the command line that talks to it.
#![forbid(unsafe_code)]

mod admin;
mod alerts;
mod api;
mod backend;
mod capability;
mod cli;
mod client;
mod config;
mod daemon;
mod durable;
mod error;
mod explain;
mod metrics;
mod modules;
mod mount_namespace;
mod probe;
mod ruleset;
mod server;
mod sets;
mod state;
#[cfg(test)]
mod testing;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run().into()
}
