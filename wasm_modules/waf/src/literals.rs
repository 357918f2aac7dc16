//! Which literals a text must have for a pattern to match: what the prefilter searches for.

use alloc::{collections::BTreeSet, vec, vec::Vec};

use regex_syntax::hir::{Hir, HirKind};

use crate::{prefilter::Prefilter, rarity::Rarity};

/// Literals of which one must be there.
pub(crate) type AnyOf = BTreeSet<Vec<u8>>;

/// Most literals of one set; a set that would be larger is not used.
const MOST: usize = 600;
/// Most literals of one set that are made of two sets' literals.
const JOINED: usize = 100;
/// Most bytes of a literal that are searched for: its rarest.
const CORE: usize = 6;
const _: () = assert!(CORE <= Prefilter::LONGEST);
/// Most sets of one pattern.
const SETS: usize = 3;

/// What is known of an expression.
#[derive(Default)]
struct Known {
    /// All that it matches, when that is few strings.
    exact: Option<AnyOf>,
    /// Strings of which all that it matches begins with one, and ends with one; where it is not exact.
    head: Option<AnyOf>,
    tail: Option<AnyOf>,
    /// Sets that it requires.
    required: Vec<AnyOf>,
}

impl Known {
    fn nothing() -> Self {
        Self::default()
    }

    fn exact(set: AnyOf) -> Self {
        Self { exact: Some(set), ..Self::default() }
    }

    fn heads(&self) -> Option<&AnyOf> {
        self.exact.as_ref().or(self.head.as_ref())
    }

    fn tails(&self) -> Option<&AnyOf> {
        self.exact.as_ref().or(self.tail.as_ref())
    }

    /// All required sets, with the exact one made into one.
    fn sets(self) -> Vec<AnyOf> {
        let mut sets = self.required;
        sets.extend(self.exact.filter(usable));
        sets
    }
}

fn usable(set: &AnyOf) -> bool {
    !set.is_empty() && set.iter().all(|literal| !literal.is_empty())
}

/// How well a set selects: by its worst literal, whose length counts, and of single bytes which are rare; then few of them.
fn worth(set: &AnyOf) -> (usize, usize) {
    let one = |literal: &Vec<u8>| match literal[..] {
        [b'a'..=b'z' | b'0'..=b'9' | b' ' | b'.' | b','] => 0,
        [b'\'' | b'"' | b'-' | b'\n' | b'(' | b')' | b':' | b';' | b'/'] => 1,
        [_] => 2,
        _ => literal.len() + 1,
    };
    (set.iter().map(one).min().unwrap_or(0).min(7), MOST.saturating_sub(set.len()))
}

/// The sets by what they select, best first, with how often one of each is met in ordinary text.
fn ranked(sets: Vec<AnyOf>, rarity: &Rarity) -> Vec<(u32, AnyOf)> {
    let met = |set: &AnyOf| set.iter().fold(0_u32, |sum, literal| sum.saturating_add(rarity.met(literal)));
    let mut sets: Vec<(u32, AnyOf)> = sets.into_iter().map(|set| (met(&set), set)).collect();
    sets.sort_by_key(|(met, set)| (*met, core::cmp::Reverse(worth(set))));
    sets.dedup();
    sets
}

/// Sets of literals; in a text that a pattern matches there is one of each set. Best first; empty when nothing is required.
/// One that is not met in ordinary text is enough; else there are several, without those that are met all the time.
pub(crate) fn required(hir: &Hir, rarity: &Rarity) -> Vec<AnyOf> {
    let sets = analyse(hir, rarity).sets().into_iter();
    let cores = sets.map(|set| set.iter().map(|literal| core(literal, rarity).to_vec()).collect());
    let sets = ranked(cores.collect(), rarity);
    let Some((least, _)) = sets.first() else { return Vec::new() };
    let most = if *least == 0 { 1 } else { SETS };
    let limit = least.saturating_mul(8);
    sets.into_iter().take(most).filter(|(met, _)| *met <= limit).map(|(_, set)| set).collect()
}

fn core<'a>(literal: &'a [u8], rarity: &Rarity) -> &'a [u8] {
    literal.windows(CORE.min(literal.len())).min_by_key(|window| rarity.of(window)).unwrap_or(literal)
}

fn analyse(hir: &Hir, rarity: &Rarity) -> Known {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Known::exact(AnyOf::from([vec![]])),
        HirKind::Literal(literal) => Known::exact(AnyOf::from([literal.0.to_vec()])),
        HirKind::Class(class) => match class.literal() {
            Some(literal) => Known::exact(AnyOf::from([literal])),
            None => small_class(hir),
        },
        HirKind::Capture(capture) => analyse(&capture.sub, rarity),
        HirKind::Repetition(repetition) => match (repetition.min, repetition.max) {
            (0, Some(1)) => {
                let mut exact = analyse(&repetition.sub, rarity).exact;
                if let Some(set) = &mut exact {
                    set.insert(vec![]);
                }
                Known { exact, ..Known::default() }
            }
            (0, _) => Known::nothing(),
            (1, Some(1)) => analyse(&repetition.sub, rarity),
            // `x+` begins with an `x` and ends with one.
            _ => {
                let known = analyse(&repetition.sub, rarity);
                let (head, tail) = (known.heads().cloned(), known.tails().cloned());
                Known { exact: None, head, tail, required: known.sets() }
            }
        },
        HirKind::Concat(parts) => concat(parts, rarity),
        HirKind::Alternation(parts) => alternation(parts, rarity),
    }
}

/// A class of few bytes is as good as their alternation.
fn small_class(hir: &Hir) -> Known {
    let HirKind::Class(regex_syntax::hir::Class::Bytes(class)) = hir.kind() else { return Known::nothing() };
    let count: usize = class.ranges().iter().map(|range| usize::from(range.end() - range.start()) + 1).sum();
    if count > 12 {
        return Known::nothing();
    }
    Known::exact(class.ranges().iter().flat_map(|range| (range.start()..=range.end()).map(|byte| vec![byte])).collect())
}

fn concat(parts: &[Hir], rarity: &Rarity) -> Known {
    let mut required = Vec::new();
    // The strings that a run of exact parts makes together, and the end of what is before it.
    let mut run = Some(AnyOf::from([vec![]]));
    let mut head = None;
    let mut all_exact = true;
    for part in parts {
        let known = analyse(part, rarity);
        let joined = run.as_ref().and_then(|run| product(run, known.heads()?));
        if known.exact.is_some() && joined.is_some() {
            run = joined;
            continue;
        }
        // What is before, with what the part begins with, is required; with what the part ends with a new run begins.
        let ended = joined.or(run);
        if all_exact {
            head = ended.clone();
        }
        all_exact = false;
        required.extend(ended.filter(usable));
        run = Some(known.tails().cloned().unwrap_or_else(|| AnyOf::from([vec![]])));
        required.extend(known.sets());
    }
    if all_exact {
        return Known { exact: run, required, ..Known::default() };
    }
    required.extend(run.clone().filter(usable));
    Known { exact: None, head, tail: run, required }
}

fn product(heads: &AnyOf, tails: &AnyOf) -> Option<AnyOf> {
    let joined = || heads.iter().flat_map(|head| tails.iter().map(move |tail| [head.as_slice(), tail].concat()));
    (heads.len() * tails.len() <= JOINED.max(heads.len()).max(tails.len())).then(|| joined().collect())
}

fn alternation(parts: &[Hir], rarity: &Rarity) -> Known {
    let known: Vec<Known> = parts.iter().map(|part| analyse(part, rarity)).collect();
    if known.iter().all(|known| known.exact.is_some()) {
        let set: AnyOf = known.into_iter().filter_map(|known| known.exact).flatten().collect();
        return if set.len() <= MOST { Known::exact(set) } else { Known::nothing() };
    }
    let union = |of: fn(&Known) -> Option<&AnyOf>| {
        let all: Option<AnyOf> =
            known.iter().map(of).collect::<Option<Vec<_>>>().map(|sets| sets.into_iter().flatten().cloned().collect());
        all.filter(|set| set.len() <= MOST)
    };
    let (head, tail) = (union(Known::heads), union(Known::tails));
    // One set for all: the best of each.
    let mut any = AnyOf::new();
    for known in known {
        let Some((_, set)) = ranked(known.sets(), rarity).into_iter().next() else {
            return Known { head, tail, ..Known::default() };
        };
        any.extend(set);
        if any.len() > MOST {
            return Known { head, tail, ..Known::default() };
        }
    }
    Known { exact: None, head, tail, required: vec![any] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(pattern: &str) -> Vec<Vec<&'static str>> {
        let hir = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern).unwrap();
        required(&hir, &Rarity::new())
            .into_iter()
            .map(|set| set.into_iter().map(|l| &*String::from_utf8(l).unwrap().leak()).collect())
            .collect()
    }

    #[test]
    fn what_must_be_there() {
        for (pattern, texts) in [
            ("union[ ]+select", &["union select", "union   select"][..]),
            ("or .* and", &["or x and", "or  and"]),
            (r"\b(?:sleep|benchmark) ?\(", &["sleep(", "sleep (", "benchmark("]),
            ("a(?:bc)?d", &["abcd", "ad"]),
            ("(?:foo|ba.r)x", &["foox", "ba-rx"]),
            (r"\.\.[/\\]+", &["../", r"..\\"]),
            ("x(?:ab+c|de?f)y", &["xabbcy", "xdefy", "xdfy"]),
        ] {
            let sets = sets(pattern);
            assert!(!sets.is_empty(), "{pattern}");
            for text in texts {
                assert!(sets.iter().all(|set| set.iter().any(|literal| text.contains(literal))), "{text} {sets:?}");
            }
        }
        assert_eq!(sets("x(?:ab+c|de?f)y"), [["xab", "xdef", "xdf"]], "joined with what a part begins with");
        assert!(sets(".*").is_empty());
        assert!(sets("(?:foo|.)x*").is_empty());
    }
}
