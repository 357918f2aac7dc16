//! A worker's lane, with what has to be known of the packets in it until they are sent.

use crate::{
    egress::{Inject, Injected, LONGEST, SLOTS},
    worker::latency::Recorder,
};

/// Packets of a batch from which one call costs less than as many packets on a TX ring: docs/decisions/0009.
pub(super) const WORTH: usize = 32;

/// See the module.
#[derive(Debug)]
pub(super) struct Injecting {
    lane: Option<Box<dyn Inject>>,
    /// When the packets in the lane were received, nanoseconds, and how many at that time.
    received: Vec<(u64, u64)>,
}

impl Injecting {
    /// Without a lane. One turn receives at no more times than there are ports.
    pub(super) fn new() -> Self {
        Self { lane: None, received: Vec::with_capacity(64) }
    }

    /// Another lane; the one before comes back. To be called when nothing is in it.
    pub(super) fn replace(&mut self, lane: Option<Box<dyn Inject>>) -> Option<Box<dyn Inject>> {
        std::mem::replace(&mut self.lane, lane)
    }

    /// Whether a packet of this length can be injected at all.
    pub(super) fn takes(&self, len: usize) -> bool {
        self.lane.is_some() && len <= LONGEST
    }

    /// Nothing is in the lane.
    pub(super) fn is_empty(&self) -> bool {
        self.lane.as_ref().is_none_or(|lane| lane.pushed() == 0)
    }

    /// The lane is in use and takes `packets` more.
    pub(super) fn has_room(&self, packets: usize) -> bool {
        !self.is_empty() && self.lane.as_ref().is_some_and(|lane| lane.pushed() + packets <= SLOTS)
    }

    /// Copy a packet into the lane; false when it does not fit in before the next run.
    pub(super) fn push(&mut self, device: u32, packet: &[u8], received_ns: u64) -> bool {
        let Some(lane) = &mut self.lane else { return false };
        if !lane.push(device, packet) {
            return false;
        }
        match self.received.last_mut() {
            Some((at, count)) if *at == received_ns => *count += 1,
            _ => self.received.push((received_ns, 1)),
        }
        true
    }

    /// Send what is in the lane. `now` is the time of the call, nanoseconds.
    pub(super) fn run(&mut self, now: u64, latency: &Recorder) -> Injected {
        for (at, count) in self.received.drain(..) {
            latency.record(now.saturating_sub(at), count);
        }
        self.lane.as_mut().map_or_else(Injected::default, |lane| lane.run())
    }
}
