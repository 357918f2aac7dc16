//! All workers, as the daemon drives them.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicBool, AtomicU16,
            Ordering::{AcqRel, Relaxed},
        },
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender, bounded};
use crossbeam_utils::CachePadded;

use super::{
    WorkerError,
    command::{Command, Egress, FlowsRead, Ring},
    core::Core,
    latency,
    shared::Shared,
};
use crate::{
    egress::Inject,
    flow::{Flow, FlowKey, HashKey, Tracker, TrackerOptions},
    inspect::ArenaPages,
    plane::{Count, Latency, Mode, ModeRequest, SocketStatus, WorkerStatus},
    process::{EgressId, Inspect, Processor, Snapshot, Streaming},
    xsk::{self, Bound, FrameCounts, PortId, PortSpec, Traffic, Umem, XskError},
};

/// Commands that a worker may be behind.
const COMMANDS: usize = 256;
/// How long a worker has to take or answer a command; it does so between two batches.
const ANSWER: Duration = Duration::from_secs(5);
/// Flows that a worker hands out between two batches.
const FLOWS_AT_ONCE: usize = 2048;
/// How long a driver may use frames of a socket that was closed in zero-copy mode: it is told later, by a work queue.
const ZERO_COPY_GRACE: Duration = Duration::from_secs(1);

/// What a worker inspects by.
pub type Inspecting = Box<dyn Inspect + Send>;

/// How the workers are to run.
#[derive(Debug)]
pub struct Options {
    /// The UMEM of all sockets, made for `workers` workers.
    pub umem: Umem,
    /// Number of workers, at least 1.
    pub workers: u32,
    /// Cores to pin them to, in turn; empty means every core that the process may use.
    pub cores: Vec<usize>,
    /// Most packets taken from a ring at once, 1 to [`secuxflow_abi::MAX_BATCH`].
    pub batch: u32,
    /// What to do when there is nothing to do.
    pub idle: Idle,
    /// How each worker remembers flows; not at all for none.
    pub flows: Option<TrackerOptions>,
    /// The streams of each worker, or none at all.
    pub streaming: Vec<Streaming>,
}

/// What a worker does when it has nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Idle {
    /// Never sleep.
    pub busy_poll: bool,
    /// Time to poll the rings before sleeping.
    pub spin: Duration,
    /// Let the drivers leave their work to the worker's system calls.
    pub prefer_busy_poll: bool,
}

/// A port that a worker serves.
#[derive(Debug)]
struct Served {
    id: PortId,
    dev: String,
    queue: u32,
    worker: u32,
    mode: Mode,
    fd: std::os::fd::RawFd,
    /// Kernel index of the device when it was opened.
    ifindex: Option<u32>,
    /// It is the UMEM's first socket, which the kernel's library keeps open as long as the UMEM.
    holds_umem: bool,
    traffic: Arc<CachePadded<Traffic>>,
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

struct Handle {
    commands: Sender<Command>,
    thread: Option<JoinHandle<()>>,
}

/// The workers. Queue `q` of every device is served by worker `q % count`. Dropping it stops them.
pub struct Workers {
    umem: Umem,
    handles: Vec<Handle>,
    all: Arc<[Shared]>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    ports: Mutex<Vec<Served>>,
    next_port: AtomicU16,
    /// The UMEM has its first socket.
    held: AtomicBool,
    key: HashKey,
    /// Most packets of one busy poll of a driver, where the workers drive the drivers.
    prefer_busy_poll: Option<u32>,
    /// Where each worker keeps bytes of streams aside.
    arenas: Vec<ArenaPages>,
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").field("count", &self.count()).field("ports", &self.served()).finish_non_exhaustive()
    }
}

impl Workers {
    /// Start one thread per worker, worker `i` inspecting by `runners[i]`. They sleep until they get a port.
    ///
    /// # Errors
    /// An option out of range, or a thread or descriptor that the system refuses.
    pub fn start(options: Options, snapshot: Snapshot, runners: Vec<Inspecting>) -> Result<Self, WorkerError> {
        let Options { umem, workers, cores, batch: most, idle, flows, streaming } = options;
        let batch = check(workers, most, runners.len())?;
        let mailbox = umem.layout().ring as usize;
        let all = (0..workers)
            .map(|index| Shared::new(mailbox).map_err(|source| WorkerError::Start { index, what: "eventfd", source }));
        let all: Arc<[Shared]> = all.collect::<Result<Vec<_>, _>>()?.into();
        let key = HashKey::random();
        let mut set = Self {
            umem,
            handles: Vec::new(),
            all,
            snapshot: Arc::new(ArcSwap::from_pointee(snapshot)),
            ports: Mutex::new(Vec::new()),
            next_port: AtomicU16::new(0),
            held: AtomicBool::new(false),
            key,
            prefer_busy_poll: idle.prefer_busy_poll.then_some(most),
            arenas: streaming.iter().map(Streaming::pages).collect(),
        };
        let cores = Cores::new(&cores);
        let mut streaming = streaming.into_iter();
        for (index, inspect) in (0..).zip(runners) {
            let processor = match &flows {
                None => Processor::new(key),
                Some(flows) => Processor::new(key).with_tracker(Tracker::new(flows.clone())),
            };
            let processor = match streaming.next() {
                None => processor,
                Some(streaming) => processor.with_streaming(streaming),
            };
            let number = u16::try_from(index).unwrap_or(u16::MAX);
            let core = Core::new(number, batch, set.umem.clone(), set.all.clone(), processor, inspect);
            let handle = set.spawn(index, core, cores.of(index), idle)?;
            set.handles.push(handle);
        }
        Ok(set)
    }

    fn spawn(
        &self,
        index: u32,
        core: Core<xsk::KernelRings>,
        pin: Option<core_affinity::CoreId>,
        idle: Idle,
    ) -> Result<Handle, WorkerError> {
        let (commands, receiver): (Sender<Command>, Receiver<Command>) = bounded(COMMANDS);
        let snapshot = self.snapshot.clone();
        let body = move || {
            match pin {
                Some(id) if core_affinity::set_for_current(id) => {
                    core.shared().set_core(u32::try_from(id.id).unwrap_or(0));
                }
                Some(id) => tracing::warn!(worker = index, core = id.id, "cannot pin the worker; it runs on any core"),
                None => tracing::warn!(worker = index, "no core is known to pin the worker to; it runs on any core"),
            }
            super::thread::run(core, &receiver, snapshot, idle);
        };
        let thread = thread::Builder::new().name(format!("worker-{index}")).spawn(body);
        let thread = thread.map_err(|source| WorkerError::Start { index, what: "thread", source })?;
        Ok(Handle { commands, thread: Some(thread) })
    }

    /// Number of workers.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.handles.len()).unwrap_or(0)
    }

    /// The UMEM of all sockets.
    #[must_use]
    pub fn umem(&self) -> &Umem {
        &self.umem
    }

    /// The key of flow ids, of all workers.
    #[must_use]
    pub fn flow_key(&self) -> HashKey {
        self.key
    }

    /// The worker that serves a queue.
    #[must_use]
    pub fn owner(&self, queue: u32) -> u32 {
        queue % self.count().max(1)
    }

    /// Workers whose thread has ended without being told to; none in a healthy daemon.
    #[must_use]
    pub fn dead(&self) -> Vec<u32> {
        let ended = |handle: &Handle| handle.thread.as_ref().is_none_or(JoinHandle::is_finished);
        (0..).zip(&self.handles).filter(|(_, handle)| ended(handle)).map(|(index, _)| index).collect()
    }

    /// Let the workers go by `snapshot` from their next batch on.
    pub fn publish(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
    }

    /// The snapshot that the workers go by.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

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

    /// Let `worker` inspect by `inspect` from its next batch on. No packet is lost; the one before is handed back.
    ///
    /// # Errors
    /// A worker that does not answer; it goes on by the one before.
    pub fn set_inspect(&self, worker: u32, inspect: Inspecting) -> Result<Inspecting, WorkerError> {
        let (claim, (reply, answer)) = (Arc::new(AtomicBool::new(false)), bounded(1));
        self.tell(worker, Command::Inspect { inspect, claim: Arc::clone(&claim), reply })?;
        let answered = answer.recv_timeout(ANSWER).or_else(|error| match claim.swap(true, AcqRel) {
            // It took the runner at the last moment.
            true => answer.recv_timeout(ANSWER),
            false => Err(error),
        });
        answered.map_err(|_| WorkerError::Unresponsive(worker))
    }

    /// Let each worker inspect by its runner, all or none; those before are handed back.
    ///
    /// # Errors
    /// A worker that does not answer; all go on by those before.
    pub fn set_all_inspect(&self, runners: Vec<(u32, Inspecting)>) -> Result<Vec<(u32, Inspecting)>, WorkerError> {
        let mut before = Vec::with_capacity(runners.len());
        for (worker, runner) in runners {
            match self.set_inspect(worker, runner) {
                Ok(old) => before.push((worker, old)),
                Err(error) => {
                    for (worker, old) in before {
                        if let Err(error) = self.set_inspect(worker, old) {
                            tracing::error!(%error, worker, "a worker keeps modules that were taken back: restart the daemon");
                        }
                    }
                    return Err(error);
                }
            }
        }
        Ok(before)
    }

    /// Let `worker` inject by `lane` from now on, for every egress that has a device.
    ///
    /// # Errors
    /// A worker that does not answer.
    pub fn set_lane(&self, worker: u32, lane: Box<dyn Inject>) -> Result<(), WorkerError> {
        let (reply, answer) = bounded(1);
        self.tell(worker, Command::Lane { lane: Some(lane), reply })?;
        answer.recv_timeout(ANSWER).map(drop).map_err(|_| WorkerError::Unresponsive(worker))
    }

    /// Injecting calls that the kernel refused; the worker injects no more until it is given its egresses anew.
    #[must_use]
    pub fn broken_calls(&self) -> u64 {
        self.all.iter().map(|shared| shared.stats.broken_calls()).sum()
    }

    /// Hand every flow that a worker knows to `each`, with the worker's number. A flow whose directions two workers serve
    /// comes from both. Workers go on meanwhile, so that flows may be left out that come or go.
    ///
    /// # Errors
    /// A worker that does not answer; one that has died is left out.
    pub fn flows(&self, mut each: impl FnMut(u32, &Flow)) -> Result<(), WorkerError> {
        let dead = self.dead();
        for worker in (0..self.count()).filter(|worker| !dead.contains(worker)) {
            let (mut from, mut into) = (Some(0), Vec::with_capacity(FLOWS_AT_ONCE));
            while let Some(at) = from {
                let (reply, answer) = bounded(1);
                self.tell(worker, Command::Flows { from: at, into, reply })?;
                let read = answer.recv_timeout(ANSWER).map_err(|_| WorkerError::Unresponsive(worker))?;
                let FlowsRead { flows, next } = read;
                flows.iter().for_each(|flow| each(worker, flow));
                (from, into) = (next, flows);
                into.clear();
            }
        }
        Ok(())
    }

    /// Let every worker forget a flow, or all. When this returns, what chains said of it makes no worker order anything.
    ///
    /// # Errors
    /// A worker that does not answer.
    pub fn forget_flows(&self, flow: Option<FlowKey>) -> Result<(), WorkerError> {
        let dead = self.dead();
        for worker in (0..self.count()).filter(|worker| !dead.contains(worker)) {
            let (reply, answer) = bounded(1);
            self.tell(worker, Command::Forget { flow, reply })?;
            answer.recv_timeout(ANSWER).map_err(|_| WorkerError::Unresponsive(worker))?;
        }
        Ok(())
    }

    /// Every worker's counters.
    #[must_use]
    pub fn status(&self) -> Vec<WorkerStatus> {
        let dead = self.dead();
        let status = |(index, shared): (u32, &Shared)| WorkerStatus {
            running: !dead.contains(&index),
            ..shared.stats.read(index, shared.core())
        };
        (0..).zip(self.all.iter()).map(status).collect()
    }

    /// The counters of every socket, those of a dead worker left out: they are closed.
    #[must_use]
    pub fn sockets(&self) -> Vec<SocketStatus> {
        let dead = self.dead();
        let status = |port: &Served| {
            let statistics = xsk::statistics(port.fd).inspect_err(|error| {
                tracing::warn!(dev = port.dev, queue = port.queue, %error, "a socket does not give its statistics");
            });
            let statistics = statistics.unwrap_or_default();
            SocketStatus {
                dev: port.dev.clone(),
                queue: port.queue,
                worker: port.worker,
                zero_copy: port.mode == Mode::ZeroCopy,
                rx: port.traffic.rx.read(),
                tx: port.traffic.tx.read(),
                rx_dropped: statistics.rx_dropped,
                rx_invalid_descs: statistics.rx_invalid_descs,
                tx_invalid_descs: statistics.tx_invalid_descs,
                rx_ring_full: statistics.rx_ring_full,
                rx_fill_ring_empty: statistics.rx_fill_ring_empty,
                tx_ring_empty: statistics.tx_ring_empty,
            }
        };
        // The lock keeps `close` from giving a descriptor back while it is read.
        self.served().iter().filter(|port| !dead.contains(&port.worker)).map(status).collect()
    }

    /// Where each worker keeps bytes of streams aside, for runners to see; none where streams are not followed.
    #[must_use]
    pub fn arenas(&self) -> &[ArenaPages] {
        &self.arenas
    }

    /// Packets sent toward the service with this index, by all workers, since they were started.
    #[must_use]
    pub fn service(&self, service: u16) -> Count {
        let mut sum = Count::default();
        for shared in &*self.all {
            sum += shared.stats.service(service);
        }
        sum
    }

    /// Latency over all workers.
    #[must_use]
    pub fn latency(&self) -> Latency {
        latency::merge(self.all.iter().map(|shared| &shared.stats.latency))
    }

    /// Batches whose chain panicked: a fault in the host, whatever the module did.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.all.iter().map(|shared| shared.stats.panics()).sum()
    }

    /// Where the frames of the UMEM are.
    #[must_use]
    pub fn frames(&self) -> FrameCounts {
        self.umem.counts()
    }

    /// Let a worker's thread end as a fault in the host would.
    #[cfg(test)]
    pub(crate) fn kill(&self, worker: u32) {
        self.tell(worker, Command::Die).unwrap();
        while self.dead().is_empty() {
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn served(&self) -> MutexGuard<'_, Vec<Served>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, worker: u32, command: Command) -> Result<(), WorkerError> {
        let unresponsive = WorkerError::Unresponsive(worker);
        let Some(handle) = self.handles.get(worker as usize) else { return Err(unresponsive) };
        handle.commands.send_timeout(command, ANSWER).map_err(|_| unresponsive)?;
        self.all[worker as usize].ring();
        Ok(())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in 0..self.count() {
            if let Err(error) = self.tell(worker, Command::Stop) {
                tracing::error!(%error, "cannot stop a worker");
                // It will never end: waiting for it would hang the daemon's exit.
                if let Some(handle) = self.handles.get_mut(worker as usize) {
                    handle.thread = None;
                }
            }
        }
        for handle in &mut self.handles {
            if handle.thread.take().is_some_and(|thread| thread.join().is_err()) {
                tracing::error!("a worker ended by a panic");
            }
        }
    }
}

/// A socket that a worker serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Its number.
    pub id: PortId,
    /// The worker that serves it.
    pub worker: u32,
    /// Its descriptor, for the XSKMAP; valid until [`Workers::close`].
    pub fd: std::os::fd::RawFd,
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

/// Check the options; the batch size in the end.
fn check(workers: u32, batch: u32, runners: usize) -> Result<usize, WorkerError> {
    let refuse = |option, value, rule: &str| Err(WorkerError::Option { option, value, rule: rule.into() });
    if !(1..=256).contains(&workers) {
        return refuse("workers", workers.into(), "must lie between 1 and 256");
    }
    if runners != workers as usize {
        return refuse("runners", runners as u64, "there must be one for each worker");
    }
    match usize::try_from(batch) {
        Ok(batch) if (1..=secuxflow_abi::MAX_BATCH).contains(&batch) => Ok(batch),
        _ => refuse("batch", batch.into(), "must lie between 1 and 512"),
    }
}

/// The cores to pin to.
struct Cores(Vec<core_affinity::CoreId>);

impl Cores {
    fn new(asked: &[usize]) -> Self {
        Self(match asked {
            [] => core_affinity::get_core_ids().unwrap_or_default(),
            asked => asked.iter().map(|&id| core_affinity::CoreId { id }).collect(),
        })
    }

    fn of(&self, worker: u32) -> Option<core_affinity::CoreId> {
        self.0.get(worker as usize % self.0.len().max(1)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{plane::UmemLayout, worker::model_tests};

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
