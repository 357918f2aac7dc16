//! A measured figure, and what it is of.

use serde::Serialize;

use crate::{rounds::Spread, traffic::Mix};

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Topic {
    /// The first rule that matches.
    Rules,
    /// Whether the source is in a list of prefixes.
    Prefixes,
    /// Rules, counted and not.
    Counting,
}

/// The generator and a program that only returns.
pub(crate) const BASE: &str = "base";
/// Ours.
pub(crate) const OURS: &str = "secuxflow";
/// Ours, with nothing counted by rule.
pub(crate) const UNCOUNTED: &str = "secuxflow, rules not counted";
/// Ours, with every packet looked up anew.
pub(crate) const UNCACHED: &str = "secuxflow, cache off";
/// `bpf/lpm_bv.bpf.c`.
pub(crate) const LPM_BV: &str = "LPM_TRIE + bit vectors";
/// `bpf/lpm.bpf.c`.
pub(crate) const LPM: &str = "LPM_TRIE";
/// The distribution's, as it is loaded unless told otherwise.
pub(crate) const XDP_FILTER: &str = "xdp-filter";
/// The distribution's, told to look at addresses of IP only.
pub(crate) const XDP_FILTER_IP: &str = "xdp-filter, addresses only";

/// What was measured together, with the same packets or for the same job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Cell {
    /// What was measured.
    pub(crate) topic: Topic,
    /// Rules, prefixes or addresses.
    pub(crate) size: u32,
    /// Shape of the ruleset, or kind of the list.
    pub(crate) shape: &'static str,
    /// `IPv4` or `IPv6`.
    pub(crate) family: &'static str,
    /// Traffic.
    pub(crate) mix: Mix,
}

impl Cell {
    /// For people.
    pub(crate) fn words(&self) -> String {
        let Self { topic, size, shape, family, mix } = self;
        let what = if *topic == Topic::Prefixes { "prefixes" } else { "rules" };
        format!("{} {what}, {shape}, {family}, {}", thousands(*size), mix.name())
    }
}

/// Nanoseconds a packet of one subject in one cell.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    /// What it is of.
    #[serde(flatten)]
    pub(crate) cell: Cell,
    /// Whose it is.
    pub(crate) subject: &'static str,
    /// With the generator's part.
    pub(crate) gross: Spread,
    /// The median without it.
    pub(crate) net: f64,
    /// Rounds.
    pub(crate) rounds: usize,
}

/// The figures of one cell, of which the first subject is the base.
pub(crate) fn of(cell: Cell, subjects: &[&'static str], rounds: &[Vec<f64>]) -> Vec<Figure> {
    let spread = |rounds: &Vec<f64>| Spread::of(rounds.iter().copied());
    let base = rounds.first().map_or(f64::NAN, |base| spread(base).median);
    let figure = |(subject, rounds): (&&'static str, &Vec<f64>)| {
        let gross = spread(rounds);
        Figure { cell, subject, gross, net: gross.median - base, rounds: rounds.len() }
    };
    subjects.iter().zip(rounds).map(figure).collect()
}

/// The figure of `subject` in `cell`.
pub(crate) fn find<'a>(figures: &'a [Figure], cell: &Cell, subject: &str) -> Option<&'a Figure> {
    figures.iter().find(|figure| figure.cell == *cell && figure.subject == subject)
}

/// With a comma between thousands.
pub(crate) fn thousands(number: u32) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_is_subtracted_and_kept() {
        let cell = Cell { topic: Topic::Rules, size: 10_000, shape: "acl", family: "IPv4", mix: Mix::Hot };
        let figures = of(cell, &[BASE, OURS], &[vec![20.0, 22.0, 21.0], vec![81.0, 81.0, 90.0]]);
        assert_eq!((figures[0].gross.median, figures[0].net), (21.0, 0.0));
        assert_eq!((figures[1].gross.median, figures[1].net), (81.0, 60.0));
        assert_eq!(find(&figures, &cell, OURS).map(|figure| figure.rounds), Some(3));
        assert_eq!(cell.words(), "10,000 rules, acl, IPv4, hot");
        assert_eq!([1, 1000, 16_384, 1_000_000].map(thousands), ["1", "1,000", "16,384", "1,000,000"]);
    }
}
