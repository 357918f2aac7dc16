//! The figures of inspection as a table and JSON lines.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use super::Figure;
use crate::results::Results;

/// Write `inspect.md` and `inspect.jsonl` into `dir`.
pub(super) fn write(results: &Results, figures: &[Figure], dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("making the folder {}", dir.display()))?;
    let mut text = results.heading("Inspection");
    text.push_str("\nNanoseconds a packet in batches of 64: medians, and quartiles in brackets.\n");
    text.push_str(&results.bars());
    text.push_str("\n## Figures\n\n| what | bytes | who | ns |\n|---|---|---|---|\n");
    for Figure { task, size, subject, ns } in figures {
        text.push_str(&format!("| {task} | {size} | {subject} | {:.1} ({:.1}-{:.1}) |\n", ns.median, ns.low, ns.high));
    }
    results.write_json(dir, figures)?;
    let path = dir.join(format!("{}.md", results.name));
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
}
