//! Multibit tries: 16 bits at the root, 8 at every node, and over stretches without a branch as many as there are.
//!
//! An entry is a value, the first line of a bit vector or a class, or leads on to a node or a skip. Prefixes are expanded
//! to entries, longer ones over shorter ones, so that a lookup never goes back. How nodes and skips are kept is for a
//! [`Store`] to say.

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

/// A prefix and the value of addresses that it is the longest match of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leaf {
    pub(super) prefix: Prefix,
    pub(super) value: u32,
}

/// What tries are kept in.
pub(super) trait Store {
    /// Keep a node; the answer is an entry that leads to it.
    fn node(&mut self, entries: &[u32; NODE_ENTRIES]) -> u32;

    /// Keep a skip; the answer is an entry that leads to it.
    fn skip(&mut self, skip: Skip) -> u32;
}

/// One trie in the making: its leaves come in order, each prefix once.
#[derive(Debug)]
pub(super) struct Root<'a, S> {
    store: &'a mut S,
    entries: Vec<u32>,
    /// Leaves that are longer than the root decides on, all behind one entry of it.
    longer: Vec<Leaf>,
    skips: bool,
}

impl<'a, S: Store> Root<'a, S> {
    /// A trie in `store` in which every address has the value `everywhere`. Only one that is looked up so may have
    /// `skips`.
    pub(super) fn new(store: &'a mut S, everywhere: u32, skips: bool) -> Self {
        Self { store, entries: vec![everywhere; ROOT_ENTRIES], longer: Vec::new(), skips }
    }

    pub(super) fn add(&mut self, leaf: Leaf) {
        let Leaf { prefix, value } = leaf;
        let index = prefix.index(0, ROOT_BITS);
        if prefix.len <= ROOT_BITS {
            self.flush();
            self.entries[index..index + (1 << (ROOT_BITS - prefix.len))].fill(value);
            return;
        }
        if self.longer.first().is_some_and(|first| first.prefix.index(0, ROOT_BITS) != index) {
            self.flush();
        }
        self.longer.push(leaf);
    }

    /// The root's entries.
    pub(super) fn finish(mut self) -> Vec<u32> {
        self.flush();
        self.entries
    }

    fn flush(&mut self) {
        if let Some(first) = self.longer.first() {
            let entry = &mut self.entries[first.prefix.index(0, ROOT_BITS)];
            *entry = below(self.store, &self.longer, ROOT_BITS, *entry, self.skips);
            self.longer.clear();
        }
    }
}

/// The entry that leads to `leaves`, all longer than the `depth` bits that they have in common.
fn below<S: Store>(store: &mut S, leaves: &[Leaf], depth: u8, otherwise: u32, skips: bool) -> u32 {
    let (Some(first), Some(last)) = (leaves.first(), leaves.last()) else { return otherwise };
    if skips && leaves.len() == 1 {
        return store.skip(skip(first.prefix, first.value, otherwise));
    }
    let fork = first.prefix.common(&last.prefix) / NODE_BITS * NODE_BITS;
    if skips && fork > depth {
        let ends_here = first.prefix.len == fork;
        let (hit, rest) = if ends_here { (first.value, &leaves[1..]) } else { (otherwise, leaves) };
        let hit = below(store, rest, fork, hit, skips);
        return store.skip(skip(Prefix { bits: first.prefix.bits & mask(fork), len: fork }, hit, otherwise));
    }
    let entries = node(store, leaves, depth, otherwise, skips);
    store.node(&entries)
}

/// The entries for the bits behind the first `depth`, which all `leaves` have in common.
fn node<S: Store>(store: &mut S, leaves: &[Leaf], depth: u8, otherwise: u32, skips: bool) -> [u32; NODE_ENTRIES] {
    let mut entries = [otherwise; NODE_ENTRIES];
    let end = depth + NODE_BITS;
    let inside = |leaf: &Leaf| leaf.prefix.index(depth, NODE_BITS);
    let mut rest = leaves;
    // A prefix comes before those inside it, so each is written over the shorter ones.
    while let Some(Leaf { prefix, value }) = rest.first() {
        let first = inside(&rest[0]);
        if prefix.len <= end {
            entries[first..first + (1 << (end - prefix.len))].fill(*value);
            rest = &rest[1..];
            continue;
        }
        let longer = rest.partition_point(|leaf| inside(leaf) == first);
        entries[first] = below(store, &rest[..longer], end, entries[first], skips);
        rest = &rest[longer..];
    }
    entries
}

fn skip(prefix: Prefix, hit: u32, miss: u32) -> Skip {
    let words =
        |bits: u128| [bits >> 64, bits & u128::from(u64::MAX)].map(|word| u64::try_from(word).expect("64 bits"));
    let next = u32::from(prefix.len / NODE_BITS);
    Skip { key: words(prefix.bits), mask: words(mask(prefix.len)), hit, miss, next, reserved: [0; 5] }
}

/// The tries of the rules, in the tables that they share: plain nodes.
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

    /// Fill `trie` with `leaves`, which are in order, each once; other addresses have the bit vector at `everywhere`.
    pub(super) fn add(&mut self, trie: Trie, everywhere: u32, leaves: &[Leaf], skips: bool) {
        let mut root = Root::new(self, everywhere, skips);
        leaves.iter().for_each(|leaf| root.add(*leaf));
        let entries = root.finish();
        let begin = trie.0 as usize * ROOT_ENTRIES;
        self.roots[begin..begin + ROOT_ENTRIES].copy_from_slice(&entries);
    }
}

impl Store for Tries {
    fn node(&mut self, entries: &[u32; NODE_ENTRIES]) -> u32 {
        let index = self.nodes.len() / NODE_ENTRIES;
        self.nodes.extend_from_slice(entries);
        tagged(Entry::SXF_TO_NODE, index)
    }

    fn skip(&mut self, skip: Skip) -> u32 {
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
