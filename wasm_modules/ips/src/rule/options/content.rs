//! `content` and its modifiers.

use alloc::vec::Vec;

use crate::rule::{
    error::{OptionResult, invalid},
    model::Value,
};

/// Longest content in bytes.
const LONGEST: usize = 255;

/// A byte string to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The bytes; lower case when `nocase`.
    pub bytes: Vec<u8>,
    /// `nocase`
    pub nocase: bool,
    /// `!`
    pub negated: bool,
    /// `offset`, bytes from the buffer's start.
    pub offset: Option<Value<u32>>,
    /// `depth`, bytes from `offset`.
    pub depth: Option<Value<u32>>,
    /// `distance`, bytes from the last match's end.
    pub distance: Option<Value<i32>>,
    /// `within`, bytes from the last match's end, or from `distance`.
    pub within: Option<Value<i32>>,
    /// `startswith`
    pub starts: bool,
    /// `endswith`
    pub ends: bool,
    /// `fast_pattern`, which part of it: offset and length.
    pub fast: Option<(usize, usize)>,
    /// A later test counts from its end, so that other places of it may be tried.
    pub retry: bool,
}

impl Content {
    /// Whether it counts from the last match.
    #[must_use]
    pub fn is_relative(&self) -> bool {
        self.distance.is_some() || self.within.is_some()
    }
}

/// Parse `!"abc|00 01|"`.
pub fn parse(value: &str) -> OptionResult<Content> {
    let (negated, text) = match value.trim().strip_prefix('!') {
        Some(rest) => (true, rest.trim_start()),
        None => (false, value.trim()),
    };
    let Some(text) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
        return invalid!("the value is not in double quotes");
    };
    let bytes = unescape(text)?;
    if bytes.is_empty() {
        return invalid!("empty content");
    }
    if bytes.len() > LONGEST {
        return invalid!("content of {} bytes, {LONGEST} are possible", bytes.len());
    }
    Ok(Content {
        bytes,
        negated,
        nocase: false,
        offset: None,
        depth: None,
        distance: None,
        within: None,
        starts: false,
        ends: false,
        fast: None,
        retry: false,
    })
}

/// The bytes of a quoted text with `|hex|` and backslashes.
pub fn unescape(text: &str) -> OptionResult<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut chars = text.bytes();
    while let Some(byte) = chars.next() {
        match byte {
            b'|' => {
                let mut digit = None;
                loop {
                    match chars.next() {
                        Some(b'|') if digit.is_none() => break,
                        Some(b'|') | None => return invalid!("incomplete hexadecimal in `{text}`"),
                        Some(b' ') => {}
                        Some(byte) => match ((byte as char).to_digit(16), digit.take()) {
                            (None, _) => return invalid!("`{}` is no hexadecimal digit", byte as char),
                            (Some(low), Some(high)) => bytes.push(u8::try_from(high * 16 + low).unwrap_or(0)),
                            (high, None) => digit = high,
                        },
                    }
                }
            }
            b'\\' => match chars.next() {
                Some(byte @ (b'\\' | b'"' | b';' | b':' | b'|')) => bytes.push(byte),
                Some(byte) => return invalid!("`\\{}` escapes nothing", byte as char),
                None => return invalid!("a backslash at the end"),
            },
            b'"' => return invalid!("a double quote that is not escaped"),
            byte => bytes.push(byte),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents() {
        assert_eq!(parse(r#""a|00 0A|b\;\"c""#).unwrap().bytes, b"a\0\nb;\"c");
        assert_eq!(parse(r#""|41 42||43|""#).unwrap().bytes, b"ABC");
        let negated = parse(r#"! "x""#).unwrap();
        assert!(negated.negated && negated.bytes == b"x");
        for bad in [r#""a|0"#, r#""a|0|""#, r#""a|0 ""#, r#""a|zz|""#, r#""""#, "abc", r#""a\q""#, r#""a"b""#] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
