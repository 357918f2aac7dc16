//! What is asked of the path. Ratios are of medians in one run.

use super::{
    drop::{RULES, SIZE},
    figure::{Figure, Topic, find},
    latency::CALM,
    plan::Plan,
    subject::{Egress, Subject},
};
use crate::{bars::Bar, peers::testpmd::Driver};

/// At least `limit` times a peer's rate.
fn faster(name: &str, ours: Option<&Figure>, theirs: Option<&Figure>, limit: f64) -> Bar {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => {
            Bar::rate(name, ours.forwarded.median, &theirs.subject, theirs.forwarded.median, limit)
        }
        (None, _) => Bar::unmeasured(name, "this secuxflow cannot do it, or the load was not asked for"),
        (_, None) => Bar::unmeasured(name, "its peer was not there"),
    }
}

/// Flows of the loads that bars are about: the fewest.
fn flows(plan: &Plan) -> u32 {
    plan.flows.iter().copied().min().unwrap_or(1)
}

pub(super) fn throughput(figures: &[Figure], plan: &Plan) -> Vec<Bar> {
    let flows = flows(plan);
    let of = |subject: &Subject, size| find(figures, Topic::Throughput, &subject.name(), size, flows);
    let peer = Subject::Testpmd(Driver::Xdp);
    let egress = plan.egress[0];
    let ours = |modules, size| of(&Subject::Ours { modules, egress }, size);
    let small = plan.smallest();
    let quiet = if egress == Egress::Only { Egress::Only } else { Egress::Tx };
    let tx = of(&Subject::Ours { modules: 1, egress: quiet }, small);
    vec![
        faster("one module, smallest frames", ours(1, small), of(&peer, small), 2.5),
        faster("one module, 1400 bytes", ours(1, 1400), of(&peer, 1400), 1.3),
        faster("three modules with 1,000 patterns, smallest frames", ours(3, small), of(&peer, small), 1.5),
        faster("one module without injection, smallest frames", tx, of(&peer, small), 1.0),
        faster("offloaded flows, smallest frames", of(&Subject::Offload, small), of(&Subject::Redirect, small), 0.7),
    ]
}

pub(super) fn drop(figures: &[Figure], plan: &Plan) -> Vec<Bar> {
    let of =
        |start: &str| figures.iter().find(|figure| figure.topic == Topic::Drop && figure.subject.starts_with(start));
    let ours = of("secuxflow").filter(|figure| (figure.size, figure.flows) == (SIZE, RULES));
    let mut bars = vec![faster("drop by 10,000 rules", ours, of("XDP drop"), 0.4)];
    let name = "drop by 10,000 rules, beside a set";
    bars.push(match &plan.nft {
        Some(_) => faster(name, ours, of("nftables"), 2.5),
        None => Bar::unmeasured(name, "nftables was not found"),
    });
    bars
}

pub(super) fn latency(figures: &[Figure], plan: &Plan) -> Vec<Bar> {
    let ours = Subject::Ours { modules: 1, egress: plan.egress[0] }.name();
    let peer = Subject::Testpmd(Driver::Xdp).name();
    let of = |topic, subject: &str| {
        figures
            .iter()
            .find(|figure| (figure.topic, figure.subject.as_str(), figure.pace) == (topic, subject, Some(CALM)))
    };
    let late = |figure: Option<&Figure>| figure.and_then(|figure| figure.late).map(|late| late.p99.median);
    let p99 = |name: String, topic, ours: &str| match (late(of(topic, ours)), late(of(topic, &peer))) {
        (Some(ours), Some(theirs)) => Bar::most(name, ours / theirs, 1.5, "×")
            .with_figures(format!("secuxflow {ours:.0} µs, {peer} {theirs:.0} µs")),
        _ => Bar::unmeasured(name, "no latency of ours, or no peer"),
    };
    let seconds = plan.long.as_secs();
    let polling = Subject::Polling.name();
    let short = "99th percentile at 0.2 Mpps, median of short rounds";
    let long = format!("99th percentile of {seconds} s at 0.2 Mpps");
    let name = format!("lost in {seconds} s at 0.2 Mpps");
    let lost = match of(Topic::Loss, &ours) {
        Some(figure) => {
            let theirs =
                of(Topic::Loss, &peer).map_or_else(String::new, |peer| format!(", {} {}", peer.subject, peer.lost));
            Bar::most(name, figure.lost as f64, 0.0, "frames")
                .with_figures(format!("secuxflow {}{theirs}", figure.lost))
        }
        None => Bar::unmeasured(name, "no long load"),
    };
    vec![
        p99(short.to_owned(), Topic::Latency, &ours),
        p99(long.clone(), Topic::Loss, &ours),
        // testpmd never sleeps.
        p99(format!("{short}, polling as the peer does"), Topic::Latency, &polling),
        p99(format!("{long}, polling as the peer does"), Topic::Loss, &polling),
        lost,
    ]
}

pub(super) fn workers(figures: &[Figure]) -> Vec<Bar> {
    let of = |start: &str| {
        let figure = figures.iter().find(|figure| figure.topic == Topic::Workers && figure.subject.contains(start))?;
        Some(figure.forwarded.median)
    };
    let name = "two workers, each beside a generator on its core";
    vec![match (of("1 worker"), of("2 workers")) {
        (Some(one), Some(two)) => Bar::rate(name, two, "one such core", one, 1.6),
        _ => Bar::unmeasured(name, "no figures"),
    }]
}
