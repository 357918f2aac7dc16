//! The recorder's text, put into the table's order with the table's types.

use std::{collections::HashMap, fmt::Write};

use super::table::{ALL, Decl, Kind};

/// `rendered` with metrics in the table's order, samples sorted, and one `# HELP` and `# TYPE` line per metric: the
/// recorder orders by hash, knows neither counters of fractions nor summaries that were computed elsewhere.
pub(super) fn arrange(rendered: &str) -> String {
    let mut samples: HashMap<&str, Vec<&str>> = HashMap::new();
    for line in rendered.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let name = line.find(['{', ' ']).map_or(line, |end| &line[..end]);
        samples.entry(name).or_default().push(line);
    }
    let mut text = String::with_capacity(rendered.len());
    for decl in ALL {
        let Some(mut lines) = samples.remove(decl.name) else { continue };
        lines.sort_unstable();
        if decl.kind != Kind::Part {
            head(&mut text, decl);
        }
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

fn head(text: &mut String, decl: &Decl) {
    let Decl { name, kind, help, .. } = decl;
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} {}", kind.word()).expect("a String takes every write");
}
