//! Rules that can never match: an earlier one matches everything that they match.
//!
//! A rule is measured against one other at a time. One that only several earlier rules cover together is not found.

use std::collections::{BTreeSet, HashMap};

use ipnet::IpNet;

use super::{Address, Matcher, PortRange, Protocol, Rule, RuleId, Ruleset, ordered, precedence};

/// Source and destination ports of a rule, each first and last; -1 stands for a packet without ports, be it a later
/// fragment. Such a packet meets neither field, or both, so a field that is not given holds all ports beside one that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ports([(i32, i32); 2]);

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
/// grows with the number of prefix lengths; only among rules of the same prefixes and protocol with its square.
#[must_use]
pub fn shadows(ruleset: &Ruleset) -> Vec<Shadow> {
    let rules = ordered(ruleset);
    let mut index = Index::default();
    let mut found = Vec::new();
    for (at, &rule) in rules.iter().enumerate() {
        if ruleset.monitors(rule) || !is_plain(&rule.matcher) {
            continue;
        }
        match index.first_covering(&rule.matcher) {
            Some(by) => found.push(shadow(rule, rules[by])),
            // Only rules that can match are kept: what a shadowed one covers, the one before it covers as well.
            None => index.add(&rule.matcher, at),
        }
    }
    found
}

fn shadow(rule: &Rule, by: &Rule) -> Shadow {
    let same = covers(&rule.matcher, &by.matcher) && rule.action == by.action;
    let overlap = if same { Overlap::Duplicate } else { Overlap::Shadowed };
    Shadow { rule: rule.id, by: by.id, overlap, field: precedence(by, rule).1 }
}

/// Whether the fields that are measured are all that the rule has.
fn is_plain(matcher: &Matcher) -> bool {
    let prefix = |address: &Option<Address>| address.as_ref().is_none_or(|address| address.net().is_some());
    let range = |ports: &Option<super::Ports>| ports.as_ref().is_none_or(|ports| ports.ranges().len() == 1);
    let plain = prefix(&matcher.src) && prefix(&matcher.dst) && range(&matcher.sport) && range(&matcher.port);
    plain && matcher.tcp_flags.is_none() && matcher.vlan.is_none()
}

/// Whether `a` matches every packet that `b` matches.
fn covers(a: &Matcher, b: &Matcher) -> bool {
    let nets = match (nets(a), nets(b)) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some((a_src, a_dst)), Some((b_src, b_dst))) => a_src.contains(&b_src) && a_dst.contains(&b_dst),
    };
    nets && a.proto.is_none_or(|proto| b.proto == Some(proto)) && Ports::of(a).cover(Ports::of(b))
}

impl Ports {
    fn of(matcher: &Matcher) -> Self {
        let first = |ports: &Option<super::Ports>| ports.as_ref().map(|ports| ports.ranges()[0]);
        let fields = [first(&matcher.sport), first(&matcher.port)];
        let lowest = if fields == [None, None] { -1 } else { 0 };
        let ends = |range: PortRange| (i32::from(range.first), i32::from(range.last));
        Self(fields.map(|field| field.map_or((lowest, i32::from(u16::MAX)), ends)))
    }

    fn cover(self, other: Self) -> bool {
        let [a, b] = [self.0, other.0];
        a[0].0 <= b[0].0 && b[0].1 <= a[0].1 && a[1].0 <= b[1].0 && b[1].1 <= a[1].1
    }
}

/// Source and destination prefix; where one is given, the other is all of its family. None means both families.
fn nets(matcher: &Matcher) -> Option<(IpNet, IpNet)> {
    let all = |net: IpNet| cut(net, 0).unwrap_or(net);
    match (matcher.src_net(), matcher.dst_net()) {
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

/// Rules that can match, by destination, then by source and protocol: most destinations that are asked for have none.
#[derive(Debug, Default)]
struct Index {
    // None: rules of both families.
    by_dst: HashMap<Option<IpNet>, Sources>,
    dst_lengths: BTreeSet<u8>,
}

/// Source and protocol of a rule.
type SourceKey = (Option<IpNet>, Option<Protocol>);

/// Rules of one destination, each list in order.
#[derive(Debug, Default)]
struct Sources {
    by_src: HashMap<SourceKey, Vec<(usize, Ports)>>,
    src_lengths: BTreeSet<u8>,
}

impl Index {
    fn add(&mut self, matcher: &Matcher, at: usize) {
        let (src, dst) = nets(matcher).unzip();
        self.dst_lengths.extend(dst.map(|net| net.prefix_len()));
        let sources = self.by_dst.entry(dst).or_default();
        sources.src_lengths.extend(src.map(|net| net.prefix_len()));
        sources.by_src.entry((src, matcher.proto)).or_default().push((at, Ports::of(matcher)));
    }

    /// Place of the first rule that covers `matcher`.
    fn first_covering(&self, matcher: &Matcher) -> Option<usize> {
        let (src, dst) = nets(matcher).unzip();
        let sources = wider(dst, &self.dst_lengths).filter_map(|dst| self.by_dst.get(&dst));
        sources.filter_map(|sources| sources.first_covering(src, matcher)).min()
    }
}

impl Sources {
    fn first_covering(&self, src: Option<IpNet>, matcher: &Matcher) -> Option<usize> {
        let ports = Ports::of(matcher);
        let protos = [None, matcher.proto];
        let protos = &protos[..if matcher.proto.is_some() { 2 } else { 1 }];
        let keys = wider(src, &self.src_lengths).flat_map(|src| protos.iter().map(move |proto| (src, *proto)));
        let lists = keys.filter_map(|key| self.by_src.get(&key));
        // A list ascends, so its first is its best.
        lists.filter_map(|list| list.iter().find(|(_, other)| other.cover(ports))).map(|(at, _)| *at).min()
    }
}

/// What may cover `net`: everything, and the prefixes around it of these lengths.
fn wider(net: Option<IpNet>, lengths: &BTreeSet<u8>) -> impl Iterator<Item = Option<IpNet>> {
    let around = net.into_iter().flat_map(|net| lengths.iter().map_while(move |len| cut(net, *len)));
    around.map(Some).chain([None])
}

#[cfg(test)]
#[path = "shadow_tests.rs"]
mod tests;
