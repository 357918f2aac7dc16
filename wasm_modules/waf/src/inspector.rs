//! The state of one request's judgement: values go in, findings and a score come out.

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use memchr::memmem::Finder;

use crate::{
    checks::{self, Check, form},
    config::Config,
    finding::{Category, Finding, MOST_DATA, Part, Place, Severity},
    html,
    known::Known,
    normalise::{self, class},
    rarity::Rarity,
    response::Asked,
    scan::{Patterns, Text},
    shell, sql,
};

/// Most different checks that one request reports.
const MOST_FINDINGS: usize = 64;

/// What all requests share: configuration, compiled checks, buffers to work in.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) config: Config,
    checks: Vec<Check>,
    patterns: Vec<Group>,
    buffers: Buffers,
    known: Known,
    /// Requests whose heads came in the call at hand.
    pub(crate) asked: Asked,
    /// The end of a head: an empty line with CR, and without.
    pub(crate) head_ends: [Finder<'static>; 2],
    /// For each last letter of a restricted extension the letters before it, as bits.
    extensions: [u32; 32],
    /// For each length that a restricted header's name has, up to 63, the first letters of these, as bits.
    restricted: [u32; 64],
}

/// Patterns that look at the same parts of a request, and whether they see white space as it is.
#[derive(Debug)]
struct Group {
    on: u16,
    lines: bool,
    patterns: Patterns,
}

/// What is looked at by patterns of its own: what is met all the time in other parts says something there.
const OWN: [u16; 5] = [
    Part::Response.bit(),
    Part::Path.bit(),
    Part::UserAgent.bit(),
    Part::FileName.bit(),
    Part::FileName.bit() | Part::Header.bit(),
];

impl Engine {
    pub(crate) fn new(config: Config) -> Result<Self, String> {
        let unseen = if config.response_bytes == 0 { Part::Response.bit() } else { 0 };
        let checks: Vec<Check> = checks::all()
            .filter(|check| check.rule.level <= config.paranoia_level && check.on & unseen == 0)
            .copied()
            .collect();
        let mut groups: BTreeMap<(u16, bool), Vec<(u16, &str)>> = BTreeMap::new();
        for (number, check) in (0..).zip(&checks) {
            let on = if OWN.contains(&check.on) { check.on } else { !Part::Response.bit() };
            groups.entry((on, check.forms == form::LINES)).or_default().push((number, check.pattern));
        }
        let rarity = Rarity::new();
        let mut patterns = Vec::new();
        for ((on, lines), numbered) in groups {
            patterns.push(Group { on, lines, patterns: Patterns::new(numbered.into_iter(), !lines, &rarity)? });
        }
        let mut extensions = [0; 32];
        for extension in &config.restricted_extensions {
            match extension.as_bytes() {
                [.., before, last] => extensions[usize::from(last & 31)] |= 1 << (before & 31),
                [last] => extensions[usize::from(last & 31)] = u32::MAX,
                // With nothing every file ends.
                [] => extensions = [u32::MAX; 32],
            }
        }
        let mut restricted = [0; 64];
        for name in &config.restricted_headers {
            restricted[name.len().min(63)] |= letter(name.as_bytes());
        }
        Ok(Self {
            config,
            checks,
            patterns,
            buffers: Buffers::default(),
            known: Known::new(),
            asked: Asked::default(),
            head_ends: [Finder::new(b"\n\r\n"), Finder::new(b"\n\n")],
            extensions,
            restricted,
        })
    }

    /// Whether the name of a file ends with a restricted extension.
    pub(crate) fn restricts_file(&self, file: &[u8]) -> bool {
        let may_be = match file {
            [.., before, last] => self.extensions[usize::from(last & 31)] >> (before & 31) & 1 != 0,
            [last] => self.extensions[usize::from(last & 31)] == u32::MAX,
            [] => self.extensions[0] == u32::MAX,
        };
        may_be
            && self.config.restricted_extensions.iter().any(|extension| {
                let start = file.len().checked_sub(extension.len());
                start.is_some_and(|start| file[start..].eq_ignore_ascii_case(extension.as_bytes()))
            })
    }

    /// Whether a header of this name is restricted.
    pub(crate) fn restricts(&self, name: &[u8]) -> bool {
        self.restricted[name.len().min(63)] & letter(name) != 0
            && self.config.restricted_headers.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
    }
}

/// The first letter of a name as a bit, large or small.
fn letter(name: &[u8]) -> u32 {
    name.first().map_or(0, |first| 1 << (first & 31))
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
    /// How often a check found something, reported or not.
    met: usize,
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
        let slot = match self.engine.known.find(place.part, value) {
            Some((_, true)) => return,
            slot => slot,
        };
        let met = self.verdict.met;
        self.judge(place, value);
        if let Some((slot, _)) = slot
            && self.verdict.met == met
        {
            self.engine.known.remember(slot, place.part, value);
        }
    }

    fn judge(&mut self, place: Place<'_>, value: &[u8]) {
        let Engine { config, checks, patterns, buffers, .. } = &mut *self.engine;
        let mut judge = Judge { config, checks, patterns, place, verdict: &mut *self.verdict, out: &mut *self.out };
        if value.len() <= SEGMENT {
            let normal = buffers.normalise(value);
            judge.patterns(buffers, &normal, [true, true]);
            judge.code(buffers, &normal);
            return;
        }
        let mut start = 0;
        loop {
            let end = value.len().min(start + SEGMENT);
            // With a byte of what is around it, so that it has no start and no end that are none.
            let (from, to) = (start.saturating_sub(1), value.len().min(end + 1));
            let normal = buffers.normalise(&value[from..to]);
            judge.patterns(buffers, &normal, [start == 0, end == value.len()]);
            if end == value.len() {
                break;
            }
            start = end - OVERLAP;
        }
        if place.part.bit() & (checks::VALUES | checks::AGENT | checks::PATH) != 0 {
            let normal = buffers.normalise(value);
            judge.code(buffers, &normal);
        }
    }
}

/// Patterns see a longer value in segments of so many bytes: most of these have but one form.
const SEGMENT: usize = 2048;
/// How many bytes of a segment are in the next one too: what matches is not longer, as a rule.
const OVERLAP: usize = 256;

#[derive(Debug, Default)]
struct Buffers {
    /// In small letters, without encodings, with one space for any run of white space.
    text: Vec<u8>,
    /// As `text`, with white space as it was, where that is another.
    lines: Vec<u8>,
    /// As `text`, with encodings as they were, where that is another.
    raw: Vec<u8>,
    spare: Vec<u8>,
}

/// What is known of a value in the buffers.
#[derive(Debug)]
struct Normal {
    classes: u16,
    /// Whether it had an encoding that was undone.
    decoded: bool,
}

impl Buffers {
    fn normalise(&mut self, value: &[u8]) -> Normal {
        let Self { text, lines, raw, spare } = self;
        let mut classes = normalise::plain(value, text);
        let mut decoded = false;
        if classes & class::ENCODED != 0 {
            lines.clear();
            lines.extend_from_slice(value);
            normalise::text(lines, classes, spare);
            decoded = !lines.eq_ignore_ascii_case(value);
            if decoded {
                core::mem::swap(text, raw);
                classes = normalise::plain(lines, text);
            }
        }
        if classes & class::WHITE != 0 && !decoded {
            normalise::lower(value, lines);
        }
        Normal { classes, decoded }
    }

    fn lines(&self, normal: &Normal) -> &[u8] {
        if normal.classes & class::WHITE == 0 { &self.text } else { &self.lines }
    }
}

/// What is needed to judge one value.
struct Judge<'a> {
    config: &'a Config,
    checks: &'a [Check],
    patterns: &'a mut [Group],
    place: Place<'a>,
    verdict: &'a mut Verdict,
    out: &'a mut dyn FnMut(Finding<'_>),
}

impl Judge<'_> {
    /// Patterns, on each form of the value that is another. `ends` says whether it begins and ends where the value does.
    fn patterns(&mut self, buffers: &mut Buffers, normal: &Normal, ends: [bool; 2]) {
        let classes = normal.classes;
        let text = Text::new(&buffers.text, ends[0], ends[1]);
        if normal.decoded {
            self.scan(&Text::new(&buffers.raw, ends[0], ends[1]), form::RAW);
            self.scan(&text, form::TEXT);
        } else {
            self.scan(&text, form::RAW | form::TEXT);
        }
        let lines = buffers.lines(normal);
        if classes & class::LINE != 0 {
            self.scan(&Text::new(lines, ends[0], ends[1]), form::LINES);
        }
        let hides = classes & class::SHELL != 0 && normalise::hides(lines);
        let spare = &mut buffers.spare;
        if classes & (class::SLASH | class::STAR) == class::SLASH | class::STAR
            && normalise::comments(text.bytes(), spare)
        {
            self.scan(&text.form(spare), form::COMMENTS);
        }
        if classes & (class::SLASH | class::BACKSLASH) != 0 && normalise::path(text.bytes(), spare) {
            self.scan(&text.form(spare), form::PATH);
        }
        if hides && normalise::command(text.bytes(), spare) {
            self.scan(&text.form(spare), form::COMMAND);
        }
    }

    fn scan(&mut self, text: &Text<'_>, forms: u8) {
        let Self { config, checks, patterns, place, verdict, out } = self;
        let bit = place.part.bit();
        let wanted = |number: usize| checks[number].on & bit != 0 && checks[number].forms & forms != 0;
        let lines = forms == form::LINES;
        for group in patterns.iter_mut().filter(|group| group.lines == lines && group.on & bit != 0) {
            group.patterns.scan(text, wanted, |number, end| {
                let data = &text.bytes()[end.saturating_sub(MOST_DATA)..end];
                report(config, verdict, *out, &checks[number].rule, *place, data);
            });
        }
    }

    /// The checks that read a value as SQL, a shell or a browser does.
    fn code(&mut self, buffers: &mut Buffers, normal: &Normal) {
        let bit = self.place.part.bit();
        let classes = normal.classes;
        if bit & (checks::VALUES | checks::AGENT) == 0 {
            if bit & checks::PATH != 0 {
                self.markup(&buffers.text, classes);
            }
            return;
        }
        let lines = if classes & class::WHITE == 0 { &buffers.text } else { &buffers.lines };
        if bit & Part::UserAgent.bit() == 0 {
            if let Some((kind, data)) = shell::command(lines, classes & class::SEPARATOR != 0) {
                self.report(checks::shell_rule(kind), data);
            }
            if classes & class::SHELL != 0
                && normalise::hides(lines)
                && normalise::command(lines, &mut buffers.spare)
                && let Some((kind, data)) = shell::command(&buffers.spare, true)
            {
                self.report(checks::shell_rule(kind), data);
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
        self.markup(&buffers.text, classes);
    }

    fn markup(&mut self, text: &[u8], classes: u16) {
        if classes & class::LESS != 0
            && let Some((kind, data)) = html::script(text)
        {
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
    verdict.met += 1;
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
