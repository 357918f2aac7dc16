//! Offload in the kernel against the reference model, which learns what chains say of flows: an entry stands for exactly
//! what the rules would say of the packet.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
    os::fd::AsRawFd,
};

use super::{
    Exit, Filter, FlowCache, METADATA_LEN, Metadata, Offload,
    differential::{Model, is_blocked, may_be_offloaded, random_action, random_rule},
    sys::xdp_socket,
};
use crate::{
    clock,
    flow::{FlowOrder, FlowTuple, FlowVerdict, Order, is_plain},
    plane::{Count, FailPolicy},
    rules::{
        Action, Classifier, Decision, Outcome, Rule, Ruleset, shapes,
        testing::{Random, rule},
    },
    service::Mac,
    wire::{Frame, Headers, Rewrite, checksum, parse, testing},
};

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_REDIRECT: u32 = 4;
pub(super) const LOOPBACK: u32 = 1;
const RULESETS: u64 = 100;
const PACKETS: usize = 400;
pub(super) const HOUR: u64 = 3600 * 1_000_000_000;
const SYN: u8 = 2;

pub(super) fn offload(forward: bool) -> Offload {
    Offload { flows: true, sources: true, forward, max_flows: 4096, max_sources: 1024 }
}

/// What the reference model knows beside the rules.
struct Known {
    flows: HashMap<FlowTuple, FlowOrder>,
    sources: HashSet<IpAddr>,
    exits: HashMap<IpAddr, Exit>,
    forward: bool,
    uses_flags: bool,
}

/// What becomes of a packet before any rule is looked at.
#[derive(Debug, PartialEq)]
enum Before {
    Blocked,
    Condemned(FlowOrder),
    Passed(FlowOrder),
    /// With these bytes.
    Forwarded(FlowOrder, Vec<u8>),
    ToRules,
}

impl Known {
    fn tuple(&self, headers: &Headers) -> FlowTuple {
        let tuple = FlowTuple::of(headers);
        if self.uses_flags { tuple } else { FlowTuple { tcp_flags: 0, ..tuple } }
    }

    fn before(&mut self, frame: &Frame, packet: &[u8]) -> Before {
        let (Frame::Ip(headers) | Frame::Undecidable(_, Some(headers))) = frame else { return Before::ToRules };
        if self.sources.contains(&headers.src) {
            return Before::Blocked;
        }
        let tuple = self.tuple(headers);
        let (true, true, Some(order)) =
            (matches!(frame, Frame::Ip(_)), is_plain(headers), self.flows.get(&tuple).copied())
        else {
            return Before::ToRules;
        };
        match order.verdict {
            FlowVerdict::Condemned => Before::Condemned(order),
            FlowVerdict::Cleared if headers.tcp_flags & SYN != 0 => {
                self.flows.remove(&tuple);
                Before::ToRules
            }
            FlowVerdict::Cleared if !self.forward => Before::Passed(order),
            FlowVerdict::Cleared => {
                self.forwarded(headers, packet).map_or(Before::ToRules, |bytes| Before::Forwarded(order, bytes))
            }
        }
    }

    /// The frame as the worker would send it, unless that is something for the worker.
    fn forwarded(&self, headers: &Headers, packet: &[u8]) -> Option<Vec<u8>> {
        let exit = self.exits.get(&headers.dst)?;
        if packet.len() > 14 + exit.mtu as usize || packet[0] & 1 == 1 {
            return None;
        }
        let segment = &packet[usize::from(headers.l4)..];
        let ip_length = if headers.src.is_ipv4() { usize::from(headers.l3) + 2 } else { usize::from(headers.l3) + 4 };
        let mut length = u16::from_be_bytes([packet[ip_length], packet[ip_length + 1]]);
        if headers.src.is_ipv4() {
            length = length.wrapping_sub(20);
        }
        let field = match headers.protocol {
            6 => Some(16),
            17 => Some(6),
            _ => None,
        };
        if let Some(field) = field {
            // A datagram that ends before a TCP header's checksum is left to the worker.
            let stored = segment.get(field..field + 2).filter(|_| segment.len() >= 18)?;
            let pseudo = checksum::pseudo_header(headers.src, headers.dst, headers.protocol, length);
            if stored == pseudo.to_be_bytes() {
                return None;
            }
        }
        let routed = packet[..6] != exit.dst_mac.0;
        let mut ingress_mac = [0; 6];
        ingress_mac.copy_from_slice(&packet[..6]);
        if !routed {
            ingress_mac[0] ^= 2;
        }
        let (dst_mac, src_mac) = (exit.dst_mac, exit.src_mac);
        let rewrite = Rewrite { ingress_mac: Mac(ingress_mac), dst_mac, src_mac, repair_checksums: false };
        let mut bytes = packet.to_vec();
        rewrite.apply(&mut bytes, headers).ok()?;
        Some(bytes)
    }
}

/// One ruleset with its model, and packets that come again and again.
struct Trial<'a> {
    filter: Filter,
    classifier: Classifier,
    ruleset: Ruleset,
    model: Model,
    known: Known,
    random: &'a mut Random,
    seen: &'a mut BTreeMap<String, u64>,
}

impl Trial<'_> {
    fn packet(&mut self, packet: &[u8]) {
        let frame = parse(packet);
        let decision = self.classifier.classify(&frame);
        let before = self.known.before(&frame, packet);
        let (verdict, out) = self.filter.test_run(packet, LOOPBACK, 0).unwrap();
        let told = format!("{before:?} {decision:?} on {frame:?} {packet:02x?} of {:#?}", self.ruleset);
        let kind = match &before {
            Before::Blocked => {
                if let Frame::Undecidable(why, _) = frame {
                    self.model.undecidable(why);
                }
                self.count(packet, "drop", "source_blocked");
                assert_eq!(verdict, XDP_DROP, "{told}");
                "blocked"
            }
            Before::Condemned(order) => {
                self.stands_for(order, decision, packet, &told);
                self.count(packet, "drop", "flow_condemned");
                assert_eq!(verdict, XDP_DROP, "{told}");
                "condemned"
            }
            Before::Passed(order) => {
                self.stands_for(order, decision, packet, &told);
                self.count(packet, "pass", "flow_cleared");
                assert_eq!((verdict, &out[..]), (XDP_PASS, packet), "{told}");
                "passed"
            }
            Before::Forwarded(order, bytes) => {
                self.stands_for(order, decision, packet, &told);
                self.count(packet, "forward", "flow_cleared");
                assert_eq!((verdict, same(&out), out.len()), (XDP_REDIRECT, same(bytes), bytes.len()), "{told}");
                "forwarded"
            }
            Before::ToRules => {
                self.by_rules(&frame, decision, packet, verdict, &out, &told);
                "by rules"
            }
        };
        *self.seen.entry(kind.into()).or_default() += 1;
    }

    fn count(&mut self, packet: &[u8], action: &'static str, event: &'static str) {
        *self.model.actions.entry(action).or_default() += Count { packets: 1, bytes: packet.len() as u64 };
        self.model.event(event);
    }

    /// The rules would send the packet to the same chain by the same rule, which goes on counting.
    fn stands_for(&mut self, order: &FlowOrder, decision: Decision, packet: &[u8], told: &str) {
        assert_eq!(decision.action, Outcome::Inspect { chain: order.chain }, "{told}");
        assert_eq!(decision.rule.map_or(0, |rule| rule.0), order.rule, "{told}");
        assert_eq!(decision.monitored, None, "{told}");
        let count = Count { packets: 1, bytes: packet.len() as u64 };
        match decision.rule {
            Some(rule) => *self.model.rules.entry(rule).or_default() += count,
            None => self.model.default += count,
        }
    }

    fn by_rules(&mut self, frame: &Frame, decision: Decision, packet: &[u8], verdict: u32, out: &[u8], told: &str) {
        let (expected, metadata) = self.model.expect(frame, decision, packet.len());
        if is_blocked(&self.ruleset, frame) {
            self.model.event("blocklist");
        }
        let (front, rest) = out.split_at(out.len() - packet.len());
        assert_eq!(rest, packet, "{told}");
        let said = <&[u8; METADATA_LEN]>::try_from(front).ok().and_then(Metadata::read);
        let plain = said.map(|said| Metadata::of(said.chain, said.rule));
        assert_eq!((verdict, plain), (expected, metadata), "{told}");
        let Some(said) = said else { return };
        assert_eq!(said.generation, self.filter.stamp());
        assert!(may_be_offloaded(frame, decision, said), "{told}");
        let (Frame::Ip(headers) | Frame::Undecidable(_, Some(headers))) = frame else { return };
        self.decide(headers, said);
    }

    /// What the chain makes of a packet that it sees.
    fn decide(&mut self, headers: &Headers, said: Metadata) {
        let now = clock::monotonic_ns();
        let verdict = match self.random.byte() {
            0..100 => FlowVerdict::Cleared,
            100..140 => FlowVerdict::Condemned,
            140..143 => {
                let order = Order::Block { source: headers.src, since_ns: now, until_ns: now + HOUR };
                self.filter.flow_cache().write(&[order]).unwrap();
                self.known.sources.insert(headers.src);
                return;
            }
            _ => return,
        };
        if said.slot == Metadata::NO_SLOT || !is_plain(headers) {
            return;
        }
        let tuple = FlowTuple::of(headers);
        let Metadata { chain, rule, generation, slot } = said;
        // Some are over at once, some are of rules that are gone.
        let over = self.random.byte() < 30;
        let until_ns = if over { 1 } else { now + HOUR };
        let stale = self.random.byte() < 20;
        let generation = if stale { generation.wrapping_sub(1) } else { generation };
        let order = FlowOrder { tuple, verdict, chain, rule, generation, slot, since_ns: now, until_ns };
        self.filter.flow_cache().write(&[Order::Flow(order)]).unwrap();
        let tuple = self.known.tuple(headers);
        if stale {
            return;
        }
        if over {
            self.known.flows.remove(&tuple);
        } else {
            self.known.flows.insert(tuple, FlowOrder { tuple, ..order });
        }
    }

    /// The same rules anew: what was said of flows counts no more, sources stay blocked.
    fn publish(&mut self) {
        self.filter.publish(&self.ruleset, &chains()).unwrap();
        self.known.flows.clear();
    }

    fn assert_known(&self) {
        let now = clock::monotonic_ns();
        let cache = self.filter.flow_cache();
        let mut flows = HashMap::new();
        cache.flows(now, |flow| assert!(flows.insert(flow.tuple, flow.verdict).is_none())).unwrap();
        let expected: HashMap<_, _> = self.known.flows.iter().map(|(tuple, order)| (*tuple, order.verdict)).collect();
        assert_eq!(flows, expected);
        let mut sources = HashSet::new();
        cache.sources(now, |blocked| assert!(sources.insert(blocked.source))).unwrap();
        assert_eq!(sources, self.known.sources);
        let swept = cache.sweep(now).unwrap();
        assert_eq!(swept.cleared + swept.condemned, expected.len() as u64);
        assert_eq!(swept.sources, sources.len() as u64);
    }
}

/// Header checksums of 0 and of 0xffff are the same number.
fn same(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    if packet[12..14] == [8, 0] && packet[24..26] == [0xff, 0xff] {
        packet[24..26].fill(0);
    }
    packet
}

pub(super) fn chains() -> [String; 2] {
    ["default".to_owned(), "web".to_owned()]
}

fn trial<'a>(seed: u64, random: &'a mut Random, seen: &'a mut BTreeMap<String, u64>) -> Trial<'a> {
    let rules = (1..=random.pick(&[0, 1, 8, 40])).map(|id| random_rule(random, id)).collect();
    let inspect = Action::Inspect { chain: "web".into() };
    let default = if seed.is_multiple_of(2) { inspect } else { random_action(random) };
    let mut ruleset = Ruleset::new(rules, default);
    for rule in &mut ruleset.rules {
        if random.byte() < 100 {
            rule.action = Action::Inspect { chain: "default".into() };
        }
    }
    if !seed.is_multiple_of(3) {
        shapes::season(&mut ruleset, random);
    }
    let services: Vec<IpAddr> = vec![
        [10, 0, 0, 5].into(),
        [192, 168, 1, 1].into(),
        [10, 0, 0, 1].into(),
        "fd00::1".parse().unwrap(),
        "fd00::5".parse().unwrap(),
        "fd00:1::5".parse().unwrap(),
    ];
    let forward = seed.is_multiple_of(4) || seed % 4 == 3;
    let filter = match seed.is_multiple_of(5) {
        true => Filter::for_split_packets(FailPolicy::Closed, offload(forward)).unwrap(),
        false => Filter::with_offload(FailPolicy::Closed, offload(forward)).unwrap(),
    };
    filter.set_port(LOOPBACK, 0).unwrap();
    services.iter().for_each(|service| filter.set_service(*service).unwrap());
    let exit = |mtu| Exit { ifindex: LOOPBACK, mtu, split: true, dst_mac: Mac([2; 6]), src_mac: Mac([6; 6]) };
    let ways: Vec<_> =
        (0..).zip(services.iter().skip(1)).map(|(at, ip)| (at, *ip, exit(if at == 1 { 50 } else { 1500 }))).collect();
    filter.flow_cache().set_exits(&ways).unwrap();
    let uses_flags = ruleset.rules.iter().any(|rule| rule.enabled && rule.matcher.tcp_flags.is_some());
    let known = Known {
        flows: HashMap::new(),
        sources: HashSet::new(),
        exits: ways.iter().map(|(_, ip, exit)| (*ip, *exit)).collect(),
        forward,
        uses_flags,
    };
    let model = Model {
        policy: FailPolicy::Closed,
        services,
        with_socket: true,
        rules: BTreeMap::new(),
        default: Count::default(),
        actions: BTreeMap::new(),
        events: BTreeMap::new(),
    };
    let classifier = Classifier::new(&ruleset, &chains()).unwrap();
    let mut trial = Trial { filter, classifier, ruleset, model, known, random, seen };
    trial.publish();
    trial
}

/// A packet of one of few flows, plain or in some disguise, or nearly anything.
fn packet(random: &mut Random) -> Vec<u8> {
    let mut packet = match random.byte() {
        0..60 => testing::arbitrary(|| random.byte()),
        choice => {
            let v6 = choice.is_multiple_of(3);
            let last = |random: &mut Random| random.pick(&[1_u8, 5]);
            let address = |random: &mut Random| -> IpAddr {
                if v6 { format!("fd00::{}", last(random)).parse().unwrap() } else { [10, 0, 0, last(random)].into() }
            };
            let flow = testing::Flow {
                src: address(random),
                dst: address(random),
                protocol: random.pick(&[6, 6, 17, 1, 132]),
                sport: random.pick(&[22, 4000]),
                port: random.pick(&[80, 443]),
                tcp_flags: random.pick(&[2, 16, 16, 24, 17, 4]),
                vlan: 0,
            };
            let mut packet = testing::packet(&flow);
            if random.byte() < 60 {
                packet = testing::disguised(&flow, || random.byte());
            }
            // Addressed to the service already; routed for the last time; only the pseudo-header's sum.
            if let Some(macs) = packet.get_mut(..6).filter(|_| random.byte() < 40) {
                macs.fill(2);
            }
            let hops = if v6 { 21 } else { 22 };
            if let Some(hops) = packet.get_mut(hops).filter(|_| random.byte() < 20) {
                *hops = 1;
            }
            if random.byte() < 60 {
                make_partial(&mut packet);
            }
            packet
        }
    };
    packet.resize(packet.len().max(14), 0);
    packet
}

fn make_partial(packet: &mut [u8]) {
    let Frame::Ip(headers) = parse(packet) else { return };
    let field = usize::from(headers.l4) + if headers.protocol == 6 { 16 } else { 6 };
    let length = headers.payload - headers.l4 + headers.payload_len;
    let sum = checksum::pseudo_header(headers.src, headers.dst, headers.protocol, length);
    if let Some(stored) = packet.get_mut(field..field + 2) {
        stored.copy_from_slice(&sum.to_be_bytes());
    }
}

#[test]
#[ignore = "needs root"]
fn an_entry_stands_for_what_the_rules_would_say() {
    let mut seen = BTreeMap::new();
    for seed in 1..=RULESETS {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut packets: Vec<Vec<u8>> = Vec::new();
        let mut trial = trial(seed, &mut random, &mut seen);
        let socket = xdp_socket().unwrap();
        trial.filter.set_socket(0, 0, socket.as_raw_fd()).unwrap();
        for _ in 0..PACKETS {
            let again = trial.random.byte() < 150 && !packets.is_empty();
            let next = if again { trial.random.pick(&packets) } else { packet(trial.random) };
            trial.packet(&next);
            packets.push(next);
            if trial.random.byte() < 4 {
                trial.assert_known();
                trial.publish();
            }
        }
        trial.assert_known();
        trial.model.assert_counted(&trial.filter);
    }
    println!("{seen:?}");
    for kind in ["blocked", "condemned", "passed", "forwarded", "by rules"] {
        assert!(seen.get(kind).is_some_and(|count| *count > 500), "{kind}: {seen:?}");
    }
}

/// A filter that inspects everything, and a clearing order for the flow of `packet`.
pub(super) fn inspecting(forward: bool) -> (Filter, std::sync::Arc<FlowCache>) {
    let mut filter = Filter::with_offload(FailPolicy::Closed, offload(forward)).unwrap();
    publish(&mut filter);
    let cache = filter.flow_cache();
    (filter, cache)
}

fn publish(filter: &mut Filter) {
    let rule = Rule { action: Action::Inspect { chain: "web".into() }, ..rule(1, |_| ()) };
    filter.publish(&Ruleset::new(vec![rule], Action::Drop), &chains()).unwrap();
}

pub(super) fn data(last: u8) -> Vec<u8> {
    let mut packet = testing::tcp4([192, 0, 2, last], [10, 0, 0, 5], 4000, 80);
    packet[14 + 20 + 13] = 16;
    packet
}

pub(super) fn order(packet: &[u8], verdict: FlowVerdict, generation: u32, until_ns: u64) -> Order {
    let Frame::Ip(headers) = parse(packet) else { panic!("no packet") };
    let tuple = FlowTuple::of(&headers);
    Order::Flow(FlowOrder { tuple, verdict, chain: 1, rule: 1, generation, slot: 0, since_ns: 1, until_ns })
}

#[test]
#[ignore = "needs root"]
fn a_verdict_ends_by_time_by_deletion_and_with_its_rules() {
    let (mut filter, cache) = inspecting(false);
    let run = |filter: &Filter| filter.test_run(&data(1), LOOPBACK, 0).unwrap().0;
    let soon = || clock::monotonic_ns() + 300_000_000;
    assert_eq!(run(&filter), XDP_DROP, "nobody is there to inspect");
    cache.write(&[order(&data(1), FlowVerdict::Cleared, 1, soon())]).unwrap();
    assert_eq!(run(&filter), XDP_PASS);
    std::thread::sleep(std::time::Duration::from_millis(350));
    assert_eq!(run(&filter), XDP_DROP);
    assert_eq!(cache.sweep(clock::monotonic_ns()).unwrap(), super::flows::Swept::default());

    let later = clock::monotonic_ns() + HOUR;
    cache
        .write(&[order(&data(1), FlowVerdict::Cleared, 1, later), order(&data(2), FlowVerdict::Condemned, 1, later)])
        .unwrap();
    assert_eq!(run(&filter), XDP_PASS);
    let Order::Flow(FlowOrder { tuple, .. }) = order(&data(1), FlowVerdict::Cleared, 1, later) else { panic!() };
    assert!(cache.forget_flow(&tuple).unwrap());
    assert!(!cache.forget_flow(&tuple).unwrap());
    assert_eq!(run(&filter), XDP_DROP);

    cache.write(&[order(&data(1), FlowVerdict::Cleared, 1, later)]).unwrap();
    publish(&mut filter);
    assert_eq!(run(&filter), XDP_DROP, "rules that are gone");
    cache.write(&[order(&data(1), FlowVerdict::Cleared, 1, later)]).unwrap();
    assert_eq!(run(&filter), XDP_DROP, "an order that came too late");
    cache.write(&[order(&data(1), FlowVerdict::Cleared, 2, later)]).unwrap();
    assert_eq!(run(&filter), XDP_PASS);
    cache.clear_flows().unwrap();
    assert_eq!(run(&filter), XDP_DROP);
    // By the rule, whoever decided: 1 cleared packet of each of the four times, and those that were inspected.
    assert_eq!(filter.rule_counts()[0].count.packets, 9);

    let source = IpAddr::from([192, 0, 2, 1]);
    cache.write(&[Order::Block { source, since_ns: 1, until_ns: later }]).unwrap();
    let blocked =
        |filter: &Filter| filter.events().unwrap().iter().find(|event| event.name == "source_blocked").unwrap().value;
    run(&filter);
    assert_eq!(blocked(&filter), 1);
    publish(&mut filter);
    run(&filter);
    assert_eq!(blocked(&filter), 2, "a source stays blocked whatever the rules");
    assert!(cache.forget_source(source).unwrap());
    run(&filter);
    assert_eq!(blocked(&filter), 2);
}

#[test]
#[ignore = "needs root"]
fn a_million_flows_fit_by_pushing_the_oldest_out() {
    let (filter, cache) = inspecting(false);
    let later = clock::monotonic_ns() + HOUR;
    let flow = |number: u32| {
        let [_, a, b, c] = number.to_be_bytes();
        let mut packet = testing::tcp4([11, a, b, c], [10, 0, 0, 5], 4000, 80);
        packet[14 + 20 + 13] = 16;
        packet
    };
    let begin = std::time::Instant::now();
    for batch in 0..1000 {
        let orders: Vec<_> =
            (0..1000).map(|at| order(&flow(batch * 1000 + at), FlowVerdict::Cleared, 1, later)).collect();
        cache.write(&orders).unwrap();
    }
    println!("a million orders in {:?}", begin.elapsed());
    let mut left = 0;
    cache.flows(clock::monotonic_ns(), |_| left += 1).unwrap();
    assert!((2048..=4096).contains(&left), "{left} of at most 4096");
    let passes = |number| filter.test_run(&flow(number), LOOPBACK, 0).unwrap().0 == XDP_PASS;
    assert!((999_900..1_000_000).all(passes), "the newest are there");
    assert!(!(0..1000).any(passes), "the oldest are not");
    assert_eq!(cache.sweep(clock::monotonic_ns()).unwrap().cleared, left);
}
