//! What a head says: its line, Host, what a client accepts, the kind of its body, ranges.

use super::{values::invalid_percent, *};
use crate::{
    body,
    finding::{Part, Place},
    head::{Framing, Head, cut, table},
    inspector::Inspector,
    normalise::decoded,
};
use alloc::vec::Vec;

const LINE: Place<'static> = Place { part: Part::Line, name: b"" };

fn header(name: &'static str) -> Place<'static> {
    Place { part: Part::Header, name: name.as_bytes() }
}

/// Everything about a request's head that is no pattern.
pub(crate) fn check_head(head: &Head<'_>, framing: Framing, to: &mut Inspector<'_>) {
    for &(rule, line) in &head.irregular {
        to.report(rule, LINE, line);
    }
    check_line(head, to);
    check_host(head, to);
    check_agents(head, to);
    check_type(head, framing, to);
    check_body(head, framing, to);
    check_ranges(head, to);
    for header in &head.headers {
        if to.engine.restricts(header.name) {
            to.report(&HEADER, Place { part: Part::Header, name: header.name }, header.value);
        }
    }
}

fn check_line(head: &Head<'_>, to: &mut Inspector<'_>) {
    let config = &to.engine.config;
    let method_allowed = config.allowed_methods.iter().any(|method| method.as_bytes() == head.method);
    let (path, _) = cut(head.target, b'?');
    let mut plain = Vec::new();
    let plain = decoded(path, false, &mut plain);
    let file = &plain[memchr::memrchr(b'/', plain).map_or(0, |at| at + 1)..];
    let restricted = to.engine.restricts_file(file);
    let backup = memchr::memchr(b'~', plain).is_some()
        && plain.split(|byte| *byte == b'/').any(|part| part.len() > 1 && part.ends_with(b"~") && part.contains(&b'.'));
    if !method_allowed {
        to.report(&METHOD, LINE, head.method);
    }
    if !matches!(head.version, b"HTTP/1.0" | b"HTTP/1.1" | b"HTTP/2" | b"HTTP/2.0" | b"HTTP/3" | b"HTTP/3.0") {
        to.report(&VERSION, LINE, head.version);
    }
    if restricted {
        to.report(&EXTENSION, Place { part: Part::Path, name: b"" }, file);
    }
    if backup {
        to.report(&BACKUP, Place { part: Part::Path, name: b"" }, plain);
    }
    if memchr::memchr(b'#', head.target).is_some() {
        to.report(&FRAGMENT, LINE, head.target);
    }
    if memchr::memchr(0, plain).is_some() {
        to.report(&NUL_VALUE, Place { part: Part::Path, name: b"" }, path);
    }
    if invalid_percent(path) {
        to.report(&PERCENT, Place { part: Part::Path, name: b"" }, path);
    }
}

fn check_host(head: &Head<'_>, to: &mut Inspector<'_>) {
    let mut hosts = head.all("host");
    match (hosts.next(), hosts.next()) {
        (None, _) => to.report(&NO_HOST, header("Host"), b""),
        (Some(b""), None) => to.report(&EMPTY_HOST, header("Host"), b""),
        (Some(host), None) => {
            let name = without_port(host);
            let numeric = name.starts_with(b"[")
                || (name.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.') && name.contains(&b'.'));
            if numeric {
                to.report(&NUMERIC_HOST, header("Host"), host);
            }
        }
        (_, Some(second)) => to.report(&TWO_HOSTS, header("Host"), second),
    }
}

/// A host without its port.
fn without_port(host: &[u8]) -> &[u8] {
    match host.iter().rposition(|byte| *byte == b':') {
        Some(colon) if host[colon + 1..].iter().all(u8::is_ascii_digit) => &host[..colon],
        _ => host,
    }
}

fn check_agents(head: &Head<'_>, to: &mut Inspector<'_>) {
    match head.get("user-agent") {
        None => to.report(&NO_AGENT, header("User-Agent"), b""),
        Some(b"") => to.report(&EMPTY_AGENT, header("User-Agent"), b""),
        Some(_) => {}
    }
    match head.get("accept") {
        None if head.method != b"OPTIONS" => to.report(&NO_ACCEPT, header("Accept"), b""),
        Some(b"") if head.method != b"OPTIONS" => to.report(&EMPTY_ACCEPT, header("Accept"), b""),
        Some(value) if !value.is_empty() && !accept_valid(value) => to.report(&ACCEPT, header("Accept"), value),
        _ => {}
    }
    if let Some(value) = head.get("accept-encoding") {
        let known = |coding: &[u8]| {
            let name = coding.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            let all: [&[u8]; 12] = [
                b"",
                b"gzip",
                b"x-gzip",
                b"deflate",
                b"br",
                b"zstd",
                b"compress",
                b"x-compress",
                b"identity",
                b"*",
                b"dcb",
                b"dcz",
            ];
            all.iter().any(|known| name.eq_ignore_ascii_case(known))
        };
        if !value.split(|byte| *byte == b',').all(known) {
            to.report(&ACCEPT_ENCODING, header("Accept-Encoding"), value);
        }
    }
    if let Some(value) = head.get("connection") {
        let has = |word: &[u8]| {
            value.split(|byte| *byte == b',').filter(|part| part.trim_ascii().eq_ignore_ascii_case(word)).count()
        };
        if has(b"keep-alive") + has(b"close") > 1 {
            to.report(&CONNECTION, header("Connection"), value);
        }
    }
    if head.get("upgrade").is_some_and(|value| value.to_ascii_lowercase().starts_with(b"h2c")) {
        to.report(&UPGRADE_H2, header("Upgrade"), head.get("upgrade").unwrap_or_default());
    }
    if let Some(cookie) = head.get("cookie").filter(|cookie| cookie.trim_ascii_start().starts_with(b"$Version")) {
        to.report(&OLD_COOKIE, header("Cookie"), cookie);
    }
}

/// Media ranges with parameters; a charset only of those that are allowed.
fn accept_valid(value: &[u8]) -> bool {
    // Few have one, and to look for it costs more than for its first letter.
    let charset = memchr::memchr2(b's', b'S', value).and_then(|_| body::parameter(value, b"charset"));
    let (blocks, rest) = value.as_chunks::<16>();
    // A block without a branch, so that it becomes vector code.
    blocks.iter().all(|block| block.iter().fold(true, |all, byte| all & in_media_ranges(*byte)))
        && rest.iter().all(|byte| MEDIA_RANGES[usize::from(*byte)])
        && charset.is_none_or(|charset| charset_allowed(&charset))
}

/// Bytes of media ranges.
const MEDIA_RANGES: [bool; 256] = table(b"!#$%&'*+-.^_`|~/=;:, \t\"");

/// The same by comparisons: what is printed, and no `(`, `)`, `<`, `>`, `?`, `@`, `[`, `\`, `]`, `{`, `}`.
fn in_media_ranges(byte: u8) -> bool {
    let within = |from: u8, count: u8| byte.wrapping_sub(from) < count;
    let other = within(b'(', 2) | (byte == b'<') | within(b'>', 3) | within(b'[', 3) | (byte == b'{') | (byte == b'}');
    (within(b' ', 0x5f) | (byte == b'\t')) & !other
}

fn check_type(head: &Head<'_>, framing: Framing, to: &mut Inspector<'_>) {
    let place = header("Content-Type");
    if head.all("content-type").count() > 1 {
        to.report(&TWO_TYPES, place, head.all("content-type").nth(1).unwrap_or_default());
    }
    let Some(value) = head.get("content-type") else {
        if matches!(framing, Framing::Chunked | Framing::Length(1..)) {
            to.report(&NO_CONTENT_TYPE, place, b"");
        }
        return;
    };
    let lower = value.to_ascii_lowercase();
    let media = lower.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let word = |part: &[u8]| !part.is_empty() && part.iter().all(|byte| crate::head::token(*byte));
    let regular =
        media.iter().position(|byte| *byte == b'/').is_some_and(|at| word(&media[..at]) && word(&media[at + 1..]));
    let rest = &lower[lower.len().min(media.len())..];
    let parameters_regular = rest.iter().all(|byte| (0x20..0x7f).contains(byte) || *byte == b'\t');
    if !regular || !parameters_regular {
        to.report(&CONTENT_TYPE_FORM, place, value);
    }
    let suffix = media.ends_with(b"+json") || media.ends_with(b"+xml");
    let image = media.starts_with(b"image/") || media.starts_with(b"video/") || media.starts_with(b"audio/");
    if !suffix && !image && !to.engine.config.allowed_content_types.iter().any(|allowed| allowed.as_bytes() == media) {
        to.report(&CONTENT_TYPE, place, value);
    }
    let charsets = memchr::memchr_iter(b'=', &lower).filter(|at| lower[..=*at].ends_with(b"charset=")).count();
    if charsets > 1 {
        to.report(&TWO_CHARSETS, place, value);
    }
    if body::parameter(value, b"charset").is_some_and(|charset| !charset_allowed(&charset)) {
        to.report(&CHARSET, place, value);
    }
    let slash_outside = |text: &[u8]| {
        text.split(|byte| *byte == b';').any(|parameter| {
            let equals = parameter.iter().position(|byte| *byte == b'=').map_or(parameter, |at| &parameter[at + 1..]);
            let inner: Vec<u8> = equals.trim_ascii().iter().copied().filter(|byte| *byte != b'"').collect();
            let mut parts = inner.split(|byte| *byte == b'/');
            parts.clone().count() == 2
                && parts.all(|part| {
                    !part.is_empty() && part.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-+.".contains(byte))
                })
        })
    };
    if memchr::memchr(b'/', rest).is_some()
        && slash_outside(rest)
        && !rest.windows(5).any(|window| window == b"type=")
        && !rest.windows(8).any(|window| window == b"profile=")
    {
        to.report(&TYPE_IN_PARAMETER, place, value);
    }
}

fn check_body(head: &Head<'_>, framing: Framing, to: &mut Inspector<'_>) {
    let get = matches!(head.method, b"GET" | b"HEAD");
    if get && matches!(framing, Framing::Chunked | Framing::Length(1..)) {
        to.report(&GET_WITH_BODY, LINE, head.method);
    }
    let declared = head.get("content-length").is_some() || head.get("transfer-encoding").is_some();
    let later = head.version.starts_with(b"HTTP/2") || head.version.starts_with(b"HTTP/3");
    if head.method == b"POST" && !declared && !later {
        to.report(&NO_LENGTH, LINE, head.method);
    }
    if let Some(coding) = head.get("content-encoding") {
        let known: [&[u8]; 4] = [b"gzip", b"x-gzip", b"deflate", b"identity"];
        if !known.iter().any(|name| coding.eq_ignore_ascii_case(name)) {
            to.report(&CONTENT_ENCODING, header("Content-Encoding"), coding);
        }
    }
}

fn check_ranges(head: &Head<'_>, to: &mut Inspector<'_>) {
    for name in ["range", "request-range"] {
        let Some(value) = head.get(name) else { continue };
        to.report(&RANGE_HEADER, header("Range"), value);
        let list = value.iter().position(|byte| *byte == b'=').map_or(value, |at| &value[at + 1..]);
        let number = |digits: &[u8]| core::str::from_utf8(digits.trim_ascii()).ok()?.parse::<u64>().ok();
        let mut parts = 0;
        for part in list.split(|byte| *byte == b',') {
            parts += 1;
            let dash = part.iter().position(|byte| *byte == b'-').unwrap_or(part.len());
            let ends = (number(&part[..dash]), part.get(dash + 1..).and_then(number));
            if matches!(ends, (Some(from), Some(end)) if end < from) {
                to.report(&RANGE, header("Range"), part);
            }
        }
        // Readers of documents fetch many pieces at once.
        let document = head.target.to_ascii_lowercase().windows(4).any(|window| window == b".pdf" || window == b"epdf");
        if parts > if document { 62 } else { 5 } {
            to.report(&RANGES, header("Range"), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_accept() {
        assert!((0..=255).all(|byte| in_media_ranges(byte) == MEDIA_RANGES[usize::from(byte)]));
        assert!(!accept_valid(b"text/html,application/xhtml+xml,a<b"));
        for value in ["*/*", "text/html,application/xml;q=0.9", "text/plain; charset=utf-8"] {
            assert!(accept_valid(value.as_bytes()), "{value}");
        }
        for value in ["text/plain; charset=utf-7", "a(b)", "<x>"] {
            assert!(!accept_valid(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn hosts_without_their_port() {
        for (host, name) in [("example.com:80", "example.com"), ("example.com", "example.com"), ("[::1]:8080", "[::1]")]
        {
            assert_eq!(without_port(host.as_bytes()), name.as_bytes());
        }
    }
}
