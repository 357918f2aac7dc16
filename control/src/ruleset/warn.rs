//! Rules that never match, contradict each other or take no effect, in words.

use std::collections::HashMap;

use secuxflow::rules::{
    Action, Contradictions, Overlap, Rule, RuleId, Ruleset, Shadow, contradictions, shadow_of, shadows,
};

use crate::admin::action_name;

/// A warning for each rule of `ruleset` that never matches, then for pairs that contradict each other: the first of them
/// and how many there are. `name` says how a rule is called.
pub(crate) fn order_warnings(ruleset: &Ruleset, name: impl Fn(RuleId) -> String) -> Vec<String> {
    let action: HashMap<RuleId, &Rule> = ruleset.rules.iter().map(|rule| (rule.id, rule)).collect();
    let action = |id: RuleId| action.get(&id).map_or("", |rule| action_name(&rule.action));
    let shadows = shadows(ruleset);
    let found = contradictions(ruleset, &shadows);
    let pairs = found.pairs.iter().map(|pair| {
        let (first, second) = (name(pair.first), name(pair.second));
        let (does, other) = (action(pair.first), action(pair.second));
        format!("{first} ({does}) contradicts {second} ({other}): {first} wins by {} where both match", pair.field)
    });
    shadows.iter().map(|shadow| words(shadow, &name, action)).chain(pairs).chain(rest(&found)).collect()
}

/// What the pairs that are named do not tell.
fn rest(found: &Contradictions) -> Option<String> {
    let Contradictions { pairs, total, capped } = found;
    match (*capped, total - pairs.len()) {
        (false, 0) => None,
        (false, _) => Some(format!("{total} pairs of rules contradict each other; the first {} are told", pairs.len())),
        (true, _) => {
            let found = match total {
                0 => "no contradiction was found".to_owned(),
                _ => {
                    format!("at least {total} pairs of rules contradict each other; the first {} are told", pairs.len())
                }
            };
            Some(format!("{found}, but not all pairs of rules were compared, for there are too many"))
        }
    }
}

/// A warning when `rule`, one of `ruleset`, names a blocklist as its source to do anything but drop: packets from there
/// never get to it.
pub(crate) fn blocklist_warning(ruleset: &Ruleset, rule: &Rule) -> Option<String> {
    let name = rule.matcher.src.as_ref()?.set()?;
    let blocked = ruleset.sets.iter().any(|set| set.name() == name && set.is_blocklist());
    let idle = rule.enabled && rule.action != Action::Drop && blocked && !ruleset.monitor;
    idle.then(|| {
        let (id, action) = (rule.id, action_name(&rule.action));
        format!("{id} ({action}) never takes effect: its source @{name} is a blocklist, which drops before any rule")
    })
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
