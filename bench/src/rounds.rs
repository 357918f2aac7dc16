//! Rounds of all subjects in turn, so that what slows the machine for a while slows them all.

use std::os::fd::BorrowedFd;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::generator::{Generator, Walk};

/// A program and the packets that it gets.
#[derive(Debug, Clone)]
pub(crate) struct Subject<'a> {
    pub(crate) name: &'static str,
    pub(crate) program: BorrowedFd<'a>,
    pub(crate) walk: Walk,
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// Rounds.
    pub(crate) rounds: u32,
    /// How often each packet of a walk comes in a round.
    pub(crate) turns: u32,
}

/// The rounds of one subject, in nanoseconds a packet.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// Median.
    pub(crate) median: f64,
    /// First quartile.
    pub(crate) low: f64,
    /// Third quartile.
    pub(crate) high: f64,
}

impl Spread {
    /// Of `values`, of which there is one at least.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self { median: quartile(&values, 2), low: quartile(&values, 1), high: quartile(&values, 3) }
    }
}

/// Of sorted values, between the nearest two.
fn quartile(sorted: &[f64], number: usize) -> f64 {
    let quarters = number * sorted.len().saturating_sub(1);
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    let (below, above) = (at(quarters / 4), at(quarters.div_ceil(4)));
    below + (above - below) * (quarters % 4) as f64 / 4.0
}

/// Run all subjects in turn, once unmeasured and then `effort.rounds` times. The answer is, for each subject, its rounds.
pub(crate) fn run(generator: &Generator, subjects: &[Subject<'_>], effort: Effort) -> Result<Vec<Vec<f64>>> {
    let mut rounds = vec![Vec::with_capacity(effort.rounds as usize); subjects.len()];
    for round in 0..=effort.rounds {
        for (subject, rounds) in subjects.iter().zip(&mut rounds) {
            let repeat = subject.walk.count() * if round == 0 { 1 } else { effort.turns };
            let ns = generator.run(subject.program, subject.walk, repeat).with_context(|| subject.name)?;
            if round > 0 {
                rounds.push(f64::from(ns));
            }
        }
    }
    Ok(rounds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_of_quartiles_and_one_slow_round_does_not_move_it() {
        let spread = Spread::of([5.0, 1.0, 3.0, 2.0, 1000.0]);
        assert_eq!(spread, Spread { median: 3.0, low: 2.0, high: 5.0 });
        assert_eq!(Spread::of([2.0, 1.0]), Spread { median: 1.5, low: 1.25, high: 1.75 });
    }
}
