//! Which of two rules comes first. The kernel and the reference model only ever find the first that matches.

use std::cmp::{Ordering, Reverse};

use super::{Address, Ports, Rule, Ruleset, TcpFlags};

/// The enabled rules, first to match first.
#[must_use]
pub fn ordered(ruleset: &Ruleset) -> Vec<&Rule> {
    let mut rules: Vec<&Rule> = ruleset.rules.iter().filter(|rule| rule.enabled).collect();
    rules.sort_by(|a, b| precedence(a, b).0);
    rules
}

/// How `a` stands to `b` (`Less` means before), and the field that decides: higher priority, then the more specific
/// destination and source (a longer prefix, any prefix before a set, a set before none), fewer destination ports, fewer
/// source ports, a protocol before any, more TCP flags, a VLAN before any, the lower id.
#[must_use]
pub fn precedence(a: &Rule, b: &Rule) -> (Ordering, &'static str) {
    let (ma, mb) = (&a.matcher, &b.matcher);
    let fields = [
        ("priority", b.priority.cmp(&a.priority)),
        ("dst", specificity(mb.dst.as_ref()).cmp(&specificity(ma.dst.as_ref()))),
        ("src", specificity(mb.src.as_ref()).cmp(&specificity(ma.src.as_ref()))),
        ("port", width(ma.port.as_ref()).cmp(&width(mb.port.as_ref()))),
        ("sport", width(ma.sport.as_ref()).cmp(&width(mb.sport.as_ref()))),
        ("proto", Reverse(ma.proto.is_some()).cmp(&Reverse(mb.proto.is_some()))),
        ("tcp_flags", flags(mb.tcp_flags).cmp(&flags(ma.tcp_flags))),
        ("vlan", Reverse(ma.vlan.is_some()).cmp(&Reverse(mb.vlan.is_some()))),
    ];
    fields.into_iter().find(|(_, order)| order.is_ne()).map_or((a.id.cmp(&b.id), "id"), |(field, order)| (order, field))
}

/// A set counts as less specific than any prefix, whatever is in it, so that the order of rules does not change with a
/// set. No address is less specific than `/0`, which still names a family.
fn specificity(address: Option<&Address>) -> u8 {
    match address {
        None => 0,
        Some(Address::Set(_)) => 1,
        Some(Address::Net(net)) => 2 + net.prefix_len(),
    }
}

/// Number of ports; a rule that names none comes after one that names them all.
fn width(ports: Option<&Ports>) -> u32 {
    ports.map_or(u32::MAX, Ports::width)
}

/// Number of flags that are named.
fn flags(flags: Option<TcpFlags>) -> u32 {
    flags.map_or(0, TcpFlags::named)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::{
        Action, PortRange, Protocol, RuleId,
        testing::{arbitrary_rule, rule},
    };

    #[test]
    fn each_field_decides_when_those_before_it_are_equal() {
        let ports = |first, last| Some(Ports::from(PortRange { first, last }));
        let net = || "10.0.0.0/8".parse().ok().map(Address::Net);
        let set = || Some(Address::Set("a".to_owned()));
        let mut first = rule(9, |_| ());
        first.priority = 1;
        let rules = vec![
            rule(1, |_| ()),
            rule(2, |m| m.proto = Some(Protocol::TCP)),
            rule(3, |m| m.sport = ports(0, 65535)),
            rule(4, |m| m.sport = ports(80, 80)),
            rule(5, |m| m.port = ports(8000, 8080)),
            rule(6, |m| m.port = ports(80, 80)),
            rule(7, |m| m.src = net()),
            rule(8, |m| m.dst = net()),
            first,
            rule(10, |_| ()),
            rule(11, |m| m.src = set()),
            rule(12, |m| m.dst = set()),
            rule(13, |m| m.vlan = Some(0)),
            rule(14, |m| m.tcp_flags = Some(TcpFlags { set: 2, clear: 0 })),
            rule(15, |m| m.tcp_flags = Some(TcpFlags { set: 2, clear: 16 })),
        ];
        let ruleset = Ruleset::new(rules, Action::Pass);
        let ids: Vec<u32> = ordered(&ruleset).iter().map(|rule| rule.id.0).collect();
        assert_eq!(ids, [9, 8, 12, 7, 11, 6, 5, 4, 3, 2, 15, 14, 13, 1, 10]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

        #[test]
        fn the_order_of_the_input_does_not_matter(mut rules in proptest::collection::vec(arbitrary_rule(), 0..20)) {
            for (rule, id) in rules.iter_mut().zip(1..) {
                rule.id = RuleId(id);
            }
            let forward = Ruleset::new(rules.clone(), Action::Pass);
            rules.reverse();
            let backward = Ruleset::new(rules, Action::Pass);
            prop_assert_eq!(ordered(&forward), ordered(&backward));
        }
    }
}
