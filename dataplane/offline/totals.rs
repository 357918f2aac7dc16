//! What became of the packets of a capture, one by one and all together.

use std::collections::BTreeMap;

use crate::{
    flow::FlowTuple,
    plane::Count,
    process::DropReason,
    rules::{Monitored, RuleId},
};

/// What became of a packet, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Passed: neither IPv4 nor IPv6, ARP, or neighbour discovery.
    NotIp,
    /// Passed without an answer: it ends within the header of its link.
    NoLink,
    /// Passed by a rule, or by the default action.
    RulePass,
    /// Dropped by a rule, by the default action, or because a rule that drops may match what cannot be decided on.
    RuleDrop,
    /// Dropped: a module blocks its source.
    SourceBlocked,
    /// Passed by its chain, or by what the chain had said of its flow.
    ChainPass,
    /// Dropped on its way through the worker.
    WorkerDrop(DropReason),
}

impl Fate {
    /// Whether the packet went no further.
    #[must_use]
    pub fn is_drop(self) -> bool {
        matches!(self, Self::RuleDrop | Self::SourceBlocked | Self::WorkerDrop(_))
    }

    /// What decided, in a word: `rule`, `chain`, `module`, …
    #[must_use]
    pub fn cause(self) -> &'static str {
        match self {
            Self::NotIp => "not_ip",
            Self::NoLink => "no_link",
            Self::RulePass | Self::RuleDrop => "rule",
            Self::SourceBlocked => "source_blocked",
            Self::ChainPass => "chain",
            Self::WorkerDrop(reason) => reason.name(),
        }
    }
}

/// A packet of a capture and its fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketReport {
    /// Its number in the capture, counted from 1.
    pub number: u64,
    /// When it was captured, nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// Bytes of it that were captured, without a made-up Ethernet header.
    pub len: usize,
    /// Its length on the link.
    pub original_len: u32,
    /// Addresses and ports, where it is an IP packet.
    pub tuple: Option<FlowTuple>,
    /// The rule that decided on it or sent it to its chain; none for the default action.
    pub rule: Option<RuleId>,
    /// Index of the chain, where there is one.
    pub chain: Option<u16>,
    /// What only counted it, in monitor mode, where it would have been dropped.
    pub monitored: Option<Monitored>,
    /// What became of it.
    pub fate: Fate,
}

/// Packets of one rule, or of the default action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RuleTally {
    /// That it decided on.
    pub matched: Count,
    /// Of these, those that were dropped in the end, by it or by its chain.
    pub dropped: Count,
    /// That it would have dropped, in monitor mode.
    pub monitored: u64,
}

/// Packets of one chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChainTally {
    /// That were sent to it.
    pub packets: Count,
    /// Of these, those that were dropped.
    pub dropped: Count,
}

/// A whole capture. Bytes are those that were captured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    /// All packets.
    pub packets: Count,
    /// Those that were dropped.
    pub dropped: Count,
    /// Dropped packets by [`Fate::cause`].
    pub causes: BTreeMap<&'static str, u64>,
    /// Packets of which not all bytes were captured.
    pub cut: u64,
    /// Packets that end within the header of their link.
    pub no_link: u64,
    /// Packets that are not IP, and neighbour discovery.
    pub not_ip: u64,
    /// IP packets whose headers cannot be followed to their end.
    pub undecidable: u64,
    /// Packets of cleared flows, which no module saw.
    pub cleared: u64,
    /// What modules would have dropped, in monitor mode.
    pub monitored: u64,
    /// Batches of a chain in which the host failed; a mistake of this program.
    pub panics: u64,
    /// Times at which packets were classified, by rule; `None` is the default action and what has none.
    pub rules: BTreeMap<Option<RuleId>, RuleTally>,
    /// By index of the chain.
    pub chains: Vec<ChainTally>,
    /// Alerts.
    pub alerts: u64,
    /// Alerts that found no room.
    pub alerts_lost: u64,
    /// Time of the earliest and of the latest packet, nanoseconds since the Unix epoch.
    pub span: Option<(u64, u64)>,
}

impl Totals {
    /// Totals without packets.
    #[must_use]
    pub(super) fn new(chains: usize) -> Self {
        Self { chains: vec![ChainTally::default(); chains], ..Self::default() }
    }

    /// Count a packet.
    pub(super) fn add(&mut self, packet: &PacketReport) {
        let one = Count { packets: 1, bytes: packet.len as u64 };
        let dropped = if packet.fate.is_drop() { one } else { Count::default() };
        self.packets += one;
        self.dropped += dropped;
        self.cut += u64::from(u64::from(packet.original_len) > one.bytes);
        let (from, to) = self.span.unwrap_or((u64::MAX, 0));
        self.span = Some((from.min(packet.time_ns), to.max(packet.time_ns)));
        if packet.fate.is_drop() {
            *self.causes.entry(packet.fate.cause()).or_default() += 1;
        }
        match packet.fate {
            Fate::NoLink => self.no_link += 1,
            Fate::NotIp => self.not_ip += 1,
            Fate::SourceBlocked => {}
            Fate::RulePass | Fate::RuleDrop | Fate::ChainPass | Fate::WorkerDrop(_) => {
                let rule = self.rules.entry(packet.rule).or_default();
                rule.matched += one;
                rule.dropped += dropped;
            }
        }
        match packet.monitored {
            Some(Monitored::Rule(id)) => self.rules.entry(Some(id)).or_default().monitored += 1,
            Some(Monitored::Default | Monitored::Blocklist) => self.rules.entry(None).or_default().monitored += 1,
            None => {}
        }
        if let Some(chain) = packet.chain.and_then(|chain| self.chains.get_mut(usize::from(chain))) {
            chain.packets += one;
            chain.dropped += dropped;
        }
    }
}
