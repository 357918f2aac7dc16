//! A kernel made up for tests: rings that fill up, take a part, lose their device, and check every descriptor they get.

use std::{
    collections::{HashSet, VecDeque},
    os::fd::RawFd,
};

use crate::xsk::{Descriptor, Kick, Rings};

/// One socket. The test plays the kernel through the methods that are not of [`Rings`].
#[derive(Debug)]
pub(super) struct SimRings {
    size: usize,
    fill: VecDeque<Descriptor>,
    rx: VecDeque<Descriptor>,
    tx: VecDeque<Descriptor>,
    completion: VecDeque<Descriptor>,
    /// Frames (by number) that the kernel owns by way of this socket: nobody may submit one of them again.
    owned: HashSet<u32>,
    pub(super) gone: bool,
    /// What was sent, in order.
    pub(super) wire: Vec<Descriptor>,
}

/// log2 of the frame size of the simulations.
pub(super) const SHIFT: u32 = 11;

impl SimRings {
    pub(super) fn new(size: usize) -> Self {
        Self {
            size,
            fill: VecDeque::new(),
            rx: VecDeque::new(),
            tx: VecDeque::new(),
            completion: VecDeque::new(),
            owned: HashSet::new(),
            gone: false,
            wire: Vec::new(),
        }
    }

    /// A packet comes in: where to write it, when there is a frame and room for it.
    pub(super) fn arrive(&mut self, len: u32) -> Option<Descriptor> {
        if self.gone || self.rx.len() == self.size {
            return None;
        }
        let frame = self.fill.pop_front()?;
        let packet = Descriptor { addr: frame.addr, len };
        self.rx.push_back(packet);
        Some(packet)
    }

    /// The device sends at most `count` packets and completes them, as far as there is room.
    pub(super) fn transmit(&mut self, count: usize) {
        for _ in 0..count {
            if self.gone || self.completion.len() == self.size {
                return;
            }
            let Some(packet) = self.tx.pop_front() else { return };
            self.wire.push(packet);
            self.completion.push_back(Descriptor { addr: packet.addr, len: 0 });
        }
    }

    /// Frames in the rings.
    pub(super) fn frames(&self) -> (usize, usize) {
        (self.fill.len() + self.rx.len(), self.tx.len() + self.completion.len())
    }

    fn own(&mut self, frames: &[Descriptor]) {
        for frame in frames {
            assert!(self.owned.insert(frame.addr >> SHIFT), "frame {} was submitted twice", frame.addr >> SHIFT);
        }
    }

    /// Move entries of a ring to user space.
    fn hand_out(ring: &mut VecDeque<Descriptor>, owned: &mut HashSet<u32>, into: &mut [Descriptor]) -> usize {
        let count = ring.len().min(into.len());
        for (slot, entry) in into.iter_mut().zip(ring.drain(..count)) {
            assert!(owned.remove(&(entry.addr >> SHIFT)), "the kernel made a frame up");
            *slot = entry;
        }
        count
    }
}

impl Rings for SimRings {
    fn received(&mut self, into: &mut [Descriptor]) -> usize {
        Self::hand_out(&mut self.rx, &mut self.owned, into)
    }

    fn fill_room(&mut self, _want: u32) -> u32 {
        u32::try_from(self.size - self.fill.len()).unwrap()
    }

    fn submit_fill(&mut self, frames: &[Descriptor]) -> usize {
        if self.fill.len() + frames.len() > self.size {
            return 0;
        }
        self.own(frames);
        self.fill.extend(frames);
        frames.len()
    }

    fn tx_room(&mut self, _want: u32) -> u32 {
        u32::try_from(self.size - self.tx.len()).unwrap()
    }

    fn submit_tx(&mut self, packets: &[Descriptor]) -> usize {
        if self.tx.len() + packets.len() > self.size {
            return 0;
        }
        self.own(packets);
        self.tx.extend(packets);
        packets.len()
    }

    fn completed(&mut self, into: &mut [Descriptor]) -> usize {
        Self::hand_out(&mut self.completion, &mut self.owned, into)
    }

    fn tx_wants_kick(&self) -> bool {
        true
    }

    fn kick_tx(&mut self) -> Kick {
        if self.gone {
            return Kick::Gone;
        }
        if self.tx.is_empty() { Kick::Done } else { Kick::Again }
    }

    fn kick_fill(&mut self) {}

    fn fd(&self) -> Option<RawFd> {
        None
    }
}
