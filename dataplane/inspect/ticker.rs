//! The clock of deadlines: a thread that increments the engine's epoch while guests run, and sleeps while none does.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{
            AtomicBool,
            Ordering::{Relaxed, Release, SeqCst},
        },
    },
    thread::{self, JoinHandle, Thread},
    time::Duration,
};

use crossbeam_utils::CachePadded;
use wasmtime::Engine;

use super::engine::TICK;

/// Ticks without a guest running after which the thread goes to sleep: one second.
const IDLE_TICKS: u32 = 200;
/// How long it sleeps at a time, unless it is woken.
const NAP: Duration = Duration::from_millis(200);

/// Whether one caller of guests is inside a call now. On a cache line of its own: each worker writes its own.
type Busy = Arc<CachePadded<AtomicBool>>;

/// What the thread and the callers share.
#[derive(Debug, Default)]
struct Shared {
    parked: AtomicBool,
    stop: AtomicBool,
    callers: Mutex<Vec<Busy>>,
}

impl Shared {
    fn any_busy(&self) -> bool {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|busy| busy.load(SeqCst))
    }
}

/// Increments the epoch every [`TICK`]; ends when dropped.
#[derive(Debug)]
pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// Start the thread.
    pub(super) fn start(engine: &Engine) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (engine, its) = (engine.clone(), Arc::clone(&shared));
        let thread = thread::Builder::new().name("sxf-epoch".into()).spawn(move || tick(&engine, &its))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// A handle for one thread that calls guests.
    pub(super) fn pulse(&self) -> Pulse {
        let busy = Busy::default();
        self.shared.callers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&busy));
        let thread = self.thread.as_ref().map(|handle| handle.thread().clone());
        Pulse { shared: Arc::clone(&self.shared), busy, thread }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("the deadline thread panicked");
            }
        }
    }
}

fn tick(engine: &Engine, shared: &Shared) {
    let mut idle = 0;
    while !shared.stop.load(SeqCst) {
        thread::park_timeout(TICK);
        engine.increment_epoch();
        idle = if shared.any_busy() { 0 } else { idle + 1 };
        if idle < IDLE_TICKS {
            continue;
        }
        // A caller that sees `parked` wakes this thread. One that begins in this very moment may not see it, nor be seen:
        // its deadline is late by a nap then. So callers need no fence, which each of their batches would pay for.
        shared.parked.store(true, SeqCst);
        while shared.parked.load(SeqCst) && !shared.stop.load(SeqCst) && !shared.any_busy() {
            thread::park_timeout(NAP);
        }
        shared.parked.store(false, SeqCst);
        idle = 0;
    }
}

/// One caller's side: says when it is inside a guest.
#[derive(Debug)]
pub(super) struct Pulse {
    shared: Arc<Shared>,
    busy: Busy,
    thread: Option<Thread>,
}

impl Pulse {
    /// From now on the epoch advances. Costs a system call only when the thread sleeps, at most once a second.
    pub(super) fn enter(&self) {
        self.busy.store(true, Relaxed);
        if self.shared.parked.load(Relaxed)
            && self.shared.parked.swap(false, SeqCst)
            && let Some(thread) = &self.thread
        {
            thread.unpark();
        }
    }

    /// No guest runs any more. That the thread may see it late costs a tick, so nothing is waited for.
    pub(super) fn leave(&self) {
        self.busy.store(false, Release);
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.busy.store(false, SeqCst);
        let mut callers = self.shared.callers.lock().unwrap_or_else(PoisonError::into_inner);
        callers.retain(|busy| !Arc::ptr_eq(busy, &self.busy));
    }
}
