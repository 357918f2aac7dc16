//! The search.

use alloc::string::{String, ToString};

use aho_corasick::{AhoCorasick, AhoCorasickKind};

/// All patterns as one automaton.
#[derive(Debug)]
pub struct Patterns(AhoCorasick);

impl Patterns {
    /// Make the automaton. It takes memory by the bytes of all patterns together, about a kilobyte for each.
    ///
    /// # Errors
    /// There are too many states, for people.
    pub fn new(patterns: &[String], ignore_case: bool) -> Result<Self, String> {
        let automaton = AhoCorasick::builder()
            // One table look-up a byte. What else there is goes by prefilters and failure links, slower without SIMD.
            .kind(Some(AhoCorasickKind::DFA))
            .prefilter(false)
            .ascii_case_insensitive(ignore_case)
            .build(patterns)
            .map_err(|error| error.to_string())?;
        Ok(Self(automaton))
    }

    /// Number of the pattern that ends first in `payload`, counted from 0.
    #[must_use]
    #[inline]
    pub fn find(&self, payload: &[u8]) -> Option<u32> {
        let found = self.0.find(payload)?;
        u32::try_from(found.pattern().as_usize()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(ignore_case: bool) -> Patterns {
        let patterns = ["cmd.exe", "/etc/passwd", "\u{1}\u{2}"].map(ToString::to_string).to_vec();
        Patterns::new(&patterns, ignore_case).unwrap()
    }

    #[test]
    fn patterns_are_found_wherever_they_are() {
        for (payload, found) in [
            (&b"GET /../../etc/passwd HTTP/1.1"[..], Some(1)),
            (b"cmd.exe /etc/passwd", Some(0)),
            (b"\x00\x01\x02", Some(2)),
            (b"/etc/passw", None),
            (b"CMD.exe", None),
            (b"", None),
        ] {
            assert_eq!(patterns(false).find(payload), found, "{payload:?}");
        }
        assert_eq!(patterns(true).find(b"CMD.exe"), Some(0));
    }
}
