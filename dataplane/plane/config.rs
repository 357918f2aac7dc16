//! What the dataplane is told at start. Control parses files and flags into this; nothing here is parsed again.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    flow::{Lifetimes, OrderQueue, TrackerOptions},
    rules::Action,
    stream::StreamConfig,
};

/// How frames get from the driver into the UMEM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModeRequest {
    /// Zero-copy where the driver has it, else copy, else skb.
    #[default]
    Auto,
    /// Zero-copy with native XDP, or refuse to start.
    ZeroCopy,
    /// Copy mode with native XDP, or refuse to start.
    Copy,
    /// Generic XDP, which every device has.
    Skb,
}

/// How packets leave toward services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EgressRequest {
    /// By injection or by AF_XDP TX, whichever is cheaper, where both can be had.
    #[default]
    Auto,
    /// By AF_XDP TX only.
    Tx,
    /// By injection only: a service that cannot be reached so is down. Refuse to start on a kernel without it.
    Inject,
}

/// Whether packets may take several frames, as those of a jumbo MTU do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MultiBuffer {
    /// Where the kernel (6.6) and the driver have it.
    #[default]
    Auto,
    /// No: an interface whose MTU a frame does not hold is refused.
    Off,
}

/// The mode that an interface got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Zero-copy, native XDP.
    ZeroCopy,
    /// Copy, native XDP.
    Copy,
    /// Copy, generic XDP.
    Skb,
}

/// What happens to traffic that should be inspected and cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailPolicy {
    /// It goes to the kernel's stack uninspected.
    #[default]
    Open,
    /// It is dropped.
    Closed,
}

/// The NUMA node that workers run on and the UMEM comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NumaRequest {
    /// That of the first interface that is on one.
    #[default]
    Auto,
    /// Wherever the system puts them.
    Off,
    /// This one, or refuse to start.
    Node(u32),
}

/// The bytes of a module's file.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(Arc<[u8]>);

impl Code {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Code {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({} bytes)", self.0.len())
    }
}

/// One module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleConfig {
    /// Unique name, as chains and alerts spell it.
    pub name: String,
    /// `.wasm` or `.wat` file.
    pub path: PathBuf,
    /// What was read from that file; none to have it read when the module is loaded.
    pub code: Option<Code>,
    /// What becomes of packets that the module fails on.
    pub on_failure: FailPolicy,
    /// Most processor time for one call; a call that takes longer ends up to two ticks of 5 ms late. Time in which the
    /// worker's core does something else does not count. A worker does nothing else meanwhile: a module that never returns holds each worker for `max_failures` times this (and the start of as many
    /// new instances) before it is out of service, a chain of such modules for the sum. Only failures in a row count: who
    /// finds a packet that makes a module run into its deadline may stall a worker for as long as they send it among
    /// others, so keep this short.
    pub deadline: Duration,
    /// Largest heap in bytes, a multiple of 64 KiB, below [`secuxflow_abi::HEAP_LIMIT`].
    pub heap: usize,
    /// Batches in a row, of which no packet could be inspected, after which the module is taken out of service.
    pub max_failures: u32,
    /// JSON text handed to `sxf_init`.
    pub config: String,
    /// Another number has the module loaded anew, without what it remembers and back in service, where nothing else differs.
    pub revision: u64,
}

/// A named order of modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainConfig {
    /// Unique name, as rules spell it.
    pub name: String,
    /// Its modules, first to last.
    pub modules: Vec<ChainStep>,
}

/// A module's place in a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainStep {
    /// Name of the module.
    pub module: String,
    /// What the module would drop is counted and told of, and goes on.
    pub monitor: bool,
    /// What becomes of packets that the module fails on in this chain; none for what the module itself has.
    pub on_failure: Option<FailPolicy>,
    /// Most processor time for one call in this chain; none for what the module itself has.
    pub deadline: Option<Duration>,
}

impl From<&str> for ChainStep {
    fn from(module: &str) -> Self {
        Self { module: module.to_owned(), monitor: false, on_failure: None, deadline: None }
    }
}

impl From<String> for ChainStep {
    fn from(module: String) -> Self {
        Self::from(module.as_str())
    }
}

/// Sizes of the UMEM and its rings. Invariants, checked by [`UmemLayout::check`]: all are powers of two;
/// `frame_size` is 2048 or 4096; `frames >= 4 * ring` for every worker's rings together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UmemLayout {
    /// Frames per worker.
    pub frames: u32,
    /// Bytes per frame.
    pub frame_size: u32,
    /// Entries of each fill, completion, RX and TX ring.
    pub ring: u32,
}

/// Everything the dataplane is told at start.
#[derive(Debug, Clone, PartialEq)]
pub struct PlaneConfig {
    /// Interfaces whose incoming packets are filtered, at least one.
    pub interfaces: Vec<String>,
    /// How frames get into the UMEM.
    pub mode: ModeRequest,
    /// What happens to traffic that should be inspected and cannot be.
    pub fail_policy: FailPolicy,
    /// What happens to packets that no rule matches.
    pub default_action: Action,
    /// Modules, each loaded once.
    pub modules: Vec<ModuleConfig>,
    /// Chains over those modules; the first is for what comes without a chain's number that is known.
    pub chains: Vec<ChainConfig>,
    /// Most modules at a time, those that are loaded later included: address space is set aside for them.
    pub max_modules: u32,
    /// UMEM and ring sizes.
    pub umem: UmemLayout,
    /// Packets of several frames.
    pub multi_buffer: MultiBuffer,
    /// Cores of the workers in turn; empty means every core that the process may use, of the NUMA node if there is one.
    pub cores: Vec<usize>,
    /// NUMA node of the workers, where `cores` is empty, and of the UMEM.
    pub numa: NumaRequest,
    /// Most packets taken from a ring at once, 1 to [`secuxflow_abi::MAX_BATCH`].
    pub batch: u32,
    /// Poll the rings without sleeping.
    pub busy_poll: bool,
    /// Longest time that a worker without anything to do polls its rings before it sleeps, while packets come densely; 0 to
    /// sleep at once.
    pub spin: Duration,
    /// Let the workers drive the drivers of the interfaces (`SO_PREFER_BUSY_POLL`, Linux 5.11), or refuse to start.
    pub prefer_busy_poll: bool,
    /// How packets leave toward services.
    pub egress: EgressRequest,
    /// Turn GRO on at the other end of a service's veth, in the container's namespace, where injection needs it.
    pub set_gro: bool,
    /// Flows, and what modules may decide of them.
    pub flows: FlowConfig,
    /// Streams and datagrams, per worker.
    pub streams: StreamConfig,
    /// Capacity of the alert queue.
    pub alert_queue: u32,
    /// Directory for the bpf file system in which the XDP links are pinned; mounted there when it is none yet.
    pub bpffs: PathBuf,
}

/// How flows are remembered, and what modules may decide of whole flows and sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowConfig {
    /// Flows that each worker remembers; more than [`crate::flow::MIN_FLOWS`].
    pub table: u32,
    /// Time without a packet after which a worker forgets a flow.
    pub idle: Duration,
    /// Modules may clear and condemn flows and block sources.
    pub offload: bool,
    /// Directions of flows in the kernel's table.
    pub offloaded: u32,
    /// Sources that may be blocked at a time.
    pub blocked: u32,
    /// How long a verdict on a flow or source counts when the module does not say.
    pub ttl: Duration,
    /// How long it counts at most.
    pub max_ttl: Duration,
    /// Where packets of cleared flows go.
    pub forward: ForwardTo,
}

/// Where packets of cleared flows go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardTo {
    /// To the kernel's stack, which routes them.
    #[default]
    Stack,
    /// Straight into the service's device.
    Service,
}

impl FlowConfig {
    /// What a worker is given to track flows.
    pub(crate) fn tracker(&self, orders: Option<Arc<OrderQueue>>) -> TrackerOptions {
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        TrackerOptions {
            flows: self.table as usize,
            idle_ns: ns(self.idle),
            lifetimes: Lifetimes { default_ns: ns(self.ttl), max_ns: ns(self.max_ttl) },
            orders,
        }
    }
}

impl Default for FlowConfig {
    fn default() -> Self {
        Self {
            table: 65_536,
            idle: Duration::from_secs(120),
            offload: true,
            offloaded: 65_536,
            blocked: 16_384,
            ttl: Duration::from_secs(300),
            max_ttl: Duration::from_secs(3600),
            forward: ForwardTo::Stack,
        }
    }
}
