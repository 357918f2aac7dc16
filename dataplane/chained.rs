//! A hash table of fixed size whose entries stay where they are: numbered slots, those of one hash value chained. It knows no
//! order and no time; the tables of flows and of streams add these.

/// No slot.
pub(crate) const NONE: u32 = u32::MAX;

#[derive(Debug, Clone)]
struct Slot<T> {
    entry: T,
    hash: u64,
    /// Entries that were in this slot before.
    epoch: u32,
    live: bool,
    /// Next of the same head; of free slots, the next free one.
    next: u32,
}

/// See the module. Invariant: every live slot is in the list of exactly one head, every other one in that of free slots.
#[derive(Debug)]
pub(crate) struct Chained<T> {
    /// A power of two of them, at least as many as slots.
    heads: Box<[u32]>,
    slots: Vec<Slot<T>>,
    capacity: usize,
    free: u32,
    live: usize,
}

impl<T> Chained<T> {
    /// A table for `capacity` entries, whose memory is allocated here.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            heads: vec![NONE; capacity.next_power_of_two()].into_boxed_slice(),
            slots: Vec::with_capacity(capacity),
            capacity,
            free: NONE,
            live: 0,
        }
    }

    /// Entries that it has room for.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Entries in it.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// Slots and heads that memory is there for.
    #[cfg(test)]
    pub(crate) fn allocated(&self) -> (usize, usize) {
        (self.slots.capacity(), self.heads.len())
    }

    /// Slots that were ever used; entries lie in those below.
    pub(crate) fn used(&self) -> usize {
        self.slots.len()
    }

    /// The slot of the entry of this hash that `is` is true for.
    #[inline]
    pub(crate) fn find(&self, hash: u64, is: impl Fn(&T) -> bool) -> Option<u32> {
        let mut at = self.heads[self.head(hash)];
        while at != NONE {
            let slot = &self.slots[at as usize];
            if slot.hash == hash && is(&slot.entry) {
                return Some(at);
            }
            at = slot.next;
        }
        None
    }

    /// What lies in a slot that was used, whether it is live or not.
    #[inline]
    pub(crate) fn at(&self, slot: u32) -> &T {
        &self.slots[slot as usize].entry
    }

    /// As [`Chained::at`], to be written.
    #[inline]
    pub(crate) fn at_mut(&mut self, slot: u32) -> &mut T {
        &mut self.slots[slot as usize].entry
    }

    /// The entry in a slot, when it is live.
    pub(crate) fn get(&self, slot: u32) -> Option<&T> {
        self.slots.get(slot as usize).filter(|slot| slot.live).map(|slot| &slot.entry)
    }

    /// Entries that were in this slot before the one that is there: tells it from those.
    pub(crate) fn epoch(&self, slot: u32) -> u32 {
        self.slots.get(slot as usize).map_or(0, |slot| slot.epoch)
    }

    /// Every entry.
    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().filter(|slot| slot.live).map(|slot| &mut slot.entry)
    }

    /// Enter what is not there; its slot.
    ///
    /// # Panics
    /// The table is full.
    #[inline]
    pub(crate) fn enter(&mut self, hash: u64, entry: T) -> u32 {
        assert!(self.live < self.capacity, "a table never grows");
        let head = self.head(hash);
        let mut slot = Slot { entry, hash, epoch: 0, live: true, next: self.heads[head] };
        let at = match self.free {
            NONE => {
                self.slots.push(slot);
                u32::try_from(self.slots.len() - 1).unwrap_or(NONE)
            }
            at => {
                let free = &mut self.slots[at as usize];
                slot.epoch = free.epoch.wrapping_add(1);
                self.free = std::mem::replace(free, slot).next;
                at
            }
        };
        self.heads[head] = at;
        self.live += 1;
        at
    }

    /// Make the slot of an entry free; whether there was one.
    pub(crate) fn remove(&mut self, at: u32) -> bool {
        let Some(&Slot { hash, next, live: true, .. }) = self.slots.get(at as usize) else { return false };
        let head = self.head(hash);
        if self.heads[head] == at {
            self.heads[head] = next;
        } else {
            let mut before = self.heads[head];
            while before != NONE {
                let slot = &mut self.slots[before as usize];
                if slot.next == at {
                    slot.next = next;
                    break;
                }
                before = slot.next;
            }
        }
        let slot = &mut self.slots[at as usize];
        (slot.live, slot.next) = (false, self.free);
        self.free = at;
        self.live -= 1;
        true
    }

    /// Forget every entry.
    pub(crate) fn clear(&mut self) {
        self.heads.fill(NONE);
        self.slots.clear();
        (self.free, self.live) = (NONE, 0);
    }

    #[inline]
    fn head(&self, hash: u64) -> usize {
        // The number of heads is a power of two.
        usize::try_from(hash & (self.heads.len() as u64 - 1)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Few hashes, so that chains are long; removals from anywhere in them.
        #[test]
        fn it_holds_what_a_map_holds(steps in prop::collection::vec((any::<bool>(), 0u64..40), 0..300), spread in 1u64..8) {
            let (mut table, mut model) = (Chained::new(16), HashMap::new());
            for (enter, key) in steps {
                let hash = key % spread;
                let found = table.find(hash, |entry| *entry == key);
                prop_assert_eq!(found, model.get(&key).copied());
                match found {
                    None if enter && table.len() < table.capacity() => {
                        let slot = table.enter(hash, key);
                        prop_assert!(model.values().all(|other| *other != slot));
                        model.insert(key, slot);
                    }
                    Some(slot) if !enter => {
                        let epoch = table.epoch(slot);
                        prop_assert!(table.remove(slot) && !table.remove(slot) && table.get(slot).is_none());
                        prop_assert_eq!(table.epoch(slot), epoch);
                        model.remove(&key);
                    }
                    _ => {}
                }
                let mut all: Vec<u64> = table.all_mut().map(|entry| *entry).collect();
                let mut expected: Vec<u64> = model.keys().copied().collect();
                all.sort_unstable();
                expected.sort_unstable();
                prop_assert_eq!((table.len(), all), (model.len(), expected));
            }
        }
    }

    #[test]
    fn a_slot_that_is_used_again_has_another_epoch() {
        let mut table = Chained::new(1);
        let slot = table.enter(7, "first");
        let epoch = table.epoch(slot);
        assert!(table.remove(slot));
        assert_eq!(table.enter(9, "second"), slot);
        assert_ne!(table.epoch(slot), epoch);
    }
}
