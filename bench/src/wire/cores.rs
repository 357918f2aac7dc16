//! How busy each processor is, from /proc/stat.

use std::fs;

use anyhow::{Context, Result};
use serde::Serialize;

/// Time of one processor since boot, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ticks {
    all: u64,
    idle: u64,
    softirq: u64,
    stolen: u64,
}

/// All processors at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Cores(Vec<Ticks>);

/// What a processor did in between, in parts of its time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Busy {
    /// Not idle.
    pub(crate) busy: f64,
    /// Of that in soft interrupts, where drivers receive.
    pub(crate) softirq: f64,
    /// Given to other machines by the hypervisor.
    pub(crate) stolen: f64,
}

impl Cores {
    /// Now.
    pub(crate) fn now() -> Result<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").context("reading /proc/stat")?)
    }

    fn parse(text: &str) -> Result<Self> {
        let line = |line: &str| {
            let fields: Vec<u64> = line.split_whitespace().skip(1).map_while(|word| word.parse().ok()).collect();
            // user nice system idle iowait irq softirq steal; guest time is in user time already.
            let [user, nice, system, idle, wait, irq, softirq, stolen, ..] = fields[..] else {
                anyhow::bail!("/proc/stat: {line}");
            };
            let all = user + nice + system + idle + wait + irq + softirq + stolen;
            Ok(Ticks { all, idle: idle + wait, softirq, stolen })
        };
        let one =
            |line: &&str| line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        text.lines().filter(one).map(line).collect::<Result<_>>().map(Self)
    }

    /// From `self` to `later`.
    pub(crate) fn until(&self, later: &Self) -> Vec<Busy> {
        let between = |(then, now): (&Ticks, &Ticks)| {
            let all = now.all.saturating_sub(then.all).max(1) as f64;
            let part = |then: u64, now: u64| now.saturating_sub(then) as f64 / all;
            Busy {
                busy: 1.0 - part(then.idle, now.idle),
                softirq: part(then.softirq, now.softirq),
                stolen: part(then.stolen, now.stolen),
            }
        };
        self.0.iter().zip(&later.0).map(between).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_is_busy_when_it_is_not_idle() {
        let text = |user: u32, idle: u32, softirq: u32| {
            format!(
                "cpu  1 1 1 1 1 1 1 1 0 0\ncpu0 {user} 0 0 {idle} 0 0 {softirq} 0 0 0\ncpu1 5 0 0 5 0 0 0 0 0 0\nintr 1\n"
            )
        };
        let (then, now) = (Cores::parse(&text(10, 10, 0)).unwrap(), Cores::parse(&text(40, 30, 50)).unwrap());
        let busy = then.until(&now);
        assert_eq!((busy.len(), busy[0].busy, busy[0].softirq), (2, 0.8, 0.5));
        assert!(Cores::parse("cpu0 1 2\n").is_err());
    }
}
