//! What a rule is: its identity, what it matches and what it does.

use std::{fmt, str::FromStr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Most rules that may be enabled at once.
pub const MAX_RULES: usize = 16_384;

/// A rule's stable number, written `rule-7`. Never 0. While the state file lives, a number is only
/// given again to a rule that asks for it in a whole ruleset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RuleId(pub u32);

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

/// Inclusive range of ports; `first <= last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PortRange {
    /// Lowest port that matches.
    pub first: u16,
    /// Highest port that matches.
    pub last: u16,
}

impl PortRange {
    /// Whether `port` lies in the range.
    #[must_use]
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    /// Number of ports in the range, 1 to 65536.
    #[must_use]
    pub fn width(self) -> u32 {
        u32::from(self.last) - u32::from(self.first) + 1
    }
}

/// IP protocol number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Protocol(pub u8);

impl Protocol {
    /// ICMP for IPv4, RFC 792.
    pub const ICMP: Self = Self(1);
    /// TCP, RFC 9293.
    pub const TCP: Self = Self(6);
    /// UDP, RFC 768.
    pub const UDP: Self = Self(17);
    /// ICMP for IPv6, RFC 4443.
    pub const ICMPV6: Self = Self(58);
    /// SCTP, RFC 9260.
    pub const SCTP: Self = Self(132);

    /// Whether the transport header starts with source and destination port.
    #[must_use]
    pub fn has_ports(self) -> bool {
        matches!(self, Self::TCP | Self::UDP | Self::SCTP)
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

/// What a rule matches; `None` matches anything. Invariants, upheld by `RuleSpec::check`:
/// `src` and `dst` are of one family and have no host bits; ports come only with a protocol that has them, or none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Matcher {
    /// Source prefix.
    pub src: Option<IpNet>,
    /// Destination prefix.
    pub dst: Option<IpNet>,
    /// Source ports.
    pub sport: Option<PortRange>,
    /// Destination ports.
    pub port: Option<PortRange>,
    /// IP protocol.
    pub proto: Option<Protocol>,
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
}

/// A set of rules and what happens to packets that none of them matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruleset {
    /// Rules in any order, ids unique.
    pub rules: Vec<Rule>,
    /// Action for packets that no rule matches.
    pub default_action: Action,
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
}

impl RuleError {
    /// Shorthand for [`RuleError::Field`].
    #[must_use]
    pub fn field(field: &'static str, value: impl Into<String>, rule: impl Into<String>) -> Self {
        Self::Field { field, value: value.into(), rule: rule.into() }
    }
}
