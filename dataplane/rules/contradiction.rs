//! Rules that contradict each other: of one priority, with packets in common that they treat differently, while each
//! also matches packets of its own. The order decides between them, which nobody may have thought of.
//!
//! A rule within another is none: it is an exception from the other, or shadowed by it. A set may hold anything, so it
//! meets itself and rules without the field, but no other set and no prefix.

use std::{
    collections::{BTreeSet, HashMap},
    mem::discriminant,
};

use ipnet::IpNet;

use super::{
    Action, Address, Matcher, Ports, Protocol, Rule, RuleId, Ruleset, Shadow, ordered, precedence,
    shadow::{Key, covers, cut},
};

/// Most pairs that are named.
const NAMED: usize = 20;
/// Most pairs of rules that are compared: some 20 ms. Addresses keep most pairs of usual rulesets apart.
const COMPARED: usize = 1_000_000;

/// Two rules that contradict each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    /// The one that comes first: what both match meets it.
    pub first: RuleId,
    /// The other.
    pub second: RuleId,
    /// Field that puts `first` before `second`.
    pub field: &'static str,
}

/// The contradictions of a ruleset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contradictions {
    /// The first 20 that were found.
    pub pairs: Vec<Contradiction>,
    /// Number that were found.
    pub total: usize,
    /// Whether there were too many pairs to compare them all, so that there may be more.
    pub capped: bool,
}

/// The contradictions between enabled rules of `ruleset`. Rules in `shadows` never match, and monitored ones decide
/// nothing, so they are left out. Rules are found by their destinations or sources, and at most a million pairs are
/// compared.
#[must_use]
pub fn contradictions(ruleset: &Ruleset, shadows: &[Shadow]) -> Contradictions {
    let never: BTreeSet<RuleId> = shadows.iter().map(|shadow| shadow.rule).collect();
    let mut rules = ordered(ruleset);
    rules.retain(|rule| !ruleset.monitors(rule) && !never.contains(&rule.id));
    let mut search = Search { found: Contradictions::default(), left: COMPARED };
    for rules in rules.chunk_by(|a, b| a.priority == b.priority) {
        search.among(rules);
    }
    search.found
}

/// A search that has so many comparisons left.
#[derive(Debug)]
struct Search {
    found: Contradictions,
    left: usize,
}

impl Search {
    /// Compare `rules`, which are of one priority and in order, by the side that keeps more of them apart.
    fn among(&mut self, rules: &[&Rule]) {
        let sides =
            [Index::new(rules, |matcher| matcher.dst.as_ref()), Index::new(rules, |matcher| matcher.src.as_ref())];
        let Some(index) = sides.into_iter().min_by_key(Index::pairs) else { return };
        for (at, rule) in rules.iter().enumerate() {
            for &other in index.others(at) {
                if self.left == 0 {
                    self.found.capped = true;
                    return;
                }
                self.left -= 1;
                if contradict(rule, rules[other]) {
                    self.add(rules[at.min(other)], rules[at.max(other)]);
                }
            }
        }
    }

    fn add(&mut self, first: &Rule, second: &Rule) {
        self.found.total += 1;
        if self.found.pairs.len() < NAMED {
            let field = precedence(first, second).1;
            self.found.pairs.push(Contradiction { first: first.id, second: second.id, field });
        }
    }
}

/// Rules by their address on one side. Two addresses that meet are equal, or one lies within the other: then the pair is
/// found from the narrower one.
struct Index<'a> {
    keys: Vec<Key<'a>>,
    places: HashMap<Key<'a>, Vec<usize>>,
    lengths: BTreeSet<u8>,
}

impl<'a> Index<'a> {
    fn new(rules: &[&'a Rule], side: impl Fn(&'a Matcher) -> Option<&'a Address>) -> Self {
        let keys: Vec<Key<'a>> = rules.iter().map(|rule| Key::of(side(&rule.matcher))).collect();
        let mut places: HashMap<Key<'a>, Vec<usize>> = HashMap::new();
        for (at, key) in keys.iter().enumerate() {
            places.entry(*key).or_default().push(at);
        }
        let lengths = keys.iter().filter_map(|key| key.length()).collect();
        Self { keys, places, lengths }
    }

    /// Lists of the rules that `at` may meet, each pair once.
    fn lists(&self, at: usize) -> impl Iterator<Item = &[usize]> {
        let own = self.keys[at];
        around(own, &self.lengths).map(move |key| {
            let places = self.places.get(&key).map_or(&[][..], Vec::as_slice);
            if key == own { &places[..places.partition_point(|other| *other < at)] } else { places }
        })
    }

    fn others(&self, at: usize) -> impl Iterator<Item = &usize> {
        self.lists(at).flatten()
    }

    /// Number of pairs to compare.
    fn pairs(&self) -> usize {
        (0..self.keys.len()).flat_map(|at| self.lists(at)).map(<[usize]>::len).sum()
    }
}

/// Every address that meets `own` and is not narrower.
fn around<'a>(own: Key<'a>, lengths: &BTreeSet<u8>) -> impl Iterator<Item = Key<'a>> {
    let (net, set) = match own {
        Key::Net(net) => (Some(net), None),
        Key::Set(_) => (None, Some(own)),
        Key::Any => (None, None),
    };
    let nets = net.into_iter().flat_map(|net| lengths.iter().map_while(move |length| cut(net, *length)));
    nets.map(Key::Net).chain(set).chain([Key::Any])
}

fn contradict(a: &Rule, b: &Rule) -> bool {
    differ(&a.action, &b.action)
        && meet(&a.matcher, &b.matcher)
        && !covers(&a.matcher, &b.matcher)
        && !covers(&b.matcher, &a.matcher)
}

/// Whether one passes, drops or inspects, and the other does not. Two chains inspect.
fn differ(a: &Action, b: &Action) -> bool {
    discriminant(a) != discriminant(b)
}

/// Whether some packet matches both.
fn meet(a: &Matcher, b: &Matcher) -> bool {
    addresses_meet(a.src.as_ref(), b.src.as_ref())
        && addresses_meet(a.dst.as_ref(), b.dst.as_ref())
        && equal_or_any(is_v4(a), is_v4(b))
        && equal_or_any(a.vlan, b.vlan)
        && equal_or_any(a.proto, b.proto)
        && has_transport(a, b.proto)
        && has_transport(b, a.proto)
        && ports_meet(a.port.as_ref(), b.port.as_ref())
        && ports_meet(a.sport.as_ref(), b.sport.as_ref())
        && a.tcp_flags.zip(b.tcp_flags).is_none_or(|(a, b)| a.set & b.clear == 0 && a.clear & b.set == 0)
}

fn equal_or_any<T: PartialEq>(a: Option<T>, b: Option<T>) -> bool {
    a.zip(b).is_none_or(|(a, b)| a == b)
}

fn addresses_meet(a: Option<&Address>, b: Option<&Address>) -> bool {
    match (a, b) {
        (None, _) | (_, None) => true,
        (Some(Address::Net(a)), Some(Address::Net(b))) => a.contains(b) || b.contains(a),
        (Some(a), Some(b)) => a == b,
    }
}

/// The family that its prefixes name.
fn is_v4(matcher: &Matcher) -> Option<bool> {
    matcher.src_net().or(matcher.dst_net()).map(|net| matches!(net, IpNet::V4(_)))
}

/// Whether packets of `proto`, or of any protocol, can have what `matcher` asks of the transport header.
fn has_transport(matcher: &Matcher, proto: Option<Protocol>) -> bool {
    !matcher.needs_transport() || proto.is_none_or(Protocol::has_ports)
}

fn ports_meet(a: Option<&Ports>, b: Option<&Ports>) -> bool {
    let (Some(a), Some(b)) = (a, b) else { return true };
    let (mut a, mut b) = (a.ranges(), b.ranges());
    while let ([first, rest @ ..], [other, others @ ..]) = (a, b) {
        if first.last < other.first {
            a = rest;
        } else if other.last < first.first {
            b = others;
        } else {
            return true;
        }
    }
    false
}

#[cfg(test)]
#[path = "contradiction_tests.rs"]
mod tests;
