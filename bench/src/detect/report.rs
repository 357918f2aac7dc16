//! Rates per class, what was missed and what was wrongly flagged.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use serde_json::{Value, json};

use super::{Case, Expected, Outcome};
use crate::bars::Bar;

/// Least share of the attacks of a class that must be flagged.
pub(crate) const LEAST_FLAGGED: f64 = 0.90;
/// Share of ordinary requests that must not be reached by those flagged.
pub(crate) const MOST_WRONG: f64 = 0.005;

/// Counts of one class.
#[derive(Debug, Default)]
pub(crate) struct Class {
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
pub(crate) struct Report {
    classes: BTreeMap<String, Class>,
}

impl Report {
    /// Count a case.
    pub(crate) fn add(&mut self, case: &Case, outcome: &Outcome) {
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

    /// How each class stands to its aims.
    pub(crate) fn bars(&self) -> Vec<Bar> {
        let mut bars = Vec::new();
        for (name, class) in &self.classes {
            if let Some(share) = class.attacks.share() {
                bars.push(Bar::least(format!("{name}, attacks flagged"), share * 100.0, LEAST_FLAGGED * 100.0, "%"));
            }
            // The core rules' requests that must pass are attacks in all but one respect, each: no ordinary ones.
            if let Some(share) = class.ordinary.share().filter(|_| !name.starts_with(super::requests::CLASSES)) {
                bars.push(Bar::most(format!("{name}, ordinary flagged"), share * 100.0, MOST_WRONG * 100.0, "%"));
            }
        }
        bars
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let counts = |counts: &Counts| json!({"all": counts.all, "flagged": counts.flagged, "blocked": counts.blocked});
        let class = |(name, class): (&String, &Class)| {
            let Class { attacks, ordinary, missed, wrong } = class;
            let told =
                json!({"attacks": counts(attacks), "ordinary": counts(ordinary), "missed": missed, "wrong": wrong});
            (name.clone(), told)
        };
        self.classes.iter().map(class).collect::<serde_json::Map<_, _>>().into()
    }

    /// The table, and with `details` what was missed and what was wrong.
    ///
    /// # Errors
    /// Writing fails.
    pub(crate) fn write(&self, out: &mut impl Write, details: bool) -> io::Result<()> {
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
