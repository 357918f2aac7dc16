//! The worker's configuration: control builds a new one and swaps it in, a worker reads one per batch.

use std::{collections::HashMap, fmt, net::IpAddr, sync::Arc};

use super::Classify;
use crate::{flow::FastHash, plane::FailPolicy, service::Mac};

/// Number of a way out: one per service device, given by control, below [`EgressId::LIMIT`]. Each worker knows which of
/// its sockets, or which other worker, it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EgressId(pub u16);

impl EgressId {
    /// Exclusive upper bound of the numbers.
    pub const LIMIT: u16 = 4096;
}

/// The way to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Index of the service, below `worker::MAX_SERVICES`; its counters go by it.
    pub service: u16,
    /// Way out.
    pub egress: EgressId,
    /// The container's MAC.
    pub dst_mac: Mac,
    /// MAC of the host's side, put on routed frames.
    pub src_mac: Mac,
    /// MTU of the device: longest IP packet.
    pub mtu: u16,
}

/// An interface that frames come in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ingress {
    /// Its MAC: frames addressed to it are routed, all others bridged.
    pub mac: Mac,
    /// Frames may carry only a partial checksum, as those of a veth do; complete it.
    pub repair_checksums: bool,
}

/// Everything that a worker needs to know to process a batch.
#[derive(Clone)]
pub struct Snapshot {
    /// Service by destination address. A service that is not reachable is not in it.
    pub routes: HashMap<IpAddr, Route, FastHash>,
    /// Interfaces, in the order of the configuration.
    pub ingress: Vec<Ingress>,
    /// Rules for frames that come without the kernel's word.
    pub classifier: Arc<dyn Classify + Send + Sync>,
    /// Generation of the rules, for verdicts on flows of frames that come without the kernel's word.
    pub generation: u32,
    /// Number of chains; a frame that names a higher one goes to the default chain.
    pub chains: u16,
    /// Chain for packets that no rule can be found for; none follows the fail policy.
    pub default_chain: Option<u16>,
    /// What becomes of packets that should be inspected and cannot be.
    pub fail_policy: FailPolicy,
    /// Monitor mode: what a module drops is forwarded, and counted.
    pub monitor: bool,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("routes", &self.routes)
            .field("ingress", &self.ingress)
            .field("chains", &self.chains)
            .field("default_chain", &self.default_chain)
            .field("fail_policy", &self.fail_policy)
            .field("monitor", &self.monitor)
            .finish_non_exhaustive()
    }
}
