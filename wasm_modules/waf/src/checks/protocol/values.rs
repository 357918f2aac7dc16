//! The form of values: encodings, bytes that no value has, names that are none.

use super::*;
use crate::{
    body,
    finding::{Part, Place},
    inspector::Inspector,
    normalise::hex,
};

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
pub(super) fn invalid_percent(text: &[u8]) -> bool {
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
        Part::Arg if web_address(value) && code_path(name) => to.report(&INCLUDED, place, value),
        _ => {}
    }
}

/// Whether it begins as the URL of a file elsewhere does.
fn web_address(value: &[u8]) -> bool {
    let scheme = value.iter().take(6).position(|byte| *byte == b':').unwrap_or(0);
    value[scheme..].starts_with(b"://")
        && [&b"http"[..], b"https", b"ftp", b"ftps", b"file"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(&value[..scheme]))
}

/// Whether a parameter of this name tells applications where the code lies that they include.
fn code_path(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 16] = [
        b"_conf[path]",
        b"_server[document_root]",
        b"absolute_path",
        b"abspath",
        b"appserv_root",
        b"basedir",
        b"config[root_dir]",
        b"dir_root",
        b"document_root",
        b"gallery_basedir",
        b"include_path",
        b"includedir",
        b"mosconfig_absolute_path",
        b"mosconfig_live_site",
        b"path[docroot]",
        b"phpbb_root_path",
    ];
    NAMES.iter().any(|known| known.eq_ignore_ascii_case(name))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_signs_that_encode_nothing() {
        for text in ["%zz", "a%g1", "%2", "%1x"] {
            assert!(invalid_percent(text.as_bytes()), "{text}");
        }
        for text in ["100% sure", "%41", "%u0041", "50%", "%%41", "a"] {
            assert!(!invalid_percent(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn utf8_that_is_none() {
        for text in [&b"\xc0\xaf"[..], b"\xe0\x80\xaf", b"a\xff", b"\xc3"] {
            assert!(broken_utf8(text), "{text:?}");
        }
        assert!(!broken_utf8("caf\u{e9} \u{1f600}".as_bytes()));
    }

    #[test]
    fn parameters_that_say_where_code_lies() {
        assert!(code_path(b"GALLERY_BASEDIR") && code_path(b"config[root_dir]") && !code_path(b"path"));
        assert!(web_address(b"http://evil.example/x") && web_address(b"FILE:///etc") && !web_address(b"x://y"));
        assert!(!web_address(b"://") && !web_address(b"http"));
    }

    #[test]
    fn names_of_sessions_and_entities() {
        assert!(session(b"PHPSESSID") && session(b"_app_session") && session(b"ASPSESSIONIDABC") && !session(b"page"));
        assert!(entity(b"auml") && entity(b"#228") && !entity(b"x") && !entity(b"filename"));
    }
}
