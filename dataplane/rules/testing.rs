//! Rules for tests.

use super::{Action, Matcher, Rule, RuleId};

/// An enabled pass rule of priority 0 that matches everything, changed by `with`.
pub(crate) fn rule(id: u32, with: impl FnOnce(&mut Matcher)) -> Rule {
    let mut matcher = Matcher::default();
    with(&mut matcher);
    Rule { id: RuleId(id), priority: 0, matcher, action: Action::Pass, comment: None, enabled: true }
}
