//! Nodes and skips of the sets' tries, in cache lines. A node keeps runs of equal entries once:
//!
//! ```text
//!  node    begins: 256 bits, where a run begins that is not the first      entries of the first
//!          before: by word of begins, how many runs begin before it        7 runs
//!  behind  entries of 16 runs more, as many lines as it takes
//! ```
//!
//! So a host that is alone in its /24 costs a line, and as nodes of a line that are equal are kept once, most such hosts
//! together cost 256 of them.

use bytemuck::cast;

use super::super::{NODE_ENTRIES, ROOT_ENTRIES, trie::Store};
use crate::bpf::types::{Entry, Runs, SetFamily, SetShape, Shape, Skip};

const LINE_WORDS: usize = Shape::SXF_LINE_WORDS.0 as usize;
const LINE_BYTES: usize = LINE_WORDS * size_of::<u64>();
pub(super) const LINE_ENTRIES: usize = SetShape::SXF_LINE_ENTRIES.0 as usize;
pub(super) const NODE_RUNS: usize = SetShape::SXF_NODE_RUNS.0 as usize;
const _: () = assert!(size_of::<Runs>() == LINE_BYTES && size_of::<Skip>() == LINE_BYTES);
const _: () = assert!(LINE_ENTRIES * size_of::<u32>() == LINE_BYTES);

/// Lines of one root.
pub(super) const ROOT_LINES: usize = ROOT_ENTRIES / LINE_ENTRIES;
const FAMILIES: usize = SetFamily::SXF_SET_FAMILIES.0 as usize;
/// Most lines: kernels before 6.0 reckon with 32 bits where an entry of an array lies.
const MAX_LINES: usize = u32::MAX as usize / LINE_BYTES;
/// Places for nodes that may come again.
const RECENT_BITS: u32 = 16;

/// The lines of both tries.
#[derive(Debug)]
pub(super) struct Nodes {
    words: Vec<u64>,
    /// Lines of nodes, by digest; a later one takes the place of an earlier one. 0 for none: a root is there.
    recent: Vec<u32>,
    /// More lines are needed than may be.
    full: bool,
}

impl Nodes {
    pub(super) fn new() -> Self {
        let words = vec![0; FAMILIES * ROOT_LINES * LINE_WORDS];
        Self { words, recent: vec![0; 1 << RECENT_BITS], full: false }
    }

    pub(super) fn set_root(&mut self, family: SetFamily, entries: &[u32]) {
        let words = &mut self.words[family.0 as usize * ROOT_LINES * LINE_WORDS..][..ROOT_LINES * LINE_WORDS];
        bytemuck::cast_slice_mut(words).copy_from_slice(entries);
    }

    /// All lines; `None` when there are more than may be.
    pub(super) fn into_lines(self) -> Option<Vec<u64>> {
        (!self.full).then_some(self.words)
    }

    /// Append whole lines; the answer is the number of the first.
    fn push(&mut self, words: &[u64]) -> u32 {
        let line = self.words.len() / LINE_WORDS;
        if self.full || line + words.len() / LINE_WORDS > MAX_LINES {
            // Goes on to the end, which a million prefixes are near to, but without more memory.
            self.full = true;
            return 0;
        }
        self.words.extend_from_slice(words);
        u32::try_from(line).expect("at most MAX_LINES")
    }

    /// The line of a node that is one line, a new one unless an equal one is found.
    fn shared(&mut self, words: &[u64; LINE_WORDS]) -> u32 {
        let place = place(words);
        let known = self.recent[place];
        let at = known as usize * LINE_WORDS;
        if known != 0 && self.words[at..at + LINE_WORDS] == *words {
            return known;
        }
        let line = self.push(words);
        self.recent[place] = line;
        line
    }
}

impl Store for Nodes {
    fn node(&mut self, entries: &[u32; NODE_ENTRIES]) -> u32 {
        let mut begins = [0_u64; 4];
        let mut runs = [0_u32; NODE_ENTRIES];
        let mut last = 0;
        runs[0] = entries[0];
        for at in 1..NODE_ENTRIES {
            if entries[at] != entries[at - 1] {
                begins[at / 64] |= 1 << (at % 64);
                last += 1;
                runs[last] = entries[at];
            }
        }
        // The same everywhere is no branch. Only values: what leads on has to come at its own step.
        if last == 0 && runs[0] & !Entry::SXF_INDEX.0 == 0 {
            return runs[0];
        }
        let (inline, more) = runs.split_at(NODE_RUNS);
        let node: [u64; LINE_WORDS] =
            cast(Runs { begins, before: before(begins), entries: inline.try_into().expect("split there") });
        if last < NODE_RUNS {
            return Entry::SXF_TO_NODE.0 | self.shared(&node);
        }
        let line = self.push(&node);
        for entries in more[..=last - NODE_RUNS].chunks(LINE_ENTRIES) {
            let mut padded = [0; LINE_ENTRIES];
            padded[..entries.len()].copy_from_slice(entries);
            self.push(&cast::<_, [u64; LINE_WORDS]>(padded));
        }
        Entry::SXF_TO_NODE.0 | line
    }

    fn skip(&mut self, skip: Skip) -> u32 {
        Entry::SXF_TO_SKIP.0 | self.push(&cast::<_, [u64; LINE_WORDS]>(skip))
    }
}

/// How many bits are set in the words before each.
fn before(begins: [u64; 4]) -> [u8; 4] {
    let mut sum = 0;
    begins.map(|word| {
        let before = sum;
        sum += word.count_ones();
        u8::try_from(before).expect("three words before the last: 192 at most")
    })
}

fn place(words: &[u64; LINE_WORDS]) -> usize {
    let mix = |digest: u64, word: &u64| (digest.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let digest = words.iter().fold(0, mix);
    usize::try_from(digest >> (u64::BITS - RECENT_BITS)).expect("16 bits")
}
