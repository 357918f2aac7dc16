//! A rule as people spell it, on the command line and in JSON, and the checks that make it a [`Rule`].

mod parse;
mod text;

use std::fmt;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Action, Address, Matcher, Protocol, Rule, RuleError, RuleId, compile::chain_index, reference::check_sets};
use crate::wire::is_extension;

pub use parse::check_set_name;
use text::{text_or_list, text_or_number};

/// Longest comment in bytes.
const MAX_COMMENT: usize = 256;
/// Chain of a rule that inspects without naming one.
const DEFAULT_CHAIN: &str = "default";
/// Protocols that have a name here; any other is a number.
const PROTOCOLS: [(&str, u8); 8] =
    [("tcp", 6), ("udp", 17), ("icmp", 1), ("icmpv6", 58), ("sctp", 132), ("igmp", 2), ("gre", 47), ("esp", 50)];

/// A rule before it is checked. What is absent matches anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSpec {
    /// Source address, prefix or set: `192.168.1.0/24`, `@office`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src: Option<String>,
    /// Destination address, prefix or set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dst: Option<String>,
    /// Destination ports, `80`, `8000-8080` or `80,443,8000-8080`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text_or_list")]
    pub port: Option<String>,
    /// Source ports.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text_or_list")]
    pub sport: Option<String>,
    /// Protocol, by name or number; `any` is as good as none.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text_or_number")]
    pub proto: Option<String>,
    /// TCP flags that are set, and with `!` those that are clear: `syn,!ack`. Only with the protocol tcp.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text_or_list")]
    pub tcp_flags: Option<String>,
    /// VLAN id of the outermost tag, 1 to 4094; `none` for packets without one.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text_or_number")]
    pub vlan: Option<String>,
    /// `pass`, `drop` or `inspect`; required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Chain, only with `inspect`; `default` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
    /// Higher wins; 0 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Free text, at most 256 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// A disabled rule is kept but matches nothing.
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// Only count and alert what it would drop. Only with `drop`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub monitor: bool,
    /// How long it lives from now, `10m` or `1h30m`; becomes `expires`. Not together with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// When it goes by itself, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// What a rule is checked against.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Names of the chains; `None` where they are not known, then any will do.
    pub chains: Option<&'a [String]>,
    /// Names of the sets; `None` where they are not known, then any will do.
    pub sets: Option<&'a [String]>,
    /// When it is: `ttl` counts from here, and no rule ends before.
    pub now: Timestamp,
}

impl Known<'_> {
    /// Nothing but the time.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self { chains: None, sets: None, now }
    }
}

/// A rule with its id, flat, as the state file and the API hold it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleRecord {
    /// Identity.
    pub id: RuleId,
    /// Everything else.
    #[serde(flatten)]
    pub spec: RuleSpec,
}

impl RuleSpec {
    /// Make a rule of it.
    ///
    /// # Errors
    /// The first field that breaks its own rule, contradicts another, or names what is not `known`.
    pub fn check(&self, id: RuleId, known: &Known<'_>) -> Result<Rule, RuleError> {
        let rule = self.check_fields(id, known.now)?;
        if let Some(end) = rule.expires.filter(|end| *end <= known.now) {
            let rule = "that is in the past; give a later time, a ttl, or leave the rule out";
            return Err(RuleError::field("expires", end.to_string(), rule));
        }
        if let Some(sets) = known.sets {
            check_sets(&rule.matcher, sets.iter().map(String::as_str))?;
        }
        if let (Action::Inspect { chain }, Some(chains)) = (&rule.action, known.chains) {
            chain_index(chain, chains)?;
        }
        Ok(rule)
    }

    /// All that can be checked of it alone.
    fn check_fields(&self, id: RuleId, now: Timestamp) -> Result<Rule, RuleError> {
        let matcher = Matcher {
            src: optional(self.src.as_deref(), |text| parse::address("src", text))?,
            dst: optional(self.dst.as_deref(), |text| parse::address("dst", text))?,
            sport: optional(self.sport.as_deref(), |text| parse::ports("sport", text))?,
            port: optional(self.port.as_deref(), |text| parse::ports("port", text))?,
            proto: optional(self.proto.as_deref(), parse::protocol)?.flatten(),
            tcp_flags: optional(self.tcp_flags.as_deref(), parse::tcp_flags)?,
            vlan: optional(self.vlan.as_deref(), parse::vlan)?,
        };
        check_families(&matcher)?;
        check_transport(&matcher)?;
        if let Some(comment) = self.comment.as_deref().filter(|comment| comment.len() > MAX_COMMENT) {
            let rule = format!("{} bytes; at most {MAX_COMMENT} fit", comment.len());
            return Err(RuleError::field("comment", parse::start(comment), rule));
        }
        let action = self.action()?;
        if self.monitor && action != Action::Drop {
            let rule = "only a drop can be monitored; leave one of them out".to_owned();
            return Err(RuleError::Conflict { fields: "monitor, action", rule });
        }
        Ok(Rule {
            id,
            priority: self.priority.unwrap_or(0),
            matcher,
            action,
            comment: self.comment.clone(),
            enabled: self.enabled,
            monitor: self.monitor,
            expires: self.end(now)?,
        })
    }

    fn end(&self, now: Timestamp) -> Result<Option<Timestamp>, RuleError> {
        match (&self.ttl, &self.expires) {
            (None, None) => Ok(None),
            (Some(ttl), None) => parse::ttl(ttl, now).map(Some),
            (None, Some(expires)) => parse::expires(expires).map(Some),
            (Some(_), Some(_)) => {
                let rule = "both say when the rule ends; leave one of them out".to_owned();
                Err(RuleError::Conflict { fields: "ttl, expires", rule })
            }
        }
    }

    fn action(&self) -> Result<Action, RuleError> {
        let text = self.action.as_deref().unwrap_or("");
        let action = match text {
            "pass" => Action::Pass,
            "drop" => Action::Drop,
            "inspect" => {
                let chain = self.chain.clone().unwrap_or_else(|| DEFAULT_CHAIN.to_owned());
                return Ok(Action::Inspect { chain });
            }
            _ => return Err(RuleError::field("action", text, "one of pass, drop and inspect expected")),
        };
        match &self.chain {
            Some(chain) => Err(RuleError::Conflict {
                fields: "chain, action",
                rule: format!("chain '{chain}' is only for action inspect, not {text}; leave one of them out"),
            }),
            None => Ok(action),
        }
    }
}

impl From<&Rule> for RuleSpec {
    fn from(rule: &Rule) -> Self {
        let (action, chain) = match &rule.action {
            Action::Pass => ("pass", None),
            Action::Drop => ("drop", None),
            Action::Inspect { chain } => ("inspect", Some(chain.clone())),
        };
        let matcher = &rule.matcher;
        Self {
            src: matcher.src.as_ref().map(Address::to_string),
            dst: matcher.dst.as_ref().map(Address::to_string),
            port: matcher.port.as_ref().map(ToString::to_string),
            sport: matcher.sport.as_ref().map(ToString::to_string),
            proto: matcher.proto.map(|proto| proto.to_string()),
            tcp_flags: matcher.tcp_flags.map(|flags| flags.to_string()),
            vlan: matcher.vlan.map(|id| if id == 0 { parse::UNTAGGED.to_owned() } else { id.to_string() }),
            action: Some(action.to_owned()),
            chain,
            priority: (rule.priority != 0).then_some(rule.priority),
            comment: rule.comment.clone(),
            enabled: rule.enabled,
            monitor: rule.monitor,
            ttl: None,
            expires: rule.expires.map(|end| end.to_string()),
        }
    }
}

impl From<Rule> for RuleRecord {
    fn from(rule: Rule) -> Self {
        Self { id: rule.id, spec: RuleSpec::from(&rule) }
    }
}

impl TryFrom<RuleRecord> for Rule {
    type Error = RuleError;

    /// Checks all but the existence of chain and sets, which publishing checks, and lets an end in the past through: of
    /// a rule that was stored, whoever holds it takes it out.
    fn try_from(record: RuleRecord) -> Result<Self, RuleError> {
        record.spec.check_fields(record.id, Timestamp::now())
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match PROTOCOLS.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

fn enabled() -> bool {
    true
}

fn is_false(value: &bool) -> bool {
    !value
}

fn optional<T>(text: Option<&str>, parse: impl FnOnce(&str) -> Result<T, RuleError>) -> Result<Option<T>, RuleError> {
    text.map(parse).transpose()
}

fn check_families(matcher: &Matcher) -> Result<(), RuleError> {
    let conflict = |fields, rule: String| Err(RuleError::Conflict { fields, rule });
    let (src, dst) = (matcher.src_net(), matcher.dst_net());
    if let (Some(src), Some(dst)) = (src, dst)
        && is_v4(src) != is_v4(dst)
    {
        return conflict("src, dst", format!("{src} and {dst} are of different families; use two rules"));
    }
    let (Some(net), Some(proto)) = (src.or(dst), matcher.proto) else { return Ok(()) };
    if proto == Protocol::ICMPV6 && is_v4(net) {
        return conflict("proto, src, dst", format!("icmpv6 never goes with the ipv4 address {net}; use icmp"));
    }
    if proto == Protocol::ICMP && !is_v4(net) {
        return conflict("proto, src, dst", format!("icmp never goes with the ipv6 address {net}; use icmpv6"));
    }
    if is_extension(proto.0) && !is_v4(net) {
        let rule = format!("{proto} is an ipv6 extension header; name the protocol behind it, or leave proto out");
        return conflict("proto, src, dst", rule);
    }
    Ok(())
}

/// Ports and flags come with protocols that have them.
fn check_transport(matcher: &Matcher) -> Result<(), RuleError> {
    if matcher.tcp_flags.is_some() && matcher.proto != Some(Protocol::TCP) {
        let rule = "only tcp has flags; give proto tcp, or leave the flags out".to_owned();
        return Err(RuleError::Conflict { fields: "tcp_flags, proto", rule });
    }
    let Some(proto) = matcher.proto.filter(|proto| !proto.has_ports()) else { return Ok(()) };
    let fields = match (&matcher.port, &matcher.sport) {
        (Some(_), _) => "port, proto",
        (None, Some(_)) => "sport, proto",
        (None, None) => return Ok(()),
    };
    Err(RuleError::Conflict {
        fields,
        rule: format!("{proto} has no ports; use tcp, udp or sctp, or leave the port out"),
    })
}

fn is_v4(net: IpNet) -> bool {
    matches!(net, IpNet::V4(_))
}
