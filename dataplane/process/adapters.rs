//! The real classifier and the real modules, as the processor knows them.

use secuxflow_abi::Packet;

use super::{Classified, Classify, Inspect};
use crate::{
    flow::Asked,
    inspect::Runner,
    rules::{Classifier, Outcome},
    wire::Frame,
};

impl Classify for Classifier {
    fn classify(&self, frame: &Frame) -> Classified {
        let decision = Self::classify(self, frame);
        match decision.action {
            Outcome::Pass => Classified::Pass,
            Outcome::Drop => Classified::Drop,
            Outcome::Inspect { chain } => Classified::Inspect { chain, rule: decision.rule.map_or(0, |rule| rule.0) },
        }
    }
}

impl Inspect for Runner {
    fn run(&mut self, chain: u16, packets: &mut [Packet]) {
        Self::run(self, chain, packets);
    }

    fn set_monitor(&mut self, monitor: bool) {
        Self::set_monitor(self, monitor);
    }

    fn asked(&self) -> &[Asked] {
        Self::asked(self)
    }

    fn take_over(&mut self, before: &mut dyn Inspect) {
        if let Some(before) = before.runner() {
            Self::take_over(self, before);
        }
    }

    fn runner(&mut self) -> Option<&mut Runner> {
        Some(self)
    }
}
