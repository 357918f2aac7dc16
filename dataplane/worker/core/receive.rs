//! Receiving: batches from a port, through the processor, on their way.

use std::mem;

use super::Core;
use crate::{
    bpf::Metadata,
    egress::SLOTS,
    process::{DropReason, Frames, GATHERED, Outcome, Snapshot},
    worker::reject::Came,
    xsk::{Frame, Outgoing, Rings, Umem},
};

/// Packets that are processed at a time. What belongs to more of them does not stay in the first-level cache from the parser
/// to the copy; what a call of a module costs beside its packets weighs little from here on.
const AT_A_TIME: usize = 128;

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

impl<R: Rings> Core<R> {
    /// Receive from one port and process it: a batch, and more while batches are full and there is room in the lane for one
    /// more, since one call for many packets costs less than several; never more than a lane holds, so that a turn ends.
    pub(super) fn receive(&mut self, index: usize, snapshot: &Snapshot, now: &impl Fn() -> u64) -> bool {
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

    pub(super) fn discard_incomplete(&mut self, packet: Frame) {
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
}
