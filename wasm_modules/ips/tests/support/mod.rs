//! Flows made by hand, fed to the engine as the host would.
#![allow(dead_code)] // Each test file uses its own part.

use ips::{
    config::Config,
    engine::{Alert, Engine, Verdict},
    packet::{PacketView, StreamChunk},
};

pub const SYN: u8 = 2;
pub const ACK: u8 = 16;

/// An engine with these rules.
pub fn engine(rules: &str) -> Engine {
    let config = Config { rules: rules.into(), ..Config::default() };
    let engine = Engine::new(&config).unwrap();
    assert!(engine.report().rejected.is_empty(), "{}", engine.report().text());
    engine
}

/// One end to another.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    pub client: ([u8; 4], u16),
    pub server: ([u8; 4], u16),
}

pub const WEB: Ends = Ends { client: ([192, 168, 1, 2], 40000), server: ([8, 8, 8, 8], 80) };

/// A flow that is being played.
pub struct Flow {
    pub ends: Ends,
    pub id: u64,
    pub now: u64,
    next: [u64; 2],
    pub midstream: bool,
    pub alerts: Vec<(u32, usize)>,
    pub raised: Vec<Alert>,
    pub verdicts: Vec<Verdict>,
}

/// An IPv4 packet.
pub fn ip(ends: Ends, to_client: bool, protocol: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let (from, to) = if to_client { (ends.server, ends.client) } else { (ends.client, ends.server) };
    let mut l4 = Vec::new();
    l4.extend(from.1.to_be_bytes());
    l4.extend(to.1.to_be_bytes());
    if protocol == 6 {
        l4.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 0x10, 0, 0, 0, 0, 0]);
    } else {
        l4.extend((8 + payload.len() as u16).to_be_bytes());
        l4.extend([0, 0]);
    }
    let mut packet = vec![0x45, 0];
    packet.extend((20 + l4.len() as u16 + payload.len() as u16).to_be_bytes());
    packet.extend([0, 1, 0x40, 0, 64, protocol, 0, 0]);
    packet.extend(from.0);
    packet.extend(to.0);
    packet.extend(l4);
    packet.extend(payload);
    packet
}

impl Flow {
    pub fn new(ends: Ends) -> Self {
        let id = u64::from(ends.client.1) << 32 | u64::from(u32::from_be_bytes(ends.client.0));
        Self {
            ends,
            id,
            now: 0,
            next: [0; 2],
            midstream: false,
            alerts: Vec::new(),
            raised: Vec::new(),
            verdicts: Vec::new(),
        }
    }

    /// The handshake, then nothing.
    pub fn open(ends: Ends, engine: &mut Engine) -> Self {
        let mut flow = Self::new(ends);
        flow.packet(engine, false, 6, SYN, b"", false);
        flow.packet(engine, true, 6, SYN | ACK, b"", false);
        flow.packet(engine, false, 6, ACK, b"", true);
        flow
    }

    /// A packet that brings no stream data.
    pub fn packet(
        &mut self,
        engine: &mut Engine,
        to_client: bool,
        protocol: u8,
        flags: u8,
        payload: &[u8],
        established: bool,
    ) {
        self.play(engine, to_client, protocol, flags, payload, established, None);
    }

    /// A segment in order.
    pub fn data(&mut self, engine: &mut Engine, to_client: bool, payload: &[u8]) {
        self.play(engine, to_client, 6, ACK, payload, true, Some(false));
    }

    /// The client's SYN, with data that the host shows as stream too.
    pub fn early_data(&mut self, engine: &mut Engine, payload: &[u8]) {
        self.play(engine, false, 6, SYN, payload, false, Some(false));
    }

    /// A segment in order that ends its direction.
    pub fn fin(&mut self, engine: &mut Engine, to_client: bool) {
        self.play(engine, to_client, 6, ACK | 1, b"", true, Some(true));
    }

    #[allow(clippy::too_many_arguments)]
    fn play(
        &mut self,
        engine: &mut Engine,
        to_client: bool,
        protocol: u8,
        flags: u8,
        payload: &[u8],
        established: bool,
        chunk: Option<bool>,
    ) {
        let frame = ip(self.ends, to_client, protocol, flags, payload);
        let header = if protocol == 6 { 40 } else { 28 };
        let mut view = PacketView::new(&frame, 0, 20, header, payload.len()).unwrap();
        view.ts_ns = self.now;
        view.flow = self.id;
        let (from, to) =
            if to_client { (self.ends.server, self.ends.client) } else { (self.ends.client, self.ends.server) };
        (view.src_port, view.dst_port) = (from.1, to.1);
        view.protocol = protocol;
        view.tcp_flags = flags;
        view.to_client = to_client;
        view.established = established;
        view.in_stream = chunk.is_some() && flags & SYN == 0;
        view.midstream = self.midstream;
        let mut raised: Vec<Alert> = Vec::new();
        let mut verdict = engine.packet(&view, &mut raised);
        if let Some(end) = chunk {
            let next = &mut self.next[usize::from(to_client)];
            let part = StreamChunk { to_client, offset: *next, data: payload, start: *next == 0, end, gap: false };
            *next += payload.len() as u64;
            verdict = verdict.max(engine.stream(&view, &[part], &mut raised));
        }
        let number = self.verdicts.len();
        self.alerts.extend(raised.iter().map(|alert| (alert.meta.sid, number)));
        self.raised.extend(raised);
        self.verdicts.push(verdict);
    }

    /// The sids of all alerts, in order.
    pub fn sids(&self) -> Vec<u32> {
        self.alerts.iter().map(|(sid, _)| *sid).collect()
    }
}
