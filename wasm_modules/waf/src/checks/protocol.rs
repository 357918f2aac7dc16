//! Checks of a request's form: code, not patterns.

use alloc::vec::Vec;

use crate::{
    body,
    finding::{
        Category::{self, Inclusion, Protocol, Session, Smuggling},
        Part, Place,
        Severity::{self, Critical, Notice, Warning},
    },
    head::{Framing, Head, table},
    inspector::{Inspector, Rule},
    normalise::{decoded, hex},
};

const fn rule(id: u32, severity: Severity, level: u8, category: Category, message: &'static str) -> Rule {
    Rule { id, severity, level, category, message }
}

macro_rules! rules {
    ($($name:ident = $id:literal, $severity:ident, $level:literal, $category:ident, $message:literal;)*) => {
        $(pub(crate) const $name: Rule = rule($id, $severity, $level, $category, $message);)*
        /// Every check of this file, for the documentation.
        pub(crate) const ALL: &[Rule] = &[$($name),*];
    };
}

rules! {
    METHOD = 91101, Critical, 1, Protocol, "method is not allowed";
    REQUEST_LINE = 92001, Warning, 1, Protocol, "request line is not valid";
    FILE_NAME = 92002, Critical, 1, Protocol, "name of a field or file has characters that confuse parsers";
    CONTENT_LENGTH = 92003, Critical, 1, Smuggling, "Content-Length is not a number";
    GET_WITH_BODY = 92004, Critical, 1, Protocol, "GET or HEAD with a body";
    NO_LENGTH = 92005, Warning, 1, Protocol, "POST without Content-Length and Transfer-Encoding";
    LENGTH_AND_ENCODING = 92006, Critical, 1, Smuggling, "Content-Length beside Transfer-Encoding";
    RANGE = 92007, Warning, 1, Protocol, "Range with an end before its start";
    RANGES = 92008, Warning, 1, Protocol, "Range with many parts";
    CONNECTION = 92009, Warning, 1, Protocol, "Connection contradicts itself";
    PERCENT = 92010, Warning, 1, Protocol, "percent encoding is not valid";
    UTF8 = 92012, Warning, 1, Protocol, "UTF-8 is overlong or not valid";
    FULL_WIDTH = 92013, Warning, 1, Protocol, "full-width letters by %u";
    NUL_VALUE = 92014, Critical, 1, Protocol, "NUL in a value";
    UNPRINTABLE = 92015, Critical, 2, Protocol, "control character in a value";
    NOT_ASCII = 92016, Critical, 4, Protocol, "value is not plain ASCII";
    NO_HOST = 92017, Warning, 1, Protocol, "Host is missing";
    EMPTY_HOST = 92018, Warning, 1, Protocol, "Host is empty";
    TWO_HOSTS = 92019, Critical, 1, Smuggling, "Host is there twice";
    NUMERIC_HOST = 92020, Warning, 1, Protocol, "Host is an address";
    EMPTY_ACCEPT = 92021, Notice, 1, Protocol, "Accept is empty";
    NO_AGENT = 92022, Notice, 2, Protocol, "User-Agent is missing";
    EMPTY_AGENT = 92023, Notice, 1, Protocol, "User-Agent is empty";
    NO_CONTENT_TYPE = 92024, Notice, 1, Protocol, "body without Content-Type";
    CONTENT_TYPE = 92025, Critical, 1, Protocol, "Content-Type is not allowed";
    CONTENT_TYPE_FORM = 92026, Critical, 1, Protocol, "Content-Type is not valid";
    CHARSET = 92027, Critical, 1, Protocol, "charset is not allowed";
    TWO_CHARSETS = 92028, Critical, 1, Protocol, "charset is there twice";
    VERSION = 92029, Critical, 1, Protocol, "HTTP version is not allowed";
    EXTENSION = 92030, Critical, 1, Protocol, "extension of the path is restricted";
    BACKUP = 92031, Critical, 1, Protocol, "path of a backup or working file";
    HEADER = 92032, Critical, 1, Protocol, "header is restricted";
    ACCEPT = 92033, Critical, 1, Protocol, "Accept is not valid";
    ACCEPT_ENCODING = 92034, Critical, 1, Protocol, "Accept-Encoding is not valid";
    TWO_TYPES = 92035, Critical, 1, Protocol, "Content-Type is there twice";
    OVERRIDE = 92036, Warning, 1, Protocol, "parameter overrides the method";
    ESCAPED_LETTER = 92037, Critical, 1, Protocol, "letters as \\u escapes in a form";
    TOO_MANY_ARGS = 92038, Critical, 1, Protocol, "too many parameters";
    LONG_NAME = 92039, Critical, 1, Protocol, "name of a parameter is very long";
    HEAD_TOO_LARGE = 92040, Critical, 1, Protocol, "request line and headers are too large";
    BODY_TOO_LARGE = 92041, Notice, 1, Protocol, "body is larger than what is inspected";
    FRAGMENT = 92042, Warning, 2, Protocol, "target has a fragment";
    NO_ACCEPT = 92043, Notice, 3, Protocol, "Accept is missing";
    CONTENT_ENCODING = 92044, Critical, 1, Protocol, "Content-Encoding cannot be undone";
    COMPRESSED = 92045, Critical, 1, Protocol, "compressed body is broken";
    MALFORMED_JSON = 92046, Warning, 1, Protocol, "JSON is not valid";
    MULTIPART_UNCLOSED = 92047, Warning, 1, Protocol, "multipart body does not end with its boundary";
    XML_ENTITY = 92048, Critical, 1, Inclusion, "XML declares an entity";
    XML_EXTERNAL = 92049, Critical, 1, Inclusion, "XML names an external definition";
    NOT_HTTP = 92050, Critical, 1, Protocol, "not a request of HTTP/1";
    UPGRADE_H2 = 92051, Critical, 1, Smuggling, "upgrade to clear-text HTTP/2";
    BARE_LF = 92101, Warning, 1, Smuggling, "line ends without CR";
    BARE_CR = 92102, Critical, 1, Smuggling, "CR inside of a line";
    NUL = 92103, Critical, 1, Smuggling, "NUL in a header";
    FOLDED = 92104, Critical, 1, Smuggling, "folded header";
    NO_COLON = 92105, Critical, 1, Smuggling, "header without a colon";
    HEADER_NAME = 92106, Critical, 1, Smuggling, "name of a header is not valid";
    SPACE_BEFORE_COLON = 92107, Critical, 1, Smuggling, "space before a header's colon";
    TRANSFER_ENCODING = 92108, Critical, 1, Smuggling, "Transfer-Encoding is not plainly chunked";
    TWO_LENGTHS = 92109, Critical, 1, Smuggling, "Content-Length is there twice";
    CHUNK_SIZE = 92110, Critical, 1, Smuggling, "size of a chunk is not valid";
    CHUNK_END = 92111, Critical, 1, Smuggling, "chunk does not end where its size says";
    CHUNK_EXTENSION = 92112, Warning, 1, Smuggling, "chunk has an extension";
    TRAILER = 92113, Critical, 1, Smuggling, "trailer that only a header may be";
    OLD_COOKIE = 92114, Critical, 1, Smuggling, "cookie of the old version 1";
    TYPE_IN_PARAMETER = 92115, Critical, 1, Protocol, "media type in a parameter of Content-Type";
    ARRAY_NAME = 92117, Critical, 4, Protocol, "parameter's name is an array's";
    RANGE_HEADER = 92118, Warning, 3, Protocol, "Range is there";
    SESSION = 94303, Critical, 1, Session, "session in a parameter, and no page of this site led here";
    PART_CHARSET = 92201, Critical, 1, Protocol, "charset of a part is not allowed";
    PART_ENCODING = 92202, Critical, 1, Protocol, "Content-Transfer-Encoding of a part";
    PART_HEADER = 92203, Critical, 1, Protocol, "header of a part is not valid";
}

const CHARSETS: [&[u8]; 6] = [b"utf-8", b"utf8", b"iso-8859-1", b"iso-8859-15", b"windows-1252", b"us-ascii"];

pub(crate) fn charset_allowed(charset: &[u8]) -> bool {
    CHARSETS.iter().any(|known| charset.trim_ascii().eq_ignore_ascii_case(known))
}

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
    let path = head.target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let mut plain = Vec::new();
    let plain = decoded(path, false, &mut plain);
    let file = plain.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let last = file.last().map(u8::to_ascii_lowercase);
    let ends = |extension: &[u8]| {
        extension.last().copied() == last
            && file.len() >= extension.len()
            && file[file.len() - extension.len()..].eq_ignore_ascii_case(extension)
    };
    let restricted = config.restricted_extensions.iter().any(|extension| ends(extension.as_bytes()));
    let backup = plain.contains(&b'~')
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
    if head.target.contains(&b'#') {
        to.report(&FRAGMENT, LINE, head.target);
    }
    if plain.contains(&0) {
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
            let name = host.rsplit_once_port();
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
trait WithoutPort {
    fn rsplit_once_port(&self) -> &[u8];
}

impl WithoutPort for [u8] {
    fn rsplit_once_port(&self) -> &[u8] {
        match self.iter().rposition(|byte| *byte == b':') {
            Some(colon) if self[colon + 1..].iter().all(u8::is_ascii_digit) => &self[..colon],
            _ => self,
        }
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
    const KNOWN: [bool; 256] = table(b"!#$%&'*+-.^_`|~/=;:, \t\"");
    // Few have one, and to look for it costs more than for its first letter.
    let charset = memchr::memchr2(b's', b'S', value).and_then(|_| body::parameter(value, b"charset"));
    value.iter().all(|byte| KNOWN[usize::from(*byte)]) && charset.is_none_or(|charset| charset_allowed(&charset))
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
    let charsets = lower.windows(8).filter(|window| *window == b"charset=").count();
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
    if slash_outside(rest)
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

/// Encodings of a parameter as it came.
pub(crate) fn check_encoding(name: &[u8], value: &[u8], to: &mut Inspector<'_>) {
    let place = Place { part: Part::Arg, name };
    if memchr::memchr(b'%', value).is_none() && memchr::memchr(b'%', name).is_none() {
        return;
    }
    if invalid_percent(value) || invalid_percent(name) {
        to.report(&PERCENT, place, value);
    }
    if memchr::memchr_iter(b'%', value).any(|at| matches!(value.get(at + 1), Some(b'u' | b'U'))) {
        let full = |window: &[u8]| {
            window[0] == b'%'
                && window[1].eq_ignore_ascii_case(&b'u')
                && window[2..4].eq_ignore_ascii_case(b"ff")
                && hex(window[4]).is_some()
                && hex(window[5]).is_some()
        };
        if value.windows(6).any(full) {
            to.report(&FULL_WIDTH, place, value);
        }
    }
}

/// `%` without two hexadecimal digits behind it; `%uXXXX` is another check's. A percent sign that stands alone, as in
/// `100% sure`, is none.
fn invalid_percent(text: &[u8]) -> bool {
    let mut at = 0;
    let mut invalid = false;
    while let Some(found) = memchr::memchr(b'%', &text[at..]) {
        at += found + 1;
        let digits = text[at..].iter().take(2).filter(|byte| hex(**byte).is_some()).count();
        let letter = text.get(at).is_some_and(u8::is_ascii_alphanumeric);
        match digits {
            2 => {}
            _ if text.get(at).is_some_and(|byte| byte.eq_ignore_ascii_case(&b'u')) => {}
            _ => invalid |= letter,
        }
    }
    invalid
}

/// A parameter's name or value, decoded.
pub(crate) fn check_value(part: Part, name: &[u8], value: &[u8], to: &mut Inspector<'_>) {
    let place = Place { part, name: if part == Part::ArgName { b"" } else { name } };
    let (mut nul, mut high, mut control) = (false, false, false);
    for &byte in value {
        nul |= byte == 0;
        high |= byte >= 0x80;
        control |= byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r') || byte == 0x7f;
    }
    if nul {
        to.report(&NUL_VALUE, place, value);
    }
    if control {
        to.report(&UNPRINTABLE, place, value);
    }
    if high {
        to.report(&NOT_ASCII, place, value);
        if broken_utf8(value) {
            to.report(&UTF8, place, value);
        }
    }
    if part == Part::ArgName && to.verdict.foreign && session(value) {
        to.report(&SESSION, place, value);
    }
    match part {
        Part::ArgName if value.len() > 100 && !name.is_empty() => to.report(&LONG_NAME, place, value),
        Part::ArgName if value.contains(&b'[') => to.report(&ARRAY_NAME, place, value),
        Part::Arg if name.eq_ignore_ascii_case(b"_method") => {
            let letters = value.iter().all(u8::is_ascii_alphabetic);
            if (3..=10).contains(&value.len()) && letters && !value.eq_ignore_ascii_case(b"post") || value == b"POST" {
                to.report(&OVERRIDE, place, value);
            }
        }
        _ => {}
    }
}

/// Whether a parameter of this name carries a session.
fn session(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 32] = [
        b"jsessionid",
        b"jservsession",
        b"jwsession",
        b"phpsessid",
        b"phpsession",
        b"asp.net_sessionid",
        b"sessionid",
        b"session-id",
        b"session_id",
        b"_session_id",
        b"sessid",
        b"zend_session_id",
        b"laravel_session",
        b"ci_session",
        b"cakephp",
        b"cfid",
        b"cftoken",
        b"cfsid",
        b"connect.sid",
        b"koa.sess",
        b"koa:sess",
        b"koa.sid",
        b"sails.sid",
        b"rack.session",
        b"play_session",
        b"meteor_login_token",
        b"next-auth.session-token",
        b"shiny-token",
        b"weblogicsession",
        b"viewstate",
        b"__host-next-auth.session-token",
        b"__secure-next-auth.session-token",
    ];
    let name = name.to_ascii_lowercase();
    NAMES.contains(&&name[..])
        || name.starts_with(b"aspsessionid")
        || name.starts_with(b"_") && name.ends_with(b"_session")
}

/// Whether there is an overlong form, or the beginning of a character without the rest. Text in an old 8-bit encoding is
/// told apart: it has no valid characters of several bytes.
fn broken_utf8(text: &[u8]) -> bool {
    let mut rest = text;
    loop {
        match core::str::from_utf8(rest) {
            Ok(_) => return false,
            Err(error) => {
                let bad = &rest[error.valid_up_to()..];
                // A piece of a longer value may begin or end within a character.
                let cut = text.len() >= body::PIECE;
                if matches!(
                    bad,
                    [0xc0 | 0xc1 | 0xf5..=0xff, 0x80..=0xbf, ..] | [0xe0, 0x80..=0x9f, ..] | [0xf0, 0x80..=0x8f, ..]
                ) || !cut
                {
                    return true;
                }
                rest = &bad[1..];
            }
        }
    }
}

/// Letters as `\uXXXX` in a form, where nothing decodes them but a script.
pub(crate) fn check_escapes(name: &[u8], value: &[u8], to: &mut Inspector<'_>) {
    // Of ASCII only: others are written so where a page's charset lacks them.
    let escape = |window: &[u8]| {
        window[..4].eq_ignore_ascii_case(b"\\u00")
            && hex(window[4]).is_some_and(|digit| digit < 8)
            && hex(window[5]).is_some()
    };
    if memchr::memchr(b'\\', value).is_some() && value.windows(6).any(escape) {
        to.report(&ESCAPED_LETTER, Place { part: Part::Arg, name }, value);
    }
}

/// The name of a field or file of a multipart body: separators in it may hide another name, unless they end an entity.
pub(crate) fn check_file_name(name: &[u8], to: &mut Inspector<'_>) {
    let place = Place { part: Part::FileName, name: b"" };
    let mut start = 0;
    for (at, byte) in name.iter().enumerate() {
        match byte {
            b'&' => start = at + 1,
            b';' if start > 0 && entity(&name[start..at]) => start = 0,
            b';' | b'=' | b'"' | b'\\' => {
                to.report(&FILE_NAME, place, name);
                return;
            }
            _ => {}
        }
    }
}

/// A letter with an accent, or one of the few others that browsers make of what a form's charset lacks.
fn entity(name: &[u8]) -> bool {
    let accents: [&[u8]; 12] = [
        b"uml", b"circ", b"acute", b"grave", b"cedil", b"tilde", b"caron", b"ring", b"slash", b"lig", b"breve", b"macr",
    ];
    let letter = name.first().is_some_and(u8::is_ascii_alphabetic) && name.len() > 1;
    letter && accents.iter().any(|accent| &name[1..] == *accent)
        || name.eq_ignore_ascii_case(b"amp")
        || name == b"nbsp"
        || name == b"apos"
        || name.starts_with(b"#") && name[1..].iter().all(|byte| byte.is_ascii_alphanumeric())
}
