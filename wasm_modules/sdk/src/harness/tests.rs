//! The harness, and with it what modules see, by a module that tells what it is shown.

use super::*;
use crate::{Counter, FlowStates, Gauge, Inspect, Module, Severity, Stream, abi::flags};

/// Alerts on every packet, and on every stream that has `attack` in it; drops what brings its end.
struct Teller {
    told: Counter,
    last: Gauge,
    tails: FlowStates<Vec<u8>>,
}

#[derive(Debug, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    flows: u16,
}

impl Module for Teller {
    type Config = Config;

    fn new(config: Config, setup: &mut Setup) -> Result<Self, String> {
        setup.warning("flows are not many");
        crate::check_range("flows", &config.flows, &(0..=1000))?;
        Ok(Self { told: setup.counter("told"), last: setup.gauge("last"), tails: FlowStates::new(10)? })
    }
}

impl Inspect for Teller {
    fn inspect(&mut self, batch: &mut Batch<'_>) {
        for packet in batch.iter() {
            packet.alert_with(Severity::Info, 1, format_args!("{} bytes", packet.payload().len()), |fields| {
                fields.string("source", packet.source().unwrap());
                fields.string("destination", packet.destination().unwrap());
                fields.number("flags", packet.flags);
                fields.bytes("payload", packet.payload());
            });
            self.told.add(1);
            self.last.set(packet.payload_len.into());
        }
    }
}

impl Stream for Teller {
    fn stream(&mut self, batch: &mut Batch<'_>, chunks: Chunks<'_>) {
        for chunk in chunks.iter() {
            if chunk.is_end() || chunk.is_abort() {
                self.tails.remove(chunk.flow);
                continue;
            }
            let tail = self.tails.get_or_default(chunk.flow);
            tail.extend_from_slice(chunk.bytes());
            let found = tail.windows(6).any(|window| window == b"attack");
            if let (true, Some(mut packet)) = (found, chunk.packet().and_then(|number| batch.packet(number))) {
                packet.alert(Severity::High, 2, format_args!("at {}", chunk.offset));
                packet.set_verdict(Verdict::Reject);
                packet.condemn_flow(60);
                packet.block_source(0);
            }
        }
    }
}

crate::module!(Teller: Inspect + Stream, schema = r#"{"properties": {"flows": {"type": "integer", "default": 0}},
    "additionalProperties": false}"#);

#[test]
fn a_module_sees_what_the_descriptor_says() {
    let mut harness = Harness::<Teller>::new("{}").unwrap();
    assert_eq!(harness.lines().collect::<Vec<_>>(), ["flows are not many"]);
    let report = harness.frames(&[
        Frame::udp("[fd00::1]:5000", "[fd00::2]:53").payload(*b"query").bytes(),
        Frame::udp("[fd00::2]:53", "[fd00::1]:5000").payload(*b"answer").bytes(),
    ]);
    assert!(report.passes());
    let fields: Vec<_> = report.alerts.iter().map(|alert| &alert.fields).collect();
    assert_eq!(fields[0]["source"], "fd00::1");
    assert_eq!(fields[0]["payload"], "query");
    assert_eq!(fields[0]["flags"], flags::FLOW_START);
    assert_eq!(fields[1]["destination"], "fd00::1");
    assert_eq!(fields[1]["flags"], flags::TO_CLIENT | flags::ESTABLISHED);
    assert_eq!((report.alerts[1].text.as_str(), report.alerts[1].packet), ("6 bytes", 1));
    assert_eq!((harness.metric("told"), harness.metric("last"), harness.metric("none")), (Some(2), Some(6), None));
}

#[test]
fn streams_come_in_order_and_without_what_came_before() {
    let mut harness = Harness::<Teller>::new("{}").unwrap();
    let mut connection = Connection::new("10.0.0.1:40000", "10.0.0.2:80");
    assert!(harness.frames(&connection.open()).passes());
    let (first, second) = (connection.client(b"an att"), connection.client(b"ack"));
    assert!(harness.frames(&[&first, &first]).passes());
    let report = harness.frames(&[&second, &second]);
    assert_eq!(report.verdicts, [Verdict::Reject, Verdict::Pass]);
    assert_eq!(report.alerts.last().unwrap().text, "at 6");
    let asks: Vec<_> = report.asks.iter().map(|ask| (ask.packet, ask.what, ask.seconds)).collect();
    assert_eq!(asks, [(0, "flow_condemn", 60), (0, "source_block", 0)]);
    assert!(harness.frames(&connection.close()).passes());
    assert!(harness.module.tails.is_empty());
}

#[test]
fn configurations_are_refused_as_by_the_host() {
    check_schema::<Teller>();
    let refused = |config| Harness::<Teller>::new(config).unwrap_err();
    assert_eq!(refused(r#"{"flows": 2000}"#), "flows are not many; flows: 2000, it must be 0 to 1000");
    assert!(refused(r#"{"flow": 1}"#).starts_with("flow: unknown field `flow`"));
    assert!(refused("{").starts_with("EOF"));
}

#[test]
fn captures_are_read_and_broken_ones_are_named() {
    let frame = Frame::udp("10.0.0.1:5000", "10.0.0.2:53").payload(*b"query").bytes();
    let mut file = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65535, 1].map(u32::to_le_bytes).concat();
    for second in [5, 7] {
        let length = u32::try_from(frame.len()).unwrap();
        file.extend([second, 0, length, length].map(u32::to_le_bytes).concat());
        file.extend(&frame);
    }
    let mut harness = Harness::<Teller>::new("{}").unwrap();
    let before = harness.recorder.now;
    assert_eq!(harness.capture(&file).unwrap().signatures(), [1, 1]);
    assert_eq!(harness.recorder.now - before, 2_000_000_000);
    for (file, why) in [
        (&file[..20], "in its header"),
        (&file[..file.len() - 1], "in the midst"),
        (&file[1..], "no capture"),
        (&[&[0x0a, 0x0d, 0x0d, 0x0a], &file[4..]].concat(), "pcapng"),
        (&[&file[..20], &[113, 0, 0, 0]].concat(), "link type 113"),
    ] {
        let error = harness.capture(file).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn no_frame_is_too_short_or_too_odd() {
    let mut harness = Harness::<Teller>::new("{}").unwrap();
    let frame = Frame::tcp("[fd00::1]:5000", "[fd00::2]:53").payload(*b"query").bytes();
    for length in 54..frame.len() {
        assert!(harness.frames(&[&frame[..length]]).passes());
    }
    let udp = Frame::udp("10.0.0.1:5000", "10.0.0.2:53").payload(*b"query").bytes();
    for at in 12..udp.len() {
        for byte in [0, 0x41, 0x4f, 0x7f, 0xff] {
            let mut frame = udp.clone();
            frame[at] = byte;
            let packet = headers::descriptor(&frame, WINDOW);
            assert!(packet.l3 <= packet.l4 && packet.l4 <= packet.payload, "{packet:?}");
            assert!(usize::from(packet.payload + packet.payload_len) <= frame.len(), "{packet:?}");
        }
    }
    assert_eq!(harness.metric("told"), Some((54..frame.len()).len() as u64));
}
