//! The path's figures as tables, a plot and JSON lines.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result};

use super::figure::{Figure, Topic};
use crate::{
    plot::{self, Panel, Point, Series},
    results::Results,
};

const SECTIONS: [(Topic, &str, &str); 5] = [
    (Topic::Throughput, "Flood", "As fast as the generator can; *forwarded* is what came out."),
    (Topic::Drop, "Drop by rule", "All of a flood is to be dropped; *forwarded* is what was dropped."),
    (Topic::Latency, "Latency at fixed rates", "From the generator to the sink, microseconds: median of all rounds."),
    (Topic::Loss, "Loss at a fixed rate", "One long run."),
    (Topic::Workers, "Workers", "Each core has a generator and a worker."),
];

/// Write `path.md`, `path.jsonl` and the plot into `dir`.
pub(super) fn write(results: &Results, figures: &[Figure], dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("making the folder {}", dir.display()))?;
    let mut text = results.heading("Path");
    text.push_str(
        "\nMillions of packets a second: medians, quartiles in brackets. The generator is on core 0; the forwarder's worker, or\n\
         the thread of the kernel that receives in its place, on core 1. 353 bytes is the mean of the internet mix.\n",
    );
    text.push_str(&results.bars());
    for (topic, title, what) in SECTIONS {
        let of: Vec<&Figure> = figures.iter().filter(|figure| figure.topic == topic).collect();
        if of.is_empty() {
            continue;
        }
        text.push_str(&format!("\n## {title}\n\n"));
        if topic == Topic::Throughput {
            let file = format!("{}.svg", results.name);
            let panels = panels(&of);
            plot::write(&dir.join(&file), "Forwarded of a flood", ["bytes of a frame", "Mpps"], &panels)?;
            text.push_str(&format!("![{title}]({file})\n\n"));
        }
        text.push_str(&format!("{what}\n\n"));
        text.push_str(&table(&of));
    }
    results.write_json(dir, figures)?;
    let path = dir.join(format!("{}.md", results.name));
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
}

fn table(figures: &[&Figure]) -> String {
    let cores = figures.iter().map(|figure| figure.cores.len()).max().unwrap_or(0);
    let mut text = "| bytes | flows | who | offered | forwarded | lost | Gbit/s | p50 | p99 | p99.9 |".to_owned();
    (0..cores).for_each(|core| text.push_str(&format!(" core {core} |")));
    text.push_str(&format!("\n|{}\n", "---|".repeat(10 + cores)));
    for figure in figures {
        let Figure { size, flows, subject, offered, forwarded, loss, gbit, .. } = figure;
        let lost = if loss.median > 0.0 || figure.lost > 0 {
            format!("{:.2} % ({})", loss.median * 100.0, figure.lost)
        } else {
            "0".to_owned()
        };
        text.push_str(&format!(
            "| {size} | {flows} | {subject} | {:.2} | {:.2} ({:.2}-{:.2}) | {lost} | {gbit:.2} |",
            offered.median, forwarded.median, forwarded.low, forwarded.high
        ));
        match figure.late {
            Some(late) => {
                for quantile in [late.p50, late.p99, late.p999] {
                    text.push_str(&format!(" {:.0} |", quantile.median));
                }
            }
            None => text.push_str(" | | |"),
        }
        figure.cores.iter().for_each(|core| text.push_str(&format!(" {:.0} % |", core.busy * 100.0)));
        text.push('\n');
    }
    text
}

/// A panel for each number of flows; a line for each subject.
fn panels(figures: &[&Figure]) -> Vec<Panel> {
    let flows: BTreeSet<u32> = figures.iter().map(|figure| figure.flows).collect();
    let panel = |flows: u32| {
        let here = || figures.iter().filter(move |figure| figure.flows == flows);
        let mut names: Vec<&str> = Vec::new();
        for figure in here() {
            if !names.contains(&figure.subject.as_str()) {
                names.push(&figure.subject);
            }
        }
        let point = |figure: &&&Figure| Point {
            size: u32::try_from(figure.size).unwrap_or(u32::MAX),
            low: figure.forwarded.low,
            middle: figure.forwarded.median,
            high: figure.forwarded.high,
        };
        let series = |name: &str| Series {
            name: name.to_owned(),
            points: here().filter(|figure| figure.subject == name).map(|figure| point(&figure)).collect(),
        };
        let plural = if flows == 1 { "" } else { "s" };
        Panel { title: format!("{flows} flow{plural}"), series: names.into_iter().map(series).collect() }
    };
    flows.into_iter().map(panel).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        bars::Bar,
        machine::Machine,
        path::figure::Cell,
        wire::{
            cores::Busy,
            generator::Sent,
            links::Outcome,
            sink::{Arrived, Latency},
        },
    };

    /// A second in which `sent` thousand frames were sent and `came` thousand arrived.
    fn outcome(sent: u64, came: u64) -> Outcome {
        let latency = Latency { p50: 10_000, p99: 50_000, p999: 90_000, most: 99_000, timed: 1 };
        Outcome {
            sent: Sent { frames: sent * 1000, time: Duration::from_secs(1), given_up: Duration::ZERO },
            arrived: Arrived {
                packets: came * 1000,
                bytes: came * 64_000,
                disordered: 0,
                strange: 0,
                latency: Some(latency),
            },
            cores: vec![Busy { busy: 1.0, softirq: 0.5, stolen: 0.0 }, Busy { busy: 0.5, softirq: 0.0, stolen: 0.0 }],
            received: sent * 1000,
        }
    }

    #[test]
    fn results_are_written_as_tables_a_plot_and_json_lines() {
        let cell = |topic, size| Cell { topic, size, flows: 1, pace: None };
        let rounds = [outcome(4000, 1000), outcome(4000, 2000), outcome(4000, 3000)];
        let figures = [
            Figure::of("one".to_owned(), cell(Topic::Throughput, 64), &rounds),
            Figure::of("one".to_owned(), cell(Topic::Throughput, 1400), &rounds[..1]),
            Figure::of("two".to_owned(), cell(Topic::Drop, 64), &[outcome(3000, 0)]),
        ];
        let bars = vec![Bar::unmeasured("a bar", "no peer")];
        let results = Results { name: "path", machine: Machine::here(), bars, notes: Vec::new() };
        let dir = tempfile::tempdir().unwrap();
        write(&results, &figures, dir.path()).unwrap();

        let text = fs::read_to_string(dir.path().join("path.md")).unwrap();
        let row = "| 64 | 1 | one | 4.00 | 2.00 (1.50-2.50) | 50.00 % (6000000) | 1.02 | 10 | 50 | 90 | 100 % | 50 % |";
        assert!(text.contains(row), "{text}");
        assert!(text.contains("| 64 | 1 | two | 3.00 | 3.00 (3.00-3.00) | 0 |"), "{text}");
        assert!(text.contains("**missed**: a bar: NOT MEASURED: no peer"), "{text}");
        assert!(fs::read_to_string(dir.path().join("path.svg")).unwrap().contains("Mpps"));
        let json = fs::read_to_string(dir.path().join("path.jsonl")).unwrap();
        let lines: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((lines.len(), &lines[1]["topic"], &lines[3]["topic"]), (5, &"throughput".into(), &"drop".into()));
        assert_eq!((&lines[4]["met"], &lines[4]["measured"]), (&false.into(), &serde_json::Value::Null));
    }
}
