//! The parts of a name: what somebody registered, and what is below it.

/// Names below a country's two letters where a third label is what is registered, as in `example.co.uk`.
const SECOND_LEVELS: [&[u8]; 12] =
    [b"ac", b"co", b"com", b"edu", b"go", b"gob", b"gov", b"ne", b"net", b"or", b"org", b"gouv"];

/// A name, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts<'a> {
    /// What is registered, such as `example.co.uk`. Told by the number of labels, without the list of all public suffixes.
    pub registered: &'a [u8],
    /// Its first label: `example`.
    pub label: &'a [u8],
    /// What is below it, without the dot at its end; empty when there is nothing.
    pub below: &'a [u8],
}

/// Take a name apart; none for those that have one label, and for reverse look-ups.
#[must_use]
pub fn parts(name: &[u8]) -> Option<Parts<'_>> {
    let mut dots = name.iter().enumerate().rev().filter(|(_, byte)| **byte == b'.').map(|(at, _)| at);
    let top = dots.next()?;
    let second = dots.next();
    let start = second.map_or(0, |dot| dot + 1);
    let compound = name.len() - top == 3 && SECOND_LEVELS.contains(&&name[start..top]);
    let start = match (compound, second) {
        (false, _) => start,
        (true, None) => return None,
        (true, Some(_)) => dots.next().map_or(0, |dot| dot + 1),
    };
    let registered = &name[start..];
    if &name[top + 1..] == b"arpa" {
        return None;
    }
    let label = registered.split(|byte| *byte == b'.').next().unwrap_or_default();
    Some(Parts { registered, label, below: &name[..start.saturating_sub(1)] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        for (name, expected) in [
            ("example.com", Some(("example.com", "example", ""))),
            ("www.example.com", Some(("example.com", "example", "www"))),
            ("a.b.example.com", Some(("example.com", "example", "a.b"))),
            ("example.co.uk", Some(("example.co.uk", "example", ""))),
            ("a.example.co.uk", Some(("example.co.uk", "example", "a"))),
            ("co.uk", None),
            ("com", None),
            ("", None),
            ("1.0.0.10.in-addr.arpa", None),
        ] {
            let parts = parts(name.as_bytes());
            let text = |bytes| std::str::from_utf8(bytes).unwrap();
            let parts = parts.map(|parts| (text(parts.registered), text(parts.label), text(parts.below)));
            assert_eq!(parts, expected, "{name}");
        }
        assert!(parts(b"...").is_some());
    }
}
