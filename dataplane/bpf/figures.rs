//! What a packet, a publication and the verifier cost, measured; the figures of `docs/classifier.md`.

use std::time::Instant;

use super::Filter;
use crate::{
    plane::FailPolicy,
    rules::{
        Action, Ruleset,
        shapes::{Families, SHAPES, flow, ruleset},
        testing::Random,
    },
    wire::testing::packet,
};

const RUNS: u32 = 2000;
const FLOWS: usize = 256;

#[test]
#[ignore = "needs root"]
fn cost_of_a_packet_and_of_a_publication() {
    let chains = ["default".to_owned(), "web".to_owned()];
    println!("shape      family  rules  publish ms  ns per packet");
    for shape in SHAPES {
        for families in [Families::V4, Families::V6] {
            for count in [10, 1000, 10_000] {
                let mut random = Random(u64::from(count));
                let mut ruleset = ruleset(shape, families, count, &mut random);
                no_inspection(&mut ruleset);
                let mut filter = Filter::load(FailPolicy::Open).unwrap();
                let begin = Instant::now();
                let Ok(_) = filter.publish(&ruleset, &chains) else { continue };
                let publish = begin.elapsed();
                let mut ns: Vec<u128> =
                    (0..FLOWS).map(|_| filter.time(&packet(&flow(&ruleset, &mut random)), RUNS)).collect();
                ns.sort_unstable();
                let mean = ns.iter().sum::<u128>() / ns.len() as u128;
                println!(
                    "{shape:<10?} {families:<6?} {count:>6} {:>11.1} {mean:>8} mean {:>5} median {:>5} worst",
                    publish.as_secs_f64() * 1e3,
                    ns[FLOWS / 2],
                    ns[FLOWS - 1],
                );
            }
        }
    }
    let filter = Filter::load(FailPolicy::Open).unwrap();
    println!(
        "entry program alone: {} ns",
        filter.time(
            &packet(&flow(&Ruleset { rules: Vec::new(), default_action: Action::Pass }, &mut Random(1))),
            RUNS * 100
        )
    );
}

/// Inspection of a test packet measures the fail policy.
fn no_inspection(ruleset: &mut Ruleset) {
    for action in ruleset.rules.iter_mut().map(|rule| &mut rule.action).chain([&mut ruleset.default_action]) {
        if matches!(action, Action::Inspect { .. }) {
            *action = Action::Drop;
        }
    }
}
