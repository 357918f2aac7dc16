//! The classifier's figures as a table, plots and JSON lines.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result};

use super::figure::{
    BASE, Cell, Figure, LPM, LPM_BV, OURS, Topic, UNCACHED, UNCOUNTED, XDP_FILTER, XDP_FILTER_IP, find, thousands,
};
use crate::{
    plot::{self, Panel, Point, Series},
    results::Results,
    traffic::MIXES,
};

/// What the table and the plot of a topic have, besides its cells.
struct Section {
    topic: Topic,
    title: &'static str,
    /// Word for the size.
    size: &'static str,
    subjects: &'static [&'static str],
}

const SECTIONS: [Section; 3] = [
    Section {
        topic: Topic::Rules,
        title: "First rule that matches",
        size: "rules",
        subjects: &[OURS, UNCACHED, LPM_BV, XDP_FILTER, XDP_FILTER_IP],
    },
    Section {
        topic: Topic::Prefixes,
        title: "Source in a list of IPv4 prefixes",
        size: "prefixes",
        subjects: &[OURS, UNCACHED, LPM],
    },
    Section { topic: Topic::Counting, title: "Counting by rule", size: "rules", subjects: &[OURS, UNCOUNTED] },
];

/// Write `classifier.md`, `classifier.jsonl`, and a plot of each topic into `dir`.
pub(super) fn write(results: &Results, figures: &[Figure], dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("making the folder {}", dir.display()))?;
    let mut text = results.heading("Classifier");
    text.push_str(
        "\nNanoseconds a packet. *base* is the generator and a program that only returns; the others are medians without\n\
         it, then in brackets the quartiles with it.\n",
    );
    text.push_str(&results.bars());
    for section in &SECTIONS {
        let cells = cells(figures, section.topic);
        if cells.is_empty() {
            continue;
        }
        text.push_str(&format!("\n## {}\n\n", section.title));
        if section.topic != Topic::Counting {
            let file = format!("{}-{}.svg", results.name, section.size);
            let path = dir.join(&file);
            let axes = [section.size, "ns a packet, without base"];
            plot::write(&path, section.title, axes, &panels(figures, section))?;
            text.push_str(&format!("![{}]({file})\n\n", section.title));
        }
        text.push_str(&table(figures, section, &cells));
    }
    results.write_json(dir, figures)?;
    let path = dir.join(format!("{}.md", results.name));
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
}

fn cells(figures: &[Figure], topic: Topic) -> BTreeSet<Cell> {
    figures.iter().map(|figure| figure.cell).filter(|cell| cell.topic == topic).collect()
}

fn table(figures: &[Figure], section: &Section, cells: &BTreeSet<Cell>) -> String {
    let measured = |subject: &&&str| figures.iter().any(|f| f.cell.topic == section.topic && f.subject == **subject);
    let subjects: Vec<&str> = section.subjects.iter().filter(measured).copied().collect();
    let mut text = format!("| {} | shape | family | traffic | base |", section.size);
    for subject in &subjects {
        text.push_str(&format!(" {subject} |"));
    }
    text.push_str(&format!("\n|{}\n", "---|".repeat(5 + subjects.len())));
    for cell in cells {
        let base = find(figures, cell, BASE).map_or(f64::NAN, |base| base.gross.median);
        let Cell { size, shape, family, mix, .. } = cell;
        text.push_str(&format!("| {} | {shape} | {family} | {} | {base:.0} |", thousands(*size), mix.name()));
        for subject in &subjects {
            text.push_str(&find(figures, cell, subject).map_or_else(
                || " |".to_owned(),
                |figure| {
                    let Figure { gross, net, .. } = figure;
                    format!(" {net:.0} ({:.0}-{:.0}) |", gross.low, gross.high)
                },
            ));
        }
        text.push('\n');
    }
    text
}

/// A panel for each family and traffic; a line for each subject, through the medians over all shapes.
fn panels(figures: &[Figure], section: &Section) -> Vec<Panel> {
    let mut panels = Vec::new();
    for family in ["IPv4", "IPv6"] {
        for mix in MIXES {
            let of = |subject: &str| -> Vec<&Figure> {
                let here = |figure: &&Figure| {
                    let Cell { topic, family: other, mix: traffic, .. } = figure.cell;
                    (topic, other, traffic, figure.subject) == (section.topic, family, mix, subject)
                };
                figures.iter().filter(here).collect()
            };
            let series =
                section.subjects.iter().map(|name| Series { name: (*name).to_owned(), points: points(&of(name)) });
            let series: Vec<Series> = series.filter(|series| !series.points.is_empty()).collect();
            if !series.is_empty() {
                panels.push(Panel { title: format!("{family}, {} traffic", mix.name()), series });
            }
        }
    }
    panels
}

fn points(figures: &[&Figure]) -> Vec<Point> {
    let sizes: BTreeSet<u32> = figures.iter().map(|figure| figure.cell.size).collect();
    let point = |size: u32| {
        let mut shapes: Vec<f64> =
            figures.iter().filter(|figure| figure.cell.size == size).map(|figure| figure.net).collect();
        shapes.sort_by(f64::total_cmp);
        Point { size, low: shapes[0], middle: shapes[shapes.len() / 2], high: shapes[shapes.len() - 1] }
    };
    sizes.into_iter().map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{bars::Bar, classifier::figure, machine::Machine, traffic::Mix};

    #[test]
    fn results_are_written_as_a_table_a_plot_and_json_lines() {
        let cell = |size, shape| Cell { topic: Topic::Rules, size, shape, family: "IPv4", mix: Mix::Hot };
        let mut figures = Vec::new();
        for (size, ours, theirs) in [(10, 60.0, 90.0), (1000, 70.0, 250.0)] {
            for shape in ["acl", "fw"] {
                let rounds = [vec![20.0], vec![ours], vec![theirs]];
                figures.extend(figure::of(cell(size, shape), &[BASE, OURS, LPM_BV], &rounds));
            }
        }
        let bars = vec![Bar::ratio("a bar", 50.0, LPM_BV, 100.0, 0.6), Bar::most("another", 9.0, 5.0, "ns")];
        let notes = vec!["a note".to_owned()];
        let results = Results { name: "classifier", machine: Machine::here(), bars, notes };
        let dir = tempfile::tempdir().unwrap();
        write(&results, &figures, dir.path()).unwrap();

        let text = fs::read_to_string(dir.path().join("classifier.md")).unwrap();
        assert!(text.contains("| 1,000 | fw | IPv4 | hot | 20 | 50 (70-70) | 230 (250-250) |"), "{text}");
        assert!(text.contains("- met: a bar: 0.50 ×") && text.contains("- **missed**: another: 9 ns"), "{text}");
        assert!(text.contains("- a note\n") && !text.contains("Counting by rule"), "{text}");
        let svg = fs::read_to_string(dir.path().join("classifier-rules.svg")).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("IPv4, hot traffic") && svg.contains(LPM_BV), "{svg}");
        let json = fs::read_to_string(dir.path().join("classifier.jsonl")).unwrap();
        let lines: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 1 + 12 + 2);
        assert_eq!((&lines[0]["kind"], &lines[2]["net"]), (&"machine".into(), &40.0.into()));
        assert_eq!((&lines[2]["shape"], &lines[14]["met"]), (&"acl".into(), &false.into()));
    }
}
