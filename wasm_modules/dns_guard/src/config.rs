//! The module's configuration: `{}` or `{"max_name": N}`.

/// What can be configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Longest name in octets, 1 to 255.
    pub max_name: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_name: 180 }
    }
}

/// Parse the JSON text.
///
/// # Errors
/// What is wrong, for people.
pub fn parse(json: &[u8]) -> Result<Config, &'static str> {
    let text = core::str::from_utf8(json).map_err(|_| "the configuration is not UTF-8")?;
    let inner = text.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let inner = inner.ok_or("an object { } is expected")?.trim();
    if inner.is_empty() {
        return Ok(Config::default());
    }
    let value = inner.strip_prefix("\"max_name\"").ok_or("the only option is max_name")?;
    let value = value.trim_start().strip_prefix(':').ok_or("max_name: a : is expected")?.trim();
    if !value.bytes().all(|b| b.is_ascii_digit()) {
        return Err("max_name: a whole number is expected");
    }
    match value.parse() {
        Ok(max_name @ 1..=255) => Ok(Config { max_name }),
        _ => Err("max_name: must be 1 to 255"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        assert_eq!(parse(b" {} "), Ok(Config::default()));
        assert_eq!(parse(b"{ \"max_name\" : 90 }"), Ok(Config { max_name: 90 }));
        for bad in ["", "[]", "{\"max_name\":0}", "{\"max_name\":256}", "{\"max_name\":\"9\"}", "{\"other\":1}"] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
