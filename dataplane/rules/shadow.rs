//! Rules that can never match: an earlier one matches everything that they match.
//!
//! A rule is measured against one other at a time. One that only several earlier rules cover together is not found. Nor
//! is one whose set happens to lie within another set or a prefix: sets change while the rules stay.

use std::collections::{BTreeSet, HashMap};

use ipnet::IpNet;

use super::{Address, Matcher, Ports, Protocol, Rule, RuleId, Ruleset, ordered, precedence};

/// How a rule that never matches stands to the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// Both match the same and do the same.
    Duplicate,
    /// The earlier one matches more, or does something else.
    Shadowed,
}

/// A rule that never matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadow {
    /// The rule.
    pub rule: RuleId,
    /// The first rule, in order, that matches all that it matches.
    pub by: RuleId,
    /// How the two stand to each other.
    pub overlap: Overlap,
    /// Field that puts `by` first.
    pub field: &'static str,
}

/// Every enabled rule that never matches, in order. A monitored rule decides nothing, so it shadows no rule but another
/// monitored one, for only the first of those counts a packet. Rules are found by their addresses, protocol and VLAN, so
/// that the time grows with the number of prefix lengths; only among rules that are equal in those with its square.
#[must_use]
pub fn shadows(ruleset: &Ruleset) -> Vec<Shadow> {
    let rules = ordered(ruleset);
    let (mut enforced, mut monitored) = (Index::default(), Index::default());
    let mut found = Vec::new();
    for (at, &rule) in rules.iter().enumerate() {
        let watches = ruleset.monitors(rule);
        let by = enforced.first_covering(&rule.matcher);
        let by_monitored = watches.then(|| monitored.first_covering(&rule.matcher)).flatten();
        match by.into_iter().chain(by_monitored).min() {
            Some(by) => found.push(shadow(ruleset, rule, rules[by])),
            // Only rules that can match are kept: what a shadowed one covers, the one before it covers as well.
            None => if watches { &mut monitored } else { &mut enforced }.add(&rule.matcher, at),
        }
    }
    found
}

/// Why `rule`, which is one of `ruleset`, never matches; `None` when it does or is disabled. Takes one look at each of
/// the other rules.
#[must_use]
pub fn shadow_of(ruleset: &Ruleset, rule: &Rule) -> Option<Shadow> {
    let before = |other: &&Rule| {
        other.enabled
            && other.id != rule.id
            && (!ruleset.monitors(other) || ruleset.monitors(rule))
            && precedence(other, rule).0.is_lt()
            && covers(&other.matcher, &rule.matcher)
    };
    let first = ruleset.rules.iter().filter(before).min_by(|a, b| precedence(a, b).0);
    first.filter(|_| rule.enabled).map(|by| shadow(ruleset, rule, by))
}

fn shadow(ruleset: &Ruleset, rule: &Rule, by: &Rule) -> Shadow {
    let same = rule.action == by.action && ruleset.monitors(rule) == ruleset.monitors(by);
    let same = same && covers(&rule.matcher, &by.matcher);
    let overlap = if same { Overlap::Duplicate } else { Overlap::Shadowed };
    Shadow { rule: rule.id, by: by.id, overlap, field: precedence(by, rule).1 }
}

/// Whether `a` matches every packet that `b` matches.
pub(super) fn covers(a: &Matcher, b: &Matcher) -> bool {
    let [src, dst] = sides(b);
    src.within(a.src.as_ref())
        && dst.within(a.dst.as_ref())
        && a.proto.is_none_or(|proto| b.proto == Some(proto))
        && a.vlan.is_none_or(|vlan| b.vlan == Some(vlan))
        && Transport::of(a).covers(Transport::of(b))
}

/// What a rule asks of the transport header.
#[derive(Debug, Clone, Copy)]
struct Transport<'a>(&'a Matcher);

impl<'a> Transport<'a> {
    fn of(matcher: &'a Matcher) -> Self {
        Self(matcher)
    }

    /// A rule that asks for nothing also matches packets without ports, be it a later fragment; one that asks for all
    /// ports does not cover it. Where one field is asked for, the other is all of its values.
    fn covers(self, other: Self) -> bool {
        let (a, b) = (self.0, other.0);
        if a.needs_transport() && !b.needs_transport() {
            return false;
        }
        let ports = ports_cover(a.port.as_ref(), b.port.as_ref()) && ports_cover(a.sport.as_ref(), b.sport.as_ref());
        let flags = a
            .tcp_flags
            .is_none_or(|a| b.tcp_flags.is_some_and(|b| a.set & b.set == a.set && a.clear & b.clear == a.clear));
        ports && flags
    }
}

/// Whether all ports of `b` are among those of `a`; none is all.
fn ports_cover(a: Option<&Ports>, b: Option<&Ports>) -> bool {
    let Some(a) = a else { return true };
    let within = |first: u16, last: u16| {
        let behind = a.ranges().partition_point(|range| range.first <= first);
        behind > 0 && last <= a.ranges()[behind - 1].last
    };
    // Between two ranges lies a port of neither, so a range is covered by one range or not at all.
    b.map_or_else(|| within(0, u16::MAX), |b| b.ranges().iter().all(|range| within(range.first, range.last)))
}

/// One side's address of a rule that may be covered.
#[derive(Debug, Clone, Copy)]
struct Side<'a> {
    address: Option<&'a Address>,
    /// All addresses of the family that the other side's prefix names: then no packet of another family matches.
    family: Option<IpNet>,
}

/// Source and destination.
fn sides(matcher: &Matcher) -> [Side<'_>; 2] {
    let family = matcher.src_net().or(matcher.dst_net()).and_then(|net| cut(net, 0));
    [&matcher.src, &matcher.dst].map(|address| Side { address: address.as_ref(), family })
}

impl<'a> Side<'a> {
    /// Whether all of it lies in `other`.
    fn within(self, other: Option<&Address>) -> bool {
        match (other, self.address) {
            (None, _) => true,
            (Some(Address::Net(other)), Some(Address::Net(net))) => other.contains(net),
            (Some(Address::Net(other)), _) => self.family.is_some_and(|family| other.contains(&family)),
            (Some(set), address) => address == Some(set),
        }
    }

    /// Every key that it may lie within: everything, its set or family, and the prefixes around it of these lengths.
    fn keys(self, lengths: &BTreeSet<u8>) -> impl Iterator<Item = Key<'a>> {
        let net = match self.address {
            Some(Address::Net(net)) => Some(*net),
            Some(Address::Set(_)) | None => self.family,
        };
        let around = net.into_iter().flat_map(|net| lengths.iter().map_while(move |len| cut(net, *len)));
        let set = self.address.and_then(Address::set).map(Key::Set);
        around.map(Key::Net).chain(set).chain([Key::Any])
    }
}

/// The prefix of `len` bits around `net`; none when `net` is shorter.
pub(super) fn cut(net: IpNet, len: u8) -> Option<IpNet> {
    if len > net.prefix_len() {
        return None;
    }
    IpNet::new(net.addr(), len).ok().map(|net| net.trunc())
}

/// One side's address of a rule that may cover others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key<'a> {
    Any,
    Net(IpNet),
    Set(&'a str),
}

impl<'a> Key<'a> {
    pub(super) fn of(address: Option<&'a Address>) -> Self {
        match address {
            None => Self::Any,
            Some(Address::Net(net)) => Self::Net(*net),
            Some(Address::Set(name)) => Self::Set(name),
        }
    }

    pub(super) fn length(self) -> Option<u8> {
        match self {
            Self::Net(net) => Some(net.prefix_len()),
            Self::Any | Self::Set(_) => None,
        }
    }
}

/// Rules that can match, by destination, then by source, protocol and VLAN: most destinations that are asked for have
/// none.
#[derive(Debug, Default)]
struct Index<'a> {
    by_dst: HashMap<Key<'a>, Sources<'a>>,
    dst_lengths: BTreeSet<u8>,
}

/// Source, protocol and VLAN of a rule.
type SourceKey<'a> = (Key<'a>, Option<Protocol>, Option<u16>);

/// Rules of one destination, each list in order.
#[derive(Debug, Default)]
struct Sources<'a> {
    by_src: HashMap<SourceKey<'a>, Vec<(usize, Transport<'a>)>>,
    src_lengths: BTreeSet<u8>,
}

impl<'a> Index<'a> {
    fn add(&mut self, matcher: &'a Matcher, at: usize) {
        let (src, dst) = (Key::of(matcher.src.as_ref()), Key::of(matcher.dst.as_ref()));
        self.dst_lengths.extend(dst.length());
        let sources = self.by_dst.entry(dst).or_default();
        sources.src_lengths.extend(src.length());
        let list = sources.by_src.entry((src, matcher.proto, matcher.vlan)).or_default();
        list.push((at, Transport::of(matcher)));
    }

    /// Place of the first rule that covers `matcher`.
    fn first_covering(&self, matcher: &Matcher) -> Option<usize> {
        let [src, dst] = sides(matcher);
        let sources = dst.keys(&self.dst_lengths).filter_map(|dst| self.by_dst.get(&dst));
        sources.filter_map(|sources| sources.first_covering(src, matcher)).min()
    }
}

impl Sources<'_> {
    fn first_covering(&self, src: Side<'_>, matcher: &Matcher) -> Option<usize> {
        let (protos, vlans) = (none_and(matcher.proto), none_and(matcher.vlan));
        let pairs = || protos.clone().flat_map(|proto| vlans.clone().map(move |vlan| (proto, vlan)));
        let keys = src.keys(&self.src_lengths).flat_map(|src| pairs().map(move |(proto, vlan)| (src, proto, vlan)));
        let lists = keys.filter_map(|key| self.by_src.get(&key));
        // A list ascends, so its first is its best.
        let wanted = Transport::of(matcher);
        lists.filter_map(|list| list.iter().find(|(_, other)| other.covers(wanted))).map(|(at, _)| *at).min()
    }
}

/// What may cover a field: none, and its own value.
fn none_and<T: Copy>(value: Option<T>) -> impl Iterator<Item = Option<T>> + Clone {
    [None].into_iter().chain(value.map(Some))
}

#[cfg(test)]
#[path = "shadow_tests.rs"]
pub(super) mod tests;
