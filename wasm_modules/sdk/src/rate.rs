//! Token buckets.

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

/// How fast a bucket fills, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    per_second: u64,
    /// Burst × nanoseconds of a second, so that no fraction of a token is lost.
    full: u64,
}

impl Rate {
    /// Largest burst.
    pub const MAX_BURST: u64 = 10_000_000_000;

    /// `per_second` tokens a second, and at most `burst` at once, up to [`Self::MAX_BURST`].
    #[must_use]
    pub fn new(per_second: u64, burst: u64) -> Self {
        Self { per_second, full: burst.min(Self::MAX_BURST) * SECOND }
    }
}

/// A bucket of tokens: 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Tokens × nanoseconds of a second.
    level: u64,
    at: u64,
}

impl Bucket {
    /// A full one at the time `now` ([`clock`](crate::clock)).
    #[must_use]
    pub fn full(rate: &Rate, now: u64) -> Self {
        Self { level: rate.full, at: now }
    }

    /// Take `tokens` at the time `now`; whether there were so many. Else none is taken.
    pub fn take(&mut self, rate: &Rate, tokens: u64, now: u64) -> bool {
        let gained = now.saturating_sub(self.at).saturating_mul(rate.per_second);
        self.level = self.level.saturating_add(gained).min(rate.full);
        self.at = self.at.max(now);
        let Some(rest) = tokens.checked_mul(SECOND).and_then(|cost| self.level.checked_sub(cost)) else { return false };
        self.level = rest;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let rate = Rate::new(10, 5);
        let mut bucket = Bucket::full(&rate, 0);
        assert_eq!((0..8).filter(|_| bucket.take(&rate, 1, 0)).count(), 5);
        // A tenth of a second for each.
        assert!(!bucket.take(&rate, 1, 99_999_999));
        assert!(bucket.take(&rate, 1, 100_000_000));
        assert!(!bucket.take(&rate, 1, 100_000_001));
        // Two hours later it is full, and no more than that.
        let later = 7200 * SECOND;
        assert!(!bucket.take(&rate, 6, later));
        assert!(bucket.take(&rate, 5, later));
        // A clock that goes back gives nothing.
        assert!(!bucket.take(&rate, 1, 0));
        assert!(!bucket.take(&rate, 1, later));
    }

    #[test]
    fn large_numbers_do_not_wrap() {
        let rate = Rate::new(u64::MAX, u64::MAX);
        let mut bucket = Bucket::full(&rate, 0);
        assert!(bucket.take(&rate, Rate::MAX_BURST, 0));
        assert!(!bucket.take(&rate, u64::MAX, u64::MAX));
        assert!(bucket.take(&rate, Rate::MAX_BURST, u64::MAX));
    }
}
