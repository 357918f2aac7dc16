//! Whether everyone gives the right verdict: checked before anything is timed, for a wrong one may be fast.

use std::collections::HashMap;

use anyhow::{Result, bail, ensure};
use secuxflow::{
    rules::{Classifier, Outcome, RuleId, Ruleset},
    wire::parse,
};

use crate::generator::{Generator, Walk};

pub(crate) const XDP_DROP: u32 = 1;
pub(crate) const XDP_PASS: u32 = 2;

/// What the reference model says of packets.
#[derive(Debug)]
pub(crate) struct Expected {
    actions: Vec<u32>,
    counts: HashMap<Option<RuleId>, u64>,
}

impl Expected {
    /// By the linear reference model.
    pub(crate) fn of(ruleset: &Ruleset, frames: &[Vec<u8>]) -> Result<Self> {
        let classifier = Classifier::new(ruleset, &[])?;
        let mut expected = Self { actions: Vec::with_capacity(frames.len()), counts: HashMap::new() };
        for frame in frames {
            let decision = classifier.classify(&parse(frame));
            expected.actions.push(match decision.action {
                Outcome::Pass => XDP_PASS,
                Outcome::Drop => XDP_DROP,
                Outcome::Inspect { .. } => bail!("a ruleset that inspects is not what is compared here"),
            });
            *expected.counts.entry(decision.rule).or_default() += 1;
        }
        Ok(expected)
    }

    /// Rules that decide on a packet.
    pub(crate) fn rules(&self) -> usize {
        self.counts.keys().flatten().count()
    }

    /// Hold the action for each packet to the model.
    pub(crate) fn check_actions(&self, name: &str, actions: &[u32]) -> Result<()> {
        let differs = actions.iter().zip(&self.actions).position(|(action, expected)| action != expected);
        if let Some(at) = differs {
            bail!(
                "{name}: packet {at} got the XDP action {}, and {} by the reference model",
                actions[at],
                self.actions[at]
            );
        }
        ensure!(actions.len() == self.actions.len(), "{name}: {} of {} packets", actions.len(), self.actions.len());
        Ok(())
    }

    /// Hold the packets that each rule decided on to the model.
    pub(crate) fn check_counts(
        &self,
        name: &str,
        counts: impl IntoIterator<Item = (Option<RuleId>, u64)>,
    ) -> Result<()> {
        let mut sum = 0;
        for (rule, count) in counts {
            let expected = self.counts.get(&rule).copied().unwrap_or(0);
            let words = rule.map_or_else(|| "the default action".to_owned(), |id| id.to_string());
            ensure!(count == expected, "{name}: {words} decided on {count} packets, {expected} by the reference model");
            sum += count;
        }
        ensure!(sum == self.actions.len() as u64, "{name}: counted {sum} of {} packets", self.actions.len());
        Ok(())
    }

    /// Run every packet of `walk` through `program` once, and hold the actions to the model.
    pub(crate) fn check(
        &self,
        name: &str,
        generator: &Generator,
        program: std::os::fd::BorrowedFd<'_>,
        walk: Walk,
    ) -> Result<()> {
        self.check_actions(name, &generator.actions(program, walk)?)
    }
}

#[cfg(test)]
mod tests {
    use secuxflow::rules::Action;

    use super::*;
    use crate::traffic::tcp;

    #[test]
    fn a_wrong_verdict_and_a_wrong_count_are_named() {
        let ruleset = Ruleset::new(Vec::new(), Action::Pass);
        let frame = tcp([10, 0, 0, 1].into(), [10, 0, 0, 2].into()).unwrap();
        let expected = Expected::of(&ruleset, &[frame.clone(), frame]).unwrap();
        expected.check_actions("peer", &[XDP_PASS, XDP_PASS]).unwrap();
        expected.check_counts("peer", [(None, 2)]).unwrap();
        let error = expected.check_actions("peer", &[XDP_PASS, XDP_DROP]).unwrap_err().to_string();
        assert_eq!(error, "peer: packet 1 got the XDP action 1, and 2 by the reference model");
        let error = expected.check_counts("peer", [(None, 1), (Some(RuleId(3)), 1)]).unwrap_err().to_string();
        assert_eq!(error, "peer: the default action decided on 1 packets, 2 by the reference model");
        assert!(expected.check_counts("peer", []).is_err());
    }
}
