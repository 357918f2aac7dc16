//! my_module: drops TCP toward the configured ports.
#![cfg_attr(target_arch = "wasm32", no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::{string::String, vec, vec::Vec};

use secuxflow_sdk::{Batch, Counter, Inspect, Module, Setup, Severity, Verdict};
use serde::Deserialize;

/// The options. `schema.json` says the same to `secuxflow module check`.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    ports: Vec<u16>,
}

impl Default for Config {
    fn default() -> Self {
        Self { ports: vec![23] }
    }
}

/// What is kept between calls; each worker has its own.
pub struct Guard {
    ports: Vec<u16>,
    dropped: Counter,
}

impl Module for Guard {
    type Config = Config;

    fn new(config: Config, setup: &mut Setup) -> Result<Self, String> {
        if config.ports.contains(&0) {
            return Err("ports: 0, it must be 1 to 65535".into());
        }
        Ok(Self { ports: config.ports, dropped: setup.counter("dropped_packets") })
    }
}

impl Inspect for Guard {
    fn inspect(&mut self, batch: &mut Batch<'_>) {
        let mut dropped = 0;
        for mut packet in batch.iter() {
            if packet.is_tcp() && self.ports.contains(&packet.dst_port) {
                packet.alert_with(Severity::Medium, 1, "TCP toward a port that is not in use", |fields| {
                    fields.number("port", packet.dst_port);
                });
                packet.set_verdict(Verdict::Drop);
                dropped += 1;
            }
        }
        self.dropped.add(dropped);
    }
}

// For TCP streams in order, whatever their segments, implement `secuxflow_sdk::Stream` and write `Inspect + Stream`.
secuxflow_sdk::module!(Guard: Inspect, schema = include_str!("../schema.json"));

#[cfg(test)]
mod tests {
    use secuxflow_sdk::harness::{Frame, Harness, check_schema};

    use super::*;

    #[test]
    fn tcp_to_the_ports_is_dropped() {
        let mut harness = Harness::<Guard>::new(r#"{"ports": [23, 2323]}"#).unwrap();
        let report = harness.frames(&[
            Frame::tcp("10.0.0.1:40000", "10.0.0.2:2323").payload(*b"login").bytes(),
            Frame::tcp("10.0.0.1:40000", "10.0.0.2:443").bytes(),
            Frame::udp("10.0.0.1:40000", "10.0.0.2:23").bytes(),
        ]);
        assert_eq!(report.verdicts, [Verdict::Drop, Verdict::Pass, Verdict::Pass]);
        assert_eq!(report.signatures(), [1]);
        assert_eq!(report.alerts[0].fields["port"], 2323);
        assert_eq!(harness.metric("dropped_packets"), Some(1));
    }

    #[test]
    fn wrong_options_are_named() {
        check_schema::<Guard>();
        let error = Harness::<Guard>::new(r#"{"ports": [0]}"#).unwrap_err();
        assert!(error.starts_with("ports: 0"), "{error}");
    }
}
