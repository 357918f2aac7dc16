//! The sink: an XDP program that counts what arrives, checks its order, and measures how long it took.

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use libbpf_rs::{MapCore, MapFlags, MapHandle};
use serde::Serialize;

use super::programs::{Attached, walk};
use crate::bpf;

/// Queues that are counted, as in path.bpf.c.
const QUEUES: u32 = 16;
/// Buckets of one width each, then parts of each power of two: as in path.bpf.c.
const LINEAR_BITS: u32 = 6;
const PART_BITS: u32 = 5;
/// Longest latency that is told, ns.
const LONGEST: u64 = 60_000_000_000;

/// Latencies in nanoseconds, within 3 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
    pub(crate) most: u64,
    /// Frames that were timed.
    pub(crate) timed: u64,
}

/// What arrived of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    /// Doubled, or behind a later one of the same queue.
    pub(crate) disordered: u64,
    /// Not of this run.
    pub(crate) strange: u64,
    /// None when nothing was timed.
    pub(crate) latency: Option<Latency>,
}

/// The sink, attached.
#[derive(Debug)]
pub(crate) struct Sink {
    program: Attached,
    arrivals: MapHandle,
    latencies: MapHandle,
}

impl Sink {
    /// On the device with this index.
    pub(crate) fn load(ifindex: i32) -> Result<Self> {
        let program = Attached::sink(ifindex)?;
        Ok(Self {
            arrivals: bpf::map(&program.object, "arrivals")?,
            latencies: bpf::map(&program.object, "latencies")?,
            program,
        })
    }

    /// Forget everything, and count the frames of `run` from now on.
    pub(crate) fn arm(&self, run: u16) -> Result<()> {
        self.program
            .walk()?
            .update(&0_u32.to_ne_bytes(), &walk(0, 0, run), MapFlags::ANY)
            .context("setting the run")?;
        for map in [&self.arrivals, &self.latencies] {
            let zeros = vec![0; map.value_size() as usize];
            for queue in 0..QUEUES {
                map.update(&queue.to_ne_bytes(), &zeros, MapFlags::ANY).context("resetting the sink")?;
            }
        }
        Ok(())
    }

    /// Packets, so far.
    pub(crate) fn packets(&self) -> Result<u64> {
        (0..QUEUES).map(|queue| Ok(words(&self.arrivals, queue)?[0])).sum()
    }

    /// All that is known of the run.
    pub(crate) fn read(&self) -> Result<Arrived> {
        let mut arrived = Arrived { packets: 0, bytes: 0, disordered: 0, strange: 0, latency: None };
        let mut times = Histogram::<u64>::new_with_bounds(1, LONGEST, 3).context("a histogram")?;
        for queue in 0..QUEUES {
            let [packets, bytes, _, disordered, strange, ..] = words(&self.arrivals, queue)?[..] else {
                anyhow::bail!("a short count of arrivals");
            };
            arrived.packets += packets;
            arrived.bytes += bytes;
            arrived.disordered += disordered;
            arrived.strange += strange;
            for (bucket, count) in (0..).zip(words(&self.latencies, queue)?) {
                if count > 0 {
                    times.record_n(middle(bucket).clamp(1, LONGEST), count).context("a latency")?;
                }
            }
        }
        let at = |quantile| times.value_at_quantile(quantile);
        let told = Latency { p50: at(0.5), p99: at(0.99), p999: at(0.999), most: times.max(), timed: times.len() };
        arrived.latency = (told.timed > 0).then_some(told);
        Ok(arrived)
    }
}

fn words(map: &MapHandle, index: u32) -> Result<Vec<u64>> {
    let value = map.lookup(&index.to_ne_bytes(), MapFlags::ANY)?.with_context(|| format!("no entry {index}"))?;
    Ok(value.as_chunks().0.iter().map(|word| u64::from_ne_bytes(*word)).collect())
}

/// Middle of a bucket, ns.
fn middle(bucket: u32) -> u64 {
    let Some(above) = bucket.checked_sub(1 << LINEAR_BITS) else { return u64::from(bucket) };
    let power = LINEAR_BITS + (above >> PART_BITS);
    let part = u64::from(above & ((1 << PART_BITS) - 1));
    let width = 1_u64 << (power - PART_BITS);
    (1_u64 << power) + part * width + width / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_narrow_and_follow_one_another() {
        assert_eq!((middle(0), middle(63), middle(64), middle(65)), (0, 63, 65, 67));
        let mut last = 0;
        for bucket in 1..900 {
            let here = middle(bucket);
            assert!(here > last && (here - last) as f64 <= 1.0 + last as f64 * 0.035, "{bucket}: {last} to {here}");
            last = here;
        }
        assert!(last > 2_000_000_000, "{last} ns");
    }
}
