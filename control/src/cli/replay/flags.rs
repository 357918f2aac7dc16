//! Flags of `secuxflow inspect --pcap`, and what they make of the configuration.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use clap::{Args, ValueEnum};
use secuxflow::{
    plane::{ChainConfig, FailPolicy, ModuleConfig},
    stream::Checksum,
};
use serde_json::{Map, Value};

use crate::{modules::read_options, ruleset::SetFile};

/// Longest time for one call of a module that the command line names. Nobody waits behind it.
const DEADLINE: Duration = Duration::from_secs(1);
/// Largest heap of such a module in bytes.
const HEAP: usize = 512 << 20;

/// The part of `secuxflow inspect` that is about captures.
#[derive(Debug, Args)]
pub(in crate::cli) struct CaptureFlags {
    /// Run the packets of a capture, pcap or pcapng, through rules and modules; needs no daemon. - reads standard input.
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Captures",
        conflicts_with_all = ["ip", "dst", "sport", "port", "proto", "payload"]
    )]
    pub(in crate::cli) pcap: Option<PathBuf>,
    /// Rules to go by, TOML or JSON; without them every packet is inspected.
    #[arg(long, value_name = "FILE", help_heading = "Captures", requires = "pcap", conflicts_with = "ip")]
    pub(super) rules: Option<PathBuf>,
    /// Chain for the packets that no rule matches [default without --rules: default].
    #[arg(long, value_name = "NAME", help_heading = "Captures", requires = "pcap", conflicts_with = "ip")]
    pub(super) chain: Option<String>,
    /// Inspect by this module, after those named before it, instead of the configuration's chains; its configuration is a
    /// JSON object, or @FILE with one.
    #[arg(
        long = "module",
        value_name = "FILE[,CONFIG]",
        help_heading = "Captures",
        requires = "pcap",
        conflicts_with = "ip"
    )]
    pub(super) modules: Vec<ModuleFlag>,
    /// Configuration file: modules, chains, default action, flows.
    #[arg(long, value_name = "FILE", help_heading = "Captures", requires = "pcap", conflicts_with = "ip")]
    pub(super) config: Option<PathBuf>,
    /// Prefixes of a set that rules name, one a line; may be given more than once.
    #[arg(long = "set", value_name = "NAME=FILE", help_heading = "Captures", requires = "rules")]
    pub(super) sets: Vec<SetFile>,
    /// Whether a TCP segment with a wrong checksum is dropped, as its receiver would, or taken as it is: captures of a
    /// sender's own traffic may have none.
    #[arg(
        long,
        value_enum,
        default_value = "verify",
        help_heading = "Captures",
        requires = "pcap",
        conflicts_with = "ip"
    )]
    pub(super) checksums: Checksums,
    /// Print what became of every packet, too.
    #[arg(long, help_heading = "Captures", requires = "pcap", conflicts_with = "ip")]
    pub(super) packets: bool,
}

/// `--checksums`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Checksums {
    /// Drop what its receiver would.
    Verify,
    /// Take everything as it is.
    Ignore,
}

impl From<Checksums> for Checksum {
    fn from(checksums: Checksums) -> Self {
        match checksums {
            Checksums::Verify => Self::Verify,
            Checksums::Ignore => Self::Ignore,
        }
    }
}

/// `FILE[,CONFIG]`: a module and its configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ModuleFlag {
    path: PathBuf,
    config: Source,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Text(String),
    File(PathBuf),
}

impl FromStr for ModuleFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (path, config) = text.split_once(',').unwrap_or((text, ""));
        if path.is_empty() {
            return Err("a module's file expected, as in --module waf.wasm".to_owned());
        }
        let config = match config.trim().strip_prefix('@') {
            Some("") => return Err("there is no file behind the @".to_owned()),
            Some(file) => Source::File(file.into()),
            None => {
                object(config)?;
                Source::Text(config.trim().to_owned())
            }
        };
        Ok(Self { path: path.into(), config })
    }
}

/// The JSON object that `text` is; an empty one for nothing.
fn object(text: &str) -> Result<Map<String, Value>, String> {
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_str(text)
        .map_err(|error| format!("its configuration must be a JSON object, or @FILE with one: {error}"))
}

/// The configuration in `text`, with what lies in files of its own, which begin at `base`.
fn configuration(text: &str, base: &Path) -> Result<String, String> {
    let mut options = object(text)?;
    read_options(&mut options, base).map_err(|(field, why)| format!("{field}: {why}"))?;
    Ok(Value::from(options).to_string())
}

/// The modules of `flags`, each under the name of its file, and the chain `name` over them.
///
/// # Errors
/// A configuration file cannot be read or is no JSON object: the file, and why.
pub(super) fn chain(name: &str, flags: &[ModuleFlag]) -> Result<(Vec<ModuleConfig>, ChainConfig), String> {
    let mut names = HashSet::new();
    let mut modules = Vec::with_capacity(flags.len());
    for ModuleFlag { path, config } in flags {
        let config = match config {
            Source::Text(text) => configuration(text, Path::new(""))?,
            Source::File(file) => {
                let named = |why: String| format!("{}: {why}", file.display());
                let text = std::fs::read_to_string(file).map_err(|error| named(error.to_string()))?;
                configuration(&text, file.parent().unwrap_or(Path::new(""))).map_err(named)?
            }
        };
        let stem = path.file_stem().map_or_else(|| "module".into(), |stem| stem.to_string_lossy().into_owned());
        let mut name = stem.clone();
        for number in 2.. {
            if names.insert(name.clone()) {
                break;
            }
            name = format!("{stem}-{number}");
        }
        modules.push(ModuleConfig {
            name,
            path: path.clone(),
            code: None,
            on_failure: FailPolicy::Open,
            deadline: DEADLINE,
            heap: HEAP,
            max_failures: 16,
            config,
            revision: 0,
        });
    }
    let chain =
        ChainConfig { name: name.to_owned(), modules: modules.iter().map(|of| of.name.as_str().into()).collect() };
    Ok((modules, chain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_named_by_their_files_and_configured_in_json() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("waf.json");
        std::fs::write(&file, r#"{"paranoia": 2, "rules": {"file": "a.rules"}}"#).unwrap();
        std::fs::write(dir.path().join("a.rules"), "alert\n").unwrap();
        let flags = [
            "a/waf.wasm".to_owned(),
            r#"b/waf.wasm,{"paranoia": 1, "x": [1, 2]}"#.to_owned(),
            format!("ips.wasm,@{}", file.display()),
        ];
        let flags: Vec<ModuleFlag> = flags.iter().map(|flag| flag.parse().unwrap()).collect();
        let (modules, chain) = chain("web", &flags).unwrap();
        let names: Vec<_> = chain.modules.iter().map(|step| step.module.as_str()).collect();
        assert_eq!((chain.name.as_str(), names), ("web", vec!["waf", "waf-2", "ips"]));
        let configs: Vec<_> = modules.iter().map(|module| module.config.as_str()).collect();
        assert_eq!(configs, ["{}", r#"{"paranoia":1,"x":[1,2]}"#, r#"{"paranoia":2,"rules":"alert\n"}"#]);
    }

    #[test]
    fn what_is_no_module_is_refused() {
        for text in ["", ",{}", "waf.wasm,paranoia", "waf.wasm,[1]", "waf.wasm,@"] {
            assert!(text.parse::<ModuleFlag>().is_err(), "{text}");
        }
        let missing: ModuleFlag = "waf.wasm,@/none.json".parse().unwrap();
        assert!(chain("default", &[missing]).unwrap_err().contains("/none.json"));
        let missing: ModuleFlag = r#"ips.wasm,{"rules": {"file": "/none.rules"}}"#.parse().unwrap();
        assert!(chain("default", &[missing]).unwrap_err().contains("rules.file: /none.rules"));
    }
}
