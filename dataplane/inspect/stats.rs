//! Counters of the modules: written by one runner, read from outside without stopping it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crossbeam_utils::CachePadded;
use secuxflow_abi::MAX_METRICS;

use super::{instance::FailureKind, metrics::Metric};
use crate::plane::{Count, MetricKind};

/// One runner's counters of one module. Only that runner writes them, so an addition is a load and a store.
#[derive(Debug, Default)]
pub(super) struct Counters {
    passed: [AtomicU64; 2],
    dropped: [AtomicU64; 2],
    monitored: [AtomicU64; 2],
    alerts: AtomicU64,
    calls: AtomicU64,
    time_ns: AtomicU64,
    failures: [AtomicU64; FailureKind::ALL.len()],
    /// What the module itself measures, by number.
    metrics: [AtomicU64; MAX_METRICS],
}

/// The same as plain numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) passed: Count,
    pub(super) dropped: Count,
    pub(super) monitored: Count,
    pub(super) alerts: u64,
    pub(super) calls: u64,
    pub(super) time_ns: u64,
    pub(super) failures: [u64; FailureKind::ALL.len()],
    pub(super) metrics: [u64; MAX_METRICS],
}

fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
}

impl Counters {
    /// One call and the time it took.
    pub(super) fn called(&self, time_ns: u64) {
        add(&self.calls, 1);
        add(&self.time_ns, time_ns);
    }

    /// What became of the packets that were shown to the module.
    pub(super) fn decided(&self, passed: Count, dropped: Count) {
        for (pair, count) in [(&self.passed, passed), (&self.dropped, dropped)] {
            add(&pair[0], count.packets);
            add(&pair[1], count.bytes);
        }
    }

    /// Of the packets let through, those that the module would have dropped.
    pub(super) fn monitored(&self, count: Count) {
        add(&self.monitored[0], count.packets);
        add(&self.monitored[1], count.bytes);
    }

    /// Alerts that the module raised.
    pub(super) fn raised(&self, n: u64) {
        add(&self.alerts, n);
    }

    /// A failed batch.
    pub(super) fn failed(&self, kind: FailureKind) {
        add(&self.failures[kind as usize], 1);
    }

    /// A value of the module's own: to be added, or to be taken as it is.
    pub(super) fn measured(&self, metric: usize, kind: MetricKind, value: u64) {
        match kind {
            MetricKind::Counter => add(&self.metrics[metric], value),
            MetricKind::Gauge => self.metrics[metric].store(value, Relaxed),
        }
    }

    /// Take over the gauges of an instance that goes on.
    pub(super) fn take_gauges(&self, from: &Self, metrics: &[Metric]) {
        for ((mine, theirs), metric) in self.metrics.iter().zip(&from.metrics).zip(metrics) {
            if metric.kind == MetricKind::Gauge {
                mine.store(theirs.swap(0, Relaxed), Relaxed);
            }
        }
    }

    /// Gauges tell of an instance that is gone.
    pub(super) fn forget_gauges(&self, metrics: &[Metric]) {
        for (value, metric) in self.metrics.iter().zip(metrics) {
            if metric.kind == MetricKind::Gauge {
                value.store(0, Relaxed);
            }
        }
    }

    fn read(&self) -> Totals {
        let count = |pair: &[AtomicU64; 2]| Count { packets: pair[0].load(Relaxed), bytes: pair[1].load(Relaxed) };
        Totals {
            passed: count(&self.passed),
            dropped: count(&self.dropped),
            monitored: count(&self.monitored),
            alerts: self.alerts.load(Relaxed),
            calls: self.calls.load(Relaxed),
            time_ns: self.time_ns.load(Relaxed),
            failures: std::array::from_fn(|i| self.failures[i].load(Relaxed)),
            metrics: std::array::from_fn(|i| self.metrics[i].load(Relaxed)),
        }
    }
}

impl std::ops::AddAssign<&Counters> for Totals {
    fn add_assign(&mut self, other: &Counters) {
        let other = other.read();
        self.passed += other.passed;
        self.dropped += other.dropped;
        self.monitored += other.monitored;
        self.alerts += other.alerts;
        self.calls += other.calls;
        self.time_ns += other.time_ns;
        for (mine, theirs) in self.failures.iter_mut().zip(other.failures) {
            *mine += theirs;
        }
        for (mine, theirs) in self.metrics.iter_mut().zip(other.metrics) {
            *mine = mine.wrapping_add(theirs);
        }
    }
}

/// Counters of all modules, one padded set per module, of one runner.
pub(super) type RunnerCounters = [CachePadded<Counters>];

/// Whether a module is in service, and when its failures were last told of. One per module, shared by the workers.
#[derive(Debug, Default)]
pub(super) struct Health {
    out_of_service: AtomicBool,
    told_ns: AtomicU64,
}

/// Least time between two alerts of a module's failures, and of what it would have dropped.
pub(super) const TELL_EVERY_NS: u64 = 1_000_000_000;

impl Health {
    /// A copy whose changes do not reach the original.
    pub(super) fn apart(&self) -> Self {
        Self { out_of_service: AtomicBool::new(self.out_of_service.load(Relaxed)), told_ns: AtomicU64::new(0) }
    }

    /// Whether the module is still called.
    pub(super) fn in_service(&self) -> bool {
        !self.out_of_service.load(Relaxed)
    }

    /// Take the module out of service; true for the caller that did it, false when it was out already.
    pub(super) fn disable(&self) -> bool {
        !self.out_of_service.swap(true, Relaxed)
    }

    /// Whether a failure at `now_ns` is to be told of: the first, and then one a second.
    pub(super) fn tell(&self, now_ns: u64) -> bool {
        let told = self.told_ns.load(Relaxed);
        (told == 0 || now_ns.saturating_sub(told) >= TELL_EVERY_NS)
            && self.told_ns.compare_exchange(told, now_ns.max(1), Relaxed, Relaxed).is_ok()
    }
}
