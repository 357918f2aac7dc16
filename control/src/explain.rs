//! The reference model's explanation, as the API tells it.

use std::collections::HashMap;

use secuxflow::rules::{self, Action, Candidate, Monitored, RuleId, Ruleset, Tuple};

use crate::{
    admin::action_name,
    api::{ExplainedRule, Explanation},
};

/// Why a packet meets the rule of `ruleset` that it meets. `name` says how a rule is called.
pub(crate) fn explain(ruleset: &Ruleset, tuple: &Tuple, name: impl Fn(RuleId) -> String) -> Explanation {
    let actions: HashMap<RuleId, &Action> = ruleset.rules.iter().map(|rule| (rule.id, &rule.action)).collect();
    let found = rules::explain(ruleset, tuple);
    let told = |candidate: Candidate| {
        let (field, why) = reason(&candidate, &name);
        ExplainedRule {
            rule: name(candidate.id),
            action: actions.get(&candidate.id).map_or("", |action| action_name(action)).to_owned(),
            matches: candidate.ruled_out_by.is_none(),
            monitored: candidate.monitored,
            field: field.map(str::to_owned),
            why,
        }
    };
    Explanation {
        rule: found.rule.map(&name),
        action: action_name(&found.action).to_owned(),
        chain: match found.action {
            Action::Inspect { chain } => Some(chain),
            Action::Pass | Action::Drop => None,
        },
        blocklist: found.blocklist,
        monitored: found.monitored.map(|monitored| match monitored {
            Monitored::Rule(id) => name(id),
            Monitored::Blocklist => "blocklist".to_owned(),
            Monitored::Default => "default".to_owned(),
        }),
        candidates: found.candidates.into_iter().map(told).collect(),
    }
}

fn reason(candidate: &Candidate, name: impl Fn(RuleId) -> String) -> (Option<&'static str>, String) {
    let matches = if candidate.monitored { "would drop, monitored" } else { "matches" };
    match (candidate.ruled_out_by, &candidate.before) {
        (Some(field), _) => (Some(field), format!("{field} does not match")),
        (None, Some(before)) => {
            (Some(before.field), format!("{matches}, before {} by {}", name(before.id), before.why))
        }
        (None, None) => (None, matches.to_owned()),
    }
}
