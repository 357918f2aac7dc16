//! The checks, by family. A pattern sees normal forms in small letters; `.` is any byte.

// Long patterns are written as parts, be there several or one.
#![allow(clippy::useless_concat)]

pub(crate) mod lists;
pub(crate) mod protocol;

mod code;
mod command;
mod files;
mod leaks;
mod misc;
mod sqli;
mod xss;

use crate::{
    finding::{Category, Part, Severity},
    html::Kind,
    inspector::Rule,
};

/// Normal forms that a pattern looks at, as bits.
pub(crate) mod form {
    /// The value, its first encoding undone.
    pub(crate) const RAW: u8 = 1;
    /// All encodings undone.
    pub(crate) const TEXT: u8 = 2;
    /// Comments of SQL as spaces, where there are any.
    pub(crate) const COMMENTS: u8 = 4;
    /// What a shell reads over gone, where there is any.
    pub(crate) const COMMAND: u8 = 8;
    /// Paths straightened, where that changes something.
    pub(crate) const PATH: u8 = 16;
    /// As `TEXT`, but with white space as it was; all others have one space for any run of it.
    pub(crate) const LINES: u8 = 32;
    /// All but the raw one.
    pub(crate) const ALL: u8 = TEXT | COMMENTS | COMMAND | PATH;
}

/// Names and values of parameters and cookies, names of files, text bodies.
pub(crate) const VALUES: u16 = Part::Arg.bit()
    | Part::ArgName.bit()
    | Part::Cookie.bit()
    | Part::CookieName.bit()
    | Part::FileName.bit()
    | Part::Body.bit();
pub(crate) const AGENT: u16 = Part::UserAgent.bit() | Part::Referer.bit();
pub(crate) const HEADERS: u16 = AGENT | Part::Header.bit();
pub(crate) const PATH: u16 = Part::Path.bit();
/// The target: its path, and what stands behind a `#`; the query is taken apart into parameters.
pub(crate) const TARGET: u16 = Part::Path.bit() | Part::Line.bit();

/// A check that is a pattern.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Check {
    pub(crate) rule: Rule,
    /// Parts that it looks at, as bits.
    pub(crate) on: u16,
    /// Forms that it looks at, as bits of [`form`].
    pub(crate) forms: u8,
    pub(crate) pattern: &'static str,
}

/// A critical check of `$category`, for tables.
macro_rules! check {
    ($id:literal, $level:literal, $category:ident, $on:expr, $forms:expr, $message:literal, $pattern:expr) => {
        $crate::checks::Check {
            rule: $crate::inspector::Rule {
                id: $id,
                severity: $crate::finding::Severity::Critical,
                level: $level,
                category: $crate::finding::Category::$category,
                message: $message,
            },
            on: $on,
            forms: $forms,
            pattern: $pattern,
        }
    };
}
pub(crate) use check;

/// A check whose finding is no attack by itself, as the application may expect it: it blocks only with another one.
const fn weak(check: Check) -> Check {
    Check { rule: Rule { severity: Severity::Warning, ..check.rule }, ..check }
}

/// Every check: its number, severity, paranoia level, family and what it finds.
pub(crate) fn list() -> impl Iterator<Item = &'static Rule> {
    all().map(|check| &check.rule).chain(CODED).chain(protocol::ALL)
}

/// All patterns.
pub(crate) fn all() -> impl Iterator<Item = &'static Check> {
    [misc::CHECKS, files::CHECKS, command::CHECKS, code::CHECKS, xss::CHECKS, sqli::CHECKS, leaks::CHECKS]
        .into_iter()
        .flatten()
}

pub(crate) const SQL_TOKENS: Rule = Rule {
    id: 94201,
    severity: Severity::Critical,
    level: 1,
    category: Category::Sqli,
    message: "SQL injection by its tokens",
};

const fn shell(id: u32, message: &'static str) -> Rule {
    Rule { id, severity: Severity::Critical, level: 1, category: Category::Command, message }
}

const BEHIND: Rule = shell(93201, "Unix command behind a separator");
const WHOLE: Rule = shell(93202, "Unix command");
const CITED: Rule =
    Rule { severity: Severity::Warning, ..shell(93204, "Unix command that talks to a host, cited as code in a text") };
const WINDOWS: Rule = shell(93203, "Windows command with its arguments");

/// The check for a command.
pub(crate) fn shell_rule(kind: crate::shell::Kind) -> &'static Rule {
    match kind {
        crate::shell::Kind::Behind => &BEHIND,
        crate::shell::Kind::Whole => &WHOLE,
        crate::shell::Kind::Windows => &WINDOWS,
        crate::shell::Kind::Cited => &CITED,
    }
}

const fn html(id: u32, message: &'static str) -> Rule {
    Rule { id, severity: Severity::Critical, level: 1, category: Category::Xss, message }
}

const ELEMENT: Rule = html(94101, "HTML element that runs or loads something");
const HANDLER: Rule = html(94102, "handler of an event in an HTML tag");
const URL: Rule = html(94103, "URL or style that runs, in an HTML tag");
const MARKUP: Rule = html(94104, "markup that browsers take for their own");

/// Checks that are code and not of the protocol.
pub(crate) const CODED: [&Rule; 9] =
    [&SQL_TOKENS, &BEHIND, &WHOLE, &WINDOWS, &CITED, &ELEMENT, &HANDLER, &URL, &MARKUP];

/// The check for what was found in HTML.
pub(crate) fn html_rule(kind: Kind) -> &'static Rule {
    match kind {
        Kind::Element => &ELEMENT,
        Kind::Handler => &HANDLER,
        Kind::Url => &URL,
        Kind::Markup => &MARKUP,
    }
}
