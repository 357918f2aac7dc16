//! Rules that never match, in words.

use std::collections::HashMap;

use secuxflow::rules::{Overlap, Rule, RuleId, Ruleset, Shadow, shadow_of, shadows};

use crate::admin::action_name;

/// A warning for each rule of `ruleset` that never matches. `name` says how a rule is called.
pub(crate) fn shadow_warnings(ruleset: &Ruleset, name: impl Fn(RuleId) -> String) -> Vec<String> {
    let action: HashMap<RuleId, &Rule> = ruleset.rules.iter().map(|rule| (rule.id, rule)).collect();
    let action = |id: RuleId| action.get(&id).map_or("", |rule| action_name(&rule.action));
    shadows(ruleset).iter().map(|shadow| words(shadow, &name, action)).collect()
}

/// A warning when `rule`, one of `ruleset`, never matches; costs one look at each other rule.
pub(crate) fn shadow_warning(ruleset: &Ruleset, rule: &Rule) -> Option<String> {
    let shadow = shadow_of(ruleset, rule)?;
    let action = |id: RuleId| {
        let found = ruleset.rules.iter().find(|rule| rule.id == id);
        found.map_or("", |rule| action_name(&rule.action))
    };
    Some(words(&shadow, |id| id.to_string(), action))
}

fn words(shadow: &Shadow, name: impl Fn(RuleId) -> String, action: impl Fn(RuleId) -> &'static str) -> String {
    let (rule, by) = (name(shadow.rule), name(shadow.by));
    match shadow.overlap {
        Overlap::Duplicate => format!("{rule} is a duplicate of {by}: it matches and does the same"),
        Overlap::Shadowed => format!(
            "{rule} ({}) never matches: {by} ({}) comes before it by {} and matches all that it matches",
            action(shadow.rule),
            action(shadow.by),
            shadow.field
        ),
    }
}
