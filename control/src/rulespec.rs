//! A rule as it is written in requests and in the state file.

use ipnet::IpNet;
use secuxflow::rules::{Action, Matcher, PortRange, Protocol, Rule, RuleError, RuleId};
use serde::{Deserialize, Serialize};

/// Unchecked rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RuleSpec {
    pub(crate) src: Option<String>,
    pub(crate) dst: Option<String>,
    pub(crate) port: Option<String>,
    pub(crate) sport: Option<String>,
    pub(crate) proto: Option<String>,
    pub(crate) action: Option<String>,
    pub(crate) chain: Option<String>,
    pub(crate) priority: Option<i32>,
    pub(crate) comment: Option<String>,
    pub(crate) enabled: bool,
}

impl RuleSpec {
    pub(crate) fn check(&self, id: RuleId, chains: &[String]) -> Result<Rule, RuleError> {
        let matcher = Matcher {
            src: net("src", self.src.as_deref())?,
            dst: net("dst", self.dst.as_deref())?,
            sport: port("sport", self.sport.as_ref())?,
            port: port("port", self.port.as_ref())?,
            proto: self.proto.as_deref().map(proto).transpose()?,
        };
        if matcher.port.is_some() && matcher.proto.is_some_and(|p| !p.has_ports()) {
            return Err(RuleError::Conflict { fields: "port and proto", rule: "the protocol has no ports".into() });
        }
        let action = match self.action.as_deref() {
            Some("pass") => Action::Pass,
            Some("drop") => Action::Drop,
            Some("inspect") => {
                let chain = self.chain.clone().unwrap_or_else(|| "default".into());
                if !chains.contains(&chain) {
                    return Err(RuleError::field("chain", chain, "there is no such chain"));
                }
                Action::Inspect { chain }
            }
            other => {
                return Err(RuleError::field(
                    "action",
                    other.unwrap_or_default(),
                    "one of pass, drop, inspect expected",
                ));
            }
        };
        Ok(Rule {
            id,
            priority: self.priority.unwrap_or(0),
            matcher,
            action,
            comment: self.comment.clone(),
            enabled: self.enabled,
        })
    }
}

fn net(field: &'static str, text: Option<&str>) -> Result<Option<IpNet>, RuleError> {
    let Some(text) = text else { return Ok(None) };
    let parsed = text.parse::<IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
    parsed.map(Some).map_err(|_| RuleError::field(field, text, "an address or prefix such as 10.0.0.0/8 expected"))
}

fn port(field: &'static str, text: Option<&String>) -> Result<Option<PortRange>, RuleError> {
    let text = match text {
        None => return Ok(None),
        Some(text) => text.clone(),
    };
    let (first, last) = text.split_once('-').unwrap_or((&text, &text));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) if first <= last => Ok(Some(PortRange { first, last })),
        _ => Err(RuleError::field(field, text, "a port from 0 to 65535 or a range such as 80-90 expected")),
    }
}

fn proto(text: &str) -> Result<Protocol, RuleError> {
    Ok(match text {
        "tcp" => Protocol::TCP,
        "udp" => Protocol::UDP,
        "icmp" => Protocol::ICMP,
        "icmpv6" => Protocol::ICMPV6,
        "sctp" => Protocol::SCTP,
        _ => {
            Protocol(text.parse().map_err(|_| RuleError::field("proto", text, "tcp, udp, icmp or a number expected"))?)
        }
    })
}

impl From<&Rule> for RuleSpec {
    fn from(rule: &Rule) -> Self {
        let range = |r: PortRange| {
            if r.first == r.last { r.first.to_string() } else { format!("{}-{}", r.first, r.last) }
        };
        let (action, chain) = match &rule.action {
            Action::Pass => ("pass", None),
            Action::Drop => ("drop", None),
            Action::Inspect { chain } => ("inspect", Some(chain.clone())),
        };
        Self {
            src: rule.matcher.src.map(|n| n.to_string()),
            dst: rule.matcher.dst.map(|n| n.to_string()),
            port: rule.matcher.port.map(range),
            sport: rule.matcher.sport.map(range),
            proto: rule.matcher.proto.map(|p| match p {
                Protocol::TCP => "tcp".into(),
                Protocol::UDP => "udp".into(),
                Protocol::ICMP => "icmp".into(),
                other => other.0.to_string(),
            }),
            action: Some(action.into()),
            chain,
            priority: Some(rule.priority),
            comment: rule.comment.clone(),
            enabled: rule.enabled,
        }
    }
}
