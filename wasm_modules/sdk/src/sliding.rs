//! Counts of what was seen lately: of two halves of a window, of which the older one is forgotten as a whole.

/// Bits of a sketch.
const BITS: usize = 512;

/// Divides time into halves of a window.
#[derive(Debug, Clone, Copy)]
pub struct Halves {
    half_ns: u64,
}

impl Halves {
    /// For a window of so many seconds, at least 2.
    #[must_use]
    pub fn new(window_seconds: u32) -> Self {
        Self { half_ns: u64::from(window_seconds.max(2)) * 500_000_000 }
    }

    /// Number of the half that the time `now` is in.
    #[must_use]
    pub fn half(&self, now: u64) -> u64 {
        now / self.half_ns
    }
}

/// How many events there were in between a half and a whole window.
#[derive(Debug, Clone, Copy, Default)]
pub struct Count {
    half: u64,
    now: u32,
    before: u32,
}

impl Count {
    /// One more; the number with it.
    pub fn add(&mut self, half: u64) -> u32 {
        match half.saturating_sub(self.half) {
            0 => {}
            1 => (self.before, self.now) = (self.now, 0),
            _ => (self.before, self.now) = (0, 0),
        }
        self.half = half;
        self.now = self.now.saturating_add(1);
        self.now.saturating_add(self.before)
    }
}

/// How many different things there were, or somewhat more: a bit for each by a hash of it, and two with the same bit count as
/// one. On average 53 things have 50 bits, 111 have 100, and 355 have 256.
#[derive(Debug, Clone)]
pub struct Sketch {
    half: u64,
    now: [u64; BITS / 64],
    before: [u64; BITS / 64],
}

impl Default for Sketch {
    fn default() -> Self {
        Self { half: 0, now: [0; BITS / 64], before: [0; BITS / 64] }
    }
}

impl Sketch {
    /// Another thing; the number of bits that are set with it.
    pub fn add(&mut self, half: u64, hash: u64) -> u32 {
        match half.saturating_sub(self.half) {
            0 => {}
            1 => (self.before, self.now) = (self.now, [0; BITS / 64]),
            _ => (self.before, self.now) = ([0; BITS / 64], [0; BITS / 64]),
        }
        self.half = half;
        // A product's upper bits are its best.
        let bit = (hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 55) as usize;
        self.now[bit / 64] |= 1 << (bit % 64);
        self.now.iter().zip(&self.before).map(|(now, before)| (now | before).count_ones()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_forget_what_is_older_than_the_window() {
        let halves = Halves::new(60);
        let at = |second: u64| halves.half(second * 1_000_000_000);
        let mut count = Count::default();
        let added: Vec<_> = [3600, 3610, 3631, 3659, 3661, 3700, 9999].map(|second| count.add(at(second))).to_vec();
        assert_eq!(added, [1, 2, 3, 4, 3, 2, 1]);
    }

    #[test]
    fn sketches_count_what_is_different() {
        let mut sketch = Sketch::default();
        for round in 0..3 {
            for port in 0..100_u64 {
                let bits = sketch.add(5, port);
                assert!(bits <= if round == 0 { port as u32 + 1 } else { 100 });
            }
        }
        let bits = sketch.add(5, 0);
        assert!((80..=100).contains(&bits), "{bits}");
        assert_eq!(sketch.add(6, 0), bits);
        assert_eq!(sketch.add(7, 1), 2);
        assert_eq!(sketch.add(9, 1), 1);
    }
}
