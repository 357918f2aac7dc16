//! The engine: packets and stream data in, alerts and verdicts out.

mod alert;
mod apps;
mod packets;
mod plan;
mod streams;
mod txs;

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

pub use alert::{Alert, RejectToOrd, Taken, Verdict};
use alert::{Match, decide};
use plan::{Plan, header_matches};

use crate::{
    config::Config,
    detect::{bytes::Vars, prefilter::Prefilter},
    load::load,
    packet::{PacketView, StreamChunk},
    report::Report,
    rule::{
        header::Arrow,
        model::Rule,
        options::{bits::Track, bytes::MOST_VARS, meta::Classes},
        vars::Vars as Names,
    },
    state::{
        flow::{Fate, Flow},
        hosts::HostBits,
        lru::Lru,
        mixed::Mixing,
        threshold::Thresholds,
    },
};

/// Takes alerts.
pub trait Sink {
    /// An alert of the packet that is inspected.
    fn alert(&mut self, alert: Alert);
}

impl Sink for Vec<Alert> {
    fn alert(&mut self, alert: Alert) {
        self.push(alert);
    }
}

/// The engine.
#[derive(Debug)]
pub struct Engine {
    plan: Plan,
    flows: Lru<u64, Flow, Mixing>,
    thresholds: Thresholds,
    hosts: HostBits,
    report: Report,
    work: Work,
    /// Bytes that flows take, about, and may take.
    memory: usize,
    most_memory: usize,
    /// Bytes of each body, and of each direction's stream, that are kept.
    keep_body: usize,
    window: usize,
    most_alerts: usize,
}

/// What one packet's inspection works with, kept for its memory.
#[derive(Debug, Default)]
struct Work {
    matches: Vec<Match>,
    candidates: Vec<u32>,
    /// For each rule: the last round in which it became a candidate, and in which its pattern was in the stream's new data.
    rounds: Vec<[u32; 2]>,
    round: u32,
}

impl Work {
    /// A new set of candidates.
    fn begin(&mut self, rules: usize) {
        self.candidates.clear();
        self.rounds.resize(rules, [0; 2]);
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            self.rounds.fill([0; 2]);
            self.round = 1;
        }
    }

    fn add(&mut self, rule: u32) {
        let [seen, _] = &mut self.rounds[rule as usize];
        if *seen != self.round {
            *seen = self.round;
            self.candidates.push(rule);
        }
    }

    /// A candidate whose pattern was in the stream's new data.
    fn add_hit(&mut self, rule: u32) {
        self.add(rule);
        self.rounds[rule as usize][1] = self.round;
    }

    fn is_hit(&self, rule: u32) -> bool {
        self.rounds[rule as usize][1] == self.round
    }

    /// The candidates, in the order of rules; their memory comes back by [`Self::give_back`].
    fn take(&mut self) -> Vec<u32> {
        let mut candidates = core::mem::take(&mut self.candidates);
        candidates.sort_unstable();
        candidates
    }

    fn give_back(&mut self, mut candidates: Vec<u32>) {
        candidates.clear();
        self.candidates = candidates;
    }
}

/// Which rules on packets are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// All: the packet has no data that comes as stream too.
    All,
    /// Those that do not depend on what the data's inspection comes to.
    Early,
}

/// What evaluation of a packet may look at and change, but for the flow.
struct Scene<'e> {
    plan: &'e Plan,
    hosts: &'e mut HostBits,
    work: &'e mut Work,
    keep_body: usize,
    window: usize,
}

impl Engine {
    /// An engine that runs the rules of `config`.
    ///
    /// # Errors
    /// What is wrong with the configuration, for people; with `strict`, also the first rule that does not run.
    pub fn new(config: &Config) -> Result<Self, String> {
        let vars = Names::with(config.vars.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let classes = Classes::with(&config.classification)?;
        let (rules, report) = load(&config.rules, &vars, &classes);
        if config.strict
            && let Some(first) = report.rejected.first()
        {
            return Err(alloc::format!("rules: {}:{}: {}", first.line, first.column, first.message));
        }
        let plan = Plan::new(rules, &config.order()?);
        Ok(Self {
            plan,
            flows: Lru::new(config.flows),
            thresholds: Thresholds::new(config.thresholds),
            hosts: HostBits::new(config.thresholds),
            report,
            work: Work::default(),
            memory: 0,
            most_memory: config.memory_mib << 20,
            keep_body: config.body_limit,
            window: config.stream_window,
            most_alerts: config.alerts_per_packet,
        })
    }

    /// What became of each rule.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Bytes that prefilters take, about.
    #[must_use]
    pub fn prefilter_memory(&self) -> usize {
        self.plan.prefilters().map(Prefilter::memory).sum()
    }

    /// Inspect a packet. Of TCP data that comes as stream too ([`PacketView::in_stream`]), [`Engine::stream`] inspects the
    /// rest.
    pub fn packet(&mut self, packet: &PacketView<'_>, sink: &mut dyn Sink) -> Verdict {
        let phase = if packet.in_stream && !packet.payload.is_empty() { Phase::Early } else { Phase::All };
        if phase == Phase::Early && self.plan.late_pass {
            return self.fate_of(packet.flow);
        }
        self.inspect(packet, sink, |scene, flow| match flow.reversed {
            true => scene.packet(&packet.reversed(), flow, phase),
            false => scene.packet(packet, flow, phase),
        })
    }

    /// Inspect stream data that `packet` brought, all of it at once.
    pub fn stream(&mut self, packet: &PacketView<'_>, chunks: &[StreamChunk<'_>], sink: &mut dyn Sink) -> Verdict {
        self.inspect(packet, sink, |scene, flow| {
            flow.reversed |= apps::is_reversed(packet, flow, chunks);
            if flow.reversed {
                // Rare, so the copies do not matter.
                let chunks: Vec<_> = chunks.iter().map(|chunk| chunk.reversed()).collect();
                scene.stream(&packet.reversed(), flow, &chunks);
            } else {
                scene.stream(packet, flow, chunks);
            }
        })
    }

    /// A flow is over without a packet: nothing of it is kept.
    pub fn forget(&mut self, flow: u64) {
        if let Some(flow) = self.flows.remove(&flow) {
            self.memory = self.memory.saturating_sub(flow.accounted);
        }
    }

    /// Flows that are kept.
    #[must_use]
    pub fn flows(&self) -> usize {
        self.flows.len()
    }

    fn fate_of(&mut self, flow: u64) -> Verdict {
        match self.flows.get(&flow).map(|flow| flow.fate) {
            Some(Fate::Drop) => Verdict::DropFlow,
            Some(Fate::Pass) => Verdict::PassFlow,
            _ => Verdict::Pass,
        }
    }

    fn inspect(
        &mut self,
        packet: &PacketView<'_>,
        sink: &mut dyn Sink,
        evaluate: impl FnOnce(&mut Scene<'_>, &mut Flow),
    ) -> Verdict {
        let (flow, gone) = self.flows.get_or(packet.flow, Flow::default);
        if let Some(gone) = gone {
            self.memory = self.memory.saturating_sub(gone.accounted);
        }
        match flow.fate {
            Fate::Open => {}
            Fate::Pass => return Verdict::PassFlow,
            Fate::Drop => return Verdict::DropFlow,
        }
        let mut scene = Scene {
            plan: &self.plan,
            hosts: &mut self.hosts,
            work: &mut self.work,
            keep_body: self.keep_body,
            window: self.window,
        };
        evaluate(&mut scene, flow);
        let mut verdict = Verdict::Pass;
        if !self.work.matches.is_empty() {
            let thresholds = &mut self.thresholds;
            let raised = flow.raised(packet);
            let most = self.most_alerts.saturating_sub(*raised);
            let decision = decide(&mut self.work.matches, &self.plan.rules, most, |found, rule| {
                rule.threshold.as_ref().map_or(crate::state::threshold::Outcome::Alert, |threshold| {
                    thresholds.count(found.rule, threshold, packet.src, packet.dst, packet.flow, packet.ts_ns)
                })
            });
            *raised += decision.alerts.len();
            for (found, taken) in decision.alerts {
                sink.alert(Alert {
                    meta: self.plan.rule(found.rule).meta.clone(),
                    taken,
                    passed: decision.passed,
                    app: flow.app,
                    tx: found.tx,
                    to_client: packet.to_client != flow.reversed,
                });
            }
            verdict = decision.verdict;
            if matches!(verdict, Verdict::DropFlow | Verdict::RejectFlow(_)) {
                flow.fate = Fate::Drop;
            } else if decision.pass_flow {
                flow.fate = Fate::Pass;
                verdict = Verdict::PassFlow;
            }
            if flow.fate != Fate::Open {
                // Nothing more of it is looked at.
                let (fate, accounted) = (flow.fate, flow.accounted);
                *flow = Flow::anew(accounted);
                flow.fate = fate;
            }
        }
        let now = flow.memory();
        self.memory = (self.memory + now).saturating_sub(flow.accounted);
        flow.accounted = now;
        while self.memory > self.most_memory && self.flows.len() > 1 {
            let Some(gone) = self.flows.pop_oldest() else { break };
            self.memory = self.memory.saturating_sub(gone.accounted);
        }
        verdict
    }
}

impl Scene<'_> {
    /// Whether all of the rule but its sections fits packet and flow: header, direction, state.
    fn fits(&mut self, rule: &Rule, packet: &PacketView<'_>, flow: &Flow) -> bool {
        let side = 1u8 << packet.side();
        let wanted = &rule.flow;
        let state = (!wanted.established || packet.established) && (!wanted.not_established || !packet.established);
        rule.sides & side != 0
            && state
            && header_matches(rule, packet, rule.header.arrow == Arrow::Transaction && packet.to_client)
            && rule.packet.iter().all(|test| packet.test(test))
            && rule.protocols.iter().all(|wanted| match (wanted.app, flow.app, flow.app_failed) {
                (Some(app), Some(is), _) => (app == is) != wanted.negated,
                (Some(_), None, true) => wanted.negated,
                (None, is, failed) => (is.is_some() || failed) && failed != wanted.negated,
                (Some(_), None, false) => false,
            })
            && rule.bits.iter().filter(|bit| bit.op.is_test()).all(|bit| match bit.track {
                Track::Flow => flow.test_bit(bit),
                _ => self.hosts.test(bit, packet.src, packet.dst, packet.ts_ns),
            })
            && (rule.ints.is_empty() || rule.ints.iter().filter(|int| int.is_test()).all(|int| flow.test_int(int)))
    }

    /// The rule has matched: its effects, and its place among the packet's matches.
    fn matched(&mut self, number: u32, packet: &PacketView<'_>, flow: &mut Flow, tx: Option<u64>, on_stream: bool) {
        let rule = self.plan.rule(number);
        for bit in rule.bits.iter().filter(|bit| !bit.op.is_test()) {
            match bit.track {
                Track::Flow => flow.apply_bit(bit),
                _ => self.hosts.apply(bit, packet.src, packet.dst, packet.ts_ns),
            }
        }
        rule.ints.iter().filter(|int| !int.is_test()).for_each(|int| flow.apply_int(int));
        self.work.matches.push(Match { rule: number, tx, of_flow: alert::acts_on_flow(rule, on_stream) });
    }
}

/// Variables of a rule before it runs.
fn no_vars() -> Vars {
    [0; MOST_VARS]
}

impl core::fmt::Display for Verdict {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Pass | Self::PassFlow => "pass",
            Self::Drop | Self::DropFlow => "drop",
            Self::Reject(_) | Self::RejectFlow(_) => "reject",
        })
    }
}

impl Verdict {
    /// Its name.
    #[must_use]
    pub fn name(self) -> String {
        self.to_string()
    }
}
