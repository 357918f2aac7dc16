//! Answers about whole rulesets, for people.

use secuxflow::rules::{RuleSpec, Ruleset};
use serde::Serialize;
use serde_json::{Map, Value};

use super::output::Show;
use crate::{
    api::{Explanation, RulesetChange},
    ruleset::fields,
};

impl Show for RulesetChange {
    fn show(&self) -> String {
        let mut text = String::new();
        for rule in &self.removed {
            text += &format!("- {} {}\n", rule.id, words(&rule.spec));
        }
        for change in &self.changed {
            text += &format!("~ {} {}\n", change.id, difference(&change.from, &change.to));
        }
        for rule in &self.added {
            text += &format!("+ {} {}\n", rule.id, words(&rule.spec));
        }
        let begin = if self.dry_run { "nothing was changed, this would be: " } else { "" };
        let (added, removed, changed) = (self.added.len(), self.removed.len(), self.changed.len());
        text + &format!(
            "{begin}{added} added, {removed} removed, {changed} changed, {} kept; revision {}\n",
            self.kept, self.revision
        )
    }
}

/// A rule's fields in one line.
fn words(spec: &RuleSpec) -> String {
    fields(spec)
        .into_iter()
        .map(|(name, value)| format!("{name} {}", value_words(&value)))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The fields that differ, before and after.
fn difference(from: &RuleSpec, to: &RuleSpec) -> String {
    let (from, to): (Map<_, _>, Map<_, _>) = (fields(from).into_iter().collect(), fields(to).into_iter().collect());
    let value = |fields: &Map<String, Value>, name: &str| fields.get(name).map_or_else(|| "-".to_owned(), value_words);
    let names = from.keys().chain(to.keys().filter(|name| !from.contains_key(*name)));
    let differ = names.filter(|name| from.get(*name) != to.get(*name));
    differ.map(|name| format!("{name} {} → {}", value(&from, name), value(&to, name))).collect::<Vec<_>>().join(", ")
}

fn value_words(value: &Value) -> String {
    match value {
        Value::String(text) => text.replace(char::is_control, "."),
        other => other.to_string(),
    }
}

/// What a valid ruleset file says.
#[derive(Debug, Serialize)]
pub(super) struct Checked {
    valid: bool,
    file: String,
    rules: usize,
    enabled: usize,
    chains_checked: bool,
    warnings: Vec<String>,
}

impl Checked {
    /// `rules`, read from `file`.
    pub(super) fn of(file: &str, rules: &Ruleset, chains_checked: bool, warnings: Vec<String>) -> Self {
        let enabled = rules.rules.iter().filter(|rule| rule.enabled).count();
        Self { valid: true, file: file.to_owned(), rules: rules.rules.len(), enabled, chains_checked, warnings }
    }
}

impl Show for Checked {
    fn show(&self) -> String {
        let chains = if self.chains_checked { "" } else { "; chains were not checked, see --config" };
        let Self { file, rules, enabled, warnings, .. } = self;
        format!("{file}: valid, {rules} rules, {enabled} enabled, {} warnings{chains}\n", warnings.len())
    }
}

/// An explanation.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct ExplainedIn(pub(super) Explanation);

impl Show for ExplainedIn {
    fn show(&self) -> String {
        let Explanation { rule, action, chain, candidates } = &self.0;
        let action = chain.as_ref().map_or_else(|| action.clone(), |chain| format!("{action} by chain {chain}"));
        let mut text = match rule {
            Some(rule) => format!("{action}: {rule} is the first that matches\n"),
            None => format!("{action}: the default action, no rule matches\n"),
        };
        for candidate in candidates {
            let mark = if candidate.matches { "*" } else { " " };
            text += &format!("{mark} {} ({}) {}\n", candidate.rule, candidate.action, candidate.why);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use secuxflow::rules::{RuleId, RuleRecord};

    use super::*;
    use crate::api::{ChangedRule, ExplainedRule};

    fn spec(json: &str) -> RuleSpec {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_change_is_a_line_for_each_rule_that_differs() {
        let change = RulesetChange {
            dry_run: true,
            revision: 7,
            added: vec![RuleRecord {
                id: RuleId(3),
                spec: spec(r#"{"action": "drop", "port": 80, "comment": "a\nb"}"#),
            }],
            removed: vec![RuleRecord { id: RuleId(1), spec: spec(r#"{"action": "pass", "enabled": false}"#) }],
            changed: vec![ChangedRule {
                id: RuleId(2),
                from: spec(r#"{"action": "drop", "comment": "old"}"#),
                to: spec(r#"{"action": "drop", "priority": 5}"#),
            }],
            kept: 4,
            warnings: vec![],
        };
        let text = change.show();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "- rule-1 action pass, enabled false");
        assert!(lines[1].starts_with("~ rule-2 ") && lines[1].contains("comment old → -"), "{text}");
        assert!(lines[1].contains("priority - → 5") && !lines[1].contains("action"), "{text}");
        assert_eq!(lines[2], "+ rule-3 port 80, action drop, comment a.b");
        assert_eq!(lines[3], "nothing was changed, this would be: 1 added, 1 removed, 1 changed, 4 kept; revision 7");
    }

    #[test]
    fn an_explanation_has_every_rule_and_the_field() {
        let candidate = |rule: &str, matches, why: &str| ExplainedRule {
            rule: rule.into(),
            action: "drop".into(),
            matches,
            field: None,
            why: why.into(),
        };
        let explanation = Explanation {
            rule: Some("rule-2".into()),
            action: "inspect".into(),
            chain: Some("waf".into()),
            candidates: vec![candidate("rule-1", false, "src does not match"), candidate("rule-2", true, "matches")],
        };
        let text = ExplainedIn(explanation).show();
        assert_eq!(
            text,
            "inspect by chain waf: rule-2 is the first that matches\n  rule-1 (drop) src does not match\n\
             * rule-2 (drop) matches\n"
        );
    }
}
