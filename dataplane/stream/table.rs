//! The streams that are followed: a table of fixed size. Those of a state lie in the order in which they were seen last, so
//! that finding who was silent for too long, or who makes room, takes a look at the end of each list.

use super::{
    order::{NONE, Order},
    side::Side,
};
use crate::flow::FlowKey;

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

#[derive(Debug, Clone)]
struct Slot {
    stream: Stream,
    /// Streams that were in this slot before.
    epoch: u32,
    live: bool,
    /// Next of the same head; of free slots, the next free one.
    next: u32,
}

/// A stream's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) slot: u32,
    epoch: u32,
}

/// See the module. Invariant: every live slot is in the list of one head, and in that of its state by its last packet.
#[derive(Debug)]
pub(super) struct Table {
    heads: Box<[u32]>,
    slots: Vec<Slot>,
    capacity: usize,
    free: u32,
    order: Order<{ State::ALL.len() }>,
}

impl Table {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            heads: vec![NONE; capacity.next_power_of_two()].into_boxed_slice(),
            slots: Vec::with_capacity(capacity),
            capacity,
            free: NONE,
            order: Order::new(capacity),
        }
    }

    pub(super) fn len(&self) -> usize {
        State::ALL.iter().map(|&state| self.order.len(state as usize)).sum()
    }

    pub(super) fn find(&self, key: &FlowKey, id: u64) -> Option<Place> {
        let mut at = self.heads[self.head(id)];
        while at != NONE {
            let slot = &self.slots[at as usize];
            if slot.stream.id == id && slot.stream.key == *key {
                return Some(Place { slot: at, epoch: slot.epoch });
            }
            at = slot.next;
        }
        None
    }

    /// The stream at a place, unless another one has taken it.
    pub(super) fn get(&mut self, place: Place) -> Option<&mut Stream> {
        let slot = self.slots.get_mut(place.slot as usize)?;
        (slot.live && slot.epoch == place.epoch).then_some(&mut slot.stream)
    }

    /// Every stream that is there.
    pub(super) fn all(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.slots.iter_mut().filter(|slot| slot.live).map(|slot| &mut slot.stream)
    }

    /// Who has to go before another stream of this state finds room.
    pub(super) fn in_the_way(&self, state: State) -> Option<Place> {
        let opening = self.order.len(State::Opening as usize);
        if state == State::Opening && opening >= (self.capacity / HALF_OPEN).max(1) {
            return self.oldest(State::Opening);
        }
        if self.len() < self.capacity {
            return None;
        }
        // The half-open, then those that are over, before the open.
        [State::Opening, State::Closing, State::Open].into_iter().find_map(|state| self.oldest(state))
    }

    /// The stream of a state that was not seen for longest.
    pub(super) fn oldest(&self, state: State) -> Option<Place> {
        let at = self.order.oldest(state as usize);
        (at != NONE).then(|| Place { slot: at, epoch: self.slots[at as usize].epoch })
    }

    /// Enter a stream that is not there; there is room.
    pub(super) fn enter(&mut self, stream: Stream) -> Place {
        let head = self.head(stream.id);
        let (next, state) = (self.heads[head], stream.state);
        let (at, epoch) = match self.free {
            NONE => {
                self.slots.push(Slot { stream, epoch: 0, live: true, next });
                (u32::try_from(self.slots.len() - 1).unwrap_or(NONE), 0)
            }
            at => {
                let slot = &mut self.slots[at as usize];
                self.free = slot.next;
                slot.epoch = slot.epoch.wrapping_add(1);
                (slot.stream, slot.live, slot.next) = (stream, true, next);
                (at, slot.epoch)
            }
        };
        self.heads[head] = at;
        self.order.push(state as usize, at);
        Place { slot: at, epoch }
    }

    /// The stream at `place` was seen at `now`; its state may have become another.
    pub(super) fn touch(&mut self, place: Place, state: State, now: u64) {
        let slot = &mut self.slots[place.slot as usize];
        slot.stream.last_ns = now;
        let before = slot.stream.state;
        slot.stream.state = state;
        if before != state || self.order.newest(state as usize) != place.slot {
            self.order.take(before as usize, place.slot);
            self.order.push(state as usize, place.slot);
        }
    }

    pub(super) fn remove(&mut self, place: Place) {
        if self.get(place).is_none() {
            return;
        }
        let at = place.slot;
        let state = self.slots[at as usize].stream.state;
        self.order.take(state as usize, at);
        let head = self.head(self.slots[at as usize].stream.id);
        let next = self.slots[at as usize].next;
        if self.heads[head] == at {
            self.heads[head] = next;
        } else {
            let mut before = self.heads[head];
            while before != NONE {
                let slot = &mut self.slots[before as usize];
                if slot.next == at {
                    slot.next = next;
                    break;
                }
                before = slot.next;
            }
        }
        let slot = &mut self.slots[at as usize];
        (slot.live, slot.next) = (false, self.free);
        self.free = at;
    }

    fn head(&self, id: u64) -> usize {
        // The number of heads is a power of two.
        super::index(id & (self.heads.len() as u64 - 1))
    }
}
