//! How long an entry stays, as people write it: `90s`, `10m`, `1h30m`, `7d`, `2w`.

use std::str::FromStr;

use jiff::{SignedDuration, Span, SpanRelativeTo};

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
        let refuse = |rule: &str| format!("ttl '{}': {rule}", text.chars().take(40).collect::<String>());
        let span: Span = text.parse().map_err(|_| refuse("a time such as 90s, 10m, 1h30m, 7d or 2w expected"))?;
        let lasts = span.to_duration(SpanRelativeTo::days_are_24_hours());
        let lasts = lasts.map_err(|_| refuse("months and years differ in length; write days"))?;
        if lasts < SignedDuration::from_secs(1) || lasts > SignedDuration::from_secs(MAX) {
            return Err(refuse("from 1 second to 10 years (3650d) expected"));
        }
        // Up, so that nothing ends before its time.
        Ok(Self(lasts.as_secs() + i64::from(lasts.subsec_nanos() > 0)))
    }
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
        for text in ["", "10", "m", "10x", "10mö", "99999999999999999999s", "1m,"] {
            assert!(text.parse::<Ttl>().unwrap_err().contains("10m"), "{text}");
        }
        for text in ["0s", "-5m", "3651d", "999ms"] {
            assert!(text.parse::<Ttl>().unwrap_err().contains("10 years"), "{text}");
        }
        assert!("2mo".parse::<Ttl>().unwrap_err().contains("write days"));
        assert_eq!("1500ms".parse(), Ok(Ttl(2)));
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in any::<String>()) {
            let _answer = text.parse::<Ttl>();
        }
    }
}
