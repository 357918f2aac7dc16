//! A latency histogram that one thread writes without a lock and any other reads meanwhile.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hdrhistogram::Histogram;

use crate::{counter::add, plane::Latency};

/// log2 of the buckets per power of two: values are known to 1 part in 32.
const PRECISION: u32 = 5;
const PER_POWER: usize = 1 << PRECISION;
/// Powers of two above the linear part; the last one ends at 2^40 ns, 18 minutes.
const POWERS: usize = 35;
const BUCKETS: usize = PER_POWER * (POWERS + 1);
/// Largest value that is told apart from larger ones.
const MAX_NS: u64 = (1 << 40) - 1;

/// Counts by value, in the high-dynamic-range layout: linear within a power of two. `hdrhistogram` does the quantiles,
/// on a copy; its own recorders make the reader wait for the writer, which may be asleep.
#[derive(Debug)]
pub(super) struct Recorder {
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
    max: AtomicU64,
}

impl Recorder {
    pub(super) fn new() -> Self {
        Self {
            buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
            max: AtomicU64::new(0),
        }
    }

    /// Record `count` samples of `ns`. Only the owning worker calls this.
    pub(super) fn record(&self, ns: u64, count: u64) {
        if count == 0 {
            return;
        }
        add(&self.buckets[bucket(ns)], count);
        add(&self.sum, ns.saturating_mul(count));
        if ns > self.max.load(Relaxed) {
            self.max.store(ns, Relaxed);
        }
    }
}

/// Bucket of a value.
fn bucket(ns: u64) -> usize {
    let ns = ns.min(MAX_NS);
    let power = (u64::BITS - ns.leading_zeros()).saturating_sub(PRECISION + 1);
    let within = usize::try_from(ns >> power).unwrap_or(0);
    // From the second power on `within` lies in PER_POWER..2 * PER_POWER, so buckets of powers do not overlap.
    PER_POWER * power as usize + within
}

/// Middle of the values of a bucket.
fn middle(bucket: usize) -> u64 {
    let power = (bucket / PER_POWER).saturating_sub(1);
    let within = (bucket - PER_POWER * power) as u64;
    let low = within << power;
    low + ((1u64 << power) >> 1)
}

/// Quantiles over the samples of all `recorders`.
pub(super) fn merge<'a>(recorders: impl IntoIterator<Item = &'a Recorder>) -> Latency {
    let mut latency = Latency::default();
    let Ok(mut merged) = Histogram::<u64>::new_with_bounds(1, MAX_NS + 1, 3) else { return latency };
    for recorder in recorders {
        for (index, count) in recorder.buckets.iter().enumerate() {
            let count = count.load(Relaxed);
            if count > 0 {
                merged.saturating_record_n(middle(index), count);
            }
        }
        latency.sum = latency.sum.saturating_add(recorder.sum.load(Relaxed));
        latency.max = latency.max.max(recorder.max.load(Relaxed));
    }
    latency.count = merged.len();
    let quantile = |q| merged.value_at_quantile(q).min(latency.max);
    (latency.p50, latency.p90, latency.p99, latency.p999) =
        (quantile(0.5), quantile(0.9), quantile(0.99), quantile(0.999));
    latency
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_bucket_holds_its_values_within_the_precision(ns in 0u64..=MAX_NS) {
            let middle = middle(bucket(ns));
            prop_assert!(middle.abs_diff(ns) <= ns >> PRECISION, "{ns} became {middle}");
        }

        #[test]
        fn larger_values_never_fall_into_lower_buckets(a: u64, b: u64) {
            prop_assume!(a <= b);
            prop_assert!(bucket(a) <= bucket(b));
            prop_assert!(bucket(b) < BUCKETS);
        }
    }

    #[test]
    fn quantiles_of_two_workers_are_those_of_all_samples() {
        let (one, two) = (Recorder::new(), Recorder::new());
        one.record(1_000, 90);
        two.record(50_000, 9);
        two.record(2_000_000, 1);
        let latency = merge([&one, &two]);
        assert_eq!((latency.count, latency.sum, latency.max), (100, 90_000 + 450_000 + 2_000_000, 2_000_000));
        assert!(latency.p50.abs_diff(1_000) < 40, "{latency:?}");
        assert!(latency.p99.abs_diff(50_000) < 1_600, "{latency:?}");
        assert!(latency.p999.abs_diff(2_000_000) < 64_000, "{latency:?}");
        assert_eq!(merge([]), Latency::default());
    }
}
