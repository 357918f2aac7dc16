//! How the workers are to run.

use std::time::Duration;

use crate::{flow::TrackerOptions, process::Streaming, worker::WorkerError, xsk::Umem};

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
    /// Longest time to poll the rings before sleeping, while packets come densely; zero for never.
    pub spin: Duration,
    /// Let the drivers leave their work to the worker's system calls.
    pub prefer_busy_poll: bool,
}

/// Check the options; the batch size in the end.
pub(super) fn check(workers: u32, batch: u32, runners: usize) -> Result<usize, WorkerError> {
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
pub(super) struct Cores(Vec<core_affinity::CoreId>);

impl Cores {
    pub(super) fn new(asked: &[usize]) -> Self {
        Self(match asked {
            [] => core_affinity::get_core_ids().unwrap_or_default(),
            asked => asked.iter().map(|&id| core_affinity::CoreId { id }).collect(),
        })
    }

    pub(super) fn of(&self, worker: u32) -> Option<core_affinity::CoreId> {
        self.0.get(worker as usize % self.0.len().max(1)).copied()
    }
}
