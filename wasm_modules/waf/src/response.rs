//! Responses: the first bytes of their bodies, where these are text, are read for what they give away. Nothing is stopped for
//! it; where a server's framing is odd, the rest of the connection's responses is not looked at.

use alloc::{boxed::Box, vec::Vec};

use memchr::memmem;

use crate::{
    config::Config,
    finding::{Finding, Part, Place},
    inflate::Inflate,
    inspector::{Engine, Inspector, Verdict},
};

/// Longest head, and longest line of the chunked framing.
const HEAD: usize = 32_768;
const LINE: usize = 512;
/// Most requests that wait for their responses.
const WAITING: u32 = 64;
/// Bytes of a decompressor.
const INFLATE: usize = 48 << 10;

/// Requests by whether their responses have no body: one bit each, the latest lowest.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Asked {
    bits: u64,
    count: u32,
}

impl Asked {
    /// A request with this method.
    pub(crate) fn push(&mut self, method: &[u8]) {
        self.bits = self.bits << 1 | u64::from(method == b"HEAD");
        self.count += 1;
    }

    fn append(&mut self, other: Self) {
        self.bits = self.bits.checked_shl(other.count).unwrap_or(0) | other.bits;
        self.count = self.count.saturating_add(other.count);
    }

    /// The oldest request; `None` where there is none, so that a response answers nothing.
    fn pop(&mut self) -> Option<bool> {
        self.count = self.count.checked_sub(1)?;
        Some(self.bits >> self.count & 1 != 0)
    }
}

/// A connection's responses.
#[derive(Debug, Default)]
pub(crate) struct Responses {
    asked: Asked,
    at: At,
}

#[derive(Debug, Default)]
enum At {
    /// Between responses.
    #[default]
    Idle,
    Head(Vec<u8>),
    Body(Box<Body>),
    /// Not followed any more.
    Lost,
}

#[derive(Debug)]
struct Body {
    left: Left,
    text: Option<Text>,
}

/// What is still to come of a body.
#[derive(Debug, PartialEq, Eq)]
enum Left {
    Bytes(u64),
    ToEnd,
    Chunk(u64),
    /// A line of the chunked framing: the empty one behind a chunk, a size, a trailer.
    End(Vec<u8>),
    Size(Vec<u8>),
    Trailer(Vec<u8>),
}

/// The first bytes of a body.
#[derive(Debug)]
struct Text {
    bytes: Vec<u8>,
    inflate: Option<Inflate>,
}

impl Responses {
    /// Bytes that it has on the heap, about.
    pub(crate) fn held(&self) -> usize {
        match &self.at {
            At::Idle | At::Lost => 0,
            At::Head(held) => held.capacity(),
            At::Body(body) => {
                let text = body.text.as_ref();
                let inflate = text.is_some_and(|text| text.inflate.is_some());
                size_of::<Body>() + text.map_or(0, |text| text.bytes.capacity()) + if inflate { INFLATE } else { 0 }
            }
        }
    }

    /// Requests that were sent.
    pub(crate) fn ask(&mut self, asked: Asked) {
        self.asked.append(asked);
        if self.asked.count > WAITING {
            self.at = At::Lost;
        }
    }

    /// What follows is not known to be the next byte.
    pub(crate) fn lose(&mut self) {
        self.at = At::Lost;
    }

    /// The next bytes of the server.
    pub(crate) fn push(&mut self, engine: &mut Engine, mut bytes: &[u8], out: &mut dyn FnMut(Finding<'_>)) {
        while !bytes.is_empty() {
            match &mut self.at {
                At::Lost => return,
                At::Idle => self.at = At::Head(Vec::new()),
                At::Head(held) => {
                    let before = held.len();
                    held.extend_from_slice(&bytes[..bytes.len().min(HEAD - before)]);
                    // The same at its first bytes and when all of it is there, in whatever pieces it comes.
                    if !b"HTTP/1.".starts_with(&held[..held.len().min(7)]) {
                        self.at = At::Lost;
                        return;
                    }
                    let from = before.saturating_sub(3);
                    let Some(end) = memmem::find(&held[from..], b"\r\n\r\n").map(|at| from + at + 4) else {
                        if held.len() == HEAD {
                            self.at = At::Lost;
                        }
                        return;
                    };
                    bytes = &bytes[end - before..];
                    held.truncate(end);
                    let head = core::mem::take(held);
                    self.at = begin(&head, &mut self.asked, &engine.config);
                }
                At::Body(body) => {
                    let Some(used) = body.feed(engine, bytes, out) else {
                        self.at = At::Lost;
                        return;
                    };
                    bytes = &bytes[used..];
                    if body.left == Left::Bytes(0) {
                        body.look(engine, out);
                        self.at = At::Idle;
                    }
                }
            }
        }
    }

    /// The server sends no more.
    pub(crate) fn end(&mut self, engine: &mut Engine, out: &mut dyn FnMut(Finding<'_>)) {
        if let At::Body(body) = &mut self.at {
            body.look(engine, out);
        }
        self.at = At::Lost;
    }
}

/// What follows a head.
fn begin(head: &[u8], asked: &mut Asked, config: &Config) -> At {
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let status = match lines.next().unwrap_or_default() {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', _, b' ', status @ ..] => status.get(..3),
        _ => None,
    };
    let Some(status) = status.filter(|status| status.iter().all(u8::is_ascii_digit)) else { return At::Lost };
    if status == b"101" {
        return At::Lost;
    }
    if status[0] == b'1' {
        return At::Idle;
    }
    let Some(no_body) = asked.pop() else { return At::Lost };
    let (mut length, mut chunked, mut text, mut inflate) = (None, false, true, None);
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            length = core::str::from_utf8(value).ok().and_then(|value| value.parse::<u64>().ok());
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            chunked = value.to_ascii_lowercase().ends_with(b"chunked");
        } else if name.eq_ignore_ascii_case(b"content-type") {
            text = is_text(value);
        } else if name.eq_ignore_ascii_case(b"content-encoding") && !value.eq_ignore_ascii_case(b"identity") {
            let gzip = value.eq_ignore_ascii_case(b"gzip");
            inflate = (gzip || value.eq_ignore_ascii_case(b"deflate")).then(|| Inflate::new(gzip));
            text &= inflate.is_some();
        }
    }
    if no_body || status == b"204" || status == b"304" || !chunked && length == Some(0) {
        return At::Idle;
    }
    let left = match length {
        _ if chunked => Left::Size(Vec::new()),
        Some(length) => Left::Bytes(length),
        None => Left::ToEnd,
    };
    let room = usize::try_from(length.unwrap_or(0)).unwrap_or(0).min(config.response_bytes);
    let text = text.then(|| Text { bytes: Vec::with_capacity(room), inflate });
    At::Body(Box::new(Body { left, text }))
}

/// Whether a body of this type is text that people or programs read.
fn is_text(value: &[u8]) -> bool {
    let media = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    media.starts_with(b"text/") && media != b"text/css" && media != b"text/javascript"
        || media.ends_with(b"json")
        || media.ends_with(b"xml")
}

impl Body {
    /// How many of `bytes` belong to it; `None` when the framing is broken.
    fn feed(&mut self, engine: &mut Engine, bytes: &[u8], out: &mut dyn FnMut(Finding<'_>)) -> Option<usize> {
        match &mut self.left {
            Left::ToEnd => {
                self.text(engine, bytes, out);
                Some(bytes.len())
            }
            Left::Bytes(left) | Left::Chunk(left) => {
                let now = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= now as u64;
                self.text(engine, &bytes[..now], out);
                if self.left == Left::Chunk(0) {
                    self.left = Left::End(Vec::new());
                }
                Some(now)
            }
            Left::End(line) | Left::Size(line) | Left::Trailer(line) => {
                let end = memchr::memchr(b'\n', bytes);
                let now = end.map_or(bytes.len(), |at| at + 1);
                if line.len() + now > LINE {
                    return None;
                }
                line.extend_from_slice(&bytes[..now]);
                if end.is_some() {
                    let line = core::mem::take(line);
                    self.left = next(&self.left, line.trim_ascii())?;
                }
                Some(now)
            }
        }
    }

    /// Bytes of the body, its framing undone.
    fn text(&mut self, engine: &mut Engine, bytes: &[u8], out: &mut dyn FnMut(Finding<'_>)) {
        let Some(Text { bytes: held, inflate }) = &mut self.text else { return };
        let most = engine.config.response_bytes;
        let mut take = |plain: &[u8]| {
            held.extend_from_slice(&plain[..plain.len().min(most - held.len())]);
            held.len() < most
        };
        let goes_on = match inflate {
            Some(inflate) => inflate.push(bytes, &mut take),
            None => take(bytes),
        };
        if !goes_on || held.len() == most {
            self.look(engine, out);
        }
    }

    /// Judge what was kept, once.
    fn look(&mut self, engine: &mut Engine, out: &mut dyn FnMut(Finding<'_>)) {
        let Some(text) = self.text.take() else { return };
        let mut verdict = Verdict::default();
        verdict.set_path(&engine.config, b"");
        let mut to = Inspector { engine, verdict: &mut verdict, out };
        to.value(Place { part: Part::Response, name: b"" }, &text.bytes);
    }
}

/// What follows a line of the chunked framing.
fn next(left: &Left, line: &[u8]) -> Option<Left> {
    match left {
        Left::End(_) => line.is_empty().then(|| Left::Size(Vec::new())),
        Left::Trailer(_) if line.is_empty() => Some(Left::Bytes(0)),
        Left::Trailer(_) => Some(Left::Trailer(Vec::new())),
        _ => {
            let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
            let size = u64::from_str_radix(core::str::from_utf8(&line[..digits]).ok()?, 16).ok()?;
            Some(if size == 0 { Left::Trailer(Vec::new()) } else { Left::Chunk(size) })
        }
    }
}
