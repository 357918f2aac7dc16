//! Why a packet meets the rule that it meets: every rule in order, and the field that decided.

use std::{net::IpAddr, sync::Arc};

use super::{
    Action, Matcher, Monitored, PrefixSet, Protocol, Rule, RuleId, Ruleset, ordered, precedence,
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
    /// TCP flags that are set, 0 for other protocols.
    pub tcp_flags: u8,
    /// VLAN id of the outermost tag, 0 without one.
    pub vlan: u16,
}

impl Tuple {
    pub(super) fn headers(&self) -> Headers {
        Headers {
            src: self.src,
            dst: self.dst,
            protocol: self.protocol.0,
            tcp_flags: self.tcp_flags,
            src_port: self.sport,
            dst_port: self.port,
            l3: 0,
            l4: 0,
            payload: 0,
            payload_len: 0,
            fragment: Fragment::None,
            vlan_tags: u8::from(self.vlan > 0),
            vlan: self.vlan,
            truncated: false,
        }
    }
}

/// What happens to a packet, and how every rule stands to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The rule that decides; none when a blocklist or the default action does.
    pub rule: Option<RuleId>,
    /// What happens.
    pub action: Action,
    /// What would drop the packet, and only counts it.
    pub monitored: Option<Monitored>,
    /// The blocklist that holds the source. It decides before any rule, unless the ruleset is monitored.
    pub blocklist: Option<String>,
    /// Every enabled rule, in order.
    pub candidates: Vec<Candidate>,
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
    /// Whether it only counts what it would drop.
    pub monitored: bool,
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

/// What `ruleset` does with the packet: the first rule that is not ruled out and not monitored wins, unless the source is
/// in a blocklist. Every set that a rule names must be in the ruleset.
#[must_use]
pub fn explain(ruleset: &Ruleset, tuple: &Tuple) -> Explained {
    let headers = tuple.headers();
    let rules = ordered(ruleset);
    let candidates = candidates(ruleset, &rules, &headers);
    let matching = || rules.iter().zip(&candidates).filter(|(_, candidate)| candidate.ruled_out_by.is_none());
    let first = matching().next().filter(|(_, candidate)| candidate.monitored);
    let winner = matching().find(|(_, candidate)| !candidate.monitored).map(|(rule, _)| *rule);
    let by_default = winner.is_none() && ruleset.monitor && ruleset.default_action == Action::Drop;
    let blocklist = ruleset.sets.iter().find(|set| set.is_blocklist() && set.contains(tuple.src));
    let blocklist = blocklist.map(|set| set.name().to_owned());
    if blocklist.is_some() && !ruleset.monitor {
        return Explained { rule: None, action: Action::Drop, monitored: None, blocklist, candidates };
    }
    let monitored = first.map(|(rule, _)| Monitored::Rule(rule.id));
    let monitored = monitored.or(by_default.then_some(Monitored::Default));
    let monitored = monitored.or(blocklist.as_ref().map(|_| Monitored::Blocklist));
    let default = if by_default { &Action::Pass } else { &ruleset.default_action };
    let action = winner.map_or(default, |rule| &rule.action).clone();
    Explained { rule: winner.map(|rule| rule.id), action, monitored, blocklist, candidates }
}

fn candidates(ruleset: &Ruleset, rules: &[&Rule], headers: &Headers) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = Vec::with_capacity(rules.len());
    // From the back, so that the next rule that matches is known.
    let mut next: Option<&Rule> = None;
    for &rule in rules.iter().rev() {
        let ruled_out_by = ruled_out_by(&rule.matcher, headers, &ruleset.sets);
        let mut before = None;
        if ruled_out_by.is_none() {
            before = next.map(|next| Before {
                id: next.id,
                field: precedence(rule, next).1,
                why: precedence_words(rule, next),
            });
            next = Some(rule);
        }
        candidates.push(Candidate { id: rule.id, ruled_out_by, before, monitored: ruleset.monitors(rule) });
    }
    candidates.reverse();
    candidates
}

/// The first field that keeps `matcher` from the packet: each is tried by itself.
fn ruled_out_by(matcher: &Matcher, headers: &Headers, sets: &[Arc<PrefixSet>]) -> Option<&'static str> {
    if matches(matcher, headers, sets, false) != Match::No {
        return None;
    }
    let alone = [
        ("src", Matcher { src: matcher.src.clone(), ..Matcher::default() }),
        ("dst", Matcher { dst: matcher.dst.clone(), ..Matcher::default() }),
        ("vlan", Matcher { vlan: matcher.vlan, ..Matcher::default() }),
        ("proto", Matcher { proto: matcher.proto, ..Matcher::default() }),
        ("sport", Matcher { sport: matcher.sport.clone(), ..Matcher::default() }),
        ("port", Matcher { port: matcher.port.clone(), ..Matcher::default() }),
        ("tcp_flags", Matcher { tcp_flags: matcher.tcp_flags, ..Matcher::default() }),
    ];
    let field =
        alone.iter().find(|(_, matcher)| matches(matcher, headers, sets, false) == Match::No).map(|(field, _)| *field);
    Some(field.unwrap_or("the fields together"))
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
