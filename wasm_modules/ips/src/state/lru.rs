//! A bounded map that forgets what was used longest ago.

use alloc::vec::Vec;
use core::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashMap};

const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Entry<K, V> {
    key: K,
    value: V,
    /// Used after it.
    newer: u32,
    /// Used before it.
    older: u32,
}

/// The map.
#[derive(Debug)]
pub struct Lru<K, V, S = DefaultHashBuilder> {
    index: HashMap<K, u32, S>,
    entries: Vec<Entry<K, V>>,
    newest: u32,
    oldest: u32,
    most: usize,
}

impl<K: Hash + Eq + Copy, V, S: BuildHasher + Default> Lru<K, V, S> {
    /// An empty map of at most `most` entries, at least 1.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            index: HashMap::default(),
            entries: Vec::new(),
            newest: NONE,
            oldest: NONE,
            most: most.clamp(1, NONE as usize - 1),
        }
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value of `key`, which is the newest then.
    pub fn get(&mut self, key: &K) -> Option<&mut V> {
        let at = *self.index.get(key)?;
        self.renew(at);
        Some(&mut self.entries[at as usize].value)
    }

    /// The value of `key`, made by `make` when there is none; then the oldest entry may go, which comes out too.
    pub fn get_or(&mut self, key: K, make: impl FnOnce() -> V) -> (&mut V, Option<V>) {
        if let Some(&at) = self.index.get(&key) {
            self.renew(at);
            return (&mut self.entries[at as usize].value, None);
        }
        let gone = if self.entries.len() >= self.most { self.pop_oldest() } else { None };
        let at = u32::try_from(self.entries.len()).unwrap_or(NONE);
        self.entries.push(Entry { key, value: make(), newer: NONE, older: NONE });
        self.index.insert(key, at);
        self.link(at);
        (&mut self.entries[at as usize].value, gone)
    }

    /// Take the oldest entry out.
    pub fn pop_oldest(&mut self) -> Option<V> {
        if self.oldest == NONE {
            return None;
        }
        let key = self.entries[self.oldest as usize].key;
        self.remove(&key)
    }

    /// Take the entry of `key` out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.index.remove(key)?;
        self.unlink(at);
        let entry = self.entries.swap_remove(at as usize);
        // The last entry took its place.
        if let Some(moved) = self.entries.get(at as usize) {
            let (newer, older) = (moved.newer, moved.older);
            self.index.insert(moved.key, at);
            match self.entries.get_mut(newer as usize) {
                Some(newer) => newer.older = at,
                None => self.newest = at,
            }
            match self.entries.get_mut(older as usize) {
                Some(older) => older.newer = at,
                None => self.oldest = at,
            }
        }
        Some(entry.value)
    }

    /// The entry is the newest from now on.
    fn renew(&mut self, at: u32) {
        if self.newest != at {
            self.unlink(at);
            self.link(at);
        }
    }

    fn unlink(&mut self, at: u32) {
        let (newer, older) = (self.entries[at as usize].newer, self.entries[at as usize].older);
        match self.entries.get_mut(newer as usize) {
            Some(entry) => entry.older = older,
            None => self.newest = older,
        }
        match self.entries.get_mut(older as usize) {
            Some(entry) => entry.newer = newer,
            None => self.oldest = newer,
        }
    }

    fn link(&mut self, at: u32) {
        let before = self.newest;
        let entry = &mut self.entries[at as usize];
        entry.newer = NONE;
        entry.older = before;
        match self.entries.get_mut(before as usize) {
            Some(entry) => entry.newer = at,
            None => self.oldest = at,
        }
        self.newest = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn does_what_a_list_does(steps in prop::collection::vec((0u8..3, 0u8..9), 0..200)) {
            let mut map: Lru<u8, u8> = Lru::new(4);
            let mut model: Vec<u8> = Vec::new();
            for (what, key) in steps {
                let known = model.iter().position(|other| *other == key);
                match what {
                    0 => {
                        prop_assert_eq!(map.get(&key).is_some(), known.is_some());
                        if let Some(at) = known {
                            let key = model.remove(at);
                            model.push(key);
                        }
                    }
                    1 => {
                        map.get_or(key, || key);
                        if let Some(at) = known {
                            model.remove(at);
                        } else if model.len() == 4 {
                            model.remove(0);
                        }
                        model.push(key);
                    }
                    _ => {
                        prop_assert_eq!(map.remove(&key), known.map(|at| model.remove(at)));
                    }
                }
                prop_assert_eq!(map.len(), model.len());
            }
            while let Some(key) = map.pop_oldest() {
                prop_assert_eq!(key, model.remove(0));
            }
            prop_assert!(model.is_empty() && map.is_empty());
        }
    }
}
