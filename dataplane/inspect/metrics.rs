//! The metrics that a module declares, and what it measured since it was last asked.

use secuxflow_abi::{MAX_METRIC_NAME, MAX_METRICS, metric};

use super::stats::Counters;
use crate::plane::MetricKind;

/// A declared metric; its number is its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Metric {
    pub(super) name: String,
    pub(super) kind: MetricKind,
}

/// One instance's metrics. A counter's value is what was added since [`Meter::drain`], a gauge's what it was set to.
#[derive(Debug, Default)]
pub(super) struct Meter {
    declared: Vec<Metric>,
    values: [u64; MAX_METRICS],
    /// A bit for each metric that was measured.
    dirty: u32,
}

// Each metric has a bit.
const _: () = assert!(MAX_METRICS <= u32::BITS as usize);

impl Meter {
    /// Declare a metric; its number.
    pub(super) fn declare(&mut self, kind: u32, name: &[u8]) -> Result<u32, String> {
        let kind = match kind {
            metric::COUNTER => MetricKind::Counter,
            metric::GAUGE => MetricKind::Gauge,
            other => return Err(format!("there is no kind {other}; 0 is a counter, 1 a gauge")),
        };
        let name = named(name)?;
        if self.declared.iter().any(|known| known.name == name) {
            return Err(format!("{name} is declared twice"));
        }
        if self.declared.len() == MAX_METRICS {
            return Err(format!("{name} is one too many, {MAX_METRICS} are possible"));
        }
        self.declared.push(Metric { name, kind });
        Ok(u32::try_from(self.declared.len() - 1).unwrap_or(u32::MAX))
    }

    /// Add to a counter, or set a gauge; false when there is no such metric.
    pub(super) fn measure(&mut self, metric: u32, value: u64) -> bool {
        let index = metric as usize;
        let Some(declared) = self.declared.get(index) else { return false };
        self.values[index] = match declared.kind {
            MetricKind::Counter => self.values[index].wrapping_add(value),
            MetricKind::Gauge => value,
        };
        self.dirty |= 1 << index;
        true
    }

    /// What was declared, by number.
    pub(super) fn declared(&self) -> &[Metric] {
        &self.declared
    }

    /// Hand what was measured over to the runner's counters.
    pub(super) fn drain(&mut self, counters: &Counters) {
        while self.dirty != 0 {
            let index = self.dirty.trailing_zeros() as usize;
            self.dirty &= self.dirty - 1;
            counters.measured(index, self.declared[index].kind, self.values[index]);
            self.values[index] = 0;
        }
    }
}

/// A name that Prometheus takes as the value of a label and people as a word.
fn named(name: &[u8]) -> Result<String, String> {
    let fits = matches!(name, [b'a'..=b'z', ..])
        && name.len() <= MAX_METRIC_NAME
        && name.iter().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    let text = String::from_utf8_lossy(&name[..name.len().min(MAX_METRIC_NAME)]);
    if fits {
        Ok(text.into_owned())
    } else {
        Err(format!("{text:?} is no name: it must be [a-z][a-z0-9_]*, at most {MAX_METRIC_NAME} bytes"))
    }
}
