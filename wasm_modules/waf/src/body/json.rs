//! JSON: keys and scalars as parameters, named by their path (`json.user.name`).

use alloc::vec::Vec;

use super::{Collected, NAME, PIECE, arg, plain::Plain};
use crate::{
    checks::protocol as rules,
    finding::{Part, Place},
    inspector::Inspector,
    normalise::hex,
};

/// Deepest nesting.
const DEEPEST: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum At {
    /// Before a value.
    #[default]
    Value,
    /// Before a key or the end of the object.
    Key,
    Colon,
    /// After a value.
    After,
    String,
    Escape,
    /// `\u` with so many digits seen.
    Unicode(u8),
    /// A number or a word.
    Scalar,
}

/// JSON that comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct Json {
    at: At,
    /// Whether the string is a key.
    key: bool,
    /// For each open object or array: its path's length, and whether it is an object.
    open: Vec<(usize, bool)>,
    path: Vec<u8>,
    value: Collected,
    unit: u32,
    surrogate: u32,
    /// What follows the first error, as text.
    broken: Option<Plain>,
}

impl Json {
    pub(super) fn push(&mut self, bytes: &[u8], to: &mut Inspector<'_>) {
        let mut rest = bytes;
        while self.broken.is_none() {
            if self.at == At::String {
                // Most bytes are the insides of strings.
                let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\')).unwrap_or(rest.len());
                self.collect(&rest[..end], to);
                rest = &rest[end..];
            }
            let Some((&byte, more)) = rest.split_first() else { return };
            if self.step(byte, to) {
                rest = more;
            } else {
                to.report(&rules::MALFORMED_JSON, Place { part: Part::Body, name: b"json" }, &[byte]);
                self.finish_value(to);
                self.broken = Some(Plain::default());
            }
        }
        if let Some(plain) = &mut self.broken {
            plain.push(rest, to);
        }
    }

    /// One byte. False when it is none that JSON has there.
    fn step(&mut self, byte: u8, to: &mut Inspector<'_>) -> bool {
        match (self.at, byte) {
            (At::String, b'"') => {
                if self.key {
                    self.key_done(to);
                } else {
                    self.finish_value(to);
                    self.at = At::After;
                }
            }
            (At::String, b'\\') => self.at = At::Escape,
            (At::Escape, b'u') => (self.at, self.unit) = (At::Unicode(0), 0),
            (At::Escape, _) => {
                let plain = match byte {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    b'b' => 8,
                    b'f' => 12,
                    _ => byte,
                };
                self.collect(&[plain], to);
                self.at = At::String;
            }
            (At::Unicode(digits), _) => return self.unicode(digits, byte, to),
            (At::Scalar, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'+' | b'-') => self.collect(&[byte], to),
            (At::Scalar, _) => {
                self.finish_value(to);
                self.at = At::After;
                return self.step(byte, to);
            }
            (_, b' ' | b'\t' | b'\r' | b'\n') => {}
            (At::Value | At::Key, b'"') => (self.key, self.at) = (self.at == At::Key, At::String),
            (At::Value, b'{' | b'[') => return self.enter(byte == b'{'),
            (At::Key | At::After | At::Value, b'}' | b']') => return self.leave(byte == b'}'),
            (At::Value, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-') => {
                self.collect(&[byte], to);
                self.at = At::Scalar;
            }
            (At::Colon, b':') => self.at = At::Value,
            (At::After, b',') => match self.open.last() {
                Some(&(length, object)) => {
                    if object {
                        self.path.truncate(length);
                    }
                    self.at = if object { At::Key } else { At::Value };
                }
                None => return false,
            },
            // Values one after the other, as ndjson has them.
            (At::After, b'{' | b'[') if self.open.is_empty() => return self.enter(byte == b'{'),
            _ => return false,
        }
        true
    }

    fn enter(&mut self, object: bool) -> bool {
        self.open.push((self.path.len(), object));
        self.at = if object { At::Key } else { At::Value };
        self.open.len() <= DEEPEST
    }

    fn leave(&mut self, object: bool) -> bool {
        let Some((length, was_object)) = self.open.pop() else { return false };
        self.path.truncate(length);
        self.at = At::After;
        was_object == object
    }

    fn unicode(&mut self, digits: u8, byte: u8, to: &mut Inspector<'_>) -> bool {
        let Some(digit) = hex(byte) else { return false };
        self.unit = self.unit << 4 | u32::from(digit);
        if digits < 3 {
            self.at = At::Unicode(digits + 1);
            return true;
        }
        self.at = At::String;
        match self.unit {
            high @ 0xd800..0xdc00 => {
                self.surrogate = high;
                return true;
            }
            low @ 0xdc00..0xe000 if self.surrogate != 0 => {
                self.unit = 0x1_0000 + ((self.surrogate - 0xd800) << 10) + (low - 0xdc00);
            }
            _ => {}
        }
        self.surrogate = 0;
        let character = char::from_u32(self.unit).unwrap_or('\u{fffd}');
        let mut buffer = [0; 4];
        self.collect(character.encode_utf8(&mut buffer).as_bytes(), to);
        true
    }

    fn collect(&mut self, bytes: &[u8], to: &mut Inspector<'_>) {
        let path = &self.path;
        self.value.extend(bytes, |piece| named(path, piece, to));
    }

    fn key_done(&mut self, to: &mut Inspector<'_>) {
        let length = self.open.last().map_or(0, |(length, _)| *length);
        let path = &mut self.path;
        path.truncate(length);
        self.value.finish(|key| {
            to.value(Place { part: Part::ArgName, name: b"json" }, &key[..key.len().min(PIECE)]);
            rules::check_value(Part::ArgName, key, key, to);
            path.push(b'.');
            path.extend_from_slice(&key[..key.len().min(NAME.saturating_sub(path.len()))]);
        });
        self.at = At::Colon;
    }

    fn finish_value(&mut self, to: &mut Inspector<'_>) {
        let path = &self.path;
        self.value.finish(|piece| named(path, piece, to));
    }

    pub(super) fn end(&mut self, to: &mut Inspector<'_>) {
        if let Some(plain) = &mut self.broken {
            plain.end(to);
            return;
        }
        if self.at == At::Scalar {
            self.finish_value(to);
            self.at = At::After;
        }
        if !self.open.is_empty() || !matches!(self.at, At::Value | At::After) {
            to.report(&rules::MALFORMED_JSON, Place { part: Part::Body, name: b"json" }, b"");
            self.finish_value(to);
        }
    }
}

fn named(path: &[u8], value: &[u8], to: &mut Inspector<'_>) {
    let name = [b"json", path].concat();
    // The name's parts were inspected as keys.
    to.verdict.args += 1;
    if to.verdict.args > to.engine.config.max_args {
        arg(&name, value, to);
        return;
    }
    rules::check_value(Part::Arg, &name, value, to);
    to.value(Place { part: Part::Arg, name: &name }, value);
}
