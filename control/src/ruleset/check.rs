//! The rules of a file, checked: every mistake by position and field, not only the first.

use std::collections::HashMap;

use secuxflow::rules::{Action, Known, MAX_RULES, Rule, RuleError, RuleId, Ruleset};
use serde_json::{Map, Value};

use crate::api::{AddRule, Fault};

/// Most rules in one file, disabled ones included.
const MAX_LISTED: usize = 65_536;
/// Most faults that are told of one file.
const MAX_FAULTS: usize = 1000;
/// Stands in for the id of a rule that has none yet.
const NO_ID: RuleId = RuleId(u32::MAX);

/// A checked rule of a file; `rule.id` means nothing where `id` is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The id that the file gives it.
    pub(crate) id: Option<RuleId>,
    /// The rule.
    pub(crate) rule: Rule,
}

/// Check `rules` against what is `known`.
///
/// # Errors
/// Everything that is wrong, by position and field, in the order of the rules; at most a thousand faults.
pub(crate) fn check(rules: &[Value], known: &Known<'_>) -> Result<Vec<Entry>, Vec<Fault>> {
    if rules.len() > MAX_LISTED {
        return Err(vec![Fault::whole(format!("{} rules: at most {MAX_LISTED} fit into one ruleset", rules.len()))]);
    }
    let mut entries = Vec::with_capacity(rules.len());
    let mut faults = Vec::new();
    let mut by_id: HashMap<RuleId, usize> = HashMap::new();
    for (at, value) in rules.iter().enumerate() {
        match one(value, known) {
            Ok(entry) => {
                if let Some(before) = entry.id.and_then(|id| by_id.insert(id, at).map(|before| (id, before))) {
                    let (id, before) = before;
                    let message = format!("id '{id}': rule[{before}] has it too; each id is given once");
                    faults.push(Fault::of(at, "id", message));
                }
                entries.push(entry);
            }
            Err(wrong) => {
                faults.extend(wrong.into_iter().map(|(field, message)| Fault::of(at, &field, message)));
            }
        }
        if faults.len() > MAX_FAULTS {
            faults.truncate(MAX_FAULTS);
            faults.push(Fault::whole(format!("rules behind rule[{at}] were not looked at: too many faults")));
            return Err(faults);
        }
    }
    let count = entries.iter().filter(|entry| entry.rule.enabled).count();
    if count > MAX_RULES {
        faults.push(Fault::whole(RuleError::TooMany { count }.to_string()));
    }
    if faults.is_empty() { Ok(entries) } else { Err(faults) }
}

/// `entries` as a ruleset apart from any daemon, and the name of each rule: its id where it has one, else its position.
pub(crate) fn offline(entries: &[Entry], default_action: Action) -> (Ruleset, HashMap<RuleId, String>) {
    let mut next = entries.iter().filter_map(|entry| entry.id).max().map_or(0, |id| id.0);
    let mut names = HashMap::with_capacity(entries.len());
    let mut rules = Vec::with_capacity(entries.len());
    for (at, entry) in entries.iter().enumerate() {
        let id = entry.id.unwrap_or_else(|| {
            next += 1;
            RuleId(next)
        });
        names.insert(id, entry.id.map_or_else(|| format!("rule[{at}]"), |id| id.to_string()));
        rules.push(Rule { id, ..entry.rule.clone() });
    }
    (Ruleset::new(rules, default_action), names)
}

type Wrong = Vec<(String, String)>;

fn one(value: &Value, known: &Known<'_>) -> Result<Entry, Wrong> {
    let Value::Object(fields) = value else {
        return Err(vec![(String::new(), "a rule with its fields expected, as in action = \"drop\"".to_owned())]);
    };
    match parse(fields.clone(), known) {
        Ok(entry) => Ok(entry),
        Err(whole) => {
            let each = each_field(fields, known);
            Err(if each.is_empty() { vec![whole] } else { each })
        }
    }
}

fn parse(fields: Map<String, Value>, known: &Known<'_>) -> Result<Entry, (String, String)> {
    let request: AddRule = serde_json::from_value(fields.into()).map_err(|e| {
        let fault = crate::error::ApiError::body(&e);
        (fault.field.unwrap_or_default(), fault.message)
    })?;
    let AddRule { id, rule } = request;
    let chosen = id.map_or(Ok(()), RuleId::check_chosen);
    let rule = chosen.and_then(|()| rule.check(id.unwrap_or(NO_ID), known));
    rule.map(|rule| Entry { id, rule }).map_err(|error| (field_of(&error), error.to_string()))
}

/// Faults of single fields, each tried beside a harmless action; contradictions between fields are left to the whole.
fn each_field(fields: &Map<String, Value>, known: &Known<'_>) -> Wrong {
    let mut wrong = Vec::new();
    for (name, value) in fields {
        let mut alone = Map::new();
        let action = match name.as_str() {
            "chain" => "inspect",
            "monitor" => "drop",
            _ => "pass",
        };
        alone.insert("action".to_owned(), action.into());
        alone.insert(name.clone(), value.clone());
        // The type first: its message does not name the field.
        let typed = serde_json::from_value::<AddRule>(alone.clone().into());
        match typed {
            Err(e) => wrong.push((name.clone(), format!("{name} {value}: {e}"))),
            Ok(_) => {
                let told = parse(alone, known).err().filter(|(field, _)| field == name);
                wrong.extend(told);
            }
        }
    }
    if !fields.contains_key("action") {
        wrong.push(("action".to_owned(), "action: missing; one of pass, drop and inspect expected".to_owned()));
    }
    wrong
}

fn field_of(error: &RuleError) -> String {
    match error {
        RuleError::Field { field, .. } => (*field).to_owned(),
        RuleError::Conflict { fields, .. } => (*fields).to_owned(),
        RuleError::TooMany { .. } | RuleError::TooManySets { .. } => String::new(),
    }
}
