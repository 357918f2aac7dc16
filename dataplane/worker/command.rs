//! What a worker is told between two turns.

use std::{
    fmt,
    sync::{Arc, atomic::AtomicBool},
};

use crossbeam_channel::Sender;

use crate::{
    egress::Inject,
    flow::{Flow, FlowKey},
    process::{EgressId, Inspect},
    xsk::{KernelRings, Port, PortId, Rings},
};

/// A way out, as one worker sees it: by a TX ring, by injection, or by whichever is cheaper for a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Egress {
    /// The TX ring.
    pub(super) ring: Option<Ring>,
    /// Index of the device that takes injected packets.
    pub(super) device: Option<u32>,
}

/// The TX ring of a way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ring {
    /// By a port of its own.
    Local(PortId),
    /// By a port of another worker.
    Remote { worker: u16, port: PortId },
}

/// Answer to [`Command::Flows`].
#[derive(Debug)]
pub(super) struct FlowsRead {
    pub(super) flows: Vec<Flow>,
    /// Position to go on from; none at the end.
    pub(super) next: Option<usize>,
}

/// See the module.
pub(super) enum Command<R = KernelRings> {
    /// Serve this port from now on; answered when its fill ring is filled.
    Add { port: Box<Port<R>>, reply: Sender<()> },
    /// Stop serving the port and hand it back, to be closed off the hot path.
    Remove { id: PortId, reply: Sender<Box<Port<R>>> },
    /// What a number of a way out means; one without ring and device forgets it.
    Egress { id: EgressId, egress: Egress, reply: Sender<()> },
    /// Inject by this from now on; none stops it. The one before is handed back.
    Lane { lane: Option<Box<dyn Inject>>, reply: Sender<Option<Box<dyn Inject>>> },
    /// Inspect by this from the next batch on, unless whoever sent it has set `claim`, which tells that it waits no more.
    /// The one before is handed back, to be dropped off the hot path.
    Inspect { inspect: Box<dyn Inspect + Send>, claim: Arc<AtomicBool>, reply: Sender<Box<dyn Inspect + Send>> },
    /// Copy flows from position `from` of the table on into `into`, as far as it has room.
    Flows { from: usize, into: Vec<Flow>, reply: Sender<FlowsRead> },
    /// Forget a flow, or all.
    Forget { flow: Option<FlowKey>, reply: Sender<()> },
    /// End.
    Stop,
    /// Panic.
    #[cfg(test)]
    Die,
}

impl<R: Rings> fmt::Debug for Command<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add { port, .. } => write!(f, "Add({})", port.id()),
            Self::Remove { id, .. } => write!(f, "Remove({id})"),
            Self::Egress { id, egress, .. } => write!(f, "Egress({id:?}, {egress:?})"),
            Self::Lane { .. } => f.write_str("Lane"),
            Self::Inspect { .. } => f.write_str("Inspect"),
            Self::Flows { from, .. } => write!(f, "Flows({from})"),
            Self::Forget { flow, .. } => write!(f, "Forget({flow:?})"),
            Self::Stop => f.write_str("Stop"),
            #[cfg(test)]
            Self::Die => f.write_str("Die"),
        }
    }
}
