//! Whether a worker without anything to do looks at its rings again or sleeps.

use std::time::{Duration, Instant};

/// Packets that come closer to each other than this, on average, are worth a processor that polls.
const DENSE: Duration = Duration::from_micros(10);

/// To be woken takes tens of microseconds, on a virtual processor most of all, and what comes meanwhile waits: a worker that
/// polls on is as quick as one that never sleeps. It does so for at most `limit`, and only if its last wait was shorter
/// than that and ended with as many packets as it was long: cards hand packets over in bursts, some 100 µs apart. Not on a
/// core that others want as well.
#[derive(Debug)]
pub(super) struct Spin {
    limit: Duration,
    /// Since when there is nothing to do, and the packets received until then.
    waiting: Option<(Instant, u64)>,
    worth_it: bool,
}

impl Spin {
    /// Never polls on when `limit` is zero.
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, waiting: None, worth_it: true }
    }

    /// There is nothing to do `now`, `packets` were received so far: whether to poll on. `shared` says whether others want the
    /// core, and is asked once a wait.
    pub(super) fn polls_on(
        &mut self,
        packets: u64,
        now: impl FnOnce() -> Instant,
        shared: impl FnOnce(Instant) -> bool,
    ) -> bool {
        if self.limit.is_zero() {
            return false;
        }
        let now = now();
        let (since, _) = *self.waiting.get_or_insert_with(|| {
            self.worth_it = self.worth_it && !shared(now);
            (now, packets)
        });
        self.worth_it && now.duration_since(since) < self.limit
    }

    /// There was something to do, and `packets` were received so far. Sent frames that came back say nothing about when the
    /// next packet comes.
    pub(super) fn worked(&mut self, packets: u64, now: impl FnOnce() -> Instant) {
        let Some((since, before)) = self.waiting.filter(|(_, before)| *before != packets) else { return };
        self.waiting = None;
        let came = u32::try_from(packets.wrapping_sub(before)).unwrap_or(u32::MAX);
        self.worth_it = now().duration_since(since) < self.limit.min(DENSE.saturating_mul(came));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const LIMIT: Duration = Duration::from_micros(200);

    #[test]
    fn it_polls_while_bursts_come_densely_and_sleeps_at_once_where_they_do_not() {
        let (mut spin, mut clock, mut packets, rivals) = (Spin::new(LIMIT), Instant::now(), 0, Cell::new(false));
        // Wait so long for so many packets: how long it polled meanwhile, looking every microsecond.
        let mut wait = |micros, came| {
            let begin = clock;
            let end = begin + Duration::from_micros(micros);
            while clock < end && spin.polls_on(packets, || clock, |_| rivals.get()) {
                clock += Duration::from_micros(1);
            }
            let polled = clock.duration_since(begin).as_micros();
            (clock, packets) = (end, packets + came);
            spin.worked(packets, || clock);
            polled
        };
        assert_eq!(
            [wait(5, 1), wait(9, 1), wait(100, 11), wait(199, 20)],
            [5, 9, 100, 199],
            "they come while it polls"
        );
        assert_eq!([wait(100, 10), wait(100, 11), wait(5, 1)], [100, 0, 5], "ten in 100 µs are too few");
        assert_eq!([wait(200, 64), wait(1000, 64), wait(1000, 500)], [200, 0, 0], "bursts too far from each other");
        assert_eq!([wait(50, 6), wait(5, 1)], [0, 5], "a sleeper was woken late, and packets had come");
        rivals.set(true);
        assert_eq!([wait(5, 1), wait(5, 1)], [0, 0], "others want the core");
        rivals.set(false);
        assert_eq!(wait(5, 1), 5, "they are gone");
    }

    #[test]
    fn frames_that_come_back_are_no_packets() {
        let (mut spin, start) = (Spin::new(LIMIT), Instant::now());
        let at = |micros| move || start + Duration::from_micros(micros);
        assert!(spin.polls_on(7, at(0), |_| false));
        spin.worked(7, at(10));
        assert!(spin.polls_on(7, at(199), |_| panic!("asked again")));
        assert!(!spin.polls_on(7, at(200), |_| false), "it still waits since the beginning");
    }

    #[test]
    fn without_a_limit_it_sleeps_and_reads_no_clock() {
        let mut spin = Spin::new(Duration::ZERO);
        assert!(!spin.polls_on(0, || panic!("a look at the clock"), |_| false));
        spin.worked(1, || panic!("a look at the clock"));
    }
}
