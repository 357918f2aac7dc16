//! Multibit tries: 16 bits at the root, 8 at every node, and over stretches without a branch as many as there are.
//!
//! An entry is the first line of a bit vector, or leads on to a node or a skip. Prefixes are expanded to entries, longer
//! ones over shorter ones, so that a lookup never goes back.

use ipnet::IpNet;

use super::{NODE_ENTRIES, ROOT_ENTRIES, TRIES};
use crate::bpf::types::{Entry, Skip, Trie};

const ROOT_BITS: u8 = 16;
const NODE_BITS: u8 = 8;

/// The high `len` bits of an address; IPv4 addresses take the high 32 of 128 bits. Ordered so that a prefix comes behind
/// those that contain it, and all that are inside one come together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Prefix {
    /// No bits below `len`.
    bits: u128,
    len: u8,
}

impl Prefix {
    pub(super) fn of(net: IpNet) -> Self {
        let bits = match net {
            IpNet::V4(net) => u128::from(net.network().to_bits()) << 96,
            IpNet::V6(net) => net.network().to_bits(),
        };
        Self { bits, len: net.prefix_len() }
    }

    pub(super) fn is_everywhere(&self) -> bool {
        self.len == 0
    }

    pub(super) fn contains(&self, other: &Self) -> bool {
        self.len <= other.len && (self.bits ^ other.bits) & mask(self.len) == 0
    }

    /// The `width` bits that follow the first `depth`, as an index.
    fn index(&self, depth: u8, width: u8) -> usize {
        usize::try_from(self.bits << depth >> (128 - u32::from(width))).expect("16 bits at most")
    }

    /// How many of the first bits are the same, up to the shorter length.
    fn common(&self, other: &Self) -> u8 {
        let same = u8::try_from((self.bits ^ other.bits).leading_zeros()).unwrap_or(128);
        same.min(self.len).min(other.len)
    }
}

/// A prefix and the first line of the bit vector of addresses that it is the longest match of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leaf {
    pub(super) prefix: Prefix,
    pub(super) line: u32,
}

/// All tries, in the tables that they share.
#[derive(Debug)]
pub(super) struct Tries {
    pub(super) roots: Vec<u32>,
    pub(super) nodes: Vec<u32>,
    pub(super) skips: Vec<Skip>,
}

impl Tries {
    pub(super) fn new() -> Self {
        Self { roots: vec![0; TRIES * ROOT_ENTRIES], nodes: Vec::new(), skips: Vec::new() }
    }

    /// Fill `trie` with `leaves`, which are in order, each once and none of them everywhere; other addresses have the
    /// bit vector at `everywhere`. Only a trie that is looked up so may have skips.
    pub(super) fn add(&mut self, trie: Trie, everywhere: u32, leaves: &[Leaf], skips: bool) {
        let entries = self.entries(leaves, 0, ROOT_BITS, everywhere, skips);
        let begin = trie.0 as usize * ROOT_ENTRIES;
        self.roots[begin..begin + ROOT_ENTRIES].copy_from_slice(&entries);
    }

    /// The entries for the `width` bits behind the first `depth`, which all `leaves` have in common.
    fn entries(&mut self, leaves: &[Leaf], depth: u8, width: u8, otherwise: u32, skips: bool) -> Vec<u32> {
        let mut entries = vec![otherwise; 1 << width];
        let end = depth + width;
        for Leaf { prefix, line } in leaves.iter().filter(|leaf| leaf.prefix.len <= end) {
            let first = prefix.index(depth, width);
            entries[first..first + (1 << (end - prefix.len))].fill(*line);
        }
        let inside = |leaf: &Leaf| leaf.prefix.index(depth, width);
        for group in leaves.chunk_by(|a, b| inside(a) == inside(b)) {
            let index = inside(&group[0]);
            // What is not longer sorts before what is.
            let longer = &group[group.partition_point(|leaf| leaf.prefix.len <= end)..];
            if !longer.is_empty() {
                entries[index] = self.below(longer, end, entries[index], skips);
            }
        }
        entries
    }

    /// The entry that leads to `leaves`, all longer than the `depth` bits that they have in common.
    fn below(&mut self, leaves: &[Leaf], depth: u8, otherwise: u32, skips: bool) -> u32 {
        let (Some(first), Some(last)) = (leaves.first(), leaves.last()) else { return otherwise };
        if skips && leaves.len() == 1 {
            return self.skip(first.prefix, first.line, otherwise);
        }
        let fork = first.prefix.common(&last.prefix) / NODE_BITS * NODE_BITS;
        if skips && fork > depth {
            let ends_here = first.prefix.len == fork;
            let (hit, rest) = if ends_here { (first.line, &leaves[1..]) } else { (otherwise, leaves) };
            let hit = self.below(rest, fork, hit, skips);
            return self.skip(Prefix { bits: first.prefix.bits & mask(fork), len: fork }, hit, otherwise);
        }
        let entries = self.entries(leaves, depth, NODE_BITS, otherwise, skips);
        let index = self.nodes.len() / NODE_ENTRIES;
        self.nodes.extend_from_slice(&entries);
        tagged(Entry::SXF_TO_NODE, index)
    }

    fn skip(&mut self, prefix: Prefix, hit: u32, miss: u32) -> u32 {
        let words =
            |bits: u128| [bits >> 64, bits & u128::from(u64::MAX)].map(|word| u64::try_from(word).expect("64 bits"));
        let next = u32::from(prefix.len / NODE_BITS);
        let skip = Skip { key: words(prefix.bits), mask: words(mask(prefix.len)), hit, miss, next, reserved: [0; 5] };
        self.skips.push(skip);
        tagged(Entry::SXF_TO_SKIP, self.skips.len() - 1)
    }
}

fn tagged(tag: Entry, index: usize) -> u32 {
    // A prefix costs a few nodes and skips, and there are 16,384 rules at most, of two prefixes each.
    let index = u32::try_from(index).ok().filter(|index| *index < Entry::SXF_INDEX.0);
    tag.0 | index.expect("the rules are few enough for numbers of 30 bits")
}

fn mask(len: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0)
}
