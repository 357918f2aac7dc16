//! Where literals are in a text: each is found by the rarest three bytes in it, and what has none of these costs one look-up a
//! byte in a table that stays in the nearest cache. An automaton over as many literals does not, and is hit by short ones all
//! the time.

use alloc::{vec, vec::Vec};

use crate::rarity::Rarity;

/// Bits of a byte's class.
const BITS: u32 = 6;
/// Class of what is behind a text's end, and of control characters.
const NONE: u8 = 63;
/// Marks a byte that is a literal.
const ALONE: u8 = 1 << BITS;
/// Different runs of three classes.
const RUNS: usize = 1 << (3 * BITS);

/// A class for each byte: letters have their own, and so has what SQL, HTML and shells are made of.
const CLASSES: [u8; 256] = {
    let mut table = [NONE; 256];
    let mut byte = 0;
    let mut free = 30;
    while byte < 256 {
        table[byte] = match byte as u8 {
            letter @ b'a'..=b'z' => letter - b'a',
            letter @ b'A'..=b'Z' => letter - b'A',
            b'0' => 26,
            b'1' => 27,
            b'2'..=b'9' => 28,
            b' ' | b'\t'..=b'\r' => 29,
            0x80.. => 62,
            b'!'..=b'~' => {
                free += 1;
                free - 1
            }
            _ => NONE,
        };
        byte += 1;
    }
    assert!(free == 62);
    table
};

fn run(classes: [u8; 3]) -> usize {
    classes.into_iter().fold(0, |run, class| run << BITS | usize::from(class))
}

/// A literal at a run of three bytes, by which it is found.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    /// The literal's bytes, the first one lowest, and which bits of these count.
    bytes: u64,
    mask: u64,
    run: u32,
    literal: u16,
    length: u8,
    /// Bytes of the literal in front of the run.
    before: u8,
}

/// Literals, in small letters.
#[derive(Debug)]
pub(crate) struct Prefilter {
    /// One bit for each run: whether some literal is anchored at it.
    runs: Vec<u64>,
    /// How many bits are set in front of each word.
    ranks: Vec<u32>,
    /// Where the anchors of each run that has some begin, and their end.
    firsts: Vec<u32>,
    anchors: Vec<Anchor>,
    /// For each byte the literal that it is alone, or `u16::MAX`.
    alone: Vec<u16>,
    /// The bytes' classes, with [`ALONE`] for those that are literals.
    classes: [u8; 256],
}

impl Prefilter {
    /// Longest literal.
    pub(crate) const LONGEST: usize = 8;

    /// Literals by their numbers: each has 1 to [`Self::LONGEST`] bytes.
    pub(crate) fn new(literals: &[Vec<u8>], rarity: &Rarity) -> Self {
        let mut anchors = Vec::new();
        let mut alone = vec![u16::MAX; 256];
        for (number, literal) in (0..).zip(literals) {
            if let [byte] = literal[..] {
                alone[usize::from(byte)] = number;
                continue;
            }
            let mut bytes = [0; Self::LONGEST];
            bytes[..literal.len()].copy_from_slice(literal);
            let (bytes, length) = (u64::from_le_bytes(bytes), literal.len() as u8);
            let mask = u64::MAX >> (64 - 8 * u32::from(length));
            anchor(literal, rarity, |run, before| {
                anchors.push(Anchor { bytes, mask, run: run as u32, literal: number, length, before });
            });
        }
        anchors.sort_unstable_by_key(|anchor| (anchor.run, anchor.literal));
        let mut runs = vec![0_u64; RUNS / 64];
        let mut firsts = Vec::new();
        for (at, anchor) in (0..).zip(&anchors) {
            let (word, bit) = (anchor.run as usize / 64, 1 << (anchor.run % 64));
            if runs[word] & bit == 0 {
                runs[word] |= bit;
                firsts.push(at);
            }
        }
        firsts.push(anchors.len() as u32);
        let rank = |before: &mut u32, word: &u64| {
            let rank = *before;
            *before += word.count_ones();
            Some(rank)
        };
        let ranks = runs.iter().scan(0, rank).collect();
        let mut classes = CLASSES;
        for (class, _) in classes.iter_mut().zip(&alone).filter(|(_, literal)| **literal != u16::MAX) {
            *class |= ALONE;
        }
        Self { runs, ranks, firsts, anchors, alone, classes }
    }

    /// Call `met` with the number, start and end of each literal in `text`, about in their order.
    pub(crate) fn find(&self, text: &[u8], mut met: impl FnMut(u16, usize, usize)) {
        let runs = &self.runs[..RUNS / 64];
        let mut run = run([NONE; 3]);
        for (at, &byte) in text.iter().enumerate() {
            let class = self.classes[usize::from(byte)];
            run = (run << BITS | usize::from(class & !ALONE)) & (RUNS - 1);
            if runs[run / 64] >> (run % 64) & 1 != 0 && at >= 2 {
                self.at(run, at - 2, text, &mut met);
            }
            if class & ALONE != 0 {
                met(self.alone[usize::from(byte)], at, at + 1);
            }
        }
        // A literal of two bytes may end the text.
        run = (run << BITS | usize::from(NONE)) & (RUNS - 1);
        if runs[run / 64] >> (run % 64) & 1 != 0 && text.len() >= 2 {
            self.at(run, text.len() - 2, text, &mut met);
        }
    }

    /// The literals anchored at `run`, which is at `at`.
    fn at(&self, run: usize, at: usize, text: &[u8], met: &mut impl FnMut(u16, usize, usize)) {
        let before = self.runs[run / 64] & ((1 << (run % 64)) - 1);
        let number = (self.ranks[run / 64] + before.count_ones()) as usize;
        let (first, end) = (self.firsts[number] as usize, self.firsts[number + 1] as usize);
        for anchor in &self.anchors[first..end] {
            let Some(start) = at.checked_sub(usize::from(anchor.before)) else { continue };
            let end = start + usize::from(anchor.length);
            if end <= text.len() && eight(text, start) & anchor.mask == anchor.bytes {
                met(anchor.literal, start, end);
            }
        }
    }
}

/// The eight bytes at `at`, the first one lowest; zeroes behind the end.
fn eight(text: &[u8], at: usize) -> u64 {
    match text[at..].first_chunk() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => text[at..].iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte)),
    }
}

/// The run that tells `literal` from ordinary text best, and what is in front of it; of a shorter literal all runs that begin
/// with it.
fn anchor(literal: &[u8], rarity: &Rarity, mut at: impl FnMut(usize, u8)) {
    let class = |byte: &u8| CLASSES[usize::from(*byte)];
    match literal {
        [] | [_] => {}
        [one, two] => (0..1 << BITS).for_each(|three| at(run([class(one), class(two), three]), 0)),
        _ => {
            let best = (0..literal.len() - 2).min_by_key(|start| rarity.of(&literal[*start..start + 3])).unwrap_or(0);
            let mut three = literal[best..best + 3].iter().map(class);
            let mut next = || three.next().unwrap_or(NONE);
            at(run([next(), next(), next()]), best as u8);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(literals: &[&str], text: &str) -> Vec<(u16, usize)> {
        let literals: Vec<Vec<u8>> = literals.iter().map(|literal| literal.as_bytes().to_vec()).collect();
        let mut found = Vec::new();
        Prefilter::new(&literals, &Rarity::new()).find(text.as_bytes(), |number, start, end| {
            assert_eq!(&text.as_bytes()[start..end], &literals[usize::from(number)][..]);
            found.push((number, start));
        });
        found.sort_unstable();
        found
    }

    #[test]
    fn short_and_long_literals_are_found() {
        assert_eq!(all(&["select", "$", "--", "le"], "$ select --$"), [(0, 2), (1, 0), (1, 11), (2, 9), (3, 4)]);
        assert!(all(&["select"], "selec").is_empty());
        assert_eq!(all(&["x"], "x"), [(0, 0)]);
        assert!(all(&["x"], "").is_empty());
    }

    proptest! {
        #[test]
        fn what_a_search_finds(literals in prop::collection::btree_set("[a-c0-9 $]{1,4}", 1..8), text in "[a-c0-9 $]{0,40}") {
            let literals: Vec<&str> = literals.iter().map(String::as_str).collect();
            let mut naive = Vec::new();
            for (number, literal) in (0..).zip(&literals) {
                naive.extend((0..text.len()).filter(|at| text[*at..].starts_with(literal)).map(|at| (number, at)));
            }
            prop_assert_eq!(all(&literals, &text), naive);
        }
    }
}
