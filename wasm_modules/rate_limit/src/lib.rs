//! rate_limit: packets, bytes and new connections a second, by token buckets for each source.
//!
//! A source is an address, or a prefix of it. What is above a limit takes no tokens, so that a source which sends too much
//! still gets what the limit says. Of each source and second one alert is raised.
#![cfg_attr(target_arch = "wasm32", no_std)]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

mod config;

use alloc::string::String;

pub use config::{Config, Limit};
use secuxflow_sdk::{
    Action, Batch, Bucket, Counter, Gauge, Inspect, Module, Networks, Packet, Rate, Setup, Severity, Sources,
    abi::flags, clock, prefix,
};

const SYN: u8 = 2;
const ACK: u8 = 16;
/// Between two alerts of a source.
const SILENCE_NS: u64 = 1_000_000_000;

/// What is limited; the numbers are those of the alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Packets = 1,
    Bytes = 2,
    Connections = 3,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Packets, Self::Bytes, Self::Connections];

    fn text(self) -> &'static str {
        match self {
            Self::Packets => "source above its limit of packets",
            Self::Bytes => "source above its limit of bytes",
            Self::Connections => "source above its limit of new connections",
        }
    }
}

/// The module.
#[derive(Debug)]
pub struct RateLimit {
    config: Config,
    /// In the order of [`Kind::ALL`].
    rates: [Option<Rate>; 3],
    exempt: Networks,
    sources: Sources<Source>,
    limited: Counter,
    known: Gauge,
}

#[derive(Debug)]
struct Source {
    buckets: [Bucket; 3],
    /// When it was told last.
    told: Option<u64>,
}

impl Module for RateLimit {
    type Config = Config;

    fn new(config: Config, setup: &mut Setup) -> Result<Self, String> {
        config.check()?;
        let rate = |name, limit: Option<Limit>| limit.map(|limit| limit.rate(name)).transpose();
        Ok(Self {
            rates: [
                rate("packets", config.packets)?,
                rate("bytes", config.bytes)?,
                rate("connections", config.connections)?,
            ],
            exempt: Networks::new("exempt", &config.exempt)?,
            sources: Sources::new(config.sources)?,
            limited: setup.counter("limited_packets"),
            known: setup.gauge("known_sources"),
            config,
        })
    }
}

impl Inspect for RateLimit {
    fn inspect(&mut self, batch: &mut Batch<'_>) {
        let now = clock();
        let limited = batch.iter().map(|mut packet| u64::from(self.packet(&mut packet, now))).sum();
        self.limited.add(limited);
        self.known.set(self.sources.len() as u64);
    }
}

secuxflow_sdk::module!(RateLimit: Inspect, schema = include_str!("../schema.json"));

impl RateLimit {
    /// Whether the packet is above a limit.
    fn packet(&mut self, packet: &mut Packet<'_>, now: u64) -> bool {
        if packet.to_client() && !self.config.answers {
            return false;
        }
        let Some(address) = packet.source().filter(|address| !self.exempt.contains(*address)) else { return false };
        let key = prefix(address, self.config.prefix_v4, self.config.prefix_v6);
        let rates = &self.rates;
        let source = self.sources.get_or_insert_with(key, || Source {
            buckets: rates.map(|rate| Bucket::full(&rate.unwrap_or_else(|| Rate::new(0, 0)), now)),
            told: None,
        });
        let Some(kind) = source.excess(rates, packet, now) else { return false };
        let verdict = self.config.on_excess.verdict();
        if source.told.is_none_or(|told| now.saturating_sub(told) >= SILENCE_NS) {
            source.told = Some(now);
            self.config.on_excess.apply(packet, Severity::Medium, kind as u32, kind.text(), |_| {});
        } else if self.config.on_excess != Action::Alert {
            packet.set_verdict(verdict);
        }
        if self.config.block_seconds > 0 {
            packet.block_source(self.config.block_seconds);
        }
        true
    }
}

impl Source {
    /// The limit that a packet is above. What passes one and not another takes from the first nevertheless.
    fn excess(&mut self, rates: &[Option<Rate>; 3], packet: &Packet<'_>, now: u64) -> Option<Kind> {
        Kind::ALL.into_iter().zip(rates).zip(&mut self.buckets).find_map(|((kind, rate), bucket)| {
            let tokens = match kind {
                Kind::Packets => 1,
                Kind::Bytes => u64::from(packet.len),
                Kind::Connections => u64::from(begins(packet)),
            };
            rate.as_ref().filter(|rate| tokens > 0 && !bucket.take(rate, tokens, now)).map(|_| kind)
        })
    }
}

/// Whether a packet begins a connection: a SYN, or the first packet of a flow of another protocol.
fn begins(packet: &Packet<'_>) -> bool {
    if packet.is_tcp() { packet.tcp_flags & (SYN | ACK) == SYN } else { packet.has(flags::FLOW_START) }
}

#[cfg(test)]
mod tests;
