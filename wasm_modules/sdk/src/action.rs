//! What a configuration has a module do about a finding.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{Fields, Packet, Severity, Verdict};

/// What is done about a finding. In configurations `ignore`, `alert`, `drop` and `reject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Nothing.
    Ignore,
    /// An alert.
    Alert,
    /// An alert, and the packet is dropped.
    Drop,
    /// An alert, and the packet is rejected.
    Reject,
}

impl Action {
    /// What becomes of the packet.
    #[must_use]
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Ignore | Self::Alert => Verdict::Pass,
            Self::Drop => Verdict::Drop,
            Self::Reject => Verdict::Reject,
        }
    }

    /// Do it. Returns what becomes of the packet.
    pub fn apply(
        self,
        packet: &mut Packet<'_>,
        severity: Severity,
        signature: u32,
        text: impl fmt::Display,
        fields: impl FnOnce(&mut Fields<'_>),
    ) -> Verdict {
        let verdict = self.verdict();
        if self != Self::Ignore {
            packet.alert_with(severity, signature, text, fields);
        }
        if verdict != Verdict::Pass {
            packet.set_verdict(verdict);
        }
        verdict
    }
}
