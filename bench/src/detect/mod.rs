//! How much of what it should find a module finds, and how much it finds that is none: on corpora of other projects, which
//! are only read, never part of this one.

mod benign;
mod command;
mod payloads;
mod report;
mod requests;
mod suricata;

use std::path::Path;

use anyhow::{Context as _, Result};
use waf::{Config, Connection, Decision, Waf};

pub(crate) use command::{Options, run};
pub(crate) use report::Report;

/// What a request should come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// An attack, or a breach of the protocol: something must be found.
    Flagged,
    /// Nothing must be found.
    Passed,
}

/// A request.
#[derive(Debug)]
pub(crate) struct Case {
    /// The row of the report: corpus and class.
    pub(crate) class: String,
    /// What tells the case from others, for people.
    pub(crate) name: String,
    /// What it should come to.
    pub(crate) expected: Expected,
    /// What the client sends.
    pub(crate) request: Vec<u8>,
}

/// What became of a case.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Numbers of the checks that found something.
    pub(crate) checks: Vec<u32>,
    /// Whether the anomaly score reached the threshold.
    pub(crate) blocked: bool,
}

/// The cases of whatever corpora are there, with our own ordinary requests.
///
/// # Errors
/// A corpus cannot be read, or none is there.
pub(crate) fn cases(corpora: &Path, level: u8) -> Result<Vec<Case>> {
    let mut cases = requests::read(&corpora.join("coreruleset/tests/regression"), level)?;
    cases.extend(payloads::read(&corpora.join("libinjection/data"))?);
    anyhow::ensure!(!cases.is_empty(), "{}: neither coreruleset nor libinjection is there", corpora.display());
    cases.extend(benign::cases());
    Ok(cases)
}

/// Score the module `waf`, at a paranoia level, on whatever of the corpora is there.
///
/// # Errors
/// As [`cases`].
pub(crate) fn score_waf(corpora: &Path, level: u8) -> Result<Report> {
    let config = Config { paranoia_level: level, ..Config::default() };
    let waf = |config: &Config| Waf::new(config).map_err(anyhow::Error::msg).context("checks of the module waf");
    // Which methods are allowed is policy, not detection: the core rules' tests are written for theirs.
    let allowed_methods = requests::ALLOWED_METHODS.map(String::from).to_vec();
    let mut as_core_rules = waf(&Config { allowed_methods, ..config.clone() })?;
    let mut waf = waf(&config)?;
    let mut report = Report::default();
    for case in &cases(corpora, level)? {
        let waf = if case.class.starts_with(requests::CLASSES) { &mut as_core_rules } else { &mut waf };
        report.add(case, &inspect(waf, case));
    }
    Ok(report)
}

/// Run one case as a connection of its own.
#[must_use]
pub(crate) fn inspect(waf: &mut Waf, case: &Case) -> Outcome {
    let mut outcome = Outcome::default();
    let mut connection = Connection::default();
    let mut out = |finding: waf::Finding<'_>| outcome.checks.push(finding.id);
    let mut decisions = vec![waf.request_bytes(&mut connection, &case.request, &mut out)];
    decisions.push(waf.end(&mut connection, &mut out));
    outcome.blocked = decisions.contains(&Decision::Block);
    outcome
}
