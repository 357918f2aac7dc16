//! What a segment does to its connection: handshake, end, and the bytes between them.

use secuxflow_abi::{Chunk, chunk};

use super::{
    Events, Refusal, Segment, StreamConfig, StreamCounts, Urgent,
    segment::{Tcp, bits},
    side::{Around, Side},
    store::Store,
    table::{State, Stream},
};

/// A stream that is given a segment, and all that it needs for it.
pub(super) struct Connection<'a> {
    pub(super) stream: &'a mut Stream,
    /// The segment's direction, index into the stream's sides.
    pub(super) side: usize,
    /// The stream's slot, for its place in the store.
    pub(super) slot: u32,
    /// The segment is the first of its stream.
    pub(super) entered: bool,
    pub(super) segment: &'a Segment<'a>,
    pub(super) config: &'a StreamConfig,
    pub(super) store: &'a mut Store,
    pub(super) events: &'a mut Events,
    pub(super) counts: &'a mut StreamCounts,
    /// Guest address of the store's memory.
    pub(super) address: u32,
}

impl Connection<'_> {
    /// Take the segment; the state that the stream is in then.
    pub(super) fn follow(&mut self, tcp: &Tcp) -> Result<State, Refusal> {
        self.change_chain();
        if tcp.has(bits::URG) && self.config.urgent == Urgent::Drop {
            return Err(Refusal::Urgent);
        }
        if tcp.has(bits::SYN) {
            return self.open(tcp);
        }
        if tcp.has(bits::RST) {
            return self.reset(tcp);
        }
        let payload = payload(self.segment);
        if self.stream.reset {
            return if payload.is_empty() { Ok(State::Closing) } else { Err(Refusal::Closed) };
        }
        self.anchor(tcp.seq);
        let own = &mut self.stream.sides[self.side];
        let expected = tcp.seq == own.end();
        if !own.is_recent(tcp, payload.len()) {
            return Err(Refusal::OldTimestamp);
        }
        self.acknowledge(tcp, payload.is_empty())?;
        self.take(tcp)?;
        Ok(self.state(expected))
    }

    /// One direction, and what it needs around it.
    fn side(&mut self, side: usize) -> (&mut Side, Around<'_>) {
        let set = |condition, flag| if condition { flag } else { 0 };
        let to_client = side != usize::from(self.stream.initiator);
        let around = Around {
            store: self.store,
            events: self.events,
            counts: self.counts,
            config: self.config,
            address: self.address,
            owner: owner(self.slot, side),
            chain: self.stream.chain,
            flow: self.stream.id,
            packet: self.segment.packet,
            flags: set(to_client, chunk::TO_CLIENT) | set(self.stream.midstream, chunk::MIDSTREAM),
        };
        (&mut self.stream.sides[side], around)
    }

    /// A chain that the rules have changed to begins in the stream's midst; the one before sees no more of it. Rules that
    /// changed may have let bytes pass meanwhile.
    fn change_chain(&mut self) {
        let Segment { chain, generation, .. } = *self.segment;
        if self.stream.generation != generation {
            self.stream.generation = generation;
            self.stream.leave();
        }
        if self.stream.chain != chain {
            if self.stream.is_told() {
                self.events.push(self.stream.chain, self.stream.abort(secuxflow_abi::NO_PACKET, self.address, 0));
            }
            self.stream.chain = chain;
            self.stream.midstream = true;
            self.stream.sides.iter_mut().for_each(Side::begin_anew);
        }
    }

    /// A SYN, with or without ACK.
    fn open(&mut self, tcp: &Tcp) -> Result<State, Refusal> {
        let (state, answer) = (self.stream.state, tcp.has(bits::ACK));
        let other_seen = self.stream.sides[1 - self.side].seen;
        let (own, around) = self.side(self.side);
        if own.is_syn(tcp.seq) {
            own.seen = true;
        } else if !own.seen || state == State::Opening && !answer && !own.begun && !other_seen {
            // The answer, the other half of a simultaneous opening, or another attempt before there was an answer.
            around.store.free_all(around.owner);
            *own = Side::of_syn(tcp);
        } else {
            // Its receiver does not take it, unless it has forgotten the connection: its answer will tell.
            if !answer {
                own.retry = Some(tcp.seq);
            }
            return Ok(state);
        }
        if answer {
            let (other, around) = self.side(1 - self.side);
            if !other.begun && (!other.known || other.next != tcp.ack) {
                // Of several attempts this is the one that was answered.
                around.store.free_all(around.owner);
                other.answered(tcp.ack);
            }
        }
        self.take(tcp)?;
        Ok(state)
    }

    /// A reset, RFC 5961 section 3.2: it has to stand exactly where the receiver waits for the next byte; another one in
    /// the window is asked about.
    fn reset(&mut self, tcp: &Tcp) -> Result<State, Refusal> {
        let state = self.stream.state;
        let [own, other] = [self.side, 1 - self.side].map(|side| &self.stream.sides[side]);
        let answers = tcp.has(bits::ACK) && other.known && tcp.ack == other.next;
        let counts = match state {
            State::Opening => answers || own.known && tcp.seq == own.end(),
            // Of a direction that does not come by here only what it acknowledges tells.
            _ if !own.seen => answers || own.known && tcp.seq == own.next,
            _ => tcp.seq == own.end(),
        };
        if counts {
            self.stream.reset = true;
            if self.stream.is_told() {
                let flags = if self.side == usize::from(self.stream.initiator) { 0 } else { chunk::TO_CLIENT };
                self.events.push(self.stream.chain, self.stream.abort(self.segment.packet, self.address, flags));
            }
            return Ok(State::Closing);
        }
        if own.seen && !own.away && !own.is_in_window(own.pos(tcp.seq), 0) {
            return Err(Refusal::OutOfWindow);
        }
        Ok(state)
    }

    /// Find out where the direction is, when that is not known yet or not any more.
    fn anchor(&mut self, seq: u32) {
        let early = u64::from(self.config.early);
        let (own, mut around) = self.side(self.side);
        let far = own.pos(seq).abs_diff(own.offset) > early;
        if !own.known || !own.seen && far {
            around.store.free_all(around.owner);
            *own = Side::at(seq);
        } else if own.away {
            own.resume(seq, &mut around);
        }
        own.seen = true;
    }

    /// What the segment says of the other direction.
    fn acknowledge(&mut self, tcp: &Tcp, empty: bool) -> Result<(), Refusal> {
        let [own, other] = [self.side, 1 - self.side].map(|side| self.stream.sides[side]);
        if !other.seen {
            let begins = self.stream.state == State::Opening && own.syn;
            let other = &mut self.stream.sides[1 - self.side];
            *other = Side::at(tcp.ack);
            other.syn = begins;
            return Ok(());
        }
        if other.away {
            return Ok(());
        }
        let window = u64::from(tcp.window) << own.scale(&other, tcp);
        let (other, mut around) = self.side(1 - self.side);
        let whole = own.syn && other.syn;
        match other.acknowledge(tcp.ack, window, &mut around) {
            Err(why) if whole && !empty => Err(why),
            // Where not all comes by here, or nothing depends on it.
            _ => Ok(()),
        }
    }

    /// The segment's bytes and FIN.
    fn take(&mut self, tcp: &Tcp) -> Result<(), Refusal> {
        let segment = self.segment;
        let payload = payload(segment);
        let fin = tcp.has(bits::FIN);
        if payload.is_empty() && !fin {
            return Ok(());
        }
        let (own, mut around) = self.side(self.side);
        let seq = tcp.seq.wrapping_add(tcp.has(bits::SYN).into());
        own.take(own.pos(seq), payload, segment.address + u32::from(segment.headers.payload), fin, &mut around)
    }

    /// The state after a segment that was taken; `expected` is whether it stood where the next one was expected.
    fn state(&self, expected: bool) -> State {
        let [own, other] = [self.side, 1 - self.side].map(|side| &self.stream.sides[side]);
        if own.ended && (other.ended || !other.seen) {
            State::Closing
        } else if self.stream.state == State::Opening && (self.entered || !expected) {
            State::Opening
        } else {
            State::Open
        }
    }
}

impl Stream {
    /// The event that tells of its end; `data` is an address in the window.
    pub(super) fn abort(&self, packet: u32, data: u32, flags: u32) -> Chunk {
        let set = if self.midstream { chunk::MIDSTREAM } else { 0 };
        let side = &self.sides[usize::from(self.initiator)];
        let offset = side.offset - side.base;
        Chunk { flow: self.id, offset, data, len: 0, packet, flags: flags | set | chunk::ABORT }
    }

    /// What a module said of it does not count any more.
    pub(super) fn pardon(&mut self) {
        if std::mem::take(&mut self.dead) {
            self.leave();
        }
    }

    /// It is not looked at from now on; the next segments say where it is.
    pub(super) fn leave(&mut self) {
        for side in &mut self.sides {
            side.away = side.known;
        }
    }
}

/// Whose bytes in the store: a direction of the stream in a slot.
pub(super) fn owner(slot: u32, side: usize) -> u32 {
    slot * 2 + u32::from(side == 1)
}

fn payload<'a>(segment: &Segment<'a>) -> &'a [u8] {
    let start = usize::from(segment.headers.payload);
    segment.frame.get(start..start + usize::from(segment.headers.payload_len)).unwrap_or_default()
}
