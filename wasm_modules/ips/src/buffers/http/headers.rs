//! Header fields of a message.

use alloc::vec::Vec;

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

/// A field.
#[derive(Debug, Default)]
pub struct Header {
    /// `Name: value`, as `http.request_header` shows it.
    line: Vec<u8>,
    /// Length of the name in it.
    name: usize,
    /// Where the value begins in it.
    value: usize,
}

impl Header {
    fn new(name: &[u8], value: &[u8]) -> Self {
        let mut line = Vec::with_capacity(name.len() + value.len() + 2);
        line.extend_from_slice(name);
        line.extend_from_slice(b": ");
        line.extend_from_slice(value);
        Self { line, name: name.len(), value: name.len() + 2 }
    }

    /// `Name: value`
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// The name as sent.
    pub fn name(&self) -> &[u8] {
        &self.line[..self.name]
    }

    /// The value, blanks around it removed.
    pub fn value(&self) -> &[u8] {
        &self.line[self.value..]
    }
}

/// The fields of a message; those of the same name are joined by `, `.
#[derive(Debug, Default)]
pub struct Headers {
    fields: Vec<Header>,
    raw: Vec<u8>,
    normalised: Vec<u8>,
    names: Vec<u8>,
    start: Vec<u8>,
    complete: bool,
    /// Bytes that the fields take, about.
    size: usize,
}

fn is_cookie(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"cookie") || name.eq_ignore_ascii_case(b"set-cookie")
}

fn without_nul(text: &[u8]) -> impl Iterator<Item = u8> + '_ {
    text.iter().copied().filter(|byte| *byte != 0)
}

/// Most fields of a message; further ones are left out.
const MOST: usize = 256;

impl Headers {
    /// Add a field as sent. One of a known name is joined to the first.
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        self.size += name.len() + value.len() + size_of::<Header>();
        match self.fields.iter().position(|field| field.name().eq_ignore_ascii_case(name)) {
            Some(at) => {
                let line = &mut self.fields[at].line;
                line.extend_from_slice(b", ");
                line.extend_from_slice(value);
            }
            None if self.fields.len() < MOST => self.fields.push(Header::new(name, value)),
            None => {}
        }
    }

    /// Add bytes as sent.
    pub fn add_raw(&mut self, raw: &[u8], shown: Shown) {
        if shown.raw {
            self.raw.extend_from_slice(raw);
        }
    }

    /// The headers have ended after `line`: make what is shown of them as a whole.
    pub fn finish(&mut self, line: &[u8], shown: Shown) {
        self.complete = true;
        if shown.names {
            let names = self.fields.iter().flat_map(|field| [field.name(), b"\r\n"]);
            self.names = [&b"\r\n"[..]].into_iter().chain(names).chain([&b"\r\n"[..]]).flatten().copied().collect();
        }
        if shown.start {
            let lines = self.fields.iter().flat_map(|field| [field.line(), b"\r\n"]);
            self.start = [line, b"\r\n"].into_iter().chain(lines).chain([&b"\r\n"[..]]).flatten().copied().collect();
        }
        if shown.normalised {
            self.normalised.reserve(self.size);
            for field in self.fields.iter().filter(|field| !is_cookie(field.name())) {
                self.normalised.extend_from_slice(field.line());
                self.normalised.extend_from_slice(b"\r\n");
            }
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
        self.fields.iter().find(|field| field.name().eq_ignore_ascii_case(name)).map(Header::value)
    }

    /// The value of the field `name` as a decision about the body needs it: NUL bytes, which some clients overlook, are left
    /// out of names and values.
    pub fn lenient(&self, name: &[u8]) -> Option<Vec<u8>> {
        let is_named =
            |field: &&Header| without_nul(field.name()).map(|byte| byte.to_ascii_lowercase()).eq(name.iter().copied());
        self.fields.iter().find(is_named).map(|field| without_nul(field.value()).collect())
    }

    /// Field number `nth`.
    pub fn nth(&self, nth: usize) -> Option<&Header> {
        self.fields.get(nth)
    }

    /// Bytes that they take.
    pub fn memory(&self) -> usize {
        let shown = [&self.raw, &self.normalised, &self.names, &self.start];
        self.size + shown.into_iter().map(Vec::capacity).sum::<usize>()
    }
}
