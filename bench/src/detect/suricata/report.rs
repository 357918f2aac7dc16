//! What the directories came to.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use serde_json::{Value, json};

use super::Outcome;
use crate::bars::Bar;

/// Least share of the claimed directories that must be exact.
const LEAST_EXACT: f64 = 0.90;

/// Most events that are told of a directory.
const MOST_TOLD: usize = 40;

/// All directories, by name.
#[derive(Debug, Default)]
pub(crate) struct Report {
    directories: BTreeMap<String, Outcome>,
}

impl Report {
    /// Note a directory.
    pub(super) fn add(&mut self, name: String, outcome: Outcome) {
        self.directories.insert(name, outcome);
    }

    /// How many directories there are.
    pub(super) fn len(&self) -> usize {
        self.directories.len()
    }

    /// All in one line.
    pub(super) fn line(&self) -> String {
        let (claimed, exact) = self.counts();
        let share = self.share().map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", share * 100.0));
        format!("suricata-verify: {claimed} of {} directories claimed, {exact} exact, {share}", self.len())
    }

    /// Directories that count, and those of them that are exact.
    fn counts(&self) -> (usize, usize) {
        let of = |wanted: fn(&Outcome) -> bool| self.directories.values().filter(|outcome| wanted(outcome)).count();
        let exact = of(|outcome| *outcome == Outcome::Exact);
        (exact + of(|outcome| matches!(outcome, Outcome::Wrong(..))), exact)
    }

    /// Share of the claimed directories that are exact; none where no directory counts.
    pub(crate) fn share(&self) -> Option<f64> {
        let (claimed, exact) = self.counts();
        #[expect(clippy::cast_precision_loss, reason = "counts of directories are small")]
        (claimed > 0).then(|| exact as f64 / claimed as f64)
    }

    /// How they stand to the aim.
    pub(crate) fn bar(&self) -> Option<Bar> {
        let percent = self.share()? * 100.0;
        Some(Bar::least("suricata-verify, exact of claimed", percent, LEAST_EXACT * 100.0, "%"))
    }

    /// How many were not counted, by reason.
    fn skipped(&self) -> BTreeMap<&str, usize> {
        let mut skipped = BTreeMap::new();
        for outcome in self.directories.values() {
            if let Outcome::Skipped(reason, _) = outcome {
                *skipped.entry(reason.as_str()).or_default() += 1;
            }
        }
        skipped
    }

    /// For people; with `details`, what was expected of each directory that is not exact and what came, and why others do not
    /// count.
    ///
    /// # Errors
    /// Writing fails.
    pub(crate) fn write(&self, out: &mut impl Write, details: bool) -> io::Result<()> {
        writeln!(out, "{}", self.line())?;
        for (reason, count) in self.skipped() {
            writeln!(out, "  not counted {count:>5}: {reason}")?;
        }
        if !details {
            return Ok(());
        }
        for (name, outcome) in &self.directories {
            match outcome {
                Outcome::Exact => {}
                Outcome::Wrong(wrong, came) => {
                    for what in wrong {
                        writeln!(out, "wrong   {name}: {what}")?;
                    }
                    for what in came.iter().take(MOST_TOLD) {
                        writeln!(out, "came    {name}: {what}")?;
                    }
                }
                Outcome::Skipped(reason, detail) => writeln!(out, "skipped {name}: {reason}: {detail}")?,
            }
        }
        Ok(())
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let (claimed, exact) = self.counts();
        let wrong = self.directories.iter().filter_map(|(name, outcome)| match outcome {
            Outcome::Wrong(wrong, _) => Some((name.clone(), json!(wrong))),
            _ => None,
        });
        json!({
            "directories": self.directories.len(), "claimed": claimed, "exact": exact, "share": self.share(),
            "skipped": self.skipped(), "wrong": wrong.collect::<serde_json::Map<_, _>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_claimed_directories_count() {
        let mut report = Report::default();
        assert_eq!(report.share(), None);
        report.add("a".into(), Outcome::Exact);
        report.add("b".into(), Outcome::Wrong(vec!["sid 1: expected 1, got 0".into()], vec!["{}".into()]));
        report.add("c".into(), Outcome::Exact);
        report.add("d".into(), Outcome::Skipped("a keyword is not claimed".into(), "lua".into()));
        let mut text = Vec::new();
        report.write(&mut text, true).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("suricata-verify: 3 of 4 directories claimed, 2 exact, 66.7 %\n"), "{text}");
        assert!(text.contains("not counted     1: a keyword is not claimed"), "{text}");
        assert!(text.contains("wrong   b: sid 1: expected 1, got 0") && text.contains("skipped d: "), "{text}");
        assert!(text.contains("came    b: {}"), "{text}");
        assert_eq!(report.json()["exact"], 2);
        assert_eq!(report.json()["wrong"]["b"][0], "sid 1: expected 1, got 0");
    }
}
