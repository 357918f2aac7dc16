//! Sets as tables and lines.

use serde::Serialize;

use super::{output::Show, table::table};
use crate::{
    api::{SetChange, SetEntries, SetImported, SetInfo, Sets},
    sets::in_words,
};

/// A set that was just made.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct SetCreated(pub(super) SetInfo);

impl Show for SetCreated {
    fn show(&self) -> String {
        format!("{}\n", self.0.name)
    }
}

fn kind(set: &SetInfo) -> &'static str {
    if set.blocklist { "blocklist" } else { "set" }
}

impl Show for Sets {
    fn show(&self) -> String {
        let rows = self.sets.iter().map(|set| {
            [
                set.name.clone(),
                kind(set).to_owned(),
                set.entries.to_string(),
                set.timed.to_string(),
                set.used_by.to_string(),
                set.comment.clone().unwrap_or_default(),
            ]
        });
        let head = ["NAME", "KIND", "ENTRIES", "WITH TTL", "RULES", "COMMENT"];
        table(head, rows, &["ENTRIES", "WITH TTL", "RULES"])
    }
}

impl Show for SetEntries {
    fn show(&self) -> String {
        let Self { set, prefixes } = self;
        let comment = set.comment.as_ref().map(|comment| format!(": {comment}")).unwrap_or_default();
        let mut text = format!(
            "{} {}{comment}\n{} entries, {} with ttl, used by {} rules\n",
            kind(set),
            set.name,
            set.entries,
            set.timed,
            set.used_by
        );
        if !prefixes.is_empty() {
            text.push('\n');
            let rows = prefixes.iter().map(|entry| {
                let left = entry.remaining_seconds.map_or_else(|| "-".to_owned(), |left| in_words(left).to_string());
                [entry.prefix.to_string(), left]
            });
            text += &table(["PREFIX", "LEAVES IN"], rows, &[]);
        }
        let more = set.entries.saturating_sub(prefixes.len());
        if more > 0 {
            text += &format!("\n{more} more; --limit shows them\n");
        }
        text
    }
}

impl Show for SetChange {
    fn show(&self) -> String {
        let Self { name, entries, added, removed, renewed, unchanged } = self;
        format!(
            "{name}: {added} added, {removed} removed, {renewed} renewed, {unchanged} unchanged; {entries} entries\n"
        )
    }
}

impl Show for SetImported {
    fn show(&self) -> String {
        let Self { change, duplicates, widened_lines, bad_lines, .. } = self;
        format!(
            "{}feed: {duplicates} duplicates, {widened_lines} cut to their prefix, {bad_lines} bad lines\n",
            change.show()
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn entries_show_how_long_they_stay_and_how_many_are_not_shown() {
        let set: SetEntries = serde_json::from_value(json!({
            "name": "drop", "blocklist": true, "comment": "daily", "entries": 5, "timed": 1, "used_by": 0,
            "imported": 5, "expired": 0,
            "prefixes": [{"prefix": "10.0.0.0/8"},
                         {"prefix": "192.0.2.1/32", "expires": "2026-01-02T03:04:05Z", "remaining_seconds": 599}],
        }))
        .unwrap();
        let text = set.show();
        let lines: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            lines,
            [
                "blocklist drop: daily",
                "5 entries, 1 with ttl, used by 0 rules",
                "",
                "PREFIX LEAVES IN",
                "10.0.0.0/8 -",
                "192.0.2.1/32 9m59s",
                "",
                "3 more; --limit shows them",
            ],
        );
        let list = Sets { sets: vec![set.set] }.show();
        assert_eq!(
            list.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>().join(" "),
            "drop blocklist 5 1 0 daily"
        );
    }
}
