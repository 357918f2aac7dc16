//! Whether a worker without anything to do looks at its rings again or sleeps.

use std::time::{Duration, Instant};

/// Packets that come closer to each other than this, on average, are worth a processor that polls.
const DENSE: Duration = Duration::from_micros(10);

/// To be woken takes tens of microseconds, on a virtual processor most of all, and what comes meanwhile waits: a worker that
/// polls on is as quick as one that never sleeps. It does so for at most `limit`, and only if its last wait was shorter
/// than that and as many packets came from one wait to the next as the time was long: cards hand packets over in bursts,
/// some 100 µs apart. Not on a core that others want as well.
#[derive(Debug)]
pub(super) struct Spin {
    limit: Duration,
    /// When the present wait or the last one began, and the packets received until then.
    began: Option<(Instant, u64)>,
    /// When it was last seen to go on: in the end, when it was over.
    until: Instant,
    waiting: bool,
    worth_it: bool,
}

impl Spin {
    /// Never polls on when `limit` is zero.
    pub(super) fn new(limit: Duration, now: Instant) -> Self {
        Self { limit, began: None, until: now, waiting: false, worth_it: false }
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
        if !self.waiting {
            self.waiting = true;
            self.begin(packets, now, shared);
        }
        self.until = now;
        self.worth_it && self.began.is_some_and(|(began, _)| now.duration_since(began) < self.limit)
    }

    /// A wait begins, and the time since the last one began is judged.
    fn begin(&mut self, packets: u64, now: Instant, shared: impl FnOnce(Instant) -> bool) {
        self.worth_it = match self.began {
            // Sent frames came back: they say nothing about when the next packet comes, and the wait goes on.
            Some((_, before)) if before == packets => return,
            Some((began, before)) => {
                let came = u32::try_from(packets.wrapping_sub(before)).unwrap_or(u32::MAX);
                let dense = now.duration_since(began) < DENSE.saturating_mul(came);
                dense && self.until.duration_since(began) < self.limit && !shared(now)
            }
            None => !shared(now),
        };
        self.began = Some((now, packets));
    }

    /// It slept, and is awake again.
    pub(super) fn woke(&mut self, now: impl FnOnce() -> Instant) {
        if !self.limit.is_zero() {
            self.until = now();
        }
    }

    /// There was something to do.
    pub(super) fn worked(&mut self) {
        self.waiting = false;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const LIMIT: Duration = Duration::from_micros(200);

    fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    /// A worker with a clock of its own that moves while it polls, sleeps and works.
    struct Worker {
        spin: Spin,
        clock: Instant,
        packets: u64,
        rivals: Cell<bool>,
    }

    impl Worker {
        fn new() -> Self {
            let clock = Instant::now();
            Self { spin: Spin::new(LIMIT, clock), clock, packets: 0, rivals: Cell::new(false) }
        }

        /// Waits `idle` microseconds for packets, looking each microsecond while it polls; they come in as many turns as `came`
        /// says, and take `work` microseconds altogether. How long it polled.
        fn wait(&mut self, idle: u64, came: &[u64], work: u64) -> u64 {
            let (begin, rivals) = (self.clock, &self.rivals);
            let end = begin + micros(idle);
            while self.clock < end && self.spin.polls_on(self.packets, || self.clock, |_| rivals.get()) {
                self.clock += micros(1);
            }
            let polled = self.clock.duration_since(begin).as_micros();
            if self.clock < end {
                self.clock = end;
                self.spin.woke(|| end);
            }
            for packets in came {
                self.spin.worked();
                self.packets += packets;
            }
            self.clock += micros(work);
            u64::try_from(polled).unwrap()
        }
    }

    #[test]
    fn it_polls_while_bursts_come_densely_and_sleeps_at_once_where_they_do_not() {
        let mut worker = Worker::new();
        let mut wait = |idle, came| worker.wait(idle, &[came], 1);
        assert_eq!(
            [wait(5, 1), wait(8, 1), wait(100, 11), wait(199, 21)],
            [5, 8, 100, 199],
            "they come while it polls"
        );
        assert_eq!([wait(100, 10), wait(100, 11), wait(5, 1)], [100, 0, 5], "ten in 101 µs are too few");
        assert_eq!([wait(201, 64), wait(1000, 640), wait(1000, 640)], [200, 0, 0], "bursts too far from each other");
        assert_eq!([wait(50, 6), wait(5, 1)], [0, 5], "a sleeper was woken late, and packets had come");
    }

    #[test]
    fn what_packets_cost_and_the_turns_they_come_in_do_not_change_how_dense_they_are() {
        let mut worker = Worker::new();
        assert_eq!([worker.wait(100, &[50], 300), worker.wait(100, &[50], 300)], [100, 100], "8 µs from each other");
        assert_eq!([worker.wait(100, &[30], 300), worker.wait(100, &[50], 300)], [100, 0], "13 µs");
        assert_eq!(worker.wait(80, &[1, 19], 20), 80, "the head of a burst, then the rest of it");
        assert_eq!(worker.wait(80, &[1, 19], 20), 80);
    }

    #[test]
    fn it_sleeps_on_a_core_that_others_want() {
        let mut worker = Worker::new();
        worker.rivals.set(true);
        assert_eq!([worker.wait(5, &[1], 1), worker.wait(5, &[1], 1)], [0, 0]);
        worker.rivals.set(false);
        assert_eq!(worker.wait(5, &[1], 1), 5, "they are gone");
    }

    #[test]
    fn frames_that_come_back_are_no_packets() {
        let start = Instant::now();
        let (mut spin, at) = (Spin::new(LIMIT, start), |time| move || start + micros(time));
        assert!(spin.polls_on(7, at(0), |_| false));
        spin.worked();
        assert!(spin.polls_on(7, at(199), |_| panic!("asked again")));
        assert!(!spin.polls_on(7, at(200), |_| false), "it still waits since the beginning");
    }

    #[test]
    fn without_a_limit_it_sleeps_and_reads_no_clock() {
        let mut spin = Spin::new(Duration::ZERO, Instant::now());
        assert!(!spin.polls_on(0, || panic!("a look at the clock"), |_| false));
        spin.woke(|| panic!("a look at the clock"));
    }
}
