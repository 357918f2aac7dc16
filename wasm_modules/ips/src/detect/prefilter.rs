//! Which rules are worth a closer look: those of which a pattern is in the data.
//!
//! Nearly all data has no pattern, so what counts is to find that out quickly. Of each pattern a part of fixed length, its key,
//! is kept; a key is `GRAM + STRIDE - 1` bytes, so whatever its place, one of its grams begins at a multiple of `STRIDE`. Only
//! those grams of the data are looked up, in a table of bits that stays in the fastest cache. Where a bit is set, the keys
//! that may be there are looked up too, and what has a key is compared. Data made to hit the bits costs some look-ups
//! a byte, whatever the number of patterns. ASCII letters are equal in either case.

use alloc::{boxed::Box, vec, vec::Vec};

use hashbrown::HashMap;

/// Longest pattern in bytes.
pub const LONGEST: usize = 16;
/// Bytes before the data that a pattern may begin in.
const OVERLAP: usize = LONGEST - 1;
/// Bits that are the same in letters of either case; other bytes become alike too, which a comparison tells apart.
const FOLD: u64 = 0x2020_2020_2020_2020;
/// Bytes that hold two words, however far the second is from the first.
const BLOCK: usize = 16;
/// Bits of a table for each entry, about, so that few others hit it.
const SPARSE: usize = 48;

/// Patterns, each the reason to look at some rules.
#[derive(Debug)]
pub struct Prefilter {
    patterns: Vec<Pattern>,
    /// Patterns of one byte: the byte, and which one.
    single: Vec<(u8, u32)>,
    /// Of two.
    two: Option<Keys<2, 1>>,
    /// Of three.
    three: Option<Keys<3, 1>>,
    /// Of four to six.
    middle: Option<Keys<3, 2>>,
    /// Of seven and more.
    long: Option<Keys<4, 4>>,
    /// No pattern can end after this many bytes from the buffer's start.
    pub reach: usize,
}

#[derive(Debug)]
struct Pattern {
    /// In lower case.
    bytes: Vec<u8>,
    rules: Vec<u32>,
}

/// Patterns before they are a prefilter.
#[derive(Debug, Default)]
pub struct Patterns {
    numbers: HashMap<Vec<u8>, usize>,
    patterns: Vec<Pattern>,
    reach: usize,
}

impl Patterns {
    /// Rule number `rule` is worth a look where `pattern`, in lower case, is found: 1 to [`LONGEST`] bytes. `end`: where it must
    /// end at the latest, counted from the buffer's start.
    pub fn add(&mut self, pattern: &[u8], end: Option<usize>, rule: u32) {
        debug_assert!((1..=LONGEST).contains(&pattern.len()));
        let next = self.patterns.len();
        let number = *self.numbers.entry_ref(pattern).or_insert(next);
        if number == next {
            self.patterns.push(Pattern { bytes: pattern.to_vec(), rules: Vec::new() });
        }
        self.patterns[number].rules.push(rule);
        self.reach = self.reach.max(end.unwrap_or(usize::MAX));
    }

    /// The prefilter; `None` without patterns.
    #[must_use]
    pub fn build(self) -> Option<Prefilter> {
        let Self { patterns, reach, .. } = self;
        (!patterns.is_empty()).then(|| Prefilter {
            single: (0..).zip(&patterns).filter_map(|(n, p)| (p.bytes.len() == 1).then_some((p.bytes[0], n))).collect(),
            two: Keys::new(&patterns, 2..=2),
            three: Keys::new(&patterns, 3..=3),
            middle: Keys::new(&patterns, 4..=6),
            long: Keys::new(&patterns, 7..=LONGEST),
            patterns,
            reach,
        })
    }
}

impl Prefilter {
    /// Bytes that it takes, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        let patterns: usize = self.patterns.iter().map(|p| p.bytes.len() + 4 * p.rules.len() + 48).sum();
        let sizes = [
            self.two.as_ref().map(Keys::memory),
            self.three.as_ref().map(Keys::memory),
            self.middle.as_ref().map(Keys::memory),
            self.long.as_ref().map(Keys::memory),
        ];
        patterns + sizes.into_iter().flatten().sum::<usize>()
    }

    /// Rules whose pattern is in `data`, some of them several times.
    pub fn scan(&self, data: &[u8], found: impl FnMut(u32)) {
        self.scan_from(data, 0, found);
    }

    /// The same, where the first `seen` bytes were scanned before: rules whose pattern ends after those.
    pub fn scan_from(&self, data: &[u8], seen: usize, mut found: impl FnMut(u32)) {
        if !self.single.is_empty() {
            let mut there = [false; 256];
            data[seen..].iter().for_each(|byte| there[usize::from(*byte)] = true);
            for (byte, number) in &self.single {
                if there[usize::from(*byte)] || there[usize::from(byte.to_ascii_uppercase())] {
                    self.patterns[*number as usize].rules.iter().for_each(|rule| found(*rule));
                }
            }
        }
        let start = seen.saturating_sub(OVERLAP);
        self.pass(&data[start..], &mut |pattern, end| {
            if start + end > seen {
                pattern.rules.iter().for_each(|rule| found(*rule));
            }
        });
    }

    /// `found` gets each pattern of more than one byte with where it ends.
    fn pass(&self, data: &[u8], found: &mut impl FnMut(&Pattern, usize)) {
        if let Some(keys) = &self.long {
            keys.pass(&self.patterns, data, found);
        }
        if let Some(keys) = &self.middle {
            keys.pass(&self.patterns, data, found);
        }
        if let Some(keys) = &self.three {
            keys.pass(&self.patterns, data, found);
        }
        if let Some(keys) = &self.two {
            keys.pass(&self.patterns, data, found);
        }
    }
}

/// Patterns with a key of `GRAM + STRIDE - 1` bytes.
#[derive(Debug)]
struct Keys<const GRAM: usize, const STRIDE: usize> {
    grams: Bits,
    keys: Bits,
    /// For each key: patterns, and where in them it is.
    places: HashMap<u64, Vec<(u32, u8)>>,
}

impl<const GRAM: usize, const STRIDE: usize> Keys<GRAM, STRIDE> {
    const KEY: usize = GRAM + STRIDE - 1;
    /// Bytes to the word with the next grams.
    const STEP: usize = grams(GRAM, STRIDE) * STRIDE;

    fn new(patterns: &[Pattern], lengths: core::ops::RangeInclusive<usize>) -> Option<Self> {
        let chosen = || (0u32..).zip(patterns).filter(|(_, pattern)| lengths.contains(&pattern.bytes.len()));
        let count = chosen().count();
        let mut this = Self { grams: Bits::new(count * STRIDE), keys: Bits::new(count), places: HashMap::new() };
        // How many patterns each gram leads to: the fewer, the better a key.
        let mut uses: HashMap<u64, u32> = HashMap::new();
        for (number, Pattern { bytes, .. }) in chosen() {
            let grams = |at: usize| (0..STRIDE).map(move |n| low(word(bytes, at + n), GRAM));
            let worth = |at: &usize| {
                let common = grams(*at).map(|gram| uses.get(&gram).copied().unwrap_or(0)).max().unwrap_or(0);
                (core::cmp::Reverse(common.checked_ilog2()), unlike(&bytes[*at..*at + Self::KEY]))
            };
            let at = (0..=bytes.len() - Self::KEY).max_by_key(worth).unwrap_or(0);
            for gram in grams(at) {
                *uses.entry(gram).or_default() += 1;
                this.grams.set(gram);
            }
            let key = low(word(bytes, at), Self::KEY);
            this.keys.set(key);
            this.places.entry(key).or_default().push((number, at as u8));
        }
        (count > 0).then_some(this)
    }

    fn memory(&self) -> usize {
        self.grams.memory() + self.keys.memory() + self.places.capacity() * 56
    }

    fn pass(&self, patterns: &[Pattern], data: &[u8], found: &mut impl FnMut(&Pattern, usize)) {
        let mut at = 0;
        loop {
            at = self.grams.skim::<GRAM, STRIDE>(data, at);
            if at + BLOCK > data.len() {
                break;
            }
            self.look(patterns, data, at, at + 2 * Self::STEP, found);
            at += 2 * Self::STEP;
        }
        while at + GRAM <= data.len() {
            if self.grams.any::<GRAM, STRIDE>(word(data, at)) {
                self.look(patterns, data, at, at + Self::STEP, found);
            }
            at += Self::STEP;
        }
    }

    /// Look closely at the grams that begin from `from` to `to`.
    #[inline(never)]
    fn look(&self, patterns: &[Pattern], data: &[u8], from: usize, to: usize, found: &mut impl FnMut(&Pattern, usize)) {
        for at in (from..to.min((data.len() + 1).saturating_sub(GRAM))).step_by(STRIDE) {
            if !self.grams.get(low(word(data, at), GRAM)) {
                continue;
            }
            for start in (at + 1).saturating_sub(STRIDE)..=at {
                if start + Self::KEY > data.len() {
                    break;
                }
                let key = low(word(data, start), Self::KEY);
                if !self.keys.get(key) {
                    continue;
                }
                for (number, before) in self.places.get(&key).into_iter().flatten() {
                    let pattern = &patterns[*number as usize];
                    let Some(begin) = start.checked_sub(usize::from(*before)) else { continue };
                    let end = begin + pattern.bytes.len();
                    if data.get(begin..end).is_some_and(|part| part.eq_ignore_ascii_case(&pattern.bytes)) {
                        found(pattern, end);
                    }
                }
            }
        }
    }
}

/// Eight bytes, or what there is of them and zeros, folded.
#[inline]
fn word(data: &[u8], at: usize) -> u64 {
    let rest = &data[at..];
    if rest.len() >= 8 {
        return eight(rest);
    }
    let bytes = match data.last_chunk() {
        Some(last) => u64::from_le_bytes(*last) >> (8 * (8 - rest.len())),
        None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    bytes | FOLD
}

/// The first eight of more bytes, folded.
#[inline]
fn eight(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)) | FOLD
}

/// The first `bytes` bytes of a word.
#[inline]
fn low(word: u64, bytes: usize) -> u64 {
    word & (u64::MAX >> (64 - 8 * bytes))
}

/// How many different bytes there are, those that text is made of counted for less.
fn unlike(bytes: &[u8]) -> usize {
    let rare = |byte: &u8| !matches!(byte, 0 | b' ' | 0xff) && !byte.is_ascii_alphabetic();
    let fresh = bytes.iter().enumerate().filter(|(at, byte)| !bytes[..*at].contains(byte));
    fresh.map(|(_, byte)| 1 + usize::from(rare(byte))).sum()
}

/// Grams in eight bytes that begin at multiples of the stride.
const fn grams(gram: usize, stride: usize) -> usize {
    (8 - gram) / stride + 1
}

/// A set that may have more than was put in: bits by hash. Of few sizes, each known when it is compiled, so that no access has
/// to be checked.
#[derive(Debug)]
enum Bits {
    Small(Box<[u32; 1 << 8]>),
    Middle(Box<[u32; 1 << 11]>),
    Large(Box<[u32; 1 << 13]>),
    Largest(Box<[u32; 1 << 14]>),
}

/// `$body` with the table of `$bits` as `$table`.
macro_rules! with {
    ($bits:expr, $table:ident => $body:expr) => {
        match $bits {
            Bits::Small($table) => $body,
            Bits::Middle($table) => $body,
            Bits::Large($table) => $body,
            Bits::Largest($table) => $body,
        }
    };
}

fn zeros<const N: usize>() -> Box<[u32; N]> {
    vec![0; N].into_boxed_slice().try_into().expect("a slice of N words")
}

impl Bits {
    fn new(entries: usize) -> Self {
        match entries * SPARSE / 32 {
            0..=0x100 => Self::Small(zeros()),
            0x101..=0x800 => Self::Middle(zeros()),
            0x801..=0x2000 => Self::Large(zeros()),
            _ => Self::Largest(zeros()),
        }
    }

    fn set(&mut self, value: u64) {
        with!(self, table => {
            let (at, bit) = place(table, value);
            table[at] |= 1 << bit;
        });
    }

    #[inline]
    fn get(&self, value: u64) -> bool {
        with!(self, table => bit(table, value) & 1 != 0)
    }

    /// Whether the word has a gram of the set.
    #[inline]
    fn any<const GRAM: usize, const STRIDE: usize>(&self, word: u64) -> bool {
        with!(self, table => hits::<GRAM, STRIDE, _>(table, word) & 1 != 0)
    }

    /// From `at` on: where two words have a gram of the set, or less than [`BLOCK`] bytes are left.
    fn skim<const GRAM: usize, const STRIDE: usize>(&self, data: &[u8], at: usize) -> usize {
        with!(self, table => skim::<GRAM, STRIDE, _>(table, data, at))
    }

    fn memory(&self) -> usize {
        with!(self, table => size_of_val(&**table))
    }
}

/// Which bit: its word, and the bit in it.
#[inline]
fn place<const N: usize>(_: &[u32; N], value: u64) -> (usize, u32) {
    const { assert!(N.is_power_of_two() && N <= 1 << 14, "the hash has 19 bits") };
    let hash = if value >> 32 == 0 {
        (value as u32).wrapping_mul(0x9e37_79b1) >> 13
    } else {
        (value.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 45) as u32
    };
    ((hash >> 5) as usize & (N - 1), hash & 31)
}

/// The bit, lowest of others.
#[inline]
fn bit<const N: usize>(table: &[u32; N], value: u64) -> u32 {
    let (at, bit) = place(table, value);
    table[at] >> bit
}

/// The lowest bit is set when any gram of the word is one of the table's.
#[inline]
fn hits<const GRAM: usize, const STRIDE: usize, const N: usize>(table: &[u32; N], word: u64) -> u32 {
    (0..grams(GRAM, STRIDE)).fold(0, |any, n| any | bit(table, low(word >> (8 * n * STRIDE), GRAM)))
}

/// See [`Bits::skim`]: one branch for all the grams of two words.
fn skim<const GRAM: usize, const STRIDE: usize, const N: usize>(table: &[u32; N], data: &[u8], at: usize) -> usize {
    let step = grams(GRAM, STRIDE) * STRIDE;
    let mut rest = data.get(at..).unwrap_or(&[]);
    while let Some(block) = rest.first_chunk::<BLOCK>() {
        let first = hits::<GRAM, STRIDE, N>(table, eight(block));
        if (first | hits::<GRAM, STRIDE, N>(table, eight(&block[step..]))) & 1 != 0 {
            break;
        }
        rest = &rest[2 * step..];
    }
    data.len() - rest.len()
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn filter(patterns: &[Vec<u8>]) -> Prefilter {
        let mut all = Patterns::default();
        (0u32..).zip(patterns).for_each(|(rule, pattern)| all.add(&pattern.to_ascii_lowercase(), None, rule));
        all.build().unwrap()
    }

    fn naive(patterns: &[Vec<u8>], data: &[u8]) -> BTreeSet<u32> {
        let is_in = |pattern: &&Vec<u8>| data.windows(pattern.len()).any(|part| part.eq_ignore_ascii_case(pattern));
        (0u32..).zip(patterns).filter(|(_, pattern)| is_in(pattern)).map(|(rule, _)| rule).collect()
    }

    /// Few different bytes, so that patterns are found, and grams without their patterns too.
    fn bytes(length: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(b"aAbB \0\x80@".to_vec()), length)
    }

    proptest! {
        #[test]
        fn finds_what_a_naive_search_finds(
            mut patterns in prop::collection::vec(bytes(1..=LONGEST), 1..12),
            mut data in bytes(0..200),
            places in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..4),
            cuts in prop::collection::vec(0usize..250, 0..8),
        ) {
            patterns.push(b"longest-of-them-".to_vec());
            for (pattern, place) in places {
                let at = place.index(data.len() + 1);
                data.splice(at..at, pattern.get(&patterns).iter().copied());
            }
            let (filter, expected) = (filter(&patterns), naive(&patterns, &data));
            let mut found = BTreeSet::new();
            filter.scan(&data, |rule| { found.insert(rule); });
            prop_assert_eq!(&found, &expected);

            let (mut pieces, mut from) = (BTreeSet::new(), 0);
            for cut in cuts.into_iter().map(|cut| cut.min(data.len())).collect::<BTreeSet<_>>().into_iter().chain([data.len()]) {
                filter.scan_from(&data[..cut], from, |rule| { pieces.insert(rule); });
                from = cut;
            }
            prop_assert_eq!(&pieces, &expected);
        }
    }

    #[test]
    fn a_seam_tells_only_what_ends_after_it() {
        let filter = filter(&[b"abcd".to_vec(), b"x".to_vec()]);
        let on = |before: &[u8], data: &[u8]| {
            let mut found = Vec::new();
            filter.scan_from(&[before, data].concat(), before.len(), |rule| found.push(rule));
            found.sort_unstable();
            found
        };
        assert_eq!(on(b"..abcdx", b"..."), [0u32; 0]);
        assert_eq!(on(b"..abc", b"Dx"), [0, 1]);
        assert_eq!(on(b"..abc", b""), [0u32; 0]);
        assert!(Patterns::default().build().is_none());
    }

    #[test]
    fn patterns_that_begin_alike_have_different_keys() {
        let patterns: Vec<Vec<u8>> = (0..100).map(|n| alloc::format!("http://{n:02}.exe").into_bytes()).collect();
        let most = filter(&patterns).long.unwrap().places.values().map(Vec::len).max();
        assert!(most.unwrap() <= 10, "{most:?} patterns have one key");
    }
}
