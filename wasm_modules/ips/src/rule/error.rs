//! Why a rule is not loaded: it is wrong, or it needs what this engine does not do.

use alloc::string::String;
use core::fmt;

/// What kind of reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The rule does not follow the language.
    Invalid,
    /// The rule is sound, but this keyword (or protocol, or option of a keyword) is not implemented.
    Unsupported(String),
}

/// An error within a rule's text; `offset` becomes line and column in the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError {
    /// What kind.
    pub reason: Reason,
    /// Byte of the rule's text where the trouble is.
    pub offset: usize,
    /// For people, in lower case.
    pub message: String,
}

impl RuleError {
    /// The text breaks the language.
    pub fn invalid(offset: usize, message: impl Into<String>) -> Self {
        Self { reason: Reason::Invalid, offset, message: message.into() }
    }

    /// `keyword` is not implemented.
    pub fn unsupported(offset: usize, keyword: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason: Reason::Unsupported(keyword.into()), offset, message: message.into() }
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// What an option's parser gives back before its place is known: an error without an offset.
pub type OptionResult<T> = Result<T, OptionError>;

/// An error within one option's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OptionError {
    /// The value breaks the language.
    Invalid(String),
    /// Something in the value is not implemented: its name, and why.
    Unsupported(String, String),
}

impl OptionError {
    /// The error at `offset`.
    pub fn at(self, offset: usize) -> RuleError {
        match self {
            Self::Invalid(message) => RuleError::invalid(offset, message),
            Self::Unsupported(keyword, message) => RuleError::unsupported(offset, keyword, message),
        }
    }
}

/// `Err(OptionError::Invalid)` with a formatted message.
macro_rules! invalid {
    ($($arg:tt)*) => { Err($crate::rule::error::OptionError::Invalid(alloc::format!($($arg)*))) };
}
/// `Err(OptionError::Unsupported)`: keyword, then a formatted message.
macro_rules! unsupported {
    ($keyword:expr, $($arg:tt)*) => {
        Err($crate::rule::error::OptionError::Unsupported(alloc::string::String::from($keyword), alloc::format!($($arg)*)))
    };
}
pub(crate) use {invalid, unsupported};
