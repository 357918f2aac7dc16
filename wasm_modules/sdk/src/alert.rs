//! What an alert says: its text, and further fields as JSON. Nothing is allocated.

use core::fmt::{self, Write};

use secuxflow_abi::{MAX_FIELDS, MAX_MESSAGE};
use serde::{Deserialize, Serialize};

/// How grave an alert is, as in Suricata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// 1
    High = 1,
    /// 2
    Medium = 2,
    /// 3
    Low = 3,
    /// 4: informational.
    Info = 4,
}

/// Text of at most `N` bytes in the heap; what is above is cut between two characters.
#[derive(Debug)]
pub(crate) struct Buffer<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

/// An alert's text.
pub(crate) type Text = Buffer<MAX_MESSAGE>;

impl<const N: usize> Buffer<N> {
    const fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    pub(crate) fn of(text: impl fmt::Display) -> Self {
        let mut this = Self::new();
        // It fails when it is full: what fits is there.
        let _ = write!(this, "{text}");
        this
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl<const N: usize> Write for Buffer<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut fits = text.len().min(N - self.len);
        while !text.is_char_boundary(fits) {
            fits -= 1;
        }
        // By volatile loads: the text may be a part of a packet.
        crate::copy(&mut self.bytes[self.len..self.len + fits], &text.as_bytes()[..fits]);
        self.len += fits;
        if fits == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

/// Fields of an alert's event. One that finds no room (all together [`MAX_FIELDS`] bytes) is left out.
#[derive(Debug)]
pub struct Fields<'a> {
    to: &'a mut Buffer<MAX_FIELDS>,
    /// Room that the closing brackets of this object and those around it take.
    reserved: usize,
    first: bool,
}

/// The object that `fill` makes.
pub(crate) fn object(fill: impl FnOnce(&mut Fields<'_>)) -> Buffer<MAX_FIELDS> {
    let mut buffer = Buffer::new();
    let _ = buffer.write_char('{');
    fill(&mut Fields { to: &mut buffer, reserved: 1, first: true });
    let _ = buffer.write_char('}');
    buffer
}

impl Fields<'_> {
    /// A string.
    pub fn string(&mut self, key: &str, value: impl fmt::Display) {
        self.field(key, |to| {
            to.write_char('"')?;
            write!(Escaped(to), "{value}")?;
            to.write_char('"')
        });
    }

    /// Bytes as a string; what is not printable ASCII shows as `.`.
    pub fn bytes(&mut self, key: &str, value: &[u8]) {
        self.field(key, |to| {
            to.write_char('"')?;
            for &byte in value {
                Escaped(to).write_char(if (0x20..0x7f).contains(&byte) { char::from(byte) } else { '.' })?;
            }
            to.write_char('"')
        });
    }

    /// A whole number.
    pub fn number(&mut self, key: &str, value: impl Into<i128>) {
        let value: i128 = value.into();
        self.field(key, |to| write!(to, "{value}"));
    }

    /// A truth value.
    pub fn bool(&mut self, key: &str, value: bool) {
        self.field(key, |to| write!(to, "{value}"));
    }

    /// A list of strings.
    pub fn strings<T: fmt::Display>(&mut self, key: &str, values: impl IntoIterator<Item = T>) {
        self.field(key, |to| {
            to.write_char('[')?;
            for (number, value) in values.into_iter().enumerate() {
                to.write_str(if number == 0 { "\"" } else { ",\"" })?;
                write!(Escaped(to), "{value}")?;
                to.write_char('"')?;
            }
            to.write_char(']')
        });
    }

    /// An object of its own, such as `tls`. Inside it, too, a field that finds no room is left out.
    pub fn object(&mut self, key: &str, fill: impl FnOnce(&mut Fields<'_>)) {
        let reserved = self.reserved + 1;
        self.field(key, |to| {
            to.write_char('{')?;
            if to.len + reserved > MAX_FIELDS {
                return Err(fmt::Error);
            }
            fill(&mut Fields { to, reserved, first: true });
            to.write_char('}')
        });
    }

    /// Write one field, or nothing.
    fn field(&mut self, key: &str, value: impl FnOnce(&mut Buffer<MAX_FIELDS>) -> fmt::Result) {
        let before = self.to.len;
        let written = (|| {
            self.to.write_str(if self.first { "\"" } else { ",\"" })?;
            Escaped(self.to).write_str(key)?;
            self.to.write_str("\":")?;
            value(self.to)
        })();
        if written.is_err() || self.to.len + self.reserved > MAX_FIELDS {
            self.to.len = before;
        } else {
            self.first = false;
        }
    }
}

/// What is written through it is escaped as inside a JSON string.
struct Escaped<'a>(&'a mut Buffer<MAX_FIELDS>);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|char| match char {
            '"' => self.0.write_str("\\\""),
            '\\' => self.0.write_str("\\\\"),
            '\0'..='\x1f' => write!(self.0, "\\u{:04x}", char as u32),
            _ => self.0.write_char(char),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(fill: impl FnOnce(&mut Fields<'_>)) -> serde_json::Value {
        serde_json::from_slice(object(fill).as_bytes()).unwrap()
    }

    #[test]
    fn fields_are_json() {
        let value = json(|fields| {
            fields.string("category", "a \"name\"\\\n\u{e9}");
            fields.object("tls", |tls| {
                tls.bytes("sni", b"exa\xffmple\"");
                tls.number("version", 771);
                tls.bool("ech", true);
                tls.object("empty", |_| {});
            });
            fields.strings("reference", ["a", "b\""]);
        });
        let expected = serde_json::json!({"category": "a \"name\"\\\n\u{e9}", "reference": ["a", "b\""],
            "tls": {"sni": "exa.mple\"", "version": 771, "ech": true, "empty": {}}});
        assert_eq!(value, expected);
    }

    #[test]
    fn what_finds_no_room_is_left_out_and_the_rest_stays_json() {
        for length in 0..600 {
            let long = "x".repeat(length);
            let value = json(|fields| {
                fields.number("before", 1);
                fields.object("inner", |inner| {
                    inner.string("long", &long);
                    inner.object("deep", |deep| deep.bool("yes", true));
                    inner.number("short", 2);
                });
                fields.number("after", 3);
            });
            assert_eq!(value["before"], 1, "{length}");
            let (fits, does_not) = (length <= 400, length >= 500);
            assert!(if fits { value["inner"]["long"] == long } else { true }, "{length}");
            assert!(if does_not { value["inner"]["long"].is_null() } else { true }, "{length}");
            // What is behind a long one may find room where that did not.
            assert!(if fits || does_not { value["after"] == 3 } else { true }, "{length}");
        }
    }

    #[test]
    fn texts_are_cut_between_characters() {
        let text = Text::of("\u{e9}".repeat(100));
        assert_eq!(text.as_bytes().len(), 160);
        let text = Text::of(format!("a{}", "\u{e9}".repeat(100)));
        assert_eq!(text.as_bytes().len(), 159);
    }
}
