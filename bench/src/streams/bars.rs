//! What is asked of modules on streams. Ratios are of medians in one run.

use super::{
    figure::{CostFigure, PathFigure},
    load::Load,
    subject::Subject,
};
use crate::bars::Bar;

/// Of the throughput without a module.
const THROUGHPUT: f64 = 0.5;
/// Of what the same code costs natively.
const COST: f64 = 1.5;

/// The chains that bars are about.
const JUDGED: [Subject; 3] = [Subject::Waf, Subject::Ips(1_000), Subject::Ips(10_000)];

/// Bulk transfers through each module, beside the path without it.
pub(super) fn path(figures: &[PathFigure]) -> Vec<Bar> {
    let of = |load: Load, subject: Subject| {
        figures.iter().find(|figure| figure.load == load && figure.subject == subject.name())
    };
    let bar = |(subject, load): (Subject, Load)| {
        let name = format!("{}, {}", load.name(), subject.name());
        match (of(load, subject), of(load, Subject::Empty)) {
            (Some(with), Some(without)) => {
                let (with, without) = (with.megabytes.median, without.megabytes.median);
                Bar::least(name, with / without, THROUGHPUT, "×")
                    .with_figures(format!("{with:.0} MB/s, without {without:.0} MB/s"))
            }
            _ => Bar::unmeasured(name, "it was not asked for"),
        }
    };
    let bulk = || Load::ALL.into_iter().filter(|load| load.is_bulk());
    JUDGED.into_iter().flat_map(|subject| bulk().map(move |load| (subject, load))).map(bar).collect()
}

/// Each module in its guest, beside its code natively.
pub(super) fn cost(figures: &[CostFigure]) -> Vec<Bar> {
    let bar = |figure: &CostFigure| {
        let (guest, native) = (figure.guest.median, figure.native.median);
        Bar::most(format!("a kilobyte of {}, {}", figure.load.name(), figure.subject), guest / native, COST, "×")
            .with_figures(format!("in the guest {guest:.0} ns, natively {native:.0} ns"))
    };
    figures.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        rounds::Spread,
        streams::{figure::Run, load::Done},
    };

    fn figure(load: Load, subject: Subject, megabytes: u64) -> PathFigure {
        let done = Done { bytes: megabytes * 1_000_000, requests: 0, time: std::time::Duration::from_secs(1) };
        PathFigure::of(load, subject.name(), &[Run { done, worker: 0.5 }])
    }

    #[test]
    fn half_of_the_throughput_is_asked_for_of_bulk() {
        let figures = [
            figure(Load::BulkUp, Subject::Empty, 400),
            figure(Load::BulkUp, Subject::Ips(1_000), 200),
            figure(Load::BulkUp, Subject::Ips(10_000), 199),
        ];
        assert_eq!(figures[0].worker_ns.median, 1250.0);
        let bars = path(&figures);
        let of = |name: &str| bars.iter().find(|bar| bar.to_string().contains(name)).unwrap();
        assert!(of("server, ips, 1000 rules: 0.50").is_met());
        assert!(!of("server, ips, 10000 rules: 0.50").is_met());
        assert!(!of("server, waf: NOT MEASURED").is_met());
        assert!(!bars.iter().any(|bar| bar.to_string().contains("keep-alive")));
    }

    #[test]
    fn a_guest_may_take_half_as_long_again() {
        let spread = |ns| Spread::of([ns]);
        let figure = |guest| CostFigure {
            load: Load::Upload,
            subject: "waf".to_owned(),
            native: spread(1000.0),
            guest: spread(guest),
        };
        let bars = cost(&[figure(1500.0), figure(1501.0)]);
        assert!(bars[0].is_met() && !bars[1].is_met(), "{bars:?}");
    }
}
