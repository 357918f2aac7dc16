//! A figure: what one forwarder did with one load, over all rounds.

use serde::Serialize;

use crate::{
    rounds::Spread,
    wire::{cores::Busy, links::Outcome},
};

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Topic {
    Throughput,
    Latency,
    /// The long load of which nothing may be lost.
    Loss,
    Drop,
    Workers,
}

/// Quantiles, each over all rounds, in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Late {
    pub(super) p50: Spread,
    pub(super) p99: Spread,
    pub(super) p999: Spread,
    /// The largest of all rounds.
    pub(super) most: f64,
}

/// See the module.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figure {
    pub(super) topic: Topic,
    pub(super) subject: String,
    /// Bytes of a frame.
    pub(super) size: usize,
    pub(super) flows: u32,
    /// Rate that was asked for, Mpps; none for a flood.
    pub(super) pace: Option<f64>,
    pub(super) rounds: usize,
    /// What the generator sent, Mpps.
    pub(super) offered: Spread,
    /// What came out, or what was dropped where that is the task, Mpps.
    pub(super) forwarded: Spread,
    /// Part of the offered frames that is neither.
    pub(super) loss: Spread,
    /// Frames lost, all rounds together.
    pub(super) lost: u64,
    /// Of the forwarded frames, Gbit/s.
    pub(super) gbit: f64,
    pub(super) late: Option<Late>,
    /// Processors, mean of all rounds.
    pub(super) cores: Vec<Busy>,
    /// Doubled or out of order, all rounds together.
    pub(super) disordered: u64,
    /// Milliseconds that the generator was held up, all rounds together.
    pub(super) given_up_ms: f64,
}

/// What a load is, besides its subject.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    pub(super) topic: Topic,
    pub(super) size: usize,
    pub(super) flows: u32,
    pub(super) pace: Option<f64>,
}

impl Figure {
    /// Of all rounds of a subject, of which there is one at least.
    pub(super) fn of(subject: String, cell: Cell, outcomes: &[Outcome]) -> Self {
        let done = |outcome: &Outcome| match cell.topic {
            Topic::Drop => outcome.received.saturating_sub(outcome.arrived.packets),
            _ => outcome.arrived.packets,
        };
        let rate = |count: u64, outcome: &Outcome| count as f64 / outcome.sent.time.as_secs_f64() / 1e6;
        let spread = |value: &dyn Fn(&Outcome) -> f64| Spread::of(outcomes.iter().map(value));
        let lost = |outcome: &Outcome| outcome.sent.frames.saturating_sub(done(outcome));
        let forwarded = spread(&|outcome| rate(done(outcome), outcome));
        let count = outcomes.len().max(1) as f64;
        let mean = |core: usize| {
            let of = |value: fn(&Busy) -> f64| {
                outcomes.iter().filter_map(|outcome| outcome.cores.get(core)).map(value).sum::<f64>() / count
            };
            Busy { busy: of(|core| core.busy), softirq: of(|core| core.softirq), stolen: of(|core| core.stolen) }
        };
        let times: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.arrived.latency).collect();
        let micro = |ns: u64| ns as f64 / 1e3;
        let late = (!times.is_empty()).then(|| Late {
            p50: Spread::of(times.iter().map(|times| micro(times.p50))),
            p99: Spread::of(times.iter().map(|times| micro(times.p99))),
            p999: Spread::of(times.iter().map(|times| micro(times.p999))),
            most: times.iter().map(|times| micro(times.most)).fold(0.0, f64::max),
        });
        Self {
            topic: cell.topic,
            subject,
            size: cell.size,
            flows: cell.flows,
            pace: cell.pace,
            rounds: outcomes.len(),
            offered: spread(&|outcome| rate(outcome.sent.frames, outcome)),
            forwarded,
            loss: spread(&|outcome| lost(outcome) as f64 / outcome.sent.frames.max(1) as f64),
            lost: outcomes.iter().map(lost).sum(),
            gbit: forwarded.median * cell.size as f64 * 8.0 / 1e3,
            late,
            cores: (0..outcomes.first().map_or(0, |outcome| outcome.cores.len())).map(mean).collect(),
            disordered: outcomes.iter().map(|outcome| outcome.arrived.disordered).sum(),
            given_up_ms: outcomes.iter().map(|outcome| outcome.sent.given_up.as_secs_f64() * 1e3).sum(),
        }
    }
}

/// The figure of a subject for a load.
pub(super) fn find<'a>(
    figures: &'a [Figure],
    topic: Topic,
    subject: &str,
    size: usize,
    flows: u32,
) -> Option<&'a Figure> {
    figures.iter().find(|figure| {
        (figure.topic, figure.subject.as_str(), figure.size, figure.flows) == (topic, subject, size, flows)
    })
}
