//! Bit vectors: which rules a value of one header field satisfies, and where they lie in the table of lines.
//!
//! ```text
//!  line    0                                          1                      2
//!  word    0..4: summary   4..8: rules 0 to 255       rules 256 to 767       ...
//!          bit w: word w of the rules is not 0        bit b of word w: rule 64 w + b
//! ```

use std::collections::HashMap;

use crate::bpf::types::{Entry, Shape};

const LINE_WORDS: usize = Shape::SXF_LINE_WORDS.0 as usize;
const SUMMARY_WORDS: usize = Shape::SXF_SUMMARY_WORDS.0 as usize;
/// Rules in a word, and words of rules to a word of summary.
const WORD_BITS: usize = 64;

/// A set of rules, by their places in the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bits {
    /// Summary first, then the rules, then zeros up to a whole line.
    words: Vec<u64>,
}

impl Bits {
    /// No rule of `rules` at most.
    fn none(rules: usize) -> Self {
        let words = SUMMARY_WORDS + rules.div_ceil(WORD_BITS);
        Self { words: vec![0; words.next_multiple_of(LINE_WORDS)] }
    }

    pub(super) fn insert(&mut self, rule: usize) {
        let word = rule / WORD_BITS;
        self.words[SUMMARY_WORDS + word] |= 1 << (rule % WORD_BITS);
        self.words[word / WORD_BITS] |= 1 << (word % WORD_BITS);
    }

    pub(super) fn remove(&mut self, rule: usize) {
        let word = rule / WORD_BITS;
        self.words[SUMMARY_WORDS + word] &= !(1 << (rule % WORD_BITS));
        if self.words[SUMMARY_WORDS + word] == 0 {
            self.words[word / WORD_BITS] &= !(1 << (word % WORD_BITS));
        }
    }
}

/// The table of bit vectors, each of them in it once.
#[derive(Debug)]
pub(super) struct Rows {
    rules: usize,
    /// Words of one bit vector, whole lines.
    width: usize,
    words: Vec<u64>,
    /// Bit vectors by digest. The digest only narrows the search: vectors are compared in full.
    by_digest: HashMap<u64, Vec<usize>>,
}

impl Rows {
    /// The table for this many rules. The bit vector with every rule comes first: `SXF_EVERY_RULE`, for what is not
    /// looked at.
    pub(super) fn new(rules: usize) -> Self {
        let none = Bits::none(rules);
        let mut rows = Self { rules, width: none.words.len(), words: Vec::new(), by_digest: HashMap::new() };
        let every = rows.set(0..rules);
        rows.line(&every);
        rows
    }

    /// The set of these rules.
    pub(super) fn set(&self, rules: impl IntoIterator<Item = usize>) -> Bits {
        let mut bits = Bits::none(self.rules);
        rules.into_iter().for_each(|rule| bits.insert(rule));
        bits
    }

    /// The first line of `bits` in the table, where it is put unless it is there.
    pub(super) fn line(&mut self, bits: &Bits) -> u32 {
        let same = self.by_digest.entry(digest(&bits.words)).or_default();
        let known = same.iter().find(|row| self.words[**row * self.width..][..self.width] == bits.words);
        let row = known.copied().unwrap_or_else(|| {
            let row = self.words.len() / self.width;
            same.push(row);
            self.words.extend_from_slice(&bits.words);
            row
        });
        // Each of the 16,384 rules makes ten bit vectors at most, of 33 lines at most.
        let line = u32::try_from(row * (self.width / LINE_WORDS)).ok().filter(|line| *line < Entry::SXF_INDEX.0);
        line.expect("the rules are few enough for numbers of 30 bits")
    }

    pub(super) fn into_lines(self) -> Vec<u64> {
        self.words
    }
}

fn digest(words: &[u64]) -> u64 {
    words.iter().fold(0, |digest: u64, word| (digest.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bit_vectors_with_the_same_digest_are_kept_apart() {
        let mut rows = Rows::new(2 * WORD_BITS);
        let set = |rows: &Rows, words: [u64; 2]| {
            let bit = |rule: &usize| words[rule / WORD_BITS] >> (rule % WORD_BITS) & 1 == 1;
            rows.set((0..2 * WORD_BITS).filter(bit))
        };
        // The digest takes in word after word, so the second word can make up for a difference in the first.
        let after_first = |rows: &Rows, word| digest(&set(rows, [word, 1]).words[..=SUMMARY_WORDS]).rotate_left(5);
        let makes_up = 1 ^ after_first(&rows, 3) ^ after_first(&rows, 5);
        let (one, other) = (set(&rows, [3, 1]), set(&rows, [5, makes_up]));
        assert_eq!(digest(&one.words), digest(&other.words), "the case is made up");
        assert_ne!(rows.line(&one), rows.line(&other));
        assert_eq!(rows.line(&one), 1);
        assert_eq!(rows.line(&other), 2);
    }
}
