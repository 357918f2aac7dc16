//! Streams: what a segment does to its connection, and what modules see of it.

use secuxflow_abi::{NO_PACKET, flags};

use super::{
    Checksum, Events, Midstream, Refusal, StreamConfig, StreamCounts, Urgent,
    connection::{Connection, owner},
    segment::{Tcp, bits, is_checksum_right},
    side::{Mark, Side},
    store::Store,
    table::{Place, State, Stream, Table},
};
use crate::{
    flow::{FlowKey, HashKey},
    inspect::{ArenaPages, SharedMemory},
    wire::Headers,
};

/// Events that are left to the packets of a batch when silent streams are looked for.
const EXPIRE_ROOM: usize = 600;
/// Events that one packet may cause before its bytes are looked at: the end of a stream that makes room, and its own.
const LEAST_ROOM: usize = 4;

/// A TCP segment, not a fragment, whose headers are whole.
#[derive(Debug, Clone, Copy)]
pub struct Segment<'a> {
    /// Number of its flow.
    pub id: u64,
    /// Its flow.
    pub key: &'a FlowKey,
    /// Its direction in that, as [`FlowKey::of`] has it.
    pub way: usize,
    /// Where its headers are.
    pub headers: &'a Headers,
    /// The frame, from the Ethernet header on.
    pub frame: &'a [u8],
    /// Guest address of the frame.
    pub address: u32,
    /// Number of the packet, for its chunks.
    pub packet: u32,
    /// The chain that is to see it.
    pub chain: u16,
    /// Generation of the rules that sent it there.
    pub generation: u32,
    /// Its checksum may be partial, for it may never have been on a wire.
    pub partial: bool,
}

/// Where a segment met its stream, for what its chain makes of it.
#[derive(Debug, Clone, Copy)]
pub struct Passage {
    place: Place,
    side: u8,
    mark: Mark,
    /// It made bytes contiguous, or ended the direction.
    shown: bool,
}

/// What is to be done with a segment.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// Why it is dropped; none to go on.
    pub refused: Option<Refusal>,
    /// An alert is to tell of it: the first of its stream.
    pub alert: bool,
    /// Flags of its packet, of [`secuxflow_abi::flags`].
    pub flags: u32,
    /// Its urgent data is to be made data as any other: [`super::clear_urgent`].
    pub clear_urgent: bool,
    /// Where it met its stream; none where it belongs to none.
    pub passage: Option<Passage>,
}

impl Step {
    /// It is dropped.
    pub(crate) fn refuse(why: Refusal) -> Self {
        Self { refused: Some(why), alert: false, flags: 0, clear_urgent: false, passage: None }
    }
}

/// The streams of one worker. All memory is allocated when it is made.
#[derive(Debug)]
pub struct Streams {
    pub(super) config: StreamConfig,
    timeouts: [u64; State::ALL.len()],
    table: Table,
    pub(super) store: Store,
    /// Guest address of the store's memory.
    pub(super) address: u32,
    pub(super) counts: StreamCounts,
}

/// Bytes at the beginning of the memory for datagrams that are put together.
pub(super) const AREA: usize = 1 << 20;

impl Streams {
    /// Streams that keep bytes aside in `memory`, which guests see at `address`, by the rules of `config`.
    #[must_use]
    pub fn new(config: &StreamConfig, memory: SharedMemory, address: u32, key: HashKey) -> Self {
        let config = config.bounded();
        let streams = config.streams as usize;
        let owners = 2 * streams + config.datagrams as usize;
        let ns = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self {
            timeouts: [config.opening, config.open, config.closing].map(ns),
            table: Table::new(streams),
            store: Store::new(memory, AREA, owners, key),
            address,
            counts: StreamCounts::default(),
            config,
        }
    }

    /// The pages where bytes are kept aside.
    #[must_use]
    pub fn pages(&self) -> ArenaPages {
        self.store.memory().pages()
    }

    /// What happened so far.
    #[must_use]
    pub fn counts(&self) -> StreamCounts {
        StreamCounts { streams: self.table.len() as u64, blocks: self.store.used() as u64, ..self.counts }
    }

    /// Count a packet that is refused, and say so.
    pub(super) fn refuse(&mut self, why: Refusal) -> Step {
        self.counts.refused[why.index()] += 1;
        Step::refuse(why)
    }

    /// Take a segment at `now` (nanoseconds, never less than before); what modules are to see goes to `events`.
    pub fn segment(&mut self, now: u64, segment: &Segment<'_>, events: &mut Events) -> Step {
        self.expire(now, events);
        let tcp = match Tcp::parse(segment.frame, segment.headers) {
            Ok(tcp) => tcp,
            Err(why) => return self.refuse(why),
        };
        let verify = self.config.checksum == Checksum::Verify;
        if verify && !is_checksum_right(segment.frame, segment.headers, segment.partial) {
            return self.refuse(Refusal::BadChecksum);
        }
        if events.room() < LEAST_ROOM {
            return self.refuse(Refusal::Pressure);
        }
        let mut place = self.table.find(segment.key, segment.id);
        if let Some(old) = place
            && self.is_over(old, segment, &tcp, now)
        {
            self.forget(old, events);
            place = None;
        }
        if let Some(place) = place {
            return self.meet(now, place, false, segment, &tcp, events);
        }
        match self.enter(now, segment, &tcp, events) {
            Ok(Some(place)) => self.meet(now, place, true, segment, &tcp, events),
            // Nothing to follow: a reset of what is not there, or a flow that is let pass.
            Ok(None) => {
                let flags = if tcp.has(bits::RST) { 0 } else { flags::MIDSTREAM };
                Step { refused: None, alert: false, flags, clear_urgent: false, passage: None }
            }
            Err(why) => self.refuse(why),
        }
    }

    /// Whether a known stream is at its end, and this segment begins another one in its place.
    fn is_over(&mut self, place: Place, segment: &Segment<'_>, tcp: &Tcp, now: u64) -> bool {
        let side = segment.way & 1;
        let timeouts = self.timeouts;
        let Some(stream) = self.table.get(place) else { return false };
        if now.saturating_sub(stream.last_ns) >= timeouts[stream.state as usize] {
            self.counts.expired += 1;
            return true;
        }
        if stream.dead || !tcp.has(bits::SYN) {
            return false;
        }
        let (own, other) = (&stream.sides[side], &stream.sides[1 - side]);
        if tcp.has(bits::ACK) {
            // The other end takes a new connection for the old one, which it no longer knew.
            return other.retry.is_some_and(|isn| isn == tcp.ack.wrapping_sub(1)) && !own.is_syn(tcp.seq);
        }
        stream.state == State::Closing
    }

    /// Enter the stream that a segment opens, or is the first to be seen of.
    fn enter(
        &mut self,
        now: u64,
        segment: &Segment<'_>,
        tcp: &Tcp,
        events: &mut Events,
    ) -> Result<Option<Place>, Refusal> {
        if tcp.has(bits::RST) {
            return Ok(None);
        }
        let midstream = !tcp.has(bits::SYN);
        match self.config.midstream {
            Midstream::Drop if midstream => return Err(Refusal::Midstream),
            Midstream::Pass if midstream => return Ok(None),
            _ => {}
        }
        if let Some(old) = self.table.in_the_way(State::Opening) {
            self.counts.evicted += 1;
            self.forget(old, events);
        }
        let side = segment.way & 1;
        let mut sides = [Side::default(); 2];
        if !midstream {
            sides[side] = Side::of_syn(tcp);
        }
        if !midstream && tcp.has(bits::ACK) {
            sides[1 - side].answered(tcp.ack);
        }
        // Who opens it sends a SYN. In the midst, services are taken to have the lower port.
        let sent_by_server =
            if midstream { segment.headers.src_port < segment.headers.dst_port } else { tcp.has(bits::ACK) };
        self.counts.opened += 1;
        self.counts.midstream += u64::from(midstream);
        Ok(Some(self.table.enter(Stream {
            key: *segment.key,
            id: segment.id,
            sides,
            initiator: u8::from((side == 1) != sent_by_server),
            state: State::Opening,
            midstream,
            dead: false,
            reset: false,
            alerted: false,
            chain: segment.chain,
            generation: segment.generation,
            last_ns: now,
        })))
    }

    /// Take a segment of a stream that is there.
    fn meet(
        &mut self,
        now: u64,
        place: Place,
        entered: bool,
        segment: &Segment<'_>,
        tcp: &Tcp,
        events: &mut Events,
    ) -> Step {
        let side = segment.way & 1;
        let Some(stream) = self.table.get(place) else { return self.refuse(Refusal::Pressure) };
        if stream.dead {
            let state = stream.state;
            self.table.touch(place, state, now);
            return self.refuse(Refusal::Condemned);
        }
        let mark = stream.sides[side].mark();
        let before = events.all().len();
        let mut connection = Connection {
            stream,
            side,
            slot: place.slot,
            entered,
            segment,
            config: &self.config,
            store: &mut self.store,
            events,
            counts: &mut self.counts,
            address: self.address,
        };
        let result = connection.follow(tcp);
        let to_client = side != usize::from(stream.initiator);
        let open = result.unwrap_or(stream.state) != State::Opening && !stream.reset;
        let set = |condition, flag| if condition { flag } else { 0 };
        let flags = set(to_client, flags::TO_CLIENT)
            | set(open, flags::ESTABLISHED)
            | set(entered, flags::FLOW_START)
            | set(stream.midstream, flags::MIDSTREAM);
        match result {
            Ok(state) => {
                self.table.touch(place, state, now);
                let clear_urgent = tcp.has(bits::URG) && self.config.urgent == Urgent::Clear;
                self.counts.urgent_cleared += u64::from(clear_urgent);
                let shown = events.all().len() > before;
                let passage = Some(Passage { place, side: u8::from(side == 1), mark, shown });
                Step { refused: None, alert: false, flags, clear_urgent, passage }
            }
            // What is refused does not keep a connection from being forgotten.
            Err(why) => {
                events.disown(before);
                let alert = why.alert().is_some() && !std::mem::replace(&mut stream.alerted, true);
                Step { flags, alert, ..self.refuse(why) }
            }
        }
    }

    /// A module dropped the packet that had this passage: alone, and then it has to be shown again, or the `whole` stream.
    pub fn dropped(&mut self, passage: &Passage, whole: bool) {
        let Some(stream) = self.table.get(passage.place).filter(|stream| !stream.dead) else { return };
        if whole {
            stream.dead = true;
            self.free(passage.place.slot);
        } else {
            let side = usize::from(passage.side);
            stream.sides[side].rewind(&passage.mark, &mut self.store, owner(passage.place.slot, side));
        }
    }

    /// Why a packet is to be dropped for what became of others of its batch that came before it.
    #[must_use]
    pub fn is_held_up(&mut self, passage: &Passage) -> Option<Refusal> {
        let stream = self.table.get(passage.place)?;
        let why = if stream.dead {
            Refusal::Condemned
        } else if passage.shown && stream.sides[usize::from(passage.side)].is_before(&passage.mark) {
            Refusal::Behind
        } else {
            return None;
        };
        self.counts.refused[why.index()] += 1;
        Some(why)
    }

    /// A flow is not shown any more: its chain has cleared it. When it comes back its stream goes on behind a gap.
    pub fn leave(&mut self, key: &FlowKey, id: u64) {
        let Some(place) = self.table.find(key, id) else { return };
        if let Some(stream) = self.table.get(place) {
            stream.leave();
            self.free(place.slot);
        }
    }

    /// What was said of streams does not count any more: of one, or of all.
    pub fn pardon(&mut self, flow: Option<(&FlowKey, u64)>) {
        match flow {
            Some((key, id)) => {
                if let Some(stream) = self.table.find(key, id).and_then(|place| self.table.get(place)) {
                    stream.pardon();
                }
            }
            None => self.table.all().for_each(Stream::pardon),
        }
    }

    /// Let go of what is kept of a stream.
    fn free(&mut self, slot: u32) {
        for side in 0..2 {
            self.store.free_all(owner(slot, side));
        }
    }

    /// Forget a stream, and tell modules that know of it.
    fn forget(&mut self, place: Place, events: &mut Events) {
        if let Some(stream) = self.table.get(place) {
            if stream.is_told() && !stream.reset {
                events.push(stream.chain, stream.abort(NO_PACKET, self.address, 0));
            }
            self.free(place.slot);
            self.table.remove(place);
        }
    }

    /// Forget one stream of each state that was silent for too long, if there is one: so that no packet waits for many.
    fn expire(&mut self, now: u64, events: &mut Events) {
        if events.room() < EXPIRE_ROOM {
            return;
        }
        for (state, timeout) in State::ALL.into_iter().zip(self.timeouts) {
            let Some(place) = self.table.oldest(state) else { continue };
            let silent = self.table.get(place).is_some_and(|stream| now.saturating_sub(stream.last_ns) >= timeout);
            if silent {
                self.counts.expired += 1;
                self.forget(place, events);
            }
        }
    }
}
