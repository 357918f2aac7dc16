//! The ways out: which one a packet takes, the lane of those that are injected, packets for other workers and from them.

use std::mem;

use super::{Core, Slot};
use crate::{
    process::{DropReason, EgressId, Outcome},
    worker::{
        command::{Egress, Ring},
        injecting::WORTH,
        shared::Mail,
    },
    xsk::{Outgoing, Place, PortId, Rings},
};

impl<R: Rings> Core<R> {
    /// Whether the last batch has enough packets for devices that take injected ones, or the call is made anyway.
    pub(super) fn is_worth_injecting(&self) -> bool {
        let takes = |outcome: &Outcome| match outcome {
            Outcome::Forward { egress, .. } => self.way(*egress).device.is_some(),
            Outcome::Drop(_) => false,
        };
        !self.injecting.is_empty()
            || self.processor.outcomes().iter().filter(|outcome| takes(outcome)).take(WORTH).count() == WORTH
    }

    fn way(&self, egress: EgressId) -> Egress {
        self.egress.get(usize::from(egress.0)).copied().unwrap_or_default()
    }

    /// Send a frame on its way out: into the lane when that is worth it or the only way, else to a TX ring, here or by
    /// way of another worker.
    pub(in crate::worker) fn dispatch(
        &mut self,
        egress: EgressId,
        out: Outgoing,
        inject: bool,
        now: &impl Fn() -> u64,
    ) {
        let Egress { ring, device } = self.way(egress);
        if let Some(device) = device
            && (inject || ring.is_none())
            && !out.frame.is_split()
            && self.injecting.takes(out.frame.packet_len().into())
        {
            if self.waits
                && let Some(Ring::Local(port)) = ring
                && !self.hurry(port, device, now)
            {
                return self.enqueue(port, out);
            }
            return self.push(device, out, now);
        }
        match ring {
            Some(Ring::Local(port)) => self.enqueue(port, out),
            Some(Ring::Remote { worker, port }) => {
                let Some(owner) = self.all.get(usize::from(worker)) else {
                    return self.turn_away(out, DropReason::NoService);
                };
                self.umem.note(&out.frame, Place::Mailbox);
                match owner.post(Mail { port, out }) {
                    Ok(()) => owner.ring(),
                    Err(mail) => self.turn_away(mail.out, DropReason::TxFull),
                }
            }
            None if device.is_some() && out.frame.is_split() => self.turn_away(out, DropReason::Buffers),
            None if device.is_some() => self.turn_away(out, DropReason::Mtu),
            None => self.turn_away(out, DropReason::NoService),
        }
    }

    /// Inject first what waits for room in a TX ring toward the same device, so that nothing overtakes it. False where that
    /// cannot be: a packet of several frames waits there.
    fn hurry(&mut self, port: PortId, device: u32, now: &impl Fn() -> u64) -> bool {
        let Some(index) = self.by_id.get(usize::from(port.0)).copied().flatten().map(usize::from) else { return true };
        while let Some(slot) = &mut self.slots[index] {
            if slot.pending.front().is_some_and(|out| out.frame.is_split()) {
                return false;
            }
            let Some(out) = slot.pending.pop() else { break };
            self.push(device, out, now);
        }
        true
    }

    /// Copy a packet into the lane; its frame is free again.
    fn push(&mut self, device: u32, out: Outgoing, now: &impl Fn() -> u64) {
        if !self.injecting.push(device, self.umem.bytes(&out.frame), out.received_ns) {
            self.inject(now);
            if !self.injecting.push(device, self.umem.bytes(&out.frame), out.received_ns) {
                return self.turn_away(out, DropReason::TxFull);
            }
        }
        if let Some(row) = self.row.add(out.service, out.frame.packet_len().into()) {
            self.shared().stats.sent(row);
        }
        self.release(out.frame);
    }

    /// Have everything sent that is in the lane. A device that takes nothing is no longer injected to until control has
    /// looked at it; a call that fails ends injection.
    pub(super) fn inject(&mut self, now: &impl Fn() -> u64) {
        if self.injecting.is_empty() {
            return;
        }
        let stats = &self.all[usize::from(self.index)].stats;
        stats.sent(mem::take(&mut self.row));
        let injected = self.injecting.run(now(), &stats.latency);
        stats.injected(&injected);
        if injected.refused.is_some() || injected.broken {
            for way in &mut self.egress {
                way.device = way.device.filter(|device| !injected.broken && injected.refused != Some(*device));
            }
        }
    }

    /// Take frames that other workers want sent, at most a mailbox full.
    pub(super) fn take_mail(&mut self) -> bool {
        let mut count = 0;
        while count < self.shared().mailbox.capacity() {
            let Some(Mail { port, out }) = self.shared().take() else { break };
            self.umem.note(&out.frame, Place::Rx);
            self.enqueue(port, out);
            count += 1;
        }
        count > 0
    }

    /// Let a frame wait for room in a port's TX ring, unless too many wait there already.
    pub(in crate::worker) fn enqueue(&mut self, id: PortId, out: Outgoing) {
        let ring = self.umem.layout().ring as usize;
        let slot = self.by_id.get(usize::from(id.0)).copied().flatten();
        let slots = &mut self.slots;
        match slot.and_then(|index| Some((index, slots.get_mut(usize::from(index))?.as_mut()?))) {
            None | Some((_, Slot { gone: true, .. })) => self.turn_away(out, DropReason::NoService),
            Some((_, slot)) if !slot.port.sends(out.frame.frames()) => self.turn_away(out, DropReason::Buffers),
            Some((index, slot))
                if slot.pending.frames() + out.frame.frames() <= ring
                    && (0..out.frame.frames()).all(|more| self.budget.take(slot.held() + more)) =>
            {
                // One for each port is room enough; whatever is not noted is sent at the end of the turn.
                if slot.pending.is_empty() && self.fresh.len() < self.fresh.capacity() {
                    self.fresh.push(index);
                }
                slot.pending.push(out);
                self.waits = true;
            }
            Some(_) => self.turn_away(out, DropReason::TxFull),
        }
    }
}
