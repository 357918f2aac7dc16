//! Ruleset files: TOML or JSON text becomes a list of rules that are still to be checked.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use secuxflow::rules::RuleId;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use toml::Spanned;

use super::write::Format;
use crate::api::Fault;

/// Why a ruleset file was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RulesetError {
    /// It cannot be read.
    #[error("{name}: {source}")]
    Read {
        /// The file, or `standard input`.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// It is neither TOML nor JSON of a ruleset's form.
    #[error("{name}: {message}")]
    Syntax {
        /// The file.
        name: String,
        /// The parser's words with line and column.
        message: String,
    },
    /// A set's file holds something else than prefixes.
    #[error("{}", .message.lines().map(|line| format!("{name}: {line}")).collect::<Vec<_>>().join("\n"))]
    Sets {
        /// The file.
        name: String,
        /// What is wrong, line by line.
        message: String,
    },
    /// The rules cannot be explained without the prefixes of these sets.
    #[error("{name}: sets are not known here: {}; give each with --set NAME=FILE", .sets.iter().map(|set| format!("@{set}")).collect::<Vec<_>>().join(", "))]
    Lacking {
        /// The file.
        name: String,
        /// Names of the sets.
        sets: Vec<String>,
    },
    /// Rules that break rules, all of them.
    #[error("{}", .faults.iter().map(|fault| format!("{name}: {fault}")).collect::<Vec<_>>().join("\n"))]
    Invalid {
        /// The file.
        name: String,
        /// What is wrong, in the order of the file.
        faults: Vec<Fault>,
    },
}

/// A ruleset file's text, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RulesetFile {
    /// The file, or `standard input`.
    pub(crate) name: String,
    /// The rules, unchecked.
    pub(crate) rules: Vec<Value>,
    /// Line that each rule begins on, counted from 1; empty for JSON.
    lines: Vec<usize>,
}

/// The form of both formats. `rules` has no default: an empty file is a mishap, not a wish to delete every rule.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw<T> {
    /// Revision of the export; told for people and programs, not looked at.
    #[serde(rename = "revision")]
    _revision: Option<u64>,
    /// How many rules the writer wrote, where it says so.
    rule_count: Option<usize>,
    #[serde(alias = "rule")]
    rules: Vec<T>,
}

impl RulesetFile {
    /// Take `text` apart; `path` tells the format by its extension, else the first character does.
    ///
    /// # Errors
    /// [`RulesetError::Syntax`].
    pub(crate) fn parse(name: &str, path: Option<&Path>, text: &str) -> Result<Self, RulesetError> {
        let (announced, rules, lines) = match Format::of(path, text) {
            Format::Json => {
                let raw: Raw<Value> = from_json(name, text)?;
                (raw.rule_count, raw.rules, Vec::new())
            }
            Format::Toml => {
                let raw: Raw<Spanned<Value>> = toml::from_str(text).map_err(|e| not_toml(name, text, &e))?;
                let lines = lines(text, raw.rules.iter().map(|rule| rule.span().start));
                let rules: Vec<Value> = raw.rules.into_iter().map(|rule| times_as_text(rule.into_inner())).collect();
                (raw.rule_count, rules, lines)
            }
        };
        check_count(announced, rules.len()).map_err(|message| syntax(name, &message))?;
        Ok(Self { name: name.to_owned(), rules, lines })
    }

    /// What the rule at position `at` is called: its place and, where it has one, its id, as in `rule[1] (line 6, rule-9)`.
    pub(crate) fn place(&self, at: usize, id: Option<RuleId>) -> String {
        let line = self.lines.get(at).map(|line| format!("line {line}"));
        let more: Vec<String> = line.into_iter().chain(id.map(|id| id.to_string())).collect();
        let place = format!("rule[{at}]");
        if more.is_empty() { place } else { format!("{place} ({})", more.join(", ")) }
    }

    /// `faults` of this file as one error, each with its line.
    pub(crate) fn invalid(&self, mut faults: Vec<Fault>) -> RulesetError {
        for fault in &mut faults {
            fault.line = fault.rule.and_then(|rule| self.lines.get(rule).copied());
        }
        RulesetError::Invalid { name: self.name.clone(), faults }
    }
}

/// What the parser says of text that is no TOML; and where it takes the rules of the module `ips` for a ruleset, that too.
fn not_toml(name: &str, text: &str, error: &toml::de::Error) -> RulesetError {
    let written = |line: &&str| !line.is_empty() && !line.starts_with('#');
    let first = text.lines().map(str::trim).find(written).unwrap_or_default();
    let action = first.split_whitespace().next().unwrap_or_default();
    let is_signature = matches!(action, "alert" | "drop" | "pass" | "reject") && first.contains('(');
    let hint = if is_signature {
        "\nthis looks like Suricata's rules: the module ips runs those, see docs/ips.md"
    } else {
        ""
    };
    syntax(name, &format!("{error}{hint}"))
}

/// Hold the number of rules that a ruleset announces, if it does, against those that are there.
///
/// # Errors
/// They differ, in words.
pub(crate) fn check_count(announced: Option<usize>, found: usize) -> Result<(), String> {
    match announced {
        Some(announced) if announced != found => {
            let hint = if found < announced { "the file is cut short?" } else { "correct the count, or leave it out" };
            Err(format!("rule_count: {announced} rules are announced, {found} are there: {hint}"))
        }
        _ => Ok(()),
    }
}

/// Read the text of `path`, or of standard input for `-`; with its name for messages.
///
/// # Errors
/// [`RulesetError::Read`].
pub(crate) fn read(path: &Path) -> Result<(String, String), RulesetError> {
    let stdin = path == Path::new("-");
    let name = if stdin { "standard input".to_owned() } else { path.display().to_string() };
    let mut text = String::new();
    let done = if stdin {
        io::stdin().lock().read_to_string(&mut text).map(|_| ())
    } else {
        fs::read_to_string(path).map(|read| text = read)
    };
    match done {
        Ok(()) => Ok((name, text)),
        Err(source) => Err(RulesetError::Read { name, source }),
    }
}

/// TOML has a type for times; in rules they are text.
fn times_as_text(mut rule: Value) -> Value {
    // The name that the parser hands them on by.
    const TIME: &str = "$__toml_private_datetime";
    for value in rule.as_object_mut().into_iter().flat_map(|fields| fields.values_mut()) {
        if let Some(time) = value.get_mut(TIME).map(Value::take) {
            *value = time;
        }
    }
    rule
}

fn from_json<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, RulesetError> {
    serde_json::from_str(text).map_err(|e| syntax(name, &e.to_string()))
}

fn syntax(name: &str, message: &str) -> RulesetError {
    let message = message.trim_end().to_owned();
    let message = if message.contains("missing field `rules`") {
        "there is no rule in it; write `rules = []` (in JSON, {\"rules\": []}) for a ruleset without any".to_owned()
    } else {
        message
    };
    RulesetError::Syntax { name: name.to_owned(), message }
}

/// The line of each of `offsets`, which ascend, counted from 1.
fn lines(text: &str, offsets: impl Iterator<Item = usize>) -> Vec<usize> {
    let (mut line, mut from) = (1, 0);
    let count = move |offset: usize| {
        let between = text.as_bytes().get(from..offset).unwrap_or_default();
        line += between.iter().filter(|byte| **byte == b'\n').count();
        from = from.max(offset);
        line
    };
    offsets.map(count).collect()
}
