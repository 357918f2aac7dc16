//! dns_guard: DNS queries over UDP and TCP that are malformed, denied, or show what malware does: tunnels, and names that a
//! machine makes up.
//!
//! The parsing is plain safe code over slices. What is counted is of each source and of a sliding window. DNS in TLS, HTTPS or
//! QUIC is not seen, nor are responses looked at.
#![cfg_attr(target_arch = "wasm32", no_std)]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

mod config;
mod domain;
mod generated;
mod habits;
mod name;
mod tcp;
mod tunnel;

use alloc::string::String;

pub use config::Config;
pub use domain::{Parts, parts};
pub use generated::Model;
pub use habits::{Habit, Habits};
pub use name::{Flaw, Name, check};
use secuxflow_sdk::{
    Action, Batch, Chunks, Counter, Domains, FlowStates, Inspect, Module, Packet, Setup, Severity, Stream, Verdict,
    clock, prefix,
};
pub use tcp::Framing;
pub use tunnel::{entropy, signs};

/// Number of the alert for denied names; the others' are those of [`Flaw`] and [`Habit`].
const DENIED: u32 = 6;

/// The module.
#[derive(Debug)]
pub struct DnsGuard {
    guard: Guard,
    /// Connections in the midst of a message.
    framings: FlowStates<Framing>,
}

/// What judges queries.
#[derive(Debug)]
struct Guard {
    config: Config,
    deny: Domains,
    trusted: Domains,
    habits: Habits,
    counters: [Counter; 3],
    /// What they are to get at the end of the call, each in one call of the host.
    tallies: [u64; 3],
}

const QUERIES: usize = 0;
const MALFORMED: usize = 1;
const DENIED_QUERIES: usize = 2;

impl Module for DnsGuard {
    type Config = Config;

    fn new(config: Config, setup: &mut Setup) -> Result<Self, String> {
        config.check()?;
        let framings = FlowStates::new(config.flows)?;
        let guard = Guard {
            deny: Domains::new("deny", &config.deny)?,
            trusted: Domains::new("trusted", &config.trusted)?,
            habits: Habits::new(&config)?,
            counters: ["queries", "malformed_queries", "denied_queries"].map(|name| setup.counter(name)),
            tallies: [0; 3],
            config,
        };
        Ok(Self { guard, framings })
    }
}

impl Inspect for DnsGuard {
    fn inspect(&mut self, batch: &mut Batch<'_>) {
        let now = clock();
        for mut packet in batch.iter() {
            if packet.is_udp() && self.guard.is_for(&packet) && !packet.is_later_fragment() {
                let message = packet.payload();
                self.guard.message(&mut packet, message, now);
            }
        }
        self.guard.count();
    }
}

impl Stream for DnsGuard {
    fn stream(&mut self, batch: &mut Batch<'_>, chunks: Chunks<'_>) {
        let now = clock();
        for chunk in chunks.iter().filter(|chunk| !chunk.to_client()) {
            let packet = chunk.packet().and_then(|number| batch.packet(number));
            if packet.as_ref().is_some_and(|packet| !self.guard.is_for(packet)) {
                continue;
            }
            let kept = self.framings.remove(chunk.flow);
            // Behind a gap nobody knows where a message begins. Nor does one know it for a flow that gave way to others.
            let known = kept.is_some() || chunk.is_start() && !chunk.is_midstream();
            let Some(mut packet) = packet.filter(|_| known && !chunk.after_gap() && !chunk.is_abort()) else {
                continue;
            };
            let mut framing = kept.unwrap_or_default();
            framing.push(chunk.bytes(), |message| self.guard.message(&mut packet, message, now));
            if !chunk.is_end() {
                self.framings.get_or_insert_with(chunk.flow, || framing);
            }
        }
        self.guard.count();
    }
}

secuxflow_sdk::module!(DnsGuard: Inspect + Stream, schema = include_str!("../schema.json"));

impl Guard {
    /// Whether a packet goes to a server of DNS.
    fn is_for(&self, packet: &Packet<'_>) -> bool {
        self.config.ports.contains(&packet.dst_port)
    }

    fn count(&mut self) {
        for (counter, tally) in self.counters.iter().zip(&mut self.tallies) {
            counter.add(core::mem::take(tally));
        }
    }

    /// Judge a message.
    fn message(&mut self, packet: &mut Packet<'_>, message: &[u8], now: u64) {
        let source = packet.source().map_or(0, |address| prefix(address, 32, 64));
        let max_name = self.config.max_name;
        let checked = check(message, max_name, |name, kind| self.question(packet, source, (name, kind), now));
        let Err(flaw) = checked else { return };
        self.tallies[MALFORMED] += 1;
        let action = if flaw == Flaw::Tunnel { self.config.on_tunnel } else { self.config.on_malformed };
        action.apply(packet, Severity::Medium, flaw as u32, flaw.text(), |_| {});
    }

    fn question(&mut self, packet: &mut Packet<'_>, source: u128, (name, kind): (&Name, u16), now: u64) {
        self.tallies[QUERIES] += 1;
        let fields = |fields: &mut secuxflow_sdk::Fields<'_>| {
            fields.object("dns", |dns| {
                dns.string("type", "query");
                dns.bytes("rrname", name.as_bytes());
                dns.number("rrtype", kind);
            });
        };
        let verdict = if self.deny.find(name.as_bytes()).is_some() {
            self.config.on_denied.apply(packet, Severity::High, DENIED, "DNS query for a denied name", fields)
        } else if self.trusted.find(name.as_bytes()).is_some() {
            Verdict::Pass
        } else if let Some((habit, new)) = self.habits.query(source, name, kind, now) {
            let action = match habit {
                Habit::Tunnel => self.config.on_tunnel,
                Habit::Many => self.config.on_many,
                Habit::Generated => self.config.on_generated,
            };
            if new && action != Action::Ignore {
                packet.alert_with(Severity::Medium, habit as u32, habit.text(), fields);
            }
            action.verdict()
        } else {
            Verdict::Pass
        };
        if verdict != Verdict::Pass {
            packet.set_verdict(verdict);
            self.tallies[DENIED_QUERIES] += 1;
        }
    }
}

#[cfg(test)]
mod tests;
