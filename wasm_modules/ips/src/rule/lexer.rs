//! A rule file as logical lines: comments left out, lines that end in a backslash joined, positions remembered.

use alloc::{string::String, vec::Vec};

/// One rule's text with the place of each of its bytes in the file.
#[derive(Debug, Clone)]
pub struct LogicalLine {
    /// The text, continuation marks removed.
    pub text: String,
    /// Where a physical line begins in `text`: offset, line number, column of its first byte; the first entry is at 0.
    pieces: Vec<(usize, u32, u32)>,
}

impl LogicalLine {
    /// Line and column, both from 1, of the byte at `offset`.
    #[must_use]
    pub fn place(&self, offset: usize) -> (u32, u32) {
        let piece = self.pieces.iter().rev().find(|(start, _, _)| *start <= offset).unwrap_or(&self.pieces[0]);
        (piece.1, piece.2 + u32::try_from(offset.saturating_sub(piece.0)).unwrap_or(u32::MAX))
    }
}

/// Split `file` into rules. Blank lines and lines that begin with `#` are left out.
pub fn logical_lines(file: &str) -> impl Iterator<Item = LogicalLine> + '_ {
    let mut lines = (1u32..).zip(file.lines());
    core::iter::from_fn(move || {
        let mut line = LogicalLine { text: String::new(), pieces: Vec::new() };
        for (number, physical) in lines.by_ref() {
            let trimmed = physical.trim_start();
            if line.pieces.is_empty() && (trimmed.is_empty() || trimmed.starts_with('#')) {
                continue;
            }
            let column = u32::try_from(physical.len() - trimmed.len()).unwrap_or(u32::MAX - 1) + 1;
            line.pieces.push((line.text.len(), number, column));
            let body = trimmed.trim_end();
            if let Some(body) = body.strip_suffix('\\') {
                line.text.push_str(body);
            } else {
                line.text.push_str(body);
                return Some(line);
            }
        }
        (!line.pieces.is_empty()).then_some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_and_places() {
        let lines: Vec<_> = logical_lines("# no\n\n  alert a \\\n   b \\\n c\n#x\ndrop d").collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].text, "alert a b c");
        assert_eq!(lines[0].place(0), (3, 3));
        assert_eq!(lines[0].place(8), (4, 4));
        assert_eq!(lines[0].place(10), (5, 2));
        assert_eq!(lines[1].place(5), (7, 6));
    }

    #[test]
    fn a_continuation_at_the_end_of_the_file_is_a_rule() {
        assert_eq!(logical_lines("alert \\").count(), 1);
    }
}
