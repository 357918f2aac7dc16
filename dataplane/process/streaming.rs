//! Streams and datagrams as batches meet them: what comes of a packet before its chain sees it, what its chain is told of
//! its stream, and what the chain's verdict means for that.

use std::sync::Arc;

use arrayvec::ArrayString;
use secuxflow_abi::{Chunk, MAX_BATCH, MAX_CHUNKS, NO_PACKET, WINDOW, flags};

use super::{Gather, Inspect};
use crate::{
    alert::{AlertEvent, AlertFlow, AlertQueue, Verdict},
    bpf::Metadata,
    flow::{FlowKey, HashKey},
    inspect::ArenaPages,
    stream::{Collected, Datagram, Events, Fragments, Passage, Refusal, Segment, Step, StreamCounts, Streams},
    wire::{Fragment, Headers},
};

const TCP: u8 = 6;
/// Most alerts a second: who sends what contradicts itself may do so at line rate.
const ALERTS: u32 = 16;
const SECOND: u64 = 1_000_000_000;

/// Stands for the ticket of a packet that has no visit.
pub(super) const NO_TICKET: u16 = u16::MAX;

/// A packet that was let in, before its chain sees it.
#[derive(Clone, Copy)]
pub(super) struct Arrived<'a> {
    pub(super) now: u64,
    pub(super) bytes: &'a [u8],
    pub(super) headers: &'a Headers,
    /// Its flow, its direction in that, and the flow's number.
    pub(super) flow: (&'a FlowKey, usize, u64),
    /// What flows' numbers go by.
    pub(super) hash: HashKey,
    pub(super) said: Metadata,
    /// Number that its visit gets.
    pub(super) ticket: usize,
    /// Guest address of the frame.
    pub(super) address: u32,
    pub(super) ingress: u16,
    /// Its checksum may be partial.
    pub(super) partial: bool,
    /// Nothing is dropped.
    pub(super) monitor: bool,
    /// Knows which chains inspect streams.
    pub(super) inspect: &'a dyn Inspect,
}

/// A packet that is shown to its chain.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Visit {
    /// Further flags of its descriptor.
    pub(super) flags: u32,
    /// Where it met its stream.
    pub(super) passage: Option<Passage>,
    /// It is not a frame of the batch, but what its frame completed, and the number of its flow.
    pub(super) datagram: Option<(Datagram, u64)>,
}

/// What came of a packet.
#[derive(Debug, Default)]
pub(super) struct Came {
    /// Why it is dropped, unless in monitor mode.
    pub(super) refused: Option<Refusal>,
    pub(super) visit: Visit,
    /// Its urgent data is to be made data as any other.
    pub(super) clear_urgent: bool,
    /// What it completed: to be shown beside it.
    pub(super) datagram: Option<Visit>,
}

/// The streams of a worker, and its batches' part in them. It allocates nothing once made.
#[derive(Debug)]
pub struct Streaming {
    streams: Streams,
    fragments: Fragments,
    events: Events,
    alerts: Arc<AlertQueue>,
    /// Alerts of this second, and when it began.
    raised: (u32, u64),
    /// Place of each visit's packet among the batch's, by ticket.
    places: Vec<u16>,
    /// Chunks of the chain that is called.
    chunks: Vec<Chunk>,
    /// Until the processor takes it: what puts packets of several buffers together.
    gather: Option<Gather>,
}

impl Streaming {
    /// The packets of a worker go through `streams`; what contradicts itself raises alerts.
    #[must_use]
    pub fn new(streams: Streams, alerts: Arc<AlertQueue>) -> Self {
        Self {
            fragments: Fragments::new(&streams),
            streams,
            events: Events::new(),
            alerts,
            raised: (0, 0),
            places: Vec::with_capacity(2 * MAX_BATCH),
            chunks: Vec::with_capacity(MAX_CHUNKS),
            gather: None,
        }
    }

    /// Put packets that lie in several buffers together by `gather`, whose memory is in front of that of the streams.
    #[must_use]
    pub fn with_gather(self, gather: Gather) -> Self {
        Self { gather: Some(gather), ..self }
    }

    /// What puts packets together; the second time none.
    pub(super) fn take_gather(&mut self) -> Option<Gather> {
        self.gather.take()
    }

    /// The pages where bytes are kept aside, for windows onto them.
    #[must_use]
    pub fn pages(&self) -> ArenaPages {
        self.streams.pages()
    }

    /// What happened so far.
    #[must_use]
    pub fn counts(&self) -> StreamCounts {
        self.streams.counts()
    }

    pub(super) fn begin(&mut self) {
        self.events.clear();
        self.fragments.begin();
    }

    /// Whether it has anything to do with such packets; `streams` says whether their chain inspects streams.
    pub(super) fn concerns(headers: &Headers, decided: bool, streams: impl FnOnce() -> bool) -> bool {
        headers.fragment != Fragment::None || decided && headers.protocol == TCP && streams()
    }

    /// Take a packet of which [`Self::concerns`] is true.
    pub(super) fn take(&mut self, packet: &Arrived<'_>) -> Came {
        if packet.headers.fragment != Fragment::None {
            return self.fragment(packet);
        }
        let Arrived { headers, said, flow: (key, way, id), .. } = *packet;
        let segment = Segment {
            id,
            key,
            way,
            headers,
            frame: packet.bytes,
            address: packet.address,
            packet: number(packet.ticket),
            chain: said.chain,
            generation: said.generation,
            partial: packet.partial,
        };
        let step = self.streams.segment(packet.now, &segment, &mut self.events);
        self.tell(packet, headers, (id, said), &step);
        Came {
            refused: step.refused,
            visit: Visit { flags: step.flags, passage: step.passage, datagram: None },
            clear_urgent: step.clear_urgent,
            datagram: None,
        }
    }

    fn fragment(&mut self, packet: &Arrived<'_>) -> Came {
        let Arrived { headers, said, flow: (.., id), .. } = *packet;
        match self.fragments.collect(packet.now, packet.bytes, headers, said, &mut self.streams) {
            Collected::Forward => Came::default(),
            Collected::Refused(why, alert) => {
                let step = Step { alert, ..Step::refuse(why) };
                self.tell(packet, headers, (id, said), &step);
                Came { refused: Some(why), ..Came::default() }
            }
            Collected::Whole(datagram) => self.datagram(packet, datagram),
        }
    }

    /// A fragment completed a datagram: its TCP segment enters its stream.
    fn datagram(&mut self, packet: &Arrived<'_>, datagram: Datagram) -> Came {
        let headers = &datagram.headers;
        let (key, way) = FlowKey::of(headers);
        let id = key.id(packet.hash);
        let mut visit = Visit { flags: flags::REASSEMBLED, passage: None, datagram: Some((datagram, id)) };
        if headers.protocol != TCP || !packet.inspect.wants_streams(datagram.said.chain) {
            return Came { datagram: Some(visit), ..Came::default() };
        }
        let segment = Segment {
            id,
            key: &key,
            way,
            headers,
            frame: self.fragments.frame(),
            address: datagram.address,
            packet: number(packet.ticket + 1),
            chain: datagram.said.chain,
            generation: datagram.said.generation,
            partial: packet.partial,
        };
        let step = self.streams.segment(packet.now, &segment, &mut self.events);
        self.tell(packet, headers, (id, datagram.said), &step);
        visit.flags |= step.flags;
        visit.passage = step.passage;
        if step.refused.is_some() && !packet.monitor {
            self.fragments.settle(datagram.number, true, &mut self.streams);
        }
        Came { refused: step.refused, datagram: Some(visit), ..Came::default() }
    }

    /// Raise an alert of what is out of the ordinary, so many a second.
    fn tell(&mut self, packet: &Arrived<'_>, headers: &Headers, (id, said): (u64, Metadata), step: &Step) {
        let Some(text) = step.refused.filter(|_| step.alert).and_then(Refusal::alert) else { return };
        if packet.now.saturating_sub(self.raised.1) >= SECOND {
            self.raised = (0, packet.now);
        }
        if self.raised.0 == ALERTS {
            return self.alerts.count_dropped(1);
        }
        self.raised.0 += 1;
        let Headers { src, dst, src_port, dst_port, protocol, .. } = *headers;
        self.alerts.push(AlertEvent {
            flow: Some(AlertFlow { id, src, dst, src_port, dst_port, protocol }),
            rule: said.rule,
            ingress: Some(packet.ingress),
            chain: Some(said.chain),
            frame: packet.address.checked_sub(WINDOW),
            verdict: if packet.monitor { Verdict::Pass } else { Verdict::Drop },
            message: ArrayString::from(text).unwrap_or_default(),
            ..AlertEvent::dataplane(2, "")
        });
    }

    /// All packets are in: the tickets of `order` are those of the packets, in the order in which chains are shown them.
    pub(super) fn line_up(&mut self, order: impl Iterator<Item = u16>) {
        self.events.group();
        self.places.clear();
        if self.events.all().is_empty() {
            return;
        }
        for (place, ticket) in (0..).zip(order).filter(|(_, ticket)| *ticket != NO_TICKET) {
            let ticket = usize::from(ticket);
            if self.places.len() <= ticket {
                self.places.resize(ticket + 1, u16::MAX);
            }
            self.places[ticket] = place;
        }
    }

    /// The chain of event number `from` in the order of chains.
    pub(super) fn chain(&self, from: usize) -> Option<u16> {
        self.events.all().get(from).map(|event| event.chain)
    }

    /// The chunks that `chain` is to see from event `from` on, where its packets begin at place `first`; and how many they
    /// are.
    pub(super) fn chunks(&mut self, chain: u16, from: usize, first: usize) -> &[Chunk] {
        self.chunks.clear();
        let events = self.events.all().get(from..).unwrap_or_default();
        for event in events.iter().take_while(|event| event.chain == chain) {
            let place = self.places.get(event.chunk.packet as usize).map(|&place| usize::from(place));
            let packet = place.and_then(|place| place.checked_sub(first)).map_or(NO_PACKET, number);
            self.chunks.push(Chunk { packet, ..event.chunk });
        }
        &self.chunks
    }

    /// Whether the packet of a visit is to be dropped for what became of others before it.
    pub(super) fn is_held_up(&mut self, visit: &Visit) -> bool {
        visit.passage.as_ref().is_some_and(|passage| self.streams.is_held_up(passage).is_some())
    }

    /// What became of the packet of a visit; with the `whole` stream when that was cut.
    pub(super) fn settle(&mut self, visit: &Visit, dropped: bool, whole: bool) {
        if let Some(passage) = visit.passage.as_ref().filter(|_| dropped) {
            self.streams.dropped(passage, whole);
        }
        if let Some((datagram, _)) = visit.datagram {
            self.fragments.settle(datagram.number, dropped, &mut self.streams);
        }
    }

    pub(super) fn streams_mut(&mut self) -> &mut Streams {
        &mut self.streams
    }
}

fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(NO_PACKET)
}
