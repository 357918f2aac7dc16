//! Flows and blocked sources as control sees them: what the workers remember and what the kernel deals with, put together.

use std::{collections::HashMap, net::IpAddr};

use serde::{Deserialize, Serialize};

use super::{Count, Plane, PlaneError, running::Running};
use crate::{
    bpf::CachedFlow,
    clock,
    flow::{FastHash, Flow, FlowKey, FlowTuple, FlowVerdict, public_id},
    rules::RuleId,
};

/// How a flow is dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FlowState {
    /// Its packets are shown to its chain.
    Inspected,
    /// They pass.
    Cleared,
    /// They are dropped.
    Condemned,
}

/// One flow, both directions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowRecord {
    /// Its number, as in the field `flow_id` of alerts.
    pub flow_id: u64,
    /// Source of its first packet, as far as is known.
    pub src: IpAddr,
    /// Destination of that packet.
    pub dst: IpAddr,
    /// Source port, 0 where there is none.
    pub src_port: u16,
    /// Destination port, 0 where there is none.
    pub dst_port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// How it is dealt with.
    pub state: FlowState,
    /// Its chain.
    pub chain: Option<String>,
    /// Rule that sends it to the chain; none for the default action.
    pub rule: Option<RuleId>,
    /// Worker that remembers it; the one that saw it last where there are two.
    pub worker: Option<u32>,
    /// Directions that the kernel deals with by itself, 0 to 2.
    pub offloaded: u8,
    /// What came to workers.
    pub inspected: Count,
    /// What the kernel dealt with since the verdict.
    pub bypassed: Count,
    /// Milliseconds since its first packet, or the verdict where no worker remembers it.
    pub age_ms: u64,
    /// Milliseconds since its last packet.
    pub idle_ms: u64,
    /// Seconds until the verdict is over; none while it is inspected.
    pub expires_in_seconds: Option<u64>,
}

/// A source that a module blocked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRecord {
    /// The source.
    pub source: IpAddr,
    /// What was dropped of it.
    #[serde(flatten)]
    pub count: Count,
    /// Seconds since it was blocked.
    pub age_seconds: u64,
    /// Seconds until it is let in again.
    pub expires_in_seconds: u64,
}

impl Plane {
    /// All flows that workers remember or the kernel deals with, in no order.
    ///
    /// # Errors
    /// A worker does not answer, or the kernel refuses.
    pub fn flows(&self) -> Result<Vec<FlowRecord>, PlaneError> {
        Ok(self.known()?.into_values().collect())
    }

    /// Forget the flow with this number; whether there was one. Its next packet is inspected.
    ///
    /// # Errors
    /// A worker does not answer, or the kernel refuses.
    pub fn forget_flow(&self, flow_id: u64) -> Result<bool, PlaneError> {
        let Some((key, record)) = self.known()?.into_iter().find(|(_, record)| record.flow_id == flow_id) else {
            return Ok(false);
        };
        let running = self.lock();
        // First who orders, then what is ordered, then what is there: nothing comes back.
        running.workers.forget_flows(Some(key))?;
        running.flush_orders()?;
        let FlowRecord { src, dst, src_port, dst_port, protocol, .. } = record;
        let there = FlowTuple { src, dst, src_port, dst_port, protocol, tcp_flags: 0 };
        let back = FlowTuple { src: dst, dst: src, src_port: dst_port, dst_port: src_port, ..there };
        let cache = running.filter.flow_cache();
        cache.forget_flow(&there)?;
        cache.forget_flow(&back)?;
        Ok(true)
    }

    /// Forget all flows; how many there were.
    ///
    /// # Errors
    /// A worker does not answer, or the kernel refuses.
    pub fn forget_flows(&self) -> Result<usize, PlaneError> {
        let known = self.known()?.len();
        let running = self.lock();
        running.workers.forget_flows(None)?;
        running.flush_orders()?;
        running.filter.flow_cache().clear_flows()?;
        Ok(known)
    }

    /// Sources that modules blocked, in no order.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn blocked_sources(&self) -> Result<Vec<SourceRecord>, PlaneError> {
        let (now, mut records) = (clock::monotonic_ns(), Vec::new());
        self.lock().filter.flow_cache().sources(now, |blocked| {
            records.push(SourceRecord {
                source: blocked.source,
                count: blocked.count,
                age_seconds: now.saturating_sub(blocked.since_ns) / 1_000_000_000,
                expires_in_seconds: seconds_left(blocked.until_ns, now),
            });
        })?;
        Ok(records)
    }

    /// Let a source in again, or all of them; how many were blocked.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn unblock(&self, source: Option<IpAddr>) -> Result<usize, PlaneError> {
        let running = self.lock();
        running.flush_orders()?;
        let cache = running.filter.flow_cache();
        match source {
            Some(source) => Ok(cache.forget_source(source)?.into()),
            None => Ok(cache.clear_sources()?),
        }
    }

    fn known(&self) -> Result<HashMap<FlowKey, FlowRecord, FastHash>, PlaneError> {
        let running = self.lock();
        let now = clock::monotonic_ns();
        let mut known: HashMap<FlowKey, FlowRecord, FastHash> = HashMap::default();
        let (_, chains) = self.inspection_names();
        let view = View { running: &running, chains: &chains, now, generation: running.filter.stamp() };
        running.workers.flows(|worker, flow| view.remembered(&mut known, worker, flow))?;
        running.filter.flow_cache().flows(now, |flow| view.cached(&mut known, &flow))?;
        Ok(known)
    }
}

/// One look at everything.
struct View<'a> {
    running: &'a Running,
    chains: &'a [String],
    now: u64,
    generation: u32,
}

impl View<'_> {
    fn remembered(&self, known: &mut HashMap<FlowKey, FlowRecord, FastHash>, worker: u32, flow: &Flow) {
        let (low, high, protocol) = flow.key.ends();
        let (src, dst) = if flow.first_way == 0 { (low, high) } else { (high, low) };
        let verdict = flow.verdict(flow.chain, self.generation, self.now);
        let until = flow.said.filter(|_| verdict.is_some()).map(|said| seconds_left(said.until_ns, self.now));
        let [there, back] = flow.ways;
        let count = Count { packets: there.packets + back.packets, bytes: there.bytes + back.bytes };
        let record = FlowRecord {
            flow_id: public_id(flow.key.id(self.running.workers.flow_key())),
            src: src.0,
            dst: dst.0,
            src_port: src.1,
            dst_port: dst.1,
            protocol,
            state: state(verdict),
            chain: self.chains.get(usize::from(flow.chain)).cloned(),
            rule: (flow.rule != 0).then_some(RuleId(flow.rule)),
            worker: Some(worker),
            offloaded: 0,
            inspected: count,
            bypassed: Count::default(),
            age_ms: self.since(flow.first_ns),
            idle_ms: self.since(flow.last_ns),
            expires_in_seconds: until,
        };
        match known.entry(flow.key) {
            std::collections::hash_map::Entry::Vacant(free) => drop(free.insert(record)),
            // Its directions came to different workers.
            std::collections::hash_map::Entry::Occupied(mut other) => {
                let other = other.get_mut();
                other.inspected += record.inspected;
                other.age_ms = other.age_ms.max(record.age_ms);
                if record.idle_ms < other.idle_ms {
                    (other.idle_ms, other.worker) = (record.idle_ms, record.worker);
                }
                if record.state != FlowState::Inspected {
                    (other.state, other.expires_in_seconds) = (record.state, record.expires_in_seconds);
                }
            }
        }
    }

    fn cached(&self, known: &mut HashMap<FlowKey, FlowRecord, FastHash>, flow: &CachedFlow) {
        let FlowTuple { src, dst, src_port, dst_port, protocol, .. } = flow.tuple;
        let key = FlowKey::new((src, src_port), (dst, dst_port), protocol);
        let record = known.entry(key).or_insert_with(|| FlowRecord {
            flow_id: public_id(key.id(self.running.workers.flow_key())),
            src,
            dst,
            src_port,
            dst_port,
            protocol,
            state: state(Some(flow.verdict)),
            chain: self.chains.get(usize::from(flow.chain)).cloned(),
            rule: flow.rule,
            worker: None,
            offloaded: 0,
            inspected: Count::default(),
            bypassed: Count::default(),
            age_ms: self.since(flow.since_ns),
            idle_ms: self.since(flow.since_ns),
            expires_in_seconds: None,
        });
        record.bypassed += flow.count;
        // With rules on TCP flags a direction has an entry for each combination of them.
        record.offloaded = (record.offloaded + 1).min(2);
        if flow.last_ns != 0 {
            record.idle_ms = record.idle_ms.min(self.since(flow.last_ns));
        }
        record.state = state(Some(flow.verdict));
        record.expires_in_seconds = record.expires_in_seconds.max(Some(seconds_left(flow.until_ns, self.now)));
    }

    /// Milliseconds since a moment; packets may have come after the look began.
    fn since(&self, then: u64) -> u64 {
        self.now.saturating_sub(then) / 1_000_000
    }
}

fn state(verdict: Option<FlowVerdict>) -> FlowState {
    match verdict {
        None => FlowState::Inspected,
        Some(FlowVerdict::Cleared) => FlowState::Cleared,
        Some(FlowVerdict::Condemned) => FlowState::Condemned,
    }
}

/// Rounded up, for what is not over yet has some time left.
fn seconds_left(until: u64, now: u64) -> u64 {
    until.saturating_sub(now).div_ceil(1_000_000_000)
}
