//! What is kept of a flow.

use alloc::{boxed::Box, vec::Vec};

use crate::{
    app::AppProto,
    buffers::{dns, http::Http, ssh::Ssh, tls::Tls},
    packet::PacketView,
    rule::options::bits::{BitOp, FlowBit, FlowInt, IntOp, Operand},
    state::window::Window,
};

/// Most bits, integers, and rules that wait, of a flow.
const MOST: usize = 256;

/// What was decided of the whole flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fate {
    /// Nothing: it is inspected.
    #[default]
    Open,
    /// A pass rule matched.
    Pass,
    /// A drop or reject rule matched.
    Drop,
}

/// The parser of the flow's protocol.
#[derive(Debug, Default)]
pub enum Parser {
    /// None, or not known yet.
    #[default]
    None,
    /// HTTP.
    Http(Box<Http>),
    /// TLS.
    Tls(Box<Tls>),
    /// DNS over TCP, both directions.
    Dns(Box<[dns::Stream; 2]>),
    /// SSH.
    Ssh(Box<Ssh>),
}

/// One direction of a stream.
#[derive(Debug, Default)]
pub struct Stream {
    /// The last bytes.
    pub window: Window,
    /// Offset of the byte that comes next.
    pub next: u64,
    /// Rules whose pattern was found, at that offset, but not yet the rest.
    pub waiting: Vec<(u32, u64)>,
    /// Rules that matched, and up to where.
    pub matched: Vec<(u32, u64)>,
    /// First bytes, while the protocol is not known.
    pub head: Vec<u8>,
    /// The protocol cannot be told from this direction.
    pub probed: bool,
    /// The stream has ended.
    pub ended: bool,
}

/// Rules at work on a transaction in one direction.
#[derive(Debug, Default)]
pub struct TxSide {
    /// Rules that may still match, sorted.
    pub candidates: Vec<u32>,
    /// Prefilter keys that are done with.
    pub scanned: Vec<u16>,
    /// Prefilter keys of bodies, and how many bytes of them were scanned.
    pub bodies: Vec<(u16, usize)>,
    /// The rules without patterns are among the candidates.
    pub begun: bool,
    /// Rules that have matched.
    pub matched: Vec<u32>,
}

/// A transaction under inspection.
#[derive(Debug, Default)]
pub struct TxState {
    /// Its number.
    pub id: u64,
    /// By direction.
    pub sides: [TxSide; 2],
}

/// A flow.
#[derive(Debug, Default)]
pub struct Flow {
    /// Its protocol.
    pub app: Option<AppProto>,
    /// The protocol is none that is known.
    pub app_failed: bool,
    /// What was decided.
    pub fate: Fate,
    /// The end that was taken for the client is the server.
    pub reversed: bool,
    /// By direction: rules of addresses were tried.
    pub ip_done: [bool; 2],
    /// By direction: rules of the protocol alone were tried.
    pub protocol_done: [bool; 2],
    /// By direction.
    pub streams: [Stream; 2],
    /// Of the protocol.
    pub parser: Parser,
    /// Transactions that are not over.
    pub txs: Vec<TxState>,
    /// DNS messages so far.
    pub messages: u64,
    /// Bytes that were last accounted for.
    pub accounted: usize,
    /// Rules of streams that matched on packets of which the data may come as stream too; see [`Self::was_shown`].
    shown: Vec<(Showing, u32)>,
    /// Alerts of the packet that was inspected last.
    raised: (Showing, usize),
    bits: Vec<u32>,
    ints: Vec<(u32, u32)>,
}

/// Tells a packet from others, while it is inspected: its time, and where its payload is.
type Showing = (u64, usize);

fn showing(packet: &PacketView<'_>) -> Showing {
    (packet.ts_ns, packet.payload.as_ptr().addr())
}

impl Flow {
    /// A rule of streams matched on a packet alone. What matched on packets of another time is forgotten: their data would have
    /// come as stream by now.
    pub fn show(&mut self, packet: &PacketView<'_>, rule: u32) {
        self.shown.retain(|((ts_ns, _), _)| *ts_ns == packet.ts_ns);
        if self.shown.len() == MOST {
            self.shown.clear();
        }
        self.shown.push((showing(packet), rule));
    }

    /// Whether the rule matched on the packet when that was inspected alone: then its data is no news to the rule when it
    /// comes as stream.
    #[must_use]
    pub fn was_shown(&self, packet: &PacketView<'_>, rule: u32) -> bool {
        !self.shown.is_empty() && self.shown.contains(&(showing(packet), rule))
    }

    /// The alerts of `packet` so far, alone and with its stream.
    pub fn raised(&mut self, packet: &PacketView<'_>) -> &mut usize {
        let which = showing(packet);
        if self.raised.0 != which {
            self.raised = (which, 0);
        }
        &mut self.raised.1
    }

    /// The data of the packet has come as stream.
    pub fn hide(&mut self, packet: &PacketView<'_>) {
        let which = showing(packet);
        self.shown.retain(|(other, _)| *other != which);
        if self.shown.is_empty() {
            self.shown = Vec::new();
        }
    }

    /// A flow of which nothing is known, in the place of one that took `accounted` bytes.
    #[must_use]
    pub fn anew(accounted: usize) -> Self {
        Self { accounted, ..Self::default() }
    }

    /// Whether the condition holds.
    #[must_use]
    pub fn test_bit(&self, bit: &FlowBit) -> bool {
        bit.bits.iter().any(|number| self.bits.contains(number)) == (bit.op == BitOp::IsSet)
    }

    /// Do what the rule says when it has matched.
    pub fn apply_bit(&mut self, bit: &FlowBit) {
        for number in &bit.bits {
            let at = self.bits.iter().position(|other| other == number);
            match (bit.op, at) {
                (BitOp::Set | BitOp::Toggle, None) if self.bits.len() < MOST => self.bits.push(*number),
                (BitOp::Unset | BitOp::Toggle, Some(at)) => {
                    self.bits.swap_remove(at);
                }
                _ => {}
            }
        }
    }

    fn int(&self, number: u32) -> Option<u32> {
        self.ints.iter().find(|(other, _)| *other == number).map(|(_, value)| *value)
    }

    fn operand(&self, operand: Operand) -> Option<u32> {
        match operand {
            Operand::Number(number) => Some(number),
            Operand::Int(number) => self.int(number),
        }
    }

    /// Whether the condition holds; comparisons need the integer to be defined.
    #[must_use]
    pub fn test_int(&self, int: &FlowInt) -> bool {
        let value = self.int(int.int);
        match int.op {
            IntOp::IsSet => return value.is_some(),
            IntOp::IsNotSet => return value.is_none(),
            IntOp::Set | IntOp::Add | IntOp::Sub => return true,
            _ => {}
        }
        let (Some(value), Some(with)) = (value, self.operand(int.with)) else { return false };
        match int.op {
            IntOp::Eq => value == with,
            IntOp::Ne => value != with,
            IntOp::Lt => value < with,
            IntOp::Le => value <= with,
            IntOp::Gt => value > with,
            _ => value >= with,
        }
    }

    /// Do what the rule says when it has matched.
    pub fn apply_int(&mut self, int: &FlowInt) {
        let Some(with) = self.operand(int.with) else { return };
        let before = self.int(int.int).unwrap_or(0);
        let after = match int.op {
            IntOp::Set => with,
            IntOp::Add => before.wrapping_add(with),
            IntOp::Sub => before.saturating_sub(with),
            _ => return,
        };
        match self.ints.iter().position(|(other, _)| *other == int.int) {
            Some(at) => self.ints[at].1 = after,
            None if self.ints.len() < MOST => self.ints.push((int.int, after)),
            None => {}
        }
    }

    /// Bytes that it takes, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        let parser = match &self.parser {
            Parser::None => 0,
            Parser::Http(http) => http.memory(),
            Parser::Tls(tls) => tls.memory(),
            Parser::Dns(streams) => streams.iter().map(dns::Stream::memory).sum(),
            Parser::Ssh(ssh) => ssh.memory(),
        };
        let streams: usize = self.streams.iter().map(|stream| stream.window.memory() + stream.head.capacity()).sum();
        let txs: usize = self.txs.iter().flat_map(|tx| &tx.sides).map(|side| 64 + 4 * side.candidates.capacity()).sum();
        let waiting = |stream: &Stream| stream.waiting.capacity() + stream.matched.capacity();
        let rules = size_of::<(u32, u64)>() * self.streams.iter().map(waiting).sum::<usize>()
            + size_of::<(Showing, u32)>() * self.shown.capacity();
        let variables = 4 * self.bits.capacity() + 8 * self.ints.capacity();
        parser + streams + txs + rules + variables + core::mem::size_of::<Self>() + 64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::options::bits::{Symbols, flowbits, flowint};

    #[test]
    fn matches_on_packets_are_kept_while_their_data_may_come_as_stream() {
        let mut frame = [0; 41];
        frame[0] = 0x45;
        let mut packet = PacketView::new(&frame, 0, 20, 40, 1).unwrap();
        let mut flow = Flow::default();
        let without = flow.memory();
        for rule in 0..3 {
            flow.show(&packet, rule);
        }
        let with = flow.memory();
        assert!(with > without && (0..3).all(|rule| flow.was_shown(&packet, rule)));
        // What was sent again and again, and never became a stream, takes no more.
        for ts_ns in 1..1000 {
            packet.ts_ns = ts_ns;
            flow.show(&packet, 7);
        }
        assert!(flow.was_shown(&packet, 7) && flow.memory() <= with);
        flow.hide(&packet);
        assert!(!flow.was_shown(&packet, 7) && flow.memory() == without);
    }

    #[test]
    fn bits_and_integers() {
        let (mut flow, mut symbols) = (Flow::default(), Symbols::default());
        let mut bit = |text: &str| flowbits(text, &mut symbols).unwrap().unwrap();
        let (set, unset, toggle, is, either) =
            (bit("set,a"), bit("unset,a"), bit("toggle,a"), bit("isset,a"), bit("isset,b|a"));
        assert!(!flow.test_bit(&is));
        flow.apply_bit(&set);
        flow.apply_bit(&set);
        assert!(flow.test_bit(&is) && flow.test_bit(&either));
        flow.apply_bit(&unset);
        assert!(!flow.test_bit(&is));
        flow.apply_bit(&toggle);
        assert!(flow.test_bit(&is));

        let mut int = |text: &str| flowint(text, &mut symbols).unwrap();
        let (add, over, unset, copy, same) = (int("n,+,2"), int("n,>,3"), int("n,notset"), int("m,=,n"), int("m,==,n"));
        assert!(flow.test_int(&unset) && !flow.test_int(&over));
        flow.apply_int(&add);
        assert!(!flow.test_int(&over));
        flow.apply_int(&add);
        assert!(flow.test_int(&over) && !flow.test_int(&unset) && !flow.test_int(&same));
        flow.apply_int(&copy);
        assert!(flow.test_int(&same));
    }
}
