//! `pcre`: expressions of Perl's kind, run in linear time. What that cannot do is refused by name.

use alloc::string::{String, ToString};

use regex_automata::{
    meta::Regex,
    util::syntax,
    {Anchored, Input},
};

use super::pcre_syntax::translate;
use crate::{
    buffers::names::Buffer,
    rule::error::{OptionResult, invalid, unsupported},
};

/// Bytes that one compiled expression may take.
const LARGEST: usize = 2 << 20;
/// Bytes of the lazy DFA's cache, per expression that runs.
const CACHE: usize = 256 << 10;

/// A compiled expression.
#[derive(Debug, Clone)]
pub struct Pcre {
    regex: Regex,
    /// `A`: at the start only.
    anchored: bool,
    /// `R`: the text begins at the last match's end.
    pub relative: bool,
    /// `!`
    pub negated: bool,
    /// `$`, `\z` or `\Z` is in it, so that more data may undo a match.
    pub needs_end: bool,
    /// A later test counts from its end, so that other places of it may be tried.
    pub retry: bool,
}

impl Pcre {
    /// The leftmost match in `text` that begins at `from` or later: start and end.
    #[must_use]
    pub fn find(&self, text: &[u8], from: usize) -> Option<(usize, usize)> {
        if from > text.len() {
            return None;
        }
        let anchored = if self.anchored { Anchored::Yes } else { Anchored::No };
        self.regex.search(&Input::new(text).range(from..).anchored(anchored)).map(|found| (found.start(), found.end()))
    }
}

/// Parse `!"/expression/flags"`; also gives the buffer that a flag names.
pub fn parse(value: &str) -> OptionResult<(Pcre, Option<Buffer>)> {
    let (negated, text) = match value.trim().strip_prefix('!') {
        Some(rest) => (true, rest.trim_start()),
        None => (false, value.trim()),
    };
    let text = match text.strip_prefix('"') {
        Some(rest) => match rest.strip_suffix('"') {
            Some(text) => text,
            None if rest.contains("\",") => {
                return unsupported!("pcre: capture variables", "captures into variables are not supported");
            }
            None => return invalid!("`\"` without its end"),
        },
        None => text,
    };
    let Some((body, flags)) = text.strip_prefix('/').and_then(|text| text.rsplit_once('/')) else {
        return invalid!("an expression is written /expression/flags");
    };
    if flags.contains(',') || flags.contains(':') {
        return unsupported!("pcre: capture variables", "captures into variables are not supported");
    }
    let flags = Flags::parse(flags)?;
    let (pattern, needs_end) = translate(&unescape_rule(body), flags.multi_line, flags.dollar_end, flags.extended)?;
    let regex = Regex::builder()
        .syntax(
            syntax::Config::new()
                .unicode(false)
                .utf8(false)
                .case_insensitive(flags.case_insensitive)
                .multi_line(flags.multi_line)
                .dot_matches_new_line(flags.dot_all)
                .swap_greed(flags.ungreedy)
                .nest_limit(100),
        )
        .configure(
            Regex::config()
                .utf8_empty(false)
                .nfa_size_limit(Some(LARGEST))
                .onepass_size_limit(Some(64 << 10))
                .hybrid_cache_capacity(CACHE),
        )
        .build(&pattern);
    let regex = match regex {
        Ok(regex) => regex,
        Err(error) if error.size_limit().is_some() => {
            return unsupported!("pcre: size", "the expression takes more than {LARGEST} bytes");
        }
        Err(error) => {
            let cause: String = match error.syntax_error() {
                Some(syntax) => last_line(&syntax.to_string()),
                None => error.to_string(),
            };
            return invalid!("pcre: {cause}");
        }
    };
    let pcre = Pcre { regex, anchored: flags.anchored, relative: flags.relative, negated, needs_end, retry: false };
    Ok((pcre, flags.buffer))
}

/// Semicolons are escaped in rules whatever they stand in.
fn unescape_rule(body: &str) -> String {
    body.replace("\\;", ";")
}

fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or(text).trim_start_matches("error: ").to_string()
}

#[derive(Default)]
struct Flags {
    case_insensitive: bool,
    multi_line: bool,
    dot_all: bool,
    extended: bool,
    ungreedy: bool,
    anchored: bool,
    dollar_end: bool,
    relative: bool,
    buffer: Option<Buffer>,
}

impl Flags {
    fn parse(text: &str) -> OptionResult<Self> {
        let mut flags = Self::default();
        for flag in text.chars() {
            let buffer = match flag {
                'i' => {
                    flags.case_insensitive = true;
                    continue;
                }
                'm' => {
                    flags.multi_line = true;
                    continue;
                }
                's' => {
                    flags.dot_all = true;
                    continue;
                }
                'x' => {
                    flags.extended = true;
                    continue;
                }
                'G' => {
                    flags.ungreedy = true;
                    continue;
                }
                'A' => {
                    flags.anchored = true;
                    continue;
                }
                'E' => {
                    flags.dollar_end = true;
                    continue;
                }
                'R' => {
                    flags.relative = true;
                    continue;
                }
                // Raw bytes are what is inspected anyway; limits of backtracking have no meaning here.
                'B' | 'O' => continue,
                'U' => Buffer::HttpUri,
                'I' => Buffer::HttpUriRaw,
                'P' => Buffer::HttpRequestBody,
                'Q' => Buffer::HttpResponseBody,
                'H' => Buffer::HttpHeader,
                'D' => Buffer::HttpHeaderRaw,
                'M' => Buffer::HttpMethod,
                'C' => Buffer::HttpCookie,
                'S' => Buffer::HttpStatCode,
                'Y' => Buffer::HttpStatMsg,
                'V' => Buffer::HttpUserAgent,
                'W' => Buffer::HttpHost,
                'Z' => Buffer::HttpHostRaw,
                _ => return invalid!("unknown flag `{flag}`"),
            };
            if flags.buffer.is_some_and(|other| other != buffer) {
                return invalid!("flag `{flag}` names a second buffer");
            }
            flags.buffer = Some(buffer);
        }
        Ok(flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::error::OptionError;

    fn finds(value: &str, text: &[u8]) -> bool {
        parse(value).unwrap().0.find(text, 0).is_some()
    }

    #[test]
    fn expressions() {
        assert!(finds(r#""/^\/[0-9]{2,8}\.php$/i""#, b"/123.PHP\n"));
        assert!(!finds(r#""/^\/[0-9]{2,8}\.php$/E""#, b"/123.php\n"));
        assert!(finds(r#""/\xff\x00[^\x01-\x7f]/""#, b"\xff\x00\x80"));
        assert!(finds("/a{,3}b/", b"a{,3}b"));
        assert!(finds(r"/[[\]&&-]+z/", b"[]&-z"));
        assert!(finds(r"/[[:digit:]a-f]{4}/", b"12af"));
        assert!(finds(r"/\Qa.b\E/", b"a.b") && !finds(r"/\Qa.b\E/", b"axb"));
        assert!(finds(r"/a b # c/x", b"ab"));
        assert!(finds(r"/(?i)abc\x3b/", b"ABC;") && finds(r"/(?<n>a)(?P<m>b)(?#no)c/", b"abc"));
        let (pcre, buffer) = parse(r#"!"/one/URi""#).unwrap();
        assert!(pcre.negated && pcre.relative && buffer == Some(Buffer::HttpUri));
    }

    #[test]
    fn what_linear_time_cannot_do_is_refused_by_name() {
        for (value, name) in [
            (r"/(a)\1/", "backreference"),
            (r"/(?=a)/", "lookaround"),
            (r"/(?<!a)b/", "lookaround"),
            (r"/(?>a)/", "atomic group"),
            (r"/a++/", "possessive quantifier"),
            (r"/(?R)/", "recursion"),
            (r"/(?(1)a)/", "conditional"),
            (r"/\p{L}/", "Unicode property"),
            (r#""/a/, flow:x""#, "capture variables"),
        ] {
            match parse(value) {
                Err(OptionError::Unsupported(keyword, _)) => assert!(keyword.contains(name), "{value}: {keyword}"),
                other => panic!("{value}: {other:?}"),
            }
        }
        for bad in ["/a", "abc", "/(/", "/a/q", "/[z-a]/", "/a/UI"] {
            assert!(matches!(parse(bad), Err(OptionError::Invalid(_))), "{bad}");
        }
    }
}
