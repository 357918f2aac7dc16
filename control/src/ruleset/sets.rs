//! Sets that a ruleset file names, where no daemon knows them: read from files.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use secuxflow::rules::{Address, PrefixSet, check_set_name};

use super::{Entry, RulesetError, read};
use crate::sets::feed::{self, BadLine};

/// `NAME=FILE`: a set, and the list of its prefixes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SetFile {
    name: String,
    path: PathBuf,
}

impl std::str::FromStr for SetFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, path) = text.split_once('=').ok_or("NAME=FILE expected, as in --set office=office.txt")?;
        let name = name.strip_prefix('@').unwrap_or(name);
        check_set_name(name)?;
        if path.is_empty() {
            return Err("there is no file behind the =".to_owned());
        }
        Ok(Self { name: name.to_owned(), path: path.into() })
    }
}

/// Read `files`: a prefix a line, comments behind `#`.
///
/// # Errors
/// A file cannot be read or holds something else than prefixes, or a set is given twice.
pub(crate) fn read_sets(files: &[SetFile]) -> Result<Vec<Arc<PrefixSet>>, RulesetError> {
    let mut sets: Vec<Arc<PrefixSet>> = Vec::with_capacity(files.len());
    for SetFile { name, path } in files {
        let (file, text) = read(path)?;
        if sets.iter().any(|set| set.name() == name) {
            return Err(RulesetError::Sets { name: file, message: format!("the set @{name} is given twice") });
        }
        sets.push(Arc::new(PrefixSet::new(name, false, prefixes(&file, &text)?)));
    }
    Ok(sets)
}

fn prefixes(file: &str, text: &str) -> Result<Vec<ipnet::IpNet>, RulesetError> {
    let found = feed::parse(text);
    if found.bad_lines == 0 {
        return Ok(found.prefixes);
    }
    let told: Vec<String> = found.bad.iter().map(BadLine::to_string).collect();
    let more = found.bad_lines - found.bad.len();
    let more = if more > 0 { format!("\nand {more} more") } else { String::new() };
    Err(RulesetError::Sets { name: file.to_owned(), message: format!("{}{more}", told.join("\n")) })
}

/// Names of the sets that `entries` name and `sets` do not hold, in the order of the alphabet.
pub(crate) fn lacking(entries: &[Entry], sets: &[Arc<PrefixSet>]) -> Vec<String> {
    let sides = entries.iter().flat_map(|entry| [&entry.rule.matcher.src, &entry.rule.matcher.dst]);
    let named: BTreeSet<&str> = sides.filter_map(|address| address.as_ref().and_then(Address::set)).collect();
    named.into_iter().filter(|name| !sets.iter().any(|set| set.name() == *name)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<SetFile, String> {
        text.parse()
    }

    #[test]
    fn a_set_file_has_a_name_and_a_path() {
        let expected = SetFile { name: "office".into(), path: "a=b.txt".into() };
        assert_eq!(parsed("office=a=b.txt").unwrap(), expected);
        assert_eq!(parsed("@office=a=b.txt").unwrap(), expected);
        for text in ["office", "=x", "Office=x", "office="] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lists_are_read_and_bad_lines_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            SetFile { name: name.to_owned(), path }
        };
        let good = file("good", "# ours\n10.0.0.0/8\n2001:db8::/32 # six\n");
        let sets = read_sets(std::slice::from_ref(&good)).unwrap();
        assert_eq!((sets[0].name(), sets[0].prefixes().len()), ("good", 2));
        let error = read_sets(&[file("bad", "10.0.0.0/8\nnonsense\n")]).unwrap_err().to_string();
        assert!(error.contains("bad: line 2: 'nonsense'"), "{error}");
        let error = read_sets(&[good.clone(), good]).unwrap_err().to_string();
        assert!(error.contains("@good is given twice"), "{error}");
        let none = SetFile { name: "none".into(), path: dir.path().join("none") };
        assert!(matches!(read_sets(&[none]), Err(RulesetError::Read { .. })));
    }
}
