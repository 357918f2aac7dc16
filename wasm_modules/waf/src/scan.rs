//! Many patterns on one text: one pass over it finds literals that they require, and only those run whose literals are there,
//! around these, each as a lazy DFA. The few that require none, of high paranoia levels, run on every text.

use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};

use core::ops::Range;

use regex_automata::{
    Input,
    hybrid::dfa::{Cache, DFA},
    nfa::thompson::{self, WhichCaptures},
};
use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, Hir, HirKind};

use crate::{
    literals::{self, AnyOf},
    prefilter::Prefilter,
    rarity::Rarity,
};

/// Most bytes that the states of one pattern's DFA take before they are made anew.
const STATES: usize = 256 << 10;
/// How far around a literal a pattern is searched: what matches is not longer, as a rule.
const AROUND: usize = 512;
/// How far apart literals that it requires together may be.
const APART: u64 = 1024;

/// Alternatives of a pattern that require the same literals, with their DFA, whose states are made when they are first met.
#[derive(Debug)]
struct Branch {
    /// Number of the pattern.
    pattern: u16,
    dfa: DFA,
    states: Option<Cache>,
    /// For each set of literals behind which position one of it was met last.
    met: Vec<u64>,
    /// Up to which position it was searched.
    searched: u64,
}

/// Patterns over bytes, each with a number. They see text in small letters where one space stands for any
/// run of white space: so `\s*` is one space or none, and literals around it make longer ones.
#[derive(Debug)]
pub(crate) struct Patterns {
    literals: Prefilter,
    /// Where the branches and sets that each literal fulfils begin in `fulfilled`, and their end.
    fulfils: Vec<u32>,
    fulfilled: Vec<(u16, u8)>,
    branches: Vec<Branch>,
    /// Those of them that require no literal.
    always: Vec<u16>,
    /// Positions count on from text to text, so that nothing has to be forgotten between them.
    position: u64,
}

impl Patterns {
    /// Compile `patterns`, each with its number; with `spaces`, for text that has one space for any run of white space.
    ///
    /// # Errors
    /// The pattern that does not compile, or matches where nothing is, for people.
    pub(crate) fn new<'a>(
        patterns: impl Iterator<Item = (u16, &'a str)>,
        spaces: bool,
        rarity: &Rarity,
    ) -> Result<Self, String> {
        let mut literals: Vec<Vec<u8>> = Vec::new();
        let mut numbers = BTreeMap::new();
        let mut fulfils: Vec<Vec<(u16, u8)>> = Vec::new();
        let (mut branches, mut always) = (Vec::new(), Vec::new());
        for (pattern, text) in patterns {
            let hir = parse(text)?;
            if hir.properties().minimum_len() == Some(0) {
                return Err(format!("pattern {text}: it matches everywhere"));
            }
            let mut alike: BTreeMap<Vec<AnyOf>, Vec<Hir>> = BTreeMap::new();
            for hir in alternatives(if spaces { one_space(hir) } else { hir }) {
                alike.entry(literals::required(&hir, rarity)).or_default().push(hir);
            }
            for (sets, hirs) in alike {
                let branch = u16::try_from(branches.len()).map_err(|_| "too many patterns".to_string())?;
                if sets.is_empty() {
                    always.push(branch);
                }
                for (set, any_of) in (0..).zip(&sets) {
                    for literal in any_of {
                        let at = *numbers.entry(literal.clone()).or_insert_with(|| {
                            literals.push(literal.clone());
                            fulfils.push(Vec::new());
                            literals.len() - 1
                        });
                        fulfils[at].push((branch, set));
                    }
                }
                let dfa = dfa(&Hir::alternation(hirs)).map_err(|error| format!("pattern {text}: {error}"))?;
                branches.push(Branch { pattern, dfa, states: None, met: vec![0; sets.len()], searched: 0 });
            }
        }
        if literals.len() > usize::from(u16::MAX) {
            return Err(format!("{} literals are too many", literals.len()));
        }
        // What was never met is far behind the first text.
        let position = 1 + APART;
        let (mut starts, mut fulfilled) = (vec![0], Vec::new());
        for mut each in fulfils {
            fulfilled.append(&mut each);
            starts.push(fulfilled.len() as u32);
        }
        Ok(Self { literals: Prefilter::new(&literals, rarity), fulfils: starts, fulfilled, branches, always, position })
    }

    /// Call `found` with the number of each pattern that `wanted` names and that matches in `text`, and the end of a match.
    pub(crate) fn scan(
        &mut self,
        text: &Text<'_>,
        wanted: impl Fn(usize) -> bool,
        mut found: impl FnMut(usize, usize),
    ) {
        let Self { literals, fulfils, fulfilled, branches, always, position } = self;
        let base = *position;
        for branch in always {
            let branch = &mut branches[usize::from(*branch)];
            if wanted(usize::from(branch.pattern))
                && let Some(end) = branch.search(text, text.inside.clone())
            {
                found(usize::from(branch.pattern), end);
            }
        }
        let looked = &text.bytes[text.changed.clone()];
        let offset = text.changed.start;
        literals.find(looked, |literal, start, end| {
            let literal = usize::from(literal);
            for &(branch, set) in &fulfilled[fulfils[literal] as usize..fulfils[literal + 1] as usize] {
                let branch = &mut branches[usize::from(branch)];
                if wanted(usize::from(branch.pattern))
                    && let Some(end) = branch.meet(usize::from(set), text, base, start + offset, end + offset)
                {
                    found(usize::from(branch.pattern), end);
                }
            }
        });
        *position += text.bytes.len() as u64 + 1 + APART;
    }
}

/// What is searched.
#[derive(Debug)]
pub(crate) struct Text<'a> {
    bytes: &'a [u8],
    /// A text may be part of a longer one: then it has a byte of that at its start or end, which is none of it.
    inside: Range<usize>,
    /// Where it can have literals that were not found before.
    changed: Range<usize>,
}

impl<'a> Text<'a> {
    /// All of `bytes`, or all but a first and a last one that are its neighbours in a longer text.
    pub(crate) fn new(bytes: &'a [u8], first: bool, last: bool) -> Self {
        let end = bytes.len() - usize::from(!last).min(bytes.len());
        let inside = usize::from(!first).min(end)..end;
        Self { bytes, inside, changed: 0..bytes.len() }
    }

    /// `bytes` as a form of this text, which was searched.
    pub(crate) fn form<'b>(&self, bytes: &'b [u8]) -> Text<'b> {
        let same = |(one, other): &(&u8, &u8)| one == other;
        let head = self.bytes.iter().zip(bytes).take_while(same).count();
        let tail = self.bytes[head..].iter().rev().zip(bytes[head..].iter().rev()).take_while(same).count();
        let (from, to) = (head.saturating_sub(AROUND), bytes.len().min(bytes.len() - tail + AROUND));
        let whole = Text::new(bytes, self.inside.start == 0, self.inside.end == self.bytes.len());
        Text { changed: from..to, ..whole }
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

impl Branch {
    /// A literal of a set is in `text`, whose first byte has the position `base`. Where a match ends that is around it, when
    /// there is one and it was not found before.
    fn meet(&mut self, set: usize, text: &Text<'_>, base: u64, start: usize, end: usize) -> Option<usize> {
        let now = base + end as u64;
        self.met[set] = now;
        let first = self.met.iter().copied().min()?;
        if first + APART < now || now <= self.searched {
            return None;
        }
        // Positions of this text are not below `base`: one of a text before is further off than that.
        let first = usize::try_from(first.saturating_sub(base)).unwrap_or(0).min(start);
        let inside = &text.inside;
        let (from, to) = (first.saturating_sub(AROUND).max(inside.start), (end + AROUND).min(inside.end));
        // Half of what lies behind: a literal further on has enough in front of it when the next search begins.
        self.searched = base + if to == inside.end { text.bytes.len() } else { to - AROUND / 2 } as u64;
        let found = self.search(text, from.min(to)..to)?;
        self.searched = base + text.bytes.len() as u64;
        Some(found)
    }

    /// Where a match ends in a part of `text`, when there is one.
    fn search(&mut self, text: &Text<'_>, part: Range<usize>) -> Option<usize> {
        let states = self.states.get_or_insert_with(|| self.dfa.create_cache());
        let input = Input::new(text.bytes).span(part).earliest(true);
        // It fails only where a DFA is configured to give up or to stop at some byte, which none is.
        Some(self.dfa.try_search_fwd(states, &input).ok()??.offset())
    }
}

/// `\s` as a space, and any number of them as one.
fn one_space(hir: Hir) -> Hir {
    let white = |hir: &Hir| match hir.kind() {
        HirKind::Class(Class::Bytes(class)) => {
            let inside = |byte: u8| matches!(byte, b'\t'..=b'\r' | b' ');
            let mut ranges = class.ranges().iter().peekable();
            ranges.peek().is_some()
                && ranges.all(|range| inside(range.start()) && inside(range.end()))
                && class.ranges().iter().any(|range| range.end() == b' ')
        }
        _ => false,
    };
    let space = || Hir::literal(*b" ");
    if white(&hir) {
        return space();
    }
    match hir.into_kind() {
        HirKind::Repetition(mut repetition) => {
            if white(&repetition.sub) {
                repetition.min = repetition.min.min(1);
                repetition.max = Some(1);
            }
            repetition.sub = one_space(*repetition.sub).into();
            Hir::repetition(repetition)
        }
        HirKind::Capture(capture) => one_space(*capture.sub),
        HirKind::Concat(parts) => Hir::concat(parts.into_iter().map(one_space).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.into_iter().map(one_space).collect()),
        // The text has no other white space.
        HirKind::Class(Class::Bytes(mut class)) => {
            let others = [ClassBytesRange::new(b'\t', b'\r')];
            class.difference(&ClassBytes::new(others));
            Hir::class(Class::Bytes(class))
        }
        kind => rebuilt(kind),
    }
}

/// The alternatives that a pattern is made of: each requires literals of its own.
fn alternatives(hir: Hir) -> Vec<Hir> {
    match hir.into_kind() {
        HirKind::Alternation(parts) => parts.into_iter().flat_map(alternatives).collect(),
        HirKind::Capture(capture) => alternatives(*capture.sub),
        HirKind::Concat(parts) => distribute(parts),
        kind => vec![rebuilt(kind)],
    }
}

/// A sequence that begins or ends with an alternation of few parts, as an alternation of sequences.
fn distribute(parts: Vec<Hir>) -> Vec<Hir> {
    let wide = |part: &Hir| match part.kind() {
        HirKind::Alternation(parts) => (2..=12).contains(&parts.len()),
        HirKind::Capture(capture) => {
            matches!(capture.sub.kind(), HirKind::Alternation(parts) if (2..=12).contains(&parts.len()))
        }
        _ => false,
    };
    let Some(at) = parts.iter().rposition(wide) else { return vec![Hir::concat(parts)] };
    let (before, rest) = parts.split_at(at);
    alternatives(rest[0].clone())
        .into_iter()
        .map(|part| Hir::concat(before.iter().cloned().chain([part]).chain(rest[1..].iter().cloned()).collect()))
        .collect()
}

fn rebuilt(kind: HirKind) -> Hir {
    match kind {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(literal) => Hir::literal(literal.0),
        HirKind::Class(class) => Hir::class(class),
        HirKind::Look(look) => Hir::look(look),
        HirKind::Repetition(repetition) => Hir::repetition(repetition),
        HirKind::Capture(capture) => *capture.sub,
        HirKind::Concat(parts) => Hir::concat(parts),
        HirKind::Alternation(parts) => Hir::alternation(parts),
    }
}

fn parse(text: &str) -> Result<Hir, String> {
    regex_syntax::ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .dot_matches_new_line(true)
        .build()
        .parse(text)
        .map_err(|error| format!("pattern {text}: {error}"))
}

fn dfa(hir: &Hir) -> Result<DFA, String> {
    let nfa = thompson::Compiler::new()
        .configure(thompson::Config::new().utf8(false).which_captures(WhichCaptures::None))
        .build_from_hir(hir)
        .map_err(|error| error.to_string())?;
    DFA::builder()
        .configure(DFA::config().cache_capacity(STATES).skip_cache_capacity_check(true))
        .build_from_nfa(nfa)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(patterns: &mut Patterns, text: &str) -> Vec<usize> {
        let mut all = Vec::new();
        patterns.scan(&Text::new(text.as_bytes(), true, true), |_| true, |number, _| all.push(number));
        all
    }

    #[test]
    fn patterns_are_found_by_their_literals_and_then_themselves() {
        let mut patterns = Patterns::new(
            [(0, r"\bunion\s+.*\bselect\b"), (1, r"\.\./"), (2, "x(?:y|z)+")].into_iter(),
            true,
            &Rarity::new(),
        )
        .unwrap();
        assert_eq!(found(&mut patterns, "1 union all select 2 ../ xz"), [0, 1, 2]);
        assert!(found(&mut patterns, "select union xa").is_empty());
        assert_eq!(found(&mut patterns, "../"), [1]);
        assert!(Patterns::new([(0, ".*")].into_iter(), true, &Rarity::new()).unwrap_err().contains("everywhere"));
    }

    #[test]
    fn a_pattern_without_a_literal_is_searched_in_every_text() {
        let mut patterns = Patterns::new([(0, "(?:[^a-z ][a-z ]*){3}")].into_iter(), true, &Rarity::new()).unwrap();
        assert_eq!(found(&mut patterns, "one; two; three;"), [0]);
        assert!(found(&mut patterns, "one; two; three").is_empty());
    }
}
