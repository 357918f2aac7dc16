//! Rules as a file that can be read back.

use std::path::Path;

use secuxflow::rules::{RuleRecord, RuleSpec};
use serde::Serialize;
use serde_json::{Value, json};

/// Order of a rule's fields in TOML; any other comes after, and [`LAST`] behind them all.
const ORDER: [&str; 14] = [
    "id",
    "priority",
    "src",
    "sport",
    "dst",
    "port",
    "proto",
    "tcp_flags",
    "vlan",
    "chain",
    "monitor",
    "expires",
    "comment",
    "enabled",
];
/// The one field that a rule must have: a rule that is cut short lacks it, so it is refused.
const LAST: &str = "action";

/// Formats of ruleset files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// TOML.
    Toml,
    /// JSON.
    Json,
}

impl Format {
    /// The format of `text`, by the extension of `path`, else by the first character.
    pub(super) fn of(path: Option<&Path>, text: &str) -> Self {
        match path.and_then(Path::extension).and_then(|extension| extension.to_str()) {
            Some(extension) if extension.eq_ignore_ascii_case("json") => Self::Json,
            Some(extension) if extension.eq_ignore_ascii_case("toml") => Self::Toml,
            _ if text.trim_start().starts_with('{') => Self::Json,
            _ => Self::Toml,
        }
    }
}

/// `rules` as a file in `format`, with the `revision` they are of.
///
/// # Errors
/// A rule has no JSON form, which is a defect.
pub(crate) fn write(rules: &[RuleRecord], revision: Option<u64>, format: Format) -> Result<String, serde_json::Error> {
    write_any(rules, revision, format)
}

/// As [`write`], of rules that have no id yet.
///
/// # Errors
/// As [`write`].
pub(crate) fn write_new(rules: &[RuleSpec], format: Format) -> Result<String, serde_json::Error> {
    write_any(rules, None, format)
}

fn write_any<T: Serialize>(rules: &[T], revision: Option<u64>, format: Format) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    struct File<'a, T> {
        #[serde(skip_serializing_if = "Option::is_none")]
        revision: Option<u64>,
        rule_count: usize,
        rules: &'a [T],
    }
    let rule_count = rules.len();
    if format == Format::Json {
        return Ok(serde_json::to_string_pretty(&File { revision, rule_count, rules })? + "\n");
    }
    let mut text = revision.map_or_else(String::new, |revision| format!("revision = {revision}\n"));
    text.push_str(&format!("rule_count = {rule_count}\n"));
    if rules.is_empty() {
        text.push_str("rules = []\n");
    }
    for rule in rules {
        text.push_str("\n[[rule]]\n");
        for (name, value) in fields(rule) {
            // Strings, numbers and booleans of JSON; TOML's own writer escapes them.
            let value = match value {
                Value::String(text) => toml::Value::String(text).to_string(),
                other => other.to_string(),
            };
            text.push_str(&format!("{name} = {value}\n"));
        }
    }
    Ok(text)
}

/// The fields of `rule` in the order in which they are written, without those that have their default.
pub(crate) fn fields(rule: &impl Serialize) -> Vec<(String, Value)> {
    let Ok(Value::Object(mut fields)) = serde_json::to_value(rule) else { return Vec::new() };
    let default = |name: &str, value: &Value| match name {
        "enabled" => *value == json!(true),
        "priority" => *value == json!(0),
        _ => false,
    };
    fields.retain(|name, value| !default(name, value));
    let known: Vec<_> = ORDER.iter().filter_map(|name| fields.remove_entry(*name)).collect();
    let last = fields.remove_entry(LAST);
    known.into_iter().chain(fields).chain(last).collect()
}
