//! A set: sorted prefixes, each with its end. A change makes a new set, so that a copy of the state costs nothing.

use std::{collections::BTreeMap, sync::Arc};

use ipnet::IpNet;
use jiff::Timestamp;
use secuxflow::rules::{MAX_SET_PREFIXES, PrefixSet, Ttl};

/// All sets by name.
pub(crate) type Sets = BTreeMap<String, Arc<Set>>;

/// When an entry leaves by itself: Unix time in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct End(i64);

impl End {
    /// Later than any other: the entry stays.
    pub(crate) const NEVER: Self = Self(i64::MAX);

    /// `ttl` after `now`, rounded up to a second; never without a `ttl`.
    pub(crate) fn after(now: Timestamp, ttl: Option<Ttl>) -> Self {
        ttl.map_or(Self::NEVER, |ttl| Self(ttl.end(now)))
    }

    /// Unix time `seconds`, where it is one that can be told.
    pub(super) fn at(seconds: i64) -> Option<Self> {
        Timestamp::from_second(seconds).ok().map(|_| Self(seconds))
    }

    /// The moment; none for never.
    pub(crate) fn time(self) -> Option<Timestamp> {
        Timestamp::from_second(self.0).ok().filter(|_| self != Self::NEVER)
    }

    /// Whether it has come.
    pub(crate) fn is_over(self, now: Timestamp) -> bool {
        self.0 <= now.as_second()
    }
}

/// A named set of prefixes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Set {
    /// What the dataplane takes; the same `Arc` for as long as the prefixes are the same.
    prefixes: Arc<PrefixSet>,
    /// End of each prefix, in their order. Invariant: as many as prefixes.
    ends: Vec<End>,
    /// The first of these, and how many are not [`End::NEVER`].
    first_end: End,
    timed: usize,
    /// Free text of the administrator.
    pub(crate) comment: Option<String>,
    /// Entries that ended by themselves since the daemon started.
    pub(crate) expired: u64,
    /// Entries that feeds brought since the daemon started.
    pub(crate) imported: u64,
}

/// What a change did to the entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Delta {
    /// Prefixes that are new.
    pub(crate) added: usize,
    /// Prefixes that are gone.
    pub(crate) removed: usize,
    /// Prefixes that end at another time than before.
    pub(crate) renewed: usize,
    /// Prefixes that were named and are as they were.
    pub(crate) unchanged: usize,
}

/// Prefixes, ascending, each once, and their ends.
#[derive(Debug, Default)]
pub(super) struct Entries {
    nets: Vec<IpNet>,
    ends: Vec<End>,
}

impl Entries {
    pub(super) fn with_capacity(count: usize) -> Self {
        Self { nets: Vec::with_capacity(count), ends: Vec::with_capacity(count) }
    }

    pub(super) fn push(&mut self, (net, end): (IpNet, End)) {
        self.nets.push(net);
        self.ends.push(end);
    }

    pub(super) fn len(&self) -> usize {
        self.nets.len()
    }
}

/// Why a set cannot take a change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SetError {
    /// More prefixes than a set holds.
    #[error("the set '{name}' would hold {count} prefixes: at most {MAX_SET_PREFIXES} fit; spread them over more sets")]
    TooMany {
        /// The set.
        name: String,
        /// Prefixes that it would hold.
        count: usize,
    },
    /// Prefixes that are to be removed and are not there.
    #[error("{}", absent(name, missing))]
    Absent {
        /// The set.
        name: String,
        /// The prefixes; at least one.
        missing: Vec<IpNet>,
    },
}

/// Most missing prefixes that are named.
const MAX_NAMED: usize = 10;

fn absent(name: &str, missing: &[IpNet]) -> String {
    let named: Vec<_> = missing.iter().take(MAX_NAMED).map(ToString::to_string).collect();
    let more = missing.len().saturating_sub(MAX_NAMED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!(
        "not in the set '{name}': {}{more}; nothing was removed: prefixes are removed as `set show` lists them",
        named.join(", ")
    )
}

impl Set {
    /// An empty set.
    pub(crate) fn new(name: &str, blocklist: bool, comment: Option<String>) -> Self {
        Self::of(name, blocklist, comment, Entries::default())
    }

    pub(super) fn of(name: &str, blocklist: bool, comment: Option<String>, entries: Entries) -> Self {
        let prefixes = Arc::new(PrefixSet::new(name, blocklist, entries.nets));
        Self { comment, ..Self::over(prefixes, entries.ends) }
    }

    fn over(prefixes: Arc<PrefixSet>, ends: Vec<End>) -> Self {
        debug_assert_eq!(prefixes.prefixes().len(), ends.len(), "an end for each prefix");
        let first_end = ends.iter().copied().min().unwrap_or(End::NEVER);
        let timed = ends.iter().filter(|end| **end != End::NEVER).count();
        Self { prefixes, ends, first_end, timed, comment: None, expired: 0, imported: 0 }
    }

    /// The same set with other entries. The prefixes stay the dataplane's where they are `same` as before.
    fn with(&self, entries: Entries, same: bool) -> Result<Self, SetError> {
        let (name, count) = (self.name(), entries.len());
        if count > MAX_SET_PREFIXES {
            return Err(SetError::TooMany { name: name.to_owned(), count });
        }
        let prefixes = if same {
            Arc::clone(&self.prefixes)
        } else {
            Arc::new(PrefixSet::new(name, self.is_blocklist(), entries.nets))
        };
        let Self { comment, expired, imported, .. } = self;
        Ok(Self {
            comment: comment.clone(),
            expired: *expired,
            imported: *imported,
            ..Self::over(prefixes, entries.ends)
        })
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        self.prefixes.name()
    }

    /// Whether packets from it are dropped before any rule is looked at.
    pub(crate) fn is_blocklist(&self) -> bool {
        self.prefixes.is_blocklist()
    }

    /// What the dataplane takes.
    pub(crate) fn prefixes(&self) -> &Arc<PrefixSet> {
        &self.prefixes
    }

    /// Whether both are one file: equal but for what is counted.
    pub(crate) fn same_file(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.prefixes, &other.prefixes) && self.ends == other.ends && self.comment == other.comment
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Number of entries that end by themselves.
    pub(crate) fn timed(&self) -> usize {
        self.timed
    }

    /// The entries, ascending.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (IpNet, End)> {
        self.prefixes.prefixes().iter().copied().zip(self.ends.iter().copied())
    }

    /// Add `nets`, ascending and each once, until `end`. Of what is there already the later end counts.
    ///
    /// # Errors
    /// [`SetError::TooMany`].
    pub(crate) fn add(&self, nets: &[IpNet], end: End) -> Result<(Self, Delta), SetError> {
        let mut entries = Entries::with_capacity(self.len() + nets.len());
        let mut delta = Delta::default();
        let mut old = self.entries().peekable();
        for &net in nets {
            while let Some(entry) = old.next_if(|entry| entry.0 < net) {
                entries.push(entry);
            }
            let before = old.next_if(|entry| entry.0 == net).map(|entry| entry.1);
            let counter = match before {
                None => &mut delta.added,
                Some(before) if before < end => &mut delta.renewed,
                Some(_) => &mut delta.unchanged,
            };
            *counter += 1;
            entries.push((net, before.map_or(end, |before| before.max(end))));
        }
        for entry in old {
            entries.push(entry);
        }
        Ok((self.with(entries, delta.added == 0)?, delta))
    }

    /// Make it exactly `nets`, ascending and each once, until `end`.
    ///
    /// # Errors
    /// [`SetError::TooMany`].
    pub(crate) fn replace(&self, nets: &[IpNet], end: End) -> Result<(Self, Delta), SetError> {
        let mut entries = Entries::with_capacity(nets.len());
        let mut delta = Delta::default();
        let mut old = self.entries().peekable();
        for &net in nets {
            while old.next_if(|entry| entry.0 < net).is_some() {
                delta.removed += 1;
            }
            let counter = match old.next_if(|entry| entry.0 == net) {
                None => &mut delta.added,
                Some((_, before)) if before == end => &mut delta.unchanged,
                Some(_) => &mut delta.renewed,
            };
            *counter += 1;
            entries.push((net, end));
        }
        delta.removed += old.count();
        Ok((self.with(entries, delta.added + delta.removed == 0)?, delta))
    }

    /// Remove `nets`, ascending and each once.
    ///
    /// # Errors
    /// [`SetError::Absent`], with all that are not there.
    pub(crate) fn remove(&self, nets: &[IpNet]) -> Result<(Self, Delta), SetError> {
        let mut entries = Entries::with_capacity(self.len());
        let mut missing = Vec::new();
        let mut old = self.entries().peekable();
        for &net in nets {
            while let Some(entry) = old.next_if(|entry| entry.0 < net) {
                entries.push(entry);
            }
            if old.next_if(|entry| entry.0 == net).is_none() {
                missing.push(net);
            }
        }
        if !missing.is_empty() {
            return Err(SetError::Absent { name: self.name().to_owned(), missing });
        }
        for entry in old {
            entries.push(entry);
        }
        Ok((self.with(entries, nets.is_empty())?, Delta { removed: nets.len(), ..Delta::default() }))
    }

    /// Whether an entry is over.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.first_end.is_over(now)
    }

    /// Without the entries that are over; none when there is no such entry.
    pub(crate) fn expire(&self, now: Timestamp) -> Option<Self> {
        if !self.is_due(now) {
            return None;
        }
        let mut entries = Entries::with_capacity(self.len());
        for entry in self.entries().filter(|entry| !entry.1.is_over(now)) {
            entries.push(entry);
        }
        let gone = u64::try_from(self.len() - entries.len()).unwrap_or(u64::MAX);
        // Fewer entries than before always fit.
        let mut set = self.with(entries, false).ok()?;
        set.expired += gone;
        Some(set)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        let mut nets: Vec<IpNet> = texts.iter().map(|text| text.parse().unwrap()).collect();
        nets.sort_unstable();
        nets
    }

    fn set(texts: &[&str], end: End) -> Set {
        Set::new("a", true, Some("why".into())).add(&nets(texts), end).unwrap().0
    }

    #[test]
    fn of_two_ends_the_later_counts() {
        let ten = End::after(at(100), Some("10s".parse().unwrap()));
        let twenty = End::after(at(100), Some("20s".parse().unwrap()));
        for (first, second, kept) in
            [(ten, twenty, twenty), (twenty, ten, twenty), (End::NEVER, ten, End::NEVER), (ten, End::NEVER, End::NEVER)]
        {
            let before = set(&["10.0.0.0/8", "fd00::/8"], first);
            let (after, delta) = before.add(&nets(&["10.0.0.0/8", "11.0.0.0/8"]), second).unwrap();
            let ends: Vec<_> = after.entries().map(|entry| entry.1).collect();
            assert_eq!(ends, [kept, second, first]);
            let renewed = usize::from(kept != first);
            assert_eq!(delta, Delta { added: 1, renewed, unchanged: 1 - renewed, ..Delta::default() });
        }
    }

    #[test]
    fn the_dataplane_keeps_its_prefixes_while_only_ends_change() {
        let before = set(&["10.0.0.0/8"], End::after(at(100), Some("10s".parse().unwrap())));
        let (after, delta) = before.add(&nets(&["10.0.0.0/8"]), End::NEVER).unwrap();
        assert!(Arc::ptr_eq(before.prefixes(), after.prefixes()) && delta.renewed == 1);
        assert_eq!((before.timed(), after.timed()), (1, 0));
        let (same, _) = after.replace(&nets(&["10.0.0.0/8"]), End::NEVER).unwrap();
        assert!(Arc::ptr_eq(after.prefixes(), same.prefixes()));
        let (other, _) = after.add(&nets(&["11.0.0.0/8"]), End::NEVER).unwrap();
        assert!(!Arc::ptr_eq(after.prefixes(), other.prefixes()));
    }

    #[test]
    fn what_is_not_there_is_not_removed_and_nothing_else_either() {
        let before = set(&["10.0.0.0/8", "10.1.0.0/16"], End::NEVER);
        let error = before.remove(&nets(&["10.1.0.0/16", "10.2.0.0/16"])).unwrap_err().to_string();
        assert!(error.contains("'a': 10.2.0.0/16;"), "{error}");
        let (after, delta) = before.remove(&nets(&["10.1.0.0/16"])).unwrap();
        assert_eq!((after.len(), delta.removed), (1, 1));
        assert_eq!((after.name(), after.is_blocklist(), after.comment.as_deref()), ("a", true, Some("why")));
        let many: Vec<_> = (0..30).map(|i| format!("10.3.{i}.0/24")).collect();
        let many = nets(&many.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(before.remove(&many).unwrap_err().to_string().contains(" and 20 more;"));
    }

    #[test]
    fn what_is_over_leaves_and_is_counted() {
        let short = set(&["10.0.0.0/8"], End::after(at(100), Some("10s".parse().unwrap())));
        let (set, _) = short.add(&nets(&["11.0.0.0/8"]), End::NEVER).unwrap();
        assert_eq!(set.expire(at(109)), None);
        let after = set.expire(at(110)).unwrap();
        assert_eq!((after.len(), after.timed(), after.expired), (1, 0, 1));
        assert_eq!(after.expire(at(1000)), None);
    }

    #[test]
    fn an_end_is_never_early() {
        let now = Timestamp::new(100, 1).unwrap();
        let end = End::after(now, Some("1s".parse().unwrap()));
        assert!(!end.is_over(Timestamp::new(101, 0).unwrap()) && end.is_over(at(102)));
    }

    #[test]
    fn a_set_holds_no_more_than_it_may() {
        let many = |count: usize| -> Vec<IpNet> {
            (0..u32::try_from(count).unwrap()).map(|i| std::net::IpAddr::from(i.to_be_bytes()).into()).collect()
        };
        let empty = Set::new("a", false, None);
        assert!(empty.add(&many(MAX_SET_PREFIXES), End::NEVER).is_ok());
        let error = empty.replace(&many(MAX_SET_PREFIXES + 1), End::NEVER).unwrap_err().to_string();
        assert!(error.contains("1048577") && error.contains("1048576"), "{error}");
    }

    proptest! {
        #[test]
        fn changes_are_those_of_a_map(
            steps in proptest::collection::vec((0..4_u8, proptest::collection::btree_set(0..40_u8, 0..10), 1..60_u32), 0..12),
        ) {
            let mut set = Set::new("a", false, None);
            let mut model: BTreeMap<IpNet, End> = BTreeMap::new();
            for (clock, (what, numbers, seconds)) in steps.into_iter().enumerate() {
                let now = at(1000 + 10 * i64::try_from(clock).unwrap());
                let end = End::after(now, Some(format!("{seconds}s").parse().unwrap()));
                let named: Vec<IpNet> = numbers.iter().map(|i| format!("10.0.{i}.0/24").parse().unwrap()).collect();
                match what {
                    0 => {
                        set = set.add(&named, end).unwrap().0;
                        for net in named {
                            let kept = model.entry(net).or_insert(end);
                            *kept = end.max(*kept);
                        }
                    }
                    1 => {
                        set = set.replace(&named, end).unwrap().0;
                        model = named.into_iter().map(|net| (net, end)).collect();
                    }
                    2 => {
                        let missing = named.iter().filter(|net| !model.contains_key(net)).count();
                        match set.remove(&named) {
                            Ok((after, _)) => {
                                prop_assert_eq!(missing, 0);
                                set = after;
                                model.retain(|net, _| !named.contains(net));
                            }
                            Err(_) => prop_assert!(missing > 0),
                        }
                    }
                    _ => {
                        set = set.expire(now).unwrap_or(set);
                        model.retain(|_, end| !end.is_over(now));
                    }
                }
                prop_assert_eq!(set.entries().collect::<Vec<_>>(), model.clone().into_iter().collect::<Vec<_>>());
                prop_assert_eq!(set.timed(), model.len());
            }
        }
    }
}
