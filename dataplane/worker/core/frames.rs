//! Where a worker's frames are: its share, those that are free, and how many each fill ring gets.

use super::{Core, Slot};
use crate::{
    process::DropReason,
    xsk::{Frame, Place, Rings},
};

impl<R: Rings> Core<R> {
    /// Frames to keep in each fill ring.
    pub(super) fn fill_target(&self) -> u32 {
        let receivers = self.slots.iter().flatten().filter(|slot| slot.port.ingress().is_some()).count();
        let part = u32::try_from(self.share / 2 / receivers.max(1)).unwrap_or(u32::MAX);
        part.min(self.umem.layout().ring)
    }

    /// Hold about the share: frames that came by other workers go back to the pool, missing ones are taken from it.
    pub(super) fn balance(&mut self) {
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

    pub(in crate::worker) fn discard(&mut self, frame: Frame, reason: DropReason) {
        self.shared().stats.dropped(reason, self.umem.packet_len(&frame));
        self.release(frame);
    }

    pub(in crate::worker) fn release(&mut self, mut frame: Frame) {
        self.umem.note(&frame, Place::Free);
        while let Some(tail) = self.umem.take_tail(&mut frame) {
            self.free.push(tail);
        }
        self.free.push(frame);
    }

    pub(super) fn show_frames(&self) {
        let sum = |of: fn(&Slot<R>) -> u64| self.slots.iter().flatten().map(of).sum::<u64>();
        self.shared().stats.set_frames([
            self.free.len() as u64,
            sum(|slot| slot.port.filled().into()),
            sum(|slot| (slot.pending.frames() + slot.port.assembling()) as u64),
            sum(|slot| slot.port.sending().into()),
            self.shared().mail(),
        ]);
    }
}
