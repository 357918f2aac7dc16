//! The module's configuration: `{"patterns": ["…"], "ignore_case": false, "drop": true}`.

use alloc::{format, string::String, vec::Vec};

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

impl Config {
    /// Check what the types leave open.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn check(&self) -> Result<(), String> {
        if !(1..=MOST).contains(&self.patterns.len()) {
            return Err(format!("patterns: {} of them, 1 to {MOST} are possible", self.patterns.len()));
        }
        for (number, pattern) in self.patterns.iter().enumerate() {
            if !(1..=LONGEST).contains(&pattern.len()) {
                let len = pattern.len();
                return Err(format!("patterns: number {number} has {len} bytes, 1 to {LONGEST} are possible"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use secuxflow_sdk::{
        Verdict,
        harness::{Frame, Harness},
    };

    use crate::PatternGuard;

    #[test]
    fn options() {
        for (bad, why) in [
            ("{}", "missing field `patterns`"),
            (r#"{"patterns": []}"#, "0 of them"),
            (r#"{"patterns": ["a", ""]}"#, "number 1 has 0 bytes"),
            (r#"{"patterns": ["a", 1]}"#, "patterns[1]: invalid type"),
            (r#"{"patterns": ["a"], "other": 1}"#, "unknown field `other`"),
            ("{", "EOF"),
        ] {
            let error = Harness::<PatternGuard>::new(bad).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn packets_are_dropped_or_alerted() {
        let run = |config: &str| {
            let mut harness = Harness::<PatternGuard>::new(config).unwrap();
            let frame = |payload: &[u8]| Frame::udp("10.0.0.1:5000", "10.0.0.2:9").payload(payload).bytes();
            let report = harness.frames(&[frame(b"xA"), frame(b"x\x01B"), frame(b"nothing")]);
            (report.signatures(), report.verdicts)
        };
        let (signatures, verdicts) = run(r#"{"patterns": ["a", "\u0001b"], "ignore_case": true}"#);
        assert_eq!((signatures, verdicts), (vec![0, 1], vec![Verdict::Drop, Verdict::Drop, Verdict::Pass]));
        let (signatures, verdicts) = run(r#"{"patterns": ["a", "\u0001B"], "drop": false}"#);
        assert_eq!((signatures, verdicts), (vec![1], vec![Verdict::Pass; 3]));
    }
}
