//! The deadline of a call, in processor time of the thread that makes it.
//!
//! The engine's epoch is a clock on the wall, and a worker whose core is taken away does not get on by it: a deadline that
//! went by epochs alone would stop guests that had done nothing wrong. So the epoch only says when to look. A call is looked at
//! once the next tick is over, by the thread itself, and from there on what the thread's processor clock says counts; calls
//! that end before, as nearly all do, ask no clock. A guest gets its deadline at least, and two ticks more at most.

use std::time::Duration;

use wasmtime::UpdateDeadline;

use super::engine::TICK;

/// Most ticks to the next look.
const MOST: u128 = 1 << 32;

/// Ticks of the epoch after which a call is looked at first.
pub(super) const FIRST_LOOK: u64 = 1;

/// What a call may still take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    deadline: Duration,
    /// The thread's processor clock at the first look.
    since: Option<Duration>,
}

impl Budget {
    /// A call that may take `deadline`.
    pub(super) fn new(deadline: Duration) -> Self {
        Self { deadline, since: None }
    }

    /// A look at the call when its thread's processor clock says `now`: whether it ends, or when to look again.
    pub(super) fn look(&mut self, now: Duration) -> UpdateDeadline {
        let used = now.saturating_sub(*self.since.get_or_insert(now));
        match self.deadline.checked_sub(used) {
            Some(left) if !left.is_zero() => {
                let ticks = left.as_nanos().div_ceil(TICK.as_nanos()).min(MOST);
                UpdateDeadline::Continue(u64::try_from(ticks).unwrap_or(1))
            }
            _ => UpdateDeadline::Interrupt,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Ticks until the next look; none for the end.
    fn ticks(update: &UpdateDeadline) -> Option<u64> {
        match update {
            UpdateDeadline::Continue(ticks) => Some(*ticks),
            _ => None,
        }
    }

    #[test]
    fn what_the_processor_did_for_the_call_counts_and_nothing_else() {
        let mut budget = Budget::new(12 * MS);
        assert_eq!(ticks(&budget.look(1000 * MS)), Some(3), "12 ms are left, however late the first look comes");
        assert_eq!(ticks(&budget.look(1000 * MS)), Some(3), "the thread did not run");
        assert_eq!(ticks(&budget.look(1007 * MS)), Some(1));
        assert_eq!(ticks(&budget.look(1011 * MS)), Some(1));
        assert_eq!(ticks(&budget.look(1012 * MS)), None);
        assert_eq!(ticks(&Budget::new(MS / 1000).look(MS)), Some(1));
        assert_eq!(ticks(&Budget::new(Duration::MAX).look(MS)), Some(1 << 32));
    }
}
