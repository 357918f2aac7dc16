//! The engine as a module: descriptors of packets and chunks in, alerts and verdicts out.

use alloc::{format, string::String, vec::Vec};
use core::cmp::Reverse;

use secuxflow_sdk::{
    Batch, Chunk, Chunks, Counter, Gauge, Inspect, Module, Packet, Setup, Severity, Stream, Verdict, abi::flags, clock,
};

use crate::{
    config::Config,
    engine::{Alert, Engine, Taken, Verdict as Decision},
    packet::{PacketView, StreamChunk, TCP},
};

/// TCP's SYN.
const SYN: u8 = 2;

/// The module.
#[derive(Debug)]
pub struct Ips {
    engine: Engine,
    raised: Vec<Alert>,
    alerts: Counter,
    blocked: Counter,
    flows: Gauge,
}

impl Module for Ips {
    type Config = Config;

    fn new(config: Config, setup: &mut Setup) -> Result<Self, String> {
        config.check()?;
        let engine = Engine::new(&config)?;
        let report = engine.report();
        if report.loaded == 0
            && let Some(first) = report.rejected.first()
        {
            return Err(format!("rules: none of them runs; {}:{}: {}", first.line, first.column, first.message));
        }
        let counts = (report.loaded, report.unsupported, report.invalid);
        setup.info(format_args!("{} rules run, {} are not supported, {} are wrong", counts.0, counts.1, counts.2));
        let mut keywords: Vec<_> = report.keywords.iter().collect();
        keywords.sort_by_key(|&(_, rules)| Reverse(*rules));
        for (keyword, rules) in keywords {
            setup.info(format_args!("not supported: {keyword} (rules: {rules})"));
        }
        for rejected in &report.rejected {
            setup.warning(format_args!("rules: {rejected}"));
        }
        setup.gauge("rules").set(counts.0 as u64);
        setup.gauge("rules_not_run").set((counts.1 + counts.2) as u64);
        Ok(Self {
            engine,
            raised: Vec::new(),
            alerts: setup.counter("alerts"),
            blocked: setup.counter("packets_blocked"),
            flows: setup.gauge("flows"),
        })
    }
}

/// The VLAN tags between Ethernet and IP header.
fn vlans(frame: &[u8], l3: usize) -> ([u16; 3], u8) {
    let (mut ids, mut count) = ([0; 3], 0);
    let tags = frame.get(14..l3).unwrap_or(&[]).chunks_exact(4);
    for (id, tag) in ids.iter_mut().zip(tags) {
        *id = u16::from_be_bytes([tag[0], tag[1]]) & 0x0fff;
        count += 1;
    }
    (ids, count)
}

/// What the engine is told of a packet; nothing when it is no IP. Inlined, lest it is copied.
#[inline(always)]
fn view<'a>(packet: &Packet<'a>, now: u64) -> Option<PacketView<'a>> {
    let (l3, l4, payload) = (usize::from(packet.l3), usize::from(packet.l4), usize::from(packet.payload));
    // A fragment has no transport header of its own; what it is a part of is shown once it is whole.
    let fragment = packet.has(flags::FRAGMENT | flags::LATER_FRAGMENT) && !packet.has(flags::REASSEMBLED);
    let (payload, length) = if fragment { (l4, 0) } else { (payload, usize::from(packet.payload_len)) };
    let mut view = PacketView::new(packet.frame(), l3, l4, payload, length)?;
    view.ts_ns = now;
    view.flow = packet.flow;
    (view.vlans, view.vlan_count) = vlans(packet.frame(), l3);
    view.src_port = packet.src_port;
    view.dst_port = packet.dst_port;
    view.protocol = packet.protocol;
    view.tcp_flags = packet.tcp_flags;
    view.to_client = packet.to_client();
    view.established = packet.has(flags::ESTABLISHED);
    view.in_stream = packet.protocol == TCP && view.established && packet.tcp_flags & SYN == 0;
    view.midstream = packet.has(flags::MIDSTREAM);
    Some(view)
}

fn chunk<'a>(chunk: &Chunk<'a>) -> StreamChunk<'a> {
    StreamChunk {
        to_client: chunk.to_client(),
        offset: chunk.offset,
        data: chunk.bytes(),
        start: chunk.is_start(),
        end: chunk.is_end(),
        gap: chunk.after_gap(),
    }
}

fn raise(packet: &Packet<'_>, alert: &Alert) {
    let meta = &alert.meta;
    let severity = match meta.priority {
        0 | 1 => Severity::High,
        2 => Severity::Medium,
        3 => Severity::Low,
        _ => Severity::Info,
    };
    packet.alert_with(severity, meta.sid, &meta.msg, |fields| {
        fields.number("gid", meta.gid);
        fields.number("rev", meta.rev);
        fields.string("category", &meta.category);
        if let Some(app) = alert.app {
            fields.string("app_proto", app.name());
        }
        if let Some(tx) = alert.tx {
            fields.number("tx_id", tx);
        }
        if alert.passed {
            fields.object("verdict", |fields| fields.string("action", "pass"));
        }
        fields.string("direction", if alert.to_client { "to_client" } else { "to_server" });
        fields.strings("reference", meta.references.iter().map(|(system, id)| format!("{system},{id}")));
        fields.object("metadata", |fields| {
            meta.metadata.iter().for_each(|(key, value)| fields.strings(key, [value]));
        });
    });
}

impl Ips {
    /// Alerts and verdict of one inspection.
    fn settle(&mut self, packet: &mut Packet<'_>, decision: Decision) {
        for alert in self.raised.drain(..) {
            raise(packet, &alert);
            self.alerts.add(1);
            self.blocked.add(u64::from(alert.taken == Taken::Blocked));
        }
        match decision {
            Decision::Pass => {}
            Decision::PassFlow => packet.clear_flow(0),
            Decision::Drop => packet.set_verdict(Verdict::Drop),
            Decision::DropFlow => {
                packet.set_verdict(Verdict::Drop);
                packet.condemn_flow(0);
            }
            Decision::Reject(_) => packet.set_verdict(Verdict::Reject),
            Decision::RejectFlow(_) => {
                packet.set_verdict(Verdict::Reject);
                packet.condemn_flow(0);
            }
        }
    }
}

impl Inspect for Ips {
    fn inspect(&mut self, batch: &mut Batch<'_>) {
        let now = clock();
        for mut packet in batch.iter() {
            if packet.has(flags::FLOW_START) {
                self.engine.forget(packet.flow);
            }
            if let Some(view) = view(&packet, now) {
                let decision = self.engine.packet(&view, &mut self.raised);
                self.settle(&mut packet, decision);
            }
        }
        self.flows.set(self.engine.flows() as u64);
    }
}

impl Stream for Ips {
    fn stream(&mut self, batch: &mut Batch<'_>, chunks: Chunks<'_>) {
        let now = clock();
        let chunks: Vec<Chunk<'_>> = chunks.iter().collect();
        let parts: Vec<StreamChunk<'_>> = chunks.iter().map(chunk).collect();
        let mut parts = &parts[..];
        // All that one packet brought is inspected at once.
        for group in chunks.chunk_by(|a, b| a.packet() == b.packet() && a.flow == b.flow) {
            let (of_group, rest) = parts.split_at(group.len());
            parts = rest;
            if let Some(mut packet) = group[0].packet().and_then(|number| batch.packet(number))
                && let Some(view) = view(&packet, now)
            {
                let decision = self.engine.stream(&view, of_group, &mut self.raised);
                self.settle(&mut packet, decision);
            }
            if group.iter().any(Chunk::is_abort) {
                self.engine.forget(group[0].flow);
            }
        }
    }
}

secuxflow_sdk::module!(Ips: Inspect + Stream, schema = include_str!("../schema.json"));

#[cfg(test)]
mod tests {
    use secuxflow_sdk::harness::{Connection, Frame, Harness, check_schema};

    use super::*;

    #[test]
    fn options() {
        check_schema::<Ips>();
        let harness = |text: &str| Harness::<Ips>::new(text);
        assert!(harness(r#"{"rules": "alert tcp any any -> any any (sid:1;)"}"#).is_ok());
        for (bad, why) in [
            (r#"{"rules": "alert tcp any any -> any any (sid:0;)"}"#, "none of them runs; 1:1: sid"),
            (r#"{"rules": "alert x any any -> any any (sid:1;)", "strict": true}"#, "rules: 1:7: protocol `x`"),
            (r#"{"classification": "x"}"#, "classification: line 1"),
            (r#"{"flows": 0}"#, "flows"),
        ] {
            let error = format!("{:?}", harness(bad).unwrap_err());
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn rules_run_on_what_the_host_shows() {
        let rules = r#"drop http any any -> any any (msg:"evil"; http.uri; content:"/evil"; classtype:trojan-activity; sid:7; rev:2;)\nalert udp any any -> any 53 (content:\"x\"; sid:8;)"#;
        let config = format!(r#"{{"rules": "{}"}}"#, rules.replace("\\\"", "\"").replace('"', "\\\""));
        let mut harness = Harness::<Ips>::new(&config).unwrap();
        let mut connection = Connection::new("10.0.0.1:4000", "10.0.0.2:80");
        let mut frames = connection.open();
        frames.push(connection.client(b"GET /ev"));
        frames.push(connection.client(b"il HTTP/1.1\r\n\r\n"));
        frames.push(Frame::udp("10.0.0.1:5000", "10.0.0.2:53").payload(*b"x").bytes());
        let report = harness.frames(&frames);
        assert_eq!(report.signatures(), [8, 7]);
        let alert = report.alerts.iter().find(|alert| alert.signature == 7).unwrap();
        assert_eq!((alert.severity, alert.text.as_str()), (1, "evil"));
        assert_eq!(alert.fields["rev"], 2);
        assert_eq!(alert.fields["category"], "A Network Trojan was detected");
        assert_eq!(report.verdicts[4], Verdict::Drop);
        assert_eq!(report.asks[0].what, "flow_condemn");
    }

    #[test]
    fn rules_on_packets_see_a_payload_that_is_the_streams_new_data() {
        let rules = r#"alert tcp any any -> any any (content:"login"; flowbits:set,seen; noalert; sid:1;)
alert tcp any any -> any any (content:"needle"; dsize:6; flowbits:isset,seen; sid:2;)
alert tcp any any -> any any (content:"need"; depth:4; sid:3;)
alert tcp any any -> any any (content:"eedle"; dsize:6; sid:4;)"#;
        let config = secuxflow_sdk::serde_json::json!({ "rules": rules }).to_string();
        let mut harness = Harness::<Ips>::new(&config).unwrap();
        let mut connection = Connection::new("10.0.0.1:4000", "10.0.0.2:80");
        let mut frames = connection.open();
        for data in [&b"login"[..], b"needle", b".needle", b"needle"] {
            frames.push(connection.client(data));
        }
        let report = harness.frames(&frames);
        let mut raised: Vec<_> = report.alerts.iter().map(|alert| (alert.packet, alert.signature)).collect();
        raised.sort_unstable();
        assert_eq!(raised, [(4, 2), (4, 3), (4, 4), (6, 2), (6, 3), (6, 4)]);
    }
}
