//! Rules: model → order → compile → publish, and the reference model that everything is tested against.

mod model;

pub use model::{Action, MAX_RULES, Matcher, PortRange, Protocol, Rule, RuleError, RuleId, Ruleset};
