//! Rules in their order, and which of them are looked at when.

use alloc::vec::Vec;

use hashbrown::HashMap;

use crate::{
    app::AppProto,
    buffers::{
        http::Shown,
        names::{Buffer, Scope, side},
    },
    detect::{
        inspect::needs_end,
        prefilter::{Patterns, Prefilter},
    },
    packet::{PacketView, TCP},
    rule::{
        header::{Action, Arrow, IpProto, IpVersion},
        model::{Absent, Kind, Rule},
        options::{bits::BitOp, transform::Transform},
    },
    state::mixed::Mixing,
};

/// Rules by port, so that most of those whose ports do not match are not even looked at.
#[derive(Debug, Default)]
pub struct ByPort {
    dst: HashMap<u16, Vec<u32>, Mixing>,
    src: HashMap<u16, Vec<u32>, Mixing>,
    rest: Vec<u32>,
}

/// Most ports of a rule that is kept by port.
const FEW: u128 = 32;

impl ByPort {
    fn add(&mut self, rule: &Rule, number: u32) {
        let ports = |set: &crate::rule::address::Ports| {
            (rule.header.arrow == Arrow::To && !set.is_any()).then(|| set.few(FEW)).flatten()
        };
        if let Some(ports) = ports(&rule.header.dst_ports) {
            ports.into_iter().for_each(|port| self.dst.entry(port).or_default().push(number));
        } else if let Some(ports) = ports(&rule.header.src_ports) {
            ports.into_iter().for_each(|port| self.src.entry(port).or_default().push(number));
        } else {
            self.rest.push(number);
        }
    }

    /// Rules that may match a packet of these ports.
    pub fn each(&self, src: u16, dst: u16, mut found: impl FnMut(u32)) {
        let lists = [self.dst.get(&dst), self.src.get(&src), Some(&self.rest)];
        lists.into_iter().flatten().flatten().for_each(|rule| found(*rule));
    }
}

/// Rules on packets.
#[derive(Debug, Default)]
pub struct PacketRules {
    /// Those without a pattern that need no application protocol.
    pub plain: ByPort,
    /// The same, that need one.
    pub app: Vec<u32>,
    /// Patterns in payloads of TCP and of others, by direction.
    pub payloads: [[Option<Prefilter>; 2]; 2],
}

/// A buffer with its transformations, and the patterns of rules that begin with it.
#[derive(Debug)]
pub struct TxKey {
    /// Its protocol.
    pub app: AppProto,
    /// The buffer.
    pub buffer: Buffer,
    /// Applied to it.
    pub transforms: Vec<Transform>,
    /// By direction.
    pub filters: [Option<Prefilter>; 2],
}

/// The plan.
#[derive(Debug, Default)]
pub struct Plan {
    /// Rules in the order of their evaluation.
    pub rules: Vec<Rule>,
    /// For each rule, for each section: more data may undo its match.
    pub ends: Vec<Vec<bool>>,
    /// Rules on addresses only.
    pub ip_only: Vec<u32>,
    /// Rules on the protocol only.
    pub protocol_only: Vec<u32>,
    /// Rules looked at with each packet.
    pub early: PacketRules,
    /// The same; on packets with data they wait for what the stream's rules come to.
    pub late: PacketRules,
    /// Patterns in streams, and those of late rules in payloads of TCP, by direction.
    pub streams: [Option<Prefilter>; 2],
    /// Rules of streams without a pattern, by direction.
    pub stream: [Vec<u32>; 2],
    /// Prefiltered buffers of transactions.
    pub keys: Vec<TxKey>,
    /// Rules of transactions without a pattern, by protocol and direction.
    pub tx: [[Vec<u32>; 2]; AppProto::COUNT],
    /// Rules need the stream's window, by direction.
    pub window: [bool; 2],
    /// Rules look into bodies.
    pub bodies: bool,
    /// What rules look into of all headers of HTTP together.
    pub headers: Shown,
    /// Rules need application protocols.
    pub apps: bool,
    /// Pass rules that may match only when the stream was looked at.
    pub late_pass: bool,
}

/// Sides as array indices.
fn each_side(sides: u8) -> impl Iterator<Item = usize> {
    [(side::TO_SERVER, 0), (side::TO_CLIENT, 1)].into_iter().filter(move |(bit, _)| sides & bit != 0).map(|(_, at)| at)
}

/// Patterns in the making.
#[derive(Default)]
struct Making {
    /// Of early rules and of late ones.
    payloads: [[[Patterns; 2]; 2]; 2],
    streams: [Patterns; 2],
    keys: Vec<[Patterns; 2]>,
}

impl Plan {
    /// Order `rules`, actions as `order` says, and plan.
    #[must_use]
    pub fn new(mut rules: Vec<Rule>, order: &[Action; 4]) -> Self {
        let rank = |action: Action| order.iter().position(|other| *other == action);
        rules.sort_by_key(|rule| (rank(rule.header.action), state_rank(rule), rule.meta.priority));
        let mut plan = Self { ends: rules.iter().map(section_ends).collect(), ..Self::default() };
        let mut making = Making::default();
        plan.late_pass = rules.iter().any(|rule| {
            rule.header.action == Action::Pass
                && (rule.app.is_some() || !matches!(rule.kind, Kind::Packet | Kind::IpOnly | Kind::LikeIpOnly))
        });
        let late = late_rules(&rules, plan.late_pass);
        for ((number, rule), late) in (0u32..).zip(&rules).zip(late) {
            plan.place(rule, number, late, &mut making);
        }
        plan.rules = rules;
        let both = |patterns: [Patterns; 2]| patterns.map(Patterns::build);
        plan.streams = both(making.streams);
        for (key, patterns) in plan.keys.iter_mut().zip(making.keys) {
            key.filters = both(patterns);
        }
        [plan.early.payloads, plan.late.payloads] = making.payloads.map(|payloads| payloads.map(both));
        plan
    }

    /// All prefilters.
    pub fn prefilters(&self) -> impl Iterator<Item = &Prefilter> {
        let payloads = [&self.early, &self.late].into_iter().flat_map(|rules| rules.payloads.iter().flatten());
        self.streams.iter().chain(payloads).chain(self.keys.iter().flat_map(|key| &key.filters)).flatten()
    }

    fn place(&mut self, rule: &Rule, number: u32, late: bool, making: &mut Making) {
        self.apps |= rule.app.is_some() || !rule.protocols.is_empty();
        for section in &rule.sections {
            self.bodies |= section.buffer.is_body();
            self.headers.add(section.buffer);
        }
        let packets = if late { &mut self.late } else { &mut self.early };
        let fast = rule.fast.as_ref();
        let in_payload = fast.filter(|fast| rule.sections[fast.section].buffer == Buffer::Payload);
        let tcp = matches!(rule.header.ip_proto, IpProto::Any | IpProto::One(TCP));
        let others = rule.header.ip_proto != IpProto::One(TCP);
        match rule.kind {
            Kind::IpOnly => self.ip_only.push(number),
            Kind::ProtocolOnly => self.protocol_only.push(number),
            Kind::AppLayer => packets.app.push(number),
            Kind::Tx => self.place_tx(rule, number, making),
            Kind::LikeIpOnly => packets.plain.add(rule, number),
            Kind::Packet | Kind::PacketStream | Kind::Stream => match in_payload {
                Some(fast) => {
                    let payloads = &mut making.payloads[usize::from(late)];
                    for at in each_side(rule.sides) {
                        if tcp && rule.on_packets {
                            payloads[0][at].add(&fast.bytes, fast.end, number);
                        }
                        if others {
                            payloads[1][at].add(&fast.bytes, fast.end, number);
                        }
                        if tcp && (rule.on_stream || late) {
                            making.streams[at].add(&fast.bytes, None, number);
                        }
                    }
                }
                None => {
                    if rule.app.is_some() && rule.kind == Kind::Packet && rule.payload().is_none() {
                        packets.app.push(number);
                    } else if rule.kind == Kind::Packet || others || rule.on_packets {
                        packets.plain.add(rule, number);
                    }
                    if tcp && rule.on_stream {
                        each_side(rule.sides).for_each(|at| self.stream[at].push(number));
                    }
                }
            },
        }
        if rule.payload().is_some() && tcp && (rule.on_stream || rule.kind == Kind::Tx) {
            each_side(rule.sides).for_each(|at| self.window[at] = true);
        }
    }

    fn place_tx(&mut self, rule: &Rule, number: u32, making: &mut Making) {
        let Some(app) = rule.app else { return };
        let fast = rule.fast.as_ref().filter(|fast| {
            matches!(rule.sections[fast.section].buffer.scope(), Scope::Tx(_))
                && rule.header.arrow != Arrow::Transaction
        });
        let Some(fast) = fast else {
            for at in each_side(rule.sides) {
                self.tx[app as usize][at].push(number);
            }
            return;
        };
        let section = &rule.sections[fast.section];
        debug_assert!(section.absent == Absent::No);
        let known =
            self.keys.iter().position(|key| key.buffer == section.buffer && key.transforms == section.transforms);
        let key = known.unwrap_or_else(|| {
            self.keys.push(TxKey {
                app,
                buffer: section.buffer,
                transforms: section.transforms.clone(),
                filters: [None, None],
            });
            making.keys.push(Default::default());
            self.keys.len() - 1
        });
        for at in each_side(rule.sides & section.buffer.sides()) {
            making.keys[key][at].add(&fast.bytes, fast.end, number);
        }
    }

    /// Rule number `number`.
    #[must_use]
    pub fn rule(&self, number: u32) -> &Rule {
        &self.rules[number as usize]
    }
}

/// Rules on packets that test what rules of streams and transactions set, directly or not. Rules of streams are late anyway.
fn late_rules(rules: &[Rule], all: bool) -> Vec<bool> {
    let mut late: Vec<bool> =
        rules.iter().map(|rule| all || !matches!(rule.kind, Kind::Packet | Kind::IpOnly | Kind::LikeIpOnly)).collect();
    let mut set: hashbrown::HashSet<u32> = hashbrown::HashSet::new();
    loop {
        let before = set.len();
        for (rule, late) in rules.iter().zip(&mut late) {
            let tests = rule.bits.iter().filter(|bit| bit.op.is_test()).flat_map(|bit| bit.bits.iter().copied());
            *late = *late || tests.chain(rule.ints.iter().map(|int| int.int)).any(|number| set.contains(&number));
            if *late {
                set.extend(rule.bits.iter().filter(|bit| !bit.op.is_test()).flat_map(|bit| bit.bits.iter().copied()));
                set.extend(rule.ints.iter().map(|int| int.int));
            }
        }
        if set.len() == before {
            return late;
        }
    }
}

/// As Suricata orders rules of an action: those that set bits first, then those that set and test, then those that test.
fn state_rank(rule: &Rule) -> u8 {
    let sets = rule.bits.iter().any(|bit| matches!(bit.op, BitOp::Set | BitOp::Unset | BitOp::Toggle));
    let tests = rule.bits.iter().any(|bit| bit.op.is_test());
    match (sets, tests) {
        (true, false) => 0,
        (true, true) => 1,
        (false, true) => 2,
        (false, false) => 3,
    }
}

fn section_ends(rule: &Rule) -> Vec<bool> {
    rule.sections.iter().map(|section| needs_end(&section.tests) || section.absent != Absent::No).collect()
}

/// Whether the rule's header fits a packet; `swapped` exchanges its ends.
#[must_use]
pub fn header_matches(rule: &Rule, packet: &PacketView<'_>, swapped: bool) -> bool {
    let header = &rule.header;
    let protocol = match header.ip_proto {
        IpProto::Any => true,
        IpProto::One(1) => matches!(packet.protocol, 1 | 58),
        IpProto::One(number) => packet.protocol == number,
    };
    let version = match header.version {
        IpVersion::Any => true,
        IpVersion::V4 => packet.is_v4(),
        IpVersion::V6 => !packet.is_v4(),
    };
    if !protocol || !version {
        return false;
    }
    let ends = |src, src_port, dst, dst_port| {
        header.src_ports.contains(src_port)
            && header.dst_ports.contains(dst_port)
            && header.src.contains(src)
            && header.dst.contains(dst)
    };
    let forward = || ends(packet.src, packet.src_port, packet.dst, packet.dst_port);
    let backward = || ends(packet.dst, packet.dst_port, packet.src, packet.src_port);
    match header.arrow {
        Arrow::To => forward(),
        Arrow::Both => forward() || backward(),
        Arrow::Transaction => {
            if swapped {
                backward()
            } else {
                forward()
            }
        }
    }
}
