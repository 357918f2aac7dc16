//! What a rule is: its identity and what it does. What it matches is in `matcher.rs`.

use std::{fmt, str::FromStr, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Matcher, PrefixSet};

/// Most rules that may be enabled at once.
pub const MAX_RULES: usize = 16_384;
/// Most sets.
pub const MAX_SETS: usize = 64;

/// Highest id that people may choose, so that the numbers behind it never run out.
const MAX_CHOSEN_ID: u32 = 999_999_999;

/// A rule's stable number, written `rule-7`. Never 0. While the state file lives, a number is only
/// given again to a rule that asks for it in a whole ruleset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RuleId(pub u32);

impl RuleId {
    /// Check that somebody may choose it for a new rule. Rules that are there may have a higher one.
    ///
    /// # Errors
    /// It is above the limit.
    pub fn check_chosen(self) -> Result<(), RuleError> {
        if self.0 <= MAX_CHOSEN_ID {
            return Ok(());
        }
        let rule = format!("at most rule-{MAX_CHOSEN_ID} may be chosen; take a lower one, or leave the id out");
        Err(RuleError::field("id", self.to_string(), rule))
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule-{}", self.0)
    }
}

impl FromStr for RuleId {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        match text.strip_prefix("rule-").unwrap_or(text).parse() {
            Ok(number) if number > 0 => Ok(Self(number)),
            _ => Err(RuleError::field("id", text, "a rule id looks like rule-1")),
        }
    }
}

impl From<RuleId> for String {
    fn from(id: RuleId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for RuleId {
    type Error = RuleError;

    fn try_from(text: String) -> Result<Self, RuleError> {
        text.parse()
    }
}

/// What happens to a packet that a rule matches.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "lowercase")]
pub enum Action {
    /// On to the kernel's stack.
    Pass,
    /// Discarded in XDP.
    Drop,
    /// Through a chain of modules in a worker.
    Inspect {
        /// Name of the chain.
        chain: String,
    },
}

/// One rule. Its serialised form is [`super::RuleRecord`], checked on the way in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "super::RuleRecord", try_from = "super::RuleRecord")]
pub struct Rule {
    /// Identity.
    pub id: RuleId,
    /// Higher wins; 0 unless given.
    pub priority: i32,
    /// What it matches.
    pub matcher: Matcher,
    /// What it does.
    pub action: Action,
    /// Free text of the administrator, at most 256 bytes.
    pub comment: Option<String>,
    /// A disabled rule is kept but matches nothing.
    pub enabled: bool,
    /// A drop that only counts and alerts: the packet then meets the rules that are enforced. Only with [`Action::Drop`].
    pub monitor: bool,
    /// When the rule goes by itself; `None` for never. Whoever holds the ruleset takes it out: classification has no
    /// clock.
    pub expires: Option<Timestamp>,
}

impl Rule {
    /// An enabled rule of priority 0, for ever.
    #[must_use]
    pub fn new(id: RuleId, matcher: Matcher, action: Action) -> Self {
        Self { id, priority: 0, matcher, action, comment: None, enabled: true, monitor: false, expires: None }
    }

    /// Whether it is asked about packets that cannot be decided on: it drops, or its match rests on addresses and VLAN
    /// alone.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        self.action == Action::Drop || (self.matcher.proto.is_none() && !self.matcher.needs_transport())
    }

    /// Whether its end has come.
    #[must_use]
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }
}

/// A set of rules and what happens to packets that none of them matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruleset {
    /// Rules in any order, ids unique.
    pub rules: Vec<Rule>,
    /// Action for packets that no rule matches.
    pub default_action: Action,
    /// The sets that rules may name, and blocklists, which are looked up before any rule; names unique.
    pub sets: Vec<Arc<PrefixSet>>,
    /// Every drop, by rule, blocklist or default, only counts and alerts.
    pub monitor: bool,
}

impl Ruleset {
    /// `rules` without sets, enforced.
    #[must_use]
    pub fn new(rules: Vec<Rule>, default_action: Action) -> Self {
        Self { rules, default_action, sets: Vec::new(), monitor: false }
    }

    /// Whether `rule` would drop but only counts and alerts.
    #[must_use]
    pub fn monitors(&self, rule: &Rule) -> bool {
        rule.action == Action::Drop && (rule.monitor || self.monitor)
    }
}

/// Why a rule was refused: always the field, the value and the broken rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// A field's value breaks that field's own rule.
    #[error("{field} '{value}': {rule}")]
    Field {
        /// Name of the field as the API and CLI spell it.
        field: &'static str,
        /// The value given.
        value: String,
        /// The rule it breaks, and how to mend it.
        rule: String,
    },
    /// Two fields that are each fine contradict each other.
    #[error("{fields}: {rule}")]
    Conflict {
        /// The fields' names.
        fields: &'static str,
        /// The rule they break together.
        rule: String,
    },
    /// More enabled rules than the tables hold.
    #[error("{count} enabled rules: at most {MAX_RULES} fit; delete or disable some")]
    TooMany {
        /// Enabled rules asked for.
        count: usize,
    },
    /// More sets than there are bits for.
    #[error("{count} sets: at most {MAX_SETS} fit; delete some")]
    TooManySets {
        /// Sets asked for.
        count: usize,
    },
}

impl RuleError {
    /// Shorthand for [`RuleError::Field`].
    #[must_use]
    pub fn field(field: &'static str, value: impl Into<String>, rule: impl Into<String>) -> Self {
        Self::Field { field, value: value.into(), rule: rule.into() }
    }
}
