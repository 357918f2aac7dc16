//! Whether others want the core that a worker runs on.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    time::{Duration, Instant},
};

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// The same after others were found: what a try to poll costs them is a tenth of it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// One part in so many of the time that a thread waits for a core tells that others have work to do there. The kernel's own work
/// takes less; beside one busy thread it is half.
const SHARE: u32 = 10;

/// A worker that polls takes half of its core from a thread that has work to do, and the next packets wait for that thread's
/// slice to end; one that sleeps is woken at once. How long a thread waited for its core tells the two cases apart. A
/// hypervisor that takes the core away is not seen, and would not be helped.
#[derive(Debug)]
pub(super) struct Rivals {
    seen: Instant,
    waited: Duration,
    present: bool,
}

impl Rivals {
    /// `waited`: how long this thread has waited for a core so far.
    pub(super) fn new(now: Instant, waited: Duration) -> Self {
        Self { seen: now, waited, present: false }
    }

    /// Whether there are any. Looks only now and then.
    pub(super) fn present(&mut self, now: Instant, waited: impl FnOnce() -> Duration) -> bool {
        let elapsed = now.duration_since(self.seen);
        if elapsed >= if self.present { LOOK_AGAIN } else { LOOK } {
            let waited = waited();
            self.present = waited.saturating_sub(self.waited).saturating_mul(SHARE) >= elapsed;
            (self.seen, self.waited) = (now, waited);
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

    /// So far; nothing where the kernel does not count it.
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
        assert!(rivals.present(start + ms(1200), || ms(529)), "half of the time");
        assert!(!rivals.present(start + ms(2200), || ms(530)), "they are gone");
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
            let found = polls.join().unwrap();
            stop.store(true, Relaxed);
            assert!(found, "ten seconds beside a thread that never sleeps");
        });
    }
}
