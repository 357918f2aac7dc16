//! The module `ips` on suricata-verify: captures with Suricata's rules and the events that Suricata tells of them. Each
//! directory is run through the offline pipeline, and its alert and drop events are compared, one by one.
//!
//! Counted are only directories whose rules use nothing but what the module's load report claims, and whose checks are
//! about alert or drop events; every other one is named with its reason.

mod case;
mod checks;
mod events;
mod report;
mod run;
mod settings;
mod version;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use anyhow::{Context as _, Result};

use case::Case;
pub(crate) use report::Report;

/// What became of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Every event as expected.
    Exact,
    /// The filters that do not hold, each with what was expected and what came.
    Wrong(Vec<String>),
    /// Not counted, for this reason; the second part says more of it.
    Skipped(String, String),
}

/// Run the directories below `folder` through the module at `module`. With `only`, those whose name contains it.
///
/// # Errors
/// The folder cannot be read, or the module is not there.
pub(crate) fn run(folder: &Path, module: &Path, only: Option<&str>) -> Result<Report> {
    anyhow::ensure!(module.is_file(), "{} is missing: run scripts/compile_wasm.sh", module.display());
    let mut directories = Vec::new();
    find(folder, &mut directories).with_context(|| folder.display().to_string())?;
    directories.sort();
    let name = |path: &Path| path.strip_prefix(folder).unwrap_or(path).display().to_string();
    directories.retain(|path| only.is_none_or(|part| name(path).contains(part)));
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Report::default()));
    let work = || {
        while let Some(path) = directories.get(next.fetch_add(1, Relaxed)) {
            let outcome = one(path, module);
            done.lock().unwrap_or_else(PoisonError::into_inner).add(name(path), outcome);
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..workers).for_each(|_| _ = scope.spawn(work)));
    Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Every directory with a test below `folder`.
fn find(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if folder.join("test.yaml").is_file() {
        found.push(folder.to_owned());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            find(&entry.path(), found)?;
        }
    }
    Ok(())
}

fn one(directory: &Path, module: &Path) -> Outcome {
    let case = match Case::read(directory) {
        Ok(case) => case,
        Err(skipped) => return Outcome::Skipped(skipped.reason, skipped.detail),
    };
    if let Some(keywords) = run::unclaimed(&case) {
        return Outcome::Skipped("a keyword is not claimed".to_owned(), keywords);
    }
    match run::events(&case, module) {
        Ok(events) => {
            let wrong: Vec<_> = case.filters.iter().filter_map(|filter| filter.check(&events, case.inline)).collect();
            if wrong.is_empty() { Outcome::Exact } else { Outcome::Wrong(wrong) }
        }
        Err(error) => Outcome::Wrong(vec![format!("{error:#}")]),
    }
}
