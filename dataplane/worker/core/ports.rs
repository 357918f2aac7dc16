//! The worker's ports, and what else control commands.

use std::{mem, os::fd::RawFd, sync::atomic::Ordering::AcqRel};

use super::{Core, Slot};
use crate::{
    process::DropReason,
    worker::command::{Command, FlowsRead},
    xsk::{Pending, Port, PortId, Rings},
};

impl<R: Rings> Core<R> {
    /// Ports that can be polled: descriptor, and whether there is something to receive.
    pub(in crate::worker) fn pollable(&self) -> impl Iterator<Item = (RawFd, bool)> + '_ {
        let live = self.slots.iter().flatten().filter(|slot| !slot.gone);
        live.filter_map(|slot| Some((slot.port.fd()?, slot.port.ingress().is_some())))
    }

    /// Mark the ports with this descriptor as unbound by the kernel.
    pub(in crate::worker) fn hung_up(&mut self, fd: RawFd) {
        for slot in self.slots.iter_mut().flatten().filter(|slot| slot.port.fd() == Some(fd)) {
            slot.gone = true;
        }
    }

    /// Carry out a command; true for the one to stop. A caller that no longer waits for the answer is no error.
    pub(in crate::worker) fn command(&mut self, command: Command<R>) -> bool {
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
}
