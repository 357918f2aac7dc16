//! The module: connections by flow, findings as alerts, decisions as verdicts.

use alloc::string::String;

use secuxflow_sdk::{
    Action, Batch, Chunk, Chunks, Counter, FlowStates, Module, Packet, Setup, Severity as Grade, Stream, Verdict,
};

use crate::{Config, Connection, Decision, Finding, Severity, Waf, check_config, checks::protocol::NOT_HTTP};

/// The module `waf`.
#[derive(Debug)]
pub struct WafModule {
    waf: Waf,
    flows: FlowStates<Connection>,
    /// Bytes that all connections have on the heap.
    held: usize,
    policy: Policy,
    /// Whether responses are looked at.
    responses: bool,
    findings: Counter,
    attacks: Counter,
    given_up: Counter,
}

#[derive(Debug)]
struct Policy {
    ports: alloc::vec::Vec<u16>,
    on_attack: Action,
    on_other: Action,
    memory: usize,
}

impl Module for WafModule {
    type Config = Config;

    fn new(config: Config, setup: &mut Setup) -> Result<Self, String> {
        check_config(&config)?;
        Ok(Self {
            waf: Waf::new(&config)?,
            flows: FlowStates::new(config.flows)?,
            held: 0,
            responses: config.response_bytes > 0,
            findings: setup.counter("findings"),
            attacks: setup.counter("attacks"),
            given_up: setup.counter("connections_given_up"),
            policy: Policy {
                ports: config.ports,
                on_attack: config.on_attack,
                on_other: config.on_other,
                memory: config.memory,
            },
        })
    }
}

impl Stream for WafModule {
    fn stream(&mut self, batch: &mut Batch<'_>, chunks: Chunks<'_>) {
        // A reset from the server ends the flow too.
        let responses = self.responses;
        let seen = |chunk: &Chunk<'_>| responses || !chunk.to_client() || chunk.is_abort();
        for chunk in chunks.iter().filter(seen) {
            let packet = chunk.packet().and_then(|number| batch.packet(number));
            match packet {
                packet if chunk.to_client() && !chunk.is_abort() => self.response(packet.as_ref(), &chunk),
                Some(mut packet) if !chunk.is_abort() && !chunk.after_gap() && !chunk.is_midstream() => {
                    self.chunk(&mut packet, &chunk);
                }
                _ if self.forget(chunk.flow) && !chunk.is_abort() => self.given_up.add(1),
                _ => {}
            }
        }
    }
}

secuxflow_sdk::module!(WafModule: Stream, schema = include_str!("../schema.json"));

impl WafModule {
    /// Bytes that what is kept of all connections has on the heap, about.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// How many connections something is kept of.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.flows.len()
    }

    fn chunk(&mut self, packet: &mut Packet<'_>, chunk: &Chunk<'_>) {
        if !self.policy.ports.is_empty() && !self.policy.ports.contains(&packet.dst_port) {
            return packet.clear_flow(0);
        }
        if chunk.is_start() {
            // A connection that begins anew where another one was takes its place.
            self.forget(chunk.flow);
            if self.flows.len() == self.flows.capacity() {
                self.give_up_oldest();
            }
        }
        let connection = match chunk.is_start() {
            true => self.flows.get_or_default(chunk.flow),
            false => match self.flows.get(chunk.flow) {
                Some(connection) => connection,
                // Of what was not seen from its start nothing is known.
                None => return,
            },
        };
        let before = connection.held();
        let mut other = false;
        let findings = &mut self.findings;
        let mut out = |finding: Finding<'_>| {
            findings.add(1);
            other |= finding.id == NOT_HTTP.id;
            alert(packet, &finding);
        };
        let mut decision = self.waf.request_bytes(connection, chunk.bytes(), &mut out);
        if chunk.is_end() && self.waf.end(connection, &mut out) == Decision::Block {
            decision = Decision::Block;
        }
        self.held = (self.held + connection.held()).saturating_sub(before);
        if decision == Decision::Block {
            let action = if other { self.policy.on_other } else { self.policy.on_attack };
            self.attacks.add(1);
            if action.verdict() != Verdict::Pass {
                packet.set_verdict(action.verdict());
            }
            if other && action == Action::Ignore {
                self.forget(chunk.flow);
                return packet.clear_flow(0);
            }
        }
        self.keep_within();
    }

    /// What a server sends: findings are alerts of the packet that completes them, and stop nothing.
    fn response(&mut self, packet: Option<&Packet<'_>>, chunk: &Chunk<'_>) {
        let Some(connection) = self.flows.get(chunk.flow) else { return };
        let before = connection.held();
        let findings = &mut self.findings;
        let mut out = |finding: Finding<'_>| {
            findings.add(1);
            if let Some(packet) = packet {
                alert(packet, &finding);
            }
        };
        let lost = packet.is_none() || chunk.after_gap() || chunk.is_midstream();
        if !lost {
            self.waf.response_bytes(connection, chunk.bytes(), &mut out);
        }
        if lost || chunk.is_end() {
            self.waf.end_of_responses(connection, lost, &mut out);
        }
        self.held = (self.held + connection.held()).saturating_sub(before);
        self.keep_within();
    }

    /// The oldest connections give way where all together hold too much.
    fn keep_within(&mut self) {
        while self.held > self.policy.memory && self.flows.len() > 1 {
            self.give_up_oldest();
        }
    }

    fn give_up_oldest(&mut self) {
        if let Some(oldest) = self.flows.oldest().map(|(flow, _)| flow) {
            self.forget(oldest);
            self.given_up.add(1);
        }
    }

    /// Whether something was known of the flow, which is not any more.
    fn forget(&mut self, flow: u64) -> bool {
        let known = self.flows.remove(flow);
        self.held = self.held.saturating_sub(known.as_ref().map_or(0, Connection::held));
        known.is_some()
    }
}

fn alert(packet: &Packet<'_>, finding: &Finding<'_>) {
    let grade = match finding.severity {
        Severity::Critical => Grade::High,
        Severity::Error => Grade::Medium,
        Severity::Warning => Grade::Low,
        Severity::Notice => Grade::Info,
    };
    packet.alert_with(grade, finding.id, finding.message, |fields| {
        fields.string("category", finding.category.name());
        fields.object("waf", |waf| {
            waf.string("where", finding.place);
            waf.bytes("data", finding.data);
            waf.number("score", finding.score);
        });
    });
}
