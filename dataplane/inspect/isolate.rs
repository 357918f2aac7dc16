//! A batch that a module failed on, taken apart: only the packets that it fails on follow its fail policy.
//!
//! Otherwise whoever finds one packet that a module trips over has, with `on_failure = "open"`, all that arrives beside it
//! pass uninspected.

use std::ops::Range;

use arrayvec::ArrayVec;
use secuxflow_abi::Packet;

use super::{
    engine::TICK,
    instance::{Failure, FailureKind},
    runner::Runner,
};

/// Most failing calls for one batch, each of which costs a new instance, some tens of microseconds.
const MAX_ATTEMPTS: u32 = 32;
/// Halves that wait, of a batch of 512: one for each time it was cut, and the one that is cut next.
const MAX_WAITING: usize = 16;

/// What is left of a failed batch.
pub(super) struct Left {
    /// Packets that followed the fail policy.
    pub(super) packets: usize,
    /// Whether the module could inspect any of the others.
    pub(super) works: bool,
}

impl Runner {
    /// Cut the live packets, which `module` failed on together, into halves until it fails on single ones, and give
    /// those its fail policy; all that is left gets it after [`MAX_ATTEMPTS`] failing calls, or when as much time has
    /// gone by as one call may take. After a timeout nothing is tried: it has cost the worker a deadline already.
    pub(super) fn isolate(&mut self, module: u16, packets: &mut [Packet], failure: &Failure, now_ns: &mut u64) -> Left {
        let all = 0..self.live.len();
        let mut left = Left { packets: 0, works: false };
        if failure.kind == FailureKind::Timeout || all.len() == 1 {
            self.apply_policy(packets, all.clone());
            return Left { packets: all.len(), ..left };
        }
        let tick_ns = u64::from(TICK.subsec_nanos());
        let until = now_ns.saturating_add(self.step.ticks.saturating_mul(tick_ns));
        let mut attempts = 0;
        let mut waiting = ArrayVec::<Range<usize>, MAX_WAITING>::new();
        cut(all, &mut waiting);
        while let Some(range) = waiting.pop() {
            if attempts >= MAX_ATTEMPTS || *now_ns >= until {
                self.apply_policy(packets, range.clone());
                left.packets += range.len();
                continue;
            }
            match self.attempt(module, packets, range.clone(), now_ns) {
                Ok(()) => left.works = true,
                Err(failure) if range.len() == 1 || failure.kind == FailureKind::Timeout => {
                    attempts += 1;
                    self.apply_policy(packets, range.clone());
                    left.packets += range.len();
                }
                Err(_) => {
                    attempts += 1;
                    cut(range, &mut waiting);
                }
            }
        }
        left
    }
}

/// The first half of `range`, which has two packets at least, is taken next.
fn cut(range: Range<usize>, waiting: &mut ArrayVec<Range<usize>, MAX_WAITING>) {
    let middle = range.start + range.len() / 2;
    waiting.push(middle..range.end);
    waiting.push(range.start..middle);
}
