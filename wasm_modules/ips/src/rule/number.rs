//! Numbers and comparisons of numbers as rules write them.

use super::error::{OptionError, OptionResult, invalid};

/// A comparison of an integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// Equal.
    Eq(u64),
    /// Not equal.
    Ne(u64),
    /// Less.
    Lt(u64),
    /// Less or equal.
    Le(u64),
    /// Greater.
    Gt(u64),
    /// Greater or equal.
    Ge(u64),
    /// Strictly between.
    Between(u64, u64),
    /// Not strictly between.
    NotBetween(u64, u64),
}

impl Compare {
    /// Whether `value` passes.
    #[must_use]
    pub fn test(self, value: u64) -> bool {
        match self {
            Self::Eq(n) => value == n,
            Self::Ne(n) => value != n,
            Self::Lt(n) => value < n,
            Self::Le(n) => value <= n,
            Self::Gt(n) => value > n,
            Self::Ge(n) => value >= n,
            Self::Between(low, high) => value > low && value < high,
            Self::NotBetween(low, high) => value <= low || value >= high,
        }
    }

    /// Whether a value that may still grow can pass later, or passes for good already.
    #[must_use]
    pub fn settled(self, value: u64) -> bool {
        match self {
            Self::Gt(n) => value > n,
            Self::Ge(n) => value >= n,
            _ => false,
        }
    }
}

pub(crate) fn no_number(text: &str) -> OptionError {
    OptionError::Invalid(alloc::format!("`{text}` is not a number"))
}

/// A plain unsigned number, decimal or `0x` hexadecimal.
pub fn number(text: &str) -> OptionResult<u64> {
    let text = text.trim();
    let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| no_number(text))
}

/// A number of at most `most`.
pub fn number_up_to(text: &str, most: u64) -> OptionResult<u64> {
    let value = number(text)?;
    if value > most { invalid!("{value} is above {most}") } else { Ok(value) }
}

/// A signed number.
pub fn signed(text: &str) -> OptionResult<i64> {
    let text = text.trim();
    text.strip_prefix('+').unwrap_or(text).parse().map_err(|_| no_number(text))
}

fn scaled(text: &str) -> OptionResult<u64> {
    let lower = text.trim().to_ascii_lowercase();
    for (unit, factor) in
        [("kib", 1u64 << 10), ("kb", 1 << 10), ("mib", 1 << 20), ("mb", 1 << 20), ("gib", 1 << 30), ("gb", 1 << 30)]
    {
        if let Some(digits) = lower.strip_suffix(unit) {
            return match number(digits)?.checked_mul(factor) {
                Some(value) => Ok(value),
                None => invalid!("`{text}` is too large"),
            };
        }
    }
    number(&lower)
}

/// A comparison: `5`, `!5`, `=5`, `!=5`, `<5`, `<=5`, `>5`, `>=5`, `1<>9`, `1-9`, `!1-9`.
pub fn compare(text: &str, most: u64) -> OptionResult<Compare> {
    let text = text.trim();
    let check = |value: u64| if value > most { invalid!("{value} is above {most}") } else { Ok(value) };
    let one = |text: &str| scaled(text).and_then(check);
    let (negated, range) = match text.strip_prefix('!') {
        Some(rest) if !rest.starts_with('=') => (true, rest),
        _ => (false, text),
    };
    if let Some((low, high)) = range.split_once("<>").or_else(|| range.split_once('-')) {
        let (low, high) = (one(low)?, one(high)?);
        if high <= low || high - low < 2 {
            return invalid!("nothing lies between {low} and {high}");
        }
        return Ok(if negated { Compare::NotBetween(low, high) } else { Compare::Between(low, high) });
    }
    for (sign, make) in [
        ("!=", Compare::Ne as fn(u64) -> Compare),
        ("<=", Compare::Le),
        (">=", Compare::Ge),
        ("<", Compare::Lt),
        (">", Compare::Gt),
        ("=", Compare::Eq),
        ("!", Compare::Ne),
    ] {
        if let Some(rest) = text.strip_prefix(sign) {
            return Ok(make(one(rest)?));
        }
    }
    one(text).map(Compare::Eq)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons() {
        for (text, yes, no) in [
            ("5", 5, 6),
            ("!5", 6, 5),
            ("!=5", 6, 5),
            ("<5", 4, 5),
            ("<=5", 5, 6),
            (" > 5", 6, 5),
            (">=5", 5, 4),
            ("1<>9", 2, 9),
            ("1-9", 8, 1),
            ("!1-9", 1, 5),
            ("0x10", 16, 10),
            (">2kb", 2049, 2048),
        ] {
            let compare = compare(text, 1 << 32).unwrap();
            assert!(compare.test(yes), "{text} {yes}");
            assert!(!compare.test(no), "{text} {no}");
        }
        for bad in ["", "a", "5<>6", "9<>1", "<", "300"] {
            assert!(compare(bad, 255).is_err(), "{bad}");
        }
    }
}
