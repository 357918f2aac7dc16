//! From Perl's syntax of expressions to the one of regex-syntax: what only looks alike is written out, what a linear-time
//! engine cannot do is refused.

use alloc::{format, string::String};

use crate::rule::error::{OptionResult, invalid, unsupported};

/// Translate `pattern`; also tells whether it asks for the end of the text.
pub fn translate(pattern: &str, multi_line: bool, dollar_end: bool, extended: bool) -> OptionResult<(String, bool)> {
    let mut translator = Translator {
        bytes: pattern.as_bytes(),
        at: 0,
        out: String::with_capacity(pattern.len() * 2),
        multi_line,
        dollar_end,
        extended,
        needs_end: false,
    };
    translator.run()?;
    Ok((translator.out, translator.needs_end))
}

struct Translator<'a> {
    bytes: &'a [u8],
    at: usize,
    out: String,
    multi_line: bool,
    dollar_end: bool,
    extended: bool,
    needs_end: bool,
}

/// What an escape stands for.
enum Escape {
    Byte(u8),
    /// Inner part of a class, without brackets.
    Class(&'static str),
    /// The opposite of a class.
    NotClass(&'static str),
    Assertion(&'static str),
    End,
    EndOrNewline,
    Quote,
    EndQuote,
}

const HORIZONTAL: &str = r"\t\x20\xa0";
const VERTICAL: &str = r"\n-\r\x85";
const SPACE: &str = r"\t-\r\x20";

fn refuse<T>(what: &str) -> OptionResult<T> {
    unsupported!(format!("pcre: {what}"), "{what} is not possible in linear time")
}

impl Translator<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn literal(&mut self, byte: u8) {
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            self.out.push(byte as char);
        } else {
            self.out += &format!("\\x{byte:02x}");
        }
    }

    fn run(&mut self) -> OptionResult<()> {
        while let Some(byte) = self.peek(0) {
            self.at += 1;
            match byte {
                b'\\' => self.escape_outside()?,
                b'[' => self.class()?,
                b'(' => self.group()?,
                b'*' | b'+' | b'?' => {
                    self.out.push(byte as char);
                    self.greed()?;
                }
                b'{' => self.repeat()?,
                b'$' if self.multi_line => {
                    self.needs_end = true;
                    self.out.push('$');
                }
                b'$' => {
                    self.needs_end = true;
                    self.out += if self.dollar_end { r"\z" } else { r"(?:\n?\z)" };
                }
                b'^' | b'.' | b'|' | b')' => self.out.push(byte as char),
                b'#' if self.extended => {
                    while self.peek(0).is_some_and(|byte| byte != b'\n') {
                        self.at += 1;
                    }
                }
                byte if self.extended && byte.is_ascii_whitespace() => {}
                byte => self.literal(byte),
            }
        }
        Ok(())
    }

    /// After a quantifier.
    fn greed(&mut self) -> OptionResult<()> {
        match self.peek(0) {
            Some(b'+') => refuse("possessive quantifier"),
            Some(b'?') => {
                self.at += 1;
                self.out.push('?');
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// After `{`: a repetition, or the brace itself.
    fn repeat(&mut self) -> OptionResult<()> {
        let rest = &self.bytes[self.at..];
        let sound = rest.iter().position(|byte| *byte == b'}').filter(|end| {
            let inner = &rest[..*end];
            inner.first().is_some_and(u8::is_ascii_digit)
                && inner.iter().filter(|byte| **byte == b',').count() <= 1
                && inner.iter().all(|byte| byte.is_ascii_digit() || *byte == b',')
        });
        let Some(end) = sound else {
            self.literal(b'{');
            return Ok(());
        };
        self.out.push('{');
        self.out.extend(rest[..=end].iter().map(|byte| *byte as char));
        self.at += end + 1;
        self.greed()
    }

    /// After `(`.
    fn group(&mut self) -> OptionResult<()> {
        if self.peek(0) == Some(b'*') {
            return refuse("verb");
        }
        if self.peek(0) != Some(b'?') {
            self.out.push('(');
            return Ok(());
        }
        match (self.peek(1), self.peek(2)) {
            (Some(b'='), _) | (Some(b'!'), _) | (Some(b'<'), Some(b'=' | b'!')) => refuse("lookaround"),
            (Some(b'>'), _) => refuse("atomic group"),
            (Some(b'|'), _) => refuse("branch reset"),
            (Some(b'('), _) => refuse("conditional"),
            (Some(b'R' | b'&' | b'0'..=b'9'), _) | (Some(b'P'), Some(b'>')) => refuse("recursion"),
            (Some(b'+' | b'-'), Some(b'0'..=b'9')) => refuse("recursion"),
            (Some(b'P'), Some(b'=')) => refuse("backreference"),
            (Some(b'#'), _) => match self.bytes[self.at..].iter().position(|byte| *byte == b')') {
                Some(end) => {
                    self.at += end + 1;
                    Ok(())
                }
                None => invalid!("pcre: a comment without its end"),
            },
            (Some(b'<' | b'\''), _) | (Some(b'P'), Some(b'<')) => {
                let skip = if self.peek(1) == Some(b'P') { 3 } else { 2 };
                let close = if self.peek(skip - 1) == Some(b'\'') { b'\'' } else { b'>' };
                match self.bytes[self.at + skip..].iter().position(|byte| *byte == close) {
                    Some(end) => {
                        self.at += skip + end + 1;
                        self.out.push('(');
                        Ok(())
                    }
                    None => invalid!("pcre: a group's name without its end"),
                }
            }
            _ => self.inline_flags(),
        }
    }

    /// `(?i)`, `(?i-s:`, `(?:`.
    fn inline_flags(&mut self) -> OptionResult<()> {
        self.at += 1;
        let (mut set, mut on) = (String::from("(?"), true);
        loop {
            let Some(byte) = self.peek(0) else { return invalid!("pcre: a group without its end") };
            self.at += 1;
            match byte {
                b'i' | b's' | b'U' => set.push(byte as char),
                b'm' => {
                    self.multi_line = on;
                    set.push('m');
                }
                b'x' => self.extended = on,
                b'-' => {
                    on = false;
                    set.push('-');
                }
                b':' | b')' => {
                    let set = set.trim_end_matches('-');
                    if byte == b':' {
                        self.out += set;
                        self.out.push(':');
                    } else if set != "(?" {
                        self.out += set;
                        self.out.push(')');
                    }
                    return Ok(());
                }
                _ => return invalid!("pcre: unknown flag `{}` in a group", byte as char),
            }
        }
    }

    fn escape_outside(&mut self) -> OptionResult<()> {
        match self.escape(false)? {
            Escape::Byte(byte) => self.literal(byte),
            Escape::Class(inner) => self.out += &format!("[{inner}]"),
            Escape::NotClass(inner) => self.out += &format!("[^{inner}]"),
            Escape::Assertion(text) => self.out += text,
            Escape::End => {
                self.needs_end = true;
                self.out += r"\z";
            }
            Escape::EndOrNewline => {
                self.needs_end = true;
                self.out += r"(?:\n?\z)";
            }
            Escape::Quote => {
                while self.at < self.bytes.len() && !self.bytes[self.at..].starts_with(br"\E") {
                    self.literal(self.bytes[self.at]);
                    self.at += 1;
                }
                self.at = self.bytes.len().min(self.at + 2);
            }
            Escape::EndQuote => {}
        }
        Ok(())
    }

    /// After a backslash.
    fn escape(&mut self, in_class: bool) -> OptionResult<Escape> {
        let Some(byte) = self.peek(0) else { return invalid!("pcre: a backslash at the end") };
        self.at += 1;
        Ok(match byte {
            b'd' => Escape::Class("0-9"),
            b'D' => Escape::NotClass("0-9"),
            b'w' => Escape::Class("0-9A-Za-z_"),
            b'W' => Escape::NotClass("0-9A-Za-z_"),
            b's' => Escape::Class(SPACE),
            b'S' => Escape::NotClass(SPACE),
            b'h' => Escape::Class(HORIZONTAL),
            b'H' => Escape::NotClass(HORIZONTAL),
            b'v' => Escape::Class(VERTICAL),
            b'V' => Escape::NotClass(VERTICAL),
            b'N' => Escape::NotClass(r"\n"),
            b'n' => Escape::Byte(b'\n'),
            b'r' => Escape::Byte(b'\r'),
            b't' => Escape::Byte(b'\t'),
            b'f' => Escape::Byte(0x0c),
            b'e' => Escape::Byte(0x1b),
            b'a' => Escape::Byte(0x07),
            b'b' if in_class => Escape::Byte(0x08),
            b'b' => Escape::Assertion(r"\b"),
            b'B' => Escape::Assertion(r"\B"),
            b'A' => Escape::Assertion(r"\A"),
            b'R' => Escape::Assertion(r"(?:\r\n|[\n-\r\x85])"),
            b'z' => Escape::End,
            b'Z' => Escape::EndOrNewline,
            b'Q' => Escape::Quote,
            b'E' => Escape::EndQuote,
            b'x' => Escape::Byte(self.hexadecimal()?),
            b'c' => match self.peek(0) {
                Some(control) => {
                    self.at += 1;
                    Escape::Byte(control.to_ascii_uppercase() ^ 0x40)
                }
                None => return invalid!("pcre: `\\c` at the end"),
            },
            b'0'..=b'9' => self.octal(byte, in_class)?,
            b'g' | b'k' => return refuse("backreference"),
            b'p' | b'P' => return unsupported!("pcre: Unicode property", "rules are about bytes, not Unicode"),
            b'K' | b'G' | b'X' | b'C' => return refuse(&format!("\\{}", byte as char)),
            byte if byte.is_ascii_alphabetic() => return invalid!("pcre: unknown escape `\\{}`", byte as char),
            byte => Escape::Byte(byte),
        })
    }

    fn hexadecimal(&mut self) -> OptionResult<u8> {
        let rest = &self.bytes[self.at..];
        let (digits, skip) = if rest.first() == Some(&b'{') {
            let Some(end) = rest.iter().position(|byte| *byte == b'}') else {
                return invalid!("pcre: `\\x{{` without its end");
            };
            (&rest[1..end], end + 1)
        } else {
            let count = rest.iter().take(2).take_while(|byte| byte.is_ascii_hexdigit()).count();
            (&rest[..count], count)
        };
        self.at += skip;
        let value = digits.iter().try_fold(0u32, |sum, digit| {
            (*digit as char).to_digit(16).filter(|_| sum < 0x10_0000).map(|digit| sum * 16 + digit)
        });
        match value.map(u8::try_from) {
            Some(Ok(byte)) => Ok(byte),
            _ => unsupported!("pcre: code point above 255", "rules are about bytes, not Unicode"),
        }
    }

    fn octal(&mut self, first: u8, in_class: bool) -> OptionResult<Escape> {
        let is_octal = |byte: Option<u8>| byte.is_some_and(|byte| (b'0'..=b'7').contains(&byte));
        let three = first <= b'3' && is_octal(self.peek(0)) && is_octal(self.peek(1));
        if first != b'0' && !three && !(in_class && first <= b'7') {
            return refuse("backreference");
        }
        let mut value = first - b'0';
        for _ in 0..2 {
            if !is_octal(self.peek(0)) || value > 31 {
                break;
            }
            value = value * 8 + (self.bytes[self.at] - b'0');
            self.at += 1;
        }
        Ok(Escape::Byte(value))
    }

    /// After `[`.
    fn class(&mut self) -> OptionResult<()> {
        self.out.push('[');
        if self.peek(0) == Some(b'^') {
            self.at += 1;
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let Some(byte) = self.peek(0) else { return invalid!("pcre: `[` without its end") };
            if byte == b']' && !first {
                self.at += 1;
                self.out.push(']');
                return Ok(());
            }
            first = false;
            let Some(low) = self.class_item()? else { continue };
            if self.peek(0) == Some(b'-') && self.peek(1).is_some_and(|byte| byte != b']') {
                let back = self.at;
                self.at += 1;
                let length = self.out.len();
                if let Some(high) = self.class_item()? {
                    if high < low {
                        return invalid!("pcre: a range in a class ends before it begins");
                    }
                    self.out += &format!("\\x{low:02x}-\\x{high:02x}");
                } else {
                    // `a-\d`: the hyphen is itself.
                    let inner = self.out.split_off(length);
                    self.out += &format!("\\x{low:02x}\\x2d{inner}");
                    debug_assert!(self.at > back);
                }
            } else {
                self.out += &format!("\\x{low:02x}");
            }
        }
    }

    /// One byte of a class, or `None` when a whole class was written.
    fn class_item(&mut self) -> OptionResult<Option<u8>> {
        let Some(byte) = self.peek(0) else { return invalid!("pcre: `[` without its end") };
        self.at += 1;
        if byte == b'[' && matches!(self.peek(0), Some(b':')) {
            let rest = &self.bytes[self.at..];
            if let Some(end) = rest
                .windows(2)
                .position(|pair| pair == b":]")
                .filter(|end| rest[1..*end].iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'^'))
            {
                self.out.push('[');
                self.out.extend(rest[..end + 2].iter().map(|byte| *byte as char));
                self.at += end + 2;
                return Ok(None);
            }
        }
        if byte != b'\\' {
            return Ok(Some(byte));
        }
        match self.escape(true)? {
            Escape::Byte(byte) => return Ok(Some(byte)),
            Escape::Class(inner) => self.out += inner,
            Escape::NotClass(inner) => self.out += &format!("[^{inner}]"),
            Escape::Quote | Escape::EndQuote => {}
            Escape::Assertion(_) | Escape::End | Escape::EndOrNewline => {
                return invalid!("pcre: an assertion within a class");
            }
        }
        Ok(None)
    }
}
