//! What a module has at its start: metrics and the log.

use core::fmt;

use secuxflow_abi::metric;

use crate::{alert::Text, calls};

/// Monotonic nanoseconds, read once per batch; 0 in [`Module::new`](crate::Module::new).
#[must_use]
#[inline]
pub fn clock() -> u64 {
    calls::clock()
}

/// The host as a module sees it while it starts.
#[derive(Debug)]
pub struct Setup(());

impl Setup {
    pub(crate) fn new() -> Self {
        Self(())
    }

    /// Declare a counter: `[a-z][a-z0-9_]*`, up to [`MAX_METRIC_NAME`](crate::abi::MAX_METRIC_NAME) bytes, different from the
    /// names of the module's other metrics, of which there are at most [`MAX_METRICS`](crate::abi::MAX_METRICS).
    pub fn counter(&mut self, name: &str) -> Counter {
        Counter(calls::metric(metric::COUNTER, name.as_bytes()))
    }

    /// Declare a gauge; names as for [`Self::counter`].
    pub fn gauge(&mut self, name: &str) -> Gauge {
        Gauge(calls::metric(metric::GAUGE, name.as_bytes()))
    }

    /// Log an error. The lines of a module that refuses to start are the error's text; [`Module::new`](crate::Module::new)
    /// returns the last of them.
    pub fn error(&mut self, text: impl fmt::Display) {
        calls::log(1, Text::of(text).as_bytes());
    }

    /// Log a warning.
    pub fn warning(&mut self, text: impl fmt::Display) {
        calls::log(2, Text::of(text).as_bytes());
    }

    /// Log something worth knowing.
    pub fn info(&mut self, text: impl fmt::Display) {
        calls::log(3, Text::of(text).as_bytes());
    }
}

/// A number that only grows, summed over workers.
#[derive(Debug, Clone, Copy)]
pub struct Counter(u32);

impl Counter {
    /// Add to it. A call into the host: sum up what a batch adds, and add it once.
    pub fn add(self, value: u64) {
        if value != 0 {
            calls::measure(self.0, value);
        }
    }
}

/// A number that goes up and down, summed over workers.
#[derive(Debug, Clone, Copy)]
pub struct Gauge(u32);

impl Gauge {
    /// Set this worker's part of it.
    pub fn set(self, value: u64) {
        calls::measure(self.0, value);
    }
}
