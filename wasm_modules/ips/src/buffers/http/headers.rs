//! Header fields of a message.

use alloc::vec::Vec;
use memchr::memchr;

use crate::buffers::names::Buffer;

/// Which buffers of all fields together are made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shown {
    normalised: bool,
    raw: bool,
    names: bool,
    start: bool,
}

impl Shown {
    /// The bytes as sent are.
    pub fn has_raw(self) -> bool {
        self.raw
    }

    /// `buffer` is looked into, if it is one of these.
    pub fn add(&mut self, buffer: Buffer) {
        match buffer {
            Buffer::HttpHeader => self.normalised = true,
            Buffer::HttpHeaderRaw => self.raw = true,
            Buffer::HttpHeaderNames => self.names = true,
            Buffer::HttpStart => self.start = true,
            _ => {}
        }
    }
}

/// A field: `Name: value`, as `http.request_header` shows it, is a part of the message's text.
#[derive(Debug, Default)]
struct Header {
    /// What tells its name from most others; see [`tag`].
    tag: u32,
    /// Where it begins in the text.
    start: usize,
    /// Length of the name.
    name: usize,
    /// Where it ends in the text.
    end: usize,
    /// In its place, once another of its name was joined to it.
    joined: Vec<u8>,
}

/// Between name and value.
const COLON: &[u8] = b": ";
/// Bytes of text that a message gets room for, and fields.
const ROOM: (usize, usize) = (512, 12);

/// The fields of a message; those of the same name are joined by `, `.
#[derive(Debug, Default)]
pub struct Headers {
    fields: Vec<Header>,
    /// What the fields are parts of.
    text: Vec<u8>,
    /// A bit for each tag that a field has, or some have.
    seen: u64,
    raw: Vec<u8>,
    normalised: Vec<u8>,
    names: Vec<u8>,
    start: Vec<u8>,
    complete: bool,
    /// A NUL byte is in what was joined, or in the text, once that is complete.
    odd: bool,
    /// Bytes that the fields take, about.
    size: usize,
}

fn is_cookie(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"cookie") || name.eq_ignore_ascii_case(b"set-cookie")
}

fn without_nul(text: &[u8]) -> impl Iterator<Item = u8> + '_ {
    text.iter().copied().filter(|byte| *byte != 0)
}

/// Length, last and first byte of a name, but for their case: names that differ in none of that are seldom different.
fn tag(name: &[u8]) -> u32 {
    let letter = |byte: Option<&u8>| u32::from(byte.copied().unwrap_or(0) | 0x20);
    (name.len() as u32) << 16 | letter(name.last()) << 8 | letter(name.first())
}

fn bit_of(tag: u32) -> u64 {
    1 << (tag.wrapping_mul(0x9e37_79b1) >> 26)
}

/// Most fields of a message; further ones are left out.
const MOST: usize = 256;

impl Headers {
    /// Add a field as sent. One of a known name is joined to the first.
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        self.size += name.len() + value.len() + size_of::<Header>();
        let known = self.find(name);
        let Self { fields, text, .. } = self;
        if let Some(at) = known {
            let Header { start, end, ref mut joined, .. } = fields[at];
            if joined.is_empty() {
                joined.extend_from_slice(&text[start..end]);
            }
            joined.extend_from_slice(b", ");
            joined.extend_from_slice(value);
            self.odd |= memchr(0, value).is_some();
        } else if fields.len() < MOST {
            if fields.is_empty() {
                text.reserve(ROOM.0);
                fields.reserve(ROOM.1);
            }
            self.seen |= bit_of(tag(name));
            let start = text.len();
            text.extend_from_slice(name);
            text.extend_from_slice(COLON);
            text.extend_from_slice(value);
            fields.push(Header { tag: tag(name), start, name: name.len(), end: text.len(), joined: Vec::new() });
        }
    }

    /// Number of the field `name`, in whatever case.
    fn find(&self, name: &[u8]) -> Option<usize> {
        let wanted = tag(name);
        if self.seen & bit_of(wanted) == 0 {
            return None;
        }
        let is = |field: &Header| field.tag == wanted && self.name_of(field).eq_ignore_ascii_case(name);
        self.fields.iter().position(is)
    }

    fn line_of<'a>(&'a self, field: &'a Header) -> &'a [u8] {
        if field.joined.is_empty() { &self.text[field.start..field.end] } else { &field.joined }
    }

    fn name_of(&self, field: &Header) -> &[u8] {
        &self.text[field.start..][..field.name]
    }

    /// The value, blanks around it removed.
    fn value_of<'a>(&'a self, field: &'a Header) -> &'a [u8] {
        &self.line_of(field)[field.name + COLON.len()..]
    }

    /// Add bytes as sent, where they are shown.
    pub fn add_raw(&mut self, raw: &[u8]) {
        self.raw.extend_from_slice(raw);
    }

    /// The headers have ended after `line`: make what is shown of them as a whole.
    pub fn finish(&mut self, line: &[u8], shown: Shown) {
        self.complete = true;
        self.odd |= memchr(0, &self.text).is_some();
        if shown.names {
            let names = self.fields.iter().flat_map(|field| [self.name_of(field), b"\r\n"]);
            self.names = [&b"\r\n"[..]].into_iter().chain(names).chain([&b"\r\n"[..]]).flatten().copied().collect();
        }
        if shown.start {
            let lines = self.fields.iter().flat_map(|field| [self.line_of(field), b"\r\n"]);
            self.start = [line, b"\r\n"].into_iter().chain(lines).chain([&b"\r\n"[..]]).flatten().copied().collect();
        }
        if shown.normalised {
            let mut normalised = Vec::with_capacity(self.size);
            for field in self.fields.iter().filter(|field| !is_cookie(self.name_of(field))) {
                normalised.extend_from_slice(self.line_of(field));
                normalised.extend_from_slice(b"\r\n");
            }
            self.normalised = normalised;
        }
    }

    fn some(&self, bytes: &[u8]) -> bool {
        self.complete && !bytes.is_empty() && !self.fields.is_empty()
    }

    /// `Name: value` and line end for each but cookies.
    pub fn normalised(&self) -> Option<&[u8]> {
        self.some(&self.normalised).then_some(&self.normalised[..])
    }

    /// As sent.
    pub fn raw(&self) -> Option<&[u8]> {
        self.some(&self.raw).then_some(&self.raw[..])
    }

    /// Names between line ends.
    pub fn names(&self) -> Option<&[u8]> {
        self.some(&self.names).then_some(&self.names[..])
    }

    /// First line and fields.
    pub fn start(&self) -> Option<&[u8]> {
        self.complete.then_some(&self.start[..])
    }

    /// The value of the field `name`, which is in lower case.
    pub fn value(&self, name: &[u8]) -> Option<&[u8]> {
        self.find(name).map(|at| self.value_of(&self.fields[at]))
    }

    /// The value of the field `name` as a decision about the body needs it: NUL bytes, which some clients overlook, are left
    /// out of names and values.
    pub fn lenient(&self, name: &[u8]) -> Option<Vec<u8>> {
        let is_named = |field: &&Header| {
            without_nul(self.name_of(field)).map(|byte| byte.to_ascii_lowercase()).eq(name.iter().copied())
        };
        match self.odd {
            false => self.value(name).map(<[u8]>::to_vec),
            true => self.fields.iter().find(is_named).map(|field| without_nul(self.value_of(field)).collect()),
        }
    }

    /// Field number `nth`, as `Name: value`.
    pub fn nth(&self, nth: usize) -> Option<&[u8]> {
        self.fields.get(nth).map(|field| self.line_of(field))
    }

    /// Bytes that they take.
    pub fn memory(&self) -> usize {
        let shown = [&self.raw, &self.normalised, &self.names, &self.start];
        self.size.max(self.text.capacity()) + shown.into_iter().map(Vec::capacity).sum::<usize>()
    }
}
