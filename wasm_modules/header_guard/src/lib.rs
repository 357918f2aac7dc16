//! header_guard: reads every header of every packet, and drops those that no honest sender writes.
//!
//! The checks are plain safe code over slices, tested on the build machine, where the benchmark runs the very same code
//! outside of any guest.
#![cfg_attr(target_arch = "wasm32", no_std)]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

mod check;

use alloc::string::String;

pub use check::{Flaw, check};
use secuxflow_sdk::{Batch, Inspect, Module, Setup, Severity, Verdict};

/// The module.
#[derive(Debug)]
pub struct HeaderGuard;

/// There are no options.
#[derive(Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl Module for HeaderGuard {
    type Config = Config;

    fn new(_config: Config, _setup: &mut Setup) -> Result<Self, String> {
        Ok(Self)
    }
}

impl Inspect for HeaderGuard {
    fn inspect(&mut self, batch: &mut Batch<'_>) {
        let mut next = 0;
        while let Some((number, flaw)) = flawed(batch, next) {
            if let Some(mut packet) = batch.packet(number) {
                packet.alert(Severity::Medium, flaw as u32, flaw.text());
                packet.set_verdict(Verdict::Drop);
            }
            next = number + 1;
        }
    }
}

/// The first packet from number `first` on that has a flaw. By itself, because the compiler of guests keeps a loop's values in
/// registers only where no calls are near, not even such as are hardly ever made.
#[inline(never)]
fn flawed(batch: &Batch<'_>, first: u32) -> Option<(u32, Flaw)> {
    batch.find(first, |packet, frame| check(packet, frame).err())
}

secuxflow_sdk::module!(HeaderGuard: Inspect, schema = include_str!("../schema.json"));

#[cfg(test)]
mod tests {
    use secuxflow_sdk::harness::{Frame, Harness, check_schema};

    use super::*;

    #[test]
    fn what_is_wrong_is_dropped_with_its_alert() {
        check_schema::<HeaderGuard>();
        let mut harness = Harness::<HeaderGuard>::new("{}").unwrap();
        let good = Frame::tcp("10.0.0.1:40000", "10.0.0.2:80").payload(*b"GET /").bytes();
        let mut bad = good.clone();
        bad[24] ^= 1;
        let report = harness.frames(&[good.clone(), bad.clone(), good, bad.clone(), bad]);
        let expected = [Verdict::Pass, Verdict::Drop, Verdict::Pass, Verdict::Drop, Verdict::Drop];
        assert_eq!(report.verdicts, expected);
        assert_eq!(report.signatures(), [Flaw::Checksum as u32; 3]);
        assert!(Harness::<HeaderGuard>::new(r#"{"ports": []}"#).unwrap_err().contains("unknown field `ports`"));
    }
}
