//! What every benchmark's results have: the machine, the bars, and the files that they go to.

use std::{
    fs,
    io::{BufWriter, Write},
    path::Path,
};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::{bars::Bar, machine::Machine};

/// Results of a run.
#[derive(Debug)]
pub(crate) struct Results {
    /// The subcommand, and the name of its files.
    pub(crate) name: &'static str,
    /// Where and when.
    pub(crate) machine: Machine,
    /// Bars.
    pub(crate) bars: Vec<Bar>,
    /// What was left out, and why.
    pub(crate) notes: Vec<String>,
}

/// A line of the JSON file.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line<'a, F> {
    Machine(&'a Machine),
    Figure(&'a F),
    Bar(&'a Bar),
}

impl Results {
    /// The beginning of the document for people.
    pub(crate) fn heading(&self, title: &str) -> String {
        let mut text = format!("# {title}\n\n");
        for line in self.machine.words().iter().chain(&self.notes) {
            text.push_str(&format!("- {line}\n"));
        }
        text
    }

    /// The bars, as a section of that document.
    pub(crate) fn bars(&self) -> String {
        let mut text = "\n## Bars\n\n".to_owned();
        for bar in &self.bars {
            text.push_str(&format!("- {} {bar}\n", if bar.is_met() { "met:" } else { "**missed**:" }));
        }
        if self.bars.is_empty() { String::new() } else { text }
    }

    /// Where the document for people is.
    pub(crate) fn place(&self, dir: &Path) -> String {
        format!("results: {}", dir.join(format!("{}.md", self.name)).display())
    }

    /// Write everything as JSON lines: the machine, then figures, then bars.
    pub(crate) fn write_json<F: Serialize>(&self, dir: &Path, figures: &[F]) -> Result<()> {
        let path = dir.join(format!("{}.jsonl", self.name));
        let doing = || format!("writing {}", path.display());
        let mut file = BufWriter::new(fs::File::create(&path).with_context(doing)?);
        let machine = [Line::Machine(&self.machine)];
        let lines = machine.into_iter().chain(figures.iter().map(Line::Figure)).chain(self.bars.iter().map(Line::Bar));
        for line in lines {
            serde_json::to_writer(&mut file, &line).with_context(doing)?;
            file.write_all(b"\n").with_context(doing)?;
        }
        file.flush().with_context(doing)
    }
}
