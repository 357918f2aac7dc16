//! `rule apply`, `export`, `check`, `explain` and `import`.

use std::{collections::HashMap, path::Path};

use jiff::Timestamp;
use secuxflow::rules::{Action, Known, RuleId, RuleRecord, Ruleset as RuleModel};

use super::{
    args::{ApplyFlags, ExplainFlags, FileFlags, ImportFlags},
    exit::Failure,
    output::Output,
    ruleset_show::{Checked, ExplainedIn},
};
use crate::{
    api::{Explain, Explanation, Rules, Ruleset, RulesetChange},
    client::Client,
    config, explain, probe,
    ruleset::{self, Entry, Format, RulesetError, RulesetFile, import},
};

/// `rule apply`. What can be checked here is, so that mistakes are told with their lines.
pub(super) async fn apply(client: &Client, flags: ApplyFlags, out: Output) -> Result<(), Failure> {
    let (file, _) = read(&flags.file, None)?;
    let mut path = format!("/v1/rules?dry_run={}", flags.dry_run);
    if let Some(revision) = flags.if_revision {
        path.push_str(&format!("&if_revision={revision}"));
    }
    let body = Ruleset { revision: None, rule_count: None, rules: file.rules };
    let change: RulesetChange = client.put(&path, &body).await?;
    for warning in &change.warnings {
        out.warn(warning);
    }
    out.answer(&change)
}

/// `rule export`.
pub(super) async fn export(client: &Client, format: Option<Format>, out: Output) -> Result<(), Failure> {
    let Rules { revision, rules } = client.get("/v1/rules").await?;
    let rules: Vec<RuleRecord> = rules.into_iter().map(|info| RuleRecord { id: info.id, spec: info.rule }).collect();
    let text = ruleset::write(&rules, Some(revision), chosen(format, out));
    out.text(&text.map_err(|e| Failure::Output(e.into()))?)
}

/// `rule check`.
pub(super) fn check(flags: &FileFlags, out: Output) -> Result<(), Failure> {
    let chains = config(flags.config.as_deref())?.map(|config| config.chain_names());
    let (file, entries) = read(&flags.file, chains.as_deref())?;
    let sets = ruleset::read_sets(&flags.sets)?;
    let lacking = ruleset::lacking(&entries, &sets);
    let (rules, _) = ruleset::offline(&entries, Action::Pass);
    let places: HashMap<RuleId, String> = rules
        .rules
        .iter()
        .zip(&entries)
        .enumerate()
        .map(|(at, (rule, entry))| (rule.id, file.place(at, entry.id)))
        .collect();
    let warnings = ruleset::order_warnings(&rules, |id| places.get(&id).cloned().unwrap_or_default());
    for warning in &warnings {
        out.warn(&format!("{}: {warning}", file.name));
    }
    out.answer(&Checked::of(&file.name, &rules, chains.is_some(), lacking, warnings))
}

/// `rule explain`, by the daemon or of a file.
pub(super) async fn explain(client: &Client, flags: ExplainFlags, out: Output) -> Result<(), Failure> {
    let ExplainFlags { src, dst, sport, port, proto, tcp_flags, vlan, file, config: config_file, sets } = flags;
    let request = Explain { src, dst, sport, port, proto, tcp_flags, vlan };
    let Some(path) = file else {
        return out.answer(&ExplainedIn(client.post::<Explanation>("/v1/rules/explain", &request).await?));
    };
    let tuple = probe::check_explain(&request)?;
    let config = config(config_file.as_deref())?;
    let chains = config.as_ref().map(config::Config::chain_names);
    let (file, entries) = read(&path, chains.as_deref())?;
    let sets = ruleset::read_sets(&sets)?;
    let lacking = ruleset::lacking(&entries, &sets);
    if !lacking.is_empty() {
        return Err(RulesetError::Lacking { name: file.name, sets: lacking }.into());
    }
    let monitor = config.as_ref().is_some_and(|config| config.enforcement == config::Enforcement::Monitor);
    let default = config.map_or(Action::Pass, |config| config.plane.default_action);
    let (rules, names) = ruleset::offline(&entries, default);
    let rules = RuleModel { sets, monitor, ..rules };
    let name = |id| names.get(&id).cloned().unwrap_or_default();
    out.answer(&ExplainedIn(explain::explain(&rules, &tuple, name)))
}

/// `rule import`.
pub(super) fn import(flags: &ImportFlags, out: Output) -> Result<(), Failure> {
    let (name, text) = ruleset::read(&flags.file)?;
    let imported = import::import(flags.from, flags.hook, &text)
        .map_err(|message| RulesetError::Syntax { name: name.clone(), message })?;
    let noun = if flags.from == import::Source::Nft { "element" } else { "line" };
    for unmapped in &imported.unmapped {
        let json = out.json().then(|| serde_json::to_string(unmapped).ok()).flatten();
        let import::Unmapped { number, text, why } = unmapped;
        out.complain(&json.unwrap_or_else(|| format!("{name}: {noun} {number}: {why}\n    {text}")));
    }
    if !imported.unmapped.is_empty() && !flags.partial {
        return Err(Failure::Unmapped { unmapped: imported.unmapped.len(), noun });
    }
    let text = ruleset::write_new(&imported.rules, chosen(flags.format, out));
    out.text(&text.map_err(|e| Failure::Output(e.into()))?)
}

fn chosen(format: Option<Format>, out: Output) -> Format {
    format.unwrap_or(if out.json() { Format::Json } else { Format::Toml })
}

fn config(path: Option<&Path>) -> Result<Option<config::Config>, Failure> {
    Ok(path.map(|path| config::load(Some(path), &config::Overrides::default())).transpose()?)
}

fn read(path: &Path, chains: Option<&[String]>) -> Result<(RulesetFile, Vec<Entry>), Failure> {
    let (name, text) = ruleset::read(path)?;
    let file = RulesetFile::parse(&name, Some(path), &text)?;
    let known = Known { chains, ..Known::at(Timestamp::now()) };
    let entries = ruleset::check(&file.rules, &known).map_err(|faults| file.invalid(faults))?;
    Ok((file, entries))
}
