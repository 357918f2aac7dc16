//! All workers, as the daemon drives them.

mod flows;
mod inspecting;
mod options;
mod sockets;
mod status;

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU16},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender, bounded};

use options::{Cores, check};
pub use options::{Idle, Options};
use sockets::Served;
pub use sockets::{OpenError, Opened};

use super::{WorkerError, command::Command, core::Core, shared::Shared};
use crate::{
    flow::{HashKey, Tracker},
    inspect::ArenaPages,
    process::{Inspect, Processor, Snapshot, Streaming},
    xsk::{self, Umem},
};

/// Commands that a worker may be behind.
const COMMANDS: usize = 256;
/// How long a worker has to take or answer a command; it does so between two batches.
const ANSWER: Duration = Duration::from_secs(5);

/// What a worker inspects by.
pub type Inspecting = Box<dyn Inspect + Send>;

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

    /// Where each worker keeps bytes of streams aside, for runners to see; none where streams are not followed.
    #[must_use]
    pub fn arenas(&self) -> &[ArenaPages] {
        &self.arenas
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
