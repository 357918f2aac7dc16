//! Counts of `threshold` and `detection_filter`.

use core::net::IpAddr;

use super::lru::Lru;
use crate::rule::options::threshold::{By, Mode, Threshold};

/// What is counted over: the rule, and addresses or a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    rule: u32,
    first: Option<IpAddr>,
    second: Option<IpAddr>,
    flow: u64,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    since: u64,
    count: u32,
}

/// What becomes of a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Alert and act.
    Alert,
    /// Act without an alert.
    Silent,
    /// As if it had not matched.
    Nothing,
}

/// The counts.
#[derive(Debug)]
pub struct Thresholds(Lru<Key, Count>);

impl Thresholds {
    /// At most `most` counts; beyond that the one used longest ago begins anew.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self(Lru::new(most))
    }

    /// Count a match of rule number `rule` at `now` (nanoseconds).
    pub fn count(
        &mut self,
        rule: u32,
        threshold: &Threshold,
        src: IpAddr,
        dst: IpAddr,
        flow: u64,
        now: u64,
    ) -> Outcome {
        let (first, second, flow) = match threshold.by {
            By::Source => (Some(src), None, 0),
            By::Destination => (None, Some(dst), 0),
            // In either direction.
            By::Both => (Some(src.min(dst)), Some(src.max(dst)), 0),
            By::Rule => (None, None, 0),
            By::Flow => (None, None, flow),
        };
        let (count, _) = self.0.get_or(Key { rule, first, second, flow }, || Count { since: now, count: 0 });
        let window = u64::from(threshold.seconds) * 1_000_000_000;
        if now.saturating_sub(count.since) >= window {
            *count = Count { since: now, count: 0 };
        }
        count.count = count.count.saturating_add(1);
        match threshold.mode {
            Mode::Limit if count.count <= threshold.count => Outcome::Alert,
            Mode::Threshold if count.count >= threshold.count => {
                count.count = 0;
                Outcome::Alert
            }
            Mode::Both if count.count == threshold.count => Outcome::Alert,
            Mode::Both if count.count > threshold.count => Outcome::Silent,
            Mode::Limit => Outcome::Silent,
            Mode::DetectionFilter if count.count > threshold.count => Outcome::Alert,
            Mode::Threshold | Mode::Both | Mode::DetectionFilter => Outcome::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    fn alerts(mode: Mode, count: u32, times: &[u64]) -> Vec<u64> {
        let mut thresholds = Thresholds::new(8);
        let threshold = Threshold { mode, by: By::Source, count, seconds: 10 };
        let (a, b) = (IpAddr::V4(Ipv4Addr::new(1, 1, 1, 1)), IpAddr::V4(Ipv4Addr::new(2, 2, 2, 2)));
        times
            .iter()
            .copied()
            .filter(|time| {
                // Another source does not count.
                thresholds.count(1, &threshold, b, a, 0, time * 1_000_000_000);
                thresholds.count(1, &threshold, a, b, 0, time * 1_000_000_000) == Outcome::Alert
            })
            .collect()
    }

    #[test]
    fn modes() {
        let times = [1, 2, 3, 4, 5, 6, 11, 12, 13];
        assert_eq!(alerts(Mode::Limit, 2, &times), [1, 2, 11, 12]);
        assert_eq!(alerts(Mode::Threshold, 3, &times), [3, 6, 13]);
        assert_eq!(alerts(Mode::Both, 3, &times), [3, 13]);
        assert_eq!(alerts(Mode::DetectionFilter, 4, &times), [5, 6]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut thresholds = Thresholds::new(4);
        let threshold = Threshold { mode: Mode::Limit, by: By::Source, count: 1, seconds: 10 };
        for host in 0..1000 {
            let host = IpAddr::V4(Ipv4Addr::from_bits(host));
            assert_eq!(thresholds.count(1, &threshold, host, host, 0, 0), Outcome::Alert);
        }
        assert_eq!(thresholds.0.len(), 4);
    }
}
