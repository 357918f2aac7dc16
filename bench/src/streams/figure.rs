//! Figures: of a chain on the path, and of code in and outside of a guest.

use serde::Serialize;

use super::load::{Done, Load};
use crate::rounds::Spread;

/// What one chain did with one load, over all rounds.
#[derive(Debug, Clone, Serialize)]
pub(super) struct PathFigure {
    pub(super) load: Load,
    pub(super) subject: String,
    /// Millions of applications' bytes a second, both directions together.
    pub(super) megabytes: Spread,
    /// Requests a second; none where there are none.
    pub(super) requests: Option<Spread>,
    /// Nanoseconds of the worker's thread for 1,000 of these bytes.
    pub(super) worker_ns: Spread,
    /// Part of the time that the worker's thread ran.
    pub(super) worker_busy: f64,
}

/// One run of a load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) done: Done,
    /// Seconds that the worker's thread ran.
    pub(super) worker: f64,
}

impl PathFigure {
    /// Of all rounds, of which there is one at least.
    pub(super) fn of(load: Load, subject: String, runs: &[Run]) -> Self {
        let spread = |value: fn(&Run) -> f64| Spread::of(runs.iter().map(value));
        let seconds = |run: &Run| run.done.time.as_secs_f64();
        let rate = |run: &Run| run.done.requests as f64 / run.done.time.as_secs_f64();
        Self {
            load,
            subject,
            megabytes: spread(|run| run.done.bytes as f64 / run.done.time.as_secs_f64() / 1e6),
            requests: runs.iter().any(|run| run.done.requests > 0).then(|| spread(rate)),
            worker_ns: spread(|run| run.worker * 1e12 / run.done.bytes as f64),
            worker_busy: runs.iter().map(|run| run.worker / seconds(run)).sum::<f64>() / runs.len().max(1) as f64,
        }
    }
}

/// What code costs.
#[derive(Debug, Clone, Serialize)]
pub(super) struct CostFigure {
    pub(super) load: Load,
    pub(super) subject: String,
    /// Nanoseconds for 1,000 bytes of applications: the code of the module, built for this machine.
    pub(super) native: Spread,
    /// The module in a guest, with all that the host does for a call.
    pub(super) guest: Spread,
}
