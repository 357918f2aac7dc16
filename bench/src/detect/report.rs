//! Rates per class, what was missed and what was wrongly flagged.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use super::{Case, Expected, Outcome};

/// Least share of the attacks of a class that must be flagged.
pub const LEAST_FLAGGED: f64 = 0.90;
/// Share of ordinary requests that must not be reached by those flagged.
pub const MOST_WRONG: f64 = 0.005;

/// Counts of one class.
#[derive(Debug, Default)]
pub struct Class {
    attacks: Counts,
    ordinary: Counts,
    missed: Vec<String>,
    wrong: Vec<String>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    flagged: usize,
    blocked: usize,
}

impl Counts {
    fn share(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "counts of cases are small")]
        (self.all > 0).then(|| self.flagged as f64 / self.all as f64)
    }
}

/// All classes.
#[derive(Debug, Default)]
pub struct Report {
    classes: BTreeMap<String, Class>,
}

impl Report {
    /// Count a case.
    pub fn add(&mut self, case: &Case, outcome: &Outcome) {
        let class = self.classes.entry(case.class.clone()).or_default();
        let flagged = !outcome.checks.is_empty();
        let counts = match case.expected {
            Expected::Flagged => &mut class.attacks,
            Expected::Passed => &mut class.ordinary,
        };
        counts.all += 1;
        counts.flagged += usize::from(flagged);
        counts.blocked += usize::from(outcome.blocked);
        match (case.expected, flagged) {
            (Expected::Flagged, false) => class.missed.push(case.name.clone()),
            (Expected::Passed, true) => class.wrong.push(format!("{} by {:?}", case.name, outcome.checks)),
            _ => {}
        }
    }

    /// Classes that do not reach the aims: their names and what they reach.
    #[must_use]
    pub fn below_aims(&self) -> Vec<String> {
        let mut below = Vec::new();
        for (name, class) in &self.classes {
            if let Some(share) = class.attacks.share().filter(|share| *share < LEAST_FLAGGED) {
                below.push(format!("{name}: {:.1} % of the attacks flagged", share * 100.0));
            }
            // The core rules' requests that must pass are attacks in all but one respect, each: no ordinary ones.
            let ordinary = class.ordinary.share().filter(|_| !name.starts_with("crs"));
            if let Some(share) = ordinary.filter(|share| *share >= MOST_WRONG) {
                below.push(format!("{name}: {:.1} % of what is ordinary flagged", share * 100.0));
            }
        }
        below
    }

    /// The table, and with `details` what was missed and what was wrong.
    ///
    /// # Errors
    /// Writing fails.
    pub fn write(&self, out: &mut impl Write, details: bool) -> io::Result<()> {
        writeln!(
            out,
            "{:<28} {:>7} {:>8} {:>8}   {:>8} {:>8} {:>8}",
            "class", "attacks", "flagged", "blocked", "ordinary", "flagged", "blocked"
        )?;
        for (name, class) in &self.classes {
            let percent = |counts: &Counts, of: usize| match counts.all {
                0 => "-".to_owned(),
                #[expect(clippy::cast_precision_loss, reason = "counts of cases are small")]
                all => format!("{:.1} %", 100.0 * of as f64 / all as f64),
            };
            let (attacks, ordinary) = (&class.attacks, &class.ordinary);
            writeln!(
                out,
                "{name:<28} {:>7} {:>8} {:>8}   {:>8} {:>8} {:>8}",
                attacks.all,
                percent(attacks, attacks.flagged),
                percent(attacks, attacks.blocked),
                ordinary.all,
                percent(ordinary, ordinary.flagged),
                percent(ordinary, ordinary.blocked)
            )?;
        }
        if details {
            for (name, class) in &self.classes {
                for missed in &class.missed {
                    writeln!(out, "missed  {name}: {missed}")?;
                }
                for wrong in &class.wrong {
                    writeln!(out, "wrong   {name}: {wrong}")?;
                }
            }
        }
        Ok(())
    }
}
