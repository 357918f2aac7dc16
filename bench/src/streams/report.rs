//! The figures of streams as tables and JSON lines.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde::Serialize;

use super::{
    figure::{CostFigure, PathFigure},
    load::Load,
    subject::Subject,
};
use crate::{results::Results, rounds::Spread};

/// A figure of either kind.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Figure<'a> {
    Path(&'a PathFigure),
    Cost(&'a CostFigure),
}

fn spread(spread: &Spread) -> String {
    format!("{:.0} ({:.0}-{:.0})", spread.median, spread.low, spread.high)
}

/// Write `streams.md` and `streams.jsonl` into `dir`.
pub(super) fn write(results: &Results, paths: &[PathFigure], costs: &[CostFigure], dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("making the folder {}", dir.display()))?;
    let mut text = results.heading("Streams");
    text.push_str("\nMedians, and quartiles in brackets. Bytes are those of applications; 1 KB is 1,000 of them.\n");
    text.push_str(&results.bars());
    if !paths.is_empty() {
        text.push_str("\n## The path\n\n| load | chain | MB/s | × | requests/s | worker, ns per KB | worker busy |\n");
        text.push_str("|---|---|---|---|---|---|---|\n");
    }
    for figure in paths {
        let without = paths.iter().find(|other| other.load == figure.load && other.subject == Subject::Empty.name());
        let ratio = without.map_or(f64::NAN, |without| figure.megabytes.median / without.megabytes.median);
        text.push_str(&format!(
            "| {} | {} | {} | {ratio:.2} | {} | {} | {:.0} % |\n",
            figure.load.name(),
            figure.subject,
            spread(&figure.megabytes),
            figure.requests.as_ref().filter(|_| figure.load == Load::KeepAlive).map_or_else(String::new, spread),
            spread(&figure.worker_ns),
            figure.worker_busy * 100.0,
        ));
    }
    if !costs.is_empty() {
        text.push_str("\n## In a guest and natively\n\n| bytes of | module | natively, ns per KB | in the guest, ns per KB | × |\n");
        text.push_str("|---|---|---|---|---|\n");
    }
    for CostFigure { load, subject, native, guest } in costs {
        let ratio = guest.median / native.median;
        text.push_str(&format!(
            "| {} | {subject} | {} | {} | {ratio:.2} |\n",
            load.name(),
            spread(native),
            spread(guest)
        ));
    }
    let figures: Vec<Figure<'_>> = paths.iter().map(Figure::Path).chain(costs.iter().map(Figure::Cost)).collect();
    results.write_json(dir, &figures)?;
    let path = dir.join(format!("{}.md", results.name));
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
}
