//! Many patterns on one text: one pass of an automaton over their literals says which of them can match at all, and
//! only those run, each as a lazy DFA.

use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input as Search};
use regex_automata::{
    Input,
    hybrid::dfa::{Cache, DFA},
    nfa::thompson::{self, WhichCaptures},
};
use regex_syntax::hir::{Class, Hir, HirKind};

use crate::literals;

/// Most bytes that the states of one pattern's DFA take before they are made anew.
const STATES: usize = 256 << 10;

/// A longer text is searched in segments of this many bytes, so that literals far apart make no pattern run.
const SEGMENT: usize = 2048;
/// How many bytes of a segment are in the next one too: what matches is not longer, as a rule.
const OVERLAP: usize = 256;

/// One alternative of a pattern with its DFA, whose states are made when they are first met.
#[derive(Debug)]
struct Branch {
    /// Number of the pattern.
    pattern: u16,
    dfa: DFA,
    states: Option<Cache>,
    /// Sets of literals that must each be met.
    sets: u8,
}

/// Patterns over bytes, each with a number. They see text in small letters where one space stands for any
/// run of white space: so `\s*` is one space or none, and literals around it make longer ones.
#[derive(Debug)]
pub(crate) struct Patterns {
    literals: AhoCorasick,
    /// For each literal the branches and sets that it fulfils.
    fulfils: Vec<Vec<(u16, u8)>>,
    branches: Vec<Branch>,
    /// Sets met in the segment at hand, one bit each, for every branch.
    met: Vec<u8>,
    /// Branches of which some set was met.
    touched: Vec<u16>,
    /// Literals met in the segment at hand.
    seen: Vec<bool>,
    seen_list: Vec<usize>,
}

impl Patterns {
    /// Compile `patterns`, each with its number; with `spaces`, for text that has one space for any run of white space.
    ///
    /// # Errors
    /// The pattern that does not compile or has no literal that it requires, for people.
    pub(crate) fn new<'a>(patterns: impl Iterator<Item = (u16, &'a str)>, spaces: bool) -> Result<Self, String> {
        let mut literals: Vec<Vec<u8>> = Vec::new();
        let mut numbers = alloc::collections::BTreeMap::new();
        let mut fulfils: Vec<Vec<(u16, u8)>> = Vec::new();
        let mut compiled = Vec::new();
        for (pattern, text) in patterns {
            let hir = parse(text)?;
            for hir in alternatives(if spaces { one_space(hir) } else { hir }) {
                let branch = u16::try_from(compiled.len()).map_err(|_| "too many patterns".to_string())?;
                let sets = literals::required(&hir);
                if sets.is_empty() {
                    return Err(format!("pattern {text}: no literal is required"));
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
                let sets = u8::try_from((1_u32 << sets.len()) - 1).unwrap_or(u8::MAX);
                let dfa = dfa(&hir).map_err(|error| format!("pattern {text}: {error}"))?;
                compiled.push(Branch { pattern, dfa, states: None, sets });
            }
        }
        let count = literals.len();
        let literals = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::DFA))
            .prefilter(false)
            .build(&literals)
            .map_err(|error| error.to_string())?;
        let met = vec![0; compiled.len()];
        Ok(Self {
            literals,
            fulfils,
            branches: compiled,
            met,
            touched: Vec::new(),
            seen: vec![false; count],
            seen_list: Vec::new(),
        })
    }

    /// Call `found` with the number of each pattern that `wanted` names and that matches in `text`, and the end of its
    /// first match.
    pub(crate) fn scan(&mut self, text: &[u8], wanted: impl Fn(usize) -> bool, mut found: impl FnMut(usize, usize)) {
        let mut start = 0;
        loop {
            let end = text.len().min(start + SEGMENT);
            self.segment(text, start, end, &wanted, &mut found);
            if end == text.len() {
                return;
            }
            start = end - OVERLAP;
        }
    }

    fn segment(
        &mut self,
        text: &[u8],
        start: usize,
        end: usize,
        wanted: &impl Fn(usize) -> bool,
        found: &mut impl FnMut(usize, usize),
    ) {
        for hit in self.literals.find_overlapping_iter(Search::new(text).span(start..end)) {
            let literal = hit.pattern().as_usize();
            if core::mem::replace(&mut self.seen[literal], true) {
                continue;
            }
            self.seen_list.push(literal);
            for &(branch, set) in &self.fulfils[literal] {
                let met = &mut self.met[usize::from(branch)];
                if *met == 0 {
                    self.touched.push(branch);
                }
                *met |= 1 << set;
            }
        }
        for literal in self.seen_list.drain(..) {
            self.seen[literal] = false;
        }
        self.touched.sort_unstable();
        for number in self.touched.drain(..).map(usize::from) {
            let met = core::mem::take(&mut self.met[number]);
            let Branch { pattern, dfa, states, sets } = &mut self.branches[number];
            let pattern = usize::from(*pattern);
            if met == *sets && wanted(pattern) {
                let states = states.get_or_insert_with(|| dfa.create_cache());
                let input = Input::new(text).span(start..end).earliest(true);
                // It fails only where a DFA is configured to give up or to stop at some byte, which none is.
                if let Ok(Some(end)) = dfa.try_search_fwd(states, &input) {
                    found(pattern, end.offset());
                }
            }
        }
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
        patterns.scan(text.as_bytes(), |_| true, |number, _| all.push(number));
        all
    }

    #[test]
    fn patterns_are_found_by_their_literals_and_then_themselves() {
        let mut patterns =
            Patterns::new([(0, r"\bunion\s+.*\bselect\b"), (1, r"\.\./"), (2, "x(?:y|z)+")].into_iter(), true).unwrap();
        assert_eq!(found(&mut patterns, "1 union all select 2 ../ xz"), [0, 1, 2]);
        assert!(found(&mut patterns, "select union xa").is_empty());
        assert_eq!(found(&mut patterns, "../"), [1]);
        assert!(Patterns::new([(0, ".*")].into_iter(), true).unwrap_err().contains("no literal"));
    }
}
