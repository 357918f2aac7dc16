//! The kernel's entries for flows and sources: written in batches, read and deleted beside the packets' way.

use std::{
    collections::HashMap,
    net::IpAddr,
    os::fd::AsFd,
    sync::{
        Mutex, PoisonError,
        atomic::{
            AtomicBool, AtomicU32,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
};

use bytemuck::{Zeroable, bytes_of};
use libbpf_rs::{ErrorKind, MapCore, MapFlags, MapHandle};

use super::{
    BpfError,
    filter::address,
    offload::Exit,
    samples::ip,
    shared::Shared,
    sys,
    types::{
        Address, ExitEntry, Flow4Key, Flow6Key, FlowEntry, FlowVerdict as RawVerdict, Limits, OffloadTable, SourceEntry,
    },
};
use crate::{
    flow::{FlowOrder, FlowTuple, FlowVerdict, Order},
    plane::Count,
    rules::RuleId,
};

/// Entries that one system call writes at most.
const BATCH: usize = 1024;

/// One direction of a flow in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachedFlow {
    /// The direction; its TCP flags are 0 unless rules look at them.
    pub tuple: FlowTuple,
    /// What was said of the flow.
    pub verdict: FlowVerdict,
    /// The chain that said it.
    pub chain: u16,
    /// The rule that sent it to the chain.
    pub rule: Option<RuleId>,
    /// Made at, `CLOCK_MONOTONIC` in nanoseconds, as are the next two.
    pub since_ns: u64,
    /// Last packet that it dealt with; 0 for none.
    pub last_ns: u64,
    /// Counts until.
    pub until_ns: u64,
    /// What it dealt with.
    pub count: Count,
}

/// A source that is blocked for a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockedSource {
    /// The source.
    pub source: IpAddr,
    /// Blocked at, `CLOCK_MONOTONIC` in nanoseconds.
    pub since_ns: u64,
    /// Blocked until.
    pub until_ns: u64,
    /// What was dropped.
    pub count: Count,
}

/// What a look at all entries found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Directions of cleared flows.
    pub cleared: u64,
    /// Directions of condemned flows.
    pub condemned: u64,
    /// Blocked sources.
    pub sources: u64,
}

/// The kernel's entries. May be used from any thread; packets do not wait for it.
#[derive(Debug)]
pub struct FlowCache {
    flows4: MapHandle,
    flows6: MapHandle,
    sources: MapHandle,
    used: MapHandle,
    exits: MapHandle,
    /// Whoever writes entries holds it, so that a look which finds none does not race with a new one.
    state: Mutex<State>,
    /// The live generation, and whether its rules look at TCP flags.
    generation: AtomicU32,
    tcp_flags: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// What `offload_used` says, by table.
    used: [bool; 2],
    /// Index into `exits` by the service's address.
    services: HashMap<IpAddr, u16>,
    /// Buffers of a batch.
    keys: Vec<u8>,
    values: Vec<u8>,
}

impl FlowCache {
    pub(super) fn new(shared: &Shared) -> Result<Self, BpfError> {
        let own = |map: &MapHandle| {
            MapHandle::try_from(map).map_err(|error| BpfError::libbpf("sharing the flow tables", &error))
        };
        Ok(Self {
            flows4: own(&shared.flows4)?,
            flows6: own(&shared.flows6)?,
            sources: own(&shared.sources)?,
            used: own(&shared.offload_used)?,
            exits: own(&shared.exits)?,
            state: Mutex::default(),
            generation: AtomicU32::new(0),
            tcp_flags: AtomicBool::new(false),
        })
    }

    /// Entries of `generation` count from now on, and of no other. `tcp_flags`: its rules look at TCP flags.
    pub(super) fn set_generation(&self, generation: u32, tcp_flags: bool) {
        // First, for an entry is written by its generation's flags or not at all.
        self.tcp_flags.store(tcp_flags, Relaxed);
        self.generation.store(generation, Release);
    }

    /// Write entries, in as few system calls as possible. What was ordered by another generation's rules is left out; of
    /// two orders for the same thing the later one counts.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn write(&self, orders: &[Order]) -> Result<(), BpfError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for part in orders.chunks(BATCH) {
            self.write_flows(&mut state, part, false)?;
            self.write_flows(&mut state, part, true)?;
            self.write_sources(&mut state, part)?;
        }
        Ok(())
    }

    /// Write those of one family.
    fn write_flows(&self, state: &mut State, orders: &[Order], v6: bool) -> Result<(), BpfError> {
        let State { keys, values, services, .. } = state;
        keys.clear();
        values.clear();
        let mut count = 0;
        for order in orders {
            let Order::Flow(order) = order else { continue };
            if order.generation != self.live() || order.tuple.src.is_ipv6() != v6 {
                continue;
            }
            let service = services.get(&order.tuple.dst).copied().unwrap_or(u16::MAX);
            self.with_key(&order.tuple, |key| keys.extend_from_slice(key));
            values.extend_from_slice(bytes_of(&entry(order, service)));
            count += 1;
        }
        self.write_batch(state, self.flows_of(v6), OffloadTable::SXF_FLOW_TABLE, count)
    }

    fn write_sources(&self, state: &mut State, orders: &[Order]) -> Result<(), BpfError> {
        let State { keys, values, .. } = state;
        keys.clear();
        values.clear();
        let mut count = 0;
        for order in orders {
            let Order::Block { source, since_ns, until_ns } = order else { continue };
            let entry = SourceEntry { expires: *until_ns, since: *since_ns, ..SourceEntry::zeroed() };
            keys.extend_from_slice(bytes_of(&address(*source)));
            values.extend_from_slice(bytes_of(&entry));
            count += 1;
        }
        self.write_batch(state, &self.sources, OffloadTable::SXF_SOURCE_TABLE, count)
    }

    fn write_batch(&self, state: &mut State, map: &MapHandle, table: OffloadTable, count: u32) -> Result<(), BpfError> {
        if count == 0 {
            return Ok(());
        }
        self.set_used(state, table, true)?;
        map.update_batch(&state.keys, &state.values, count, MapFlags::ANY, MapFlags::ANY)
            .map_err(|error| BpfError::libbpf("writing verdicts on flows and sources", &error))
    }

    /// Let packets look into a table, or not.
    fn set_used(&self, state: &mut State, table: OffloadTable, used: bool) -> Result<(), BpfError> {
        let known = &mut state.used[table.0 as usize];
        if *known != used {
            self.used
                .update(&table.0.to_ne_bytes(), &u32::from(used).to_ne_bytes(), MapFlags::ANY)
                .map_err(|error| BpfError::libbpf("switching a flow table on or off", &error))?;
            *known = used;
        }
        Ok(())
    }

    /// Hand every direction that counts at `now` to `each`, in no order.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn flows(&self, now: u64, mut each: impl FnMut(CachedFlow)) -> Result<(), BpfError> {
        self.each_flow(|_, tuple, entry| {
            if self.counts(entry, now) {
                each(cached(tuple, entry));
            }
        })
    }

    /// Hand every source that is blocked at `now` to `each`, in no order.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn sources(&self, now: u64, mut each: impl FnMut(BlockedSource)) -> Result<(), BpfError> {
        self.each_source(|_, source, entry| {
            if now < entry.expires {
                let count = Count { packets: entry.packets, bytes: entry.bytes };
                each(BlockedSource { source, since_ns: entry.since, until_ns: entry.expires, count });
            }
        })
    }

    /// Forget one direction of a flow, whatever its TCP flags; whether it was there.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn forget_flow(&self, tuple: &FlowTuple) -> Result<bool, BpfError> {
        let map = self.flows_of(tuple.src.is_ipv6());
        if !self.tcp_flags.load(Relaxed) {
            return self.with_key(tuple, |key| remove(map, key));
        }
        let mut keys = Vec::new();
        self.each_flow(|key, found, _| {
            if (FlowTuple { tcp_flags: tuple.tcp_flags, ..found }) == *tuple {
                keys.push(key.to_vec());
            }
        })?;
        keys.iter().try_fold(false, |there, key| Ok(there | remove(map, key)?))
    }

    /// Let a source in again; whether it was blocked.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn forget_source(&self, source: IpAddr) -> Result<bool, BpfError> {
        remove(&self.sources, bytes_of(&address(source)))
    }

    /// Forget all flows.
    ///
    /// # Errors
    /// The kernel refuses; some may be forgotten.
    pub fn clear_flows(&self) -> Result<(), BpfError> {
        let mut keys = Vec::new();
        self.each_flow(|key, tuple, _| keys.push((tuple.src.is_ipv6(), key.to_vec())))?;
        self.remove_flows(&keys)
    }

    /// Let all sources in again; how many were blocked.
    ///
    /// # Errors
    /// The kernel refuses; some may be let in.
    pub fn clear_sources(&self) -> Result<usize, BpfError> {
        let mut keys = Vec::new();
        self.each_source(|bytes, _, _| keys.push(bytes.to_vec()))?;
        keys.iter().try_for_each(|key| remove(&self.sources, key).map(drop))?;
        Ok(keys.len())
    }

    /// Delete what does not count any more at `now`, and tell what is left. An empty table is not looked into by packets.
    ///
    /// # Errors
    /// The kernel refuses; the next look goes on.
    pub fn sweep(&self, now: u64) -> Result<Swept, BpfError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut swept = Swept::default();
        if state.used[OffloadTable::SXF_FLOW_TABLE.0 as usize] {
            let mut dead = Vec::new();
            self.each_flow(|key, tuple, entry| match entry.verdict {
                _ if !self.counts(entry, now) => dead.push((tuple.src.is_ipv6(), key.to_vec())),
                verdict if verdict == RawVerdict::SXF_FLOW_CONDEMNED.0 => swept.condemned += 1,
                _ => swept.cleared += 1,
            })?;
            self.remove_flows(&dead)?;
            self.set_used(&mut state, OffloadTable::SXF_FLOW_TABLE, swept.cleared + swept.condemned > 0)?;
        }
        if state.used[OffloadTable::SXF_SOURCE_TABLE.0 as usize] {
            let mut dead = Vec::new();
            self.each_source(
                |bytes, _, entry| {
                    if now < entry.expires { swept.sources += 1 } else { dead.push(bytes.to_vec()) }
                },
            )?;
            dead.iter().try_for_each(|key| remove(&self.sources, key).map(drop))?;
            self.set_used(&mut state, OffloadTable::SXF_SOURCE_TABLE, swept.sources > 0)?;
        }
        Ok(swept)
    }

    /// The ways to services, by the services' index below 1024 and their address. A cleared flow whose service has none
    /// goes through the worker.
    ///
    /// # Errors
    /// The kernel refuses; some may be set.
    pub fn set_exits(&self, ways: &[(u16, IpAddr, Exit)]) -> Result<(), BpfError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let write = |index: u16, entry: &ExitEntry| {
            self.exits
                .update(&u32::from(index).to_ne_bytes(), bytes_of(entry), MapFlags::ANY)
                .map_err(|error| BpfError::libbpf("setting the way to a service", &error))
        };
        let before = std::mem::take(&mut state.services);
        for index in before.values().filter(|index| ways.iter().all(|way| way.0 != **index)) {
            write(*index, &ExitEntry::zeroed())?;
        }
        for (index, ip, exit) in ways {
            let entry = ExitEntry {
                address: address(*ip),
                ifindex: exit.ifindex,
                mtu: exit.mtu,
                split: exit.split.into(),
                dst_mac: exit.dst_mac.0,
                src_mac: exit.src_mac.0,
            };
            write(*index, &entry)?;
            state.services.insert(*ip, *index);
        }
        Ok(())
    }

    /// Whether an entry counts at `now`.
    fn counts(&self, entry: &FlowEntry, now: u64) -> bool {
        entry.generation == self.live() && now < entry.expires
    }

    /// The live generation.
    fn live(&self) -> u32 {
        self.generation.load(Acquire)
    }

    fn flows_of(&self, v6: bool) -> &MapHandle {
        if v6 { &self.flows6 } else { &self.flows4 }
    }

    /// Do `work` with the key of a direction.
    fn with_key<T>(&self, tuple: &FlowTuple, work: impl FnOnce(&[u8]) -> T) -> T {
        let FlowTuple { src, dst, src_port, dst_port, protocol, .. } = *tuple;
        let tcp_flags = if self.tcp_flags.load(Relaxed) { tuple.tcp_flags } else { 0 };
        match (src, dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let [src, dst] = [src, dst].map(|address| u32::from_ne_bytes(address.octets()));
                let key = Flow4Key { src, dst, sport: src_port, port: dst_port, protocol, tcp_flags, reserved: [0; 2] };
                work(bytes_of(&key))
            }
            (src, dst) => {
                let [src, dst] = [src, dst].map(address);
                let key = Flow6Key { src, dst, sport: src_port, port: dst_port, protocol, tcp_flags, reserved: [0; 2] };
                work(bytes_of(&key))
            }
        }
    }

    /// Delete flows: whether each is IPv6, and its key.
    fn remove_flows(&self, keys: &[(bool, Vec<u8>)]) -> Result<(), BpfError> {
        keys.iter().try_for_each(|(v6, key)| remove(self.flows_of(*v6), key).map(drop))
    }

    fn each_flow(&self, mut each: impl FnMut(&[u8], FlowTuple, &FlowEntry)) -> Result<(), BpfError> {
        each_entry::<Flow4Key, FlowEntry>(&self.flows4, |bytes, value| {
            let key: Flow4Key = bytemuck::pod_read_unaligned(bytes);
            let tuple = FlowTuple {
                src: IpAddr::from(key.src.to_ne_bytes()),
                dst: IpAddr::from(key.dst.to_ne_bytes()),
                src_port: key.sport,
                dst_port: key.port,
                protocol: key.protocol,
                tcp_flags: key.tcp_flags,
            };
            each(bytes, tuple, &bytemuck::pod_read_unaligned(value));
        })?;
        each_entry::<Flow6Key, FlowEntry>(&self.flows6, |bytes, value| {
            let key: Flow6Key = bytemuck::pod_read_unaligned(bytes);
            let tuple = FlowTuple {
                src: ip(key.src, 1),
                dst: ip(key.dst, 1),
                src_port: key.sport,
                dst_port: key.port,
                protocol: key.protocol,
                tcp_flags: key.tcp_flags,
            };
            each(bytes, tuple, &bytemuck::pod_read_unaligned(value));
        })
    }

    fn each_source(&self, mut each: impl FnMut(&[u8], IpAddr, &SourceEntry)) -> Result<(), BpfError> {
        each_entry::<Address, SourceEntry>(&self.sources, |bytes, value| {
            let address: Address = bytemuck::pod_read_unaligned(bytes);
            each(bytes, ip(address, 0), &bytemuck::pod_read_unaligned(value));
        })
    }
}

/// Hand the entries of a hash map to `each`: those that come or go meanwhile may be left out.
fn each_entry<K, V>(map: &MapHandle, each: impl FnMut(&[u8], &[u8])) -> Result<(), BpfError> {
    sys::each_entry(map.as_fd(), size_of::<K>(), size_of::<V>(), each)
        .map_err(|error| BpfError::io("reading verdicts on flows and sources", error))
}

/// Delete an entry; whether it was there.
fn remove(map: &MapHandle, key: &[u8]) -> Result<bool, BpfError> {
    match map.delete(key) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(BpfError::libbpf("deleting a verdict on a flow or source", &error)),
    }
}

fn entry(order: &FlowOrder, service: u16) -> FlowEntry {
    let verdict = match order.verdict {
        FlowVerdict::Cleared => RawVerdict::SXF_FLOW_CLEARED,
        FlowVerdict::Condemned => RawVerdict::SXF_FLOW_CONDEMNED,
    };
    // An index behind the last service has no way, and a way of another address is not taken.
    let service = service.min(u16::try_from(Limits::SXF_SERVICES.0).unwrap_or(u16::MAX));
    FlowEntry {
        expires: order.until_ns,
        since: order.since_ns,
        generation: order.generation,
        slot: order.slot,
        rule: order.rule,
        chain: order.chain,
        service,
        verdict: verdict.0,
        ..FlowEntry::zeroed()
    }
}

fn cached(tuple: FlowTuple, entry: &FlowEntry) -> CachedFlow {
    let condemned = entry.verdict == RawVerdict::SXF_FLOW_CONDEMNED.0;
    CachedFlow {
        tuple,
        verdict: if condemned { FlowVerdict::Condemned } else { FlowVerdict::Cleared },
        chain: entry.chain,
        rule: (entry.rule != 0).then_some(RuleId(entry.rule)),
        since_ns: entry.since,
        last_ns: entry.last,
        until_ns: entry.expires,
        count: Count { packets: entry.packets, bytes: entry.bytes },
    }
}
