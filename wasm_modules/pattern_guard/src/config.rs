//! The module's configuration: `{"patterns": ["…"], "ignore_case": false, "drop": true}`.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use serde::Deserialize;

/// Most patterns.
const MOST: usize = 16_384;
/// Longest pattern in bytes.
const LONGEST: usize = 255;

/// What can be configured.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is searched for, 1 to 16384 strings of 1 to 255 bytes.
    pub patterns: Vec<String>,
    /// Whether letters of ASCII match in either case.
    #[serde(default)]
    pub ignore_case: bool,
    /// Whether a packet with a pattern in it is dropped; else it is only alerted.
    #[serde(default = "yes")]
    pub drop: bool,
}

fn yes() -> bool {
    true
}

/// Parse the JSON text.
///
/// # Errors
/// What is wrong, for people.
pub fn parse(json: &[u8]) -> Result<Config, String> {
    let config: Config = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    if !(1..=MOST).contains(&config.patterns.len()) {
        return Err(format!("patterns: {} of them, 1 to {MOST} are possible", config.patterns.len()));
    }
    for (number, pattern) in config.patterns.iter().enumerate() {
        if !(1..=LONGEST).contains(&pattern.len()) {
            return Err(format!("patterns: number {number} has {} bytes, 1 to {LONGEST} are possible", pattern.len()));
        }
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let config = parse(br#"{"patterns": ["a", "\u0001b"], "ignore_case": true}"#).unwrap();
        assert_eq!(config, Config { patterns: vec!["a".into(), "\u{1}b".into()], ignore_case: true, drop: true });
        for (bad, why) in [
            ("{}", "missing field `patterns`"),
            (r#"{"patterns": []}"#, "0 of them"),
            (r#"{"patterns": ["a", ""]}"#, "number 1 has 0 bytes"),
            (r#"{"patterns": ["a"], "other": 1}"#, "unknown field `other`"),
            ("[", "EOF"),
        ] {
            let error = parse(bad.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }
}
