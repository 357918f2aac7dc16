//! scan_guard: sources that try many ports or hosts, leave connections half open, or try many passwords, and hosts that are
//! flooded by SYNs.
//!
//! An *attempt* is a SYN, the first packet of a flow of UDP, or a TCP packet that only scanners send. What is counted is of
//! each source and of a sliding window. Only attempts are dropped: what a source has open goes on, unless it is blocked.
#![cfg_attr(target_arch = "wasm32", no_std)]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

mod config;
mod half_open;

use alloc::string::String;
use core::net::IpAddr;

pub use config::Config;
pub use half_open::HalfOpen;
use secuxflow_sdk::{
    Action, Batch, Count, Counter, Gauge, Halves, Inspect, Module, Networks, Packet, Setup, Severity, Sketch, Sources,
    Table, Verdict, abi::flags, clock, prefix,
};

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;
const URG: u8 = 32;

/// What a source or host does; the numbers are those of the alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finding {
    Ports = 1,
    Hosts = 2,
    Flood = 3,
    HalfOpen = 4,
    BruteForce = 5,
}

impl Finding {
    fn text(self) -> &'static str {
        match self {
            Self::Ports => "source tries many ports",
            Self::Hosts => "source tries many hosts",
            Self::Flood => "host is flooded by SYNs",
            Self::HalfOpen => "source leaves connections half open",
            Self::BruteForce => "source connects again and again where passwords are asked for",
        }
    }

    fn severity(self) -> Severity {
        if self == Self::Flood { Severity::High } else { Severity::Medium }
    }
}

/// The module.
#[derive(Debug)]
pub struct ScanGuard {
    config: Config,
    exempt: Networks,
    halves: Halves,
    sources: Sources<Source>,
    logins: Table<(u128, u16), Count>,
    half_open: HalfOpen,
    /// Per finding and source or host the half of the window in which it was told.
    told: Table<(u8, u128), u64>,
    attempts: Counter,
    stopped: Counter,
    pending: Gauge,
}

#[derive(Debug, Default)]
struct Source {
    ports: Sketch,
    hosts: Sketch,
}

impl Module for ScanGuard {
    type Config = Config;

    fn new(config: Config, setup: &mut Setup) -> Result<Self, String> {
        config.check()?;
        Ok(Self {
            exempt: Networks::new("exempt", &config.exempt)?,
            halves: Halves::new(config.window_seconds),
            sources: Sources::new(config.sources)?,
            logins: Table::new(config.sources)?,
            half_open: HalfOpen::new(config.attempts, config.sources, config.half_open_seconds)?,
            told: Table::new(config.sources.min(4096))?,
            attempts: setup.counter("attempts"),
            stopped: setup.counter("stopped_attempts"),
            pending: setup.gauge("half_open_connections"),
            config,
        })
    }
}

impl Inspect for ScanGuard {
    fn inspect(&mut self, batch: &mut Batch<'_>) {
        let now = clock();
        let (mut attempts, mut stopped) = (0, 0);
        for mut packet in batch.iter() {
            if packet.is_tcp() && ends(&packet) {
                self.half_open.end(packet.flow);
            } else if is_attempt(&packet) {
                attempts += 1;
                stopped += u64::from(self.attempt(&mut packet, now));
            }
        }
        self.attempts.add(attempts);
        self.stopped.add(stopped);
        self.pending.set(self.half_open.len() as u64);
    }
}

secuxflow_sdk::module!(ScanGuard: Inspect, schema = include_str!("../schema.json"));

/// Whether a flow of TCP is not half open any more: the initiator goes on, or one side gives up.
fn ends(packet: &Packet<'_>) -> bool {
    packet.tcp_flags & RST != 0 || packet.tcp_flags & (SYN | ACK) == ACK && !packet.to_client()
}

/// Whether a packet asks whether somebody is there.
fn is_attempt(packet: &Packet<'_>) -> bool {
    if packet.is_later_fragment() || packet.to_client() {
        return false;
    }
    if packet.is_tcp() {
        // No flag, FIN alone, FIN with PSH and URG: only scanners send these. With ACK it may be the end of a connection whose
        // beginning was not seen.
        let flags = packet.tcp_flags & (FIN | SYN | RST | PSH | ACK | URG);
        return flags & (SYN | ACK) == SYN || matches!(flags, 0 | FIN) || flags == FIN | PSH | URG;
    }
    packet.is_udp() && packet.has(flags::FLOW_START)
}

impl ScanGuard {
    /// Whether an attempt was stopped.
    fn attempt(&mut self, packet: &mut Packet<'_>, now: u64) -> bool {
        let (Some(from), Some(to)) = (packet.source(), packet.destination()) else { return false };
        let (source, host) = (prefix(from, 32, 64), prefix(to, 32, 128));
        let half = self.halves.half(now);
        let mut stopped = false;
        if packet.tcp_flags & (SYN | ACK) == SYN {
            let (of_host, of_source) = self.half_open.begin(packet.flow, host, source, now);
            if of_host > self.config.half_open {
                let action = self.config.on_flood;
                stopped |= self.act(packet, Finding::Flood, action, (host, half));
            }
            if self.exempt.contains(from) {
                return stopped;
            }
            if of_source > self.config.half_open_source {
                let action = self.config.on_half_open;
                stopped |= self.act(packet, Finding::HalfOpen, action, (source, half));
            }
        } else if self.exempt.contains(from) {
            return false;
        }
        stopped |= self.scan(packet, source, to, half);
        let port = packet.dst_port;
        if packet.is_tcp() && self.config.login_ports.contains(&port) {
            let logins = self.logins.get_or_default((source, port)).add(half);
            if logins > self.config.logins {
                let action = self.config.on_brute_force;
                stopped |= self.act(packet, Finding::BruteForce, action, (source, half));
            }
        }
        stopped
    }

    fn scan(&mut self, packet: &mut Packet<'_>, source: u128, to: IpAddr, half: u64) -> bool {
        let seen = self.sources.get_or_default(source);
        let bits = prefix(to, 32, 128);
        let ports = seen.ports.add(half, u64::from(packet.dst_port));
        let hosts = seen.hosts.add(half, (bits as u64) ^ (bits >> 64) as u64);
        let action = self.config.on_scan;
        if ports > self.config.ports {
            self.act(packet, Finding::Ports, action, (source, half))
        } else if hosts > self.config.hosts {
            self.act(packet, Finding::Hosts, action, (source, half))
        } else {
            false
        }
    }

    /// Act on a finding, and tell it, once in each half of a window. Whether the packet is stopped.
    fn act(&mut self, packet: &mut Packet<'_>, finding: Finding, action: Action, (who, half): (u128, u64)) -> bool {
        if action == Action::Ignore {
            return false;
        }
        let told = self.told.get_or_insert_with((finding as u8, who), || u64::MAX);
        if core::mem::replace(told, half) != half {
            packet.alert(finding.severity(), finding as u32, finding.text());
        }
        let stopped = action.verdict() != Verdict::Pass;
        if stopped {
            packet.set_verdict(action.verdict());
        }
        if stopped && finding != Finding::Flood && self.config.block_seconds > 0 {
            packet.block_source(self.config.block_seconds);
        }
        stopped
    }
}

#[cfg(test)]
mod tests;
