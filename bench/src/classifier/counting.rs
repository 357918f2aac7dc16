//! What counting by rule costs: the same rulesets and packets, counted and not.

use anyhow::Result;
use secuxflow::rules::shapes::{Families, Random, Shape};

use super::{
    figure::{self, BASE, Cell, Figure, OURS, Topic, UNCOUNTED},
    ours::Ours,
    plan::Plan,
    rules,
    verify::Expected,
};
use crate::{
    bars::Bar,
    generator::Generator,
    rounds::{self, Effort, Spread, Subject},
    traffic::Mix,
};

/// Most nanoseconds that counting may cost.
const LIMIT: f64 = 5.0;
const SIZES: [u32; 2] = [1000, 10_000];
/// The difference of two large figures needs more rounds than either of them.
const MORE_ROUNDS: u32 = 3;

/// Figures, and the bars over them.
pub(super) fn measure(generator: &mut Generator, plan: &Plan) -> Result<(Vec<Figure>, Vec<Bar>)> {
    let (mut figures, mut bars) = (Vec::new(), Vec::new());
    for size in plan.up_to(&SIZES) {
        plan.say(&format!("{} rules, counted and not", figure::thousands(size)));
        generator.clear();
        let mut random = Random(u64::from(size) << 8 | 2);
        let ruleset = rules::ruleset(Shape::Acl, Families::V4, size, &mut random);
        let frames = rules::frames(&ruleset, plan.packets, &mut random)?;
        let expected = Expected::of(&ruleset, &frames)?;
        let once = generator.store(&frames)?;
        let (counted, uncounted) = (Ours::load(&ruleset, true)?, Ours::load(&ruleset, false)?);
        expected.check(OURS, generator, counted.program(), once)?;
        expected.check_counts(OURS, counted.counts()?)?;
        expected.check(UNCOUNTED, generator, uncounted.program(), once)?;
        let walk = generator.store(&Mix::Hot.draw(&frames, &mut random))?;
        let subjects = [
            Subject { name: BASE, program: generator.base(), walk },
            Subject { name: OURS, program: counted.program(), walk },
            Subject { name: UNCOUNTED, program: uncounted.program(), walk },
        ];
        let effort = Effort { rounds: plan.effort.rounds * MORE_ROUNDS, ..plan.effort };
        let rounds = rounds::run(generator, &subjects, effort)?;
        let cell = Cell { topic: Topic::Counting, size, shape: "acl", family: "IPv4", mix: Mix::Hot };
        figures.extend(figure::of(cell, &[BASE, OURS, UNCOUNTED], &rounds));
        bars.push(bar(&cell, &rounds[1], &rounds[2]));
    }
    Ok((figures, bars))
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
