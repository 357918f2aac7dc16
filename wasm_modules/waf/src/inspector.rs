//! The state of one request's judgement: values go in, findings and a score come out.

use alloc::{string::String, vec::Vec};

use crate::{
    checks::{self, Check, form},
    config::Config,
    finding::{Category, Finding, MOST_DATA, Part, Place, Severity},
    html,
    normalise::{self, class},
    scan::Patterns,
    shell, sql,
};

/// Most different checks that one request reports.
const MOST_FINDINGS: usize = 64;

/// What all requests share: configuration, compiled checks, buffers to work in.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) config: Config,
    checks: Vec<Check>,
    patterns: Patterns,
    lowered: Vec<u8>,
    text: Vec<u8>,
    spare: Vec<u8>,
}

impl Engine { pub(crate) fn pats(&self) -> &Patterns { &self.patterns } pub(crate) fn id(&self, n: usize) -> u32 { self.checks[n].id }
    pub(crate) fn new(config: Config) -> Result<Self, String> {
        let checks: Vec<Check> = checks::all().filter(|check| check.level <= config.paranoia_level).copied().collect();
        let patterns = Patterns::new(checks.iter().map(|check| check.pattern))?;
        Ok(Self { config, checks, patterns, lowered: Vec::new(), text: Vec::new(), spare: Vec::new() })
    }
}

/// A check that is code, not a pattern.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) id: u32,
    pub(crate) severity: Severity,
    pub(crate) level: u8,
    pub(crate) category: Category,
    pub(crate) message: &'static str,
}

/// What is known of an open request or response.
#[derive(Debug, Default, Clone)]
pub(crate) struct Verdict {
    pub(crate) score: u32,
    reported: Vec<u32>,
    /// Numbers of the exclusions whose path fits.
    excluded: Vec<u16>,
    pub(crate) args: u32,
    /// Whether no page of the same host led to the request, by its Referer.
    pub(crate) foreign: bool,
}

impl Verdict {
    /// Note which exclusions hold for `path`.
    pub(crate) fn set_path(&mut self, config: &Config, path: &[u8]) {
        self.excluded = (0..)
            .zip(&config.exclusions)
            .filter(|(_, exclusion)| exclusion.path.as_ref().is_none_or(|prefix| path.starts_with(prefix.as_bytes())))
            .map(|(number, _)| number)
            .collect();
    }
}

/// Takes the values of one request, in their order.
pub(crate) struct Inspector<'a> {
    pub(crate) engine: &'a mut Engine,
    pub(crate) verdict: &'a mut Verdict,
    pub(crate) out: &'a mut dyn FnMut(Finding<'_>),
}

impl Inspector<'_> {
    /// Report a check that is code.
    pub(crate) fn report(&mut self, rule: &Rule, place: Place<'_>, data: &[u8]) {
        if rule.level <= self.engine.config.paranoia_level {
            report(&self.engine.config, self.verdict, self.out, rule, place, data);
        }
    }

    /// Run every check that looks at `place` on `value`, whose first encoding is undone already.
    pub(crate) fn value(&mut self, place: Place<'_>, value: &[u8]) {
        if value.is_empty() {
            return;
        }
        let classes = normalise::classes(value);
        let Engine { config, checks, patterns, lowered, text, spare } = &mut *self.engine;
        let (verdict, out) = (&mut *self.verdict, &mut *self.out);
        let bit = place.part.bit();
        let mut scan = |form: &[u8], forms: u8, verdict: &mut Verdict, out: &mut dyn FnMut(Finding<'_>)| {
            let wanted = |number: usize| checks[number].on & bit != 0 && checks[number].forms & forms != 0;
            patterns.scan(form, wanted, |number, end| {
                let check = &checks[number];
                let rule = Rule {
                    id: check.id,
                    severity: check.severity,
                    level: check.level,
                    category: check.category,
                    message: check.message,
                };
                report(config, verdict, out, &rule, place, &form[end.saturating_sub(MOST_DATA)..end]);
            });
        };
        normalise::lower(value, lowered);
        text.clear();
        text.extend_from_slice(value);
        let changes = class::PERCENT | class::AMPERSAND | class::BACKSLASH | class::NUL | class::HIGH;
        if classes & changes == 0 {
            core::mem::swap(text, lowered);
            scan(text, form::RAW | form::TEXT, verdict, out);
        } else {
            normalise::text(text, classes, spare);
            if text == lowered {
                scan(text, form::RAW | form::TEXT, verdict, out);
            } else {
                scan(lowered, form::RAW, verdict, out);
                scan(text, form::TEXT, verdict, out);
            }
        }
        let classes = if classes & changes == 0 { classes } else { normalise::classes(text) };
        // The other forms are of no use for what only a page's header carries.
        let commands = bit & (checks::VALUES | Part::Referer.bit()) != 0;
        if commands {
            if let Some((kind, data)) = shell::command(text) {
                report(config, verdict, out, checks::shell_rule(kind), place, data);
            }
        }
        if classes & class::SHELL != 0 && normalise::command(text, spare) {
            scan(spare, form::COMMAND, verdict, out);
            if commands {
                if let Some((kind, data)) = shell::command(spare) {
                    report(config, verdict, out, checks::shell_rule(kind), place, data);
                }
            }
        }
        if classes & class::SLASH != 0 && normalise::comments(text, spare) {
            scan(spare, form::COMMENTS, verdict, out);
        }
        if classes & (class::SLASH | class::BACKSLASH) != 0 && normalise::path(text, spare) {
            scan(spare, form::PATH, verdict, out);
        }
        if bit & checks::VALUES != 0 && classes & (class::SPECIAL | class::HIGH) != 0 {
            if let Some(data) = sql::injection(text) {
                if checks::SQL_TOKENS.level <= config.paranoia_level {
                    report(config, verdict, out, &checks::SQL_TOKENS, place, data);
                }
            }
        }
        if bit & (checks::VALUES | Part::UserAgent.bit() | Part::Referer.bit()) != 0 && classes & class::SPECIAL != 0 {
            if let Some((kind, data)) = html::script(text) {
                report(config, verdict, out, checks::html_rule(kind), place, data);
            }
        }
    }
}

fn report(
    config: &Config,
    verdict: &mut Verdict,
    out: &mut dyn FnMut(Finding<'_>),
    rule: &Rule,
    place: Place<'_>,
    data: &[u8],
) {
    if verdict.reported.len() >= MOST_FINDINGS || verdict.reported.contains(&rule.id) {
        return;
    }
    let excluded = verdict.excluded.iter().filter_map(|number| config.exclusions.get(usize::from(*number))).any(|exclusion| {
        exclusion.check.is_none_or(|id| id == rule.id)
            && exclusion.category.is_none_or(|category| category == rule.category)
            && exclusion.parameter.as_ref().is_none_or(|name| name.as_bytes() == place.name)
    });
    if excluded {
        return;
    }
    verdict.reported.push(rule.id);
    verdict.score += rule.severity.points();
    out(Finding {
        id: rule.id,
        severity: rule.severity,
        category: rule.category,
        message: rule.message,
        place,
        data: &data[..data.len().min(MOST_DATA)],
        score: verdict.score,
    });
}
