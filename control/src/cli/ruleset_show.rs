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
    /// Sets that rules name and nobody checked.
    sets_unchecked: Vec<String>,
    warnings: Vec<String>,
}

impl Checked {
    /// `rules`, read from `file`.
    pub(super) fn of(
        file: &str,
        rules: &Ruleset,
        chains_checked: bool,
        sets_unchecked: Vec<String>,
        warnings: Vec<String>,
    ) -> Self {
        let enabled = rules.rules.iter().filter(|rule| rule.enabled).count();
        let (file, rules) = (file.to_owned(), rules.rules.len());
        Self { valid: true, file, rules, enabled, chains_checked, sets_unchecked, warnings }
    }
}

impl Show for Checked {
    fn show(&self) -> String {
        let chains = if self.chains_checked { "" } else { "; chains were not checked, see --config" };
        let Self { file, rules, enabled, warnings, sets_unchecked, .. } = self;
        let sets: Vec<String> = sets_unchecked.iter().map(|set| format!("@{set}")).collect();
        let sets =
            if sets.is_empty() { String::new() } else { format!("; not checked, see --set: {}", sets.join(", ")) };
        format!("{file}: valid, {rules} rules, {enabled} enabled, {} warnings{chains}{sets}\n", warnings.len())
    }
}

/// An explanation.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct ExplainedIn(pub(super) Explanation);

impl Show for ExplainedIn {
    fn show(&self) -> String {
        let Explanation { rule, action, chain, blocklist, monitored, candidates } = &self.0;
        let action = chain.as_ref().map_or_else(|| action.clone(), |chain| format!("{action} by chain {chain}"));
        let enforced =
            if candidates.iter().any(|rule| rule.matches && rule.monitored) { " and is enforced" } else { "" };
        let mut text = match (rule, blocklist) {
            (Some(rule), _) => format!("{action}: {rule} is the first that matches{enforced}\n"),
            (None, Some(list)) if monitored.is_none() => {
                format!("{action}: the source is in the blocklist @{list}, which comes before any rule\n")
            }
            (None, _) => format!("{action}: the default action, no rule matches{enforced}\n"),
        };
        if let (Some(list), Some(_)) = (blocklist, monitored) {
            text += &format!("the source is in the blocklist @{list}: would drop, monitored\n");
        }
        match monitored.as_deref() {
            Some("default") => text += "the default action would drop, monitored\n",
            Some("blocklist") | None => {}
            Some(rule) => text += &format!("{rule} would drop, monitored: the packet is counted and goes on\n"),
        }
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
        assert_eq!(lines[0], "- rule-1 enabled false, action pass");
        assert!(lines[1].starts_with("~ rule-2 ") && lines[1].contains("comment old → -"), "{text}");
        assert!(lines[1].contains("priority - → 5") && !lines[1].contains("action"), "{text}");
        assert_eq!(lines[2], "+ rule-3 port 80, comment a.b, action drop");
        assert_eq!(lines[3], "nothing was changed, this would be: 1 added, 1 removed, 1 changed, 4 kept; revision 7");
    }

    #[test]
    fn an_explanation_has_every_rule_and_the_field() {
        let candidate = |rule: &str, matches, why: &str| ExplainedRule {
            rule: rule.into(),
            action: "drop".into(),
            matches,
            monitored: false,
            field: None,
            why: why.into(),
        };
        let explanation = Explanation {
            rule: Some("rule-2".into()),
            action: "inspect".into(),
            chain: Some("waf".into()),
            blocklist: None,
            monitored: None,
            candidates: vec![candidate("rule-1", false, "src does not match"), candidate("rule-2", true, "matches")],
        };
        let text = ExplainedIn(explanation).show();
        assert_eq!(
            text,
            "inspect by chain waf: rule-2 is the first that matches\n  rule-1 (drop) src does not match\n\
             * rule-2 (drop) matches\n"
        );
        let watched = ExplainedRule { monitored: true, ..candidate("rule-1", true, "would drop, monitored") };
        let monitored = Explanation {
            rule: None,
            action: "pass".into(),
            chain: None,
            blocklist: Some("feed".into()),
            monitored: Some("rule-1".into()),
            candidates: vec![watched],
        };
        let blocked = Explanation { action: "drop".into(), monitored: None, candidates: vec![], ..monitored.clone() };
        assert_eq!(
            ExplainedIn(monitored).show(),
            "pass: the default action, no rule matches and is enforced\nthe source is in the blocklist @feed: would \
             drop, monitored\nrule-1 would drop, monitored: the packet is counted and goes on\n* rule-1 (drop) would \
             drop, monitored\n"
        );
        let text = ExplainedIn(blocked).show();
        assert_eq!(text, "drop: the source is in the blocklist @feed, which comes before any rule\n");
    }
}
