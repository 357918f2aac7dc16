//! Whether the source is in a list of IPv4 prefixes, of 10 to a million.

use std::{collections::HashSet, net::Ipv4Addr, sync::Arc};

use anyhow::{Result, ensure};
use ipnet::{IpNet, Ipv4Net};
use secuxflow::rules::{Action, PrefixSet, Ruleset, shapes::Random};

use super::{
    figure::{self, BASE, Cell, Figure, LPM, OURS, Topic, UNCACHED},
    ours::Ours,
    plan::{Plan, say},
    verify::{XDP_DROP, XDP_PASS},
};
use crate::{
    bars::Bar,
    generator::Generator,
    lists::{Kind, list, unicast},
    peers::lpm::Lpm,
    rounds::{self, Effort, Subject},
    traffic::{MIXES, Mix, tcp},
};

const SIZES: [u32; 5] = [10, 1000, 10_000, 100_000, 1_000_000];
/// The size with a bar, and the most that ours may cost there, in parts of LPM_TRIE.
const BAR: (u32, f64) = (1_000_000, 0.25);
/// A large list is told from a small one only by many packets: for each packet of a ruleset there are so many.
const MORE_PACKETS: usize = 8;

/// All figures of prefixes.
pub(super) fn measure(generator: &mut Generator, plan: &Plan) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for size in plan.up_to(&SIZES) {
        for (kind, shape) in [(Kind::Feed, "feed"), (Kind::Routes, "routes")] {
            say(&format!("{} prefixes, {shape}", figure::thousands(size)));
            let cell = Cell { topic: Topic::Prefixes, size, shape, family: "IPv4", mix: Mix::Uniform };
            figures.extend(measure_one(generator, plan, cell, kind)?);
        }
    }
    Ok(figures)
}

fn measure_one(generator: &mut Generator, plan: &Plan, cell: Cell, kind: Kind) -> Result<Vec<Figure>> {
    generator.clear();
    let mut random = Random(u64::from(cell.size) << 8 | 3);
    let prefixes = list(kind, cell.size as usize, &mut random);
    let (frames, expected) = packets(&prefixes, plan.packets * MORE_PACKETS, &mut random)?;
    let once = generator.store(&frames)?;
    let ruleset = blocklist(&prefixes);
    let (ours, uncached, lpm) = (Ours::load(&ruleset, true)?, Ours::uncached(&ruleset)?, Lpm::load(&prefixes)?);
    for (name, program) in [(OURS, ours.program()), (UNCACHED, uncached.program()), (LPM, lpm.program())] {
        ensure!(generator.actions(program, once)? == expected, "{name} gives other verdicts than the list says");
    }
    let mut figures = Vec::new();
    for mix in MIXES {
        generator.clear();
        let walk = generator.store(&mix.draw(&frames, &mut random))?;
        let subjects = [
            Subject { name: BASE, program: generator.base(), walk },
            Subject { name: OURS, program: ours.program(), walk },
            Subject { name: UNCACHED, program: uncached.program(), walk },
            Subject { name: LPM, program: lpm.program(), walk },
        ];
        let names: Vec<&'static str> = subjects.iter().map(|subject| subject.name).collect();
        // There are more packets, so fewer turns.
        let effort = Effort { turns: 1, ..plan.effort };
        let rounds = rounds::run(generator, &subjects, effort)?;
        figures.extend(figure::of(Cell { mix, ..cell }, &names, &rounds));
    }
    Ok(figures)
}

/// No rules, and one blocklist.
fn blocklist(prefixes: &[Ipv4Net]) -> Ruleset {
    let set = PrefixSet::new("feed", true, prefixes.iter().copied().map(IpNet::from));
    Ruleset { sets: vec![Arc::new(set)], ..Ruleset::new(Vec::new(), Action::Pass) }
}

/// What is asked of lists, in hot traffic.
pub(super) fn bars(figures: &[Figure]) -> Vec<Bar> {
    let (size, limit) = BAR;
    let ours = figures.iter().filter(|figure| {
        let Cell { topic, size: of, mix, .. } = figure.cell;
        (topic, of, mix, figure.subject) == (Topic::Prefixes, size, Mix::Hot, OURS)
    });
    let bar = |ours: &Figure| {
        let theirs = figure::find(figures, &ours.cell, LPM)?;
        Some(Bar::ratio(format!("{}, against {LPM}", ours.cell.words()), ours.net, LPM, theirs.net, limit))
    };
    ours.filter_map(bar).collect()
}

/// Packets of which half come from listed prefixes, and the action for each.
fn packets(prefixes: &[Ipv4Net], count: usize, random: &mut Random) -> Result<(Vec<Vec<u8>>, Vec<u32>)> {
    let list = List::of(prefixes);
    let (mut frames, mut expected) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for _ in 0..count {
        let word = u32::try_from(random.next() >> 32).unwrap_or_default();
        let from = match random.byte() {
            0..128 => {
                let prefix = prefixes[random.below(prefixes.len())];
                prefix.network().to_bits() | word & prefix.hostmask().to_bits()
            }
            _ => unicast(word),
        };
        frames.push(tcp(Ipv4Addr::from(from).into(), [198, 51, 100, 7].into())?);
        expected.push(if list.has(from) { XDP_DROP } else { XDP_PASS });
    }
    Ok((frames, expected))
}

/// The reference: the list by length.
struct List {
    lengths: Vec<u32>,
    prefixes: HashSet<(u32, u32)>,
}

impl List {
    fn of(prefixes: &[Ipv4Net]) -> Self {
        let prefixes: HashSet<(u32, u32)> =
            prefixes.iter().map(|prefix| (u32::from(prefix.prefix_len()), prefix.network().to_bits())).collect();
        let lengths: HashSet<u32> = prefixes.iter().map(|(length, _)| *length).collect();
        Self { lengths: lengths.into_iter().collect(), prefixes }
    }

    fn has(&self, address: u32) -> bool {
        let network = |length: u32| address & u32::MAX.checked_shl(32 - length).unwrap_or(0);
        self.lengths.iter().any(|length| self.prefixes.contains(&(*length, network(*length))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_half_of_the_packets_are_listed() {
        let prefixes = list(Kind::Feed, 1000, &mut Random(5));
        let (frames, expected) = packets(&prefixes, 2000, &mut Random(6)).unwrap();
        let listed = expected.iter().filter(|action| **action == XDP_DROP).count();
        assert_eq!(frames.len(), 2000);
        assert!((900..1300).contains(&listed), "{listed} of 2000");
        let list = List::of(&["10.0.0.0/8".parse().unwrap(), "192.0.2.1/32".parse().unwrap()]);
        assert!(list.has(0x0a01_0203) && list.has(0xc000_0201) && !list.has(0xc000_0202));
    }

    #[test]
    #[ignore = "needs root"]
    fn ours_and_the_kernels_trie_agree_with_the_list() {
        let agree = || {
            let mut generator = Generator::load(crate::lab::isolate().unwrap()).unwrap();
            for kind in [Kind::Feed, Kind::Routes] {
                let mut random = Random(9);
                let prefixes = list(kind, 3000, &mut random);
                let (frames, expected) = packets(&prefixes, 1024, &mut random).unwrap();
                generator.clear();
                let walk = generator.store(&frames).unwrap();
                let (ours, lpm) = (Ours::load(&blocklist(&prefixes), true).unwrap(), Lpm::load(&prefixes).unwrap());
                assert_eq!(generator.actions(lpm.program(), walk).unwrap(), expected, "{kind:?}");
                assert_eq!(generator.actions(ours.program(), walk).unwrap(), expected, "{kind:?}");
            }
        };
        // The namespaces are the thread's.
        std::thread::spawn(agree).join().unwrap();
    }
}
