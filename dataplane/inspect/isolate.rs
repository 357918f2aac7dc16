//! A batch that a module failed on, taken apart: only the packets that it fails on follow its fail policy.
//!
//! Otherwise whoever finds one packet that a module trips over has, with `on_failure = "open"`, all that arrives beside it
//! pass uninspected.

use arrayvec::ArrayVec;

use super::{
    batch::{Batch, Part},
    instance::{Failure, FailureKind},
    runner::Runner,
};
use crate::clock;

/// Most failing calls for one batch, each of which costs a new instance, some tens of microseconds.
const MAX_ATTEMPTS: u32 = 32;
/// Parts that wait, of a call of 512 packets or 1024 chunks: one for each time it was cut, and the one that is cut next.
const MAX_WAITING: usize = 16;

/// What is left of a failed batch.
pub(super) struct Left {
    /// Packets that followed the fail policy.
    pub(super) packets: usize,
    /// Whether the module could inspect any of the others.
    pub(super) works: bool,
}

impl Runner {
    /// Cut `part`, which `module` failed on as a whole, into halves until it fails on single packets or chunks, and give
    /// those its fail policy; all that is left gets it after [`MAX_ATTEMPTS`] failing calls, or when as much processor time
    /// has gone by as one call may take. After a timeout nothing is tried: it has cost the worker a deadline already.
    pub(super) fn isolate(&mut self, module: u16, batch: &mut Batch<'_>, part: Part, failure: &Failure) -> Left {
        let mut left = Left { packets: 0, works: false };
        let mut waiting = ArrayVec::<Part, MAX_WAITING>::new();
        if failure.kind == FailureKind::Timeout || !cut(part.clone(), &mut waiting) {
            left.packets = self.apply_policy(batch, part);
            return left;
        }
        let until = clock::thread().saturating_add(self.step.deadline);
        let mut attempts = 0;
        while let Some(part) = waiting.pop() {
            if attempts >= MAX_ATTEMPTS || clock::thread() >= until {
                left.packets += self.apply_policy(batch, part);
                continue;
            }
            let Err(failure) = self.attempt(module, batch, part.clone()) else {
                left.works = true;
                continue;
            };
            attempts += 1;
            if failure.kind == FailureKind::Timeout || !cut(part.clone(), &mut waiting) {
                left.packets += self.apply_policy(batch, part);
            }
        }
        left
    }
}

/// Let the halves of `part` wait, the first to be taken next; false when it has none.
fn cut(part: Part, waiting: &mut ArrayVec<Part, MAX_WAITING>) -> bool {
    let Some((first, second)) = part.halves() else { return false };
    waiting.push(second);
    waiting.push(first);
    true
}
