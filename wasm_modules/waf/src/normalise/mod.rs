//! Normal forms of a value: what an application behind would make of it, in small letters.
//!
//! `raw` is the value in small letters. `text` has every encoding undone: percent (twice), `%uXXXX`, HTML entities,
//! escapes of JavaScript, overlong and full-width UTF-8, NUL. From `text` come `comments` (those of SQL gone), `command`
//! (what a shell reads over) and `path` (slashes, dots and path parameters).

mod plain;

use alloc::vec::Vec;

pub(crate) use plain::{class, plain};

pub(crate) fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// The number that `digits` hexadecimal digits at `at` write.
fn hex_at(text: &[u8], at: usize, digits: usize) -> Option<u32> {
    text.get(at..at + digits)?.iter().try_fold(0, |number, &byte| Some(number << 4 | u32::from(hex(byte)?)))
}

/// As [`percent`], without a copy of what has no encoding.
pub(crate) fn decoded<'a>(text: &'a [u8], plus: bool, buffer: &'a mut Vec<u8>) -> &'a [u8] {
    if memchr::memchr2(b'%', if plus { b'+' } else { b'%' }, text).is_none() {
        return text;
    }
    percent(text, plus, buffer);
    buffer
}

/// Percent decoding as a form has it: `%XX`, and `+` for a space where `plus` says so.
pub(crate) fn percent(text: &[u8], plus: bool, out: &mut Vec<u8>) {
    out.clear();
    out.reserve(text.len());
    let mut rest = text;
    // A plus is never found where it is none: the second byte searched for is the first then.
    while let Some(at) = memchr::memchr2(b'%', if plus { b'+' } else { b'%' }, rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let step = match (rest[0], hex_at(rest, 1, 2), hex_at(rest, 2, 4)) {
            (b'%', Some(value), _) => {
                out.push(value.to_le_bytes()[0]);
                3
            }
            (b'%', None, Some(value)) if matches!(rest[1], b'u' | b'U') => {
                push(out, value);
                6
            }
            (b'%', ..) => {
                out.push(b'%');
                1
            }
            _ => {
                out.push(b' ');
                1
            }
        };
        rest = &rest[step..];
    }
    out.extend_from_slice(rest);
}

/// A character, the full-width forms of ASCII as ASCII, spaces of all kinds as one.
fn push(out: &mut Vec<u8>, code: u32) {
    match code {
        0x00..0x80 => out.push(code.to_le_bytes()[0]),
        0xff01..=0xff5e => out.push((code - 0xfee0).to_le_bytes()[0]),
        0xa0 | 0x2000..=0x200a | 0x3000 => out.push(b' '),
        0x200b..=0x200d | 0xfeff => {}
        _ => {
            let mut buffer = [0; 4];
            out.extend(char::from_u32(code).unwrap_or('\u{fffd}').encode_utf8(&mut buffer).as_bytes());
        }
    }
}

pub(crate) fn lower(text: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.extend(text.iter().map(u8::to_ascii_lowercase));
}

/// Undo in place, with `spare` to work in, every encoding that `classes` says can be there; then small letters again.
pub(crate) fn text(value: &mut Vec<u8>, classes: u16, spare: &mut Vec<u8>) {
    if classes & class::PERCENT != 0 {
        for _ in 0..2 {
            if memchr::memchr(b'%', value).is_none() {
                break;
            }
            percent(value, false, spare);
            core::mem::swap(value, spare);
        }
    }
    if classes & (class::AMPERSAND | class::PERCENT) != 0 {
        for _ in 0..2 {
            if memchr::memchr(b'&', value).is_none() {
                break;
            }
            entities(value, spare);
            core::mem::swap(value, spare);
        }
    }
    if classes & (class::BACKSLASH | class::PERCENT | class::AMPERSAND) != 0 && memchr::memchr(b'\\', value).is_some() {
        escapes(value, spare);
        core::mem::swap(value, spare);
    }
    if classes & (class::HIGH | class::PERCENT) != 0 && value.iter().any(|byte| *byte >= 0x80) {
        utf8(value, spare);
        core::mem::swap(value, spare);
    }
    if memchr::memchr(0, value).is_some() {
        value.retain(|byte| *byte != 0);
    }
    value.make_ascii_lowercase();
}

/// HTML's entities, with or without the semicolon.
fn entities(text: &[u8], out: &mut Vec<u8>) {
    const NAMED: [(&[u8], u8); 22] = [
        (b"lt", b'<'),
        (b"gt", b'>'),
        (b"quot", b'"'),
        (b"apos", b'\''),
        (b"amp", b'&'),
        (b"colon", b':'),
        (b"lpar", b'('),
        (b"rpar", b')'),
        (b"sol", b'/'),
        (b"bsol", b'\\'),
        (b"semi", b';'),
        (b"tab", b'\t'),
        (b"newline", b'\n'),
        (b"nbsp", b' '),
        (b"equals", b'='),
        (b"grave", b'`'),
        (b"lbrace", b'{'),
        (b"rbrace", b'}'),
        (b"lbrack", b'['),
        (b"rbrack", b']'),
        (b"period", b'.'),
        (b"comma", b','),
    ];
    out.clear();
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'&', &text[at..]) {
        out.extend_from_slice(&text[at..at + found]);
        at += found;
        let rest = &text[at + 1..];
        let (code, digits) = match rest {
            [b'#', b'x' | b'X', more @ ..] => number(more, 16).map_or((0, 0), |(code, digits)| (code, digits + 2)),
            [b'#', more @ ..] => number(more, 10).map_or((0, 0), |(code, digits)| (code, digits + 1)),
            _ => NAMED
                .iter()
                .find(|(name, _)| {
                    rest.len() > name.len() && rest[..name.len()].eq_ignore_ascii_case(name) && rest[name.len()] == b';'
                })
                .map_or((0, 0), |(name, byte)| (u32::from(*byte), name.len())),
        };
        if digits == 0 {
            out.push(b'&');
            at += 1;
        } else {
            push(out, code);
            at += 1 + digits + usize::from(rest.get(digits) == Some(&b';'));
        }
    }
    out.extend_from_slice(&text[at..]);
}

/// A number of at most 8 digits behind any zeroes: value and how many digits.
fn number(text: &[u8], radix: u32) -> Option<(u32, usize)> {
    let zeroes = text.iter().take(64).take_while(|byte| **byte == b'0').count();
    let rest = &text[zeroes..];
    let digits = zeroes + rest.iter().take(8).take_while(|byte| char::from(**byte).is_digit(radix)).count();
    let value = text[zeroes..digits].iter().fold(0_u32, |value, byte| {
        value.wrapping_mul(radix).wrapping_add(char::from(*byte).to_digit(radix).unwrap_or(0))
    });
    (digits > 0).then_some((value, digits))
}

/// `\xHH`, `\uHHHH`, `\u{H}`. What else a backslash may stand for is left: it is also the separator of Windows' paths.
fn escapes(text: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &text[at..]) {
        out.extend_from_slice(&text[at..at + found]);
        at += found;
        let found = match text[at..] {
            [b'\\', b'x' | b'X', ..] => hex_at(text, at + 2, 2).map(|code| (code, 4)),
            [b'\\', b'u' | b'U', b'{', ..] => number(&text[at + 3..], 16)
                .filter(|(_, digits)| text.get(at + 3 + digits) == Some(&b'}'))
                .map(|(code, digits)| (code, digits + 4)),
            [b'\\', b'u' | b'U', ..] => hex_at(text, at + 2, 4).map(|code| (code, 6)),
            _ => None,
        };
        if let Some((code, step)) = found {
            push(out, code);
            at += step;
        } else {
            out.push(text[at]);
            at += 1;
        }
    }
    out.extend_from_slice(&text[at..]);
}

/// Overlong forms and full-width characters as ASCII; anything else stays.
fn utf8(text: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let low = |byte: u8| u32::from(byte & 0x3f);
    let mut at = 0;
    while at < text.len() {
        let (code, step) = match text[at..] {
            [a @ (0xc0 | 0xc1), b @ 0x80..=0xbf, ..] => (u32::from(a & 1) << 6 | low(b), 2),
            [0xe0, b @ 0x80..=0x9f, c @ 0x80..=0xbf, ..] => (low(b) << 6 | low(c), 3),
            [0xc2, 0xa0, ..] => (0xa0, 2),
            [a @ (0xe2 | 0xe3 | 0xef), b @ 0x80..=0xbf, c @ 0x80..=0xbf, ..] => {
                (u32::from(a & 0xf) << 12 | low(b) << 6 | low(c), 3)
            }
            _ => (0, 0),
        };
        if step == 0 {
            out.push(text[at]);
            at += 1;
        } else {
            push(out, code);
            at += step;
        }
    }
}

/// SQL's comments as spaces, `/*! … */` as what is in it. False when there is none.
pub(crate) fn comments(text: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let mut changed = false;
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'/', b'*', &text[at..]) {
        out.extend_from_slice(&text[at..at + found]);
        at += found;
        if text[at..].starts_with(b"/*!") {
            at += 3;
            while text.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
        } else if text[at..].starts_with(b"/*") {
            let end = text[at + 2..].windows(2).position(|pair| pair == b"*/");
            at = end.map_or(text.len(), |end| at + 2 + end + 2);
        } else if text[at..].starts_with(b"*/") {
            at += 2;
        } else {
            out.push(text[at]);
            at += 1;
            continue;
        }
        changed = true;
        out.push(b' ');
    }
    out.extend_from_slice(&text[at..]);
    changed
}

/// Whether a shell may read words in `text` that it does not show: by quotes within a word, escapes, expansions. A quotation
/// and an apostrophe hide nothing.
pub(crate) fn hides(text: &[u8]) -> bool {
    let inner = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"'\"/".contains(byte));
    let mut at = 0;
    while let Some(found) = text[at..].iter().position(|byte| plain::CLASSES[usize::from(*byte)] & class::SHELL != 0) {
        at += found + 1;
        let before = (at > 1).then(|| &text[at - 2]);
        let rest = &text[at..];
        let hidden = match text[at - 1] {
            b'\\' => rest.first().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'\n'),
            b'^' => inner(before) && inner(rest.first()),
            b'$' => matches!(
                rest,
                [b'@' | b'*' | b'!' | b'{' | b'0'..=b'9' | b'\'', ..] | [b'(', b')', ..] | [b'i', b'f', b's', ..]
            ),
            b'`' => rest.first() == Some(&b'`'),
            b'{' => {
                let end = rest.iter().take(100).position(|byte| *byte == b'}').unwrap_or(0);
                rest[..end].contains(&b',') && !rest[..end].contains(&b':')
            }
            quote @ (b'\'' | b'"') => {
                // Another one in the same word.
                let other = || {
                    let ends = |byte: &u8| byte.is_ascii_whitespace();
                    let word = rest.iter().take(64).position(ends).unwrap_or(rest.len().min(64));
                    let behind = text[..at - 1].iter().rev().take(64).take_while(|byte| !ends(byte));
                    rest[..word].contains(&quote) || behind.into_iter().any(|byte| *byte == quote)
                };
                // `['constructor']` and `'a'+'b'` are code's way to hide a name.
                matches!(before, Some(b'[' | b'+')) || inner(before) && inner(rest.first()) && other()
            }
            _ => false,
        };
        if hidden {
            return true;
        }
    }
    false
}

/// What a shell makes of it: quotes, backslashes, carets and empty expansions inside of words gone, `$IFS` and braces as
/// spaces. False when nothing changed.
pub(crate) fn command(text: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let (with, step): (&[u8], usize) = match rest {
            [b'$', b'{', b'i', b'f', b's', ..] => {
                (b" ", rest.iter().position(|byte| *byte == b'}').map_or(rest.len(), |end| end + 1))
            }
            [b'$', b'i', b'f', b's', b'$', b'0'..=b'9', ..] => (b" ", 6),
            [b'$', b'i', b'f', b's', ..] => (b" ", 4),
            [b'$', b'@' | b'*' | b'0'..=b'9' | b'!', ..] => (b"", 2),
            [b'$', b'(', b')', ..] => (b"", 3),
            [b'`', b'`', ..] => (b"", 2),
            [b'\\', b'\n', ..] => (b"", 2),
            [b'\'' | b'"' | b'\\' | b'^', ..] => (b"", 1),
            [b'{' | b',' | b'}', ..] if text.contains(&b'{') => (b" ", 1),
            _ => (&rest[..1], 1),
        };
        out.extend_from_slice(with);
        at += step;
    }
    out != text
}

/// Slashes of one kind, without empty and `.` parts, `..;` as `..`. False when nothing changed.
pub(crate) fn path(text: &[u8], out: &mut Vec<u8>) -> bool {
    let odd = |at: usize| match text.get(at + 1) {
        Some(b'/') => at == 0 || text[at - 1] != b':',
        next => next == Some(&b'.') || text[..at].ends_with(b";"),
    };
    if memchr::memchr(b'\\', text).is_none() && !memchr::memchr_iter(b'/', text).any(odd) {
        return false;
    }
    out.clear();
    let mut at = 0;
    while at < text.len() {
        let byte = if text[at] == b'\\' { b'/' } else { text[at] };
        let slash = out.last() == Some(&b'/');
        // `://` stays: it is no path's.
        let scheme = out.len() >= 2 && out[out.len() - 2] == b':';
        match (byte, text.get(at + 1)) {
            (b'/', _) if slash && !scheme => at += 1,
            (b'.', Some(b'/' | b'\\')) if slash => at += 2,
            (b';', Some(b'/' | b'\\')) if out.ends_with(b"..") => at += 1,
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out != text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(value: &str) -> String {
        made_of(value.as_bytes())
    }

    fn made_of(value: &[u8]) -> String {
        let mut text_form = Vec::new();
        lower(value, &mut text_form);
        text(&mut text_form, plain(value, &mut Vec::new()), &mut Vec::new());
        String::from_utf8_lossy(&text_form).into_owned()
    }

    #[test]
    fn encodings_are_undone() {
        for (value, plain) in [
            ("Plain Text, 100% & more", "plain text, 100% & more"),
            ("%253Cscript%253e", "<script>"),
            ("%u003cscript%uff1e", "<script>"),
            ("&lt;a&#x3E;&#62b &unknown;", "<a>>b &unknown;"),
            (r"\x3cimg\u003E\u{3d}\users", r"<img>=\users"),
            ("\u{ff1c}x\u{ff1e}\u{a0}y", "<x> y"),
            ("un\0ion", "union"),
            ("caf\u{e9} \u{4f60}\u{597d}", "caf\u{e9} \u{4f60}\u{597d}"),
            ("&#38;lt;&amp;tab;", "<\t"),
            ("&#0000000000000060;", "<"),
        ] {
            assert_eq!(made(value), plain);
        }
        assert_eq!(made_of(b"..\xc0\xaf..\xe0\x80\xaf"), "../../");
    }

    #[test]
    fn forms_for_sql_shells_and_paths() {
        let mut out = Vec::new();
        assert!(comments(b"1/**/union/*x*/all/*!50000 select*/ 2 /*", &mut out));
        assert_eq!(out, b"1 union all  select  2  ");
        assert!(!comments(b"1 - 2 / 3", &mut out));
        for (value, plain) in [
            (&br#"c'a't${ifs}/e"tc"/pa\sswd"#[..], &b"cat /etc/passwd"[..]),
            (b"wh$@oami", b"whoami"),
            (b"p^ing", b"ping"),
            (b"{cat,/etc/passwd}", b" cat /etc/passwd "),
        ] {
            assert!(command(value, &mut out));
            assert_eq!(out, plain);
        }
        assert!(!command(b"ls, -l", &mut out));
        for (value, plain) in [
            (&br"\windows\\system32"[..], &b"/windows/system32"[..]),
            (b"/a/./b//..;/c", b"/a/b/../c"),
            (b"http://h/x", b"http://h/x"),
        ] {
            assert_eq!(path(value, &mut out), value != plain);
            assert!(value == plain || out == plain);
        }
    }

    #[test]
    fn forms() {
        let mut out = Vec::new();
        percent(b"a+b%20c%zz%4", true, &mut out);
        assert_eq!(out, b"a b c%zz%4");
    }
}
