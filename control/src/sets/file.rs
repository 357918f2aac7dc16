//! One file for each set, in the directory `sets` beside the state file.
//!
//! ```text
//! secuxflow set 1
//! blocklist true
//! comment "scanners"
//! prefixes 2
//! 198.51.100.7/32
//! 203.0.113.0/24 1795000000
//! ```
//!
//! The comment is a JSON string, or `null`; behind a prefix stands the Unix time at which it ends. The prefixes ascend,
//! and their number says whether the file is whole. What is over when a file is read is left out.
//!
//! Rules name sets, and lie in another file. A set's file is written before any rule can name the set, and removed only
//! when no rule in the state file does: so the daemon may die at any moment, and every rule finds its set.

use std::{
    fmt::Write,
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use secuxflow::rules::{MAX_SET_PREFIXES, MAX_SETS};

use super::{
    check_comment, check_name,
    feed::prefix,
    set::{End, Entries, Set, Sets},
};
use crate::durable::{self, BESIDE};

/// First line of a file, with the version of its layout.
const HEAD: &str = "secuxflow set 1";
/// How file names end.
const SUFFIX: &str = ".set";

/// Why a set's file could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetFileError {
    /// Reading failed.
    #[error("set file {}: {source}", path.display())]
    Read {
        /// The file or its directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Writing or removing failed.
    #[error("set file {} cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The content is not what was once written.
    #[error("set file {} is damaged (line {line}: {reason}); it is left as it is: mend it, or move it away and import the set anew", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// What was found there.
        reason: String,
    },
    /// More files than there may be sets.
    #[error("{}: {count} set files: at most {MAX_SETS} fit; move some away", path.display())]
    TooMany {
        /// The directory.
        path: PathBuf,
        /// Files in it.
        count: usize,
    },
}

/// The directory of the sets that belong to the state file at `state`.
pub(crate) fn directory(state: &Path) -> PathBuf {
    durable::directory(state).join("sets")
}

/// Read the sets in `directory`, without what is over `now`; a directory that does not exist holds none.
///
/// # Errors
/// [`SetFileError`]; every file is left as it is.
pub(crate) fn load(directory: &Path, now: Timestamp) -> Result<Sets, SetFileError> {
    let fail = |source| SetFileError::Read { path: directory.to_owned(), source };
    let files = match fs::read_dir(directory) {
        Ok(files) => files,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Sets::new()),
        Err(e) => return Err(fail(e)),
    };
    let mut sets = Sets::new();
    for file in files {
        let path = file.map_err(fail)?.path();
        let file_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if file_name.starts_with(BESIDE) {
            leftover(&path);
            continue;
        }
        let Some(name) = file_name.strip_suffix(SUFFIX) else {
            tracing::warn!("{} is no set file and is left alone", path.display());
            continue;
        };
        let set = read(&path, name, now)?;
        sets.insert(name.to_owned(), Arc::new(set));
    }
    if sets.len() > MAX_SETS {
        return Err(SetFileError::TooMany { path: directory.to_owned(), count: sets.len() });
    }
    Ok(sets)
}

/// What a daemon was writing when it died: never part of any set.
fn leftover(path: &Path) {
    if let Err(e) = durable::remove(path) {
        tracing::warn!("{} cannot be removed: {e}", path.display());
    }
}

/// Write `set` into `directory`, durably.
///
/// # Errors
/// [`SetFileError::Write`]; an older file of the set is then untouched.
pub(crate) fn save(directory: &Path, set: &Set) -> Result<(), SetFileError> {
    let path = path(directory, set.name());
    let write = || {
        fs::DirBuilder::new().recursive(true).mode(0o750).create(directory)?;
        durable::replace(&path, text(set)?.as_bytes())
    };
    write().map_err(|source| SetFileError::Write { path: path.clone(), source })
}

/// Remove the file of the set `name` from `directory`.
///
/// # Errors
/// [`SetFileError::Write`]; the file is then still there.
pub(crate) fn delete(directory: &Path, name: &str) -> Result<(), SetFileError> {
    let path = path(directory, name);
    durable::remove(&path).map_err(|source| SetFileError::Write { path, source })
}

fn path(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}{SUFFIX}"))
}

fn text(set: &Set) -> io::Result<String> {
    let comment = serde_json::to_string(&set.comment)?;
    let mut text = String::with_capacity(200 + set.len() * 32);
    let mut line = |words: std::fmt::Arguments<'_>| writeln!(text, "{words}").map_err(io::Error::other);
    line(format_args!("{HEAD}\nblocklist {}\ncomment {comment}\nprefixes {}", set.is_blocklist(), set.len()))?;
    for (net, end) in set.entries() {
        match end.time() {
            None => line(format_args!("{net}"))?,
            Some(time) => line(format_args!("{net} {}", time.as_second()))?,
        }
    }
    Ok(text)
}

fn read(path: &Path, name: &str, now: Timestamp) -> Result<Set, SetFileError> {
    let damaged = |(line, reason)| SetFileError::Damaged { path: path.to_owned(), line, reason };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::InvalidData => return Err(damaged((1, "not UTF-8".to_owned()))),
        Err(source) => return Err(SetFileError::Read { path: path.to_owned(), source }),
    };
    check_name(name).map_err(|reason| damaged((1, reason)))?;
    parse(&text, name, now).map_err(damaged)
}

/// Line and reason of what is wrong.
type Wrong = (usize, String);

fn parse(text: &str, name: &str, now: Timestamp) -> Result<Set, Wrong> {
    let mut lines = text.lines();
    let mut number = 0;
    let mut header = |key: &str| {
        number += 1;
        let value = lines.next().and_then(|line| line.strip_prefix(key));
        value.ok_or_else(|| (number, format!("'{key}…' expected")))
    };
    let version = header("secuxflow set ")?;
    if version != HEAD.rsplit(' ').next().unwrap_or_default() {
        return Err((1, format!("version {version} where '{HEAD}' is understood")));
    }
    let blocklist = header("blocklist ")?.parse().map_err(|_| (2, "true or false expected".to_owned()))?;
    let comment: Option<String> = serde_json::from_str(header("comment ")?).map_err(|e| (3, e.to_string()))?;
    comment.as_deref().map_or(Ok(()), check_comment).map_err(|reason| (3, reason))?;
    let count: usize = header("prefixes ")?.parse().map_err(|_| (4, "a number expected".to_owned()))?;
    if count > MAX_SET_PREFIXES {
        return Err((4, format!("{count} prefixes: at most {MAX_SET_PREFIXES} fit")));
    }
    let mut entries = Entries::with_capacity(count);
    let (mut found, mut last) = (0, None);
    for (line, number) in lines.zip(5_usize..) {
        let (net, end) = entry(line).map_err(|reason| (number, reason))?;
        if last.is_some_and(|last| net <= last) {
            return Err((number, format!("'{line}' is out of order")));
        }
        (found, last) = (found + 1, Some(net));
        if !end.is_over(now) {
            entries.push((net, end));
        }
    }
    if found != count || !text.ends_with('\n') {
        return Err((found + 4, format!("{found} prefixes where line 4 says {count}, or an end without a line break")));
    }
    Ok(Set::of(name, blocklist, comment, entries))
}

fn entry(line: &str) -> Result<(ipnet::IpNet, End), String> {
    let (net, end) = match line.split_once(' ') {
        None => (line, End::NEVER),
        Some((net, end)) => {
            let end = end.parse().ok().and_then(End::at);
            (net, end.ok_or_else(|| format!("'{line}': a Unix time expected behind the prefix"))?)
        }
    };
    match prefix(net) {
        Ok((net, false)) => Ok((net, end)),
        Ok((_, true)) => Err(format!("'{line}': bits are set behind the prefix")),
        Err(reason) => Err(format!("'{line}': {reason}")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn set() -> Set {
        let nets = super::super::named(&["10.0.0.0/8".into(), "192.0.2.1".into(), "2001:db8::/32".into()]).unwrap();
        let set = Set::new("drop.v4", true, Some("two\nlines".into()));
        let (set, _) = set.add(&nets, End::NEVER).unwrap();
        set.add(&super::super::named(&["192.0.2.0/24".into()]).unwrap(), End::at(1000).unwrap()).unwrap().0
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let sets = dir.path().join("sets");
        assert_eq!(load(&sets, at(0)).unwrap(), Sets::new());
        let (full, empty) = (set(), Set::new("e", false, None));
        for set in [&full, &empty] {
            save(&sets, set).unwrap();
        }
        let loaded = load(&sets, at(999)).unwrap();
        assert_eq!(loaded.values().map(|set| (**set).clone()).collect::<Vec<_>>(), [full.clone(), empty.clone()]);
        assert_eq!(load(&sets, at(1000)).unwrap()["drop.v4"].len(), 3, "what is over is left out");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&sets), mode(&sets.join("e.set"))), (0o750, 0o640));
        delete(&sets, "e").unwrap();
        delete(&sets, "e").unwrap();
        assert_eq!(load(&sets, at(0)).unwrap().len(), 1);
    }

    #[test]
    fn damage_is_named_with_its_line_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let whole = text(&set()).unwrap();
        let path = dir.path().join("drop.v4.set");
        let replaced = |from: &str, to: &str| whole.replace(from, to);
        assert!(whole.contains("\n192.0.2.0/24 1000\n"), "{whole}");
        for (text, line) in [
            (String::new(), 1),
            (replaced("set 1", "set 2"), 1),
            (replaced("blocklist true", "blocklist maybe"), 2),
            (replaced("comment \"", "comment "), 3),
            (replaced("prefixes 4", "prefixes 5"), 8),
            (replaced("prefixes 4", "prefixes 4000000"), 4),
            (replaced("10.0.0.0/8", "10.0.0.1/8"), 5),
            (replaced(" 1000", " soon"), 6),
            (replaced("192.0.2.1/32", "10.0.0.0/8"), 7),
            (replaced("192.0.2.1/32", "burn"), 7),
            (whole.trim_end().to_owned(), 8),
            (whole[..whole.len() - 2].to_owned(), 8),
        ] {
            fs::write(&path, &text).unwrap();
            let error = load(dir.path(), at(0)).unwrap_err();
            assert!(matches!(&error, SetFileError::Damaged { line: at, .. } if *at == line), "{text}: {error}");
            assert!(error.to_string().contains("drop.v4.set"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn every_cut_of_a_file_is_found() {
        let whole = text(&set()).unwrap();
        for end in 0..whole.len() {
            assert!(parse(&whole[..end], "a", at(0)).is_err(), "{}", &whole[..end]);
        }
    }

    #[test]
    fn what_a_dead_daemon_left_is_removed_and_what_is_foreign_is_left() {
        let dir = tempfile::tempdir().unwrap();
        save(dir.path(), &set()).unwrap();
        fs::write(dir.path().join(".state-x1"), "secuxf").unwrap();
        fs::write(dir.path().join("README"), "mine").unwrap();
        assert_eq!(load(dir.path(), at(0)).unwrap().len(), 1);
        assert!(!dir.path().join(".state-x1").exists() && dir.path().join("README").exists());
        fs::write(dir.path().join("Bad Name.set"), "").unwrap();
        assert!(load(dir.path(), at(0)).unwrap_err().to_string().contains("Bad Name.set"));
    }
}
