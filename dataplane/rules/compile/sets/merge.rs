//! The prefixes of many sets as one ascending sequence.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, binary_heap::PeekMut},
    slice,
    sync::Arc,
};

use ipnet::IpNet;

use super::Mask;
use crate::rules::PrefixSet;

/// Every prefix of one family, once, with the sets that it is written in. A prefix comes behind those that contain it.
#[derive(Debug)]
pub(super) struct Merge<'a> {
    /// The next prefix of each set that has one left, by its number.
    next: BinaryHeap<Reverse<(&'a IpNet, usize)>>,
    /// What comes behind it, by set.
    rest: Vec<slice::Iter<'a, IpNet>>,
}

impl<'a> Merge<'a> {
    pub(super) fn new(sets: &'a [Arc<PrefixSet>], v4: bool) -> Self {
        let family = |set: &'a Arc<PrefixSet>| {
            let (before, behind) = set.prefixes().split_at(set.prefixes().partition_point(is_v4));
            if v4 { before.iter() } else { behind.iter() }
        };
        let mut rest: Vec<_> = sets.iter().map(family).collect();
        let first = |(set, prefixes): (usize, &mut slice::Iter<'a, IpNet>)| Some(Reverse((prefixes.next()?, set)));
        let next = rest.iter_mut().enumerate().filter_map(first).collect();
        Self { next, rest }
    }
}

impl Iterator for Merge<'_> {
    type Item = (IpNet, Mask);

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse((net, _)) = *self.next.peek()?;
        let mut mask = 0;
        while let Some(mut top) = self.next.peek_mut().filter(|top| top.0.0 == net) {
            let set = top.0.1;
            mask |= 1 << set;
            match self.rest[set].next() {
                Some(following) => top.0.0 = following,
                None => drop(PeekMut::pop(top)),
            }
        }
        Some((*net, mask))
    }
}

/// IPv4 prefixes sort before those of IPv6.
fn is_v4(net: &IpNet) -> bool {
    matches!(net, IpNet::V4(_))
}
