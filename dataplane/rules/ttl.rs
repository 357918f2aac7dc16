//! How long something stays, as people write it: `90s`, `10m`, `1h30m`, `7d`, `2w`.

use std::str::FromStr;

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};

/// Longest time: ten years.
const MAX: SignedDuration = SignedDuration::from_hours(24 * 3650);

/// A time to live, 1 second to 10 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ttl(SignedDuration);

impl Ttl {
    /// Unix time, in whole seconds, at which what lives from `now` on ends: up, so that nothing ends before its time.
    #[must_use]
    pub fn end(self, now: Timestamp) -> i64 {
        let end = now.as_duration() + self.0;
        end.as_secs() + i64::from(end.subsec_nanos() > 0)
    }
}

impl FromStr for Ttl {
    type Err = String;

    /// The error is the rule that the text breaks, without the text.
    fn from_str(text: &str) -> Result<Self, String> {
        let span: Span = text.parse().map_err(|_| "a time such as 90s, 10m, 1h30m, 7d or 2w expected")?;
        let lasts = span.to_duration(SpanRelativeTo::days_are_24_hours());
        let lasts = lasts.map_err(|_| "months and years differ in length; write days")?;
        if lasts < SignedDuration::from_secs(1) || lasts > MAX {
            return Err("from 1 second to 10 years (3650d) expected; leave it out for no end".to_owned());
        }
        Ok(Self(lasts))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(text: &str) -> i64 {
        text.parse::<Ttl>().unwrap().end(Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn times_are_numbers_with_units() {
        for (text, lasts) in [("90s", 90), ("10m", 600), ("1h30m", 5400), ("7d", 604_800), ("2w", 1_209_600)] {
            assert_eq!(seconds(text), lasts, "{text}");
        }
        for text in ["", "10", "m", "10x", "10mö", "99999999999999999999s", "1m,"] {
            assert!(text.parse::<Ttl>().unwrap_err().contains("10m"), "{text}");
        }
        for text in ["0s", "-5m", "3651d", "999ms"] {
            assert!(text.parse::<Ttl>().unwrap_err().contains("10 years"), "{text}");
        }
        assert!("2mo".parse::<Ttl>().unwrap_err().contains("write days"));
    }

    #[test]
    fn nothing_ends_before_its_time() {
        assert_eq!(seconds("1500ms"), 2);
        let now = Timestamp::new(100, 700_000_000).unwrap();
        assert_eq!(["10s", "10s300ms", "10s301ms"].map(|text| text.parse::<Ttl>().unwrap().end(now)), [111, 111, 112]);
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in any::<String>()) {
            let _answer = text.parse::<Ttl>();
        }
    }
}
