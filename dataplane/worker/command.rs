//! What a worker is told between two turns.

use std::fmt;

use crossbeam_channel::Sender;

use crate::{
    flow::{Flow, FlowKey},
    process::{EgressId, Inspect},
    xsk::{KernelRings, Port, PortId, Rings},
};

/// A way out, as one worker sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Egress {
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
    /// What a number of a way out means; none forgets it.
    Egress { id: EgressId, egress: Option<Egress>, reply: Sender<()> },
    /// Inspect by this from the next batch on; the one before is handed back, to be dropped off the hot path.
    Inspect { inspect: Box<dyn Inspect + Send>, reply: Sender<Box<dyn Inspect + Send>> },
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
            Self::Inspect { .. } => f.write_str("Inspect"),
            Self::Flows { from, .. } => write!(f, "Flows({from})"),
            Self::Forget { flow, .. } => write!(f, "Forget({flow:?})"),
            Self::Stop => f.write_str("Stop"),
            #[cfg(test)]
            Self::Die => f.write_str("Die"),
        }
    }
}
