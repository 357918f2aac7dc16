//! The command line: what may be asked for, and the exit codes that answer.

mod alerts_show;
mod args;
mod ask;
mod chains;
mod config_show;
mod exit;
mod flows;
mod module_files;
mod module_new;
mod module_sdk;
mod modules;
mod modules_show;
mod output;
mod replay;
mod rules_show;
mod ruleset;
mod ruleset_show;
mod services_show;
mod sets;
mod sets_show;
mod status_show;
mod table;

use std::path::Path;

use clap::{CommandFactory, Parser};

pub(crate) use args::{Cli, Command};
pub(crate) use exit::Exit;

use crate::{config, daemon};

/// Run the process's command line; the result is its exit code.
pub(crate) fn run() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misused(&error),
    };
    let out = output::Output::new(cli.json);
    match cli.command {
        None => begin(&out, cli.socket),
        Some(Command::Run(flags)) => out.report(start(flags.config.as_deref(), &flags.overrides(cli.socket))),
        Some(Command::Config(args::ConfigCommand::Check { file })) => {
            let file = file.unwrap_or_else(|| config::DEFAULT_PATH.into());
            out.report(check(&out, &file))
        }
        Some(Command::Completions { shell }) => out.report(completions(&out, shell)),
        Some(Command::Client(args::ClientCommand::Inspect(flags))) if flags.capture.pcap.is_some() => {
            let pcap = flags.capture.pcap.clone().unwrap_or_default();
            out.report(replay::run(&pcap, &flags.capture, out))
        }
        Some(Command::Client(command)) => {
            let socket = cli.socket.unwrap_or_else(|| config::DEFAULT_SOCKET.into());
            out.report(ask::run(socket, command, &out))
        }
    }
}

/// A command line that is wrong, or that asks for help or the version. Programs get the complaint as JSON, as any other;
/// what clap could not parse it cannot say `--json` for, so it is looked for by hand.
fn misused(error: &clap::Error) -> Exit {
    let json = std::env::args_os().any(|argument| argument == "--json");
    if !json || !error.use_stderr() {
        error.exit();
    }
    let text = error.to_string();
    let told = text.split("\n\n").next().unwrap_or(&text);
    output::Output::new(true).usage(told.trim_start_matches("error: ").trim())
}

/// `secuxflow` alone: the daemon where it is configured, else how to begin.
fn begin(out: &output::Output, socket: Option<std::path::PathBuf>) -> Exit {
    let default = Path::new(config::DEFAULT_PATH);
    if default.exists() {
        let overrides = config::Overrides { socket, ..config::Overrides::default() };
        return out.report(start(Some(default), &overrides));
    }
    if out.json() {
        return out.usage(&format!("a command is needed, for there is no {}; see --help", config::DEFAULT_PATH));
    }
    let help = Cli::command().render_long_help();
    let text = format!(
        "There is no {} yet, so no daemon was started. To begin:\n\
         \x20 copy config/secuxflow.example.toml there, name your interface in it, and run `secuxflow` again;\n\
         \x20 or, without a file: `secuxflow run --interface eth0`.\n\n{help}",
        config::DEFAULT_PATH
    );
    match out.text(&text) {
        Ok(()) => Exit::Usage,
        Err(failure) => out.report(Err(failure)),
    }
}

fn start(file: Option<&Path>, overrides: &config::Overrides) -> Result<(), exit::Failure> {
    Ok(daemon::main(file, overrides)?)
}

fn check(out: &output::Output, file: &Path) -> Result<(), exit::Failure> {
    let config = config::load(Some(file), &config::Overrides::default())?;
    out.answer(&config_show::ConfigSummary::of(&config))
}

fn completions(out: &output::Output, shell: clap_complete::Shell) -> Result<(), exit::Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "secuxflow", &mut script);
    out.text(&String::from_utf8_lossy(&script))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command, as people type it, with its flags.
    fn commands(command: &clap::Command, path: &str, found: &mut Vec<(String, Vec<String>)>) {
        let flags = command.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned));
        if command.get_subcommands().next().is_none() {
            found.push((path.to_owned(), flags.collect()));
        }
        for sub in command.get_subcommands() {
            commands(sub, &format!("{path} {}", sub.get_name()), found);
        }
    }

    #[test]
    fn the_commands_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_flag_and_exit_code_is_documented() {
        let docs = include_str!("../../../docs/cli.md");
        let mut found = Vec::new();
        commands(&Cli::command(), "secuxflow", &mut found);
        assert!(found.len() >= 15, "{found:?}");
        for (path, flags) in found {
            assert!(docs.contains(&format!("| `{path}` |")), "{path} is not in docs/cli.md");
            for flag in flags {
                assert!(docs.contains(&format!("`--{flag}`")), "{path} --{flag} is not in docs/cli.md");
            }
        }
        for code in 0..=Exit::Start as u8 {
            assert!(docs.contains(&format!("\n| {code} |")), "exit code {code} is not in docs/cli.md");
        }
    }
}
