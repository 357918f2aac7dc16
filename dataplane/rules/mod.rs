//! Rules: model → order → compile → publish, and the reference model that everything is tested against.

mod compile;
mod contradiction;
mod explain;
mod matcher;
mod model;
mod order;
mod reference;
mod sets;
mod shadow;
mod spec;
mod ttl;

#[cfg(any(test, feature = "shapes"))]
mod random;
#[cfg(any(test, feature = "shapes"))]
pub mod shapes;
#[cfg(test)]
mod spec_tests;
#[cfg(test)]
pub(crate) mod testing;

pub(crate) use compile::{SetTries, Tables, compile, compile_sets};
pub use contradiction::{Contradiction, Contradictions, contradictions};
pub use explain::{Before, Candidate, Explained, Tuple, explain};
pub use matcher::{Address, Matcher, PortRange, Ports, Protocol, TcpFlags};
pub use model::{Action, MAX_RULES, MAX_SETS, Rule, RuleError, RuleId, Ruleset};
pub use order::{ordered, precedence};
pub use reference::{Cause, Classifier, Decision, Monitored, Outcome};
pub use sets::{MAX_SET_NAME, MAX_SET_PREFIXES, PrefixSet};
pub use shadow::{Overlap, Shadow, shadow_of, shadows};
pub use spec::{Known, RuleRecord, RuleSpec, check_set_name};
pub use ttl::Ttl;
