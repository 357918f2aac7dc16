//! The kernel against the reference model: the same rulesets and packets, the same verdicts and counters.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    os::fd::AsRawFd,
};

use super::{Filter, METADATA_LEN, Metadata, Offload, sys::xdp_socket};
use crate::{
    plane::{Count, FailPolicy},
    rules::{
        Action, Address, Cause, Classifier, Decision, Matcher, Monitored, Outcome, PortRange, Ports, Protocol, Rule,
        RuleId, Ruleset, TcpFlags, Tuple, explain,
        shapes::{self, Families, SHAPES},
        testing::Random,
    },
    wire::{Fragment, Frame, Undecidable, parse, testing},
};

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_REDIRECT: u32 = 4;
const LOOPBACK: u32 = 1;
const RULESETS: u64 = 120;
const PACKETS: usize = 200;

pub(super) fn random_rule(random: &mut Random, id: u32) -> Rule {
    let nets: &[&str] = match random.byte() % 3 {
        0 => &[""],
        1 => &["", "10.0.0.0/8", "10.0.0.0/16", "10.0.0.5/32", "192.168.1.0/24", "192.168.1.128/25", "0.0.0.0/0"],
        _ => &["", "fd00::/16", "fd00::/40", "fd00::1/128", "fd00:1::5/128", "::/0", "fd00::/127"],
    };
    let ports = |first, last| Some(PortRange { first, last });
    let ranges = [None, None, ports(80, 80), ports(0, 65535), ports(22, 443), ports(443, 8080), ports(65535, 65535)];
    let mut matcher = Matcher {
        src: random.pick(nets).parse().ok().map(Address::Net),
        dst: random.pick(nets).parse().ok().map(Address::Net),
        port: random.pick(&ranges).map(Into::into),
        sport: if random.byte() < 64 { random.pick(&ranges).map(Into::into) } else { None },
        proto: random.pick(&[None, None, Some(6), Some(17), Some(132), Some(1), Some(58), Some(60)]).map(Protocol),
        ..Matcher::default()
    };
    if matcher.proto.is_some_and(|proto| !proto.has_ports()) {
        (matcher.port, matcher.sport) = (None, None);
    }
    let priority = random.pick(&[0, 0, 0, 5, -3]);
    let action = random_action(random);
    Rule { priority, enabled: random.byte() > 20, ..Rule::new(RuleId(id), matcher, action) }
}

pub(super) fn random_action(random: &mut Random) -> Action {
    let inspect = |chain: &str| Action::Inspect { chain: chain.to_owned() };
    random.pick(&[Action::Pass, Action::Drop, inspect("default"), inspect("web")])
}

/// What a filter is set up with, and what the model expects of it so far.
pub(super) struct Model {
    pub(super) policy: FailPolicy,
    pub(super) services: Vec<IpAddr>,
    pub(super) with_socket: bool,
    pub(super) rules: BTreeMap<RuleId, Count>,
    pub(super) default: Count,
    pub(super) actions: BTreeMap<&'static str, Count>,
    pub(super) events: BTreeMap<&'static str, u64>,
}

impl Model {
    /// Verdict and metadata for a packet that was decided on so; counts it.
    pub(super) fn expect(&mut self, frame: &Frame, decision: Decision, length: usize) -> (u32, Option<Metadata>) {
        let count = Count { packets: 1, bytes: length as u64 };
        match frame {
            Frame::Neighbour => self.event("neighbour"),
            Frame::NonIp => self.event("non_ip"),
            Frame::Undecidable(why, _) => self.undecidable(*why),
            Frame::Ip(headers) if headers.fragment == Fragment::Later => self.event("later_fragment"),
            Frame::Ip(_) => {}
        }
        match decision.rule {
            Some(id) => *self.rules.entry(id).or_default() += count,
            None if decision.cause == Cause::Default => self.default += count,
            None => {}
        }
        if let Some(monitored) = decision.monitored {
            self.event("monitored");
            if let Monitored::Rule(id) = monitored {
                *self.rules.entry(id).or_default() += count;
            }
        }
        let (verdict, metadata) = match decision.action {
            Outcome::Pass => (XDP_PASS, None),
            Outcome::Drop => (XDP_DROP, None),
            Outcome::Inspect { chain } => self.inspect(frame, chain, decision.rule),
        };
        let name = match verdict {
            XDP_PASS => "pass",
            XDP_DROP => "drop",
            _ => "inspect",
        };
        *self.actions.entry(name).or_default() += count;
        (verdict, metadata)
    }

    fn inspect(&mut self, frame: &Frame, chain: u16, rule: Option<RuleId>) -> (u32, Option<Metadata>) {
        let dst = match frame {
            Frame::Ip(headers) | Frame::Undecidable(_, Some(headers)) => Some(headers.dst),
            _ => None,
        };
        let up = dst.is_some_and(|dst| self.services.contains(&dst));
        if dst.is_some() && !up {
            self.event("no_service");
        }
        if up && self.with_socket {
            return (XDP_REDIRECT, Some(Metadata::of(chain, rule.map_or(0, |id| id.0))));
        }
        let open = self.policy == FailPolicy::Open;
        self.event(if open { "fail_open" } else { "fail_closed" });
        (if open { XDP_PASS } else { XDP_DROP }, None)
    }

    pub(super) fn undecidable(&mut self, why: Undecidable) {
        self.event("undecidable");
        self.event(match why {
            Undecidable::Truncated => "truncated",
            Undecidable::BadHeader => "bad_header",
            Undecidable::LongChain => "long_chain",
        });
    }

    pub(super) fn event(&mut self, name: &'static str) {
        *self.events.entry(name).or_default() += 1;
    }

    pub(super) fn assert_counted(&self, filter: &Filter) {
        for rule in filter.rule_counts() {
            assert_eq!(rule.count, self.rules.get(&rule.id).copied().unwrap_or_default(), "{}", rule.id);
        }
        let counted: u64 = filter.rule_counts().iter().map(|rule| rule.count.packets).sum();
        assert_eq!(counted, self.rules.values().map(|count| count.packets).sum::<u64>());
        assert_eq!(filter.default_count(), self.default);
        for action in filter.actions().unwrap() {
            let expected = self.actions.get(action.name.as_str()).copied().unwrap_or_default();
            assert_eq!(action.value, expected, "{}", action.name);
        }
        for event in filter.events().unwrap().into_iter().filter(|event| event.name != "sample_lost") {
            assert_eq!(event.value, self.events.get(event.name.as_str()).copied().unwrap_or(0), "{}", event.name);
        }
    }
}

/// Publish `ruleset` and compare on `packets`, with every counter afterwards. `seen` counts the kinds of decisions.
pub(super) fn compare(
    ruleset: &Ruleset,
    services: Vec<IpAddr>,
    packets: impl IntoIterator<Item = Vec<u8>>,
    random: &mut Random,
    seen: &mut BTreeMap<String, u64>,
) {
    let chains = ["default".to_owned(), "web".to_owned()];
    let socket = xdp_socket().unwrap();
    let policy = random.pick(&[FailPolicy::Open, FailPolicy::Closed]);
    let classifier = Classifier::new(ruleset, &chains).unwrap();
    let mut model = Model {
        policy,
        services,
        with_socket: random.byte() > 50,
        rules: BTreeMap::new(),
        default: Count::default(),
        actions: BTreeMap::new(),
        events: BTreeMap::new(),
    };
    // Short packets fare the same with programs for long ones.
    let mut filter = match random.byte() < 128 {
        true => Filter::load(policy).unwrap(),
        false => Filter::for_split_packets(policy, Offload::default()).unwrap(),
    };
    filter.set_port(LOOPBACK, 0).unwrap();
    for service in &model.services {
        filter.set_service(*service).unwrap();
    }
    if model.with_socket {
        filter.set_socket(0, 0, socket.as_raw_fd()).unwrap();
    }
    filter.publish(ruleset, &chains).unwrap();
    for mut packet in packets {
        // The kernel takes no test packet without an Ethernet header.
        packet.resize(packet.len().max(14), 0);
        let frame = parse(&packet);
        let decision = classifier.classify(&frame);
        // The second time by the cache, where it keeps the verdict.
        let [verdict, _] = [(); 2].map(|()| {
            let (expected, metadata) = model.expect(&frame, decision, packet.len());
            if is_blocked(ruleset, &frame) {
                model.event("blocklist");
            }
            let (verdict, out) = filter.test_run(&packet, LOOPBACK, 0).unwrap();
            let (front, rest) = out.split_at(out.len() - packet.len());
            assert_eq!(rest, packet);
            let front = <&[u8; METADATA_LEN]>::try_from(front).ok().and_then(Metadata::read);
            if let Some(said) = front {
                // A flow may be offloaded unless each of its packets has to be looked at, or told of.
                assert_eq!(said.generation, 1);
                assert!(may_be_offloaded(&frame, decision, said), "{decision:?} on {frame:?}");
            }
            let front = front.map(|said| Metadata::of(said.chain, said.rule));
            assert_eq!(
                (verdict, front),
                (expected, metadata),
                "{decision:?} on {frame:?} {packet:02x?} of {ruleset:#?}"
            );
            verdict
        });
        let monitored = decision.monitored.map_or("", |monitored| match monitored {
            Monitored::Rule(_) => ", monitored rule",
            Monitored::Default => ", monitored default",
            Monitored::Blocklist => ", monitored blocklist",
        });
        *seen.entry(format!("{:?} {verdict}{monitored}", decision.cause)).or_default() += 1;
        if let Some(rule) = decision.rule.and_then(|id| ruleset.rules.iter().find(|rule| rule.id == id)) {
            by_fields(&rule.matcher, seen);
        }
    }
    model.assert_counted(&filter);
    assert_sampled(&filter, ruleset);
}

/// Whether `said` says rightly that the flow may be offloaded, or not; of a later fragment it may say either.
pub(super) fn may_be_offloaded(frame: &Frame, decision: Decision, said: Metadata) -> bool {
    let later = matches!(frame, Frame::Ip(headers) if headers.fragment == Fragment::Later);
    let sure = matches!(decision.cause, Cause::Rule | Cause::Default) && decision.monitored.is_none();
    later || (said.slot != Metadata::NO_SLOT) == sure
}

/// Count a decision by the fields that few rules have.
fn by_fields(matcher: &Matcher, seen: &mut BTreeMap<String, u64>) {
    let list = |ports: &Option<Ports>| ports.as_ref().is_some_and(|ports| ports.ranges().len() > 1);
    let fields = [
        ("vlan", matcher.vlan.is_some()),
        ("no vlan", matcher.vlan == Some(0)),
        ("tcp flags", matcher.tcp_flags.is_some()),
        ("list of ports", list(&matcher.port)),
        ("list of source ports", list(&matcher.sport)),
    ];
    for (name, _) in fields.iter().filter(|(_, used)| *used) {
        *seen.entry(format!("by {name}")).or_default() += 1;
    }
}

/// Where anything was monitored there are samples, at most one for each rule and the default action, of those monitored.
fn assert_sampled(filter: &Filter, ruleset: &Ruleset) {
    let event = |name| filter.events().unwrap().into_iter().find(|event| event.name == name).unwrap().value;
    let mut sampled = BTreeSet::new();
    let taken = filter.samples(usize::MAX, |sample| {
        let known = match sample.monitored {
            Monitored::Rule(id) => ruleset.rules.iter().any(|rule| rule.id == id && ruleset.monitors(rule)),
            Monitored::Default => ruleset.monitor && ruleset.default_action == Action::Drop,
            Monitored::Blocklist => ruleset.monitor && ruleset.sets.iter().any(|set| set.is_blocklist()),
        };
        assert!(known, "{sample:?} of {ruleset:#?}");
        sampled.insert(format!("{}", sample.monitored));
    });
    let taken = taken.unwrap();
    assert_eq!(taken > 0, event("monitored") > 0);
    assert!(taken as u64 + event("sample_lost") <= event("monitored"));
    assert!(!sampled.is_empty() || taken == 0);
}

/// Whether the source is in a blocklist.
pub(super) fn is_blocked(ruleset: &Ruleset, frame: &Frame) -> bool {
    let (Frame::Ip(headers) | Frame::Undecidable(_, Some(headers))) = frame else { return false };
    ruleset.sets.iter().any(|set| set.is_blocklist() && set.contains(headers.src))
}

#[test]
#[ignore = "needs root"]
fn the_kernel_and_the_reference_model_agree_on_every_packet() {
    let mut seen = BTreeMap::new();
    for seed in 1..=RULESETS {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let rules = (1..=random.pick(&[0, 1, 8, 40, 120])).map(|id| random_rule(&mut random, id)).collect();
        let mut ruleset = Ruleset::new(rules, random_action(&mut random));
        if seed % 3 > 0 {
            shapes::season(&mut ruleset, &mut random);
        }
        let services = vec![[10, 0, 0, 5].into(), [192, 168, 1, 1].into(), "fd00::1".parse().unwrap()];
        let packets: Vec<_> = (0..PACKETS).map(|_| testing::arbitrary(|| random.byte())).collect();
        compare(&ruleset, services, packets, &mut random, &mut seen);
    }
    // The packets are worth nothing unless they reach every kind of decision, by every field.
    let plain = || seen.iter().filter(|(cause, _)| !cause.contains(','));
    assert!(plain().count() >= 23 && plain().all(|(_, count)| *count > 5), "{seen:#?}");
    let all = ["Rule 1", "Rule 2", "Rule 4", "Default 1", "Default 2"].map(|cause| format!("{cause}, monitored rule"));
    let monitored = all.iter().all(|cause| seen.contains_key(cause));
    assert!(monitored && seen.contains_key("Default 2, monitored default"), "{seen:#?}");
}

/// Compare on rulesets of these sizes, of every shape and family, `packets` for each, around the corners of their rules.
fn compare_shapes(sizes: &[u32], packets: usize) {
    let mut seen = BTreeMap::new();
    let mut compared = 0;
    for (seed, size) in (1..).zip(sizes) {
        for shape in SHAPES {
            for families in [Families::V4, Families::V6, Families::Both] {
                let mut random = Random(seed);
                let mut ruleset = shapes::ruleset(shape, families, *size, &mut random);
                if seed % 4 > 0 {
                    shapes::season(&mut ruleset, &mut random);
                }
                let flows: Vec<_> = (0..packets).map(|_| shapes::flow(&ruleset, &mut random)).collect();
                let services = flows.iter().step_by(2).map(|flow| flow.dst).take(500).collect();
                let frame = |flow| match random.byte() {
                    0..128 => testing::packet(flow),
                    _ => testing::disguised(flow, || random.byte()),
                };
                let frames: Vec<_> = flows.iter().map(frame).collect();
                compare(&ruleset, services, frames, &mut random, &mut seen);
                compared += packets;
            }
        }
    }
    println!("{compared} packets, decided by: {seen:#?}");
    let causes = ["Rule 1", "Rule 2", "Rule 4", "Default 2", "LaterFragment 4", "Undecidable(Truncated) 1"];
    let monitored = ["Rule 1, monitored rule", "Rule 2, monitored rule", "Default 2, monitored rule"];
    let fields = ["by vlan", "by no vlan", "by tcp flags", "by list of ports", "by list of source ports"];
    for cause in causes.iter().chain(&monitored).chain(&fields) {
        assert!(seen.get(*cause).is_some_and(|count| *count > 20), "{cause}: {seen:#?}");
    }
}

#[test]
#[ignore = "needs root"]
fn they_agree_on_rulesets_of_every_shape() {
    compare_shapes(&[3, 64, 65, 600, 2000], 450);
}

#[test]
#[ignore = "needs root; takes a minute"]
fn they_agree_on_two_hundred_thousand_packets_and_up_to_ten_thousand_rules() {
    compare_shapes(&[1, 2, 10, 64, 256, 1000, 3000, 10_000], 2800);
}

/// Rules that each look at another part of a packet, so that a cut anywhere changes what can be seen.
fn rules_on_every_field() -> Vec<Rule> {
    let ports = |ports: &[u16]| Ports::new(ports.iter().map(|&port| PortRange { first: port, last: port }));
    let flags = Some(TcpFlags { set: 0x02, clear: 0x10 });
    let matchers = [
        Matcher { port: ports(&[80, 443]), ..Matcher::default() },
        Matcher { sport: ports(&[22, 65535]), vlan: Some(100), ..Matcher::default() },
        Matcher { proto: Some(Protocol::TCP), tcp_flags: flags, ..Matcher::default() },
        Matcher { vlan: Some(5), ..Matcher::default() },
        Matcher { vlan: Some(0), proto: Some(Protocol::UDP), ..Matcher::default() },
    ];
    (1..).zip(matchers).map(|(id, matcher)| Rule::new(RuleId(id), matcher, Action::Drop)).collect()
}

#[test]
#[ignore = "needs root"]
fn they_agree_on_packets_cut_at_every_byte() {
    let chains = ["default".to_owned()];
    let mut random = Random(42);
    let mut cut = 0;
    // One that counts instead of dropping, in turns; then none.
    for monitored in 0..=5 {
        let mut rules = rules_on_every_field();
        rules.iter_mut().for_each(|rule| rule.monitor = rule.id.0 == monitored);
        let ruleset = Ruleset::new(rules, Action::Pass);
        let classifier = Classifier::new(&ruleset, &chains).unwrap();
        let mut filter = Filter::load(FailPolicy::Closed).unwrap();
        filter.publish(&ruleset, &chains).unwrap();
        for _ in 0..30 {
            let whole = testing::arbitrary(|| random.byte());
            for length in 14..=whole.len() {
                let packet = &whole[..length];
                // Without a service all that goes to inspection is dropped, as the rules drop.
                let expected = match classifier.classify(&parse(packet)).action {
                    Outcome::Pass => XDP_PASS,
                    Outcome::Drop | Outcome::Inspect { .. } => XDP_DROP,
                };
                for _ in 0..2 {
                    assert_eq!(filter.test_run(packet, LOOPBACK, 0).unwrap().0, expected, "{packet:02x?}");
                }
                cut += 1;
            }
        }
    }
    assert!(cut > 5000, "{cut} packets");
}

/// Whether rules of `explain` and the kernel say the same of whole packets of `flows`, whose verdicts and metadata tell
/// the action, the chain and the rule.
fn assert_explained(ruleset: &Ruleset, flows: &[testing::Flow]) -> usize {
    let chains = ["default".to_owned(), "web".to_owned()];
    let socket = xdp_socket().unwrap();
    let mut filter = Filter::load(FailPolicy::Closed).unwrap();
    filter.set_port(LOOPBACK, 0).unwrap();
    filter.set_socket(0, 0, socket.as_raw_fd()).unwrap();
    filter.publish(ruleset, &chains).unwrap();
    let (mut explained, mut monitored) = (0, 0);
    for flow in flows {
        let packet = testing::packet(flow);
        let Frame::Ip(headers) = parse(&packet) else { continue };
        // An extension header's number leads on to a header that the tuple does not name.
        if headers.protocol != flow.protocol {
            continue;
        }
        let protocol = Protocol(flow.protocol);
        let (sport, port) = if protocol.has_ports() { (flow.sport, flow.port) } else { (0, 0) };
        let tcp_flags = if protocol == Protocol::TCP { flow.tcp_flags } else { 0 };
        let tuple = Tuple { src: flow.src, dst: flow.dst, sport, port, protocol, tcp_flags, vlan: flow.vlan };
        filter.set_service(flow.dst).unwrap();
        let (verdict, out) = filter.test_run(&packet, LOOPBACK, 0).unwrap();
        filter.remove_service(flow.dst).unwrap();
        let answer = explain(ruleset, &tuple);
        let expected = match &answer.action {
            Action::Pass => (XDP_PASS, None),
            Action::Drop => (XDP_DROP, None),
            Action::Inspect { chain } => {
                let chain = u16::from(chain == "web");
                (XDP_REDIRECT, Some(Metadata::of(chain, answer.rule.map_or(0, |id| id.0))))
            }
        };
        let metadata = out.first_chunk().filter(|_| verdict == XDP_REDIRECT).and_then(Metadata::read);
        let metadata = metadata.map(|said| Metadata::of(said.chain, said.rule));
        assert_eq!((verdict, metadata), expected, "{flow:?} of {ruleset:#?}");
        monitored += u64::from(answer.monitored.is_some());
        explained += 1;
    }
    let events = filter.events().unwrap();
    let event = events.iter().find(|event| event.name == "monitored").unwrap();
    assert_eq!(event.value, monitored);
    explained
}

#[test]
#[ignore = "needs root"]
fn what_is_explained_is_what_the_kernel_does() {
    let mut explained = 0;
    for seed in 1..=40 {
        let mut random = Random(seed);
        let (shape, families) = (random.pick(&SHAPES), random.pick(&[Families::V4, Families::V6, Families::Both]));
        let mut ruleset = shapes::ruleset(shape, families, random.pick(&[1, 5, 40, 200]), &mut random);
        shapes::season(&mut ruleset, &mut random);
        ruleset.rules.iter_mut().for_each(|rule| rule.enabled = random.byte() > 20);
        let flows: Vec<_> = (0..100).map(|_| shapes::flow(&ruleset, &mut random)).collect();
        explained += assert_explained(&ruleset, &flows);
    }
    assert!(explained > 3000, "{explained} of 4,000 packets");
}
