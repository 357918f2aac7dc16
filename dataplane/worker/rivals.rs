//! Whether others want the core that a worker runs on.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    time::{Duration, Instant},
};

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// The same after others were found, doubled each time that they are found again: while a worker tries whether they are gone,
/// packets wait for their slices.
const LOOK_AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(32)];
/// One part in so many of the time that a thread waits for a core tells that others have work to do there. The kernel's
/// housekeeping takes less; beside one busy thread it is half.
const SHARE: u32 = 10;

/// A worker that polls takes half of its core from a thread that has work to do, and the next packets wait for that thread's
/// slice to end; one that sleeps is woken at once. How long a thread waited for its core tells the two cases apart. Not
/// seen are threads that want a tenth of the core and less, those on the other half of a core with two, and a
/// hypervisor that has others run.
#[derive(Debug)]
pub(super) struct Rivals {
    seen: Instant,
    waited: Duration,
    present: bool,
    /// How long they are believed in, once found.
    again: Duration,
    /// They were found when it was last tried.
    tried: bool,
}

impl Rivals {
    /// `waited`: how long this thread has waited for a core so far.
    pub(super) fn new(now: Instant, waited: Duration) -> Self {
        Self { seen: now, waited, present: false, again: LOOK_AGAIN[0], tried: false }
    }

    /// Whether there are any. Looks only now and then.
    pub(super) fn present(&mut self, now: Instant, waited: impl FnOnce() -> Duration) -> bool {
        let elapsed = now.duration_since(self.seen);
        if self.present && elapsed >= self.again {
            // A worker that sleeps hardly waits, so only a try tells.
            (self.present, self.seen, self.waited) = (false, now, waited());
        } else if !self.present && elapsed >= LOOK {
            let waited = waited();
            let found = waited.saturating_sub(self.waited).saturating_mul(SHARE) >= elapsed;
            if found {
                // Found in the first look after a try: they have been there all the time.
                self.again = if self.tried { (2 * self.again).min(LOOK_AGAIN[1]) } else { LOOK_AGAIN[0] };
            }
            (self.present, self.tried, self.seen, self.waited) = (found, found, now, waited);
        }
        self.present
    }
}

/// How long the thread that made this has waited for a core although it could have run: `/proc/thread-self/schedstat`
/// (`Documentation/scheduler/sched-stats.rst`).
#[derive(Debug)]
pub(super) struct Waited(Option<File>);

impl Waited {
    /// Of the calling thread.
    pub(super) fn here() -> Self {
        Self(File::open("/proc/thread-self/schedstat").ok())
    }

    /// So far; zero where the kernel does not count it (`CONFIG_SCHED_INFO`), so that nobody is found.
    pub(super) fn time(&self) -> Duration {
        let mut text = [0; 64];
        let read = self.0.as_ref().and_then(|file| file.read_at(&mut text, 0).ok());
        let text = read.and_then(|len| std::str::from_utf8(&text[..len]).ok()).unwrap_or_default();
        // Nanoseconds on a core, nanoseconds waiting for one, times.
        let waited = text.split_ascii_whitespace().nth(1).and_then(|word| word.parse().ok());
        Duration::from_nanos(waited.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering::Relaxed},
        thread,
    };

    use super::*;

    #[test]
    fn a_thread_that_waits_for_its_core_has_rivals() {
        let ms = Duration::from_millis;
        let start = Instant::now();
        let mut rivals = Rivals::new(start, ms(10));
        assert!(!rivals.present(start + ms(99), || panic!("too early for a look")));
        assert!(!rivals.present(start + ms(100), || ms(19)), "9 of 100 ms");
        assert!(rivals.present(start + ms(200), || ms(29)), "10 of 100 ms");
        assert!(rivals.present(start + ms(1199), || panic!("too early for a look")));
        assert!(!rivals.present(start + ms(1200), || ms(30)), "a try");
        assert!(rivals.present(start + ms(1300), || ms(80)), "they are there still");
        assert!(rivals.present(start + ms(3299), || panic!("tried in vain, so later this time")));
        assert!(!rivals.present(start + ms(3300), || ms(81)), "a try");
        assert!(!rivals.present(start + ms(3400), || ms(82)), "they are gone");
        assert!(rivals.present(start + ms(3500), || ms(132)), "and here again");
        assert!(!rivals.present(start + ms(4500), || ms(132)), "a try after the shortest time");
    }

    #[test]
    fn the_kernel_counts_how_long_a_thread_waits_beside_another() {
        let core = core_affinity::get_core_ids().unwrap()[0];
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                assert!(core_affinity::set_for_current(core));
                while !stop.load(Relaxed) {
                    std::hint::spin_loop();
                }
            });
            let polls = scope.spawn(|| {
                assert!(core_affinity::set_for_current(core));
                let (begin, waited) = (Instant::now(), Waited::here());
                let mut rivals = Rivals::new(begin, waited.time());
                while begin.elapsed() < Duration::from_secs(10) && !rivals.present(Instant::now(), || waited.time()) {}
                rivals.present
            });
            let found = polls.join();
            stop.store(true, Relaxed);
            assert!(found.unwrap(), "ten seconds beside a thread that never sleeps");
        });
    }
}
