//! The reference model: the first match by linear search, and why. The kernel's tables are tested against it, workers
//! fall back on it, and test inspection explains with it.

use std::{fmt, net::IpAddr, sync::Arc};

use super::{
    Action, Address, Matcher, PrefixSet, Protocol, Rule, RuleError, RuleId, Ruleset, compile::chain_index, ordered,
    precedence,
};
use crate::wire::{Fragment, Frame, Headers, Undecidable, is_extension};

/// What to do with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// On to the kernel's stack.
    Pass,
    /// Discard.
    Drop,
    /// Through a chain of modules.
    Inspect {
        /// Index of the chain in the configuration.
        chain: u16,
    },
}

/// What decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The rule named in the decision.
    Rule,
    /// No rule matches: the default action.
    Default,
    /// ARP and neighbour discovery always pass.
    Neighbour,
    /// What is neither IP nor ARP always passes.
    NonIp,
    /// The packet cannot be decided on. It is dropped where a rule that it may match drops it before any that it certainly
    /// matches, or the default action does; else it goes to inspection.
    Undecidable(Undecidable),
    /// A fragment without a transport header, which a rule with ports or TCP flags might have matched, so it goes to
    /// inspection.
    LaterFragment,
    /// The source is in a blocklist.
    Blocklist,
}

/// A packet's fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The rule that matched.
    pub rule: Option<RuleId>,
    /// What to do.
    pub action: Outcome,
    /// What decided.
    pub cause: Cause,
    /// What would have dropped the packet, and only counted it.
    pub monitored: Option<Monitored>,
}

/// What only counted a packet that it would have dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Monitored {
    /// A rule.
    Rule(RuleId),
    /// The default action.
    Default,
    /// A blocklist, and no rule.
    Blocklist,
}

impl fmt::Display for Monitored {
    /// `rule-7`, `the default action`, `a blocklist`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(id) => write!(f, "{id}"),
            Self::Default => f.write_str("the default action"),
            Self::Blocklist => f.write_str("a blocklist"),
        }
    }
}

/// An owned, ordered ruleset.
#[derive(Debug, Clone)]
pub struct Classifier {
    rules: Vec<Entry>,
    sets: Vec<Arc<PrefixSet>>,
    default: Outcome,
    monitor: bool,
}

#[derive(Debug, Clone)]
struct Entry {
    rule: Rule,
    action: Outcome,
    /// Only counts.
    monitored: bool,
}

/// What becomes of a packet that cannot be decided on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Undecided {
    Inspect,
    /// By this rule, or by the default action.
    Drop(Option<RuleId>),
}

/// How a rule stands to a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    No,
    Yes,
    /// As far as can be seen of a later fragment; the rest was in the first.
    Unknown,
}

impl Classifier {
    /// A classifier over the enabled rules of `ruleset`.
    ///
    /// # Errors
    /// A rule or the default action names a chain that is not in `chains`, or a rule a set that is not in the ruleset.
    pub fn new(ruleset: &Ruleset, chains: &[String]) -> Result<Self, RuleError> {
        let entry = |rule: &Rule| {
            check_sets(&rule.matcher, ruleset.sets.iter().map(|set| set.name()))?;
            let action = outcome(&rule.action, chains)?;
            Ok(Entry { rule: rule.clone(), action, monitored: ruleset.monitors(rule) })
        };
        let rules = ordered(ruleset).into_iter().map(entry).collect::<Result<_, _>>()?;
        let default = outcome(&ruleset.default_action, chains)?;
        Ok(Self { rules, sets: ruleset.sets.clone(), default, monitor: ruleset.monitor })
    }

    /// What happens to `frame`. Does not allocate.
    #[must_use]
    pub fn classify(&self, frame: &Frame) -> Decision {
        match frame {
            Frame::Ip(headers) => self.classify_ip(headers),
            Frame::Neighbour => Decision::without_rule(Outcome::Pass, Cause::Neighbour),
            Frame::NonIp => Decision::without_rule(Outcome::Pass, Cause::NonIp),
            Frame::Undecidable(why, headers) => {
                let undecided = headers.as_ref().map_or(Undecided::Inspect, |headers| self.undecided(headers));
                let cause = Cause::Undecidable(*why);
                let decision = match undecided {
                    Undecided::Inspect => Decision::without_rule(Outcome::Inspect { chain: 0 }, cause),
                    Undecided::Drop(rule) => Decision { rule, ..Decision::without_rule(Outcome::Drop, cause) },
                };
                self.blocked(headers.as_ref(), decision)
            }
        }
    }

    fn classify_ip(&self, headers: &Headers) -> Decision {
        let decided = match self.first(headers, |_| true) {
            Some((entry, how)) if entry.monitored => {
                // A later fragment that only may match is not counted.
                let monitored = (how == Match::Yes).then_some(Monitored::Rule(entry.rule.id));
                Decision { monitored, ..self.enforced(headers) }
            }
            first => self.decide(first),
        };
        self.blocked(Some(headers), decided)
    }

    /// What becomes of a packet whose transport header does not count as seen.
    fn undecided(&self, headers: &Headers) -> Undecided {
        let mut strict = self.rules.iter().filter(|entry| !entry.monitored && entry.rule.is_strict());
        let may_match = |entry: &&Entry| matches(&entry.rule.matcher, headers, &self.sets, true) != Match::No;
        match strict.find(may_match) {
            Some(entry) if entry.action == Outcome::Drop => Undecided::Drop(Some(entry.rule.id)),
            None if self.default == Outcome::Drop && !self.monitor => Undecided::Drop(None),
            _ => Undecided::Inspect,
        }
    }

    /// What the rules do that are not monitored.
    fn enforced(&self, headers: &Headers) -> Decision {
        self.decide(self.first(headers, |entry| !entry.monitored))
    }

    /// The first rule of those `wanted` that matches, or may match.
    fn first(&self, headers: &Headers, wanted: impl Fn(&Entry) -> bool) -> Option<(&Entry, Match)> {
        let rules = self.rules.iter().filter(|entry| wanted(entry));
        let mut stand = rules.map(|entry| (entry, matches(&entry.rule.matcher, headers, &self.sets, false)));
        stand.find(|(_, how)| *how != Match::No)
    }

    fn decide(&self, first: Option<(&Entry, Match)>) -> Decision {
        match first {
            Some((entry, Match::Yes)) => {
                Decision { rule: Some(entry.rule.id), action: entry.action, cause: Cause::Rule, monitored: None }
            }
            Some(_) => Decision::without_rule(Outcome::Inspect { chain: 0 }, Cause::LaterFragment),
            None if self.monitor && self.default == Outcome::Drop => {
                let monitored = Some(Monitored::Default);
                Decision { monitored, ..Decision::without_rule(Outcome::Pass, Cause::Default) }
            }
            None => Decision::without_rule(self.default, Cause::Default),
        }
    }

    /// `otherwise`, unless the source is in a blocklist.
    fn blocked(&self, headers: Option<&Headers>, otherwise: Decision) -> Decision {
        let in_blocklist =
            |headers: &Headers| self.sets.iter().any(|set| set.is_blocklist() && set.contains(headers.src));
        match headers.is_some_and(in_blocklist) {
            false => otherwise,
            true if self.monitor => {
                Decision { monitored: otherwise.monitored.or(Some(Monitored::Blocklist)), ..otherwise }
            }
            true => Decision::without_rule(Outcome::Drop, Cause::Blocklist),
        }
    }

    /// The blocklist that holds the source, then every rule that matches, in order, and the field that puts it before the
    /// next; for people.
    #[must_use]
    pub fn explain(&self, frame: &Frame) -> Vec<String> {
        let headers = match frame {
            Frame::Ip(headers) => headers,
            Frame::Neighbour => return vec!["arp and neighbour discovery always pass".to_owned()],
            Frame::NonIp => return vec!["neither ip nor arp: always passes".to_owned()],
            Frame::Undecidable(why, headers) => {
                let undecided = headers.as_ref().map_or(Undecided::Inspect, |headers| self.undecided(headers));
                let what = match undecided {
                    Undecided::Inspect => "goes to inspection".to_owned(),
                    Undecided::Drop(Some(id)) => format!("dropped, for {id} may match it"),
                    Undecided::Drop(None) => "dropped, as the default action does".to_owned(),
                };
                return vec![format!("{}: {what}", why.words())];
            }
        };
        let blocklist = self.sets.iter().find(|set| set.is_blocklist() && set.contains(headers.src));
        let mut lines: Vec<String> = blocklist.map(|set| self.blocklist_words(set, headers)).into_iter().collect();
        let stand = |entry: &Entry| matches(&entry.rule.matcher, headers, &self.sets, false);
        let matching = self.rules.iter().map(|entry| (entry, stand(entry)));
        let matching: Vec<(&Entry, Match)> = matching.filter(|(_, how)| *how != Match::No).collect();
        for (index, (entry, how)) in matching.iter().enumerate() {
            let rule = &entry.rule;
            let mut line = format!("{} ({}) {}", rule.id, action_words(&rule.action), stand_words(entry, *how));
            if let Some((next, _)) = matching.get(index + 1) {
                line.push_str(&format!(", before {} by {}", next.rule.id, precedence_words(rule, &next.rule)));
            }
            lines.push(line);
        }
        if matching.iter().all(|(entry, _)| entry.monitored) {
            let monitored =
                if self.monitor && self.default == Outcome::Drop { ", which would drop, monitored" } else { "" };
            let but = if matching.is_empty() { "" } else { " that is enforced" };
            lines.push(format!("no rule{but} matches: the default action{monitored}"));
        }
        lines
    }

    fn blocklist_words(&self, set: &PrefixSet, headers: &Headers) -> String {
        let does = if self.monitor { "would drop, monitored" } else { "dropped before any rule is looked at" };
        format!("the source {} is in the blocklist '{}': {does}", headers.src, set.name())
    }
}

fn stand_words(entry: &Entry, how: Match) -> &'static str {
    match (how, entry.monitored) {
        (Match::Unknown, true) => "may match, but a later fragment does not show it; monitored, so it decides nothing",
        (Match::Unknown, false) => "may match, but a later fragment does not show it: goes to inspection",
        (_, true) => "matches and would drop, monitored",
        (_, false) => "matches",
    }
}

impl Decision {
    fn without_rule(action: Outcome, cause: Cause) -> Self {
        Self { rule: None, action, cause, monitored: None }
    }
}

fn outcome(action: &Action, chains: &[String]) -> Result<Outcome, RuleError> {
    Ok(match action {
        Action::Pass => Outcome::Pass,
        Action::Drop => Outcome::Drop,
        Action::Inspect { chain } => Outcome::Inspect { chain: chain_index(chain, chains)? },
    })
}

/// Every set that `matcher` names is one of `sets`.
///
/// # Errors
/// The field that names another; the message lists those that exist.
pub(super) fn check_sets<'a>(matcher: &Matcher, sets: impl Iterator<Item = &'a str> + Clone) -> Result<(), RuleError> {
    for (field, address) in [("src", &matcher.src), ("dst", &matcher.dst)] {
        let Some(name) = address.as_ref().and_then(Address::set) else { continue };
        if !sets.clone().any(|known| known == name) {
            let names: Vec<String> = sets.map(|known| format!("@{known}")).collect();
            let rule = if names.is_empty() {
                "there is no set; create it first, see `secuxflow set create --help`".to_owned()
            } else {
                format!("there is no such set; there are: {}", names.join(", "))
            };
            return Err(RuleError::field(field, format!("@{name}"), rule));
        }
    }
    Ok(())
}

/// How a rule with `matcher` stands to `packet`, whose transport header may be `unseen` though it is no later fragment.
pub(super) fn matches(matcher: &Matcher, packet: &Headers, sets: &[Arc<PrefixSet>], unseen: bool) -> Match {
    let inside = |wanted: &Option<Address>, address: IpAddr| match wanted {
        None => true,
        Some(Address::Net(net)) => net.contains(&address),
        Some(Address::Set(name)) => sets.iter().any(|set| set.name() == name && set.contains(address)),
    };
    if !inside(&matcher.src, packet.src)
        || !inside(&matcher.dst, packet.dst)
        || matcher.vlan.is_some_and(|vlan| vlan != packet.vlan)
    {
        return Match::No;
    }
    let later = unseen || packet.fragment == Fragment::Later;
    // Behind a later fragment's extension header the protocol cannot be seen either.
    let hidden = later && packet.src.is_ipv6() && is_extension(packet.protocol);
    if matcher.proto.is_some_and(|proto| proto.0 != packet.protocol) {
        return if hidden { Match::Unknown } else { Match::No };
    }
    if !matcher.needs_transport() {
        return Match::Yes;
    }
    if hidden || (later && Protocol(packet.protocol).has_ports()) {
        return Match::Unknown;
    }
    let port = matcher.port.as_ref().is_none_or(|ports| ports.contains(packet.dst_port));
    let sport = matcher.sport.as_ref().is_none_or(|ports| ports.contains(packet.src_port));
    let flags = matcher.tcp_flags.is_none_or(|flags| flags.matches(packet.tcp_flags));
    if Protocol(packet.protocol).has_ports() && port && sport && flags { Match::Yes } else { Match::No }
}

fn action_words(action: &Action) -> String {
    match action {
        Action::Pass => "pass".to_owned(),
        Action::Drop => "drop".to_owned(),
        Action::Inspect { chain } => format!("inspect by chain {chain}"),
    }
}

/// The field that puts `first` before `second`, with both values.
pub(super) fn precedence_words(first: &Rule, second: &Rule) -> String {
    let (_, field) = precedence(first, second);
    let (a, b) = (&first.matcher, &second.matcher);
    let net = |address: &Option<Address>| address.as_ref().map_or_else(|| "any".to_owned(), Address::to_string);
    match field {
        "priority" => format!("priority: {} is higher than {}", first.priority, second.priority),
        "dst" => format!("dst: {} is more specific than {}", net(&a.dst), net(&b.dst)),
        "src" => format!("src: {} is more specific than {}", net(&a.src), net(&b.src)),
        "port" | "sport" => format!("{field}: fewer ports"),
        "proto" => "proto: one protocol before any".to_owned(),
        "tcp_flags" => "tcp_flags: more flags".to_owned(),
        "vlan" => "vlan: one vlan before any".to_owned(),
        _ => "id: the lower one".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        rules::{PortRange, testing::rule},
        wire::{parse, testing::tcp4},
    };

    fn classifier(rules: Vec<Rule>) -> Classifier {
        Classifier::new(&Ruleset::new(rules, Action::Pass), &["default".to_owned()]).unwrap()
    }

    fn web() -> Rule {
        let mut web = rule(2, |m| m.port = Some(PortRange { first: 80, last: 80 }.into()));
        web.action = Action::Drop;
        web
    }

    #[test]
    fn the_first_match_decides_and_the_explanation_says_why() {
        let net = rule(1, |m| m.src = "10.0.0.0/8".parse().ok().map(Address::Net));
        let classifier = classifier(vec![rule(3, |_| ()), web(), net]);
        let frame = parse(&tcp4([10, 0, 0, 1], [192, 0, 2, 1], 4000, 80));
        let decision = classifier.classify(&frame);
        assert_eq!(
            decision,
            Decision { rule: Some(RuleId(1)), action: Outcome::Pass, cause: Cause::Rule, monitored: None }
        );
        let lines = classifier.explain(&frame);
        assert_eq!(lines[0], "rule-1 (pass) matches, before rule-2 by src: 10.0.0.0/8 is more specific than any");
        assert_eq!(lines[1], "rule-2 (drop) matches, before rule-3 by port: fewer ports");
        assert_eq!(lines[2], "rule-3 (pass) matches");
        assert_eq!(classifier.classify(&parse(&tcp4([11, 0, 0, 1], [192, 0, 2, 1], 4000, 80))).rule, Some(RuleId(2)));
    }

    #[test]
    fn a_later_fragment_goes_to_inspection_when_a_rule_with_ports_might_match() {
        let mut frame = tcp4([10, 0, 0, 1], [192, 0, 2, 1], 4000, 80);
        frame[21] = 2;
        let decision = classifier(vec![web(), rule(3, |_| ())]).classify(&parse(&frame));
        let inspect = Outcome::Inspect { chain: 0 };
        assert_eq!(decision, Decision { rule: None, action: inspect, cause: Cause::LaterFragment, monitored: None });
        let mut before = rule(3, |_| ());
        before.priority = 1;
        let decision = classifier(vec![web(), before]).classify(&parse(&frame));
        assert_eq!(
            decision,
            Decision { rule: Some(RuleId(3)), action: Outcome::Pass, cause: Cause::Rule, monitored: None }
        );
    }

    #[test]
    fn what_is_monitored_and_what_is_blocked_are_told() {
        let mut watched = web();
        watched.monitor = true;
        let list = Arc::new(PrefixSet::new("feed", true, ["10.0.0.0/8".parse().unwrap()]));
        let mut ruleset = Ruleset { sets: vec![list], ..Ruleset::new(vec![watched], Action::Drop) };
        let frame = parse(&tcp4([10, 0, 0, 1], [192, 0, 2, 1], 4000, 80));
        let told = |ruleset: &Ruleset| Classifier::new(ruleset, &[]).unwrap().explain(&frame);
        let lines = told(&ruleset);
        assert_eq!(lines[0], "the source 10.0.0.1 is in the blocklist 'feed': dropped before any rule is looked at");
        assert_eq!(lines[1], "rule-2 (drop) matches and would drop, monitored");
        assert_eq!(lines[2], "no rule that is enforced matches: the default action");
        ruleset.monitor = true;
        let lines = told(&ruleset);
        assert!(lines[0].ends_with("'feed': would drop, monitored"), "{lines:?}");
        assert!(lines[2].ends_with("the default action, which would drop, monitored"), "{lines:?}");
    }

    #[test]
    fn what_no_rule_matches_meets_the_default_action() {
        let classifier = classifier(vec![web()]);
        let frame = parse(&tcp4([10, 0, 0, 1], [192, 0, 2, 1], 4000, 81));
        let decision = Decision { rule: None, action: Outcome::Pass, cause: Cause::Default, monitored: None };
        assert_eq!(classifier.classify(&frame), decision);
        assert_eq!(classifier.explain(&frame), ["no rule matches: the default action"]);
    }
}
