//! Rules that can never match: an earlier one matches everything that they match.
//!
//! A rule is measured against one other at a time. One that only several earlier rules cover together is not found.

use std::collections::{BTreeSet, HashMap};

use ipnet::IpNet;

use super::{Matcher, PortRange, Protocol, Rule, RuleId, Ruleset, ordered, precedence};

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

/// Every enabled rule that never matches, in order. Rules are found by their prefixes and protocol, so that the time
/// grows with the number of different prefix lengths rather than with the square of the rules.
#[must_use]
pub fn shadows(ruleset: &Ruleset) -> Vec<Shadow> {
    let rules = ordered(ruleset);
    let mut index = Index::default();
    let mut found = Vec::new();
    for (at, &rule) in rules.iter().enumerate() {
        let scope = Scope::of(&rule.matcher);
        match index.first_covering(&rules, rule, scope) {
            Some(by) => found.push(shadow(rule, rules[by])),
            // Only rules that can match are kept: what a shadowed one covers, the one before it covers as well.
            None => index.add(scope, at),
        }
    }
    found
}

fn shadow(rule: &Rule, by: &Rule) -> Shadow {
    let same = covers(&rule.matcher, &by.matcher) && rule.action == by.action;
    let overlap = if same { Overlap::Duplicate } else { Overlap::Shadowed };
    Shadow { rule: rule.id, by: by.id, overlap, field: precedence(by, rule).1 }
}

/// Whether `a` matches every packet that `b` matches.
fn covers(a: &Matcher, b: &Matcher) -> bool {
    let nets = match (nets(a), nets(b)) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some((a_src, a_dst)), Some((b_src, b_dst))) => a_src.contains(&b_src) && a_dst.contains(&b_dst),
    };
    nets && a.proto.is_none_or(|proto| b.proto == Some(proto)) && ports_cover(a, b)
}

/// Whether the ports of `a` hold those of `b`. All ports are not the same as none given: a later fragment has no ports.
fn ports_cover(a: &Matcher, b: &Matcher) -> bool {
    let holds = |a: Option<PortRange>, b: Option<PortRange>| match (a, b) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(a), Some(b)) => a.first <= b.first && b.last <= a.last,
    };
    // One port field is enough to leave fragments and protocols without ports out, so the other may then be full.
    let has_ports = b.port.is_some() || b.sport.is_some();
    let filled = |range: Option<PortRange>| range.or(has_ports.then_some(PortRange { first: 0, last: u16::MAX }));
    holds(a.port, filled(b.port)) && holds(a.sport, filled(b.sport))
}

/// Source and destination prefix; where one is given, the other is all of its family. None means both families.
fn nets(matcher: &Matcher) -> Option<(IpNet, IpNet)> {
    let all = |net: IpNet| cut(net, 0).unwrap_or(net);
    match (matcher.src, matcher.dst) {
        (None, None) => None,
        (Some(src), dst) => Some((src, dst.unwrap_or_else(|| all(src)))),
        (None, Some(dst)) => Some((all(dst), dst)),
    }
}

/// The prefix of `len` bits around `net`; none when `net` is shorter.
fn cut(net: IpNet, len: u8) -> Option<IpNet> {
    if len > net.prefix_len() {
        return None;
    }
    IpNet::new(net.addr(), len).ok().map(|net| net.trunc())
}

/// What rules are found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Scope {
    nets: Option<(IpNet, IpNet)>,
    proto: Option<Protocol>,
}

impl Scope {
    fn of(matcher: &Matcher) -> Self {
        Self { nets: nets(matcher), proto: matcher.proto }
    }
}

/// Rules by scope, and the pairs of prefix lengths that there are.
#[derive(Debug, Default)]
struct Index {
    by_scope: HashMap<Scope, Vec<usize>>,
    lengths: BTreeSet<(u8, u8)>,
}

impl Index {
    fn add(&mut self, scope: Scope, at: usize) {
        if let Some((src, dst)) = scope.nets {
            self.lengths.insert((src.prefix_len(), dst.prefix_len()));
        }
        self.by_scope.entry(scope).or_default().push(at);
    }

    /// Place of the first rule that covers `rule`, whose scope is `scope`.
    fn first_covering(&self, rules: &[&Rule], rule: &Rule, scope: Scope) -> Option<usize> {
        let wider = self.lengths.iter().filter_map(|(src_len, dst_len)| {
            let (src, dst) = scope.nets?;
            Some((cut(src, *src_len)?, cut(dst, *dst_len)?))
        });
        let nets = wider.map(Some).chain([None]);
        let protos = [None, scope.proto];
        let protos = &protos[..if scope.proto.is_some() { 2 } else { 1 }];
        let scopes = nets.flat_map(|nets| protos.iter().map(move |proto| Scope { nets, proto: *proto }));
        let first = |scope: Scope| {
            let mut places = self.by_scope.get(&scope)?.iter().copied();
            places.find(|at| ports_cover(&rules[*at].matcher, &rule.matcher))
        };
        scopes.filter_map(first).min()
    }
}

#[cfg(test)]
#[path = "shadow_tests.rs"]
mod tests;
