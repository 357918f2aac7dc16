//! The flows that one worker knows: a table of fixed size, allocated once. Flows lie in the order in which they were seen
//! last; who is idle for too long goes, and when the table is full the one that was not seen for longest makes room.
//!
//! ```text
//!  hash ─► heads ─► slot ─► slot ─┐ (same head)
//!                    │            │
//!          newest ◄──┴─ … ────────┴─► oldest (order of the last packet)
//! ```

use super::{Flow, FlowKey};
use crate::chained::{Chained, NONE};

/// Fewest flows of a table: what a batch touched is never pushed out by the same batch.
pub const MIN_FLOWS: usize = 2 * secuxflow_abi::MAX_BATCH;
/// Idle flows that go at each step, so that no packet waits for many.
const EXPIRE_AT_ONCE: usize = 2;
/// Number of a flow in its table; good until another flow is entered [`MIN_FLOWS`] times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Index(u32);

/// What happened to the table since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TableCounts {
    /// Flows in it now.
    pub flows: u64,
    /// Flows that were entered.
    pub entered: u64,
    /// Flows that went because they were idle.
    pub expired: u64,
    /// Flows that went to make room.
    pub evicted: u64,
}

#[derive(Debug, Clone)]
struct Entry {
    flow: Flow,
    older: u32,
    newer: u32,
}

/// See the module. Invariant: every entry is once between `newest` and `oldest`, in descending order of the flows' last
/// packets.
#[derive(Debug)]
pub struct FlowTable {
    entries: Chained<Entry>,
    newest: u32,
    oldest: u32,
    idle_ns: u64,
    counts: TableCounts,
}

impl FlowTable {
    /// A table for `capacity` flows, [`MIN_FLOWS`] at least, that go after `idle_ns` nanoseconds without a packet. All its
    /// memory is allocated here: about 200 bytes a flow.
    #[must_use]
    pub fn new(capacity: usize, idle_ns: u64) -> Self {
        let capacity = capacity.clamp(MIN_FLOWS, 1 << 30);
        Self { entries: Chained::new(capacity), newest: NONE, oldest: NONE, idle_ns, counts: TableCounts::default() }
    }

    /// What happened so far.
    #[must_use]
    pub fn counts(&self) -> TableCounts {
        self.counts
    }

    /// The flow `key`, whose hash is `hash`, for a packet at `now` (nanoseconds, never less than before): the one that
    /// is there, or a new one.
    pub fn touch(&mut self, key: &FlowKey, hash: u64, now: u64) -> Index {
        self.expire(now, EXPIRE_AT_ONCE);
        if let Some(found) = self.find(key, hash) {
            let idle = now.saturating_sub(self.flow(found).last_ns) >= self.idle_ns;
            if !idle {
                self.move_front(found.0);
                self.flow_mut(found).last_ns = now;
                return found;
            }
            // One of many that are idle; the others had to wait.
            self.unlink(found.0);
            self.counts.expired += 1;
        }
        if self.entries.len() == self.entries.capacity() {
            self.unlink(self.oldest);
            self.counts.evicted += 1;
        }
        self.enter(key, hash, now)
    }

    /// The flow `key`, when it is there.
    #[must_use]
    pub fn find(&self, key: &FlowKey, hash: u64) -> Option<Index> {
        self.entries.find(hash, |entry| entry.flow.key == *key).map(Index)
    }

    /// A flow.
    #[must_use]
    pub fn flow(&self, index: Index) -> &Flow {
        &self.entries.at(index.0).flow
    }

    /// A flow, to be written.
    pub fn flow_mut(&mut self, index: Index) -> &mut Flow {
        &mut self.entries.at_mut(index.0).flow
    }

    /// Forget a flow.
    pub fn remove(&mut self, index: Index) {
        if self.entries.get(index.0).is_some() {
            self.unlink(index.0);
        }
    }

    /// Forget all flows.
    pub fn clear(&mut self) {
        self.entries.clear();
        (self.newest, self.oldest, self.counts.flows) = (NONE, NONE, 0);
    }

    /// Let at most `most` flows go that are idle at `now`.
    pub fn expire(&mut self, now: u64, most: usize) {
        for _ in 0..most {
            let oldest = self.oldest;
            if oldest == NONE || now.saturating_sub(self.entries.at(oldest).flow.last_ns) < self.idle_ns {
                return;
            }
            self.unlink(oldest);
            self.counts.expired += 1;
        }
    }

    /// Copy the flows from position `from` on into the spare room of `into`; the position to go on from, none at the end.
    pub fn read(&self, from: usize, into: &mut Vec<Flow>) -> Option<usize> {
        let room = into.capacity() - into.len();
        let end = from.saturating_add(room).min(self.entries.used());
        let slots = from..end.max(from);
        into.extend(slots.filter_map(|at| self.entries.get(u32::try_from(at).ok()?)).map(|entry| entry.flow));
        (end < self.entries.used()).then_some(end)
    }

    /// Enter a flow that is not there; there is room.
    fn enter(&mut self, key: &FlowKey, hash: u64, now: u64) -> Index {
        let at = self.entries.enter(hash, Entry { flow: Flow::new(*key, now), older: NONE, newer: NONE });
        self.push_front(at);
        self.counts.entered += 1;
        self.counts.flows += 1;
        Index(at)
    }

    /// Put a slot that is in no order in front of all others.
    fn push_front(&mut self, at: u32) {
        let newest = self.newest;
        let entry = self.entries.at_mut(at);
        (entry.older, entry.newer) = (newest, NONE);
        match newest {
            NONE => self.oldest = at,
            newest => self.entries.at_mut(newest).newer = at,
        }
        self.newest = at;
    }

    fn take_out(&mut self, at: u32) {
        let Entry { older, newer, .. } = *self.entries.at(at);
        match newer {
            NONE => self.newest = older,
            newer => self.entries.at_mut(newer).older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.entries.at_mut(older).newer = newer,
        }
    }

    fn move_front(&mut self, at: u32) {
        if self.newest != at {
            self.take_out(at);
            self.push_front(at);
        }
    }

    /// Take a flow out of the order and the table.
    fn unlink(&mut self, at: u32) {
        self.take_out(at);
        self.entries.remove(at);
        self.counts.flows -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;

    const IDLE: u64 = 1000;

    fn key(number: u16) -> FlowKey {
        FlowKey::new((IpAddr::from([10, 0, 0, 1]), number), (IpAddr::from([10, 0, 0, 2]), 80), 6)
    }

    /// The same in the plainest way: flows by their last packet, the oldest first.
    #[derive(Default)]
    struct Model {
        flows: Vec<(u16, u64, u64)>,
        entered: u64,
        evicted: u64,
        expired: u64,
    }

    impl Model {
        fn expire(&mut self, now: u64, most: usize) {
            for _ in 0..most {
                if self.flows.first().is_some_and(|(_, _, last)| now - last >= IDLE) {
                    self.flows.remove(0);
                    self.expired += 1;
                }
            }
        }

        fn touch(&mut self, number: u16, now: u64) -> u64 {
            self.expire(now, EXPIRE_AT_ONCE);
            let mut packets = 0;
            let found = self.flows.iter().position(|flow| flow.0 == number).map(|at| self.flows.remove(at));
            match found {
                Some((_, seen, last)) if now - last < IDLE => packets = seen,
                found => {
                    self.expired += u64::from(found.is_some());
                    if self.flows.len() == MIN_FLOWS {
                        self.flows.remove(0);
                        self.evicted += 1;
                    }
                    self.entered += 1;
                }
            }
            self.flows.push((number, packets + 1, now));
            packets + 1
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Touch(u16),
        /// That many flows, one after the other.
        Burst(u16),
        Remove(u16),
        Wait(u64),
        Clear,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (0u16..40).prop_map(Step::Touch),
            4 => (0u16..4000).prop_map(Step::Touch),
            1 => (900u16..1300).prop_map(Step::Burst),
            2 => (0u16..40).prop_map(Step::Remove),
            3 => (0u64..400).prop_map(Step::Wait),
            1 => Just(Step::Clear),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn it_behaves_as_the_plain_model(
            steps in prop::collection::vec(step(), 1..200),
            // Few different hashes, so that many flows share a head.
            spread in prop_oneof![Just(1u64), Just(7), Just(u64::MAX)],
        ) {
            let (mut table, mut model, mut now) = (FlowTable::new(0, IDLE), Model::default(), 5000);
            let hash = |number: u16| u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15) % spread;
            for step in steps {
                let touch = |number: u16, table: &mut FlowTable, model: &mut Model| {
                    let index = table.touch(&key(number), hash(number), now);
                    let flow = table.flow_mut(index);
                    flow.ways[0].packets += 1;
                    (flow.ways[0].packets, model.touch(number, now))
                };
                match step {
                    Step::Touch(number) => {
                        let (counted, expected) = touch(number, &mut table, &mut model);
                        prop_assert_eq!(counted, expected);
                    }
                    Step::Burst(count) => {
                        for number in 0..count {
                            let (counted, expected) = touch(number, &mut table, &mut model);
                            prop_assert_eq!(counted, expected);
                        }
                    }
                    Step::Remove(number) => {
                        if let Some(index) = table.find(&key(number), hash(number)) {
                            table.remove(index);
                            prop_assert!(model.flows.iter().any(|flow| flow.0 == number));
                        }
                        model.flows.retain(|flow| flow.0 != number);
                    }
                    Step::Wait(time) => now += time,
                    Step::Clear => {
                        table.clear();
                        model.flows.clear();
                    }
                }
                let counts = TableCounts {
                    flows: model.flows.len() as u64,
                    entered: model.entered,
                    expired: model.expired,
                    evicted: model.evicted,
                };
                prop_assert_eq!(table.counts(), counts);
            }
            let mut seen = Vec::new();
            let mut from = Some(0);
            while let Some(at) = from {
                let mut part = Vec::with_capacity(100);
                from = table.read(at, &mut part);
                seen.extend(part.iter().map(|flow| (flow.key, flow.ways[0].packets, flow.last_ns)));
            }
            let mut expected: Vec<_> = model.flows.iter().map(|(n, packets, last)| (key(*n), *packets, *last)).collect();
            let order = |a: &(FlowKey, u64, u64), b: &(FlowKey, u64, u64)| format!("{a:?}").cmp(&format!("{b:?}"));
            seen.sort_by(order);
            expected.sort_by(order);
            prop_assert_eq!(seen, expected);
        }
    }

    #[test]
    fn memory_is_bounded_and_never_grows() {
        let mut table = FlowTable::new(4096, u64::MAX);
        let before = table.entries.allocated();
        for number in 0..100_000_u32 {
            let [a, b, c, d] = number.to_be_bytes();
            let key = FlowKey::new((IpAddr::from([a, b, c, d]), 1), (IpAddr::from([10, 0, 0, 2]), 80), 6);
            table.touch(&key, u64::from(number), u64::from(number));
        }
        assert_eq!(table.entries.allocated(), before);
        assert_eq!((table.counts().flows, table.counts().evicted), (4096, 100_000 - 4096));
    }
}
