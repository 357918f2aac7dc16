//! Numbered things in the order in which they were seen last, in one of a few lists.

use crate::chained::NONE;

#[derive(Debug, Clone, Copy)]
struct Link {
    older: u32,
    newer: u32,
}

#[derive(Debug, Clone, Copy)]
struct Ends {
    oldest: u32,
    newest: u32,
    len: usize,
}

/// See the module. `N` lists over numbers below the capacity; each is in one list at most, as its user keeps track of.
#[derive(Debug)]
pub(super) struct Order<const N: usize> {
    links: Vec<Link>,
    lists: [Ends; N],
}

impl<const N: usize> Order<N> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { links: Vec::with_capacity(capacity), lists: [Ends { oldest: NONE, newest: NONE, len: 0 }; N] }
    }

    pub(super) fn len(&self, list: usize) -> usize {
        self.lists[list].len
    }

    /// [`NONE`] in an empty list.
    pub(super) fn oldest(&self, list: usize) -> u32 {
        self.lists[list].oldest
    }

    pub(super) fn newest(&self, list: usize) -> u32 {
        self.lists[list].newest
    }

    /// Put a number that is in no list in front of a list's others. New numbers come in turn.
    pub(super) fn push(&mut self, list: usize, at: u32) {
        let ends = &mut self.lists[list];
        let link = Link { older: ends.newest, newer: NONE };
        match self.links.get_mut(at as usize) {
            Some(place) => *place = link,
            None => self.links.push(link),
        }
        match ends.newest {
            NONE => ends.oldest = at,
            newest => self.links[newest as usize].newer = at,
        }
        ends.newest = at;
        ends.len += 1;
    }

    /// Take a number out of the list that it is in.
    pub(super) fn take(&mut self, list: usize, at: u32) {
        let Link { older, newer } = self.links[at as usize];
        let ends = &mut self.lists[list];
        match newer {
            NONE => ends.newest = older,
            newer => self.links[newer as usize].older = older,
        }
        match older {
            NONE => ends.oldest = newer,
            older => self.links[older as usize].newer = newer,
        }
        ends.len -= 1;
    }
}
