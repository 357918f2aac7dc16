//! Rules: added, deleted and replaced, with what is said of them.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use secuxflow::{
    plane::{Count, RuleCount},
    rules::{Action, Known, MAX_RULES, Rule, RuleError, RuleId, RuleRecord},
    service::Service,
};

use super::{Admin, Answer};
use crate::{
    api::{self, AddRule, ApplyOptions, ErrorCode, Explain, Explanation, RuleAdded, RuleInfo, Rules, RulesetChange},
    error::ApiError,
    explain, probe, ruleset,
    state::State,
};

impl Admin {
    /// All rules with their counters.
    ///
    /// # Errors
    /// The daemon is stopping.
    pub(crate) fn rules(&self) -> Answer<Rules> {
        let counts = self.ask(|backend| Ok(backend.status()?.rules))?;
        Ok(self.count_rules(&counts))
    }

    /// All rules with these counters.
    pub(crate) fn count_rules(&self, counts: &[RuleCount]) -> Rules {
        let state = self.state();
        let counts: HashMap<RuleId, Count> = counts.iter().map(|count| (count.id, count.count)).collect();
        let now = Timestamp::now();
        let info = |rule: &Rule| RuleInfo::of(rule, counts.get(&rule.id).copied().unwrap_or_default(), now);
        Rules { revision: state.revision, rules: state.rules.iter().map(info).collect() }
    }

    /// Add a rule.
    ///
    /// # Errors
    /// The rule is not valid, its id is or was taken, there are too many, or the change cannot be made.
    pub(crate) fn add_rule(&self, request: &AddRule) -> Answer<RuleAdded> {
        request.id.map_or(Ok(()), RuleId::check_chosen)?;
        self.change(|state| {
            let id = request.id.unwrap_or(RuleId(state.next_rule));
            if state.rules.iter().any(|rule| rule.id == id) {
                return Err(ApiError::field(ErrorCode::Conflict, "id", format!("{id} exists; delete it first")));
            }
            if id.0 < state.next_rule {
                let message =
                    format!("{id} was used before; leave the id out, or take rule-{} or above", state.next_rule);
                return Err(ApiError::field(ErrorCode::Conflict, "id", message));
            }
            let Some(next) = id.0.checked_add(1) else {
                return Err(ApiError::invalid("id", format!("{id}: no number is left after it")));
            };
            let rule = request.rule.check(id, &known(&set_names(state), &state.inspection.chain_names()))?;
            let mut warnings = warnings(&rule, &state.services);
            state.rules.push(rule.clone());
            state.next_rule = next;
            let count = state.rules.iter().filter(|rule| rule.enabled).count();
            if count > MAX_RULES {
                return Err(RuleError::TooMany { count }.into());
            }
            let rules = self.ruleset(state);
            warnings.extend(ruleset::shadow_warning(&rules, &rule));
            warnings.extend(ruleset::blocklist_warning(&rules, &rule));
            Ok(RuleAdded { id, warnings })
        })
    }

    /// Delete the rule `id`.
    ///
    /// # Errors
    /// There is none of that id, or the change cannot be made.
    pub(crate) fn delete_rule(&self, id: RuleId) -> Answer<usize> {
        self.change(|state| {
            let before = state.rules.len();
            state.rules.retain(|rule| rule.id != id);
            match before - state.rules.len() {
                0 => Err(ApiError::field(ErrorCode::NotFound, "id", format!("there is no rule {id}; see `rule list`"))),
                removed => Ok(removed),
            }
        })
    }

    /// Put a whole ruleset in the place of the one that is, or tell what that would change.
    ///
    /// # Errors
    /// Every rule that is not valid, by position and field; the rules are at another revision than the one named; the
    /// change cannot be made.
    pub(crate) fn replace_rules(&self, request: &api::Ruleset, options: ApplyOptions) -> Answer<RulesetChange> {
        ruleset::check_count(request.rule_count, request.rules.len())
            .map_err(|message| ApiError::invalid("rule_count", message))?;
        let (sets, chains) = {
            let state = self.state();
            (set_names(&state), state.inspection.chain_names())
        };
        let entries = ruleset::check(&request.rules, &known(&sets, &chains)).map_err(ApiError::ruleset)?;
        let edit = |state: &mut State| -> Answer<RulesetChange> {
            same_revision(state.revision, options.if_revision)?;
            let plan = ruleset::plan(&state.rules, state.next_rule, entries);
            let plan = plan.map_err(|message| ApiError::invalid("id", message))?;
            let step = u64::from(plan.differs() && !options.dry_run);
            state.rules = plan.rules;
            state.next_rule = plan.next_rule;
            Ok(RulesetChange {
                dry_run: options.dry_run,
                revision: state.revision + step,
                added: plan.added.into_iter().map(RuleRecord::from).collect(),
                removed: plan.removed.into_iter().map(RuleRecord::from).collect(),
                changed: plan.changed,
                kept: plan.kept,
                warnings: Vec::new(),
            })
        };
        let (mut answer, state) = if options.dry_run {
            let mut state = self.state();
            (edit(&mut state)?, state)
        } else {
            self.change(|state| Ok((edit(state)?, state.clone())))?
        };
        answer.warnings = self.ruleset_warnings(&state);
        Ok(answer)
    }

    /// Why a packet meets the rule that it meets, by the reference model.
    ///
    /// # Errors
    /// The tuple is not valid.
    pub(crate) fn explain(&self, request: &Explain) -> Answer<Explanation> {
        let tuple = probe::check_explain(request)?;
        Ok(explain::explain(&self.ruleset(&self.state()), &tuple, |id| id.to_string()))
    }

    /// Delete every rule.
    ///
    /// # Errors
    /// The change cannot be made.
    pub(crate) fn clear_rules(&self) -> Answer<usize> {
        self.change(|state| Ok(std::mem::take(&mut state.rules).len()))
    }

    /// Everything about a whole ruleset that is allowed but probably not meant, each once.
    fn ruleset_warnings(&self, state: &State) -> Vec<String> {
        let rules = self.ruleset(state);
        let mut found = ruleset::order_warnings(&rules, |id| id.to_string());
        found.extend(rules.rules.iter().filter_map(|rule| ruleset::blocklist_warning(&rules, rule)));
        let mut seen = HashSet::new();
        for rule in state.rules.iter().filter(|rule| rule.enabled) {
            found.extend(warnings(rule, &state.services).into_iter().filter(|warning| seen.insert(warning.clone())));
        }
        found
    }
}

/// Names of the sets that rules may name.
fn set_names(state: &State) -> Vec<String> {
    state.sets.keys().cloned().collect()
}

/// What a rule is checked against now.
fn known<'a>(sets: &'a [String], chains: &'a [String]) -> Known<'a> {
    Known { chains: Some(chains), sets: Some(sets), now: Timestamp::now() }
}

fn same_revision(revision: u64, wanted: Option<u64>) -> Answer<()> {
    match wanted {
        Some(wanted) if wanted != revision => {
            let message = format!(
                "the rules are at revision {revision}, not {wanted}: somebody changed them since; look at them again, \
                 and repeat with --if-revision {revision}"
            );
            Err(ApiError::field(ErrorCode::Conflict, "if_revision", message))
        }
        _ => Ok(()),
    }
}

fn warnings(rule: &Rule, services: &[Service]) -> Vec<String> {
    let covered = |service: &Service| rule.matcher.dst_net().is_none_or(|dst| dst.contains(&service.ip));
    if !matches!(rule.action, Action::Inspect { .. }) || services.iter().any(covered) {
        return Vec::new();
    }
    let dst = rule.matcher.dst.as_ref().map_or_else(|| "any destination".to_owned(), ToString::to_string);
    vec![format!(
        "no service lives in {dst}: inspected packets have nowhere to go and follow the fail policy; \
         see `secuxflow service add --help`"
    )]
}
