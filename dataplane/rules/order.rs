//! Which of two rules comes first. The kernel and the reference model only ever find the first that matches.

use std::cmp::{Ordering, Reverse};

use ipnet::IpNet;

use super::{PortRange, Rule, Ruleset};

/// The enabled rules, first to match first.
#[must_use]
pub fn ordered(ruleset: &Ruleset) -> Vec<&Rule> {
    let mut rules: Vec<&Rule> = ruleset.rules.iter().filter(|rule| rule.enabled).collect();
    rules.sort_by(|a, b| precedence(a, b).0);
    rules
}

/// How `a` stands to `b` (`Less` means before), and the field that decides: higher priority, then longer destination
/// prefix, longer source prefix, fewer destination ports, fewer source ports, a protocol before any, the lower id.
#[must_use]
pub fn precedence(a: &Rule, b: &Rule) -> (Ordering, &'static str) {
    let (ma, mb) = (&a.matcher, &b.matcher);
    let fields = [
        ("priority", b.priority.cmp(&a.priority)),
        ("dst", prefix_len(mb.dst).cmp(&prefix_len(ma.dst))),
        ("src", prefix_len(mb.src).cmp(&prefix_len(ma.src))),
        ("port", width(ma.port).cmp(&width(mb.port))),
        ("sport", width(ma.sport).cmp(&width(mb.sport))),
        ("proto", Reverse(ma.proto.is_some()).cmp(&Reverse(mb.proto.is_some()))),
    ];
    fields.into_iter().find(|(_, order)| order.is_ne()).map_or((a.id.cmp(&b.id), "id"), |(field, order)| (order, field))
}

/// A rule without a prefix is less specific than one with `/0`, which still names a family.
fn prefix_len(prefix: Option<IpNet>) -> Option<u8> {
    prefix.map(|net| net.prefix_len())
}

/// Number of ports; a rule that names none comes after one that names them all.
fn width(ports: Option<PortRange>) -> u32 {
    ports.map_or(u32::MAX, PortRange::width)
}
