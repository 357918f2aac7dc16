//! Bytes that are kept aside, by owner (one direction of a stream, or a datagram) and position, in blocks of fixed size.
//!
//! ```text
//!  arena   [ area, emptied for each batch | block 0 | block 1 | … ]     what guests see
//!  host    heads ─► block's owner, number = position / 2048, which of its bytes are there, how many wait to be shown
//! ```
//!
//! A block holds bytes that were shown (to compare retransmissions with) and bytes that wait (behind a gap) alike. Where there
//! is no block left, the oldest one in which nothing waits goes.

use super::{index, order::Order};
use crate::{
    chained::{Chained, NONE},
    flow::HashKey,
    inspect::SharedMemory,
};

/// Bytes of a block.
pub(super) const BLOCK: usize = 2048;
/// The same, as positions are counted.
const BLOCK64: u64 = 2048;
const WORDS: usize = BLOCK / 64;
/// Blocks that are looked at for one that may go.
const TRIES: usize = 8;

/// There is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

/// How bytes compare with those that are kept at their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Overlap {
    /// So many of them are there already.
    pub(super) present: usize,
    /// And one of these is different.
    pub(super) conflict: bool,
}

#[derive(Debug, Clone)]
struct Block {
    owner: u32,
    /// Bytes that were not shown yet.
    waiting: u32,
    number: u64,
    /// The owner's other blocks.
    before: u32,
    after: u32,
    /// A bit for each byte that is there.
    present: [u64; WORDS],
}

#[derive(Debug, Clone, Copy)]
struct Owner {
    first: u32,
    blocks: u32,
    /// No block has a lower number.
    lowest: u64,
}

/// See the module. Invariant: every block in use is in its owner's list, and in the order of all.
#[derive(Debug)]
pub(super) struct Store {
    memory: SharedMemory,
    /// Bytes in front of the first block.
    area: usize,
    key: HashKey,
    blocks: Chained<Block>,
    /// Blocks in use, in the order in which they were taken.
    order: Order<1>,
    owners: Box<[Owner]>,
}

impl Store {
    /// A store in `memory`, of which the first `area` bytes are left to others, for the owners 0 to `owners` - 1.
    pub(super) fn new(memory: SharedMemory, area: usize, owners: usize, key: HashKey) -> Self {
        let capacity = memory.len().saturating_sub(area) / BLOCK;
        Self {
            memory,
            area,
            key,
            blocks: Chained::new(capacity),
            order: Order::new(capacity),
            owners: vec![Owner { first: NONE, blocks: 0, lowest: 0 }; owners].into_boxed_slice(),
        }
    }

    pub(super) fn memory(&self) -> &SharedMemory {
        &self.memory
    }

    pub(super) fn memory_mut(&mut self) -> &mut SharedMemory {
        &mut self.memory
    }

    /// Blocks in use.
    pub(super) fn used(&self) -> usize {
        self.order.len(0)
    }

    /// Blocks that `owner` has.
    pub(super) fn blocks_of(&self, owner: u32) -> usize {
        self.owners[owner as usize].blocks as usize
    }

    /// Compare `bytes` at position `pos` with what is there.
    pub(super) fn compare(&self, owner: u32, pos: u64, bytes: &[u8]) -> Overlap {
        let mut overlap = Overlap::default();
        for Part { number, start, range } in parts(pos, bytes.len()) {
            let at = self.find(owner, number);
            if at == NONE {
                continue;
            }
            let len = range.len();
            let given = &bytes[range];
            let Some(kept) = self.memory.read(self.address(at) + start, len) else { continue };
            let present = self.count(at, start, len);
            overlap.present += present;
            overlap.conflict |= match present {
                0 => false,
                all if all == len => kept != given,
                _ => kept.iter().zip(given).enumerate().any(|(i, (a, b))| a != b && self.is_there(at, start + i)),
            };
        }
        overlap
    }

    /// Keep `bytes`, which agree with what is there already; they count as not shown when they `wait`. Returns how many
    /// are new. All or nothing.
    pub(super) fn put(&mut self, owner: u32, pos: u64, bytes: &[u8], wait: bool) -> Result<usize, Full> {
        let mut places = [NONE; PLACES];
        for (place, part) in places.iter_mut().zip(parts(pos, bytes.len())) {
            *place = match self.find(owner, part.number) {
                NONE => self.take(owner, part.number).ok_or(Full)?,
                found => {
                    // So that none of the next blocks makes room for itself by pushing this one out: there are more blocks
                    // than are looked at for all the blocks of a packet.
                    if self.is_full() {
                        self.order.take(0, found);
                        self.order.push(0, found);
                    }
                    found
                }
            };
        }
        let mut added = 0;
        for (&at, Part { start, range, .. }) in places.iter().zip(parts(pos, bytes.len())) {
            let len = range.len();
            let address = self.address(at) + start;
            // The block is inside the memory, so this does not fail.
            let _ = self.memory.write(address, &bytes[range]);
            let block = self.blocks.at_mut(at);
            let mut new = 0;
            for (word, mask) in masks(start, len) {
                new += (mask & !block.present[word]).count_ones();
                block.present[word] |= mask;
            }
            if wait {
                block.waiting += new;
            }
            added += new as usize;
        }
        Ok(added)
    }

    /// The bytes from `pos` on that are there, as far as they lie in one block: their offset in the memory, and how many.
    pub(super) fn run(&self, owner: u32, pos: u64) -> Option<(usize, usize)> {
        let (number, start) = (pos / BLOCK64, index(pos % BLOCK64));
        let at = self.find(owner, number);
        if at == NONE {
            return None;
        }
        let present = &self.blocks.at(at).present;
        let mut len = 0;
        let mut bit = start;
        while bit < BLOCK {
            let ones = (present[bit / 64] >> (bit % 64)).trailing_ones() as usize;
            len += ones;
            if ones < 64 - bit % 64 {
                break;
            }
            bit += ones;
        }
        (len > 0).then(|| (self.address(at) + start, len))
    }

    /// The bytes of this range that are there no longer wait, or wait again.
    pub(super) fn set_waiting(&mut self, owner: u32, pos: u64, len: usize, wait: bool) -> usize {
        let mut count = 0;
        for Part { number, start, range } in parts(pos, len) {
            let at = self.find(owner, number);
            if at == NONE {
                continue;
            }
            let present = self.count(at, start, range.len());
            let changed = u32::try_from(present).unwrap_or(0);
            let block = self.blocks.at_mut(at);
            block.waiting = if wait { block.waiting + changed } else { block.waiting.saturating_sub(changed) };
            count += present;
        }
        count
    }

    /// Let go of what lies before `pos`, by whole blocks.
    pub(super) fn free_before(&mut self, owner: u32, pos: u64) {
        let bound = pos / BLOCK64;
        let Owner { mut first, blocks, lowest } = self.owners[owner as usize];
        if bound <= lowest {
            return;
        }
        if bound - lowest <= u64::from(blocks) {
            for number in lowest..bound {
                match self.find(owner, number) {
                    NONE => {}
                    at => self.release(at),
                }
            }
        } else {
            while first != NONE {
                let block = self.blocks.at(first);
                let (after, old) = (block.after, block.number < bound);
                if old {
                    self.release(first);
                }
                first = after;
            }
        }
        self.owners[owner as usize].lowest = bound;
    }

    /// Let go of all that an owner has.
    pub(super) fn free_all(&mut self, owner: u32) {
        let mut at = self.owners[owner as usize].first;
        while at != NONE {
            let after = self.blocks.at(at).after;
            self.release(at);
            at = after;
        }
        self.owners[owner as usize].lowest = 0;
    }

    fn is_full(&self) -> bool {
        self.blocks.len() == self.blocks.capacity()
    }

    fn address(&self, at: u32) -> usize {
        self.area + at as usize * BLOCK
    }

    fn is_there(&self, at: u32, byte: usize) -> bool {
        self.blocks.at(at).present[byte / 64] >> (byte % 64) & 1 == 1
    }

    fn count(&self, at: u32, start: usize, len: usize) -> usize {
        let present = &self.blocks.at(at).present;
        masks(start, len).map(|(word, mask)| (present[word] & mask).count_ones() as usize).sum()
    }

    fn hash(&self, owner: u32, number: u64) -> u64 {
        self.key.hash([u64::from(owner), number])
    }

    fn find(&self, owner: u32, number: u64) -> u32 {
        if self.owners[owner as usize].blocks == 0 {
            return NONE;
        }
        let is = |block: &Block| block.owner == owner && block.number == number;
        self.blocks.find(self.hash(owner, number), is).unwrap_or(NONE)
    }

    /// A block for what is not there yet.
    fn take(&mut self, owner: u32, number: u64) -> Option<u32> {
        if self.is_full() {
            self.reclaim()?;
        }
        let Owner { first, blocks, lowest } = self.owners[owner as usize];
        let block = Block { owner, waiting: 0, number, before: NONE, after: first, present: [0; WORDS] };
        let at = self.blocks.enter(self.hash(owner, number), block);
        if first != NONE {
            self.blocks.at_mut(first).before = at;
        }
        let lowest = if blocks == 0 { number } else { lowest.min(number) };
        self.owners[owner as usize] = Owner { first: at, blocks: blocks + 1, lowest };
        self.order.push(0, at);
        Some(at)
    }

    /// Free the oldest block in which nothing waits. One in which something does has another chance among the newest.
    fn reclaim(&mut self) -> Option<()> {
        for _ in 0..TRIES {
            let at = self.order.oldest(0);
            if at == NONE {
                return None;
            }
            if self.blocks.at(at).waiting == 0 {
                self.release(at);
                return Some(());
            }
            self.order.take(0, at);
            self.order.push(0, at);
        }
        None
    }

    /// Take a block out of all lists and make it free.
    fn release(&mut self, at: u32) {
        self.order.take(0, at);
        let Block { owner, before, after, .. } = *self.blocks.at(at);
        self.blocks.remove(at);
        if after != NONE {
            self.blocks.at_mut(after).before = before;
        }
        let of = &mut self.owners[owner as usize];
        of.blocks -= 1;
        match before {
            NONE => of.first = after,
            before => self.blocks.at_mut(before).after = after,
        }
    }
}

/// Most blocks that one packet reaches into: 64 KiB that begin inside of one.
const PLACES: usize = (1 << 16) / BLOCK + 1;

/// What part of some bytes lies in one block.
struct Part {
    number: u64,
    /// Where in the block.
    start: usize,
    /// Which of the bytes.
    range: std::ops::Range<usize>,
}

/// The blocks that `len` bytes, 64 KiB at most, from position `pos` on lie in.
fn parts(pos: u64, len: usize) -> impl Iterator<Item = Part> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = pos + done as u64;
        let start = index(at % BLOCK64);
        let range = done..len.min(done + BLOCK - start);
        done = range.end;
        (!range.is_empty()).then_some(Part { number: at / BLOCK64, start, range })
    })
}

/// The words, and bits of them, that stand for `len` bytes from `start` on.
fn masks(start: usize, len: usize) -> impl Iterator<Item = (usize, u64)> {
    let end = start + len;
    (start / 64..end.div_ceil(64)).map(move |word| {
        let (from, to) = (start.max(word * 64) - word * 64, end.min(word * 64 + 64) - word * 64);
        (word, (u64::MAX << from) & (u64::MAX >> (64 - to)))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn store(blocks: usize) -> Store {
        Store::new(SharedMemory::new(4096 + blocks * BLOCK).unwrap(), 4096, 4, HashKey::fixed(1, 2))
    }

    /// Every list leads to the same blocks.
    fn check(store: &Store) {
        let mut seen = 0;
        for owner in &store.owners {
            let (mut at, mut blocks) = (owner.first, 0);
            while at != NONE {
                let block = store.blocks.at(at);
                assert_eq!(store.find(block.owner, block.number), at);
                assert!(block.waiting <= block.present.iter().map(|word| word.count_ones()).sum());
                assert!(block.number >= owner.lowest);
                blocks += 1;
                at = block.after;
            }
            assert_eq!(blocks, owner.blocks);
            seen += blocks as usize;
        }
        assert_eq!(seen, store.used());
    }

    proptest! {
        // Bytes are compared one by one with a model: many cases take long.
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn what_is_put_is_there_until_it_is_let_go(
            steps in prop::collection::vec((0u32..3, 0u64..20_000, 1usize..5000, any::<u8>(), 0u8..8), 1..20)
        ) {
            let mut store = store(64);
            let mut model: HashMap<(u32, u64), u8> = HashMap::new();
            for (owner, pos, len, seed, kind) in steps {
                let bytes: Vec<u8> = (0..len).map(|i| u8::try_from((pos + i as u64) % 251).unwrap() ^ (seed & 1)).collect();
                let there = |i: usize| model.get(&(owner, pos + i as u64)).copied();
                let overlap = store.compare(owner, pos, &bytes);
                prop_assert_eq!(overlap.present, (0..len).filter(|&i| there(i).is_some()).count());
                prop_assert_eq!(overlap.conflict, (0..len).any(|i| there(i).is_some_and(|byte| byte != bytes[i])));
                if kind == 0 {
                    store.free_before(owner, pos);
                    model.retain(|&(of, at), _| of != owner || at / BLOCK64 >= pos / BLOCK64);
                } else if !overlap.conflict && let Ok(added) = store.put(owner, pos, &bytes, kind > 3) {
                    prop_assert_eq!(added, len - overlap.present);
                    model.extend((0..len).map(|i| ((owner, pos + i as u64), bytes[i])));
                }
                check(&store);
                // Blocks in which nothing waits may go at any time.
                model.retain(|&(of, at), _| store.find(of, at / BLOCK64) != NONE);
            }
            for (&(owner, pos), &byte) in model.iter().step_by(97) {
                let (address, len) = store.run(owner, pos).unwrap();
                prop_assert_eq!(store.memory.read(address, 1).unwrap(), &[byte]);
                prop_assert!((pos..pos + len as u64).all(|at| model.contains_key(&(owner, at))));
            }
            for owner in 0..4 {
                store.free_all(owner);
            }
            prop_assert_eq!(store.used(), 0);
        }
    }

    #[test]
    fn what_waits_is_never_pushed_out_and_what_was_shown_is_the_oldest_first() {
        let mut store = store(16);
        let block = |number: u64| number * BLOCK64;
        for number in 0..4 {
            store.put(0, block(number), &[7; BLOCK], true).unwrap();
        }
        for number in 0..12 {
            store.put(1, block(number), &[8; 10], false).unwrap();
        }
        store.put(2, 0, &[9], false).unwrap();
        assert_eq!(store.compare(1, 0, &[8]).present, 0, "the oldest that was shown made room");
        assert_eq!(store.compare(1, block(1), &[8]).present, 1);
        assert_eq!(store.compare(0, 0, &[7; 4 * BLOCK]), Overlap { present: 4 * BLOCK, conflict: false });
        for number in 4..16 {
            store.put(0, block(number), &[7; BLOCK], true).unwrap();
        }
        assert_eq!(store.put(3, 0, &[1], true), Err(Full), "all wait");
        store.set_waiting(0, block(2), BLOCK, false);
        assert!((0..3).any(|_| store.put(3, 0, &[1], true).is_ok()), "found within a few tries");
        check(&store);
    }
}
