//! One worker's turn: receive, process, inject, transmit, reap, refill. No syscall but the kicks and the injections, and
//! those behind traits.

use std::{
    mem,
    sync::{Arc, atomic::Ordering::AcqRel},
};

use super::{
    budget::Budget,
    command::{Command, Egress, FlowsRead, Ring},
    injecting::{Injecting, WORTH},
    reject::{Came, Limit},
    shared::{Mail, Shared},
    stats::Row,
};
use crate::{
    bpf::Metadata,
    egress::SLOTS,
    process::{DropReason, EgressId, Frames, GATHERED, Inspect, Outcome, Processor, Snapshot},
    xsk::{Frame, Kick, Outgoing, Pending, Place, Port, PortId, Rings, Umem},
};

/// Packets that one kick is sure to send in copy mode; later kernels send more.
const PER_KICK: usize = 32;

/// Packets that are processed at a time. What belongs to more of them does not stay in the first-level cache from the parser
/// to the copy; what a call of a module costs beside its packets weighs little from here on.
const AT_A_TIME: usize = 128;

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

/// A received batch, as the processor sees it.
struct Batch<'a> {
    umem: &'a Umem,
    frames: &'a mut [Frame],
    ingress: u16,
}

impl Frames for Batch<'_> {
    fn count(&self) -> usize {
        self.frames.len()
    }

    fn ingress(&self) -> u16 {
        self.ingress
    }

    fn bytes(&self, index: usize) -> &[u8] {
        self.umem.bytes(&self.frames[index])
    }

    fn bytes_mut(&mut self, index: usize) -> &mut [u8] {
        self.umem.bytes_mut(&mut self.frames[index])
    }

    fn truncate(&mut self, index: usize, len: usize) {
        self.frames[index].truncate(len);
    }

    fn addr(&self, index: usize) -> u32 {
        self.frames[index].addr()
    }

    fn prefetch(&self, index: usize) {
        self.umem.prefetch(&self.frames[index]);
    }

    fn is_split(&self, index: usize) -> bool {
        self.frames[index].is_split()
    }

    fn each_part_behind(&self, index: usize, each: impl FnMut(&[u8])) {
        self.umem.each_part_behind(&self.frames[index], each);
    }

    fn take_metadata(&mut self, index: usize) -> Option<Metadata> {
        self.umem.take_metadata(&mut self.frames[index])
    }
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

    /// Ports that can be polled: descriptor, and whether there is something to receive.
    pub(super) fn pollable(&self) -> impl Iterator<Item = (std::os::fd::RawFd, bool)> + '_ {
        let live = self.slots.iter().flatten().filter(|slot| !slot.gone);
        live.filter_map(|slot| Some((slot.port.fd()?, slot.port.ingress().is_some())))
    }

    /// Mark the ports with this descriptor as unbound by the kernel.
    pub(super) fn hung_up(&mut self, fd: std::os::fd::RawFd) {
        for slot in self.slots.iter_mut().flatten().filter(|slot| slot.port.fd() == Some(fd)) {
            slot.gone = true;
        }
    }

    /// Carry out a command; true for the one to stop. A caller that no longer waits for the answer is no error.
    pub(super) fn command(&mut self, command: Command<R>) -> bool {
        match command {
            Command::Add { port, reply } => {
                self.add(*port);
                let _ = reply.send(());
            }
            Command::Remove { id, reply } => {
                if let Some(port) = self.remove(id) {
                    let _ = reply.send(Box::new(port));
                }
            }
            Command::Egress { id, egress, reply } => {
                if let Some(entry) = self.egress.get_mut(usize::from(id.0)) {
                    *entry = egress;
                }
                let _ = reply.send(());
            }
            Command::Lane { lane, reply } => {
                let _ = reply.send(self.injecting.replace(lane));
            }
            Command::Inspect { mut inspect, claim, reply } => {
                if !claim.swap(true, AcqRel) {
                    inspect.take_over(&mut *self.inspect);
                    let _ = reply.send(mem::replace(&mut self.inspect, inspect));
                }
            }
            Command::Flows { from, mut into, reply } => {
                let next = self.processor.tracker().and_then(|tracker| tracker.table().read(from, &mut into));
                let _ = reply.send(FlowsRead { flows: into, next });
            }
            Command::Forget { flow, reply } => {
                self.processor.forget(flow.as_ref());
                let _ = reply.send(());
            }
            Command::Stop => return true,
            #[cfg(test)]
            Command::Die => panic!("told to die"),
        }
        false
    }

    fn add(&mut self, port: Port<R>) {
        let id = usize::from(port.id().0);
        let ring = self.umem.layout().ring as usize;
        let slot = Slot { port, pending: Pending::with_capacity(ring), unkicked: false, gone: false };
        let index = self.slots.iter().position(Option::is_none).unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[index] = Some(slot);
        self.fresh.reserve(self.slots.len());
        if self.by_id.len() <= id {
            self.by_id.resize(id + 1, None);
        }
        self.by_id[id] = u16::try_from(index).ok();
        // At once, so that the first packets find frames as soon as the caller puts the socket into the XSKMAP.
        self.balance();
        let target = self.fill_target();
        if let Some(slot) = self.slots[index].as_mut().filter(|slot| slot.port.ingress().is_some()) {
            slot.port.fill(&mut self.free, target);
        }
    }

    fn remove(&mut self, id: PortId) -> Option<Port<R>> {
        let index = self.by_id.get_mut(usize::from(id.0))?.take()?;
        let mut slot = self.slots[usize::from(index)].take()?;
        while let Some(out) = slot.pending.pop() {
            self.turn_away(out, DropReason::NoService);
        }
        if let Some(packet) = slot.port.abandon() {
            self.discard_incomplete(packet);
        }
        Some(slot.port)
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

    /// Receive from one port and process it: a batch, and more while batches are full and there is room in the lane for one
    /// more, since one call for many packets costs less than several; never more than a lane holds, so that a turn ends.
    fn receive(&mut self, index: usize, snapshot: &Snapshot, now: &impl Fn() -> u64) -> bool {
        let target = self.fill_target();
        let mut frames = mem::take(&mut self.received);
        let (mut busy, mut taken) = (false, 0);
        while let Some(slot) = &mut self.slots[index] {
            let (port, Some(ingress)) = (slot.port.id(), slot.port.ingress()) else { break };
            let count = slot.port.receive(self.batch, &mut frames, &mut self.broken);
            if count > 0 {
                busy = true;
                let (received_ns, split) = (now(), slot.port.has_met_parts());
                while !frames.is_empty() {
                    let came = Came { port, ingress, received_ns, inject: false };
                    let count = if split { self.at_a_time(&frames) } else { frames.len().min(AT_A_TIME) };
                    self.process(&mut frames, count, came, snapshot, now);
                    self.flush(now);
                }
                self.discard_broken();
            }
            // Of a flood little may be let through, so that the lane does not fill: what was received bounds the turn, too.
            taken += count;
            if count < self.batch || taken + self.batch > SLOTS || !self.injecting.has_room(self.batch) {
                break;
            }
            if let Some(slot) = &mut self.slots[index] {
                slot.port.fill(&mut self.free, target);
            }
        }
        self.received = frames;
        if busy && let Some(tracker) = self.processor.tracker() {
            self.shared().stats.set_flows(&tracker.counts());
        }
        if busy && let Some(streaming) = self.processor.streaming() {
            self.shared().stats.set_streams(&streaming.counts());
        }
        busy
    }

    /// How many of `frames` are processed next: of packets that take several frames as many as can be put together at once.
    fn at_a_time(&self, frames: &[Frame]) -> usize {
        let mut room = GATHERED;
        let fits = |frame: &&Frame| {
            let needed = if frame.is_split() { frame.frames() * self.umem.layout().frame_size as usize } else { 0 };
            let fits = needed <= room;
            room = room.saturating_sub(needed);
            fits
        };
        frames.iter().take(AT_A_TIME).take_while(fits).count().max(1)
    }

    /// Discard the parts of packets that cannot be put together; what is empty belongs to a packet that was counted.
    fn discard_broken(&mut self) {
        while let Some(frame) = self.broken.pop() {
            if frame.packet_len() == 0 && !frame.is_split() {
                self.release(frame);
            } else {
                self.discard_incomplete(frame);
            }
        }
    }

    fn discard_incomplete(&mut self, packet: Frame) {
        self.shared().stats.received(1, self.umem.packet_len(&packet).into());
        self.discard(packet, DropReason::Incomplete);
    }

    /// Process the first `count` of `frames` and send them on their way.
    fn process(
        &mut self,
        frames: &mut Vec<Frame>,
        count: usize,
        came: Came,
        snapshot: &Snapshot,
        now: &impl Fn() -> u64,
    ) {
        let received_ns = came.received_ns;
        let mut batch = Batch { umem: &self.umem, frames: &mut frames[..count], ingress: came.ingress };
        let tally = self.processor.run_at(received_ns, snapshot, &mut batch, &mut *self.inspect);
        self.shared().stats.batch(count, &tally);
        if tally.multi_buffer > 0 {
            // They go by the rings: nothing may be overtaken by them, nor overtake them.
            self.inject(now);
        }
        let inject = tally.multi_buffer == 0 && self.is_worth_injecting();
        self.waits = self.slots.iter().flatten().any(|slot| !slot.pending.is_empty());
        for (position, frame) in frames.drain(..count).enumerate() {
            match self.processor.outcomes()[position] {
                Outcome::Forward { egress, service } => {
                    self.dispatch(egress, Outgoing { frame, service, received_ns }, inject, now);
                }
                Outcome::Drop(DropReason::Rejected) => {
                    self.reject(Came { inject, ..came }, position, frame, snapshot, now);
                }
                Outcome::Drop(reason) => self.discard(frame, reason),
            }
        }
    }

    /// Whether the last batch has enough packets for devices that take injected ones, or the call is made anyway.
    fn is_worth_injecting(&self) -> bool {
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
    pub(super) fn dispatch(&mut self, egress: EgressId, out: Outgoing, inject: bool, now: &impl Fn() -> u64) {
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
    fn inject(&mut self, now: &impl Fn() -> u64) {
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
    fn take_mail(&mut self) -> bool {
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
    pub(super) fn enqueue(&mut self, id: PortId, out: Outgoing) {
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

    /// Frames to keep in each fill ring.
    fn fill_target(&self) -> u32 {
        let receivers = self.slots.iter().flatten().filter(|slot| slot.port.ingress().is_some()).count();
        let part = u32::try_from(self.share / 2 / receivers.max(1)).unwrap_or(u32::MAX);
        part.min(self.umem.layout().ring)
    }

    /// Submit what the last packets left waiting, and kick once for it: the kernel copies what is still in the cache.
    fn flush(&mut self, now: &impl Fn() -> u64) {
        while let Some(index) = self.fresh.pop() {
            self.send(index.into(), now);
        }
    }

    /// Submit what waits for a port, and kick once for it.
    fn send(&mut self, index: usize, now: &impl Fn() -> u64) -> bool {
        let stats = &self.all[usize::from(self.index)].stats;
        let Some(slot) = &mut self.slots[index] else { return false };
        let mut busy = false;
        if !slot.pending.is_empty() && !slot.gone {
            let (mut run, mut row) = ((0, 0), Row::default());
            let time = now();
            let submitted = slot.port.send(&mut slot.pending, |out| {
                if let Some(row) = row.add(out.service, self.umem.packet_len(&out.frame)) {
                    stats.sent(row);
                }
                if out.received_ns != run.0 {
                    stats.latency.record(time.saturating_sub(run.0), run.1);
                    run = (out.received_ns, 0);
                }
                run.1 += 1;
            });
            stats.sent(row);
            stats.latency.record(time.saturating_sub(run.0), run.1);
            slot.unkicked |= submitted > 0;
            busy |= submitted > 0;
        }
        if slot.unkicked {
            let calls = u32::try_from(1 + slot.port.sending() as usize / PER_KICK).unwrap_or(1);
            match slot.port.kick(calls) {
                Kick::Done => slot.unkicked = false,
                Kick::Again | Kick::Down => {}
                Kick::Gone => slot.gone = true,
            }
        }
        busy
    }

    /// Send what waits, take back what was sent, refill.
    fn serve(&mut self, index: usize, fill_target: u32, now: &impl Fn() -> u64) -> bool {
        let mut busy = self.send(index, now);
        let Some(slot) = &mut self.slots[index] else { return false };
        busy |= slot.port.reap(&mut self.free) > 0;
        if slot.gone {
            while let Some(out) = self.slots[index].as_mut().and_then(|slot| slot.pending.pop()) {
                self.turn_away(out, DropReason::NoService);
            }
        } else if slot.port.ingress().is_some() {
            slot.port.fill(&mut self.free, fill_target);
        }
        busy
    }

    /// Hold about the share: frames that came by other workers go back to the pool, missing ones are taken from it.
    fn balance(&mut self) {
        let held: usize = self.free.len() + self.slots.iter().flatten().map(Slot::all).sum::<usize>();
        for _ in self.share..held {
            let Some(frame) = self.free.pop() else { break };
            self.umem.put_back(frame);
        }
        for _ in held..self.share {
            let Some(frame) = self.umem.take_free() else { break };
            self.free.push(frame);
        }
    }

    /// Kick every port whose frames are not back yet: a driver may have fallen asleep between a submission and the look
    /// at whether it wants to be woken.
    pub(super) fn nudge(&mut self) {
        for slot in self.slots.iter_mut().flatten().filter(|slot| !slot.gone && slot.port.sending() > 0) {
            slot.gone = slot.port.kick(1) == Kick::Gone;
        }
    }

    /// Let the drivers of ports that receive do their work in a system call of this thread.
    pub(super) fn drive(&mut self) {
        for slot in self.slots.iter_mut().flatten().filter(|slot| !slot.gone && slot.port.ingress().is_some()) {
            slot.port.drive();
        }
    }

    pub(super) fn discard(&mut self, frame: Frame, reason: DropReason) {
        self.shared().stats.dropped(reason, self.umem.packet_len(&frame));
        self.release(frame);
    }

    pub(super) fn release(&mut self, mut frame: Frame) {
        self.umem.note(&frame, Place::Free);
        while let Some(tail) = self.umem.take_tail(&mut frame) {
            self.free.push(tail);
        }
        self.free.push(frame);
    }

    fn show_frames(&self) {
        let sum = |of: fn(&Slot<R>) -> u64| self.slots.iter().flatten().map(of).sum::<u64>();
        self.shared().stats.set_frames([
            self.free.len() as u64,
            sum(|slot| slot.port.filled().into()),
            sum(|slot| (slot.pending.frames() + slot.port.assembling()) as u64),
            sum(|slot| slot.port.sending().into()),
            self.shared().mail(),
        ]);
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
