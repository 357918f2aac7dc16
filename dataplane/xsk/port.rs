//! A socket on one queue of one device, spoken to in tokens: what goes into a ring is consumed, what comes out is new.

use std::{fmt, os::fd::RawFd, sync::Arc};

use crossbeam_utils::CachePadded;

use super::{
    Descriptor, Frame, KernelRings, Kick, Pending, Place, PortSpec, Rings, Umem, XskError, assembly::Assembly, rings,
    sockopt,
};
use crate::counter::Pair;

/// Number of a port, unique while the daemon runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortId(pub u16);

impl fmt::Display for PortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "port {}", self.0)
    }
}

/// A packet on its way out.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) frame: Frame,
    /// Index of the service it goes to.
    pub(crate) service: u16,
    /// When its batch was received, `CLOCK_MONOTONIC` nanoseconds.
    pub(crate) received_ns: u64,
}

/// What went through a port: its worker writes it, anyone reads it.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) rx: Pair,
    pub(crate) tx: Pair,
}

/// A socket's rings, in tokens. Invariant: `filled` and `sending` are the numbers of frames that the ledger has in this
/// port's rings; frames that `assembly` holds are with the worker.
#[derive(Debug)]
pub struct Port<R = KernelRings> {
    id: PortId,
    umem: Umem,
    rings: R,
    /// Index of the ingress interface, for ports that receive.
    ingress: Option<u16>,
    filled: u32,
    sending: u32,
    /// Most frames of a packet that is sent.
    parts: usize,
    assembly: Assembly,
    /// A packet of several frames has come.
    met_parts: bool,
    /// As many descriptors as a ring holds.
    scratch: Box<[Descriptor]>,
    traffic: Arc<CachePadded<Traffic>>,
}

impl<R: Rings> Port<R> {
    /// A port that sends packets of at most `parts` frames.
    pub(crate) fn new(id: PortId, umem: Umem, rings: R, ingress: Option<u16>, parts: usize) -> Self {
        let scratch = vec![Descriptor::default(); umem.layout().ring as usize].into();
        Self {
            id,
            umem,
            rings,
            ingress,
            filled: 0,
            sending: 0,
            parts,
            assembly: Assembly::default(),
            met_parts: false,
            scratch,
            traffic: Arc::default(),
        }
    }

    /// Number.
    #[must_use]
    pub fn id(&self) -> PortId {
        self.id
    }

    /// Index of the ingress interface, none for a port that only sends.
    #[must_use]
    pub fn ingress(&self) -> Option<u16> {
        self.ingress
    }

    /// Descriptor of the socket, for the XSKMAP and for poll.
    #[must_use]
    pub fn fd(&self) -> Option<RawFd> {
        self.rings.fd()
    }

    /// Frames in the fill and RX rings.
    pub(crate) fn filled(&self) -> u32 {
        self.filled
    }

    /// Frames in the TX and completion rings.
    pub(crate) fn sending(&self) -> u32 {
        self.sending
    }

    /// Frames of a packet whose last part has not come yet.
    pub(crate) fn assembling(&self) -> usize {
        self.assembly.held()
    }

    /// Give that packet up.
    pub(crate) fn abandon(&mut self) -> Option<Frame> {
        self.assembly.abandon()
    }

    /// Whether a packet of several frames has come so far.
    pub(crate) fn has_met_parts(&self) -> bool {
        self.met_parts
    }

    /// Whether it sends packets of as many frames.
    pub(crate) fn sends(&self, frames: usize) -> bool {
        frames <= self.parts
    }

    /// Let the driver leave its work to this thread's system calls, `budget` packets at most in each.
    pub(crate) fn prefer_busy_poll(&self, spec: &PortSpec, budget: u32) -> Result<(), XskError> {
        let Some(fd) = self.fd() else { return Ok(()) };
        sockopt::prefer_busy_poll(fd, budget).map_err(|source| XskError::Option {
            dev: spec.dev.clone(),
            queue: spec.queue,
            option: "SO_PREFER_BUSY_POLL",
            source,
        })
    }

    /// What went through it so far; the counters outlive the port.
    pub(crate) fn traffic(&self) -> Arc<CachePadded<Traffic>> {
        Arc::clone(&self.traffic)
    }

    /// Take at most `max` received frames; the packets that are whole with them are appended to `into`, and what cannot become
    /// a packet to `broken`, of which what is not empty counts as a packet. Returns the frames.
    pub(crate) fn receive(&mut self, max: usize, into: &mut Vec<Frame>, broken: &mut Vec<Frame>) -> usize {
        let max = max.min(self.scratch.len());
        let count = self.rings.received(&mut self.scratch[..max]);
        let (before, mut claimed, mut bytes) = (into.len(), 0, 0);
        for descriptor in &self.scratch[..count] {
            // A descriptor that the ledger does not have in the fill ring is the kernel's mistake; to believe it would
            // make two owners of one frame.
            let frame = self.umem.claim(descriptor.addr, descriptor.len, Place::Fill(self.id), Place::Rx);
            if let Some(frame) = &frame {
                claimed += 1;
                bytes += u64::from(frame.packet_len());
            }
            if descriptor.more || self.assembly.is_open() {
                self.met_parts = true;
                self.assembly.take(&self.umem, frame, descriptor.more, into, broken);
            } else {
                into.extend(frame);
            }
        }
        if claimed > 0 {
            self.traffic.rx.add((into.len() - before) as u64, bytes);
        }
        self.filled -= u32::try_from(claimed).unwrap_or(self.filled).min(self.filled);
        claimed
    }

    /// Put free frames on the fill ring until it holds `target` or either runs out.
    pub(crate) fn fill(&mut self, free: &mut Vec<Frame>, target: u32) {
        let want = target.saturating_sub(self.filled).min(u32::try_from(free.len()).unwrap_or(u32::MAX));
        if want == 0 {
            return;
        }
        let want = want.min(self.rings.fill_room(want)) as usize;
        let want = want.min(self.scratch.len());
        let rest = free.len() - want;
        for (slot, frame) in self.scratch.iter_mut().zip(&free[rest..]) {
            *slot = Descriptor { addr: frame.addr(), ..Descriptor::default() };
            self.umem.note(frame, Place::Fill(self.id));
        }
        let submitted = self.rings.submit_fill(&self.scratch[..want]);
        for frame in &free[rest + submitted..] {
            self.umem.note(frame, Place::Free);
        }
        free.drain(rest..rest + submitted).for_each(drop);
        self.filled += u32::try_from(submitted).unwrap_or(0);
        self.rings.kick_fill();
    }

    /// Put as many of `pending`, oldest first, on the TX ring as it has room for; the rest stays. `sent` is told of each.
    pub(crate) fn send(&mut self, pending: &mut Pending, mut sent: impl FnMut(&Outgoing)) -> usize {
        let want = u32::try_from(pending.frames()).unwrap_or(u32::MAX);
        let room = (self.rings.tx_room(want) as usize).min(self.scratch.len());
        let (mut packets, mut frames) = (0, 0);
        for Outgoing { frame, .. } in pending.iter() {
            // A packet goes whole or not at all.
            if frames + frame.frames() > room {
                break;
            }
            if frame.is_split() {
                frames += self.umem.describe(frame, &mut self.scratch[frames..]);
            } else {
                self.scratch[frames] = Descriptor { addr: frame.addr(), len: frame.packet_len().into(), more: false };
                frames += 1;
            }
            self.umem.note(frame, Place::Tx(self.id));
            packets += 1;
        }
        if frames == 0 {
            return 0;
        }
        if self.rings.submit_tx(&self.scratch[..frames]) < frames {
            pending.iter().take(packets).for_each(|out| self.umem.note(&out.frame, Place::Rx));
            return 0;
        }
        let mut bytes = 0;
        for out in pending.drain(packets, frames) {
            bytes += u64::from(self.umem.packet_len(&out.frame));
            sent(&out);
        }
        self.traffic.tx.add(packets as u64, bytes);
        self.sending += u32::try_from(frames).unwrap_or(0);
        packets
    }

    /// Take back frames that were sent; they are appended to `free`.
    pub(crate) fn reap(&mut self, free: &mut Vec<Frame>) -> usize {
        if self.sending == 0 {
            return 0;
        }
        let count = self.rings.completed(&mut self.scratch);
        let before = free.len();
        for descriptor in &self.scratch[..count] {
            free.extend(self.umem.claim(descriptor.addr, 0, Place::Tx(self.id), Place::Free));
        }
        let claimed = free.len() - before;
        self.sending -= u32::try_from(claimed).unwrap_or(self.sending).min(self.sending);
        claimed
    }

    /// Make the kernel send, when it waits for that. One call sends a limited number, so it is called again while it
    /// says so, at most `calls` times.
    pub(crate) fn kick(&mut self, calls: u32) -> Kick {
        let mut kick = Kick::Done;
        for _ in 0..calls {
            if !self.rings.tx_wants_kick() {
                return Kick::Done;
            }
            kick = self.rings.kick_tx();
            if kick != Kick::Again {
                break;
            }
        }
        kick
    }

    /// Let the driver do its work in this system call.
    pub(crate) fn drive(&self) {
        if let Some(fd) = self.fd() {
            rings::kick_fill(fd);
        }
    }

    /// The rings alone, to be closed or, in tests, looked at.
    #[cfg(test)]
    pub(crate) fn rings_mut(&mut self) -> &mut R {
        &mut self.rings
    }
}
