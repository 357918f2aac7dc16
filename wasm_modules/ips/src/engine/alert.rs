//! Matches of one packet to alerts and a verdict.

use alloc::{sync::Arc, vec::Vec};

use crate::{
    app::AppProto,
    rule::{
        header::{Action, RejectTo},
        model::{Kind, Meta, Rule},
    },
    state::threshold::Outcome,
};

/// What becomes of a packet, gravest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Verdict {
    /// Nothing speaks against it.
    #[default]
    Pass,
    /// A pass rule matched: nothing of its flow is inspected any more.
    PassFlow,
    /// It is dropped.
    Drop,
    /// It and all that comes of its flow is dropped.
    DropFlow,
    /// It is dropped, and the ends are told.
    Reject(RejectToOrd),
    /// As [`Verdict::Reject`], and the flow is dropped.
    RejectFlow(RejectToOrd),
}

/// Who is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RejectToOrd {
    /// The sender.
    Source,
    /// The receiver.
    Destination,
    /// Both.
    Both,
}

impl From<RejectTo> for RejectToOrd {
    fn from(to: RejectTo) -> Self {
        match to {
            RejectTo::Source => Self::Source,
            RejectTo::Destination => Self::Destination,
            RejectTo::Both => Self::Both,
        }
    }
}

/// What an alert did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Nothing: `allowed`.
    Allowed,
    /// The packet was dropped: `blocked`.
    Blocked,
}

/// An alert.
#[derive(Debug, Clone)]
pub struct Alert {
    /// The rule's texts and numbers.
    pub meta: Arc<Meta>,
    /// What it did.
    pub taken: Taken,
    /// A pass rule matched on the same packet.
    pub passed: bool,
    /// The flow's protocol, when known.
    pub app: Option<AppProto>,
    /// The number of the transaction, for rules about transactions.
    pub tx: Option<u64>,
    /// Whether the packet goes to the client.
    pub to_client: bool,
}

/// A match that waits for its packet's end.
#[derive(Debug, Clone, Copy)]
pub struct Match {
    /// The rule's number, which is its order.
    pub rule: u32,
    /// The transaction.
    pub tx: Option<u64>,
    /// A drop or pass goes for the flow.
    pub of_flow: bool,
}

/// Whether a rule's drop or pass goes for the flow; `on_stream`: the match was in the stream.
#[must_use]
pub fn acts_on_flow(rule: &Rule, on_stream: bool) -> bool {
    match rule.kind {
        Kind::Packet => false,
        Kind::PacketStream | Kind::Stream => on_stream,
        Kind::IpOnly | Kind::LikeIpOnly | Kind::ProtocolOnly | Kind::AppLayer | Kind::Tx => true,
    }
}

/// What the matches of a packet come to.
#[derive(Debug, Default)]
pub struct Decision {
    /// Of the packet.
    pub verdict: Verdict,
    /// A pass rule matched; it goes for the flow.
    pub pass_flow: bool,
    /// A pass rule matched.
    pub passed: bool,
    /// Rules whose alerts are raised, in order.
    pub alerts: Vec<(Match, Taken)>,
}

/// Go through `matches` in the order of their rules; at most `most` alerts are raised.
pub fn decide(
    matches: &mut Vec<Match>,
    rules: &[Rule],
    most: usize,
    mut count: impl FnMut(&Match, &Rule) -> Outcome,
) -> Decision {
    matches.sort_by_key(|found| (found.rule, found.tx));
    let mut decision = Decision::default();
    for found in matches.drain(..) {
        let rule = &rules[found.rule as usize];
        let outcome = match rule.threshold {
            Some(_) => count(&found, rule),
            None => Outcome::Alert,
        };
        if outcome == Outcome::Nothing {
            continue;
        }
        let verdict = match rule.header.action {
            // What was dropped by an earlier rule stays dropped.
            Action::Pass if decision.verdict != Verdict::Pass => break,
            Action::Pass => {
                decision.passed = true;
                decision.pass_flow |= found.of_flow;
                if rule.alert && decision.alerts.len() < most {
                    decision.alerts.push((found, Taken::Allowed));
                }
                // What comes after it in the order of rules is passed over.
                break;
            }
            Action::Alert => Verdict::Pass,
            Action::Drop if found.of_flow => Verdict::DropFlow,
            Action::Drop => Verdict::Drop,
            Action::Reject if found.of_flow => Verdict::RejectFlow(rule.header.reject_to.into()),
            Action::Reject => Verdict::Reject(rule.header.reject_to.into()),
        };
        decision.verdict = decision.verdict.max(verdict);
        if outcome == Outcome::Alert && !rule.noalert && decision.alerts.len() < most {
            let taken = if decision.verdict == Verdict::Pass { Taken::Allowed } else { Taken::Blocked };
            decision.alerts.push((found, taken));
        }
    }
    decision
}
