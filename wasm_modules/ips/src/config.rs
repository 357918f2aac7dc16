//! The module's configuration.

use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec::Vec,
};

use serde::Deserialize;

use crate::rule::header::Action;

/// What can be configured; `schema.json` says the same.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The rules, as in a file.
    pub rules: String,
    /// Values of variables, `HOME_NET` and the like, on top of the usual ones.
    pub vars: BTreeMap<String, String>,
    /// Lines of a `classification.config`, on top of the usual ones.
    pub classification: String,
    /// A rule that does not run refuses the configuration.
    pub strict: bool,
    /// Which action's rules come first.
    pub action_order: Vec<String>,
    /// Most alerts that one packet raises.
    pub alerts_per_packet: usize,
    /// Most flows that are kept.
    pub flows: usize,
    /// Most counts of thresholds, and most bits of addresses.
    pub thresholds: usize,
    /// MiB that flows may take.
    pub memory_mib: usize,
    /// Bytes of each body that are inspected.
    pub body_limit: usize,
    /// Bytes of a stream that a match may span.
    pub stream_window: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rules: String::new(),
            vars: BTreeMap::new(),
            classification: String::new(),
            strict: false,
            action_order: ["pass", "drop", "reject", "alert"].map(ToString::to_string).to_vec(),
            alerts_per_packet: 15,
            flows: 100_000,
            thresholds: 65_536,
            memory_mib: 128,
            body_limit: 100 << 10,
            stream_window: 4096,
        }
    }
}

impl Config {
    /// From JSON.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let config: Self = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        config.check()?;
        Ok(config)
    }

    /// Check the numbers.
    ///
    /// # Errors
    /// The option and the range that it breaks.
    pub fn check(&self) -> Result<(), String> {
        for (name, value, least, most) in [
            ("alerts_per_packet", self.alerts_per_packet, 1, 256),
            ("flows", self.flows, 1, 10_000_000),
            ("thresholds", self.thresholds, 1, 10_000_000),
            ("memory_mib", self.memory_mib, 1, 1024),
            ("body_limit", self.body_limit, 0, 16 << 20),
            ("stream_window", self.stream_window, 256, 1 << 20),
        ] {
            if !(least..=most).contains(&value) {
                return Err(format!("{name}: {value} is not within {least} to {most}"));
            }
        }
        self.order().map(|_| ())
    }

    /// The actions in their order.
    ///
    /// # Errors
    /// They are not the four, each once.
    pub fn order(&self) -> Result<[Action; 4], String> {
        let mut order = Vec::new();
        for name in &self.action_order {
            let action = match name.as_str() {
                "pass" => Action::Pass,
                "drop" => Action::Drop,
                "reject" => Action::Reject,
                "alert" => Action::Alert,
                _ => return Err(format!("action_order: `{name}` is none of pass, drop, reject, alert")),
            };
            if order.contains(&action) {
                return Err(format!("action_order: `{name}` twice"));
            }
            order.push(action);
        }
        order.try_into().map_err(|_| "action_order: all of pass, drop, reject, alert are needed".to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let config = Config::parse(br#"{"rules": "x", "vars": {"HOME_NET": "any"}, "flows": 10}"#).unwrap();
        assert_eq!((config.flows, config.vars["HOME_NET"].as_str()), (10, "any"));
        for (bad, why) in [
            (r#"{"flows": 0}"#, "flows: 0"),
            (r#"{"other": 1}"#, "other"),
            (r#"{"action_order": ["pass"]}"#, "action_order: all"),
            (r#"{"action_order": ["pass", "pass", "drop", "alert"]}"#, "twice"),
            (r#"{"action_order": ["x"]}"#, "`x`"),
        ] {
            let error = Config::parse(bad.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }
}
