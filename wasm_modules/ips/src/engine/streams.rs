//! Rules on streams.

use super::{Scene, apps::MOST_HEAD, no_vars, packets::packet_section};
use crate::{
    detect::inspect::{Data, inspect},
    packet::{PacketView, StreamChunk},
    rule::model::{Kind, Rule},
    state::{
        flow::{Flow, Parser, Stream},
        window::Window,
    },
};

/// Most rules of a direction that wait for more data, and that are remembered to have matched.
const MOST_WAITING: usize = 64;

/// What came of trying a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tried {
    Match {
        on_stream: bool,
    },
    /// It did when the packet was inspected alone.
    Matched,
    Wait,
    Never,
}

impl Scene<'_> {
    /// Rules on the data that a packet brought, and on the transactions that it moved on.
    pub(super) fn stream(&mut self, packet: &PacketView<'_>, flow: &mut Flow, chunks: &[StreamChunk<'_>]) {
        let side = packet.side();
        self.work.begin(self.plan.rules.len());
        let mut changed = [false; 2];
        for chunk in chunks {
            self.chunk(packet, flow, chunk, &mut changed);
        }
        if packet.in_stream
            && self.plan.late_pass
            && !packet.payload.is_empty()
            && !core::mem::replace(&mut flow.ip_done[side], true)
        {
            self.addresses(packet, flow);
        }
        // The payload is what came in order: its patterns were looked for.
        let scanned = matches!(chunks, [chunk] if core::ptr::eq(chunk.data, packet.payload));
        self.ordered_rules(packet, flow, scanned);
        trim(&mut flow.streams[side], self.window);
        self.protocol_rules(packet, flow);
        self.transactions(packet, flow, changed);
    }

    /// Take a chunk in: prefilter, window, parser.
    fn chunk(&mut self, packet: &PacketView<'_>, flow: &mut Flow, chunk: &StreamChunk<'_>, changed: &mut [bool; 2]) {
        let side = usize::from(chunk.to_client);
        if chunk.start && flow.streams[side].next > 0 {
            // The same addresses and ports, a new connection.
            *flow = Flow::anew(flow.accounted);
        }
        let stream = &mut flow.streams[side];
        if chunk.offset != stream.next {
            let missing = chunk.offset.checked_sub(stream.next).filter(|_| stream.next > 0 || chunk.gap);
            (stream.window, stream.next) = (Window::at(chunk.offset), chunk.offset);
            stream.waiting.clear();
            match &mut flow.parser {
                Parser::None => flow.streams[side].probed |= chunk.gap,
                Parser::Http(http) => http.gap(side, missing),
                Parser::Tls(tls) => tls.lose(side),
                Parser::Dns(streams) => streams[side].lose(),
                Parser::Ssh(ssh) => ssh.lose(side),
            }
        }
        let stream = &mut flow.streams[side];
        let (filter, work) = (&self.plan.streams[side], &mut *self.work);
        if self.plan.window[side] {
            let before = stream.window.bytes().len();
            stream.window.append(chunk.data);
            if let Some(filter) = filter {
                filter.scan_from(stream.window.bytes(), before, |rule| work.add_hit(rule));
            }
        } else {
            if let Some(filter) = filter {
                filter.scan(chunk.data, |rule| work.add_hit(rule));
            }
            stream.window.pass_over(chunk.data.len());
        }
        stream.next += chunk.data.len() as u64;
        stream.ended |= chunk.end;
        if self.plan.apps {
            self.feed(packet, flow, side, chunk, changed);
        }
    }

    /// Data to the parser, or to the search for the protocol.
    fn feed(
        &mut self,
        packet: &PacketView<'_>,
        flow: &mut Flow,
        side: usize,
        chunk: &StreamChunk<'_>,
        changed: &mut [bool; 2],
    ) {
        if flow.app.is_some() {
            changed[side] |= feed_parser(&mut flow.parser, side, chunk.data);
            end_parser(&mut flow.parser, side, chunk.end);
            return;
        }
        if flow.app_failed {
            return;
        }
        let stream = &mut flow.streams[side];
        let before = stream.head.len();
        let room = MOST_HEAD.saturating_sub(before).min(chunk.data.len());
        stream.head.extend_from_slice(&chunk.data[..room]);
        if stream.probed {
            // Only the other direction can tell, or this one when its head was kept.
            return;
        }
        self.detect(packet, flow, side);
        if flow.app.is_none() {
            return;
        }
        for at in [1 - side, side] {
            let head = core::mem::take(&mut flow.streams[at].head);
            changed[at] |= feed_parser(&mut flow.parser, at, &head);
        }
        changed[side] |= feed_parser(&mut flow.parser, side, &chunk.data[room..]);
        end_parser(&mut flow.parser, side, chunk.end);
    }

    /// Rules of the stream, and those on packets that waited for them, in one order.
    /// `scanned`: the packet's payload was.
    fn ordered_rules(&mut self, packet: &PacketView<'_>, flow: &mut Flow, scanned: bool) {
        let (plan, side) = (self.plan, packet.side());
        let with_data = packet.in_stream && !packet.payload.is_empty();
        if with_data {
            self.packet_candidates(&plan.late, packet, flow, !scanned);
        }
        let work = &mut *self.work;
        flow.streams[side].waiting.iter().for_each(|(rule, _)| work.add(*rule));
        plan.stream[side].iter().for_each(|rule| work.add(*rule));
        let candidates = self.work.take();
        for &number in &candidates {
            let rule = plan.rule(number);
            if !matches!(rule.kind, Kind::Stream | Kind::PacketStream) {
                if with_data {
                    self.packet_rule(number, packet, flow);
                }
                continue;
            }
            let tried = match flow.was_shown(packet, number) {
                true => Tried::Matched,
                false => self.stream_rule(rule, number, packet, flow),
            };
            let stream = &mut flow.streams[side];
            match tried {
                Tried::Match { .. } | Tried::Matched => {
                    stream.waiting.retain(|(other, _)| *other != number);
                    stream.matched.retain(|(other, _)| *other != number);
                    if stream.matched.len() == MOST_WAITING {
                        stream.matched.remove(0);
                    }
                    stream.matched.push((number, stream.next));
                    if let Tried::Match { on_stream } = tried {
                        self.matched(number, packet, flow, None, on_stream);
                    }
                }
                Tried::Wait if self.work.is_hit(number) => {
                    stream.waiting.retain(|(other, _)| *other != number);
                    if stream.waiting.len() == MOST_WAITING {
                        stream.waiting.remove(0);
                    }
                    stream.waiting.push((number, stream.next));
                }
                Tried::Wait => {}
                Tried::Never => stream.waiting.retain(|(other, _)| *other != number),
            }
        }
        self.work.give_back(candidates);
        flow.hide(packet);
    }

    fn stream_rule(&mut self, rule: &Rule, number: u32, packet: &PacketView<'_>, flow: &Flow) -> Tried {
        if let Some(app) = rule.app
            && flow.app != Some(app)
        {
            return if flow.app.is_none() && !flow.app_failed { Tried::Wait } else { Tried::Never };
        }
        if !self.fits(rule, packet, flow) {
            return Tried::Never;
        }
        let Some(section) = rule.payload().map(|at| &rule.sections[at]) else { return Tried::Never };
        let stream = &flow.streams[packet.side()];
        let data = window_after(stream, number);
        if !data.bytes.is_empty() && inspect(&section.tests, data, &mut no_vars()) {
            return Tried::Match { on_stream: true };
        }
        if rule.kind == Kind::PacketStream && packet.in_stream && packet_section(section, packet, &mut no_vars()) {
            return Tried::Match { on_stream: false };
        }
        if section.tests.len() > 1 { Tried::Wait } else { Tried::Never }
    }
}

/// What of the stream is there, without what rule number `number` has matched on already.
pub(super) fn window_after(stream: &Stream, number: u32) -> Data<'_> {
    let from = stream.matched.iter().find(|(other, _)| *other == number).map_or(0, |(_, until)| *until);
    let (window, base) = (stream.window.bytes(), stream.window.base());
    let skip = usize::try_from(from.saturating_sub(base)).unwrap_or(usize::MAX).min(window.len());
    Data { bytes: &window[skip..], before: base + skip as u64, ended: stream.ended }
}

fn trim(stream: &mut Stream, keep: usize) {
    stream.window.trim(keep);
    let base = stream.window.base();
    stream.waiting.retain(|(_, at)| *at > base);
}

/// Whether anything that rules may look at has changed.
fn feed_parser(parser: &mut Parser, side: usize, data: &[u8]) -> bool {
    if data.is_empty() {
        return false;
    }
    match parser {
        Parser::None => false,
        Parser::Http(http) => {
            http.feed(side, data);
            true
        }
        Parser::Tls(tls) => tls.feed(side, data),
        Parser::Ssh(ssh) => ssh.feed(side, data),
        Parser::Dns(streams) => {
            streams[side].feed(data);
            true
        }
    }
}

fn end_parser(parser: &mut Parser, side: usize, ended: bool) {
    if ended && let Parser::Http(http) = parser {
        http.end(side);
    }
}
