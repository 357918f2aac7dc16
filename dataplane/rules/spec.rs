//! A rule as people spell it, on the command line and in JSON, and the checks that make it a [`Rule`].

use std::fmt;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::{Action, Address, Matcher, PortRange, Protocol, Rule, RuleError, RuleId, compile::chain_index};
use crate::wire::is_extension;

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
    /// Source address or prefix, `192.168.1.0/24`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src: Option<String>,
    /// Destination address or prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dst: Option<String>,
    /// Destination port or range, `80` or `8000-8080`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text_or_number")]
    pub port: Option<String>,
    /// Source port or range.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text_or_number")]
    pub sport: Option<String>,
    /// Protocol, by name or number.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text_or_number")]
    pub proto: Option<String>,
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
    /// The first field that breaks its own rule, contradicts another, or names a chain that is not in `chains`.
    pub fn check(&self, id: RuleId, chains: &[String]) -> Result<Rule, RuleError> {
        let rule = self.check_fields(id)?;
        if let Action::Inspect { chain } = &rule.action {
            chain_index(chain, chains)?;
        }
        Ok(rule)
    }

    /// All that can be checked without knowing the chains.
    fn check_fields(&self, id: RuleId) -> Result<Rule, RuleError> {
        let matcher = Matcher {
            src: optional(self.src.as_deref(), |text| prefix("src", text))?.map(Address::Net),
            dst: optional(self.dst.as_deref(), |text| prefix("dst", text))?.map(Address::Net),
            sport: optional(self.sport.as_deref(), |text| ports("sport", text))?.map(Into::into),
            port: optional(self.port.as_deref(), |text| ports("port", text))?.map(Into::into),
            proto: optional(self.proto.as_deref(), protocol)?,
            tcp_flags: None,
            vlan: None,
        };
        check_families(&matcher)?;
        check_ports(&matcher)?;
        if let Some(comment) = self.comment.as_deref().filter(|comment| comment.len() > MAX_COMMENT) {
            let start: String = comment.chars().take(20).collect();
            let rule = format!("{} bytes; at most {MAX_COMMENT} fit", comment.len());
            return Err(RuleError::field("comment", format!("{start}…"), rule));
        }
        Ok(Rule {
            id,
            priority: self.priority.unwrap_or(0),
            matcher,
            action: self.action()?,
            comment: self.comment.clone(),
            enabled: self.enabled,
            monitor: false,
            expires: None,
        })
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
            action: Some(action.to_owned()),
            chain,
            priority: (rule.priority != 0).then_some(rule.priority),
            comment: rule.comment.clone(),
            enabled: rule.enabled,
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

    /// Checks all but the chain's existence, which publishing checks.
    fn try_from(record: RuleRecord) -> Result<Self, RuleError> {
        record.spec.check_fields(record.id)
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

fn optional<T>(text: Option<&str>, parse: impl FnOnce(&str) -> Result<T, RuleError>) -> Result<Option<T>, RuleError> {
    text.map(parse).transpose()
}

fn prefix(field: &'static str, text: &str) -> Result<IpNet, RuleError> {
    let net = match text.parse::<std::net::IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse().map_err(|_| {
            RuleError::field(field, text, "an address or prefix such as 10.0.0.5, 192.168.1.0/24 or fd00::/8 expected")
        })?,
    };
    if net.addr() != net.network() {
        let rule = format!("bits are set behind the prefix; did you mean {}?", net.trunc());
        return Err(RuleError::field(field, text, rule));
    }
    if matches!(net, IpNet::V6(v6) if v6.prefix_len() >= 96 && v6.network().to_ipv4_mapped().is_some()) {
        return Err(RuleError::field(field, text, "an ipv4-mapped address is never on the wire; write it as ipv4"));
    }
    Ok(net)
}

fn ports(field: &'static str, text: &str) -> Result<PortRange, RuleError> {
    let port = |part: &str| {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<u16>().ok().filter(|_| digits).ok_or_else(|| {
            let rule = "a port from 0 to 65535, or a range such as 8000-8080, expected";
            RuleError::field(field, text, rule)
        })
    };
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (port(first)?, port(last)?),
        None => (port(text)?, port(text)?),
    };
    if first > last {
        return Err(RuleError::field(field, text, format!("the range is reversed; did you mean {last}-{first}?")));
    }
    Ok(PortRange { first, last })
}

fn protocol(text: &str) -> Result<Protocol, RuleError> {
    let named = PROTOCOLS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    let number = named.map(|(_, number)| *number).or_else(|| text.parse().ok());
    number.map(Protocol).ok_or_else(|| {
        let names: Vec<&str> = PROTOCOLS.iter().map(|(name, _)| *name).collect();
        RuleError::field("proto", text, format!("one of {} or a number from 0 to 255 expected", names.join(", ")))
    })
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

fn check_ports(matcher: &Matcher) -> Result<(), RuleError> {
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

/// Accept `80` as well as `"80"`.
fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    struct Text;

    impl de::Visitor<'_> for Text {
        type Value = Option<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string or a whole number")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Some(text.to_owned()))
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
            Ok(Some(number.to_string()))
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
            Ok(Some(number.to_string()))
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    }

    deserializer.deserialize_any(Text)
}
