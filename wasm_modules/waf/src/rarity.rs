//! How often bytes follow one another in ordinary text.

use alloc::{collections::BTreeMap, vec::Vec};

/// Text as people and their programs write it: what is in it is met everywhere.
const ORDINARY: &str = include_str!("ordinary.txt");

/// Counts of runs of one, two and three bytes in ordinary text.
#[derive(Debug)]
pub(crate) struct Rarity {
    counts: BTreeMap<Vec<u8>, u32>,
}

impl Rarity {
    pub(crate) fn new() -> Self {
        let mut counts = BTreeMap::new();
        for length in 1..=3 {
            for run in ORDINARY.as_bytes().windows(length) {
                let run: Vec<u8> = run.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }).collect();
                *counts.entry(run).or_insert(0) += 1;
            }
        }
        Self { counts }
    }

    /// How often `literal` is met in the ordinary text, at most.
    pub(crate) fn met(&self, literal: &[u8]) -> u32 {
        self.least(literal, 3)
    }

    /// What tells literals apart that are met as often, and those never met: less is better.
    pub(crate) fn of(&self, literal: &[u8]) -> (u32, u32) {
        (self.met(literal), self.least(literal, 2))
    }

    /// The count of the rarest run of `length` bytes in it.
    fn least(&self, literal: &[u8], length: usize) -> u32 {
        let count = |run: &[u8]| {
            let mut spaced = [0; 3];
            let spaced = &mut spaced[..run.len()];
            spaced
                .iter_mut()
                .zip(run)
                .for_each(|(to, byte)| *to = if byte.is_ascii_whitespace() { b' ' } else { *byte });
            self.counts.get(&*spaced).copied().unwrap_or(0)
        };
        literal.windows(length.min(literal.len()).max(1)).map(count).min().unwrap_or(u32::MAX)
    }
}
