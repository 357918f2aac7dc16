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
use regex_syntax::hir::Hir;

use crate::literals;

/// Most bytes that the states of one pattern's DFA take before they are made anew.
const STATES: usize = 256 << 10;

/// One pattern with its DFA, whose states are made when they are first met.
#[derive(Debug)]
struct Pattern {
    dfa: DFA,
    states: Option<Cache>,
    /// Sets of literals that must each be met.
    sets: u8,
}

/// Patterns over bytes, numbered from 0 in the order given. They see text in small letters.
#[derive(Debug)]
pub(crate) struct Patterns {
    literals: AhoCorasick,
    /// For each literal the patterns and sets that it fulfils.
    fulfils: Vec<Vec<(u16, u8)>>,
    patterns: Vec<Pattern>,
    /// Sets met in the text at hand, one bit each, for every pattern.
    met: Vec<u8>,
    /// Patterns of which some set was met.
    touched: Vec<u16>,
    /// Literals met in the text at hand.
    seen: Vec<bool>,
    seen_list: Vec<usize>,
}

impl Patterns {
    /// Compile `patterns`.
    ///
    /// # Errors
    /// The pattern that does not compile or has no literal that it requires, for people.
    pub(crate) fn new<'a>(patterns: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut literals: Vec<Vec<u8>> = Vec::new();
        let mut numbers = alloc::collections::BTreeMap::new();
        let mut fulfils: Vec<Vec<(u16, u8)>> = Vec::new();
        let mut compiled = Vec::new();
        for (number, text) in (0..).zip(patterns) {
            let hir = parse(text)?;
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
                    fulfils[at].push((number, set));
                }
            }
            let sets = u8::try_from((1_u32 << sets.len()) - 1).unwrap_or(u8::MAX);
            compiled.push(Pattern { dfa: dfa(&hir).map_err(|error| format!("pattern {text}: {error}"))?, states: None, sets });
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
            patterns: compiled,
            met,
            touched: Vec::new(),
            seen: vec![false; count],
            seen_list: Vec::new(),
        })
    }

    /// Call `found` with the number of each pattern that `wanted` names and that matches in `text`, and the end of its
    /// first match.
    pub(crate) fn scan(&mut self, text: &[u8], wanted: impl Fn(usize) -> bool, mut found: impl FnMut(usize, usize)) {
        for hit in self.literals.find_overlapping_iter(Search::new(text)) {
            let literal = hit.pattern().as_usize();
            if core::mem::replace(&mut self.seen[literal], true) {
                continue;
            }
            self.seen_list.push(literal);
            for &(pattern, set) in &self.fulfils[literal] {
                let met = &mut self.met[usize::from(pattern)];
                if *met == 0 {
                    self.touched.push(pattern);
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
            let pattern = &mut self.patterns[number];
            if met == pattern.sets && wanted(number) {
                let Pattern { dfa, states, .. } = pattern;
                let states = states.get_or_insert_with(|| dfa.create_cache());
                // It fails only where a DFA is configured to give up or to stop at some byte, which none is.
                if let Ok(Some(end)) = dfa.try_search_fwd(states, &Input::new(text).earliest(true)) {
                    found(number, end.offset());
                }
            }
        }
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
        let mut patterns = Patterns::new([r"\bunion\b.*\bselect\b", r"\.\./", "x(?:y|z)+"].into_iter()).unwrap();
        assert_eq!(found(&mut patterns, "1 union all select 2 ../ xz"), [0, 1, 2]);
        assert_eq!(found(&mut patterns, "select union xa"), []);
        assert_eq!(found(&mut patterns, "../"), [1]);
        assert!(Patterns::new([".*"].into_iter()).unwrap_err().contains("no literal"));
    }
}
