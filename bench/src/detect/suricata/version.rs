//! Versions of Suricata that a test is for.

use serde_json::Value;

/// The version whose behaviour is expected: what the tests call the coming one.
const OURS: [u64; 3] = [9, 0, 0];

/// `8`, `8.0`, `8.0.5-rc1`: as many numbers as are given.
fn parse(value: &Value) -> Option<Vec<u64>> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let text = text.split(['-', ' ']).next().unwrap_or_default();
    text.split('.').take(3).map(|part| part.parse().ok()).collect()
}

/// Why a test or check that requires `requires` is not for us; `None` when it is.
pub(super) fn refused(requires: &Value) -> Option<String> {
    let number = |name: &str| requires.get(name).and_then(parse);
    if number("min-version").is_some_and(|least| OURS[..] < least[..]) {
        return Some("it is for a later version of Suricata".to_owned());
    }
    // 8 is every 8.x.y, and what is below 9 is not 9.0.
    let below = number("lt-version").is_some_and(|mut limit| {
        limit.resize(3, 0);
        OURS[..] >= limit[..]
    });
    if below || number("version").is_some_and(|only| !OURS.starts_with(&only)) {
        return Some("it is for an earlier version of Suricata".to_owned());
    }
    for name in ["features", "script", "lambda", "arch", "env"] {
        if let Some(needed) = requires.get(name) {
            return Some(format!("it requires {name}: {needed}"));
        }
    }
    match requires.get("os").and_then(Value::as_str) {
        Some(os) if os != "linux" => Some(format!("it requires the system {os}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_for_us() {
        for requires in [
            json!({}),
            json!({"min-version": 8}),
            json!({"min-version": "8.0.7"}),
            json!({"min-version": 9.0}),
            json!({"version": 9}),
            json!({"lt-version": 10}),
            json!({"os": "linux", "files": ["src/detect-x.c"]}),
        ] {
            assert_eq!(refused(&requires), None, "{requires}");
        }
        for requires in [
            json!({"min-version": "9.0.1"}),
            json!({"min-version": 10}),
            json!({"lt-version": 9}),
            json!({"lt-version": "8.0.7"}),
            json!({"version": "8"}),
            json!({"features": ["HAVE_LUA"]}),
            json!({"os": "windows"}),
        ] {
            assert!(refused(&requires).is_some(), "{requires}");
        }
    }
}
