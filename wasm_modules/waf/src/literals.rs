//! Which literals a text must have for a pattern to match: what the prefilter searches for.

use alloc::{collections::BTreeSet, vec, vec::Vec};

use regex_syntax::hir::{Hir, HirKind};

/// Literals of which one must be there.
pub(crate) type AnyOf = BTreeSet<Vec<u8>>;

/// Most literals of one set; a set that would be larger is not used.
const MOST: usize = 600;
/// Most sets of one pattern.
const SETS: usize = 4;

/// What is known of an expression: all that it matches, when that is few strings, and sets that it requires.
struct Known {
    exact: Option<AnyOf>,
    required: Vec<AnyOf>,
}

impl Known {
    fn nothing() -> Self {
        Self { exact: None, required: Vec::new() }
    }

    fn exact(set: AnyOf) -> Self {
        Self { exact: Some(set), required: Vec::new() }
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

fn best(mut sets: Vec<AnyOf>, most: usize) -> Vec<AnyOf> {
    sets.sort_by_key(|set| core::cmp::Reverse(worth(set)));
    sets.dedup();
    sets.truncate(most);
    sets
}

/// Text as people write it: a literal that is in it is met everywhere.
const ORDINARY: &str = "it's said that they (all of them) don't know, \"why\"; but if you ask for help - or call us at 10:30 - then we'll be \
    there. i'm not sure this is what the others want, so let me tell you: first, read the whole page, and then write down \
    where to find it! have you ever been to a house like that? some people are as good as new in 5 or 6 days, do what they \
    like, make a set of 3, play on from time to time, put it into a box, show it, move it, turn it over, open it or close it. \
    when will you start? i can't get it; she has been the best of these 2 men, so here is my name, my number and our last \
    line. each one of us may come with a large file, a short list, a copy, a table, a group or a user who is on top. after all, \
    between you and me, it is just a case of in and out, up and down. (see above) no, he would not. an order by mail, please! \
    she'd sort, search, cut, input, load, print and change them again. yes/no, and/or. error: none = ok";

/// Whether no literal of the set is met in ordinary text.
fn rare(set: &AnyOf) -> bool {
    let text = ORDINARY.as_bytes();
    set.iter().all(|literal| !text.windows(literal.len()).any(|window| window == &literal[..]))
}

/// Sets of literals; in a text that a pattern matches there is one of each set. Best first; empty when nothing is required.
/// One that is met in attacks only is enough; else there are several.
pub(crate) fn required(hir: &Hir) -> Vec<AnyOf> {
    let sets = best(analyse(hir).sets(), usize::MAX);
    if let Some(set) = sets.iter().find(|set| rare(set)) {
        return vec![set.clone()];
    }
    best(sets, SETS)
}

fn analyse(hir: &Hir) -> Known {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Known::exact(AnyOf::from([vec![]])),
        HirKind::Literal(literal) => Known::exact(AnyOf::from([literal.0.to_vec()])),
        HirKind::Class(class) => match class.literal() {
            Some(literal) => Known::exact(AnyOf::from([literal])),
            None => small_class(hir),
        },
        HirKind::Capture(capture) => analyse(&capture.sub),
        HirKind::Repetition(repetition) => match (repetition.min, repetition.max) {
            (0, Some(1)) => {
                let mut known = analyse(&repetition.sub);
                known.required.clear();
                if let Some(set) = &mut known.exact {
                    set.insert(vec![]);
                }
                known
            }
            (0, _) => Known::nothing(),
            (1, Some(1)) => analyse(&repetition.sub),
            _ => Known { exact: None, required: analyse(&repetition.sub).sets() },
        },
        HirKind::Concat(parts) => concat(parts),
        HirKind::Alternation(parts) => alternation(parts),
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

fn concat(parts: &[Hir]) -> Known {
    let mut required = Vec::new();
    // The strings that a run of exact parts makes together.
    let mut run = Some(AnyOf::from([vec![]]));
    let mut all_exact = true;
    for part in parts {
        // `x+` begins with an `x` and ends with one.
        let repeated = match part.kind() {
            HirKind::Repetition(repetition) if repetition.min >= 1 && repetition.max != Some(1) => {
                Some(&repetition.sub)
            }
            _ => None,
        };
        let known = analyse(repeated.map_or(part, |sub| sub));
        required.extend(known.required);
        let joined = match (&run, &known.exact) {
            (Some(run), Some(exact)) if run.len() * exact.len() <= MOST => Some(
                run.iter()
                    .flat_map(|head| exact.iter().map(move |tail| [head.as_slice(), tail].concat()))
                    .collect::<AnyOf>(),
            ),
            _ => None,
        };
        if joined.is_none() || repeated.is_some() {
            all_exact = false;
            required.extend(run.take().filter(usable));
            required.extend(joined.filter(usable));
            run = Some(known.exact.unwrap_or_else(|| AnyOf::from([vec![]])));
        } else {
            run = joined;
        }
    }
    if all_exact {
        return Known { exact: run, required };
    }
    required.extend(run.filter(usable));
    Known { exact: None, required }
}

fn alternation(parts: &[Hir]) -> Known {
    let known: Vec<Known> = parts.iter().map(analyse).collect();
    if known.iter().all(|known| known.exact.is_some()) {
        let set: AnyOf = known.into_iter().filter_map(|known| known.exact).flatten().collect();
        return if set.len() <= MOST { Known::exact(set) } else { Known::nothing() };
    }
    // One set for all: the best of each.
    let mut any = AnyOf::new();
    for known in known {
        let Some(set) = best(known.sets(), 1).pop() else { return Known::nothing() };
        any.extend(set);
        if any.len() > MOST {
            return Known::nothing();
        }
    }
    Known { exact: None, required: vec![any] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(pattern: &str) -> Vec<Vec<&'static str>> {
        let hir = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern).unwrap();
        required(&hir)
            .into_iter()
            .map(|set| set.into_iter().map(|l| &*String::from_utf8(l).unwrap().leak()).collect())
            .collect()
    }

    #[test]
    fn what_must_be_there() {
        assert_eq!(sets("union[ ]+select"), [["union "]]);
        assert_eq!(sets("or .* and"), [[" and"], ["or "]]);
        assert_eq!(sets(r"\b(?:sleep|benchmark) ?\("), [["benchmark (", "benchmark(", "sleep (", "sleep("]]);
        assert_eq!(sets("a(?:bc)?d"), [["abcd", "ad"]]);
        assert_eq!(sets("(?:foo|ba.r)x"), [["ba", "foo"]]);
        assert_eq!(sets(r"\.\.[/\\]"), [[r"../", r"..\"]]);
        assert!(sets(".*").is_empty());
        assert!(sets("(?:foo|.)x*").is_empty());
    }
}
