//! The real classifier and the real modules, as the processor knows them.

use secuxflow_abi::{Chunk, Packet};

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
    fn run(&mut self, now_ns: u64, chain: u16, packets: &mut [Packet], chunks: &[Chunk]) {
        Self::run(self, now_ns, chain, packets, chunks);
    }

    fn wants_streams(&self, chain: u16) -> bool {
        Self::wants_streams(self, chain)
    }

    fn cut(&self) -> &[u32] {
        Self::cut(self)
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
