//! A kernel made up for tests: rings that fill up, take a part, lose their device, and check every descriptor they get.

use std::{
    collections::{HashSet, VecDeque},
    os::fd::RawFd,
    sync::{Arc, Mutex, MutexGuard},
};

use crate::{
    egress::{Inject, Injected, LONGEST},
    xsk::{Descriptor, Kick, Rings},
};

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
    /// Whatever frame is in the fill ring comes in at once, with what was in it.
    pub(super) flood: bool,
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
            flood: false,
            wire: Vec::new(),
        }
    }

    /// A packet comes in that takes a frame for each of `lens`: where to write them, when there are frames and room for all.
    pub(super) fn arrive_split(&mut self, lens: &[u32]) -> Option<Vec<Descriptor>> {
        if self.gone || self.rx.len() + lens.len() > self.size || self.fill.len() < lens.len() {
            return None;
        }
        let frames = self.fill.drain(..lens.len()).zip(lens).enumerate();
        let parts = frames.map(|(n, (frame, &len))| Descriptor { addr: frame.addr, len, more: n + 1 < lens.len() });
        let parts: Vec<_> = parts.collect();
        self.rx.extend(&parts);
        Some(parts)
    }

    /// A packet comes in: where to write it, when there is a frame and room for it.
    pub(super) fn arrive(&mut self, len: u32) -> Option<Descriptor> {
        if self.gone || self.rx.len() == self.size {
            return None;
        }
        let frame = self.fill.pop_front()?;
        let packet = Descriptor { addr: frame.addr, len, more: false };
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
            self.completion.push_back(Descriptor { addr: packet.addr, ..Descriptor::default() });
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
        while self.flood && self.arrive(60).is_some() {}
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
        assert!(packets.last().is_none_or(|last| !last.more), "a packet is cut");
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

/// Packets that a lane of the simulation takes between two runs.
pub(super) const LANE: usize = 40;

/// Devices that take injected packets, and what they got.
#[derive(Debug, Default)]
pub(super) struct SimDevices {
    /// Devices that refuse, by index.
    pub(super) refusing: HashSet<u32>,
    /// Every call fails.
    pub(super) broken: bool,
    /// What was sent, in order, with the device's index.
    pub(super) wire: Vec<(u32, Vec<u8>)>,
    pub(super) lost: u64,
    pub(super) calls: u64,
}

/// One worker's lane toward them.
#[derive(Debug, Default, Clone)]
pub(super) struct SimLane {
    devices: Arc<Mutex<SimDevices>>,
    waiting: Vec<(u32, Vec<u8>)>,
}

impl SimLane {
    pub(super) fn devices(&self) -> MutexGuard<'_, SimDevices> {
        self.devices.lock().unwrap()
    }
}

impl Inject for SimLane {
    fn push(&mut self, ifindex: u32, packet: &[u8]) -> bool {
        assert!(packet.len() <= LONGEST, "a packet that can never be injected");
        let fits = self.waiting.len() < LANE;
        if fits {
            self.waiting.push((ifindex, packet.to_vec()));
        }
        fits
    }

    fn pushed(&self) -> usize {
        self.waiting.len()
    }

    fn run(&mut self) -> Injected {
        let mut devices = self.devices.lock().unwrap();
        let mut injected =
            Injected { packets: self.waiting.len() as u64, broken: devices.broken, ..Injected::default() };
        for (ifindex, packet) in self.waiting.drain(..) {
            let refused = devices.refusing.contains(&ifindex);
            if refused {
                injected.refused = Some(ifindex);
            }
            if refused || devices.broken {
                injected.lost += 1;
            } else {
                devices.wire.push((ifindex, packet));
            }
        }
        devices.lost += injected.lost;
        devices.calls += 1;
        injected
    }
}
