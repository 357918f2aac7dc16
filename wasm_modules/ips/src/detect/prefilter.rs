//! One automaton for the patterns of many rules: which rules are worth a closer look.

use alloc::vec::Vec;

use aho_corasick::{
    Anchored, MatchKind, StartKind,
    automaton::{Automaton, StateID},
    dfa, nfa,
};

/// An automaton over patterns, each the reason to look at some rules.
#[derive(Debug)]
pub struct Prefilter {
    machine: Machine,
    start: StateID,
    /// Rules of each pattern.
    rules: Vec<Vec<u32>>,
    /// No pattern can end after this many bytes from the buffer's start.
    pub reach: usize,
}

#[derive(Debug)]
enum Machine {
    Dfa(dfa::DFA),
    Nfa(nfa::contiguous::NFA),
}

/// Patterns before they are an automaton.
#[derive(Debug, Default)]
pub struct Patterns {
    numbers: hashbrown::HashMap<Vec<u8>, usize>,
    bytes: Vec<Vec<u8>>,
    rules: Vec<Vec<u32>>,
    reach: usize,
}

impl Patterns {
    /// Rule number `rule` is worth a look where `pattern`, in lower case, is found.
    pub fn add(&mut self, pattern: &[u8], end: Option<usize>, rule: u32) {
        let next = self.bytes.len();
        let number = *self.numbers.entry_ref(pattern).or_insert(next);
        if number == next {
            self.bytes.push(pattern.to_vec());
            self.rules.push(Vec::new());
        }
        self.rules[number].push(rule);
        self.reach = self.reach.max(end.unwrap_or(usize::MAX));
    }

    /// Bytes of all patterns together.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.iter().map(Vec::len).sum()
    }

    /// The automaton: a DFA when it takes at most `budget` bytes, of which what it takes is subtracted. `None` without
    /// patterns.
    ///
    /// # Errors
    /// The patterns are too many for an automaton.
    pub fn build(self, budget: &mut usize) -> Result<Option<Prefilter>, aho_corasick::BuildError> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        // A state of the DFA has a row of at most 256 numbers of 4 bytes; case folding leaves about half of them.
        let machine = if self.size().saturating_mul(512) <= *budget {
            let dfa = dfa::DFA::builder()
                .match_kind(MatchKind::Standard)
                .start_kind(StartKind::Unanchored)
                .ascii_case_insensitive(true)
                .prefilter(false)
                .build(&self.bytes)?;
            *budget = budget.saturating_sub(dfa.memory_usage());
            Machine::Dfa(dfa)
        } else {
            Machine::Nfa(
                nfa::contiguous::NFA::builder()
                    .match_kind(MatchKind::Standard)
                    .ascii_case_insensitive(true)
                    .prefilter(false)
                    .build(&self.bytes)?,
            )
        };
        let start = match &machine {
            Machine::Dfa(dfa) => dfa.start_state(Anchored::No),
            Machine::Nfa(nfa) => nfa.start_state(Anchored::No),
        };
        // Unanchored starts are what both were made for.
        let Ok(start) = start else { return Ok(None) };
        Ok(Some(Prefilter { machine, start, rules: self.rules, reach: self.reach }))
    }
}

impl Prefilter {
    /// The state before any data.
    #[must_use]
    pub fn start(&self) -> StateID {
        self.start
    }

    /// Bytes that it takes.
    #[must_use]
    pub fn memory(&self) -> usize {
        match &self.machine {
            Machine::Dfa(dfa) => dfa.memory_usage(),
            Machine::Nfa(nfa) => nfa.memory_usage(),
        }
    }

    /// Whether it is a DFA.
    #[must_use]
    pub fn is_dfa(&self) -> bool {
        matches!(self.machine, Machine::Dfa(_))
    }

    /// Go on from `state` over `data`; `found` gets a rule and how many bytes of `data` had gone by where its pattern
    /// ended. Gives the state after.
    pub fn scan(&self, state: StateID, data: &[u8], found: impl FnMut(u32, usize)) -> StateID {
        match &self.machine {
            Machine::Dfa(dfa) => run(dfa, &self.rules, state, data, found),
            Machine::Nfa(nfa) => run(nfa, &self.rules, state, data, found),
        }
    }
}

#[inline(always)]
fn run<A: Automaton>(
    machine: &A,
    rules: &[Vec<u32>],
    mut state: StateID,
    data: &[u8],
    mut found: impl FnMut(u32, usize),
) -> StateID {
    for (at, byte) in data.iter().enumerate() {
        state = machine.next_state(Anchored::No, state, *byte);
        if machine.is_special(state) && machine.is_match(state) {
            for nth in 0..machine.match_len(state) {
                let pattern = machine.match_pattern(state, nth);
                for rule in &rules[pattern.as_usize()] {
                    found(*rule, at + 1);
                }
            }
        }
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_across_pieces_with_either_machine() {
        for mut budget in [0, 1 << 20] {
            let mut patterns = Patterns::default();
            patterns.add(b"abcd", None, 1);
            patterns.add(b"cd", Some(9), 2);
            patterns.add(b"cd", None, 3);
            let filter = patterns.build(&mut budget).unwrap().unwrap();
            for step in [1, 2, 3, 10] {
                let (mut state, mut found) = (filter.start(), Vec::new());
                for part in b"xABcdx".chunks(step) {
                    state = filter.scan(state, part, |rule, _| found.push(rule));
                }
                found.sort_unstable();
                assert_eq!(found, [1, 2, 3]);
            }
        }
        assert!(Patterns::default().build(&mut 0).unwrap().is_none());
    }
}
