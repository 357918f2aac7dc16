//! dns_guard: drops DNS queries over UDP whose names break RFC 1035, and names longer than configured (tunnels).
//!
//! The parsing is plain safe code over slices, tested on the build machine.
#![cfg_attr(target_arch = "wasm32", no_std)]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

mod config;
mod name;

use alloc::string::String;

pub use config::Config;
pub use name::{Flaw, check};
use secuxflow_sdk::{Batch, Inspect, Module, Setup, Severity, Verdict, check_range};

const DNS: u16 = 53;

/// The module.
#[derive(Debug)]
pub struct DnsGuard {
    max_name: usize,
}

impl Module for DnsGuard {
    type Config = Config;

    fn new(config: Config, _setup: &mut Setup) -> Result<Self, String> {
        check_range("max_name", &config.max_name, &(1..=255))?;
        Ok(Self { max_name: config.max_name })
    }
}

impl Inspect for DnsGuard {
    fn inspect(&mut self, batch: &mut Batch<'_>) {
        for mut packet in batch.iter() {
            if !packet.is_udp() || packet.dst_port != DNS || packet.is_later_fragment() {
                continue;
            }
            if let Err(flaw) = check(packet.payload(), self.max_name) {
                packet.alert(Severity::Medium, flaw as u32, flaw.text());
                packet.set_verdict(Verdict::Drop);
            }
        }
    }
}

secuxflow_sdk::module!(DnsGuard: Inspect, schema = include_str!("../schema.json"));

#[cfg(test)]
mod tests {
    use secuxflow_sdk::harness::{Frame, Harness, check_schema};

    use super::*;

    #[test]
    fn options() {
        check_schema::<DnsGuard>();
        assert!(Harness::<DnsGuard>::new("{ \"max_name\" : 90 }").is_ok());
        for bad in ["", "[]", "{\"max_name\":0}", "{\"max_name\":256}", "{\"max_name\":\"9\"}", "{\"other\":1}"] {
            assert!(Harness::<DnsGuard>::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_queries_over_udp_are_looked_at() {
        let mut harness = Harness::<DnsGuard>::new("{}").unwrap();
        let frame = |from: &str, to: &str| Frame::udp(from, to).payload(*b"short").bytes();
        let report = harness.frames(&[
            frame("10.0.0.1:5000", "10.0.0.2:53"),
            frame("10.0.0.1:5000", "10.0.0.2:5353"),
            Frame::tcp("10.0.0.1:5000", "10.0.0.2:53").payload(*b"short").bytes(),
        ]);
        assert_eq!(report.verdicts, [Verdict::Drop, Verdict::Pass, Verdict::Pass]);
        assert_eq!(report.signatures(), [1]);
    }
}
