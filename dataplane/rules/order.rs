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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::{
        Action, Protocol, RuleId,
        testing::{arbitrary_rule, rule},
    };

    #[test]
    fn each_field_decides_when_those_before_it_are_equal() {
        let ports = |first, last| Some(PortRange { first, last });
        let mut first = rule(9, |_| ());
        first.priority = 1;
        let rules = vec![
            rule(1, |_| ()),
            rule(2, |m| m.proto = Some(Protocol::TCP)),
            rule(3, |m| m.sport = ports(0, 65535)),
            rule(4, |m| m.sport = ports(80, 80)),
            rule(5, |m| m.port = ports(8000, 8080)),
            rule(6, |m| m.port = ports(80, 80)),
            rule(7, |m| m.src = "10.0.0.0/8".parse().ok()),
            rule(8, |m| m.dst = "10.0.0.0/8".parse().ok()),
            first,
            rule(10, |_| ()),
        ];
        let ruleset = Ruleset { rules, default_action: Action::Pass };
        let ids: Vec<u32> = ordered(&ruleset).iter().map(|rule| rule.id.0).collect();
        assert_eq!(ids, [9, 8, 7, 6, 5, 4, 3, 2, 1, 10]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

        #[test]
        fn the_order_of_the_input_does_not_matter(mut rules in proptest::collection::vec(arbitrary_rule(), 0..20)) {
            for (rule, id) in rules.iter_mut().zip(1..) {
                rule.id = RuleId(id);
            }
            let forward = Ruleset { rules: rules.clone(), default_action: Action::Pass };
            rules.reverse();
            let backward = Ruleset { rules, default_action: Action::Pass };
            prop_assert_eq!(ordered(&forward), ordered(&backward));
        }
    }
}
