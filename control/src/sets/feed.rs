//! Feeds: lists of prefixes as they are published, one a line, with comments behind `#` or `;`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Most lines of a kind that are told with number and reason; the rest is counted.
pub(crate) const MAX_TOLD: usize = 20;
/// Characters of a line that are told.
const MAX_TEXT: usize = 60;

/// A feed's text, taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Feed {
    /// The prefixes, ascending, each once, without host bits.
    pub(crate) prefixes: Vec<IpNet>,
    /// Lines with a prefix that another line has too.
    pub(crate) duplicates: usize,
    /// The first [`MAX_TOLD`] prefixes that had bits behind their length, which were cut.
    pub(crate) widened: Vec<BadLine>,
    /// Number of these.
    pub(crate) widened_lines: usize,
    /// The first [`MAX_TOLD`] lines that hold something else than a prefix.
    pub(crate) bad: Vec<BadLine>,
    /// Number of these.
    pub(crate) bad_lines: usize,
}

/// A line that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BadLine {
    /// Its number, counted from 1.
    pub(crate) line: usize,
    /// Its text without the comment, cut to 60 characters.
    pub(crate) text: String,
    /// What is wrong with it.
    pub(crate) reason: String,
}

impl std::fmt::Display for BadLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: '{}': {}", self.line, self.text, self.reason)
    }
}

/// Take a feed apart. What is not a prefix is left out and told.
pub(crate) fn parse(text: &str) -> Feed {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let unfinished = !text.is_empty() && !text.ends_with('\n');
    let mut feed = Feed::default();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        let entry = without_comment(line);
        if entry.is_empty() {
            continue;
        }
        let last = unfinished && lines.peek().is_none();
        match prefix(entry) {
            // A download that broke off in the length, 10.1.2.0/2 for 10.1.2.0/24, must not become a quarter of all
            // addresses.
            Ok((_, true)) if last && line.ends_with(entry) => {
                feed.bad(
                    index,
                    entry,
                    "bits are set behind the prefix, and the line has no end: was the feed cut off?",
                );
            }
            Ok((net, widened)) => {
                if widened {
                    feed.widened(index, entry, net);
                }
                feed.prefixes.push(net);
            }
            Err(reason) => feed.bad(index, entry, &reason),
        }
    }
    let entries = feed.prefixes.len();
    feed.prefixes.sort_unstable();
    feed.prefixes.dedup();
    feed.duplicates = entries - feed.prefixes.len();
    feed
}

impl Feed {
    fn bad(&mut self, index: usize, text: &str, reason: &str) {
        self.bad_lines += 1;
        if self.bad.len() < MAX_TOLD {
            self.bad.push(BadLine::new(index, text, reason));
        }
    }

    fn widened(&mut self, index: usize, text: &str, net: IpNet) {
        self.widened_lines += 1;
        if self.widened.len() < MAX_TOLD {
            self.widened.push(BadLine::new(index, text, &format!("bits are set behind the prefix; taken as {net}")));
        }
    }
}

impl BadLine {
    fn new(index: usize, text: &str, reason: &str) -> Self {
        let text = match text.char_indices().nth(MAX_TEXT) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text.to_owned(),
        };
        Self { line: index + 1, text, reason: reason.to_owned() }
    }
}

/// One address or prefix without host bits, and whether there were any.
///
/// # Errors
/// What is wrong with `text`.
pub(super) fn prefix(text: &str) -> Result<(IpNet, bool), String> {
    let (address, len) = match text.split_once('/') {
        Some((address, len)) => (address, Some(len)),
        None => (text, None),
    };
    let Some(address) = address_of(address) else { return Err(no_address(text)) };
    let max = if address.is_ipv4() { 32 } else { 128 };
    let len = match len {
        None => max,
        Some(len) => length(len, max)?,
    };
    if let IpAddr::V6(v6) = address
        && len >= 96
        && v6.to_ipv4_mapped().is_some()
    {
        return Err("an ipv4-mapped address is never on the wire; write it as ipv4".to_owned());
    }
    let net = IpNet::new(address, len).map_err(|e| e.to_string())?;
    let cut = net.trunc();
    Ok((cut, cut != net))
}

fn address_of(text: &str) -> Option<IpAddr> {
    if text.as_bytes().contains(&b':') {
        text.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
    } else {
        text.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
    }
}

fn length(text: &str, max: u8) -> Result<u8, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u8>().ok().filter(|len| digits && *len <= max) {
        Some(0) => Err("length 0 is every address; a rule without the set matches those".to_owned()),
        Some(len) => Ok(len),
        None => Err(format!("a prefix length from 1 to {max} expected")),
    }
}

fn no_address(text: &str) -> String {
    let hint = if text.contains([' ', '\t', ',']) {
        "one prefix a line expected; what stands behind it begins with # or ;"
    } else if text.contains('-') {
        "not an address or prefix; ranges are written as prefixes"
    } else {
        "an address or prefix such as 192.0.2.1, 198.51.100.0/24 or 2001:db8::/32 expected"
    };
    hint.to_owned()
}

fn without_comment(line: &str) -> &str {
    let end = line.bytes().position(|byte| matches!(byte, b'#' | b';')).unwrap_or(line.len());
    line[..end].trim()
}

#[cfg(test)]
mod tests {

    use proptest::prelude::*;

    use super::*;

    fn texts(feed: &Feed) -> Vec<String> {
        feed.prefixes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_feed_as_it_is_published() {
        let feed = parse(
            "\u{feff}; Spamhaus DROP List\r\n1.10.16.0/20 ; SBL256894\r\n\r\n# more\n198.51.100.7\t# scanner\n  \
             2001:db8::/32;x\n2001:DB8:1::1\n1.10.16.0/20\n198.51.100.7/32\n10.1.2.3/8\n",
        );
        assert_eq!(
            texts(&feed),
            ["1.10.16.0/20", "10.0.0.0/8", "198.51.100.7/32", "2001:db8::/32", "2001:db8:1::1/128"]
        );
        assert_eq!((feed.duplicates, feed.widened_lines, feed.bad_lines), (2, 1, 0));
        let told = "line 10: '10.1.2.3/8': bits are set behind the prefix; taken as 10.0.0.0/8";
        assert_eq!(feed.widened[0].to_string(), told);
        assert_eq!(parse(""), Feed::default());
    }

    #[test]
    fn bad_lines_are_named_with_number_and_reason_and_the_rest_is_taken() {
        let feed = parse(
            "10.0.0.0/33\n192.0.2.1\n10.0.0\nexample.com\n10.0.0.1-10.0.0.9\n10.0.0.0 255.0.0.0\n010.0.0.1\n\
             0.0.0.0/0\n::/0\n::ffff:10.0.0.1\nfe80::1%eth0\n10.0.0.0/\n10.0.0.0/+8\n2001:db8::/129\n1.2.3.4,bad\n",
        );
        assert_eq!(texts(&feed), ["192.0.2.1/32"]);
        let told: Vec<_> = feed.bad.iter().map(|bad| (bad.line, bad.reason.as_str())).collect();
        assert_eq!(told.len(), 14);
        for (at, line, words) in [
            (0, 1, "1 to 32"),
            (1, 3, "192.0.2.1"),
            (3, 5, "ranges"),
            (4, 6, "one prefix a line"),
            (6, 8, "every address"),
            (8, 10, "ipv4-mapped"),
            (12, 14, "1 to 128"),
            (13, 15, "one prefix a line"),
        ] {
            assert!(told[at].0 == line && told[at].1.contains(words), "{:?}", told[at]);
        }
    }

    #[test]
    fn a_line_that_was_cut_off_does_not_widen() {
        for (text, taken, bad) in [
            ("10.0.0.1\n45.1.2.0/2", vec!["10.0.0.1/32"], 1),
            ("10.0.0.1\n45.1.2.0/2\n", vec!["0.0.0.0/2", "10.0.0.1/32"], 0),
            ("10.0.0.1\n45.1.2.0/2 # whole", vec!["0.0.0.0/2", "10.0.0.1/32"], 0),
            ("10.0.0.1\n45.1.2.0/24", vec!["10.0.0.1/32", "45.1.2.0/24"], 0),
            ("10.0.0.1\n45.1.2.", vec!["10.0.0.1/32"], 1),
        ] {
            let feed = parse(text);
            assert_eq!((texts(&feed), feed.bad_lines), (taken.into_iter().map(str::to_owned).collect(), bad), "{text}");
        }
    }

    #[test]
    fn of_many_bad_lines_the_first_are_told_and_all_counted() {
        let long = "é".repeat(100);
        let feed = parse(&format!("{long}\n").repeat(1000));
        assert_eq!((feed.bad.len(), feed.bad_lines), (MAX_TOLD, 1000));
        assert_eq!(feed.bad[0].text.chars().count(), MAX_TEXT + 1);
    }

    #[test]
    fn a_million_lines_are_read() {
        let mut text = String::with_capacity(20 << 20);
        for index in 0..1_000_000_u32 {
            text.push_str(&format!("{}/32 ; {index}\n", Ipv4Addr::from(index.wrapping_mul(2_654_435_761))));
        }
        let feed = parse(&text);
        assert_eq!((feed.prefixes.len(), feed.bad_lines), (1_000_000, 0));
    }

    proptest! {
        #[test]
        fn every_line_is_taken_or_told(text in "([0-9a-f:./;# \t,-]{0,24}(\r?\n)?){0,30}") {
            let feed = parse(&text);
            let entries = text.lines().filter(|line| !without_comment(line).is_empty()).count();
            prop_assert_eq!(entries, feed.prefixes.len() + feed.duplicates + feed.bad_lines);
            prop_assert!(feed.prefixes.is_sorted_by(|a, b| a < b));
            prop_assert!(feed.prefixes.iter().all(|net| net.trunc() == *net && net.prefix_len() > 0));
        }

        #[test]
        fn whatever_the_text_it_is_read(text in any::<String>()) {
            let _feed = parse(&text);
        }

        #[test]
        fn prefixes_are_found_again(
            nets in proptest::collection::vec((any::<bool>(), any::<u128>(), 0..=127_u8, 0..4_usize), 0..50),
        ) {
            let decorations = ["\n", " ; SBL1\n", "\r\n", "\t# x;y\n"];
            let (mut wanted, mut text) = (Vec::new(), String::new());
            for (v4, bits, len, decoration) in nets {
                let bytes = bits.to_be_bytes();
                let net = if v4 {
                    IpNet::new(IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]]), 1 + len % 32)
                } else {
                    // Never ipv4-mapped.
                    IpNet::new(Ipv6Addr::from(bits | 1 << 127).into(), 1 + len)
                };
                let net = net.unwrap().trunc();
                wanted.push(net);
                text.push_str(&format!("{net}{}", decorations[decoration]));
            }
            let entries = wanted.len();
            wanted.sort_unstable();
            wanted.dedup();
            let feed = parse(&text);
            prop_assert_eq!(feed.duplicates, entries - wanted.len());
            prop_assert_eq!(feed.prefixes, wanted);
            prop_assert_eq!(feed.bad_lines + feed.widened_lines, 0);
        }
    }
}
