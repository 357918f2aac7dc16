//! The head of a request: its line and headers, with what is irregular about their form.

use alloc::vec::Vec;

use crate::{checks::protocol as rules, inspector::Rule};

/// A header; of a folded one all lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header<'a> {
    /// As it came.
    pub(crate) name: &'a [u8],
    /// Without the space around it.
    pub(crate) value: &'a [u8],
}

/// Headers that a request has, as a rule, at most.
const HEADERS: usize = 24;

/// A head taken apart.
#[derive(Debug, Default)]
pub(crate) struct Head<'a> {
    pub(crate) line: &'a [u8],
    pub(crate) method: &'a [u8],
    pub(crate) target: &'a [u8],
    pub(crate) version: &'a [u8],
    pub(crate) headers: Vec<Header<'a>>,
    /// The marks of their names.
    marks: u64,
    /// What is irregular, with the line that it is in.
    pub(crate) irregular: Vec<(&'static Rule, &'a [u8])>,
}

impl<'a> Head<'a> {
    fn push(&mut self, name: &'a [u8], value: &'a [u8]) {
        self.marks |= mark(name);
        self.headers.push(Header { name, value });
    }

    /// Values of all headers of this name, in their order.
    #[inline]
    pub(crate) fn all<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'a [u8]> + 'b {
        // Most names that are asked for are not there.
        let may_be = self.marks & mark(name.as_bytes()) != 0;
        let headers = if may_be { &self.headers[..] } else { &[] };
        headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name.as_bytes())).map(|header| header.value)
    }

    /// Value of the first header of this name.
    #[inline]
    pub(crate) fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.all(name).next()
    }
}

/// One of 64 bits by a name's length and first letter, large or small.
#[inline]
fn mark(name: &[u8]) -> u64 {
    let first = name.first().map_or(0, |first| usize::from(first & 31));
    1 << ((name.len() + 11 * first) % 64)
}

/// What is in front of the first `byte`, and behind it; all and nothing where there is none.
pub(crate) fn cut(text: &[u8], byte: u8) -> (&[u8], &[u8]) {
    memchr::memchr(byte, text).map_or((text, b""), |at| (&text[..at], &text[at + 1..]))
}

/// Bytes of a header's name or a method, RFC 9110 `tchar`.
pub(crate) fn token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

static TOKEN: [bool; 256] = table(b"!#$%&'*+-.^_`|~");

/// How many of the first bytes a table has. A function of its own, because in a guest a loop within a large one goes through memory
/// for each byte.
#[inline(never)]
pub(crate) fn leading(text: &[u8], table: &[bool; 256]) -> usize {
    text.iter().take_while(|byte| table[usize::from(**byte)]).count()
}

/// Letters, digits and `others`, as a table.
pub(crate) const fn table(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
}

/// Take a head apart, the empty line at its end included. Nothing is refused: what a server may read in another way is noted.
pub(crate) fn parse(text: &[u8]) -> Head<'_> {
    let mut head = Head { headers: Vec::with_capacity(HEADERS), ..Head::default() };
    // Asked of the whole head, for most have neither.
    let nul = memchr::memchr(0, text).is_some();
    let lone = memchr::memchr_iter(b'\r', text).any(|at| text.get(at + 1) != Some(&b'\n'));
    let mut start = 0;
    let mut first = true;
    for end in memchr::memchr_iter(b'\n', text) {
        let full = &text[start..end];
        let line = full.strip_suffix(b"\r").unwrap_or(full);
        start = end + 1;
        if line.len() == full.len() {
            head.irregular.push((&rules::BARE_LF, line));
        }
        if lone && line.contains(&b'\r') {
            head.irregular.push((&rules::BARE_CR, line));
        }
        if nul && line.contains(&0) {
            head.irregular.push((&rules::NUL, line));
        }
        if line.is_empty() {
            break;
        }
        if core::mem::replace(&mut first, false) {
            request_line(line, &mut head)
        } else {
            header(line, text, &mut head)
        }
    }
    head
}

fn request_line<'a>(line: &'a [u8], head: &mut Head<'a>) {
    head.line = line;
    let (method, rest) = cut(line, b' ');
    let (target, version) = cut(rest, b' ');
    (head.method, head.target, head.version) = (method, target, version);
    let version =
        matches!(head.version, [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] | b"HTTP/2" | b"HTTP/3");
    let target = match head.target {
        [b'/', ..] => true,
        b"*" => head.method == b"OPTIONS",
        _ if head.method == b"CONNECT" => !head.target.is_empty(),
        target => absolute(target),
    };
    if head.method.is_empty() || !head.method.iter().all(|byte| token(*byte)) || !version || !target {
        head.irregular.push((&rules::REQUEST_LINE, line));
    }
    // A version that is further back still ends the line for a server that splits at the last space.
    if let Some(at) = head.version.windows(6).rposition(|window| window == b" HTTP/") {
        let begin = head.method.len() + 1;
        let end = head.line.len() - (head.version.len() - at);
        head.target = &head.line[begin..end];
        head.version = &head.version[at + 1..];
    }
}

/// `http://host/…`.
fn absolute(target: &[u8]) -> bool {
    let scheme = target.iter().position(|byte| *byte == b':').unwrap_or(0);
    scheme > 0
        && target[..scheme].iter().all(u8::is_ascii_alphanumeric)
        && target[scheme..].starts_with(b"://")
        && target[scheme + 3..].contains(&b'/')
}

fn header<'a>(line: &'a [u8], text: &'a [u8], head: &mut Head<'a>) {
    if matches!(line[0], b' ' | b'\t') {
        head.irregular.push((&rules::FOLDED, line));
        if let Some(last) = head.headers.last_mut() {
            // Both are slices of the same text: the folded value is what lies from its start to this line's end.
            let begin = last.value.as_ptr() as usize - text.as_ptr() as usize;
            let end = line.as_ptr() as usize - text.as_ptr() as usize + line.len();
            last.value = &text[begin..end];
        }
        return;
    }
    // Nearly all are regular: a name, a colon.
    let length = leading(line, &TOKEN);
    let regular = length > 0 && line.get(length) == Some(&b':');
    let Some(colon) = regular.then_some(length).or_else(|| memchr::memchr(b':', line)) else {
        head.irregular.push((&rules::NO_COLON, line));
        return;
    };
    let (name, value) = (&line[..colon], trim_blanks(&line[colon + 1..]));
    if regular {
        return head.push(name, value);
    }
    if name.is_empty() || !name.trim_ascii_end().iter().all(|byte| token(*byte)) {
        head.irregular.push((&rules::HEADER_NAME, line));
    }
    if name.trim_ascii_end().len() != name.len() {
        head.irregular.push((&rules::SPACE_BEFORE_COLON, line));
    }
    head.push(name.trim_ascii_end(), value);
}

/// Without the blanks around it that HTTP allows: space and tab, no other white space.
fn trim_blanks(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// How a body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes.
    Length(u64),
    Chunked,
    /// To the end of the connection.
    ToEnd,
}

/// What Content-Length and Transfer-Encoding say, and what is doubtful about it. Where servers disagree the first that
/// holds is taken: chunked, then the first length.
pub(crate) fn framing(head: &Head<'_>, mut doubt: impl FnMut(&'static Rule, &[u8])) -> Framing {
    let mut chunked = false;
    for (number, value) in head.all("transfer-encoding").enumerate() {
        let last = value.rsplit(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
        chunked |= last.eq_ignore_ascii_case(b"chunked");
        let regular = [&b"chunked"[..], b"gzip, chunked", b"deflate, chunked", b"identity"];
        if number > 0 || !regular.iter().any(|known| value.eq_ignore_ascii_case(known)) {
            doubt(&rules::TRANSFER_ENCODING, value);
        }
    }
    let mut length = None;
    for value in head.all("content-length") {
        let number = value
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| core::str::from_utf8(value).ok()?.parse::<u64>().ok())
            .flatten();
        match number {
            None => doubt(&rules::CONTENT_LENGTH, value),
            Some(_) if length.is_some() => doubt(&rules::TWO_LENGTHS, value),
            Some(_) => length = number,
        }
    }
    let has_encoding = head.get("transfer-encoding").is_some();
    if has_encoding && head.get("content-length").is_some() {
        doubt(&rules::LENGTH_AND_ENCODING, head.get("transfer-encoding").unwrap_or_default());
    }
    if has_encoding && head.version == b"HTTP/1.0" {
        doubt(&rules::TRANSFER_ENCODING, head.version);
    }
    if chunked { Framing::Chunked } else { length.map_or(Framing::ToEnd, Framing::Length) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn irregular(text: &str) -> Vec<u32> {
        parse(text.as_bytes()).irregular.iter().map(|(rule, _)| rule.id).collect()
    }

    #[test]
    fn heads_are_taken_apart() {
        let head = parse(b"GET /a?b HTTP/1.1\r\nHost: h\r\nX:  y z \r\n\r\n");
        assert_eq!((head.method, head.target, head.version), (&b"GET"[..], &b"/a?b"[..], &b"HTTP/1.1"[..]));
        assert_eq!(head.get("x"), Some(&b"y z"[..]));
        assert!(head.irregular.is_empty());
        assert_eq!((head.get("HOST"), head.get("hose"), head.get("y")), (Some(&b"h"[..]), None, None));
        let folded = parse(b"GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n");
        assert_eq!(folded.get("x"), Some(&b"a\r\n b"[..]));
        assert_eq!(parse(b"GET /a b c HTTP/1.0\r\n\r\n").target, b"/a b c");
    }

    #[test]
    fn irregular_heads_are_noted() {
        for (text, id) in [
            ("GET / HTTP/1.1\nHost: h\n\n", rules::BARE_LF.id),
            ("GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n", rules::BARE_CR.id),
            ("GET / HTTP/1.1\r\nHost : h\r\n\r\n", rules::SPACE_BEFORE_COLON.id),
            ("GET / HTTP/1.1\r\nHost: h\r\n x\r\n\r\n", rules::FOLDED.id),
            ("GET / HTTP/1.1\r\nHost\r\n\r\n", rules::NO_COLON.id),
            ("GET / HTTP/1.1\r\nHo@st: h\r\n\r\n", rules::HEADER_NAME.id),
            ("GET / HTTP/1.1\r\nHost: \0\r\n\r\n", rules::NUL.id),
            ("GET / HTTPS/1.1\r\n\r\n", rules::REQUEST_LINE.id),
            ("G@T / HTTP/1.1\r\n\r\n", rules::REQUEST_LINE.id),
        ] {
            assert!(irregular(text).contains(&id), "{text:?}: {:?}", irregular(text));
        }
        assert!(irregular("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n").is_empty());
        assert!(irregular("GET http://h/x HTTP/1.1\r\nHost: h\r\n\r\n").is_empty());
    }

    #[test]
    fn framing_is_taken_and_doubted() {
        for (headers, framing_is, doubts) in [
            ("Content-Length: 5", Framing::Length(5), &[][..]),
            ("Transfer-Encoding: chunked", Framing::Chunked, &[]),
            ("", Framing::ToEnd, &[]),
            ("Content-Length: 5\r\nTransfer-Encoding: chunked", Framing::Chunked, &[rules::LENGTH_AND_ENCODING.id]),
            ("Content-Length: 5\r\nContent-Length: 6", Framing::Length(5), &[rules::TWO_LENGTHS.id]),
            ("Content-Length: +5", Framing::ToEnd, &[rules::CONTENT_LENGTH.id]),
            ("Transfer-Encoding: xchunked", Framing::ToEnd, &[rules::TRANSFER_ENCODING.id]),
            ("Transfer-Encoding: chunked, identity", Framing::ToEnd, &[rules::TRANSFER_ENCODING.id]),
        ] {
            let text = alloc::format!("POST / HTTP/1.1\r\n{headers}\r\n\r\n");
            let mut found = Vec::new();
            assert_eq!(framing(&parse(text.as_bytes()), |rule, _| found.push(rule.id)), framing_is, "{headers}");
            assert_eq!(found, doubts, "{headers}");
        }
    }
}
