//! What a check reports: which check, how severe, where, and the data that it matched.

use core::fmt;

/// Longest matched data in a finding, in bytes.
pub const MOST_DATA: usize = 100;

/// How severe a check is; each adds its points to the request's anomaly score, as the OWASP core rules count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// 2 points.
    Notice,
    /// 3 points.
    Warning,
    /// 4 points.
    Error,
    /// 5 points.
    Critical,
}

impl Severity {
    /// Points for the anomaly score.
    #[must_use]
    pub fn points(self) -> u32 {
        match self {
            Self::Notice => 2,
            Self::Warning => 3,
            Self::Error => 4,
            Self::Critical => 5,
        }
    }
}

/// Families of checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// The request's form, methods, versions, headers, encodings.
    Protocol,
    /// Smuggling, splitting, header injection.
    Smuggling,
    /// Programs that look for holes.
    Scanner,
    /// Files that were not meant to be served, traversal.
    Traversal,
    /// Remote file inclusion and requests forged by the server.
    Inclusion,
    /// Commands of a shell.
    Command,
    /// Code of PHP.
    Php,
    /// Code of Java, expressions, serialised objects.
    Java,
    /// Code of Node.js, Ruby, Perl, templates.
    Code,
    /// Scripts in pages.
    Xss,
    /// SQL and its kin.
    Sqli,
    /// Session fixation.
    Session,
    /// What a server gives away.
    Leak,
}

impl Category {
    /// The name in alerts and in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Protocol => "protocol",
            Self::Smuggling => "smuggling",
            Self::Scanner => "scanner",
            Self::Traversal => "traversal",
            Self::Inclusion => "inclusion",
            Self::Command => "command",
            Self::Php => "php",
            Self::Java => "java",
            Self::Code => "code",
            Self::Xss => "xss",
            Self::Sqli => "sqli",
            Self::Session => "session",
            Self::Leak => "leak",
        }
    }
}

/// Where in a request or a response a value was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Part {
    /// The request line as it came.
    Line,
    /// The path, decoded.
    Path,
    /// Name of a parameter in query or body.
    ArgName,
    /// Value of a parameter in query or body.
    Arg,
    /// Name of a cookie.
    CookieName,
    /// Value of a cookie.
    Cookie,
    /// The header User-Agent.
    UserAgent,
    /// The header Referer.
    Referer,
    /// Any other header.
    Header,
    /// Name of an uploaded file.
    FileName,
    /// A body, or a piece of one, that has no parameters.
    Body,
    /// The body of a response.
    Response,
}

impl Part {
    /// This part as a set of one.
    #[must_use]
    pub const fn bit(self) -> u16 {
        1 << self as u8
    }

    fn label(self) -> &'static str {
        match self {
            Self::Line => "REQUEST_LINE",
            Self::Path => "PATH",
            Self::ArgName => "ARG_NAME",
            Self::Arg => "ARGS",
            Self::CookieName => "COOKIE_NAME",
            Self::Cookie => "COOKIES",
            Self::UserAgent | Self::Referer | Self::Header => "HEADERS",
            Self::FileName => "FILES",
            Self::Body => "BODY",
            Self::Response => "RESPONSE_BODY",
        }
    }
}

/// A part and, where it has one, its name: `ARGS:id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// Which part.
    pub part: Part,
    /// Name of the parameter, cookie or header; empty where there is none.
    pub name: &'a [u8],
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.part.label())?;
        if !self.name.is_empty() {
            write!(out, ":{}", self.name[..self.name.len().min(40)].escape_ascii())?;
        }
        Ok(())
    }
}

/// One check that found something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding<'a> {
    /// The check's number; docs/waf.md lists them.
    pub id: u32,
    /// How severe.
    pub severity: Severity,
    /// The check's family.
    pub category: Category,
    /// What was found, for people.
    pub message: &'static str,
    /// Where.
    pub place: Place<'a>,
    /// What matched, normalised, at most [`MOST_DATA`] bytes.
    pub data: &'a [u8],
    /// The request's anomaly score with this finding in it.
    pub score: u32,
}
