//! The workers' sockets: opened, closed, and put together as ways out.

use std::{
    os::fd::RawFd,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::Duration,
};

use crossbeam_channel::bounded;
use crossbeam_utils::CachePadded;

use super::{ANSWER, Workers};
use crate::{
    plane::{Mode, ModeRequest},
    process::EgressId,
    worker::{
        WorkerError,
        command::{Command, Egress, Ring},
    },
    xsk::{self, Bound, PortId, PortSpec, Traffic, XskError},
};

/// How long a driver may use frames of a socket that was closed in zero-copy mode: it is told later, by a work queue.
const ZERO_COPY_GRACE: Duration = Duration::from_secs(1);

/// A port that a worker serves.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) id: PortId,
    pub(super) dev: String,
    pub(super) queue: u32,
    pub(super) worker: u32,
    pub(super) mode: Mode,
    pub(super) fd: RawFd,
    /// Kernel index of the device when it was opened.
    ifindex: Option<u32>,
    /// It is the UMEM's first socket, which the kernel's library keeps open as long as the UMEM.
    holds_umem: bool,
    pub(super) traffic: Arc<CachePadded<Traffic>>,
}

impl Served {
    /// Its device is no longer there, nor another one of its name.
    fn orphaned(&self) -> bool {
        ifindex(&self.dev) != self.ifindex
    }
}

/// Kernel index of a device, none when it is not there.
fn ifindex(dev: &str) -> Option<u32> {
    nix::net::if_::if_nametoindex(dev).ok()
}

/// A socket that a worker serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Its number.
    pub id: PortId,
    /// The worker that serves it.
    pub worker: u32,
    /// Its descriptor, for the XSKMAP; valid until [`Workers::close`].
    pub fd: RawFd,
    /// The mode it got.
    pub mode: Mode,
    /// Why it is not a faster one; empty when there is nothing to say.
    pub reason: String,
    /// It takes packets of several frames.
    pub parts: bool,
}

/// Why a port could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The socket could not be bound.
    #[error(transparent)]
    Xsk(#[from] XskError),
    /// The worker does not take it.
    #[error(transparent)]
    Worker(#[from] WorkerError),
}

impl Workers {
    /// Bind a socket and hand it to the worker that serves its queue. The first one settles the mode of all, see
    /// [`xsk::bind`]. Put the descriptor into the XSKMAP when this has returned: the fill ring is filled
    /// then.
    ///
    /// # Errors
    /// The bind's refusal, or a worker that takes no commands.
    pub fn open(&self, spec: &PortSpec, request: ModeRequest) -> Result<Opened, OpenError> {
        let id = self.free_number().ok_or(WorkerError::PortsExhausted)?;
        let Bound { port, mode, reason, parts } = xsk::bind(&self.umem, id, spec, request)?;
        if let Some(budget) = self.prefer_busy_poll.filter(|_| spec.ingress.is_some()) {
            port.prefer_busy_poll(spec, budget)?;
        }
        let fd = port.fd().unwrap_or(-1);
        let worker = self.owner(spec.queue);
        let served = Served {
            id,
            dev: spec.dev.clone(),
            queue: spec.queue,
            worker,
            mode,
            fd,
            traffic: port.traffic(),
            ifindex: ifindex(&spec.dev),
            holds_umem: !self.held.swap(true, Relaxed),
        };
        let mut ports = self.served();
        let (reply, answer) = bounded(1);
        self.tell(worker, Command::Add { port: Box::new(port), reply })?;
        ports.push(served);
        answer.recv_timeout(ANSWER).map_err(|_| WorkerError::Unresponsive(worker))?;
        Ok(Opened { id, worker, fd, mode, reason, parts })
    }

    /// A port number that is not in use. They go round, so that a number comes again only long after mail for the port
    /// that had it was delivered.
    fn free_number(&self) -> Option<PortId> {
        let served = self.served();
        let mut numbers = (0..=u16::MAX).map(|_| PortId(self.next_port.fetch_add(1, Relaxed)));
        numbers.find(|id| served.iter().all(|port| port.id != *id))
    }

    /// Close a port and take back all frames that were in its rings. Take it out of the XSKMAP and of every egress
    /// first. In zero-copy mode this takes a second.
    ///
    /// # Errors
    /// No such port, the UMEM's first one while its device is there, or a worker that does not answer; the port is then
    /// still there.
    #[expect(unsafe_code, reason = "only who closed the socket knows that its frames may be taken back")]
    pub fn close(&self, id: PortId) -> Result<(), WorkerError> {
        let mut ports = self.served();
        let position = ports.iter().position(|port| port.id == id).ok_or(WorkerError::UnknownPort(id))?;
        let Served { worker, mode, holds_umem, .. } = ports[position];
        if holds_umem && !ports[position].orphaned() {
            return Err(WorkerError::HoldsUmem { port: id, dev: ports[position].dev.clone() });
        }
        let (reply, answer) = bounded(1);
        self.tell(worker, Command::Remove { id, reply })?;
        let port = answer.recv_timeout(ANSWER).map_err(|_| WorkerError::Unresponsive(worker))?;
        ports.remove(position);
        drop(ports);
        drop(port);
        if holds_umem {
            self.umem.lose_first();
        }
        if mode == Mode::ZeroCopy {
            thread::sleep(ZERO_COPY_GRACE);
        }
        // SAFETY: the worker has handed the port back and it is dropped, which closed the socket, or its device is
        // gone, which unbound it; the kernel takes a socket out of the receive path before either is over, and the grace
        // above is the driver's.
        let frames = unsafe { self.umem.reclaim(id) };
        tracing::debug!(%id, frames, "port closed, frames taken back");
        Ok(())
    }

    /// Let `egress` stand for `ports`, the sockets on the queues of one device, and for `device`, its index, where it
    /// takes injected packets. A worker that owns one of the ports uses it, the others share them out; without ports and
    /// device the egress is forgotten. Packets on their way to a worker are not lost by a change. When this returns
    /// every worker goes by it, so a route to it may be published.
    ///
    /// # Errors
    /// A number out of range, an unknown port, or a worker that takes no commands.
    pub fn set_egress(&self, egress: EgressId, ports: &[PortId], device: Option<u32>) -> Result<(), WorkerError> {
        if egress.0 >= EgressId::LIMIT {
            return Err(WorkerError::Egress(egress));
        }
        let served = self.served();
        let owner = |&id: &PortId| {
            let port = served.iter().find(|port| port.id == id).ok_or(WorkerError::UnknownPort(id))?;
            Ok((id, port.worker))
        };
        let owners = ports.iter().map(owner).collect::<Result<Vec<_>, WorkerError>>()?;
        let (reply, answers) = bounded(self.handles.len());
        for worker in 0..self.count() {
            let own = owners.iter().find(|(_, owner)| *owner == worker).map(|(port, _)| Ring::Local(*port));
            let other = || {
                let (port, owner) = owners.get(worker as usize % owners.len().max(1))?;
                Some(Ring::Remote { worker: u16::try_from(*owner).ok()?, port: *port })
            };
            let reply = reply.clone();
            let way = Egress { ring: own.or_else(other), device };
            self.tell(worker, Command::Egress { id: egress, egress: way, reply })?;
        }
        drop(reply);
        for worker in 0..self.count() {
            answers.recv_timeout(ANSWER).map_err(|_| WorkerError::Unresponsive(worker))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plane::UmemLayout,
        process::Inspect,
        worker::{Idle, Options, model_tests},
        xsk::Umem,
    };

    #[test]
    fn port_numbers_never_run_out() {
        let umem = Umem::in_memory(&UmemLayout { frames: 256, frame_size: 2048, ring: 64 }, 1).unwrap();
        let options = Options {
            umem,
            workers: 1,
            cores: vec![],
            batch: 64,
            idle: Idle::default(),
            flows: None,
            streaming: vec![],
        };
        let inspect = Box::new(model_tests::Picky) as Box<dyn Inspect + Send>;
        let workers = Workers::start(options, model_tests::snapshot(), vec![inspect]).unwrap();
        // A device that cannot be bound is tried again every few seconds for as long as the daemon runs.
        for _ in 0..70_000 {
            assert!(workers.free_number().is_some());
        }
    }
}
