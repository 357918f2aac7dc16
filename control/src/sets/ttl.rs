//! How long an entry stays, as people write it: `90s`, `10m`, `1h30m`, `7d`, `2w`.

use std::{fmt, str::FromStr};

/// Seconds of each unit, the largest first.
const UNITS: [(char, i64); 5] = [('w', 604_800), ('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];
/// Longest time in seconds: ten years.
const MAX: i64 = 3650 * 86_400;

/// A time to live, 1 second to 10 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ttl(i64);

impl Ttl {
    /// In seconds.
    pub(crate) fn seconds(self) -> i64 {
        self.0
    }
}

impl FromStr for Ttl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("ttl '{text}': a time such as 90s, 10m, 1h30m, 7d or 2w expected");
        let (mut total, mut rest) = (0_i64, text);
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
            let (number, behind) = rest.split_at(digits);
            let unit = behind.chars().next().ok_or_else(wrong)?;
            let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
            let number: i64 = number.parse().map_err(|_| wrong())?;
            total = number.saturating_mul(*seconds).saturating_add(total);
            rest = &behind[unit.len_utf8()..];
        }
        match total {
            _ if text.is_empty() => Err(wrong()),
            1..=MAX => Ok(Self(total)),
            _ => Err(format!("ttl '{text}': from 1 second to 10 years (3650d) expected")),
        }
    }
}

/// `seconds` in the same form, largest units first.
pub(crate) fn in_words(seconds: u64) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        let mut rest = seconds;
        for (name, length) in UNITS.map(|(name, length)| (name, length.unsigned_abs())) {
            if rest >= length {
                write!(f, "{}{name}", rest / length)?;
                rest %= length;
            }
        }
        if seconds == 0 { f.write_str("0s") } else { Ok(()) }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_numbers_with_units() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("1h30m", 5400), ("7d", 604_800), ("2w", 1_209_600)] {
            assert_eq!(text.parse(), Ok(Ttl(seconds)), "{text}");
        }
        for text in ["", "10", "m", "10x", "-5m", "1.5h", "10 m", "10mö", "99999999999999999999s", "+1m"] {
            assert!(text.parse::<Ttl>().unwrap_err().contains("10m"), "{text}");
        }
        for text in ["0s", "3651d", "9000000000000000000w9000000000000000000w"] {
            assert!(text.parse::<Ttl>().unwrap_err().contains("10 years"), "{text}");
        }
        assert_eq!((in_words(0).to_string(), in_words(3661).to_string()), ("0s".to_owned(), "1h1m1s".to_owned()));
    }

    proptest! {
        #[test]
        fn what_is_shown_can_be_given(seconds in 1..=MAX) {
            let text = in_words(seconds.unsigned_abs()).to_string();
            prop_assert_eq!(text.parse(), Ok(Ttl(seconds)));
        }

        #[test]
        fn any_text_is_answered(text in any::<String>()) {
            let _answer = text.parse::<Ttl>();
        }
    }
}
