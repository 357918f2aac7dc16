//! Tables, and words for what stands in them.

use comfy_table::{Cell, CellAlignment, Table, presets};
use secuxflow::plane::FailPolicy;

/// A table whose columns named in `numbers` are set to the right.
pub(super) fn table<const N: usize>(
    head: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
    numbers: &[&str],
) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(head);
    let align = head.map(|name| if numbers.contains(&name) { CellAlignment::Right } else { CellAlignment::Left });
    for row in rows {
        table.add_row(row.into_iter().zip(align).map(|(text, align)| Cell::new(text).set_alignment(align)));
    }
    for (column, align) in table.column_iter_mut().zip(align) {
        column.set_cell_alignment(align);
    }
    format!("{}\n", table.trim_fmt())
}

/// A fail policy as it is configured.
pub(super) fn policy(policy: FailPolicy) -> &'static str {
    match policy {
        FailPolicy::Open => "open",
        FailPolicy::Closed => "closed",
    }
}

/// As in `2.1 MiB`.
pub(super) fn mebibytes(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10).div_ceil(1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

/// Seconds as people say them, in the two largest units: `9m 58s`, `3d 4h`.
pub(super) fn remaining(seconds: u64) -> String {
    let units = [(86_400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')];
    let first = units.iter().position(|(size, _)| seconds >= *size).unwrap_or(units.len() - 1);
    let mut rest = seconds;
    let mut words = Vec::new();
    for (size, name) in &units[first..units.len().min(first + 2)] {
        words.push(format!("{}{name}", rest / size));
        rest %= size;
    }
    words.join(" ")
}

/// The cells of a table's lines; no cell of the tests has two blanks in a row.
#[cfg(test)]
pub(super) fn cells(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_remains_is_told_in_two_units() {
        for (seconds, words) in
            [(0, "0s"), (59, "59s"), (60, "1m 0s"), (598, "9m 58s"), (7200, "2h 0m"), (273_599, "3d 3h")]
        {
            assert_eq!(remaining(seconds), words);
        }
    }
}
