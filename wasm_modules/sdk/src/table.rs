//! Bounded state by key: per flow, per source. What was used longest ago gives way.

use alloc::{format, string::String, vec::Vec};
use core::{
    hash::{BuildHasher, Hash},
    mem,
    net::IpAddr,
};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// No entry.
const NONE: u32 = u32::MAX;

/// State by flow: by [`Packet::flow`](crate::abi::Packet::flow), which is also a chunk's.
pub type FlowStates<T> = Table<u64, T>;

/// State by source address or prefix: by [`prefix`].
pub type Sources<T> = Table<u128, T>;

/// An address cut to `v4` or `v6` bits, as one number: IPv4 as the IPv6 addresses that are mapped to it.
#[must_use]
pub fn prefix(address: IpAddr, v4: u8, v6: u8) -> u128 {
    let (bits, host) = match address {
        IpAddr::V4(address) => (address.to_ipv6_mapped().to_bits(), 32 - u32::from(v4.min(32))),
        IpAddr::V6(address) => (address.to_bits(), 128 - u32::from(v6.min(128))),
    };
    bits & u128::MAX.checked_shl(host).unwrap_or(0)
}

/// State by key for at most a fixed number of keys: all memory is taken at the start, and every operation costs the same
/// however many keys there are. A new key in a full table takes the place of the one that was used longest ago.
#[derive(Debug)]
pub struct Table<K, T> {
    /// Places in `entries`, by key.
    index: HashTable<u32>,
    entries: Vec<Entry<K, T>>,
    capacity: usize,
    hasher: FixedState,
    newest: u32,
    oldest: u32,
    evicted: u64,
}

#[derive(Debug)]
struct Entry<K, T> {
    key: K,
    value: T,
    newer: u32,
    older: u32,
}

impl<K: Copy + Eq + Hash, T> Table<K, T> {
    /// A table for `capacity` keys, at least 1.
    ///
    /// # Errors
    /// There is not that much heap; the text names what is needed.
    pub fn new(capacity: usize) -> Result<Self, String> {
        let capacity = capacity.clamp(1, NONE as usize - 1);
        let mut this = Self {
            index: HashTable::new(),
            entries: Vec::new(),
            capacity,
            hasher: FixedState::with_seed(0),
            newest: NONE,
            oldest: NONE,
            evicted: 0,
        };
        let taken = this.entries.try_reserve_exact(capacity).is_ok() && this.index.try_reserve(capacity, |_| 0).is_ok();
        if taken {
            return Ok(this);
        }
        // The index takes 5 to 10 bytes for each.
        let mib = (capacity * (mem::size_of::<Entry<K, T>>() + 10)).div_ceil(1 << 20);
        Err(format!("a table of {capacity} entries needs {mib} MiB of heap, which are not there: raise heap_mib"))
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Most keys.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Keys that gave way to others so far.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// The state of a key, which becomes the one that was used last.
    #[inline]
    pub fn get(&mut self, key: K) -> Option<&mut T> {
        let at = self.find(key)?;
        self.touch(at);
        Some(&mut self.entries[at as usize].value)
    }

    /// The state of a key, made by `make` when there is none; the key becomes the one that was used last.
    #[inline]
    pub fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> T) -> &mut T {
        let at = match self.find(key) {
            Some(at) => {
                self.touch(at);
                at
            }
            None => self.insert(key, make()),
        };
        &mut self.entries[at as usize].value
    }

    /// As [`Self::get_or_insert_with`], by the type's default.
    #[inline]
    pub fn get_or_default(&mut self, key: K) -> &mut T
    where
        T: Default,
    {
        self.get_or_insert_with(key, T::default)
    }

    /// Forget a key.
    pub fn remove(&mut self, key: K) -> Option<T> {
        let at = self.find(key)?;
        Some(self.take(at).value)
    }

    /// Forget everything.
    pub fn clear(&mut self) {
        self.index.clear();
        self.entries.clear();
        (self.newest, self.oldest) = (NONE, NONE);
    }

    /// The key that was used longest ago, and its state.
    #[must_use]
    pub fn oldest(&self) -> Option<(K, &T)> {
        self.entries.get(self.oldest as usize).map(|entry| (entry.key, &entry.value))
    }

    fn find(&self, key: K) -> Option<u32> {
        self.index.find(self.hasher.hash_one(key), |&at| self.entries[at as usize].key == key).copied()
    }

    fn insert(&mut self, key: K, value: T) -> u32 {
        if self.entries.is_empty() {
            // Senders choose addresses. They do not know the nanosecond of the first packet, so that they cannot choose them
            // to collide.
            self.hasher = FixedState::with_seed(crate::clock());
        }
        if self.entries.len() == self.capacity {
            self.take(self.oldest);
            self.evicted += 1;
        }
        let at = self.entries.len() as u32;
        self.entries.push(Entry { key, value, newer: NONE, older: NONE });
        let Self { index, entries, hasher, .. } = self;
        index.insert_unique(hasher.hash_one(key), at, |&at| hasher.hash_one(entries[at as usize].key));
        self.link(at);
        at
    }

    /// Take an entry out; the last one moves to its place.
    fn take(&mut self, at: u32) -> Entry<K, T> {
        self.unlink(at);
        self.forget(at);
        let last = self.entries.len() as u32 - 1;
        if at != last {
            let Entry { key, newer, older, .. } = self.entries[last as usize];
            let place = self.index.find_mut(self.hasher.hash_one(key), |&place| place == last);
            *place.expect("every entry is in the index") = at;
            *self.after(older) = at;
            *self.before(newer) = at;
        }
        self.entries.swap_remove(at as usize)
    }

    fn forget(&mut self, at: u32) {
        let hash = self.hasher.hash_one(self.entries[at as usize].key);
        if let Ok(entry) = self.index.find_entry(hash, |&place| place == at) {
            entry.remove();
        }
    }

    #[inline]
    fn touch(&mut self, at: u32) {
        if self.newest != at {
            self.unlink(at);
            self.link(at);
        }
    }

    /// What points to the entry that is newer than `at`, or to the oldest of all.
    fn after(&mut self, at: u32) -> &mut u32 {
        if at == NONE { &mut self.oldest } else { &mut self.entries[at as usize].newer }
    }

    /// What points to the entry that is older than `at`, or to the newest of all.
    fn before(&mut self, at: u32) -> &mut u32 {
        if at == NONE { &mut self.newest } else { &mut self.entries[at as usize].older }
    }

    fn unlink(&mut self, at: u32) {
        let Entry { newer, older, .. } = self.entries[at as usize];
        *self.after(older) = newer;
        *self.before(newer) = older;
    }

    /// Make an entry that is nowhere in the order the newest.
    fn link(&mut self, at: u32) {
        let newest = self.newest;
        let entry = &mut self.entries[at as usize];
        (entry.newer, entry.older) = (NONE, newest);
        *self.after(newest) = at;
        self.newest = at;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    #[test]
    fn the_one_that_was_used_longest_ago_gives_way() {
        let mut table = FlowStates::<&str>::new(2).unwrap();
        *table.get_or_default(1) = "one";
        *table.get_or_default(2) = "two";
        assert_eq!(table.get(1), Some(&mut "one"));
        *table.get_or_default(3) = "three";
        assert_eq!(table.get(2), None);
        assert_eq!(table.oldest(), Some((1, &"one")));
        assert_eq!((table.len(), table.evicted()), (2, 1));
        assert_eq!(table.remove(1), Some("one"));
        assert_eq!((table.remove(1), table.len()), (None, 1));
    }

    /// Against a list that is searched from one end to the other.
    #[test]
    fn any_order_of_operations_is_as_with_a_plain_list() {
        let mut state = 1_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for capacity in [1, 2, 3, 7, 30] {
            let mut table = Table::<u64, u64>::new(capacity).unwrap();
            let mut model: VecDeque<(u64, u64)> = VecDeque::new();
            for step in 0..20_000 {
                let key = random(40);
                let known = model.iter().position(|(k, _)| *k == key).and_then(|at| model.remove(at));
                match random(3) {
                    0 => assert_eq!(table.remove(key), known.map(|(_, value)| value)),
                    1 => {
                        assert_eq!(table.get(key).copied(), known.map(|(_, value)| value));
                        model.extend(known);
                    }
                    _ => {
                        let (_, value) = known.unwrap_or((key, step));
                        assert_eq!(*table.get_or_insert_with(key, || step), value);
                        if model.len() == capacity {
                            model.pop_front();
                        }
                        model.push_back((key, value));
                    }
                }
                assert_eq!(table.len(), model.len());
                assert_eq!(table.oldest().map(|(k, v)| (k, *v)), model.front().copied());
            }
        }
    }

    #[test]
    fn prefixes() {
        let (a, b) = ("10.1.2.3".parse().unwrap(), "10.1.2.200".parse().unwrap());
        assert_eq!(prefix(a, 24, 64), prefix(b, 24, 64));
        assert_ne!(prefix(a, 25, 64), prefix(b, 25, 64));
        assert_eq!(prefix(a, 0, 0), prefix("192.0.2.1".parse().unwrap(), 0, 0));
        assert_ne!(prefix(a, 0, 0), prefix("::1".parse().unwrap(), 0, 0));
        assert_eq!(prefix("fd00::1".parse().unwrap(), 0, 64), 0xfd00 << 112);
    }
}
