//! What one worker remembers of flows, and what it makes of the chains' verdicts on them.

use std::{net::IpAddr, sync::Arc};

use super::{
    FlowKey, FlowTable, FlowVerdict, Index,
    order::{FlowOrder, FlowTuple, Order, OrderQueue, is_plain},
    table::TableCounts,
};
use crate::{
    bpf::Metadata,
    wire::{Fragment, Headers},
};

const TCP: u8 = 6;
const SYN: u8 = 2;
/// Least time between two orders for the same direction: the kernel gets what is ordered within 20 ms, and what it has
/// lost since is ordered again.
const ORDER_EVERY_NS: u64 = 100_000_000;
/// Modules of a chain that can clear a flow together; a longer chain clears none.
const MAX_STEPS: u8 = 64;

/// Packets of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Way {
    /// Packets that came to the worker.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the kernel was last asked for an entry, 0 for never.
    ordered_ns: u64,
}

/// What a chain has said of a flow, wholly or in part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// The verdict; none while some modules of the chain have not cleared it.
    pub verdict: Option<FlowVerdict>,
    /// The chain.
    pub chain: u16,
    /// Generation of rules that it counts in.
    pub generation: u32,
    /// Counts until.
    pub until_ns: u64,
    /// Modules that have cleared it, by their place in the chain.
    cleared_by: u64,
}

/// One flow, both directions. Times are of `CLOCK_MONOTONIC`, nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Its 5-tuple.
    pub key: FlowKey,
    /// First packet.
    pub first_ns: u64,
    /// Last packet.
    pub last_ns: u64,
    /// From the key's low end to its high end, and back.
    pub ways: [Way; 2],
    /// The direction of the first packet, index into `ways`.
    pub first_way: u8,
    /// Rule of the last packet, 0 for none.
    pub rule: u32,
    /// Chain of the last packet.
    pub chain: u16,
    /// What a chain said of it.
    pub said: Option<Said>,
}

impl Flow {
    /// A flow without packets.
    #[must_use]
    pub fn new(key: FlowKey, now: u64) -> Self {
        Self {
            key,
            first_ns: now,
            last_ns: now,
            ways: [Way::default(); 2],
            first_way: 0,
            rule: 0,
            chain: 0,
            said: None,
        }
    }

    /// The verdict that counts at `now` for packets of `generation`; a clearance only for those of its chain.
    #[must_use]
    pub fn verdict(&self, chain: u16, generation: u32, now: u64) -> Option<FlowVerdict> {
        let said = self.said.filter(|said| said.generation == generation && now < said.until_ns)?;
        said.verdict.filter(|verdict| *verdict == FlowVerdict::Condemned || said.chain == chain)
    }
}

/// How long verdicts count, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// Where a module says 0.
    pub default_ns: u64,
    /// At most.
    pub max_ns: u64,
}

impl Lifetimes {
    fn of(self, seconds: u32) -> u64 {
        let asked = u64::from(seconds).saturating_mul(1_000_000_000);
        if asked == 0 { self.default_ns } else { asked }.min(self.max_ns)
    }
}

/// What a module asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Clear the packet's flow.
    Clear,
    /// Condemn the packet's flow.
    Condemn,
    /// Block the packet's source.
    Block,
}

/// A module's wish for one packet of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Number of the packet in the batch that the chain was given.
    pub packet: u16,
    /// The module's place in the chain, counted from 0.
    pub step: u8,
    /// Modules of the chain.
    pub steps: u8,
    /// The wish.
    pub ask: Ask,
    /// For so long; 0 for as long as is configured.
    pub seconds: u32,
}

/// What the table says of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Its chain has to see it.
    Inspect,
    /// The chain has cleared its flow.
    Pass,
    /// Its flow is condemned.
    Drop,
}

/// A packet as the tracker wants it.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Its headers; a packet of which they are not whole is no business of the tracker's.
    pub headers: &'a Headers,
    /// What the kernel said of it, or the worker's own classification.
    pub said: Metadata,
    /// Length of its frame.
    pub len: usize,
}

/// What a worker is given to track flows.
#[derive(Debug, Clone)]
pub struct TrackerOptions {
    /// Flows that it remembers.
    pub flows: usize,
    /// Nanoseconds without a packet after which it forgets one.
    pub idle_ns: u64,
    /// How long verdicts count.
    pub lifetimes: Lifetimes,
    /// Where orders for the kernel go. Without it modules may not decide of whole flows and sources.
    pub orders: Option<Arc<OrderQueue>>,
}

/// See the module.
#[derive(Debug)]
pub struct Tracker {
    table: FlowTable,
    lifetimes: Lifetimes,
    orders: Option<Arc<OrderQueue>>,
}

impl Tracker {
    /// A tracker without flows; it allocates nothing after this.
    #[must_use]
    pub fn new(options: TrackerOptions) -> Self {
        let TrackerOptions { flows, idle_ns, lifetimes, orders } = options;
        Self { table: FlowTable::new(flows, idle_ns), lifetimes, orders }
    }

    /// The flows.
    #[must_use]
    pub fn table(&self) -> &FlowTable {
        &self.table
    }

    /// The flows, to forget some.
    pub fn table_mut(&mut self) -> &mut FlowTable {
        &mut self.table
    }

    /// What happened to the table so far.
    #[must_use]
    pub fn counts(&self) -> TableCounts {
        self.table.counts()
    }

    /// Enter a packet that is to be inspected. A later fragment, which shows no ports, is not entered: it has no index.
    /// `way` is the packet's direction, as [`FlowKey::of`] has it.
    pub fn meet(
        &mut self,
        (key, way): (&FlowKey, usize),
        hash: u64,
        packet: &Seen<'_>,
        now: u64,
    ) -> (Option<Index>, Fate) {
        let headers = packet.headers;
        if headers.fragment == Fragment::Later {
            return (None, Fate::Inspect);
        }
        let index = self.table.touch(key, hash, now);
        let flow = self.table.flow_mut(index);
        if flow.ways[0].packets + flow.ways[1].packets == 0 {
            flow.first_way = u8::from(way == 1);
        }
        flow.ways[way].packets += 1;
        flow.ways[way].bytes += packet.len as u64;
        (flow.rule, flow.chain) = (packet.said.rule, packet.said.chain);
        let begins = headers.protocol == TCP && headers.tcp_flags & SYN != 0;
        if begins && flow.said.is_some_and(|said| said.verdict != Some(FlowVerdict::Condemned)) {
            flow.said = None;
        }
        let fate = match flow.verdict(packet.said.chain, packet.said.generation, now) {
            Some(FlowVerdict::Condemned) => Fate::Drop,
            Some(FlowVerdict::Cleared) if is_plain(headers) => Fate::Pass,
            // What the kernel would not let pass by its flow alone is looked at here as well.
            Some(FlowVerdict::Cleared) | None => Fate::Inspect,
        };
        if fate != Fate::Inspect {
            self.order(index, packet, now);
        }
        (Some(index), fate)
    }

    /// Take up what a module asked for on a packet that was met as `index`. `enforced` is whether what would drop
    /// packets may. The answer is whether anything came of it.
    pub fn take(&mut self, index: Option<Index>, packet: &Seen<'_>, asked: &Asked, enforced: bool, now: u64) -> bool {
        if self.orders.is_none() {
            return false;
        }
        let until_ns = now.saturating_add(self.lifetimes.of(asked.seconds));
        let verdict = match asked.ask {
            Ask::Block => return enforced && self.block(packet.headers.src, now, until_ns),
            Ask::Condemn if !enforced => return false,
            Ask::Condemn => FlowVerdict::Condemned,
            Ask::Clear => FlowVerdict::Cleared,
        };
        let Some(index) = index else { return false };
        if asked.steps > MAX_STEPS || asked.step >= asked.steps {
            return false;
        }
        let Metadata { chain, generation, .. } = packet.said;
        let flow = self.table.flow_mut(index);
        let live = flow.said.filter(|said| said.generation == generation && now < said.until_ns);
        let before = live.filter(|said| said.chain == chain || said.verdict == Some(FlowVerdict::Condemned));
        let all = u64::MAX >> (MAX_STEPS - asked.steps);
        let said = match before.map(|said| said.verdict) {
            // Until its time is over nothing else is said of it, but that a cleared flow may yet be condemned.
            Some(Some(known)) if known == verdict || known == FlowVerdict::Condemned => return true,
            _ if verdict == FlowVerdict::Condemned => {
                Said { verdict: Some(verdict), chain, generation, until_ns, cleared_by: 0 }
            }
            _ => {
                let cleared_by = before.map_or(0, |said| said.cleared_by) | 1 << asked.step;
                // The shortest time that any of the modules gave.
                let until_ns = before.map_or(until_ns, |said| said.until_ns.min(until_ns));
                let verdict = (cleared_by & all == all).then_some(verdict);
                Said { verdict, chain, generation, until_ns, cleared_by }
            }
        };
        flow.said = Some(said);
        flow.ways.iter_mut().for_each(|way| way.ordered_ns = 0);
        if said.verdict.is_some() {
            self.order(index, packet, now);
        }
        true
    }

    fn block(&self, source: IpAddr, since_ns: u64, until_ns: u64) -> bool {
        let Some(orders) = &self.orders else { return false };
        orders.push(Order::Block { source, since_ns, until_ns });
        true
    }

    /// Ask the kernel for an entry for the packet's direction, unless it was asked a moment ago, or the kernel has to look
    /// at each such packet.
    fn order(&mut self, index: Index, packet: &Seen<'_>, now: u64) {
        let Some(orders) = &self.orders else { return };
        let Metadata { chain, rule, generation, slot } = packet.said;
        if slot == Metadata::NO_SLOT || !is_plain(packet.headers) {
            return;
        }
        let flow = self.table.flow_mut(index);
        let Some(Said { verdict: Some(verdict), until_ns, .. }) = flow.said else { return };
        let key = flow.key;
        let way = &mut flow.ways[way(&key, packet.headers)];
        if way.ordered_ns != 0 && now.saturating_sub(way.ordered_ns) < ORDER_EVERY_NS {
            return;
        }
        way.ordered_ns = now.max(1);
        orders.push(Order::Flow(FlowOrder {
            tuple: FlowTuple::of(packet.headers),
            verdict,
            chain,
            rule,
            generation,
            slot,
            since_ns: now,
            until_ns,
        }));
    }
}

/// Which direction a packet goes: 0 from the key's low end.
fn way(key: &FlowKey, headers: &Headers) -> usize {
    usize::from(!key.starts_at(headers.src, headers.src_port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        flow::HashKey,
        wire::{Frame, parse, testing::tcp4},
    };

    const SECOND: u64 = 1_000_000_000;

    struct Bench {
        tracker: Tracker,
        orders: Arc<OrderQueue>,
        now: u64,
    }

    impl Bench {
        fn new() -> Self {
            let orders = Arc::new(OrderQueue::new(16));
            let lifetimes = Lifetimes { default_ns: 10 * SECOND, max_ns: 60 * SECOND };
            let options =
                TrackerOptions { flows: 0, idle_ns: 100 * SECOND, lifetimes, orders: Some(Arc::clone(&orders)) };
            Self { tracker: Tracker::new(options), orders, now: SECOND }
        }

        /// A packet comes; what becomes of it, and what its chain asks for.
        fn packet(&mut self, frame: &[u8], said: Metadata, asks: &[(u8, u8, Ask, u32)]) -> Fate {
            let (Frame::Ip(headers) | Frame::Undecidable(_, Some(headers))) = parse(frame) else { panic!("no packet") };
            let seen = Seen { headers: &headers, said, len: frame.len() };
            let (key, way) = FlowKey::of(&headers);
            let (index, fate) = self.tracker.meet((&key, way), key.id(HashKey::fixed(1, 2)), &seen, self.now);
            for &(step, steps, ask, seconds) in asks {
                self.tracker.take(index, &seen, &Asked { packet: 0, step, steps, ask, seconds }, true, self.now);
            }
            fate
        }

        fn ordered(&self) -> Vec<Order> {
            std::iter::from_fn(|| self.orders.pop()).collect()
        }
    }

    fn said(generation: u32) -> Metadata {
        Metadata { chain: 0, rule: 7, generation, slot: 3 }
    }

    fn there(flags: u8) -> Vec<u8> {
        let mut frame = tcp4([192, 0, 2, 1], [10, 0, 0, 1], 4000, 80);
        frame[14 + 20 + 13] = flags;
        frame
    }

    fn back() -> Vec<u8> {
        let mut frame = tcp4([10, 0, 0, 1], [192, 0, 2, 1], 80, 4000);
        frame[14 + 20 + 13] = 16;
        frame
    }

    const CLEAR: (u8, u8, Ask, u32) = (0, 1, Ask::Clear, 0);
    const CONDEMN: (u8, u8, Ask, u32) = (0, 1, Ask::Condemn, 5);

    #[test]
    fn a_cleared_flow_passes_both_ways_until_its_time_is_over() {
        let mut bench = Bench::new();
        assert_eq!(bench.packet(&there(16), said(1), &[CLEAR]), Fate::Inspect);
        assert_eq!(bench.packet(&there(16), said(1), &[]), Fate::Pass);
        assert_eq!(bench.packet(&back(), said(1), &[]), Fate::Pass);
        let orders = bench.ordered();
        let tuples = orders.iter().map(|order| match order {
            Order::Flow(order) => (order.tuple.src_port, order.until_ns, order.slot, order.rule),
            Order::Block { .. } => panic!("{order:?}"),
        });
        assert_eq!(tuples.collect::<Vec<_>>(), [(4000, 11 * SECOND, 3, 7), (80, 11 * SECOND, 3, 7)]);
        bench.now += 9 * SECOND;
        assert_eq!(bench.packet(&there(16), said(1), &[]), Fate::Pass);
        assert_eq!(bench.ordered().len(), 1, "the kernel has lost it, or it would not have come");
        bench.now += SECOND;
        assert_eq!(bench.packet(&there(16), said(1), &[]), Fate::Inspect);
    }

    #[test]
    fn every_module_of_the_chain_has_to_clear_and_the_shortest_time_counts() {
        let mut bench = Bench::new();
        bench.packet(&there(16), said(1), &[(0, 2, Ask::Clear, 30)]);
        assert_eq!(bench.packet(&there(16), said(1), &[(1, 2, Ask::Clear, 9)]), Fate::Inspect);
        assert_eq!(bench.packet(&there(16), said(1), &[]), Fate::Pass);
        assert!(matches!(bench.ordered()[..], [Order::Flow(FlowOrder { until_ns, .. })] if until_ns == 10 * SECOND));
        let other = Metadata { chain: 1, ..said(1) };
        assert_eq!(bench.packet(&there(16), other, &[]), Fate::Inspect, "another chain has not cleared it");
    }

    #[test]
    fn what_was_said_dies_with_the_rules() {
        let mut bench = Bench::new();
        bench.packet(&there(16), said(1), &[CLEAR]);
        assert_eq!(bench.packet(&there(16), said(2), &[]), Fate::Inspect);
        bench.packet(&there(16), said(2), &[CONDEMN]);
        assert_eq!(bench.packet(&there(16), said(2), &[]), Fate::Drop);
        assert_eq!(bench.packet(&there(16), said(3), &[]), Fate::Inspect);
    }

    #[test]
    fn a_syn_begins_anew_unless_the_flow_is_condemned() {
        let mut bench = Bench::new();
        bench.packet(&there(16), said(1), &[CLEAR]);
        assert_eq!(bench.packet(&there(17), said(1), &[]), Fate::Pass, "a FIN passes as the rest does");
        assert_eq!(bench.packet(&there(2), said(1), &[]), Fate::Inspect);
        assert_eq!(bench.packet(&there(16), said(1), &[CONDEMN]), Fate::Inspect);
        assert_eq!(bench.packet(&there(2), said(1), &[CLEAR]), Fate::Drop);
        assert_eq!(bench.packet(&there(16), said(1), &[CLEAR]), Fate::Drop, "and cannot be cleared meanwhile");
        bench.now += 5 * SECOND;
        assert_eq!(bench.packet(&there(16), said(1), &[]), Fate::Inspect);
    }

    #[test]
    fn a_chain_does_not_clear_what_another_has_condemned() {
        let mut bench = Bench::new();
        bench.packet(&there(16), said(1), &[CONDEMN]);
        let other = Metadata { chain: 1, ..said(1) };
        // It was in the same batch, so that its chain saw it.
        assert_eq!(bench.packet(&back(), other, &[CLEAR]), Fate::Drop);
        assert_eq!(bench.packet(&back(), other, &[]), Fate::Drop);
    }

    #[test]
    fn where_nothing_may_be_offloaded_nothing_is_decided() {
        let mut bench = Bench::new();
        bench.tracker.orders = None;
        bench.packet(&there(16), said(1), &[CLEAR]);
        assert_eq!(bench.packet(&there(16), said(1), &[CONDEMN]), Fate::Inspect);
        assert_eq!(bench.packet(&there(16), said(1), &[]), Fate::Inspect);
    }

    #[test]
    fn what_the_kernel_would_not_let_pass_is_inspected_and_not_ordered() {
        let mut bench = Bench::new();
        let tagged = [&there(16)[..12], &[0x81, 0, 0, 7], &there(16)[12..]].concat();
        bench.packet(&tagged, said(1), &[CLEAR]);
        assert!(bench.ordered().is_empty());
        assert_eq!(bench.packet(&tagged, said(1), &[]), Fate::Inspect);
        assert_eq!(bench.packet(&there(16), Metadata::of(0, 7), &[]), Fate::Inspect);
        let untracked = Metadata { slot: Metadata::NO_SLOT, ..said(1) };
        assert_eq!(bench.packet(&there(16), untracked, &[]), Fate::Pass);
        assert!(bench.ordered().is_empty(), "the kernel has to look at each");
        bench.packet(&tagged, said(1), &[CONDEMN]);
        assert_eq!(bench.packet(&tagged, said(1), &[]), Fate::Drop);
        let mut later = there(16);
        later[21] = 9;
        assert_eq!(bench.packet(&later, said(1), &[CONDEMN]), Fate::Inspect);
        assert_eq!(bench.packet(&later, said(1), &[]), Fate::Inspect, "a fragment without ports is of no flow");
    }

    #[test]
    fn a_source_is_blocked_for_as_long_as_is_allowed() {
        let mut bench = Bench::new();
        bench.packet(&there(16), said(1), &[(0, 1, Ask::Block, 3600)]);
        let source = IpAddr::from([192, 0, 2, 1]);
        assert_eq!(bench.ordered(), [Order::Block { source, since_ns: SECOND, until_ns: 61 * SECOND }]);
        for _ in 0..20 {
            bench.packet(&there(16), said(1), &[(0, 1, Ask::Block, 1)]);
        }
        assert_eq!(bench.orders.lost(), 4, "a full queue counts what it loses");
    }
}
