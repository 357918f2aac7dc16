//! What is asked of the figures, and whether they meet it.

use std::fmt;

use serde::Serialize;

/// On which side of its limit a figure has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Side {
    /// At most the limit.
    Most,
    /// At least the limit.
    Least,
}

/// One demand: a figure that may be so large, or has to be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Bar {
    /// What is measured.
    name: String,
    /// Both sides, in words.
    figures: String,
    /// The figure.
    measured: f64,
    /// The most that it may be, or the least.
    limit: f64,
    /// Which of both.
    side: Side,
    /// Of both: `×`, `ns`, `ms`, `s`.
    unit: &'static str,
    /// Whether it is.
    met: bool,
    /// Why there is no figure.
    unmeasured: Option<String>,
}

impl Bar {
    /// `ours` may be at most `limit` times `theirs`, both in nanoseconds net of the base.
    pub(crate) fn ratio(name: impl Into<String>, ours: f64, peer: &str, theirs: f64, limit: f64) -> Self {
        let figures = format!("secuxflow {ours:.0} ns, {peer} {theirs:.0} ns");
        // A peer that costs nothing was not measured.
        let measured = if theirs > 0.0 { ours / theirs } else { f64::INFINITY };
        Self::new(name.into(), figures, measured, limit, Side::Most, "×")
    }

    /// `measured` may be at most `limit`.
    pub(crate) fn most(name: impl Into<String>, measured: f64, limit: f64, unit: &'static str) -> Self {
        Self::new(name.into(), String::new(), measured, limit, Side::Most, unit)
    }

    /// `measured` has to be at least `limit`.
    pub(crate) fn least(name: impl Into<String>, measured: f64, limit: f64, unit: &'static str) -> Self {
        Self::new(name.into(), String::new(), measured, limit, Side::Least, unit)
    }

    /// `ours` has to be at least `limit` times `theirs`, both in millions of packets a second.
    pub(crate) fn rate(name: impl Into<String>, ours: f64, peer: &str, theirs: f64, limit: f64) -> Self {
        let figures = format!("secuxflow {ours:.2} Mpps, {peer} {theirs:.2} Mpps");
        let measured = if theirs > 0.0 { ours / theirs } else { f64::NAN };
        Self::new(name.into(), figures, measured, limit, Side::Least, "×")
    }

    /// Something that was asked for and could not be measured: it is not met.
    pub(crate) fn unmeasured(name: impl Into<String>, why: impl Into<String>) -> Self {
        let bar = Self::new(name.into(), String::new(), f64::NAN, f64::NAN, Side::Most, "");
        Self { unmeasured: Some(why.into()), ..bar }
    }

    /// The figures that the measured one was made of.
    pub(crate) fn with_figures(mut self, figures: impl Into<String>) -> Self {
        self.figures = figures.into();
        self
    }

    fn new(name: String, figures: String, measured: f64, limit: f64, side: Side, unit: &'static str) -> Self {
        let met = match side {
            Side::Most => measured <= limit,
            Side::Least => measured >= limit,
        };
        Self { name, figures, measured, limit, side, unit, met: measured.is_finite() && met, unmeasured: None }
    }

    /// Whether the figure was measured and is on the right side of the limit.
    pub(crate) fn is_met(&self) -> bool {
        self.met
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, figures, measured, limit, side, unit, .. } = self;
        if let Some(why) = &self.unmeasured {
            return write!(f, "{name}: NOT MEASURED: {why}");
        }
        let side = if *side == Side::Most { "most" } else { "least" };
        let digits = match *unit {
            "×" => 2,
            "s" => 1,
            _ => 0,
        };
        write!(f, "{name}: {measured:.digits$} {unit}, at {side} {limit} {unit}")?;
        if figures.is_empty() { Ok(()) } else { write!(f, " ({figures})") }
    }
}

/// The bars that are missed, each in a line, or `None` when all are met.
pub(crate) fn missed(bars: &[Bar]) -> Option<String> {
    let missed: Vec<String> = bars.iter().filter(|bar| !bar.is_met()).map(|bar| format!("missed: {bar}\n")).collect();
    if missed.is_empty() { None } else { Some(missed.concat()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_bar_is_named_with_both_figures() {
        let bars = [
            Bar::ratio("1,000 rules, acl, IPv4", 30.0, "LPM + bit vectors", 100.0, 0.6),
            Bar::ratio("10,000 rules, acl, IPv4", 61.0, "LPM + bit vectors", 100.0, 0.4),
            Bar::most("publication of 10,000 rules", 501.0, 500.0, "ms"),
        ];
        let missed = missed(&bars).unwrap();
        assert_eq!(missed.lines().count(), 2, "{missed}");
        let ratio =
            "missed: 10,000 rules, acl, IPv4: 0.61 ×, at most 0.4 × (secuxflow 61 ns, LPM + bit vectors 100 ns)";
        assert_eq!(missed.lines().next(), Some(ratio));
        assert_eq!(missed.lines().nth(1), Some("missed: publication of 10,000 rules: 501 ms, at most 500 ms"));
    }

    #[test]
    fn bars_at_their_limit_are_met_and_what_was_not_measured_is_not() {
        assert_eq!(missed(&[Bar::ratio("a", 40.0, "b", 100.0, 0.4), Bar::most("c", 5.0, 5.0, "ns")]), None);
        assert!(!Bar::ratio("a", 1.0, "b", 0.0, 0.4).is_met());
        assert!(!Bar::most("a", f64::NAN, 1.0, "ns").is_met());
        assert!(!Bar::rate("a", 1.0, "b", 0.0, 0.4).is_met());
        assert!(Bar::rate("a", 2.5, "b", 1.0, 2.5).is_met() && !Bar::rate("a", 2.4, "b", 1.0, 2.5).is_met());
        let unmeasured = [Bar::unmeasured("c", "no peer")];
        assert_eq!(missed(&unmeasured).unwrap(), "missed: c: NOT MEASURED: no peer\n");
    }
}
