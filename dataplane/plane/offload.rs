//! The way of the workers' orders into the kernel: a thread empties their queue in batches, and now and then looks at all
//! entries. docs/decisions/0010 says why the workers do not write themselves.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{OffloadStatus, PlaneError};
use crate::{
    bpf::{BpfError, FlowCache},
    clock,
    flow::{Order, OrderQueue},
};

/// How long an order waits at most. The worker goes by the verdict at once.
const EVERY: Duration = Duration::from_millis(10);
/// How often all entries are looked at: they are counted, and the dead ones deleted.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Orders that are taken from the queue at a time.
const AT_ONCE: usize = 4096;

/// See the module. Dropping it stops the thread.
#[derive(Debug)]
pub(super) struct Offloader {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    cache: Arc<FlowCache>,
    queue: Arc<OrderQueue>,
    /// Whoever empties the queue holds it, so that when it is had all that was taken out is written.
    emptying: Mutex<Vec<Order>>,
    stop: AtomicBool,
    status: Status,
}

#[derive(Debug, Default)]
struct Status {
    cleared: AtomicU64,
    condemned: AtomicU64,
    blocked: AtomicU64,
    written: AtomicU64,
    refused: AtomicU64,
}

impl Offloader {
    /// Begin to write what comes into `queue`.
    pub(super) fn start(cache: Arc<FlowCache>, queue: Arc<OrderQueue>) -> Result<Self, PlaneError> {
        let shared = Arc::new(Shared {
            cache,
            queue,
            emptying: Mutex::new(Vec::with_capacity(AT_ONCE)),
            stop: AtomicBool::new(false),
            status: Status::default(),
        });
        let worker = Arc::clone(&shared);
        let thread = thread::Builder::new().name("offload".into()).spawn(move || worker.run());
        let refuse =
            |error| PlaneError::Setting { setting: "flows.offload", rule: format!("no thread for it: {error}") };
        Ok(Self { shared, thread: Some(thread.map_err(refuse)?) })
    }

    /// Write everything that was ordered before this was called.
    pub(super) fn flush(&self) -> Result<(), BpfError> {
        self.shared.empty()
    }

    /// What was written, and what is there.
    pub(super) fn status(&self) -> OffloadStatus {
        let Status { cleared, condemned, blocked, written, refused } = &self.shared.status;
        OffloadStatus {
            flows: false,
            sources: false,
            cleared: cleared.load(Relaxed),
            condemned: condemned.load(Relaxed),
            blocked: blocked.load(Relaxed),
            written: written.load(Relaxed),
            lost: refused.load(Relaxed) + self.shared.queue.lost(),
        }
    }
}

impl Drop for Offloader {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that writes flows into the kernel ended by a panic");
        }
    }
}

impl Shared {
    fn run(&self) {
        let (mut swept, mut failing) = (Instant::now(), false);
        while !self.stop.load(Relaxed) {
            thread::sleep(EVERY);
            let mut done = if self.queue.is_empty() { Ok(()) } else { self.empty() };
            if swept.elapsed() >= SWEEP_EVERY {
                done = done.and(self.sweep());
                swept = Instant::now();
            }
            // Once, not a hundred times a second.
            if let Err(error) = &done
                && !failing
            {
                tracing::error!(%error, "the kernel does not take verdicts on flows; workers go on without");
            }
            failing = done.is_err();
        }
    }

    fn empty(&self) -> Result<(), BpfError> {
        let mut orders = self.emptying.lock().unwrap_or_else(PoisonError::into_inner);
        let mut done = Ok(());
        loop {
            orders.clear();
            orders.extend(std::iter::from_fn(|| self.queue.pop()).take(AT_ONCE));
            if orders.is_empty() {
                return done;
            }
            let written = self.cache.write(&orders);
            let counter = if written.is_ok() { &self.status.written } else { &self.status.refused };
            counter.fetch_add(orders.len() as u64, Relaxed);
            done = done.and(written);
            if orders.len() < AT_ONCE {
                return done;
            }
        }
    }

    fn sweep(&self) -> Result<(), BpfError> {
        let swept = self.cache.sweep(clock::monotonic_ns())?;
        self.status.cleared.store(swept.cleared, Relaxed);
        self.status.condemned.store(swept.condemned, Relaxed);
        self.status.blocked.store(swept.sources, Relaxed);
        Ok(())
    }
}
