//! The module's configuration, as JSON; `schema.json` beside the sources describes it.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use secuxflow_sdk::Action;
use serde::Deserialize;

use crate::finding::Category;

/// What can be configured; everything has a default.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Which checks run: those of this level and below, 1 to 4. Higher ones find more and are wrong more often.
    pub paranoia_level: u8,
    /// Anomaly score from which a request is blocked, 1 to 1000.
    pub inbound_threshold: u32,
    /// Methods that are allowed.
    pub allowed_methods: Vec<String>,
    /// Media types that a request's body may have.
    pub allowed_content_types: Vec<String>,
    /// Extensions of files that are not served, with their dot.
    pub restricted_extensions: Vec<String>,
    /// Headers that a client has no business to send, in small letters.
    pub restricted_headers: Vec<String>,
    /// Most bytes of a request line and headers together, 1024 to 65536. What is longer is blocked.
    pub max_head: usize,
    /// Most bytes of a body that are inspected, 1024 to 1 GiB. The rest passes, with a finding.
    pub max_body: u64,
    /// Most parameters of a request, 1 to 10000. Further ones are not looked at, with a finding.
    pub max_args: u32,
    /// Most bytes of a response's body that are read for what it gives away, 0 to 1 MiB; 0 for none.
    pub response_bytes: usize,
    /// Findings that are not wanted.
    pub exclusions: Vec<Exclusion>,
    /// Ports of servers that are looked at, at most 64; none for all.
    pub ports: Vec<u16>,
    /// What is done when a request reaches the threshold.
    pub on_attack: Action,
    /// What is done about a stream that is not HTTP/1.
    pub on_other: Action,
    /// Most connections of which something is kept, 1 to 1000000; the oldest give way.
    pub flows: usize,
    /// Most bytes that what is kept of connections takes in all, 1 MiB to 512 MiB; the oldest give way.
    pub memory: usize,
}

/// A finding is dropped when everything that is named here holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Exclusion {
    /// Only of paths that begin so.
    pub path: Option<String>,
    /// Only of the parameter, cookie or header of this name.
    pub parameter: Option<String>,
    /// Only of this check.
    pub check: Option<u32>,
    /// Only of checks of this family.
    pub category: Option<Category>,
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

impl Default for Config {
    fn default() -> Self {
        Self {
            paranoia_level: 1,
            inbound_threshold: 5,
            allowed_methods: strings(&["GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"]),
            allowed_content_types: strings(crate::checks::lists::CONTENT_TYPES),
            restricted_extensions: strings(crate::checks::lists::EXTENSIONS),
            restricted_headers: strings(crate::checks::lists::HEADERS),
            max_head: 32_768,
            max_body: 16 << 20,
            max_args: 1000,
            response_bytes: 0,
            exclusions: Vec::new(),
            ports: Vec::new(),
            on_attack: Action::Drop,
            on_other: Action::Drop,
            flows: 100_000,
            memory: 64 << 20,
        }
    }
}

/// Parse the JSON text; an empty one is the default.
///
/// # Errors
/// What is wrong, with the field's name, for people.
pub fn parse(json: &[u8]) -> Result<Config, String> {
    if json.trim_ascii().is_empty() {
        return Ok(Config::default());
    }
    let config: Config = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    check(&config)?;
    Ok(config)
}

/// Check what the types leave open.
///
/// # Errors
/// The field and the rule that it breaks, for people.
pub fn check(config: &Config) -> Result<(), String> {
    within("paranoia_level", u64::from(config.paranoia_level), 1, 4)?;
    within("inbound_threshold", u64::from(config.inbound_threshold), 1, 1000)?;
    within("max_head", config.max_head as u64, 1024, 65_536)?;
    within("max_body", config.max_body, 1024, 1 << 30)?;
    within("max_args", u64::from(config.max_args), 1, 10_000)?;
    within("response_bytes", config.response_bytes as u64, 0, 1 << 20)?;
    within("flows", config.flows as u64, 1, 1_000_000)?;
    within("memory", config.memory as u64, 1 << 20, 512 << 20)?;
    within("ports", config.ports.len() as u64, 0, 64)?;
    if config.exclusions.len() > 1000 {
        return Err(format!("exclusions: {} of them, at most 1000 are possible", config.exclusions.len()));
    }
    for (number, exclusion) in config.exclusions.iter().enumerate() {
        if *exclusion == Exclusion::default() {
            return Err(format!("exclusions: number {number} names nothing, so it would exclude everything"));
        }
    }
    Ok(())
}

fn within(field: &str, value: u64, least: u64, most: u64) -> Result<(), String> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(format!("{field}: {value} is not within {least} and {most}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        assert_eq!(parse(b"").unwrap(), Config::default());
        assert_eq!(parse(b"{}").unwrap(), Config::default());
        let config =
            parse(br#"{"paranoia_level": 2, "exclusions": [{"parameter": "sql", "category": "sqli"}]}"#).unwrap();
        assert_eq!(config.paranoia_level, 2);
        assert_eq!(config.exclusions[0].category, Some(Category::Sqli));
        for (bad, why) in [
            (r#"{"paranoia_level": 5}"#, "paranoia_level: 5 is not within 1 and 4"),
            (r#"{"inbound_threshold": 0}"#, "inbound_threshold"),
            (r#"{"max_head": 1}"#, "max_head"),
            (r#"{"response_bytes": 1048577}"#, "response_bytes: 1048577 is not within 0 and 1048576"),
            (r#"{"exclusions": [{}]}"#, "number 0 names nothing"),
            (r#"{"exclusions": [{"category": "x"}]}"#, "unknown variant `x`"),
            (r#"{"other": 1}"#, "unknown field `other`"),
            ("[", "EOF"),
        ] {
            let error = parse(bad.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }
}
