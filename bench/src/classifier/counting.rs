//! What counting by rule costs: the same rulesets and packets, counted and not.

use anyhow::{Result, ensure};
use secuxflow::{
    rules::{
        Classifier, Ruleset,
        shapes::{Families, Random, Shape},
    },
    wire::parse,
};

use super::{
    figure::{self, BASE, Cell, Figure, OURS, Topic, UNCOUNTED},
    ours::Ours,
    plan::{Plan, say},
    rules,
    verify::Expected,
};
use crate::{
    bars::Bar,
    generator::Generator,
    rounds::{self, Spread, Subject},
    traffic::Mix,
};

/// Most nanoseconds that counting may cost.
const LIMIT: f64 = 5.0;
const SIZES: [u32; 2] = [1000, 10_000];
/// The difference of two large figures shows also where the kernel happened to put their tables: so both are loaded
/// more than once.
const PAIRS: usize = 4;
/// Packets that are drawn for each that a rule has to decide on.
const SPARE: usize = 4;

/// Figures, and the bars over them.
pub(super) fn measure(generator: &mut Generator, plan: &Plan) -> Result<(Vec<Figure>, Vec<Bar>)> {
    let (mut figures, mut bars) = (Vec::new(), Vec::new());
    for size in plan.up_to(&SIZES) {
        say(&format!("{} rules, counted and not", figure::thousands(size)));
        generator.clear();
        let mut random = Random(u64::from(size) << 8 | 2);
        let ruleset = rules::ruleset(Shape::Acl, Families::V4, size, &mut random);
        let frames = decided(&ruleset, plan.packets, &mut random)?;
        let expected = Expected::of(&ruleset, &frames)?;
        let once = generator.store(&frames)?;
        let mut pairs = Vec::new();
        for _ in 0..PAIRS {
            let (counted, uncounted) = (Ours::load(&ruleset, true)?, Ours::load(&ruleset, false)?);
            expected.check(OURS, generator, counted.program(), once)?;
            expected.check_counts(OURS, counted.counts())?;
            expected.check(UNCOUNTED, generator, uncounted.program(), once)?;
            pairs.push((counted, uncounted));
        }
        let walk = generator.store(&Mix::Hot.draw(&frames, &mut random))?;
        let mut subjects = vec![Subject { name: BASE, program: generator.base(), walk }];
        for (index, (counted, uncounted)) in pairs.iter().enumerate() {
            let mut pair = [(OURS, counted), (UNCOUNTED, uncounted)];
            // Either comes first as often as the other.
            if index % 2 == 1 {
                pair.reverse();
            }
            subjects.extend(pair.map(|(name, ours)| Subject { name, program: ours.program(), walk }));
        }
        let rounds = rounds::run(generator, &subjects, plan.effort)?;
        let of = |name| -> Vec<f64> {
            let mine = subjects.iter().zip(&rounds).filter(|(subject, _)| subject.name == name);
            mine.flat_map(|(_, rounds)| rounds).copied().collect()
        };
        let cell = Cell { topic: Topic::Counting, size, shape: "acl", family: "IPv4", mix: Mix::Hot };
        let rounds = [BASE, OURS, UNCOUNTED].map(of);
        figures.extend(figure::of(cell, &[BASE, OURS, UNCOUNTED], &rounds));
        bars.push(bar(&cell, &rounds[1], &rounds[2]));
    }
    Ok((figures, bars))
}

/// Packets that a rule decides on: what the default action decides is counted in any case.
fn decided(ruleset: &Ruleset, count: usize, random: &mut Random) -> Result<Vec<Vec<u8>>> {
    let classifier = Classifier::new(ruleset, &[])?;
    let mut frames = rules::frames(ruleset, count * SPARE, random)?;
    frames.retain(|frame| classifier.classify(&parse(frame)).rule.is_some());
    frames.truncate(count);
    ensure!(frames.len() == count, "rules decide on only {} of {} packets", frames.len(), count * SPARE);
    Ok(frames)
}

/// Round by round, for both of a round meet the same machine.
fn bar(cell: &Cell, counted: &[f64], uncounted: &[f64]) -> Bar {
    let spread = |rounds: &[f64]| Spread::of(rounds.iter().copied()).median;
    let cost = Spread::of(counted.iter().zip(uncounted).map(|(counted, uncounted)| counted - uncounted));
    let figures = format!("counted {:.0} ns, not counted {:.0} ns", spread(counted), spread(uncounted));
    Bar::most(format!("counting by rule, {}", cell.words()), cost.median, LIMIT, "ns").with_figures(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_of_counting_is_the_median_of_the_rounds_differences() {
        let cell = Cell { topic: Topic::Counting, size: 10, shape: "acl", family: "IPv4", mix: Mix::Hot };
        let bar = bar(&cell, &[63.0, 90.0, 64.0], &[60.0, 87.0, 55.0]);
        assert!(bar.is_met());
        assert!(bar.to_string().contains(": 3 ns, at most 5 ns (counted 64 ns, not counted 60 ns)"), "{bar}");
    }
}
