//! Ordinary requests of our own making.

use super::{Case, Expected, payloads};

/// Values that people and browsers send, one a line.
const VALUES: &str = include_str!("../../../wasm_modules/waf/tests/data/ordinary.txt");

/// Each as a parameter's value.
pub(super) fn cases() -> Vec<Case> {
    VALUES
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| Case {
            class: "ordinary".to_owned(),
            name: line.to_owned(),
            expected: Expected::Passed,
            request: payloads::get(line.as_bytes()),
        })
        .collect()
}
