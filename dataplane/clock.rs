//! Time, in nanoseconds.

use std::time::{SystemTime, UNIX_EPOCH};

/// Wall-clock time since the Unix epoch.
#[must_use]
pub fn wall_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// `CLOCK_MONOTONIC`, the clock that the kernel's `bpf_ktime_get_ns` reads too.
#[must_use]
pub fn monotonic_ns() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).map_or_else(
        |_| std::time::Duration::ZERO,
        |ts| std::time::Duration::new(ts.tv_sec().unsigned_abs(), u32::try_from(ts.tv_nsec()).unwrap_or(0)),
    );
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}
