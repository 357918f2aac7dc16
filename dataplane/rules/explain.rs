//! Why a packet meets the rule that it meets: every rule in order, and the field that decided.

use std::{net::IpAddr, sync::Arc};

use super::{
    Matcher, PrefixSet, Protocol, Rule, RuleId, Ruleset, ordered, precedence,
    reference::{Match, matches, precedence_words},
};
use crate::wire::{Fragment, Headers};

/// A whole, unfragmented packet as far as rules look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuple {
    /// Source address.
    pub src: IpAddr,
    /// Destination address, of the same family.
    pub dst: IpAddr,
    /// Source port, 0 where the protocol has none.
    pub sport: u16,
    /// Destination port, 0 where the protocol has none.
    pub port: u16,
    /// IP protocol.
    pub protocol: Protocol,
}

impl Tuple {
    fn headers(&self) -> Headers {
        Headers {
            src: self.src,
            dst: self.dst,
            protocol: self.protocol.0,
            tcp_flags: 0,
            src_port: self.sport,
            dst_port: self.port,
            l3: 0,
            l4: 0,
            payload: 0,
            payload_len: 0,
            fragment: Fragment::None,
            vlan_tags: 0,
            vlan: 0,
            truncated: false,
        }
    }
}

/// How a rule stands to a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The rule.
    pub id: RuleId,
    /// The first field that keeps it from matching; none when it matches.
    pub ruled_out_by: Option<&'static str>,
    /// What puts a rule that matches before the next that does.
    pub before: Option<Before>,
}

/// What puts one rule before another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Before {
    /// The rule behind.
    pub id: RuleId,
    /// The field that decides.
    pub field: &'static str,
    /// Both values, for people.
    pub why: String,
}

/// Every enabled rule of `ruleset` in order, as it stands to the packet. The first that is not ruled out wins.
#[must_use]
pub fn explain(ruleset: &Ruleset, tuple: &Tuple) -> Vec<Candidate> {
    let headers = tuple.headers();
    let rules = ordered(ruleset);
    let mut candidates: Vec<Candidate> = Vec::with_capacity(rules.len());
    // From the back, so that the next rule that matches is known.
    let mut next: Option<&Rule> = None;
    for rule in rules.into_iter().rev() {
        let ruled_out_by = ruled_out_by(&rule.matcher, &headers, &ruleset.sets);
        let mut before = None;
        if ruled_out_by.is_none() {
            before = next.map(|next| Before {
                id: next.id,
                field: precedence(rule, next).1,
                why: precedence_words(rule, next),
            });
            next = Some(rule);
        }
        candidates.push(Candidate { id: rule.id, ruled_out_by, before });
    }
    candidates.reverse();
    candidates
}

/// The first field that keeps `matcher` from the packet: each is tried by itself.
fn ruled_out_by(matcher: &Matcher, headers: &Headers, sets: &[Arc<PrefixSet>]) -> Option<&'static str> {
    if matches(matcher, headers, sets) != Match::No {
        return None;
    }
    let alone = [
        ("src", Matcher { src: matcher.src.clone(), ..Matcher::default() }),
        ("dst", Matcher { dst: matcher.dst.clone(), ..Matcher::default() }),
        ("proto", Matcher { proto: matcher.proto, ..Matcher::default() }),
        ("sport", Matcher { sport: matcher.sport.clone(), ..Matcher::default() }),
        ("tcp_flags", Matcher { tcp_flags: matcher.tcp_flags, ..Matcher::default() }),
        ("vlan", Matcher { vlan: matcher.vlan, ..Matcher::default() }),
        ("port", Matcher { port: matcher.port.clone(), ..Matcher::default() }),
    ];
    let field = alone.iter().find(|(_, matcher)| matches(matcher, headers, sets) == Match::No).map(|(field, _)| *field);
    Some(field.unwrap_or("the fields together"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        rules::{
            Action, Address, Classifier, PortRange,
            testing::{arbitrary_rule, rule},
        },
        wire::Frame,
    };

    fn tuple(src: [u8; 4], port: u16) -> Tuple {
        Tuple { src: src.into(), dst: [192, 0, 2, 1].into(), sport: 4000, port, protocol: Protocol::TCP }
    }

    #[test]
    fn each_rule_has_the_field_that_decided() {
        let range = || Some(PortRange { first: 80, last: 80 }.into());
        let rules = vec![
            rule(1, |m| m.src = "10.0.0.0/8".parse().ok().map(Address::Net)),
            rule(2, |m| m.port = range()),
            rule(3, |_| ()),
            rule(4, |m| m.proto = Some(Protocol::UDP)),
            rule(5, |m| m.dst = "192.0.2.2/32".parse().ok().map(Address::Net)),
            rule(6, |m| m.sport = range()),
        ];
        let ruleset = Ruleset::new(rules, Action::Pass);
        let found = explain(&ruleset, &tuple([10, 0, 0, 1], 80));
        let fields: Vec<_> = found.iter().map(|candidate| (candidate.id.0, candidate.ruled_out_by)).collect();
        assert_eq!(fields, [(5, Some("dst")), (1, None), (2, None), (6, Some("sport")), (4, Some("proto")), (3, None)]);
        let before = found[1].before.as_ref().unwrap();
        assert_eq!((before.id, before.field), (RuleId(2), "src"));
        assert_eq!(before.why, "src: 10.0.0.0/8 is more specific than any");
        assert_eq!(found[5].before, None, "nothing is behind the last");
        let found = explain(&ruleset, &tuple([11, 0, 0, 1], 81));
        assert_eq!(found.iter().filter(|candidate| candidate.ruled_out_by.is_none()).count(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

        #[test]
        fn the_first_that_is_not_ruled_out_is_what_the_model_decides(
            mut rules in proptest::collection::vec(arbitrary_rule(), 0..30), port: u16, sport: u16, proto: u8, at: u8,
        ) {
            for (rule, id) in rules.iter_mut().zip(1..) {
                rule.id = RuleId(id);
            }
            // A packet that one of the rules may want.
            let wanted = rules.get(usize::from(at)).map(|rule| rule.matcher.clone()).unwrap_or_default();
            let src = wanted.src_net().map_or(IpAddr::from([10, 0, 0, 1]), |net| net.addr());
            let dst = wanted.dst_net().map(|net| net.addr()).filter(|dst| dst.is_ipv4() == src.is_ipv4()).unwrap_or(src);
            let protocol = wanted.proto.unwrap_or(Protocol(proto));
            let tuple = Tuple { src, dst, sport, port, protocol };
            let ruleset = Ruleset::new(rules, Action::Pass);
            let classifier = Classifier::new(&ruleset, &["default".to_owned(), "web".to_owned()]).unwrap();
            let decided = classifier.classify(&Frame::Ip(tuple.headers()));
            let found = explain(&ruleset, &tuple).into_iter().find(|candidate| candidate.ruled_out_by.is_none());
            prop_assert_eq!(found.map(|candidate| candidate.id), decided.rule);
        }
    }
}
