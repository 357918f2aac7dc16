//! What follows the name of a command, and tells it from a word of a text.

use crate::names::Names;

use super::{
    ALONE,
    names::{RARE, WORDS},
    split_name,
};

/// Whether what follows a command is what follows commands: an option, a path, a redirection. With `address`, also numbers; with
/// `spoken`, no host that a sentence goes on behind.
pub(super) fn argument(after: &[u8], address: bool, spoken: bool) -> bool {
    let text = after.trim_ascii_start();
    let spaced = text.len() < after.len();
    let word_end =
        text.iter().position(|byte| byte.is_ascii_whitespace() || b";|&<>".contains(byte)).unwrap_or(text.len());
    let word = &text[..word_end];
    let follows = text[word_end..].trim_ascii_start();
    let path = word.iter().filter(|byte| **byte == b'/').count() > 1;
    match text {
        [b'<', b'/', tag @ ..] if end_tag(tag) => false,
        [b'-', next, ..] if spaced => next.is_ascii_alphanumeric() || *next == b'-',
        [b'+', next, ..] if spaced => next.is_ascii_alphabetic(),
        [b'/', next, ..] => next.is_ascii_alphabetic() || b"*?".contains(next),
        [b'/'] | [b'.', b'/', ..] | [b'.', b'.', b'/', ..] | [b'~', b'/', ..] => true,
        [b'$', next, ..] => next.is_ascii_alphabetic() || b"{(".contains(next),
        [b'<', next, ..] => b"<(/".contains(next) || next.is_ascii_alphabetic(),
        [b'>', ..] => true,
        [b'|', next, ..] => next.is_ascii_alphabetic() || b" /".contains(next) && !address,
        [b';' | b'&', ..] | [] => false,
        _ if !spaced => false,
        _ => {
            // A sentence goes on behind a host's name, a command does not.
            // A bracket is no argument: what has one is a line of a stack trace.
            let last = follows.first().is_none_or(|next| !next.is_ascii_alphanumeric() && *next != b'(');
            path || names_file(word)
                || names_host(word) && (last || !spoken)
                || (!word.is_empty()
                    && (matches!(follows, [b'>', ..]) || follows.first() == Some(&b'|') && pipe(follows)))
                || (address && word.iter().all(u8::is_ascii_digit) && !word.is_empty())
        }
    }
}

/// Whether the end of an HTML element stands here, behind its `</`, and no file is read and another one written.
fn end_tag(text: &[u8]) -> bool {
    let name = text.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let ends = |next: &u8| next.is_ascii_whitespace() || *next == b'<';
    ELEMENTS.contains(&text[..name]) && text.get(name) == Some(&b'>') && text.get(name + 1).is_none_or(ends)
}

/// Elements that text ends in, sorted; none of them is a file in the root of a system.
#[rustfmt::skip]
static ELEMENTS: Names = Names::new(&[
    b"a", b"article", b"b", b"blockquote", b"button", b"caption", b"cite", b"code", b"dd", b"del", b"div", b"dt",
    b"em", b"figcaption", b"font", b"footer", b"h1", b"h2", b"h3", b"h4", b"h5", b"h6", b"header", b"i", b"ins",
    b"kbd", b"label", b"legend", b"li", b"mark", b"option", b"p", b"pre", b"q", b"s", b"samp", b"section", b"small",
    b"span", b"strong", b"sub", b"summary", b"sup", b"td", b"th", b"title", b"u",
]);

/// Whether a URL follows.
pub(super) fn url(after: &[u8]) -> bool {
    let word = after.trim_ascii_start();
    let scheme = word.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    scheme > 0 && word[scheme..].starts_with(b"://")
}

/// Whether `word` names a host, and perhaps a path on it, or is a URL of one.
pub(super) fn names_host(word: &[u8]) -> bool {
    word.iter().position(|byte| *byte == b'.').is_some_and(|dot| {
        let tail = &word[dot + 1..];
        dot > 0 && tail.len() > 1 && tail.iter().all(|byte| byte.is_ascii_alphanumeric() || b".-/:".contains(byte))
    })
}

/// Whether `word` ends as the names of files do that commands are pointed at.
pub(super) fn names_file(word: &[u8]) -> bool {
    word.iter().rposition(|byte| *byte == b'.').is_some_and(|dot| FILES.contains(&word[dot + 1..]))
}

/// As [`argument`], for a word that begins a value, as it may begin a sentence.
pub(super) fn strong_argument(name: &[u8], after: &[u8]) -> bool {
    let text = after.trim_ascii_start();
    match text {
        [b'-', b'-', next, ..] => next.is_ascii_alphabetic(),
        [b'-', next, ..] => next.is_ascii_alphabetic() && !left_out(name, &text[1..]),
        [b'/', next, ..] => next.is_ascii_alphabetic() || b"*?.".contains(next),
        [b'.', b'/', ..] | [b'.', b'.', b'/', ..] | [b'~', b'/', ..] | [b'<', b'<', b'<', ..] => true,
        _ => {
            let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
            let word = &text[..end];
            let scheme = word.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"'\"".contains(byte)).count();
            let url = word[scheme..].starts_with(b"://");
            let next = text[end..].trim_ascii_start();
            let lone = next.is_empty();
            url || names_file(word) && lone
                || !word.is_empty() && (matches!(next, [b'>', b' ' | b'/' | b'>', ..]) || pipe(next))
        }
    }
}

/// Whether what follows `name` and a dash is one word that a search leaves out (`python -snake`): longer than options are that stand
/// together, and alone. As an option it would bring no more than a word of code, which does nothing but in a shell.
fn left_out(name: &[u8], text: &[u8]) -> bool {
    let word = text.trim_ascii();
    SEARCHED.contains(name)
        && word.len() > 3
        && !(name == b"fish" && word[0] == b'c')
        && word.iter().all(|byte| byte.is_ascii_alphabetic() || *byte >= 0x80)
}

/// Commands whose names are things that people look for, sorted.
#[rustfmt::skip]
static SEARCHED: Names = Names::new(&[
    b"bridge", b"chef", b"docker", b"fish", b"gem", b"genie", b"lua", b"node", b"octave", b"perl", b"puppet", b"python",
    b"rake", b"ruby", b"yarn",
]);

/// Whether an option is among the arguments that follow.
pub(super) fn with_option(after: &[u8]) -> bool {
    // A bound keeps many of them linear.
    let after = &after[..after.len().min(200)];
    let end = after.iter().position(|byte| b";|&\n\r".contains(byte)).unwrap_or(after.len());
    after[..end].windows(2).enumerate().any(|(at, pair)| {
        pair == b" -"
            && (after[..at].trim_ascii().is_empty() || after.get(at + 2).is_some_and(u8::is_ascii_alphanumeric))
    })
}

/// Whether a script of sed follows, and no sentence of Latin: a letter that is a command of sed, what no word has, or `e` and the
/// command that it runs.
pub(super) fn script(after: &[u8]) -> bool {
    let Some(word) = after.split(u8::is_ascii_whitespace).find(|word| !word.is_empty()) else { return false };
    let word = word.iter().rposition(|byte| !b".,:;!?".contains(byte)).map_or(word, |end| &word[..=end]);
    let letters = word.iter().all(|byte| byte.is_ascii_alphabetic() || *byte >= 0x80);
    match word {
        _ if !letters => true,
        [letter] => *letter != b'a',
        [b'e', command @ ..] => RARE.contains(command) || ALONE.contains(command),
        _ => false,
    }
}

/// Whether `|` or `&&` and a command follow.
fn pipe(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"|").or(text.strip_prefix(b"&&")) else { return false };
    let (name, _) = split_name(rest.trim_ascii_start());
    RARE.contains(name) || WORDS.contains(name)
}

/// Endings of files that commands are pointed at.
static FILES: Names = Names::new(&[
    b"bak", b"bz2", b"c", b"cfg", b"conf", b"csv", b"env", b"gz", b"htm", b"html", b"ini", b"json", b"key", b"log",
    b"pem", b"php", b"pl", b"py", b"rb", b"sh", b"sql", b"tar", b"txt", b"xml", b"yaml", b"yml", b"zst",
]);

pub(super) fn windows_argument(after: &[u8]) -> bool {
    let text = after.trim_ascii_start();
    let spaced = text.len() < after.len();
    match text {
        [] => true,
        [b'/', next, ..] => next.is_ascii_alphabetic() || *next == b'?',
        [b'<' | b'>' | b'|', ..] => true,
        [b'-' | b'%' | b'\\' | b'"' | b'@', ..] => spaced,
        [drive, b':', b'\\' | b'/', ..] => spaced && drive.is_ascii_alphabetic(),
        [byte, ..] if spaced && byte.is_ascii_digit() => true,
        _ => {
            let word = text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(byte)).count();
            let dot = text[..word].iter().position(|byte| *byte == b'.');
            spaced && dot.is_some_and(|dot| dot > 0 && dot + 1 < word)
        }
    }
}

pub(super) fn powershell_argument(after: &[u8]) -> bool {
    let text = after.trim_ascii_start();
    text.len() < after.len()
        && (matches!(text, [b'-', b'a'..=b'z', ..] | [b'$' | b'\'' | b'"', ..] | [b'a'..=b'z', b':', ..])
            || text.starts_with(b"http"))
}
