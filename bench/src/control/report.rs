//! The control's figures as a table and JSON lines.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use super::Measure;
use crate::results::Results;

/// Write `control.md` and `control.jsonl` into `dir`.
pub(super) fn write(results: &Results, measures: &[Measure], dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("making the folder {}", dir.display()))?;
    let mut text = results.heading("Control");
    text.push_str("\nA command's time is from its start to its end, when what it did is live.\n");
    text.push_str(&results.bars());
    text.push_str("\n## Figures\n\n| what | median | quartiles | runs |\n|---|---|---|---|\n");
    for Measure { what, unit, spread, runs } in measures {
        let quartiles = if *runs > 1 { format!("{:.0}-{:.0}", spread.low, spread.high) } else { String::new() };
        text.push_str(&format!("| {what} | {:.0} {unit} | {quartiles} | {runs} |\n", spread.median));
    }
    results.write_json(dir, measures)?;
    let path = dir.join(format!("{}.md", results.name));
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{bars::Bar, machine::Machine, rounds::Spread};

    #[test]
    fn results_are_written_as_a_table_and_json_lines() {
        let bars = vec![Bar::most("rule add", 250.0, 300.0, "ms")];
        let results = Results { name: "control", machine: Machine::here(), bars, notes: Vec::new() };
        let measure = |what: &str, unit, values: &[f64]| Measure {
            what: what.to_owned(),
            unit,
            spread: Spread::of(values.iter().copied()),
            runs: values.len(),
        };
        let measures = [measure("rule add", "ms", &[240.0, 250.0, 290.0]), measure("BPF maps", "MiB", &[17.0])];
        let dir = tempfile::tempdir().unwrap();
        write(&results, &measures, dir.path()).unwrap();
        let text = fs::read_to_string(dir.path().join("control.md")).unwrap();
        assert!(text.contains("| rule add | 250 ms | 245-270 | 3 |\n| BPF maps | 17 MiB |  | 1 |"), "{text}");
        assert!(text.contains("- met: rule add: 250 ms, at most 300 ms"), "{text}");
        let json = fs::read_to_string(dir.path().join("control.jsonl")).unwrap();
        assert_eq!(json.lines().count(), 4);
    }
}
