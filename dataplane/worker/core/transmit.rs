//! The TX, completion and fill rings: submit what waits, kick, take back what was sent, refill.

use super::Core;
use crate::{
    process::DropReason,
    worker::stats::Row,
    xsk::{Kick, Rings},
};

/// Packets that one kick is sure to send in copy mode; later kernels send more.
const PER_KICK: usize = 32;

impl<R: Rings> Core<R> {
    /// Submit what the last packets left waiting, and kick once for it: the kernel copies what is still in the cache.
    pub(super) fn flush(&mut self, now: &impl Fn() -> u64) {
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
    pub(super) fn serve(&mut self, index: usize, fill_target: u32, now: &impl Fn() -> u64) -> bool {
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

    /// Kick every port whose frames are not back yet: a driver may have fallen asleep between a submission and the look
    /// at whether it wants to be woken.
    pub(in crate::worker) fn nudge(&mut self) {
        for slot in self.slots.iter_mut().flatten().filter(|slot| !slot.gone && slot.port.sending() > 0) {
            slot.gone = slot.port.kick(1) == Kick::Gone;
        }
    }

    /// Let the drivers of ports that receive do their work in a system call of this thread.
    pub(in crate::worker) fn drive(&mut self) {
        for slot in self.slots.iter_mut().flatten().filter(|slot| !slot.gone && slot.port.ingress().is_some()) {
            slot.port.drive();
        }
    }
}
