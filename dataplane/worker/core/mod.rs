//! One worker's turn: receive, process, inject, transmit, reap, refill. No syscall but the kicks and the injections, and
//! those behind traits.

mod frames;
mod ports;
mod receive;
mod transmit;
mod ways;

use std::sync::Arc;

use super::{budget::Budget, command::Egress, injecting::Injecting, reject::Limit, shared::Shared, stats::Row};
#[cfg(test)]
use crate::xsk::PortId;
use crate::{
    process::{EgressId, Inspect, Processor, Snapshot},
    xsk::{Frame, Pending, Port, Rings, Umem},
};

/// A port with the packets that wait for room in its TX ring.
#[derive(Debug)]
struct Slot<R> {
    port: Port<R>,
    pending: Pending,
    /// Something was submitted that the kernel has not said to have taken over.
    unkicked: bool,
    /// The kernel has unbound the socket; only control can help.
    gone: bool,
}

/// See the module. Invariant: every frame on `free` is in the ledger as free, every other frame held here as with a
/// worker.
pub(super) struct Core<R> {
    index: u16,
    batch: usize,
    pub(super) umem: Umem,
    /// Frames that this worker would like to hold.
    share: usize,
    pub(super) free: Vec<Frame>,
    slots: Vec<Option<Slot<R>>>,
    /// Slot by port number.
    by_id: Vec<Option<u16>>,
    egress: Vec<Egress>,
    injecting: Injecting,
    all: Arc<[Shared]>,
    pub(super) processor: Processor,
    inspect: Box<dyn Inspect + Send>,
    received: Vec<Frame>,
    /// Of what was received, what cannot become a packet.
    broken: Vec<Frame>,
    /// Counted anew each turn.
    budget: Budget,
    /// Ports for which frames wait that nobody has tried to submit.
    fresh: Vec<u16>,
    /// Some frame may wait for room in a TX ring.
    waits: bool,
    /// Of packets that were pushed into the lane, what is not counted yet.
    row: Row,
    /// Of ICMP errors about rejected packets.
    pub(super) icmp: Limit,
}

/// What the loop needs to know to decide how to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    /// For new frames only.
    Idle,
    /// For frames that were sent to come back.
    Completions,
    /// For room in a TX ring, or for the kernel to take frames over, or for free frames.
    Room,
}

impl<R: Rings> Core<R> {
    pub(super) fn new(
        index: u16,
        batch: usize,
        umem: Umem,
        all: Arc<[Shared]>,
        processor: Processor,
        inspect: Box<dyn Inspect + Send>,
    ) -> Self {
        let share = umem.layout().frames as usize;
        Self {
            index,
            batch,
            free: Vec::with_capacity(share * all.len()),
            share,
            umem,
            slots: Vec::new(),
            by_id: Vec::new(),
            egress: vec![Egress::default(); usize::from(EgressId::LIMIT)],
            injecting: Injecting::new(),
            all,
            processor,
            inspect,
            received: Vec::with_capacity(batch),
            broken: Vec::with_capacity(2 * batch),
            budget: Budget::default(),
            fresh: Vec::new(),
            waits: false,
            row: Row::default(),
            icmp: Limit::default(),
        }
    }

    /// This worker's own part of what all see.
    pub(super) fn shared(&self) -> &Shared {
        &self.all[usize::from(self.index)]
    }

    /// One turn. `now` reads the monotonic clock in nanoseconds. Returns whether there was anything to do.
    pub(super) fn turn(&mut self, snapshot: &Snapshot, now: &impl Fn() -> u64) -> bool {
        let mut busy = false;
        self.fresh.clear();
        self.budget = Budget::new(self.share, self.slots.iter().flatten().map(Slot::held));
        for index in 0..self.slots.len() {
            busy |= self.receive(index, snapshot, now);
        }
        busy |= self.take_mail();
        self.inject(now);
        self.balance();
        let target = self.fill_target();
        for index in 0..self.slots.len() {
            busy |= self.serve(index, target, now);
        }
        self.show_frames();
        busy
    }

    /// What there is to wait for.
    pub(super) fn waiting(&self) -> Waiting {
        let mut waiting = Waiting::Idle;
        for slot in self.slots.iter().flatten().filter(|slot| !slot.gone) {
            let starved = slot.port.ingress().is_some() && slot.port.filled() == 0;
            if !slot.pending.is_empty() || slot.unkicked || starved {
                return Waiting::Room;
            }
            if slot.port.sending() > 0 {
                waiting = Waiting::Completions;
            }
        }
        waiting
    }

    /// Frames of packets that wait for room, or for their last part.
    #[cfg(test)]
    pub(super) fn pending(&self) -> u64 {
        self.slots.iter().flatten().map(|slot| (slot.pending.frames() + slot.port.assembling()) as u64).sum()
    }

    /// Packets that wait for room.
    #[cfg(test)]
    pub(super) fn pending_packets(&self) -> u64 {
        self.slots.iter().flatten().map(|slot| slot.pending.packets() as u64).sum()
    }

    #[cfg(test)]
    pub(super) fn port_mut(&mut self, id: PortId) -> Option<&mut Port<R>> {
        let index = self.by_id.get(usize::from(id.0)).copied().flatten()?;
        self.slots[usize::from(index)].as_mut().map(|slot| &mut slot.port)
    }
}

impl<R: Rings> Slot<R> {
    /// Frames held for sending.
    fn held(&self) -> usize {
        self.pending.frames() + self.port.sending() as usize
    }

    /// Frames held altogether.
    fn all(&self) -> usize {
        self.held() + self.port.assembling() + self.port.filled() as usize
    }
}
