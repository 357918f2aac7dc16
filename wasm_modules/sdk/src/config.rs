//! Configurations: JSON to a type, with errors that name the field.

use alloc::{
    format,
    string::{String, ToString},
};
use core::{fmt, ops::RangeInclusive};

use serde::de::DeserializeOwned;

/// Parse a configuration.
///
/// # Errors
/// What is wrong, for people: the path of the field, and the broken rule.
pub fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, String> {
    // For serde a list of the fields' values would do, too.
    if json.trim_ascii_start().first() != Some(&b'{') {
        return Err("an object { } is expected".into());
    }
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        // The path of what concerns the whole is a dot. What is no JSON at all has a place, but no field.
        if path == "." || !error.is_data() { error.to_string() } else { format!("{path}: {error}") }
    })?;
    reader.end().map_err(|error| error.to_string())?;
    Ok(value)
}

/// Whether an option is within its bounds.
///
/// # Errors
/// A text that names the option, its value, and the bounds.
pub fn check_range<T: PartialOrd + fmt::Display>(
    name: &str,
    value: &T,
    range: &RangeInclusive<T>,
) -> Result<(), String> {
    if range.contains(value) {
        return Ok(());
    }
    Err(format!("{name}: {value}, it must be {} to {}", range.start(), range.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Config {
        ports: alloc::vec::Vec<u16>,
    }

    #[test]
    fn errors_name_the_field() {
        assert_eq!(parse::<Config>(br#" {"ports": [1, 2]} "#).unwrap().ports, [1, 2]);
        for (json, why) in [
            (r#"{"ports": [1, "2"]}"#, "ports[1]: invalid type: string \"2\", expected u16"),
            (r#"{"ports": [], "port": 1}"#, "port: unknown field `port`"),
            ("{}", "missing field `ports`"),
            ("{", "EOF"),
            ("[[1]]", "an object { } is expected"),
            ("", "an object { } is expected"),
            (r#"{"ports": []} x"#, "trailing characters"),
        ] {
            let error = parse::<Config>(json.as_bytes()).unwrap_err();
            assert!(error.starts_with(why), "{json}: {error}");
        }
        assert_eq!(check_range("burst", &0, &(1..=9)), Err("burst: 0, it must be 1 to 9".into()));
        assert_eq!(check_range("burst", &9, &(1..=9)), Ok(()));
    }
}
