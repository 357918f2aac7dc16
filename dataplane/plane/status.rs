//! What the dataplane tells of itself: plain values, read from outside without stopping a worker.

use serde::{Deserialize, Serialize};

use super::config::{FailPolicy, Mode};
use crate::{rules::RuleId, service::ServiceStatus};

/// Packets and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes, Ethernet headers included.
    pub bytes: u64,
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
    }
}

/// A counter with the label value that tells it from its siblings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named<T> {
    /// Label value in `snake_case`.
    pub name: String,
    /// The counter.
    pub value: T,
}

/// One filtered interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceStatus {
    /// Its name.
    pub name: String,
    /// Kernel index.
    pub ifindex: u32,
    /// Mode got, and why not a faster one.
    pub mode: Mode,
    /// Why a faster mode was not had, for people; empty when there is none.
    pub mode_reason: String,
    /// Packets of several frames are taken, as those of a jumbo MTU.
    #[serde(default)]
    pub multi_buffer: bool,
    /// Why they are not, for people; empty when they are.
    #[serde(default)]
    pub multi_buffer_reason: String,
    /// RX queues.
    pub queues: u32,
    /// NUMA node that it is on; none for virtual devices.
    pub numa_node: Option<u32>,
    /// The program is attached and the device is there.
    pub attached: bool,
}

/// One socket, by interface or service device and queue. All numbers since it was bound.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SocketStatus {
    /// Device.
    pub dev: String,
    /// Queue.
    pub queue: u32,
    /// Worker that owns it.
    pub worker: u32,
    /// Bound in zero-copy mode.
    pub zero_copy: bool,
    /// Packets taken from its RX ring.
    pub rx: Count,
    /// Packets put on its TX ring.
    pub tx: Count,
    /// `XDP_STATISTICS`: dropped for other reasons than a full ring.
    pub rx_dropped: u64,
    /// `XDP_STATISTICS`: invalid descriptors on RX.
    pub rx_invalid_descs: u64,
    /// `XDP_STATISTICS`: invalid descriptors on TX.
    pub tx_invalid_descs: u64,
    /// `XDP_STATISTICS`: dropped because the RX ring was full.
    pub rx_ring_full: u64,
    /// `XDP_STATISTICS`: times the fill ring was empty.
    pub rx_fill_ring_empty: u64,
    /// `XDP_STATISTICS`: times the TX ring was empty.
    pub tx_ring_empty: u64,
}

/// Quantiles of a latency distribution, nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Latency {
    /// Samples.
    pub count: u64,
    /// Sum of all samples.
    pub sum: u64,
    /// Median.
    pub p50: u64,
    /// 90th percentile.
    pub p90: u64,
    /// 99th percentile.
    pub p99: u64,
    /// 99.9th percentile.
    pub p999: u64,
    /// Largest.
    pub max: u64,
}

/// One worker.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Index.
    pub index: u32,
    /// Core it is pinned to, where pinning worked.
    pub core: Option<u32>,
    /// Its thread runs. One that has ended by a fault takes its queues out of inspection until the daemon is restarted.
    pub running: bool,
    /// Frames received from the rings.
    pub rx: Count,
    /// Frames handed to a TX ring, or injected.
    pub tx: Count,
    /// Frames discarded, by reason.
    pub drops: Vec<Named<Count>>,
    /// Batches received.
    pub batches: u64,
    /// Partial checksums completed.
    pub checksums_repaired: u64,
    /// Packets that came in several frames.
    #[serde(default)]
    pub multi_buffer: u64,
    /// Packets whose rule the kernel could not hand over; the worker classified them itself.
    pub reclassified: u64,
    /// Packets that a module would have dropped; forwarded, in monitor mode.
    pub monitored: u64,
    /// What was told of packets that modules rejected; not among the frames sent.
    #[serde(default)]
    pub replies: Replies,
    /// Of the frames sent, those that were injected.
    pub injected: u64,
    /// Of those, frames that the device did not take: its receiver's queue was full, or it refuses them.
    pub inject_lost: u64,
    /// System calls that they took.
    pub inject_calls: u64,
    /// Frames now in: `free`, `fill`, `rx`, `tx`, `mailbox`; their sum is the worker's share of the UMEM.
    pub frames: Vec<Named<u64>>,
    /// Flows that it remembers.
    pub flows: FlowTableStatus,
    /// What happened to streams and datagrams; `streams`, `blocks` and `datagrams` are those of now.
    #[serde(default)]
    pub streams: Vec<Named<u64>>,
    /// Packets that were refused for their stream or datagram, by why.
    #[serde(default)]
    pub refused: Vec<Named<u64>>,
    /// Time from the batch's arrival in user space to its submission to a TX ring, or to the call that injects it.
    pub latency: Latency,
}

/// Replies to rejected packets: TCP resets and ICMP errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Replies {
    /// Handed to a TX ring, or injected.
    pub sent: u64,
    /// Found no frame, no room or no way.
    pub lost: u64,
    /// ICMP errors that were not made, to keep to their rate.
    pub held_back: u64,
}

/// A worker's flow table. All but the first since it was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FlowTableStatus {
    /// Flows in it now.
    pub flows: u64,
    /// Flows that were entered.
    pub entered: u64,
    /// Flows that went because they were idle.
    pub expired: u64,
    /// Flows that went to make room.
    pub evicted: u64,
    /// Packets that no module saw, because their chain had cleared the flow.
    pub cleared: u64,
    /// Wishes of modules for whole flows and sources that were taken up.
    pub granted: u64,
}

/// What the kernel knows of flows and sources, by the modules' word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OffloadStatus {
    /// Modules may clear and condemn flows, and one that is loaded does.
    pub flows: bool,
    /// Modules may block sources, and one that is loaded does.
    pub sources: bool,
    /// Directions of cleared flows, counted within the last two seconds, as are the next two.
    pub cleared: u64,
    /// Directions of condemned flows.
    pub condemned: u64,
    /// Blocked sources.
    pub blocked: u64,
    /// Orders that were written.
    pub written: u64,
    /// Orders that were lost to a full queue, or that the kernel refused.
    pub lost: u64,
}

/// One module, summed over the workers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleStatus {
    /// Its name.
    pub name: String,
    /// File it was loaded from.
    pub path: String,
    /// SHA-256 of the file, hex.
    pub sha256: String,
    /// Length of the file in bytes.
    pub size: u64,
    /// ABI version.
    pub abi: u32,
    /// What it says it is.
    #[serde(default)]
    pub about: ModuleAbout,
    /// In service, or taken out after too many failures.
    pub in_service: bool,
    /// What becomes of a batch that it fails on.
    pub on_failure: FailPolicy,
    /// Chains it is part of.
    pub chains: Vec<String>,
    /// Packets it let through.
    pub passed: Count,
    /// Packets it dropped.
    pub dropped: Count,
    /// Of the packets it let through, those that it would have dropped and did not, being monitored in its chain.
    pub monitored: Count,
    /// Alerts it raised.
    pub alerts: u64,
    /// Calls of `sxf_inspect` and `sxf_stream`.
    pub calls: u64,
    /// Nanoseconds spent in it.
    pub time_ns: u64,
    /// Failures by kind: `trap`, `timeout`, `error`, `bad_verdict`.
    pub failures: Vec<Named<u64>>,
    /// What it measures itself, summed over workers.
    #[serde(default)]
    pub metrics: Vec<ModuleMetric>,
}

/// What a module says it is, in its section `sxf_about`; empty where it says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModuleAbout {
    /// Its own name; the configuration's may be another.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it does.
    pub description: String,
}

/// Kind of a module's metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// A metric that a module declares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleMetric {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: MetricKind,
    /// Its value.
    pub value: u64,
}

/// Memory that tables take in the kernel, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TableMemory {
    /// Of the rules: the live generation's own.
    pub rules: u64,
    /// Of the sets, which a generation takes over from the one before unless a set has changed.
    pub sets: u64,
    /// Of what every generation shares: counters of rules and cached verdicts, of all CPUs that there can be.
    pub shared: u64,
}

/// A rule's counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleCount {
    /// The rule.
    pub id: RuleId,
    /// What it matched since it was added.
    #[serde(flatten)]
    pub count: Count,
}

/// Everything, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaneStatus {
    /// Filtered interfaces.
    pub interfaces: Vec<InterfaceStatus>,
    /// Number of the live ruleset generation, counted from 1.
    pub generation: u64,
    /// Memory of the tables that it looks packets up in.
    pub memory: TableMemory,
    /// Bytes that are set aside for what is kept of streams and datagrams, of all workers. Memory is taken as it is used.
    #[serde(default)]
    pub stream_memory: u64,
    /// Packets by what XDP did: `pass`, `drop`, `inspect`, `forward` (a cleared flow's, straight to its service).
    pub actions: Vec<Named<Count>>,
    /// Packets by the odd things XDP met: `neighbour`, `non_ip`, `undecidable`, `later_fragment`, `no_service`,
    /// `no_generation`, `no_metadata`, `fail_open`, `fail_closed`, `blocklist`; `monitored` is what would have been
    /// dropped but for monitor mode, and `sample_lost` what of it found no room to become an alert. `flow_cleared`,
    /// `flow_condemned` and `source_blocked` are packets that modules decided on before, by the flow or the source.
    /// `truncated`, `bad_header` and `long_chain` are why packets were undecidable.
    pub events: Vec<Named<u64>>,
    /// Counters of the rules of the live generation.
    pub rules: Vec<RuleCount>,
    /// Workers.
    pub workers: Vec<WorkerStatus>,
    /// Sockets.
    pub sockets: Vec<SocketStatus>,
    /// Modules.
    pub modules: Vec<ModuleStatus>,
    /// Services.
    pub services: Vec<ServiceStatus>,
    /// Flows and sources that the kernel deals with by itself.
    pub offload: OffloadStatus,
    /// Alerts raised.
    pub alerts_raised: u64,
    /// Alerts lost to a full queue.
    pub alerts_dropped: u64,
    /// Alerts of which further fields were left out: too long, no JSON, or not what their keys say.
    #[serde(default)]
    pub alert_fields_dropped: u64,
}
