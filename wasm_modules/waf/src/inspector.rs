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
    /// Patterns of all checks but those of lines, and those of lines.
    patterns: Patterns,
    lines: Patterns,
    text: Vec<u8>,
    scratch: [Vec<u8>; 2],
}

impl Engine {
    pub(crate) fn new(config: Config) -> Result<Self, String> {
        let checks: Vec<Check> =
            checks::all().filter(|check| check.rule.level <= config.paranoia_level).copied().collect();
        let numbered = || (0..).zip(&checks);
        let of_lines = |check: &Check| check.forms == form::LINES;
        let patterns = Patterns::new(numbered().filter(|(_, check)| !of_lines(check)).map(pattern), true)?;
        let lines = Patterns::new(numbered().filter(|(_, check)| of_lines(check)).map(pattern), false)?;
        Ok(Self { config, checks, patterns, lines, text: Vec::new(), scratch: [Vec::new(), Vec::new()] })
    }
}

fn pattern((number, check): (u16, &Check)) -> (u16, &'static str) {
    (number, check.pattern)
}

/// What a check is, whether it is code or a pattern.
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
        report(&self.engine.config, self.verdict, self.out, rule, place, data);
    }

    /// Run every check that looks at `place` on `value`, whose first encoding is undone already.
    pub(crate) fn value(&mut self, place: Place<'_>, value: &[u8]) {
        if value.is_empty() {
            return;
        }
        let Engine { config, checks, patterns, lines, text, scratch } = &mut *self.engine;
        let mut judge = Judge { config, checks, place, verdict: &mut *self.verdict, out: &mut *self.out };
        let [plain, spare] = scratch;
        let classes = normalise::classes(value);
        // `plain` is the text with white space as it was; `text` has one space for any run.
        normalise::lower(value, plain);
        let mut forms = form::RAW | form::TEXT;
        if classes & class::ENCODED != 0 {
            plain.clear();
            plain.extend_from_slice(value);
            normalise::text(plain, classes, spare);
            if !plain.eq_ignore_ascii_case(value) {
                normalise::lower(value, spare);
                normalise::one_space(spare, text);
                judge.scan(patterns, text, form::RAW);
                forms = form::TEXT;
            }
        }
        let classes = if forms == form::TEXT { normalise::classes(plain) } else { classes };
        normalise::one_space(plain, text);
        judge.scan(patterns, text, forms);
        if classes & class::LINE != 0 {
            judge.scan(lines, plain, form::LINES);
        }
        if classes & class::SLASH != 0 {
            if normalise::comments(text, spare) {
                judge.scan(patterns, spare, form::COMMENTS);
            }
            if normalise::path(text, spare) {
                judge.scan(patterns, spare, form::PATH);
            }
        } else if classes & class::BACKSLASH != 0 && normalise::path(text, spare) {
            judge.scan(patterns, spare, form::PATH);
        }
        judge.code(plain, text, spare, classes, patterns);
    }
}

/// What is needed to judge one value.
struct Judge<'a> {
    config: &'a Config,
    checks: &'a [Check],
    place: Place<'a>,
    verdict: &'a mut Verdict,
    out: &'a mut dyn FnMut(Finding<'_>),
}

impl Judge<'_> {
    fn scan(&mut self, patterns: &mut Patterns, text: &[u8], forms: u8) {
        let (checks, bit) = (self.checks, self.place.part.bit());
        let wanted = |number: usize| checks[number].on & bit != 0 && checks[number].forms & forms != 0;
        patterns.scan(text, wanted, |number, end| {
            self.report(&checks[number].rule, &text[end.saturating_sub(MOST_DATA)..end]);
        });
    }

    /// The checks that read a value as SQL, a shell or a browser does. `lines` has white space as it was, `text` one space
    /// for any run.
    fn code(&mut self, lines: &[u8], text: &[u8], spare: &mut Vec<u8>, classes: u16, patterns: &mut Patterns) {
        let bit = self.place.part.bit();
        if bit & (checks::VALUES | checks::AGENT) == 0 {
            return;
        }
        if bit & Part::UserAgent.bit() == 0 {
            if let Some((kind, data)) = shell::command(lines) {
                self.report(checks::shell_rule(kind), data);
            }
            if classes & class::SHELL != 0 && normalise::command(lines, spare) {
                if let Some((kind, data)) = shell::command(spare) {
                    self.report(checks::shell_rule(kind), data);
                }
                // A quote alone, as in any text, hides no phrase of a shell.
                if classes & class::PHRASE != 0 {
                    self.scan(patterns, spare, form::COMMAND);
                }
            }
        }
        if classes & class::SPECIAL == 0 {
            return;
        }
        if bit & checks::VALUES != 0
            && let Some(data) = sql::injection(lines)
        {
            self.report(&checks::SQL_TOKENS, data);
        }
        if let Some((kind, data)) = html::script(text) {
            self.report(checks::html_rule(kind), data);
        }
    }

    fn report(&mut self, rule: &Rule, data: &[u8]) {
        report(self.config, self.verdict, self.out, rule, self.place, data);
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
    if rule.level > config.paranoia_level
        || verdict.reported.len() >= MOST_FINDINGS
        || verdict.reported.contains(&rule.id)
    {
        return;
    }
    let excluded =
        verdict.excluded.iter().filter_map(|number| config.exclusions.get(usize::from(*number))).any(|exclusion| {
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
