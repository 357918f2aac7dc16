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
mod tunnels;
mod version;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use secuxflow::{inspect::Loader, offline::Replay};

use case::Case;
pub(crate) use report::Report;

/// A long run is seen to go on by a line on the standard error as often as this.
const TOLD_EVERY: Duration = Duration::from_secs(5);

/// What became of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Every event as expected.
    Exact,
    /// The filters that do not hold, each with what was expected and what came; then the events that came.
    Wrong(Vec<String>, Vec<String>),
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
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    // All of them run the same module, which is compiled once.
    let loader = Arc::new(Loader::new(workers * Replay::instances(1), 1)?);
    let (next, done) = (AtomicUsize::new(0), Mutex::new((Report::default(), Instant::now())));
    let work = || {
        while let Some(path) = directories.get(next.fetch_add(1, Relaxed)) {
            let outcome = one(path, &loader, module);
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            let (report, told) = &mut *done;
            report.add(name(path), outcome);
            if told.elapsed() >= TOLD_EVERY {
                *told = Instant::now();
                eprintln!("{} ({} to do)", report.line(), directories.len() - report.len());
            }
        }
    };
    std::thread::scope(|scope| (0..workers).for_each(|_| _ = scope.spawn(work)));
    Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner).0)
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

fn one(directory: &Path, loader: &Arc<Loader>, module: &Path) -> Outcome {
    let case = match Case::read(directory) {
        Ok(case) => case,
        Err(skipped) => return Outcome::Skipped(skipped.reason, skipped.detail),
    };
    if let Some(keywords) = run::unclaimed(&case) {
        return Outcome::Skipped("a keyword is not claimed".to_owned(), keywords);
    }
    match run::events(&case, loader, module) {
        Ok(events) => {
            let wrong: Vec<_> = case.filters.iter().filter_map(|filter| filter.check(&events, case.inline)).collect();
            let came = || events.iter().map(|event| event.record.to_string()).collect();
            if wrong.is_empty() { Outcome::Exact } else { Outcome::Wrong(wrong, came()) }
        }
        Err(error) => Outcome::Wrong(vec![format!("{error:#}")], Vec::new()),
    }
}
