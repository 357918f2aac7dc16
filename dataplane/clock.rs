//! Clocks.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};
use quanta::Clock;

/// Wall-clock time since the Unix epoch.
#[must_use]
pub fn wall_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// `CLOCK_MONOTONIC`, the clock that the kernel's `bpf_ktime_get_ns` reads too.
#[must_use]
pub fn monotonic_ns() -> u64 {
    // Once a batch at least: no detour by a Duration.
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |ts| ts.tv_sec().unsigned_abs() * 1_000_000_000 + ts.tv_nsec().unsigned_abs())
}

/// Times what takes nanoseconds: by the processor's counter of time stamps where that is invariant, a look at which costs a third
/// of one at `CLOCK_MONOTONIC`; else by that clock.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stopwatch(Clock);

impl Stopwatch {
    /// The counter now. Nothing waits for what comes before, so that it is exact to some tens of nanoseconds.
    pub(crate) fn look(&self) -> u64 {
        self.0.raw()
    }

    /// Nanoseconds between two looks; 0 where the counter went back.
    pub(crate) fn ns(&self, from: u64, to: u64) -> u64 {
        self.0.delta_as_nanos(from, to)
    }
}

/// Processor time of the calling thread: it stands still while the thread does not run. A system call.
#[must_use]
pub fn thread() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}
