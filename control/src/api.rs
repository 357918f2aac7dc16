//! The control API, version 1: every request and response, in one place. The command line mirrors it word for word.
//!
//! | method and path | request | response |
//! |---|---|---|
//! | `GET /v1/status` | | [`Status`] |
//! | `GET /v1/rules` | | [`Rules`] |
//! | `POST /v1/rules` | [`AddRule`] | [`RuleAdded`], 201 |
//! | `DELETE /v1/rules` | | [`Removed`] |
//! | `DELETE /v1/rules/{id}` | | [`Removed`] |
//! | `GET /v1/services` | | [`Services`] |
//! | `POST /v1/services` | [`secuxflow::service::ServiceSpec`] | [`Service`](secuxflow::service::Service), 201 |
//! | `DELETE /v1/services/{name}` | | [`Removed`] |
//! | `GET /v1/modules` | | [`Modules`] |
//! | `POST /v1/inspect` | [`Inspect`] | [`secuxflow::plane::ProbeReport`] |
//! | `GET /v1/alerts?limit=N` | | [`Alerts`] |
//! | `GET /v1/alerts/stream` | | one JSON object a line, as they come: EVE alerts, and [`Missed`] |
//!
//! Whatever is refused is answered with [`Failure`] and a status of 400 or above.

use secuxflow::{
    plane::{Count, FailPolicy, ModuleStatus, PlaneStatus},
    rules::RuleId,
    service::ServiceStatus,
};
use serde::{Deserialize, Serialize, de};

use secuxflow::rules::RuleSpec;

/// Largest request body in bytes.
pub(crate) const MAX_BODY: usize = 1 << 20;

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
    /// What it matched since it was added or the daemon started.
    #[serde(flatten)]
    pub(crate) count: Count,
}

/// All rules, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rules {
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

// By hand, because `flatten` would let unknown fields through.
impl<'de> Deserialize<'de> for AddRule {
    fn deserialize<D: de::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut fields = serde_json::Map::deserialize(from)?;
        let id = fields.remove("id").filter(|id| !id.is_null());
        let id = id.map(serde_json::from_value).transpose().map_err(de::Error::custom)?;
        let rule = serde_json::from_value(fields.into()).map_err(de::Error::custom)?;
        Ok(Self { id, rule })
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

/// All modules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Modules {
    /// The modules.
    pub(crate) modules: Vec<ModuleStatus>,
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
}

/// Kinds of errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ErrorCode {
    /// The body is no JSON, or lacks a field, or has one that is not known. Status 400.
    BadRequest,
    /// A value breaks a rule. Status 422.
    Invalid,
    /// No such rule, service or path. Status 404.
    NotFound,
    /// The path does not know the method. Status 405.
    MethodNotAllowed,
    /// The id, name or address is taken. Status 409.
    Conflict,
    /// The body is larger than 1 MiB. Status 413.
    BodyTooLarge,
    /// The dataplane refused the change; nothing was changed. Status 500.
    Dataplane,
    /// The state file could not be written; the change was taken back. Status 500.
    State,
    /// Something broke inside the daemon; its log tells more. Status 500.
    Internal,
}
