//! Rules on transactions.

use alloc::vec::Vec;
use core::mem;

use super::{
    Scene, no_vars,
    packets::packet_section,
    plan::{TxKey, header_matches},
    streams::window_after,
};
use crate::{
    app::AppProto,
    buffers::{
        Slot, dns,
        http::{self, Progress},
        names::{Buffer, Scope},
        ssh::Ssh,
        tls::Tls,
        transform::apply,
    },
    detect::{
        bytes::Vars,
        inspect::{Data, inspect},
    },
    packet::{PacketView, TCP},
    rule::{
        header::Arrow,
        model::{Absent, Rule, Section, TxNumber},
    },
    state::flow::{Flow, Parser, TxSide, TxState},
};

/// A transaction of some protocol.
#[derive(Clone, Copy)]
enum View<'a> {
    Http(&'a http::Tx),
    Tls(&'a Tls),
    Dns(&'a dns::Message),
    Ssh(&'a Ssh),
}

/// What came of trying a rule or a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tried {
    Match,
    Wait,
    Never,
}

impl View<'_> {
    fn app(&self) -> AppProto {
        match self {
            Self::Http(_) => AppProto::Http,
            Self::Tls(_) => AppProto::Tls,
            Self::Dns(_) => AppProto::Dns,
            Self::Ssh(_) => AppProto::Ssh,
        }
    }

    fn slot(&self, buffer: Buffer, side: usize, nth: usize) -> Slot<'_> {
        match (self, buffer) {
            (Self::Http(tx), _) => tx.slot(buffer, side, nth),
            (Self::Tls(tls), _) => tls.slot(buffer, nth),
            (Self::Dns(message), Buffer::DnsQuery) => {
                message.names.get(nth).map_or(Slot::Absent, |bytes| Slot::Data { bytes, ended: true })
            }
            (Self::Ssh(ssh), Buffer::SshProto) => ssh.proto(side, nth),
            (Self::Ssh(ssh), Buffer::SshSoftware) => ssh.software(side, nth),
            (Self::Ssh(ssh), Buffer::SshHassh) => ssh.hassh(0, nth, true),
            (Self::Ssh(ssh), Buffer::SshHasshString) => ssh.hassh(0, nth, false),
            (Self::Ssh(ssh), Buffer::SshHasshServer) => ssh.hassh(1, nth, true),
            (Self::Ssh(ssh), Buffer::SshHasshServerString) => ssh.hassh(1, nth, false),
            _ => Slot::Absent,
        }
    }

    fn number(&self, number: &TxNumber) -> Tried {
        let result = match (self, number) {
            (Self::Dns(message), TxNumber::DnsOpcode(compare)) => compare.test(u64::from(message.opcode)),
            (Self::Dns(message), TxNumber::DnsRcode(compare)) => {
                message.is_response && compare.test(u64::from(message.rcode))
            }
            _ => false,
        };
        if result { Tried::Match } else { Tried::Never }
    }

    /// Whether nothing more comes of direction `side`.
    fn is_over(&self, side: usize) -> bool {
        match self {
            Self::Http(tx) => tx.sides[side].progress == Progress::Complete,
            Self::Dns(_) => true,
            Self::Tls(_) | Self::Ssh(_) => false,
        }
    }
}

impl Scene<'_> {
    /// Transactions that the data of this packet moved on.
    pub(super) fn transactions(&mut self, packet: &PacketView<'_>, flow: &mut Flow, changed: [bool; 2]) {
        let side = packet.side();
        let mut parser = mem::take(&mut flow.parser);
        let mut txs = mem::take(&mut flow.txs);
        match &mut parser {
            Parser::None => {}
            Parser::Http(http) => {
                for (id, side) in http.take_changed() {
                    if let Some(tx) = http.tx(id) {
                        self.transaction(View::Http(tx), id, state_of(&mut txs, id), side, packet, flow);
                    }
                }
                let first = http.forget_complete();
                txs.retain(|state| state.id >= first);
            }
            Parser::Tls(tls) => {
                let state = state_of(&mut txs, 0);
                if changed[side] || !state.sides[side].begun || !state.sides[side].candidates.is_empty() {
                    self.transaction(View::Tls(tls), 0, state, side, packet, flow);
                }
            }
            Parser::Ssh(ssh) => {
                let state = state_of(&mut txs, 0);
                if changed[side] || !state.sides[side].begun || !state.sides[side].candidates.is_empty() {
                    self.transaction(View::Ssh(ssh), 0, state, side, packet, flow);
                }
            }
            Parser::Dns(streams) => {
                for message in streams[side].take() {
                    self.message(&message, packet, flow);
                }
            }
        }
        flow.parser = parser;
        flow.txs = txs;
    }

    /// A DNS message, which is a transaction of its own.
    pub(super) fn message(&mut self, message: &dns::Message, packet: &PacketView<'_>, flow: &mut Flow) {
        let mut state = TxState::default();
        let id = flow.messages;
        flow.messages += 1;
        self.transaction(View::Dns(message), id, &mut state, packet.side(), packet, flow);
    }

    fn transaction(
        &mut self,
        view: View<'_>,
        id: u64,
        tx: &mut TxState,
        side: usize,
        packet: &PacketView<'_>,
        flow: &mut Flow,
    ) {
        let plan = self.plan;
        let [a, b] = &mut tx.sides;
        let (state, other) = if side == 0 { (a, b) } else { (b, a) };
        let mut fresh: Vec<u32> = Vec::new();
        if !mem::replace(&mut state.begun, true) {
            state.scanned.reserve(plan.keys.len());
            fresh.extend(&plan.tx[view.app() as usize][side]);
        }
        for (number, key) in (0u16..).zip(&plan.keys) {
            if key.app == view.app() && !state.scanned.contains(&number) {
                scan(key, number, view, side, state, &mut fresh);
            }
        }
        fresh.retain(|rule| !state.matched.contains(rule));
        state.candidates.append(&mut fresh);
        state.candidates.sort_unstable();
        state.candidates.dedup();
        let over = view.is_over(side);
        let mut kept = Vec::new();
        for number in mem::take(&mut state.candidates) {
            let rule = plan.rule(number);
            if rule.header.arrow == Arrow::Transaction && other.matched.contains(&number) {
                continue;
            }
            match self.tx_rule(rule, number, view, side, packet, flow) {
                Tried::Match => {
                    state.matched.push(number);
                    self.matched(number, packet, flow, Some(id), true);
                }
                Tried::Wait if !over || rule.header.arrow == Arrow::Transaction => kept.push(number),
                Tried::Wait | Tried::Never => {}
            }
        }
        state.candidates = kept;
    }

    fn tx_rule(
        &mut self,
        rule: &Rule,
        number: u32,
        view: View<'_>,
        side: usize,
        packet: &PacketView<'_>,
        flow: &Flow,
    ) -> Tried {
        let swapped = rule.header.arrow == Arrow::Transaction && packet.to_client;
        if !header_matches(rule, packet, swapped) || side != packet.side() {
            return Tried::Never;
        }
        if !self.fits(rule, packet, flow) {
            return Tried::Wait;
        }
        let mut worst = Tried::Match;
        for wanted in &rule.numbers {
            worst = worst.max(view.number(wanted));
        }
        let mut vars = no_vars();
        for (at, section) in rule.sections.iter().enumerate() {
            if worst == Tried::Never {
                return worst;
            }
            let ends = self.plan.ends[number as usize][at];
            let tried = match section.buffer.scope() {
                Scope::Packet => pass(packet_section(section, packet, &mut vars), Tried::Never),
                Scope::Payload if packet.protocol == TCP => {
                    let data = window_after(&flow.streams[side], number);
                    pass(!data.bytes.is_empty() && inspect(&section.tests, data, &mut vars), Tried::Wait)
                }
                Scope::Payload => pass(packet_section(section, packet, &mut vars), Tried::Never),
                Scope::Tx(_) => tx_section(section, ends, view, side, &mut vars),
            };
            worst = worst.max(tried);
        }
        worst
    }
}

fn pass(yes: bool, otherwise: Tried) -> Tried {
    if yes { Tried::Match } else { otherwise }
}

/// The state of transaction `id`.
fn state_of(txs: &mut Vec<TxState>, id: u64) -> &mut TxState {
    let at = match txs.iter().position(|state| state.id == id) {
        Some(at) => at,
        None => {
            txs.push(TxState { id, ..TxState::default() });
            txs.len() - 1
        }
    };
    &mut txs[at]
}

/// Run a prefilter over its buffer, as far as it is there.
fn scan(key: &TxKey, number: u16, view: View<'_>, side: usize, state: &mut TxSide, found: &mut Vec<u32>) {
    let Some(filter) = &key.filters[side] else { return };
    if key.buffer.is_body() && key.transforms.is_empty() {
        let Slot::Data { bytes, .. } = view.slot(key.buffer, side, 0) else { return };
        let at = state.bodies.iter().position(|(other, _)| *other == number);
        let at = at.unwrap_or_else(|| {
            state.bodies.push((number, 0));
            state.bodies.len() - 1
        });
        filter.scan_from(bytes, state.bodies[at].1.min(bytes.len()), |rule| found.push(rule));
        state.bodies[at].1 = bytes.len();
        return;
    }
    let mut done = true;
    for nth in 0.. {
        match view.slot(key.buffer, side, nth) {
            Slot::NotYet => return,
            Slot::Absent => break,
            Slot::Data { bytes, ended } => {
                done &= ended;
                filter.scan(&apply(&key.transforms, bytes), |rule| found.push(rule));
            }
        }
    }
    if done {
        state.scanned.push(number);
    }
}

/// Try a section on a transaction's buffer, or on each of several.
fn tx_section(section: &Section, ends: bool, view: View<'_>, side: usize, vars: &mut Vars) -> Tried {
    // With `=>`, a buffer may be one of the other direction.
    let side = if section.buffer.sides() & (1 << side) != 0 { side } else { 1 - side };
    for nth in 0.. {
        match view.slot(section.buffer, side, nth) {
            Slot::NotYet => return Tried::Wait,
            Slot::Absent if nth == 0 => return pass(section.absent != Absent::No, Tried::Never),
            Slot::Absent => return Tried::Never,
            Slot::Data { .. } if section.absent == Absent::Only => return Tried::Never,
            Slot::Data { bytes, ended } => {
                if ended || !ends {
                    let bytes = apply(&section.transforms, bytes);
                    if inspect(&section.tests, Data { bytes: &bytes, before: 0, ended }, vars) {
                        return Tried::Match;
                    }
                }
                if !ended {
                    return Tried::Wait;
                }
            }
        }
    }
    Tried::Never
}
