//! Lists of domain names, matched by their ends.

use alloc::{format, string::String, vec::Vec};
use core::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// Longest name in characters.
const LONGEST: usize = 253;

/// A list of domain names: `example.com` matches itself and all names below it, `*.example.com` only those below it.
///
/// A look-up takes one step for each label of a name, up to as many as the longest entry has, however many entries there are.
#[derive(Debug)]
pub struct Domains {
    /// Places in `entries`, by name.
    index: HashTable<u32>,
    entries: Vec<Entry>,
    hasher: FixedState,
    most_labels: usize,
}

#[derive(Debug)]
struct Entry {
    name: String,
    itself: bool,
}

impl Domains {
    /// The list that an option has. Case means nothing, nor does a dot at the end.
    ///
    /// # Errors
    /// An entry is no domain name; the text says which of the `option`.
    pub fn new(option: &str, names: &[String]) -> Result<Self, String> {
        let mut this =
            Self { index: HashTable::new(), entries: Vec::new(), hasher: FixedState::with_seed(0), most_labels: 0 };
        for (number, given) in names.iter().enumerate() {
            let (name, itself) = given.strip_prefix("*.").map_or((given.as_str(), true), |rest| (rest, false));
            let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
            if !is_name(&name) {
                return Err(format!(
                    "{option}[{number}]: {given:?} is no domain name, such as example.com or *.example.com"
                ));
            }
            this.add(name, itself);
        }
        Ok(this)
    }

    fn add(&mut self, name: String, itself: bool) {
        self.most_labels = self.most_labels.max(name.split('.').count());
        let Self { index, entries, hasher, .. } = self;
        let hash = hasher.hash_one(name.as_bytes());
        if let Some(at) = index.find(hash, |&at| entries[at as usize].name == name) {
            entries[*at as usize].itself |= itself;
            return;
        }
        let at = entries.len() as u32;
        entries.push(Entry { name, itself });
        index.insert_unique(hash, at, |&at| hasher.hash_one(entries[at as usize].name.as_bytes()));
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The shortest entry that matches `name`, which is in lower case and has no dot at its end.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<&str> {
        if self.entries.is_empty() {
            return None;
        }
        let mut end = name.len();
        for _ in 0..self.most_labels {
            // The label that ends at `end` begins behind the dot before it.
            let dot = name[..end].iter().rposition(|&byte| byte == b'.');
            let suffix = &name[dot.map_or(0, |dot| dot + 1)..];
            let entry = self.get(suffix).filter(|entry| dot.is_some() || entry.itself);
            if let Some(entry) = entry {
                return Some(&entry.name);
            }
            end = dot?;
        }
        None
    }

    fn get(&self, name: &[u8]) -> Option<&Entry> {
        let at =
            self.index.find(self.hasher.hash_one(name), |&at| self.entries[at as usize].name.as_bytes() == name)?;
        self.entries.get(*at as usize)
    }
}

/// Whether a configured name is one, in lower case. Underscores are in use.
fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
    };
    name.len() <= LONGEST && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> Result<Domains, String> {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        Domains::new("deny", &names)
    }

    #[test]
    fn names_match_by_their_ends() {
        let list = list(&["Example.com.", "*.example.org", "a.b.example.net", "local"]).unwrap();
        for (name, entry) in [
            ("example.com", Some("example.com")),
            ("www.example.com", Some("example.com")),
            ("a.b.c.example.com", Some("example.com")),
            ("notexample.com", None),
            ("com", None),
            ("example.org", None),
            ("x.example.org", Some("example.org")),
            ("b.example.net", None),
            ("x.a.b.example.net", Some("a.b.example.net")),
            ("local", Some("local")),
            ("printer.local", Some("local")),
            ("local.", None),
            ("", None),
            (".", None),
            ("..example.com", Some("example.com")),
        ] {
            assert_eq!(list.find(name.as_bytes()), entry, "{name}");
        }
        let both = super::tests::list(&["*.example.org", "example.org"]).unwrap();
        assert_eq!(both.find(b"example.org"), Some("example.org"));
        assert_eq!(super::tests::list(&[]).unwrap().find(b"example.org"), None);
    }

    #[test]
    fn entries_that_are_no_names_are_told() {
        for bad in ["", "*", "*.", "a..b", "a b", "ex*mple.com", "\u{e4}.com", &"a.".repeat(128), &"a".repeat(64)] {
            let error = list(&["example.com", bad]).unwrap_err();
            assert!(error.starts_with("deny[1]: "), "{bad}: {error}");
        }
    }
}
