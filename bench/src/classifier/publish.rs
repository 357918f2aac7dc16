//! How long a publication takes: everything from the rules to the swapped program.

use std::time::Instant;

use anyhow::Result;
use secuxflow::{
    bpf::Filter,
    plane::FailPolicy,
    rules::{
        RuleId,
        shapes::{Families, Random, Shape},
    },
};

use super::{
    plan::{Plan, say},
    rules,
};
use crate::{bars::Bar, rounds::Spread};

const RULES: u32 = 10_000;

/// Bars over the publication of a large ruleset, and of the same with one rule more.
pub(super) fn measure(plan: &Plan) -> Result<Vec<Bar>> {
    say("publication");
    let mut random = Random(RULES.into());
    let whole = rules::ruleset(Shape::Acl, Families::Both, RULES, &mut random);
    let mut more = whole.clone();
    let mut rule = whole.rules[0].clone();
    rule.id = RuleId(RULES + 1);
    more.rules.push(rule);
    let (mut first, mut again) = (Vec::new(), Vec::new());
    for _ in 0..plan.publications {
        let mut filter = Filter::load(FailPolicy::Open)?;
        for (ruleset, times) in [(&whole, &mut first), (&more, &mut again)] {
            let begin = Instant::now();
            filter.publish(ruleset, &[])?;
            times.push(begin.elapsed().as_secs_f64() * 1e3);
        }
    }
    let median = |times: Vec<f64>| Spread::of(times).median;
    Ok(vec![
        Bar::most("publication of 10,000 rules", median(first), 500.0, "ms"),
        Bar::most("publication of one rule more", median(again), 300.0, "ms"),
    ])
}
