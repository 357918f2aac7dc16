//! tls_sni: whom TLS clients ask for, and what they are: the server's name (SNI) and the JA4 fingerprint of a ClientHello,
//! however it is split into records and segments.
//!
//! TLS is told by its first bytes, on any port. Not looked at: QUIC, DTLS, SSLv2's hello, and TLS that begins in the midst of
//! another protocol (STARTTLS).
#![cfg_attr(target_arch = "wasm32", no_std)]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

mod assemble;
mod config;
mod hello;
mod ja4;

use alloc::string::String;

pub use assemble::{Assembler, Step, whole};
pub use config::Config;
pub use hello::{Flaw, Hello};
pub use ja4::Ja4;
use secuxflow_sdk::{
    Action, Batch, Chunk, Chunks, Counter, FlowStates, Module, Packet, Setup, Severity, Stream, Verdict,
};

use crate::config::Policy;

/// Bytes that all incomplete ClientHellos together may have.
const MAX_HELD: usize = 4 << 20;

/// Numbers of the alerts.
mod signature {
    pub(crate) const MALFORMED: u32 = 1;
    pub(crate) const DENIED: u32 = 2;
    pub(crate) const NOT_ALLOWED: u32 = 3;
    pub(crate) const DENIED_JA4: u32 = 4;
    pub(crate) const ENCRYPTED: u32 = 5;
    pub(crate) const MISSING: u32 = 6;
    pub(crate) const HELLO: u32 = 7;
}

/// The module.
#[derive(Debug)]
pub struct TlsSni {
    policy: Policy,
    /// ClientHellos that are not complete.
    partial: FlowStates<Assembler>,
    /// Bytes that they have.
    held: usize,
    /// Kept for its room.
    hello: Hello<'static>,
    counters: Counters,
}

#[derive(Debug)]
struct Counters {
    hellos: Counter,
    malformed: Counter,
    denied: Counter,
    encrypted: Counter,
    given_up: Counter,
}

impl Module for TlsSni {
    type Config = Config;

    fn new(config: Config, setup: &mut Setup) -> Result<Self, String> {
        let partial = FlowStates::new(config.flows)?;
        let counters = Counters {
            hellos: setup.counter("hellos"),
            malformed: setup.counter("malformed_hellos"),
            denied: setup.counter("denied_hellos"),
            encrypted: setup.counter("encrypted_hellos"),
            given_up: setup.counter("hellos_given_up"),
        };
        Ok(Self { policy: Policy::new(config)?, partial, held: 0, hello: Hello::new(), counters })
    }
}

impl Stream for TlsSni {
    fn stream(&mut self, batch: &mut Batch<'_>, chunks: Chunks<'_>) {
        for chunk in chunks.iter().filter(|chunk| !chunk.to_client()) {
            match chunk.packet().and_then(|number| batch.packet(number)) {
                Some(mut packet) if !chunk.is_abort() && !chunk.after_gap() => self.chunk(&mut packet, &chunk),
                _ => self.forget(&chunk),
            }
        }
    }
}

secuxflow_sdk::module!(TlsSni: Stream, schema = include_str!("../schema.json"));

impl TlsSni {
    fn chunk(&mut self, packet: &mut Packet<'_>, chunk: &Chunk<'_>) {
        let mut assembler = if chunk.is_start() {
            let ports = &self.policy.config.ports;
            if chunk.is_midstream() || !ports.is_empty() && !ports.contains(&packet.dst_port) {
                return self.clear(packet);
            }
            if let Some(body) = whole(chunk.bytes()) {
                return self.judge(packet, body);
            }
            Assembler::default()
        } else {
            // Of what was judged nothing is kept.
            let Some(assembler) = self.partial.remove(chunk.flow) else { return };
            self.held -= assembler.size();
            assembler
        };
        match assembler.push(chunk.bytes()) {
            Step::More if !chunk.is_end() => self.keep(chunk.flow, assembler),
            Step::More => {}
            Step::Complete => self.judge(packet, assembler.body()),
            Step::NotTls => self.clear(packet),
            Step::Broken(flaw) => self.malformed(packet, flaw),
        }
    }

    /// Keep what is there of a ClientHello; the oldest ones give way to it.
    fn keep(&mut self, flow: u64, assembler: Assembler) {
        while self.held + assembler.size() > MAX_HELD || self.partial.len() == self.partial.capacity() {
            let Some(oldest) = self.partial.oldest().map(|(flow, _)| flow) else { break };
            self.held -= self.partial.remove(oldest).map_or(0, |assembler| assembler.size());
            self.counters.given_up.add(1);
        }
        self.held += assembler.size();
        self.partial.get_or_insert_with(flow, || assembler);
    }

    fn forget(&mut self, chunk: &Chunk<'_>) {
        if let Some(assembler) = self.partial.remove(chunk.flow) {
            self.held -= assembler.size();
            self.counters.given_up.add(1);
        }
    }

    fn clear(&self, packet: &Packet<'_>) {
        if self.policy.config.clear {
            packet.clear_flow(0);
        }
    }

    fn malformed(&mut self, packet: &mut Packet<'_>, flaw: Flaw) {
        self.counters.malformed.add(1);
        let action = self.policy.config.on_malformed;
        if action.apply(packet, Severity::Medium, signature::MALFORMED, flaw.text(), |_| {}) == Verdict::Pass {
            self.clear(packet);
        }
    }

    fn judge(&mut self, packet: &mut Packet<'_>, body: &[u8]) {
        self.counters.hellos.add(1);
        let mut hello = core::mem::take(&mut self.hello).emptied();
        let passes = match hello.read(body) {
            Ok(()) => self.verdict(packet, &mut hello) == Verdict::Pass,
            Err(flaw) => {
                self.hello = hello.emptied();
                return self.malformed(packet, flaw);
            }
        };
        self.hello = hello.emptied();
        if passes {
            self.clear(packet);
        } else {
            self.counters.denied.add(1);
        }
    }

    /// Act on the first finding, the gravest first.
    fn verdict(&self, packet: &mut Packet<'_>, hello: &mut Hello<'_>) -> Verdict {
        let fingerprint = Ja4::new(hello);
        let mut buffer = [0; 255];
        let name = hello.server_name.map(|name| lower(name, &mut buffer));
        let Policy { config, allow, deny, deny_ja4, on_missing } = &self.policy;
        if hello.encrypted {
            self.counters.encrypted.add(1);
        }
        let (action, severity, number, text) = match name {
            Some(name) if deny.find(name).is_some() => {
                (config.on_denied, Severity::High, signature::DENIED, "TLS server name is denied")
            }
            _ if deny_ja4.binary_search(&fingerprint).is_ok() => {
                (config.on_denied, Severity::High, signature::DENIED_JA4, "TLS fingerprint is denied")
            }
            Some(name) if !allow.is_empty() && allow.find(name).is_none() => {
                (config.on_denied, Severity::Medium, signature::NOT_ALLOWED, "TLS server name is not allowed")
            }
            None if *on_missing != Action::Ignore => {
                (*on_missing, Severity::Medium, signature::MISSING, "TLS without a server name")
            }
            _ if hello.encrypted && config.on_ech != Action::Ignore => {
                (config.on_ech, Severity::Low, signature::ENCRYPTED, "TLS with an encrypted ClientHello")
            }
            _ if config.log => (Action::Alert, Severity::Info, signature::HELLO, "TLS ClientHello"),
            _ => return Verdict::Pass,
        };
        action.apply(packet, severity, number, text, |fields| {
            fields.object("tls", |tls| {
                tls.string("ja4", fingerprint.as_str());
                tls.bool("ech", hello.encrypted);
                if let Some(name) = name {
                    tls.bytes("sni", name);
                }
            });
        })
    }
}

/// A name in lower case and without the dot at its end.
fn lower<'a>(name: &[u8], buffer: &'a mut [u8; 255]) -> &'a [u8] {
    let name = secuxflow_sdk::copy(buffer, name);
    name.make_ascii_lowercase();
    name.strip_suffix(b".").unwrap_or(name)
}

#[cfg(test)]
mod tests;
