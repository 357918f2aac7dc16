//! `multipart/form-data`: fields as parameters, names of files; what is in files is not looked at.

use alloc::{boxed::Box, vec::Vec};

use super::{Collected, NAME, arg, delimiter::Delimiter};
use crate::{
    checks::protocol as rules,
    finding::{Part, Place},
    inspector::Inspector,
};

/// Longest line of a part's headers, and longest delimiter with the white space that may pad it.
const LINE: usize = 4_096;
/// Longest boundary, as RFC 2046 has it.
const BOUNDARY: usize = 70;
const PLACE: Place<'static> = Place { part: Part::Body, name: b"multipart" };

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before the first boundary.
    Preamble,
    Headers,
    Content,
    /// After the last boundary.
    Epilogue,
}

/// A multipart body that comes in pieces.
#[derive(Debug)]
pub(crate) struct Multipart {
    delimiter: Box<Delimiter>,
    at: At,
    /// The line at hand: of headers, or of content as long as it may be a delimiter.
    line: Vec<u8>,
    /// Whether the rest of the line is known to be no delimiter.
    plain: bool,
    name: Vec<u8>,
    file: bool,
    /// Whether anything came.
    seen: bool,
    value: Collected,
    /// The end of a line, which belongs to the delimiter when one follows.
    held: Vec<u8>,
}

impl Multipart {
    /// With the boundary that the header Content-Type names; `None` where it names none that is valid.
    pub(super) fn new(content_type: &[u8]) -> Option<Self> {
        let boundary = parameter(content_type, b"boundary")?;
        if boundary.is_empty() || boundary.len() > BOUNDARY {
            return None;
        }
        Some(Self {
            delimiter: Box::new(Delimiter::new(&boundary)),
            at: At::Preamble,
            line: Vec::new(),
            plain: false,
            name: Vec::new(),
            file: false,
            seen: false,
            value: Collected::default(),
            held: Vec::new(),
        })
    }

    pub(super) fn push(&mut self, mut bytes: &[u8], to: &mut Inspector<'_>) {
        self.seen |= !bytes.is_empty();
        while !bytes.is_empty() && self.at != At::Epilogue {
            let run = self.run(bytes);
            if run > 0 {
                self.plain = bytes[run - 1] != b'\n';
                self.content(&bytes[..run], to);
                bytes = &bytes[run..];
                continue;
            }
            let end = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
            let (piece, rest) = bytes.split_at(end);
            bytes = rest;
            self.piece(piece, to);
            if piece.ends_with(b"\n") {
                self.line_done(to);
            }
        }
    }

    /// How many of the first bytes are in lines of content, which may be cut at their end, and in none that may be a delimiter.
    fn run(&self, bytes: &[u8]) -> usize {
        if self.at == At::Headers
            || !self.plain && (!self.line.is_empty() || begins_alike(bytes, self.delimiter.bytes()))
        {
            return 0;
        }
        if let Some(at) = self.delimiter.find(bytes) {
            return at;
        }
        let tail = bytes.len().saturating_sub(self.delimiter.bytes().len());
        match memchr::memrchr(b'\n', &bytes[tail..]) {
            Some(at) if begins_alike(&bytes[tail + at + 1..], self.delimiter.bytes()) => tail + at + 1,
            _ => bytes.len(),
        }
    }

    /// Bytes of one line.
    fn piece(&mut self, piece: &[u8], to: &mut Inspector<'_>) {
        if self.plain {
            self.content(piece, to);
            return;
        }
        let room = LINE.saturating_sub(self.line.len());
        self.line.extend_from_slice(&piece[..piece.len().min(room)]);
        if self.at == At::Headers {
            return;
        }
        if !may_delimit(&self.line, self.delimiter.bytes()) {
            self.plain = true;
            let line = core::mem::take(&mut self.line);
            self.content(&line, to);
            self.content(&piece[piece.len().min(room)..], to);
        } else if self.line.len() == LINE {
            // Parsers may differ on what so much white space pads.
            to.report(&rules::PART_HEADER, PLACE, self.delimiter.bytes());
        }
    }

    fn line_done(&mut self, to: &mut Inspector<'_>) {
        let line = core::mem::take(&mut self.line);
        if core::mem::take(&mut self.plain) {
            return;
        }
        let text = line.trim_ascii_end();
        if text.starts_with(self.delimiter.bytes())
            && (self.at != At::Headers || text.len() <= self.delimiter.bytes().len() + 2)
        {
            match &text[self.delimiter.bytes().len()..] {
                b"" => self.next(At::Headers, to),
                b"--" => self.next(At::Epilogue, to),
                _ => self.content(&line, to),
            }
        } else if self.at == At::Headers {
            if text.is_empty() {
                self.at = At::Content;
            } else {
                self.header(text, to);
            }
        } else {
            self.content(&line, to);
        }
    }

    fn next(&mut self, at: At, to: &mut Inspector<'_>) {
        self.field(to);
        self.held.clear();
        self.name.clear();
        self.file = false;
        self.at = at;
    }

    fn content(&mut self, bytes: &[u8], to: &mut Inspector<'_>) {
        if self.at != At::Content || self.file || bytes.is_empty() {
            return;
        }
        let name = &self.name;
        let keep = match bytes {
            [.., b'\r', b'\n'] => 2,
            [.., b'\n' | b'\r'] => 1,
            _ => 0,
        };
        let line_end_goes_on = bytes == b"\n" && self.held == b"\r";
        if !self.held.is_empty() && !line_end_goes_on {
            let held = core::mem::take(&mut self.held);
            self.value.extend(&held, |piece| field(name, piece, to));
        }
        let (body, end) = bytes.split_at(bytes.len() - keep);
        self.value.extend(body, |piece| field(name, piece, to));
        self.held.extend_from_slice(end);
    }

    fn header(&mut self, line: &[u8], to: &mut Inspector<'_>) {
        if line.iter().any(|byte| *byte < 0x20 && *byte != b'\t') {
            to.report(&rules::PART_HEADER, PLACE, line);
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let Some(colon) = colon else {
            to.report(&rules::PART_HEADER, PLACE, line);
            return;
        };
        let (header, value) = (line[..colon].to_ascii_lowercase(), line[colon + 1..].trim_ascii());
        if header.iter().any(|byte| !(0x21..0x7f).contains(byte)) {
            to.report(&rules::PART_HEADER, PLACE, line);
        }
        match &header[..] {
            b"content-disposition" => self.disposition(value, to),
            b"content-type"
                if parameter(value, b"charset").is_some_and(|charset| !rules::charset_allowed(&charset)) =>
            {
                to.report(&rules::PART_CHARSET, PLACE, value);
            }
            b"content-transfer-encoding" => to.report(&rules::PART_ENCODING, PLACE, value),
            _ => {}
        }
    }

    fn disposition(&mut self, value: &[u8], to: &mut Inspector<'_>) {
        if let Some(name) = parameter(value, b"name") {
            rules::check_file_name(&name, to);
            self.name = name;
            self.name.truncate(NAME);
        }
        for key in [&b"filename"[..], b"filename*"] {
            if let Some(name) = parameter(value, key) {
                self.file = true;
                rules::check_file_name(&name, to);
                to.value(Place { part: Part::FileName, name: &self.name }, &name);
            }
        }
    }

    fn field(&mut self, to: &mut Inspector<'_>) {
        if self.at == At::Content && !self.file {
            let name = &self.name;
            self.value.finish(|piece| field(name, piece, to));
        } else {
            self.value.finish(|_| ());
        }
    }

    pub(super) fn end(&mut self, to: &mut Inspector<'_>) {
        if self.at != At::Epilogue {
            self.piece_end(to);
            if self.at != At::Epilogue {
                if self.at == At::Preamble && !self.seen {
                    return;
                }
                to.report(&rules::MULTIPART_UNCLOSED, PLACE, self.delimiter.bytes());
                let held = core::mem::take(&mut self.held);
                let name = &self.name;
                self.value.extend(&held, |piece| field(name, piece, to));
                self.field(to);
            }
        }
    }

    /// A last line without its end.
    fn piece_end(&mut self, to: &mut Inspector<'_>) {
        if !self.line.is_empty() {
            self.line_done(to);
        }
    }
}

/// Whether one of the two begins with the other.
fn begins_alike(one: &[u8], other: &[u8]) -> bool {
    let known = one.len().min(other.len());
    one[..known] == other[..known]
}

/// Whether a line that begins with `line` may be a delimiter, the last one or not, padded with white space.
fn may_delimit(line: &[u8], delimiter: &[u8]) -> bool {
    let Some(behind) = line.strip_prefix(delimiter) else { return begins_alike(line, delimiter) };
    let padding = behind.strip_prefix(b"--").unwrap_or(behind);
    behind == b"-" || padding.trim_ascii().is_empty()
}

fn field(name: &[u8], value: &[u8], to: &mut Inspector<'_>) {
    if name == b"_charset_" && !rules::charset_allowed(value) {
        to.report(&rules::PART_CHARSET, PLACE, value);
    }
    arg(name, value, to);
}

/// The value of parameter `key` in a header's value, quotes undone: `form-data; name="a"`.
pub(crate) fn parameter(value: &[u8], key: &[u8]) -> Option<Vec<u8>> {
    let mut rest = value;
    loop {
        let at = skip_to(rest, b';')?;
        rest = rest[at + 1..].trim_ascii_start();
        let equals = rest.iter().position(|byte| matches!(byte, b'=' | b';'))?;
        let fits = rest[..equals].trim_ascii().eq_ignore_ascii_case(key) && rest[equals] == b'=';
        if fits {
            let value = rest[equals + 1..].trim_ascii_start();
            let end = skip_to(value, b';').unwrap_or(value.len());
            return Some(unquoted(value[..end].trim_ascii()));
        }
    }
}

/// Where the next `stop`, which is no quote, outside of quotes is.
fn skip_to(text: &[u8], stop: u8) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(stop, b'"', text.get(at..)?)?;
        if text[at] == stop {
            return Some(at);
        }
        at += 1;
        loop {
            at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
            if text[at] == b'"' {
                break;
            }
            // With the byte that the backslash is for.
            at += 2;
        }
        at += 1;
    }
}

/// Inner quotes away; a backslash stays, since browsers send it plain.
fn unquoted(text: &[u8]) -> Vec<u8> {
    match text {
        [b'"', inner @ .., b'"'] => inner.to_vec(),
        [b'"', inner @ ..] => inner.to_vec(),
        _ => text.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A byte at a time.
    fn bytewise(text: &[u8], stop: u8) -> Option<usize> {
        let (mut quoted, mut escaped) = (false, false);
        text.iter().position(|&byte| {
            if escaped {
                escaped = false;
            } else if quoted && byte == b'\\' {
                escaped = true;
            } else if byte == b'"' {
                quoted = !quoted;
            }
            !quoted && byte == stop
        })
    }

    proptest! {
        #[test]
        fn quotes_are_read_over(text in r#"[a;"\\]{0,24}"#) {
            prop_assert_eq!(skip_to(text.as_bytes(), b';'), bytewise(text.as_bytes(), b';'));
        }
    }
}
