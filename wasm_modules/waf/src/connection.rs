//! A connection's two directions as streams of messages: where each begins and ends, whatever pieces it comes in.
//!
//! Between two messages a direction holds nothing on the heap. While one is open it holds its head, at most
//! `max_head` bytes, or the state of its body.

use alloc::{boxed::Box, vec::Vec};

use memchr::memmem::Finder;

use crate::{
    body::{Body, PIECE, query},
    checks::protocol as rules,
    finding::{Finding, Part, Place},
    head::{self, Framing, Head},
    inflate::Inflate,
    inspector::{Engine, Inspector, Rule, Verdict},
    normalise::decoded,
};

const BODY: Place<'static> = Place { part: Part::Body, name: b"" };
/// Bytes of a decompressor.
const INFLATE: usize = 48 << 10;
/// Longest line of a chunk's size with its extension, and of a trailer.
const LINE: usize = 512;
/// Most hexadecimal digits of a chunk's size.
const DIGITS: usize = 12;

/// What becomes of a connection, on what was seen of it so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Nothing reached the threshold.
    Continue,
    /// The request at hand reached the threshold, or can no longer be followed safely.
    Block,
}

/// One direction.
#[derive(Debug, Default)]
pub(crate) enum Side {
    /// Between messages, or within one's head: what came of it.
    #[default]
    Idle,
    Head(Vec<u8>),
    Body(Box<Open>),
    /// Not followed any more.
    Lost(Decision),
}

impl Side {
    /// Bytes that it has on the heap, about.
    pub(crate) fn held(&self) -> usize {
        match self {
            Self::Idle | Self::Lost(_) => 0,
            Self::Head(held) => held.capacity(),
            // A piece of a value, and the window of the decompressor.
            Self::Body(open) => size_of::<Open>() + PIECE + if open.inflate.is_some() { INFLATE } else { 0 },
        }
    }
}

/// A message whose head is complete.
#[derive(Debug)]
pub(crate) struct Open {
    verdict: Verdict,
    left: Left,
    body: Body,
    inflate: Option<Inflate>,
    /// Decoded bytes that may still be inspected.
    room: u64,
}

/// What is still to come of a body.
#[derive(Debug)]
enum Left {
    Bytes(u64),
    /// Chunked, within a line of the framing.
    Line(Line, Vec<u8>),
    /// Chunked, so many bytes of a chunk.
    Chunk(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Size,
    /// The empty one after a chunk.
    End,
    Trailer,
}

/// Feed `bytes` of a direction that carries requests.
pub(crate) fn requests(
    engine: &mut Engine,
    side: &mut Side,
    mut bytes: &[u8],
    out: &mut dyn FnMut(Finding<'_>),
) -> Decision {
    let mut decision = Decision::Continue;
    while !bytes.is_empty() {
        match side {
            Side::Lost(last) => return worse(decision, *last),
            Side::Idle => {
                // Empty lines before a request are allowed.
                let skip = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
                bytes = &bytes[skip..];
                // Most heads come in one piece.
                match head_end(&engine.head_ends, bytes, 0).filter(|end| *end <= engine.config.max_head) {
                    Some(end) => {
                        let (text, rest) = bytes.split_at(end);
                        bytes = rest;
                        decision = worse(decision, whole(engine, side, text, out));
                    }
                    None if !bytes.is_empty() => *side = Side::Head(Vec::new()),
                    None => {}
                }
            }
            Side::Head(held) => {
                let most = engine.config.max_head;
                let Some(used) = take_head(&engine.head_ends, held, bytes, most) else {
                    if held.len() >= most {
                        decision = lost(engine, side, &rules::HEAD_TOO_LARGE, out);
                    }
                    return decision;
                };
                bytes = &bytes[used..];
                let text = core::mem::take(held);
                *side = Side::Idle;
                decision = worse(decision, whole(engine, side, &text, out));
            }
            Side::Body(open) => {
                let Some(used) = feed(engine, open, bytes, out) else {
                    *side = Side::Lost(Decision::Block);
                    return Decision::Block;
                };
                bytes = &bytes[used..];
                decision = worse(decision, open.decision(engine));
                if open.ended() {
                    open.end(engine, out);
                    decision = worse(decision, open.decision(engine));
                    *side = Side::Idle;
                }
            }
        }
    }
    decision
}

/// The direction ended.
pub(crate) fn end(engine: &mut Engine, side: &mut Side, out: &mut dyn FnMut(Finding<'_>)) -> Decision {
    let decision = match side {
        Side::Body(open) => {
            open.end(engine, out);
            open.decision(engine)
        }
        Side::Lost(decision) => *decision,
        Side::Idle | Side::Head(_) => Decision::Continue,
    };
    *side = Side::Lost(decision);
    decision
}

fn worse(one: Decision, other: Decision) -> Decision {
    if one == Decision::Block { one } else { other }
}

fn lost(engine: &mut Engine, side: &mut Side, rule: &Rule, out: &mut dyn FnMut(Finding<'_>)) -> Decision {
    let mut verdict = Verdict::default();
    let held = if let Side::Head(held) = side { core::mem::take(held) } else { Vec::new() };
    Inspector { engine, verdict: &mut verdict, out }.report(rule, Place { part: Part::Line, name: b"" }, &held);
    *side = Side::Lost(Decision::Block);
    Decision::Block
}

/// A head is complete.
fn whole(engine: &mut Engine, side: &mut Side, text: &[u8], out: &mut dyn FnMut(Finding<'_>)) -> Decision {
    if !looks_like_http(text) {
        return lost(engine, side, &rules::NOT_HTTP, out);
    }
    let (open, decision) = begin(engine, text, out);
    *side = open;
    decision
}

/// Where the empty line that ends a head ends, when it does so behind `from`.
fn head_end(ends: &[Finder<'_>; 2], text: &[u8], from: usize) -> Option<usize> {
    let [crlf, lf] = ends;
    let end = crlf.find(&text[from..]).map(|at| from + at + 3);
    // Lines may end in LF alone, all or some of them.
    let before = &text[from..end.unwrap_or(text.len())];
    lf.find(before).map(|at| from + at + 2).or(end)
}

/// Add to a head until the empty line that ends it. How many of `bytes` belong to it, or `None` while it is not complete.
fn take_head(ends: &[Finder<'_>; 2], held: &mut Vec<u8>, bytes: &[u8], most: usize) -> Option<usize> {
    let before = held.len();
    held.extend_from_slice(&bytes[..bytes.len().min(most.saturating_sub(before))]);
    let end = head_end(ends, held, before.saturating_sub(2))?;
    held.truncate(end);
    Some(end - before)
}

/// Three words, or two of them: else it is no HTTP/1 at all, and reading on would find nonsense.
fn looks_like_http(text: &[u8]) -> bool {
    let (line, _) = head::cut(text, b'\n');
    !line.starts_with(b"PRI * HTTP/2")
        && memchr::memchr_iter(b'H', line)
            .any(|at| line[at..].starts_with(b"HTTP/") || line[at..].starts_with(b"HTTP\\"))
}

/// A head is complete: judge it, and say what follows it.
fn begin(engine: &mut Engine, text: &[u8], out: &mut dyn FnMut(Finding<'_>)) -> (Side, Decision) {
    let head = head::parse(text);
    engine.asked.push(head.method);
    let mut verdict = Verdict::default();
    let (path, _) = split_target(head.target);
    verdict.set_path(&engine.config, path);
    verdict.foreign = foreign(&head);
    let framing = {
        let mut to = Inspector { engine: &mut *engine, verdict: &mut verdict, out: &mut *out };
        let framing = head::framing(&head, |rule, value| {
            to.report(rule, Place { part: Part::Header, name: b"framing" }, value);
        });
        rules::check_head(&head, framing, &mut to);
        values(&head, &mut to);
        framing
    };
    let inflate = head.get("content-encoding").and_then(|coding| {
        let gzip = coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip");
        (gzip || coding.eq_ignore_ascii_case(b"deflate")).then(|| Inflate::new(gzip))
    });
    let left = match framing {
        Framing::Length(length) => Left::Bytes(length),
        Framing::Chunked => Left::Line(Line::Size, Vec::new()),
        Framing::ToEnd => Left::Bytes(0),
    };
    let tunnel = head.method == b"CONNECT";
    let mut open =
        Open { verdict, left, body: Body::new(head.get("content-type")), inflate, room: engine.config.max_body };
    let decision = open.decision(engine);
    if tunnel {
        return (Side::Lost(decision), decision);
    }
    if open.ended() {
        open.end(engine, out);
        return (Side::Idle, open.decision(engine));
    }
    (Side::Body(Box::new(open)), decision)
}

/// Whether Referer names another host than Host, or nothing does.
fn foreign(head: &Head<'_>) -> bool {
    let Some(referer) = head.get("referer") else { return true };
    let mut colons = memchr::memchr_iter(b':', referer);
    let Some(scheme) = colons.find(|at| referer[*at..].starts_with(b"://")) else { return true };
    let end = |byte: &u8| matches!(*byte, b'/' | b'?' | b'#' | b':');
    let host = referer[scheme + 3..].split(end).next().unwrap_or_default();
    let own = head.get("host").unwrap_or_default().split(end).next().unwrap_or_default();
    !host.eq_ignore_ascii_case(own)
}

/// Path and query of a request's target.
fn split_target(target: &[u8]) -> (&[u8], &[u8]) {
    head::cut(head::cut(target, b'#').0, b'?')
}

/// Path, query, cookies and headers as values.
fn values(head: &Head<'_>, to: &mut Inspector<'_>) {
    let (path, arguments) = split_target(head.target);
    to.value(Place { part: Part::Path, name: b"" }, decoded(path, false, &mut Vec::new()));
    if let Some(at) = memchr::memchr(b'#', head.target) {
        to.value(Place { part: Part::Line, name: b"" }, &head.target[at + 1..]);
    }
    query(arguments, to);
    for header in &head.headers {
        let name = header.name;
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("cookie") {
            cookies(header.value, to);
            continue;
        }
        let file = name.len() >= 9 && name[name.len() - 8..].eq_ignore_ascii_case(b"filename");
        let part = if file || is("x-file-name") {
            Part::FileName
        } else if is("user-agent") {
            Part::UserAgent
        } else if is("referer") || is("x-forwarded-for") || is("x-real-ip") || is("client-ip") {
            Part::Referer
        } else {
            Part::Header
        };
        to.value(Place { part, name }, header.value);
    }
}

fn cookies(value: &[u8], to: &mut Inspector<'_>) {
    let mut start = 0;
    for end in memchr::memchr_iter(b';', value).chain([value.len()]) {
        let (name, value) = head::cut(value[start..end].trim_ascii(), b'=');
        start = end + 1;
        to.value(Place { part: Part::CookieName, name: b"" }, decoded(name, false, &mut Vec::new()));
        to.value(Place { part: Part::Cookie, name }, decoded(value, true, &mut Vec::new()));
    }
}

/// Bytes of a body's framing. How many of them belong to it; `None` when the framing is broken.
fn feed(engine: &mut Engine, open: &mut Open, bytes: &[u8], out: &mut dyn FnMut(Finding<'_>)) -> Option<usize> {
    match &mut open.left {
        Left::Bytes(left) | Left::Chunk(left) => {
            let now = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
            *left -= now as u64;
            let ended = *left == 0;
            open.data(engine, &bytes[..now], out);
            if ended && matches!(open.left, Left::Chunk(_)) {
                open.left = Left::Line(Line::End, Vec::new());
            }
            Some(now)
        }
        Left::Line(kind, line) => {
            let kind = *kind;
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let now = end.map_or(bytes.len(), |at| at + 1);
            // A line that is too long is so at the same byte, in whatever pieces it comes.
            let most = if kind == Line::End { 2 } else { LINE };
            line.extend_from_slice(&bytes[..now.min(most + 1 - line.len())]);
            let too_long = line.len() > most;
            let rule = match kind {
                Line::Size => &rules::CHUNK_SIZE,
                Line::End => &rules::CHUNK_END,
                Line::Trailer => &rules::TRAILER,
            };
            let text = (end.is_some() || too_long).then(|| core::mem::take(line));
            let Some(text) = text else { return Some(now) };
            let next = if too_long { None } else { open.line(engine, kind, &text, out) };
            if next.is_none() {
                open.report(engine, rule, &text, out);
            }
            open.left = next?;
            Some(now)
        }
    }
}

impl Open {
    fn decision(&self, engine: &Engine) -> Decision {
        if self.verdict.score >= engine.config.inbound_threshold { Decision::Block } else { Decision::Continue }
    }

    fn ended(&self) -> bool {
        matches!(self.left, Left::Bytes(0))
    }

    fn report(&mut self, engine: &mut Engine, rule: &Rule, data: &[u8], out: &mut dyn FnMut(Finding<'_>)) {
        Inspector { engine, verdict: &mut self.verdict, out }.report(rule, BODY, data);
    }

    /// A line of the chunked framing, its end included; what follows it, or `None` when it is not valid.
    fn line(&mut self, engine: &mut Engine, kind: Line, text: &[u8], out: &mut dyn FnMut(Finding<'_>)) -> Option<Left> {
        let Some(line) = text.strip_suffix(b"\r\n") else {
            // LF alone: some servers take it and others do not.
            self.report(engine, &rules::BARE_LF, text, out);
            return None;
        };
        if line.contains(&b'\r') || line.contains(&0) {
            return None;
        }
        match kind {
            Line::End => line.is_empty().then(|| Left::Line(Line::Size, Vec::new())),
            Line::Size => {
                let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
                if digits == 0 || digits > DIGITS {
                    return None;
                }
                let rest = &line[digits..];
                if !rest.is_empty() {
                    if !rest.trim_ascii().is_empty() && rest.trim_ascii_start()[0] != b';' {
                        return None;
                    }
                    self.report(engine, &rules::CHUNK_EXTENSION, line, out);
                }
                let size = line[..digits]
                    .iter()
                    .fold(0, |size, byte| size << 4 | u64::from(crate::normalise::hex(*byte).unwrap_or(0)));
                Some(if size == 0 { Left::Line(Line::Trailer, Vec::new()) } else { Left::Chunk(size) })
            }
            Line::Trailer if line.is_empty() => Some(Left::Bytes(0)),
            Line::Trailer => {
                let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
                let never = ["content-length", "transfer-encoding", "host", "content-type", "authorization", "cookie"];
                let valid = name.len() < line.len() && name.iter().all(|byte| head::token(*byte));
                if !valid || never.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes())) {
                    self.report(engine, &rules::TRAILER, line, out);
                }
                Some(Left::Line(Line::Trailer, Vec::new()))
            }
        }
    }

    /// Bytes of the body, its framing undone.
    fn data(&mut self, engine: &mut Engine, bytes: &[u8], out: &mut dyn FnMut(Finding<'_>)) {
        let Some(mut inflate) = self.inflate.take() else {
            self.plain(engine, bytes, out);
            return;
        };
        let valid = inflate.push(bytes, |plain| self.plain(engine, plain, out));
        if valid {
            self.inflate = Some(inflate);
        } else {
            self.report(engine, &rules::COMPRESSED, b"", out);
            self.body = Body::Opaque;
        }
    }

    /// Bytes as the application sees them. False when no more are inspected.
    fn plain(&mut self, engine: &mut Engine, bytes: &[u8], out: &mut dyn FnMut(Finding<'_>)) -> bool {
        let now = usize::try_from(self.room).unwrap_or(usize::MAX).min(bytes.len());
        self.room -= now as u64;
        let mut to = Inspector { engine, verdict: &mut self.verdict, out };
        self.body.push(&bytes[..now], &mut to);
        if now < bytes.len() {
            if !matches!(self.body, Body::Opaque) {
                to.report(&rules::BODY_TOO_LARGE, BODY, b"");
                self.body.end(&mut to);
                self.body = Body::Opaque;
            }
            return false;
        }
        true
    }

    fn end(&mut self, engine: &mut Engine, out: &mut dyn FnMut(Finding<'_>)) {
        let mut to = Inspector { engine, verdict: &mut self.verdict, out };
        self.body.end(&mut to);
        self.body = Body::Opaque;
    }
}
