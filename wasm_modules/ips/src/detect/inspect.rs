//! The tests of a section against a buffer, with other places of a content tried where later tests count from it.

use memchr::{memchr2_iter, memmem};

use super::bytes::{self, Vars, value};
use crate::{
    buffers::transform::base64,
    rule::{
        model::{Test, Value},
        options::{content::Content, pcre::Pcre, transform::Base64Mode},
    },
};

/// Most steps of one inspection, so that no data makes a rule run long.
const MOST_STEPS: u32 = 3000;

/// A buffer.
#[derive(Debug, Clone, Copy)]
pub struct Data<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// How many bytes came before these.
    pub before: u64,
    /// Nothing more will come.
    pub ended: bool,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Match,
    /// Another place of an earlier content may do.
    Retry,
    /// Nothing can help.
    Fail,
}

/// Whether `tests` pass on `data`.
#[must_use]
pub fn inspect(tests: &[Test], data: Data<'_>, vars: &mut Vars) -> bool {
    let mut run = Run { data, steps: 0 };
    run.from(tests, 0, vars) == Outcome::Match
}

/// Whether more data may undo a match of `tests`, so that they wait for the end.
#[must_use]
pub fn needs_end(tests: &[Test]) -> bool {
    tests.iter().any(|test| match test {
        Test::Content(content) => content.negated || content.ends,
        Test::Pcre(pcre) => pcre.negated || pcre.needs_end,
        Test::IsDataAt { negated, .. } => *negated,
        Test::Size(_) | Test::UriLen(_) => true,
        Test::ByteJump(jump) => jump.from == crate::rule::options::bytes::From::End,
        Test::Base64 { tests, .. } => needs_end(tests),
        Test::ByteTest(_) | Test::ByteExtract(_) | Test::ByteMath(_) => false,
    })
}

struct Run<'a> {
    data: Data<'a>,
    steps: u32,
}

impl Run<'_> {
    /// `at` is the end of the last match.
    fn from(&mut self, tests: &[Test], at: usize, vars: &mut Vars) -> Outcome {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return Outcome::Fail;
        }
        let Some((test, rest)) = tests.split_first() else { return Outcome::Match };
        let bytes = self.data.bytes;
        let pass = |yes: bool, this: &mut Self, vars: &mut Vars| match yes {
            true => this.from(rest, at, vars),
            false => Outcome::Retry,
        };
        match test {
            Test::Content(content) => self.content(content, rest, at, vars),
            Test::Pcre(pcre) => self.pcre(pcre, rest, at, vars),
            Test::IsDataAt { at: far, relative, negated } => {
                let there = value(*far, vars).is_some_and(|far| {
                    let far = far as usize;
                    if *relative { at.saturating_add(far) <= bytes.len() } else { far < bytes.len() }
                });
                pass(there != *negated, self, vars)
            }
            Test::Size(compare) => pass(compare.test(self.data.before + bytes.len() as u64), self, vars),
            Test::UriLen(compare) => pass(compare.test((bytes.len() as u64).min(0xffff)), self, vars),
            Test::ByteTest(test) => pass(bytes::test(test, bytes, at, vars), self, vars),
            Test::ByteJump(jump) => match bytes::jump(jump, bytes, at, vars) {
                Some(to) => self.from(rest, to, vars),
                None => Outcome::Retry,
            },
            Test::ByteExtract(extract) => match bytes::extract(extract, bytes, at, vars) {
                Some(to) => self.from(rest, to, vars),
                None => Outcome::Retry,
            },
            Test::ByteMath(math) => match bytes::math(math, bytes, at, vars) {
                Some(to) => self.from(rest, to, vars),
                None => Outcome::Retry,
            },
            Test::Base64 { bytes: count, offset, relative, tests } => {
                let start = offset.saturating_add(if *relative { at } else { 0 });
                let source = bytes.get(start..).unwrap_or(&[]);
                let source = if *count > 0 { &source[..source.len().min(*count)] } else { source };
                let decoded = base64(source, Base64Mode::Rfc2045);
                if decoded.is_empty() {
                    return Outcome::Retry;
                }
                let mut inner = Run { data: Data { bytes: &decoded, before: 0, ended: true }, steps: self.steps };
                let outcome = inner.from(tests, 0, vars);
                self.steps = inner.steps;
                if outcome == Outcome::Match { self.from(rest, at, vars) } else { Outcome::Retry }
            }
        }
    }

    fn pcre(&mut self, pcre: &Pcre, rest: &[Test], at: usize, vars: &mut Vars) -> Outcome {
        let base = if pcre.relative { at.min(self.data.bytes.len()) } else { 0 };
        let text = &self.data.bytes[base..];
        let mut from = 0;
        loop {
            let found = pcre.find(text, from);
            if pcre.negated {
                return if found.is_some() { Outcome::Retry } else { self.from(rest, at, vars) };
            }
            let Some((start, end)) = found else { return Outcome::Retry };
            match self.from(rest, base + end, vars) {
                Outcome::Retry if pcre.retry => {}
                Outcome::Retry => return Outcome::Fail,
                outcome => return outcome,
            }
            self.steps += 1;
            if self.steps > MOST_STEPS {
                return Outcome::Fail;
            }
            from = start + 1;
        }
    }

    /// Where `content` may lie: first byte, and the byte after the last. `None`: nowhere.
    fn range(&self, content: &Content, at: usize, vars: &Vars) -> Option<(usize, usize)> {
        let length = self.data.bytes.len() as u64;
        let signed = |number: i64| u64::try_from(number.max(0)).unwrap_or(0);
        if content.is_relative() {
            let distance = content.distance.map_or(Some(0), |distance| value(distance, vars))?;
            let here = at as i64 + i64::from(distance);
            let end = match content.within {
                Some(within) => signed(here + i64::from(value(within, vars)?)).min(length),
                None => length,
            };
            return range_of(signed(here), end);
        }
        let offset = u64::from(content.offset.map_or(Some(0), |offset| value(offset, vars))?);
        let mut end = length;
        if let Some(depth) = content.depth {
            // Counted from the stream's start, also when only its later part is here.
            let depth = offset + u64::from(value(depth, vars)?);
            end = end.min(depth.checked_sub(self.data.before)?);
        }
        range_of(offset.saturating_sub(self.data.before), end)
    }

    fn content(&mut self, content: &Content, rest: &[Test], at: usize, vars: &mut Vars) -> Outcome {
        let bytes = self.data.bytes;
        let Some((mut start, end)) = self.range(content, at, vars) else {
            return if content.negated { self.from(rest, at, vars) } else { Outcome::Retry };
        };
        if content.negated {
            let found = match content.ends {
                true => end == bytes.len() && ends_with(content, &bytes[start..end]),
                false => find(content, &bytes[start..end]).is_some(),
            };
            return if found { Outcome::Retry } else { self.from(rest, at, vars) };
        }
        if content.ends {
            let from = bytes.len().saturating_sub(content.bytes.len());
            let fits = end == bytes.len() && from >= start && ends_with(content, &bytes[start..end]);
            return if fits { self.from(rest, bytes.len(), vars) } else { Outcome::Retry };
        }
        loop {
            let Some(found) = find(content, &bytes[start..end]) else {
                return if content.is_relative() { Outcome::Retry } else { Outcome::Fail };
            };
            let place = start + found;
            match self.from(rest, place + content.bytes.len(), vars) {
                Outcome::Retry if content.retry => {}
                Outcome::Retry => return Outcome::Fail,
                outcome => return outcome,
            }
            self.steps += 1;
            if self.steps > MOST_STEPS {
                return Outcome::Fail;
            }
            start = place + 1;
        }
    }
}

fn range_of(start: u64, end: u64) -> Option<(usize, usize)> {
    let (start, end) = (usize::try_from(start).ok()?, usize::try_from(end).ok()?);
    (start <= end && end > 0).then_some((start, end))
}

fn ends_with(content: &Content, text: &[u8]) -> bool {
    let Some(from) = text.len().checked_sub(content.bytes.len()) else { return false };
    equal(content, &text[from..])
}

fn equal(content: &Content, text: &[u8]) -> bool {
    if content.nocase { text.eq_ignore_ascii_case(&content.bytes) } else { text == content.bytes }
}

/// The first place of `content` in `text`.
fn find(content: &Content, text: &[u8]) -> Option<usize> {
    if !content.nocase {
        return memmem::find(text, &content.bytes);
    }
    let length = content.bytes.len();
    let (first, last) = (content.bytes[0], text.len().checked_sub(length)?);
    memchr2_iter(first, first.to_ascii_uppercase(), &text[..=last]).find(|at| equal(content, &text[*at..at + length]))
}

/// Whether a value is written, not a variable; for tests.
#[must_use]
pub fn is_written<T>(value: &Value<T>) -> bool {
    matches!(value, Value::Is(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::{
        lexer::logical_lines,
        options::{bits::Symbols, bytes::MOST_VARS, meta::Classes},
        parse::{Context, parse},
        vars::Vars as Names,
    };

    /// Whether the payload tests of a rule with these options match.
    fn matches(options: &str, data: &[u8]) -> bool {
        let text = format!("alert udp any any -> any any ({options} sid:1;)");
        let (vars, classes) = (Names::default(), Classes::default());
        let mut context = Context { vars: &vars, classes: &classes, symbols: Symbols::default() };
        let rule = parse(&logical_lines(&text).next().unwrap(), &mut context).unwrap();
        inspect(&rule.sections[0].tests, Data { bytes: data, before: 0, ended: true }, &mut [0; MOST_VARS])
    }

    #[test]
    fn places_of_contents() {
        for (options, yes, no) in [
            (r#"content:"abc";"#, "xxabc", "xxab"),
            (r#"content:"aBc"; nocase;"#, "xxAbC", "xxab"),
            (r#"content:"abc"; offset:2; depth:4;"#, "xxxabc", "xxxxabc"),
            (r#"content:"abc"; offset:2;"#, "xxabc", "xabc"),
            (r#"content:"abc"; depth:3;"#, "abcx", "xabc"),
            (r#"content:"abc"; startswith;"#, "abcx", "xabc"),
            (r#"content:"abc"; endswith;"#, "abcabc", "abcx"),
            (r#"content:!"abc";"#, "ab", "xabc"),
            (r#"content:!"abc"; endswith;"#, "abcx", "abcabc"),
            (r#"content:"a"; content:"b"; distance:1; within:1;"#, "abaxb", "ab"),
            (r#"content:"a"; content:"b"; distance:0; content:"c"; within:1;"#, "abxabxbc", "abxc"),
            (r#"content:"ab"; content:"b"; distance:-1; within:1;"#, "ab", "a"),
            (r#"content:"a"; content:!"b"; within:1;"#, "ac", "ab"),
            (r#"content:"a"; isdataat:2,relative;"#, "axx", "ax"),
            (r#"content:"a"; isdataat:!1,relative;"#, "xxa", "xa1"),
            (r#"isdataat:3;"#, "1234", "123"),
            (r#"content:"n="; pcre:"/^\d{3}/R";"#, "n=x n=123", "n=12"),
            (r#"pcre:"/a.c/"; content:"d"; within:1;"#, "abcx abcd", "abc d"),
            (r#"content:"|3a|"; byte_test:2,>,10,0,relative,string,dec;"#, ":09 :11", ":10"),
            (r#"byte_extract:1,0,n,string,dec; content:"x"; offset:n; depth:1;"#, "3..x", "3.x."),
            (r#"byte_jump:1,0,string,dec; content:"x"; within:1;"#, "2..x", "2.x"),
            (
                r#"content:"b="; base64_decode:relative; base64_data; content:"text"; startswith;"#,
                "b=dGV4dA==",
                "b=dGV4",
            ),
            (r#"content:"x"; content:"y"; distance:1; content:"z"; distance:1;"#, "xxyyyzz.z", "xyz"),
        ] {
            assert!(matches(options, yes.as_bytes()), "{options} on {yes}");
            assert!(!matches(options, no.as_bytes()), "{options} on {no}");
        }
    }

    #[test]
    fn a_window_of_the_stream_counts_from_the_streams_start() {
        let content = crate::rule::options::content::parse("\"x\"").unwrap();
        let mut bounded = content.clone();
        bounded.depth = Some(Value::Is(10));
        let on = |content: &Content, before| {
            let data = Data { bytes: b"..x", before, ended: false };
            inspect(&[Test::Content(content.clone())], data, &mut [0; MOST_VARS])
        };
        assert!(on(&bounded, 0) && on(&bounded, 7) && !on(&bounded, 8) && on(&content, 8));
    }

    #[test]
    fn no_data_makes_it_run_long() {
        let options = r#"content:"a"; content:"a"; distance:0; content:"a"; distance:0; content:"a"; distance:0; content:"b"; distance:0;"#;
        assert!(!matches(options, &[b'a'; 5000]));
    }
}
