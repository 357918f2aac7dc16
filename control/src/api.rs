//! The control API, version 1: every request and response, in one place. The command line mirrors it word for word.
//!
//! | method and path | request | response |
//! |---|---|---|
//! | `GET /v1/status` | | [`Status`] |
//! | `GET /v1/rules` | | [`Rules`] |
//! | `POST /v1/rules` | [`AddRule`] | [`RuleAdded`], 201 |
//! | `PUT /v1/rules?dry_run=B&if_revision=N` | [`Ruleset`] | [`RulesetChange`] |
//! | `DELETE /v1/rules` | | [`Removed`] |
//! | `POST /v1/rules/explain` | [`Explain`] | [`Explanation`] |
//! | `DELETE /v1/rules/{id}` | | [`Removed`] |
//! | `GET /v1/sets` | | [`Sets`] |
//! | `POST /v1/sets` | [`CreateSet`] | [`SetInfo`], 201 |
//! | `GET /v1/sets/{name}?limit=N` | | [`SetEntries`] |
//! | `DELETE /v1/sets/{name}` | | [`Removed`] |
//! | `POST /v1/sets/{name}/entries` | [`AddEntries`] | [`SetChange`] |
//! | `DELETE /v1/sets/{name}/entries` | | [`Removed`] |
//! | `POST /v1/sets/{name}/entries/remove` | [`RemoveEntries`] | [`SetChange`] |
//! | `POST /v1/sets/{name}/feed?strict=B&replace=B&ttl=T` | text, one prefix a line | [`SetImported`] |
//! | `GET /v1/flows?address=A&port=P&proto=P&state=S&sort=O&limit=N` | | [`Flows`] |
//! | `DELETE /v1/flows` | | [`Removed`] |
//! | `GET /v1/flows/{id}` | | [`secuxflow::plane::FlowRecord`] |
//! | `DELETE /v1/flows/{id}` | | [`Removed`] |
//! | `GET /v1/sources` | | [`Sources`] |
//! | `DELETE /v1/sources` | | [`Removed`] |
//! | `DELETE /v1/sources/{address}` | | [`Removed`] |
//! | `GET /v1/services` | | [`Services`] |
//! | `POST /v1/services` | [`secuxflow::service::ServiceSpec`] | [`Service`](secuxflow::service::Service), 201 |
//! | `DELETE /v1/services/{name}` | | [`Removed`] |
//! | `GET /v1/modules` | | [`Modules`] |
//! | `GET /v1/modules/{name}` | | [`ModuleInfo`] |
//! | `POST /v1/modules/{name}` | [`LoadModule`] | [`ModuleInfo`], 201 |
//! | `PUT /v1/modules/{name}` | [`LoadModule`] | [`ModuleInfo`] |
//! | `DELETE /v1/modules/{name}` | | [`Removed`] |
//! | `GET /v1/chains` | | [`Chains`] |
//! | `POST /v1/chains/{name}` | [`SetChain`] | [`ChainInfo`], 201 |
//! | `PUT /v1/chains/{name}` | [`SetChain`] | [`ChainInfo`] |
//! | `DELETE /v1/chains/{name}` | | [`Removed`] |
//! | `POST /v1/inspect` | [`Inspect`] | [`secuxflow::plane::ProbeReport`] |
//! | `GET /v1/alerts?limit=N` | | [`Alerts`] |
//! | `GET /v1/alerts/stream` | | one JSON object a line, as they come: EVE alerts, and [`Missed`] |
//!
//! Whatever is refused is answered with [`Failure`] and a status of 400 or above.

mod flows;
mod modules;
mod sets;

pub(crate) use flows::{FlowOrder, FlowQuery, Flows, Sources};
pub(crate) use modules::{ChainInfo, Chains, LoadModule, MAX_MODULE_BODY, ModuleInfo, Modules, SetChain};
pub(crate) use sets::{
    AddEntries, CreateSet, ImportOptions, MAX_FEED_BODY, RemoveEntries, SetChange, SetEntries, SetEntry, SetImported,
    SetInfo, Sets,
};

use jiff::Timestamp;
use secuxflow::{
    plane::{Count, FailPolicy, PlaneStatus},
    rules::{Rule, RuleId, RuleRecord, RuleSpec},
    service::ServiceStatus,
};
use serde::{
    Deserialize, Serialize,
    de::{self, IntoDeserializer},
};

use crate::config::Enforcement;

/// Largest request body in bytes, whole rulesets, feeds and modules apart.
pub(crate) const MAX_BODY: usize = 1 << 20;
/// Largest body with a whole ruleset, in bytes: 16,384 rules of 1 KiB. A usual rule takes 100 to 200 bytes, one with the
/// longest comment about 600; the longest lists of ports take 3 KiB each.
pub(crate) const MAX_RULESET_BODY: usize = 16 << 20;

/// The daemon and its dataplane at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// The daemon's version.
    pub(crate) version: String,
    /// The daemon's process id.
    pub(crate) pid: u32,
    /// When it was started, RFC 3339.
    pub(crate) started: String,
    /// Seconds since then.
    pub(crate) uptime_seconds: u64,
    /// Configuration file, none when flags alone were given.
    pub(crate) config: Option<String>,
    /// What happens to traffic that should be inspected and cannot be.
    pub(crate) fail_policy: FailPolicy,
    /// Whether drops only count and alert.
    pub(crate) enforcement: Enforcement,
    /// Action for packets that no rule matches.
    pub(crate) default_action: String,
    /// Rules known, disabled ones included.
    pub(crate) rule_count: usize,
    /// Alert lines that could not be written to the alert file.
    pub(crate) alert_write_errors: u64,
    /// The dataplane.
    #[serde(flatten)]
    pub(crate) plane: PlaneStatus,
}

/// A rule with its counters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RuleInfo {
    /// Its identity.
    pub(crate) id: RuleId,
    /// The rule.
    #[serde(flatten)]
    pub(crate) rule: RuleSpec,
    /// Seconds until it goes by itself, for a rule with `expires`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires_in_seconds: Option<u64>,
    /// What it matched since it was added or the daemon started.
    #[serde(flatten)]
    pub(crate) count: Count,
}

impl RuleInfo {
    /// `rule` at the moment `now`.
    pub(crate) fn of(rule: &Rule, count: Count, now: Timestamp) -> Self {
        let left = |end: Timestamp| u64::try_from(end.duration_since(now).as_secs()).unwrap_or(0);
        Self { id: rule.id, rule: rule.into(), expires_in_seconds: rule.expires.map(left), count }
    }
}

/// All rules, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rules {
    /// Counts the changes of the rules; survives a restart.
    pub(crate) revision: u64,
    /// The rules.
    pub(crate) rules: Vec<RuleInfo>,
}

/// A new rule: the fields of [`RuleSpec`], and `id` where the caller wants to choose it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AddRule {
    /// Number wanted; the next free one where it is not given. Numbers once used are refused.
    pub(crate) id: Option<RuleId>,
    /// The rule.
    pub(crate) rule: RuleSpec,
}

impl Serialize for AddRule {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Flat<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            id: Option<RuleId>,
            #[serde(flatten)]
            rule: &'a RuleSpec,
        }
        Flat { id: self.id, rule: &self.rule }.serialize(to)
    }
}

// By hand, because `flatten` would let unknown and doubled fields through, and hide which field an error is about.
impl<'de> Deserialize<'de> for AddRule {
    fn deserialize<D: de::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> de::Visitor<'de> for Fields {
            type Value = AddRule;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a rule with its fields")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<AddRule, A::Error> {
                let mut id = None;
                let rest = WithoutId { map, id: &mut id };
                let rule = RuleSpec::deserialize(de::value::MapAccessDeserializer::new(rest))?;
                Ok(AddRule { id: id.flatten(), rule })
            }
        }
        from.deserialize_map(Fields)
    }
}

/// The fields of a rule, of which `id` is put aside.
struct WithoutId<'a, A> {
    map: A,
    id: &'a mut Option<Option<RuleId>>,
}

impl<'de, A: de::MapAccess<'de>> de::MapAccess<'de> for WithoutId<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(name) = self.map.next_key::<String>()? {
            if name != "id" {
                return seed.deserialize(name.into_deserializer()).map(Some);
            }
            if self.id.replace(self.map.next_value()?).is_some() {
                return Err(de::Error::duplicate_field("id"));
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: de::DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// Answer to [`AddRule`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RuleAdded {
    /// The new rule's identity.
    pub(crate) id: RuleId,
    /// Things that are allowed but probably not meant.
    pub(crate) warnings: Vec<String>,
}

/// A whole ruleset, to take the place of the one that is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ruleset {
    /// Revision that it was exported at; not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) revision: Option<u64>,
    /// Number of its rules; where it is given and another, the ruleset is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rule_count: Option<usize>,
    /// The rules, each an [`AddRule`]; taken apart one by one, so that each mistake can be told.
    pub(crate) rules: Vec<serde_json::Value>,
}

/// How [`Ruleset`] is to be applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApplyOptions {
    /// Only tell what would change.
    #[serde(default)]
    pub(crate) dry_run: bool,
    /// Refuse when the rules are not at this revision.
    #[serde(default)]
    pub(crate) if_revision: Option<u64>,
}

/// What applying a ruleset changed, or would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RulesetChange {
    /// Whether nothing was done.
    pub(crate) dry_run: bool,
    /// Revision of the rules now; for a dry run the one that the difference was taken from.
    pub(crate) revision: u64,
    /// Rules that are new.
    pub(crate) added: Vec<RuleRecord>,
    /// Rules that are gone.
    pub(crate) removed: Vec<RuleRecord>,
    /// Rules that keep their id and counters, but not all of their fields.
    pub(crate) changed: Vec<ChangedRule>,
    /// Number of rules that stay as they were.
    pub(crate) kept: usize,
    /// Things that are allowed but probably not meant.
    pub(crate) warnings: Vec<String>,
}

/// A rule before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChangedRule {
    /// Its identity.
    pub(crate) id: RuleId,
    /// As it was.
    pub(crate) from: RuleSpec,
    /// As it is.
    pub(crate) to: RuleSpec,
}

/// A packet whose rule is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Explain {
    /// Source address.
    pub(crate) src: String,
    /// Destination address.
    pub(crate) dst: String,
    /// Source port, 40000 where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sport: Option<u32>,
    /// Destination port; needed for protocols that have ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) port: Option<u32>,
    /// Protocol by name or number; tcp where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text_or_number")]
    pub(crate) proto: Option<String>,
    /// TCP flags that are set, as in `syn,ack`, or `none`; `syn`, as in the first packet of a connection, where they are
    /// not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tcp_flags: Option<String>,
    /// VLAN id of the outermost tag; none where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text_or_number")]
    pub(crate) vlan: Option<String>,
}

/// Takes `100` as well as `"100"`.
fn text_or_number<'de, D: de::Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a string or a whole number expected")]
    enum Either {
        Text(String),
        Number(u64),
    }
    let either: Option<Either> = Option::deserialize(from)?;
    Ok(either.map(|either| match either {
        Either::Text(text) => text,
        Either::Number(number) => number.to_string(),
    }))
}

/// Why a packet meets the rule that it meets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Explanation {
    /// The rule that wins; none when a blocklist or the default action does.
    pub(crate) rule: Option<String>,
    /// What happens to the packet: pass, drop or inspect.
    pub(crate) action: String,
    /// Chain for inspect.
    pub(crate) chain: Option<String>,
    /// The blocklist that holds the source; it decides before any rule, unless all is monitored.
    pub(crate) blocklist: Option<String>,
    /// What would drop the packet and only counts it: a rule, `blocklist` or `default`.
    pub(crate) monitored: Option<String>,
    /// Every enabled rule, in the order in which rules are tried.
    pub(crate) candidates: Vec<ExplainedRule>,
}

/// How one rule stands to the packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExplainedRule {
    /// Its id; in a file, a rule without one is called by its position.
    pub(crate) rule: String,
    /// Its action.
    pub(crate) action: String,
    /// Whether it matches.
    pub(crate) matches: bool,
    /// Whether it only counts and alerts what it would drop.
    pub(crate) monitored: bool,
    /// The field that decided: what keeps it from matching, or what puts it before the next rule that matches.
    pub(crate) field: Option<String>,
    /// The same in words.
    pub(crate) why: String,
}

/// How many things were removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Removed {
    /// Their number.
    pub(crate) removed: usize,
}

/// All services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Services {
    /// The services.
    pub(crate) services: Vec<ServiceStatus>,
}

/// A packet to try, made up from its tuple; nothing is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Inspect {
    /// Source address.
    pub(crate) ip: String,
    /// Destination address; the first service of the same family where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dst: Option<String>,
    /// Source port, 40000 where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sport: Option<u32>,
    /// Destination port; needed for protocols that have ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) port: Option<u32>,
    /// Protocol by name or number.
    pub(crate) proto: String,
    /// Transport payload; `\r`, `\n`, `\t`, `\\` and `\xNN` stand for the bytes they name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) payload: Option<String>,
}

/// The latest alerts, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Alerts {
    /// EVE records.
    pub(crate) alerts: Vec<serde_json::Value>,
    /// Alerts raised since the start.
    pub(crate) raised: u64,
    /// Of these, lost to a full queue.
    pub(crate) dropped: u64,
}

/// A line of the alert stream that tells a slow reader how many alerts went past it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Missed {
    /// Their number.
    pub(crate) missed: u64,
}

/// Body of every refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// What was wrong.
    pub(crate) error: ErrorBody,
}

/// What was wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ErrorBody {
    /// Kind of error, for programs.
    pub(crate) code: ErrorCode,
    /// Field of the request that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<String>,
    /// What is wrong and how to mend it, for people.
    pub(crate) message: String,
    /// Each mistake of a whole ruleset.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) faults: Vec<Fault>,
}

/// A mistake in a ruleset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fault {
    /// Position of the rule, counted from 0; none when it is about all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rule: Option<usize>,
    /// The field, or fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<String>,
    /// Line of the file on which the rule begins, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<usize>,
    /// What is wrong and how to mend it.
    pub(crate) message: String,
}

impl Fault {
    /// A fault of the rule at position `rule`.
    pub(crate) fn of(rule: usize, field: &str, message: impl Into<String>) -> Self {
        let field = Some(field.to_owned()).filter(|field| !field.is_empty());
        Self { rule: Some(rule), field, line: None, message: message.into() }
    }

    /// A fault of the whole ruleset.
    pub(crate) fn whole(message: impl Into<String>) -> Self {
        Self { rule: None, field: None, line: None, message: message.into() }
    }

    /// Where it is, as in `rule[3].port`; none when it is about all rules.
    pub(crate) fn place(&self) -> Option<String> {
        let rule = self.rule?;
        // Of several fields that contradict each other the first stands for all; the message names them.
        let field = self.field.as_deref().and_then(|fields| fields.split(", ").next());
        Some(field.map_or_else(|| format!("rule[{rule}]"), |field| format!("rule[{rule}].{field}")))
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(place) = self.place() {
            f.write_str(&place)?;
            if let Some(line) = self.line {
                write!(f, " (line {line})")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.message)
    }
}

/// Kinds of errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ErrorCode {
    /// The body is no JSON, or lacks a field, or has one that is not known. Status 400.
    BadRequest,
    /// A value breaks a rule. Status 422.
    Invalid,
    /// No such rule, service, set, entry, module, chain or path. Status 404.
    NotFound,
    /// The path does not know the method. Status 405.
    MethodNotAllowed,
    /// The id, name or address is taken, the set, module or chain is in use, or the rules are at another revision. Status
    /// 409.
    Conflict,
    /// The body is larger than 1 MiB, or 16 MiB for a ruleset, 64 MiB for a feed, 128 MiB for a module. Status 413.
    BodyTooLarge,
    /// The dataplane refused the change; nothing was changed. Status 500.
    Dataplane,
    /// The state file, or a set's, could not be written; the change was taken back. Status 500.
    State,
    /// Something broke inside the daemon; its log tells more. Status 500.
    Internal,
}
