//! The streams that are followed: a table of fixed size. Those of a state lie in the order in which they were seen last, so
//! that finding who was silent for too long, or who makes room, takes a look at the end of each list.

use super::{order::Order, side::Side};
use crate::{
    chained::{Chained, NONE},
    flow::FlowKey,
};

/// One in so many streams may be half-open: a flood of these pushes out only its like.
const HALF_OPEN: usize = 4;

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It is being opened, or was seen once in its midst.
    Opening,
    /// Data may come.
    Open,
    /// Both directions have ended, or it was reset.
    Closing,
}

impl State {
    pub(super) const ALL: [Self; 3] = [Self::Opening, Self::Open, Self::Closing];
}

/// One connection.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    pub(super) key: FlowKey,
    pub(super) id: u64,
    /// From the key's low end, and from its high end.
    pub(super) sides: [Side; 2],
    /// Which of them opened it.
    pub(super) initiator: u8,
    pub(super) state: State,
    /// Its beginning was not seen.
    pub(super) midstream: bool,
    /// A module dropped it.
    pub(super) dead: bool,
    /// It was reset.
    pub(super) reset: bool,
    /// An alert was raised for it.
    pub(super) alerted: bool,
    pub(super) chain: u16,
    /// Generation of the rules that sent its last packet here.
    pub(super) generation: u32,
    pub(super) last_ns: u64,
}

impl Stream {
    /// Whether a module knows of it and was not told of its end.
    pub(super) fn is_told(&self) -> bool {
        self.sides.iter().any(|side| side.begun) && !self.sides.iter().all(|side| side.ended)
    }
}

/// A stream's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) slot: u32,
    epoch: u32,
}

/// See the module. Invariant: every stream is in the list of its state, by its last packet.
#[derive(Debug)]
pub(super) struct Table {
    streams: Chained<Stream>,
    order: Order<{ State::ALL.len() }>,
}

impl Table {
    pub(super) fn new(capacity: usize) -> Self {
        Self { streams: Chained::new(capacity), order: Order::new(capacity) }
    }

    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }

    pub(super) fn find(&self, key: &FlowKey, id: u64) -> Option<Place> {
        self.streams.find(id, |stream| stream.key == *key).map(|slot| self.place(slot))
    }

    /// The stream at a place, unless another one has taken it.
    pub(super) fn get(&mut self, place: Place) -> Option<&mut Stream> {
        let there = self.streams.get(place.slot).is_some() && self.streams.epoch(place.slot) == place.epoch;
        there.then(|| self.streams.at_mut(place.slot))
    }

    /// Every stream that is there.
    pub(super) fn all(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.streams.all_mut()
    }

    /// Who has to go before another stream of this state finds room.
    pub(super) fn in_the_way(&self, state: State) -> Option<Place> {
        let opening = self.order.len(State::Opening as usize);
        if state == State::Opening && opening >= (self.streams.capacity() / HALF_OPEN).max(1) {
            return self.oldest(State::Opening);
        }
        if self.len() < self.streams.capacity() {
            return None;
        }
        // The half-open, then those that are over, before the open.
        [State::Opening, State::Closing, State::Open].into_iter().find_map(|state| self.oldest(state))
    }

    /// The stream of a state that was not seen for longest.
    pub(super) fn oldest(&self, state: State) -> Option<Place> {
        let at = self.order.oldest(state as usize);
        (at != NONE).then(|| self.place(at))
    }

    /// Enter a stream that is not there; there is room.
    pub(super) fn enter(&mut self, stream: Stream) -> Place {
        let state = stream.state;
        let slot = self.streams.enter(stream.id, stream);
        self.order.push(state as usize, slot);
        self.place(slot)
    }

    /// The stream at `place` was seen at `now`; its state may have become another.
    pub(super) fn touch(&mut self, place: Place, state: State, now: u64) {
        let stream = self.streams.at_mut(place.slot);
        stream.last_ns = now;
        let before = std::mem::replace(&mut stream.state, state);
        if before != state || self.order.newest(state as usize) != place.slot {
            self.order.take(before as usize, place.slot);
            self.order.push(state as usize, place.slot);
        }
    }

    pub(super) fn remove(&mut self, place: Place) {
        let Some(stream) = self.get(place) else { return };
        let state = stream.state;
        self.order.take(state as usize, place.slot);
        self.streams.remove(place.slot);
    }

    fn place(&self, slot: u32) -> Place {
        Place { slot, epoch: self.streams.epoch(slot) }
    }
}
