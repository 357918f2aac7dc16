//! The four rings of a socket, as the worker sees them: the kernel's, or a simulation's.
#![expect(
    unsafe_code,
    reason = "xsk-rs leaves it to the caller that a descriptor is submitted once; tokens see to that"
)]

use std::{
    fmt,
    os::fd::{AsRawFd, RawFd},
};

use nix::sys::socket::{MsgFlags, recv, send};
use xsk_rs::{CompQueue, FillQueue, FrameDesc, RxQueue, TxQueue};

use super::Umem;

/// A place in the UMEM and the length of what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Descriptor {
    /// UMEM offset of the packet's first byte.
    pub addr: u32,
    /// Packet length in bytes; 0 on fill and completion rings.
    pub len: u32,
}

/// What became of a kick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kick {
    /// Everything was taken over.
    Done,
    /// The kernel wants to be kicked again, now or a little later.
    Again,
    /// The device is down for the moment.
    Down,
    /// The socket is unbound for good: its device is gone.
    Gone,
}

/// Fill, RX, TX and completion ring of one socket. Implemented by the kernel's rings and, in tests, by a simulation.
///
/// Submitting is all or nothing, as the kernel's library has it: ask for room first.
pub trait Rings: Send + fmt::Debug {
    /// Take received packets from the RX ring; returns how many entries of `into` were set.
    fn received(&mut self, into: &mut [Descriptor]) -> usize;
    /// Free entries of the fill ring, at least `want` when there are as many.
    fn fill_room(&mut self, want: u32) -> u32;
    /// Put frames on the fill ring; 0 when they do not all fit.
    fn submit_fill(&mut self, frames: &[Descriptor]) -> usize;
    /// Free entries of the TX ring, at least `want` when there are as many.
    fn tx_room(&mut self, want: u32) -> u32;
    /// Put packets on the TX ring; 0 when they do not all fit.
    fn submit_tx(&mut self, packets: &[Descriptor]) -> usize;
    /// Take sent frames from the completion ring; returns how many entries of `into` were set.
    fn completed(&mut self, into: &mut [Descriptor]) -> usize;
    /// The kernel waits for a system call before it looks at the TX ring.
    fn tx_wants_kick(&self) -> bool;
    /// Make the kernel look at the TX ring.
    fn kick_tx(&mut self) -> Kick;
    /// Make the kernel look at the fill ring where it waits for that.
    fn kick_fill(&mut self);
    /// Descriptor to poll, none where there is nothing to poll.
    fn fd(&self) -> Option<RawFd>;
}

/// The rings of a bound socket. Dropping them closes it.
#[derive(Debug)]
pub struct KernelRings {
    umem: Umem,
    rx: RxQueue,
    tx: TxQueue,
    fill: FillQueue,
    completion: CompQueue,
    /// Descriptors on their way between our form and xsk-rs', as many as a ring holds.
    scratch: Box<[FrameDesc]>,
}

impl KernelRings {
    pub(super) fn new(umem: Umem, rx: RxQueue, tx: TxQueue, fill: FillQueue, completion: CompQueue) -> Self {
        let scratch = vec![FrameDesc::default(); umem.layout().ring as usize].into();
        Self { umem, rx, tx, fill, completion, scratch }
    }

    /// Load the kept descriptors of `frames` into the scratch space; returns how many fit, all or none.
    fn load(&mut self, frames: &[Descriptor]) -> usize {
        if frames.len() > self.scratch.len() {
            return 0;
        }
        for (slot, frame) in self.scratch.iter_mut().zip(frames) {
            *slot = self.umem.desc(frame.addr);
        }
        frames.len()
    }
}

impl Rings for KernelRings {
    fn received(&mut self, into: &mut [Descriptor]) -> usize {
        let want = into.len().min(self.scratch.len());
        // SAFETY: the queue belongs to a socket of this UMEM, and what it yields becomes a token only through the ledger.
        let count = unsafe { self.rx.consume(&mut self.scratch[..want]) };
        for (descriptor, &desc) in into.iter_mut().zip(&self.scratch[..count]) {
            (descriptor.addr, descriptor.len) = self.umem.keep_desc(desc);
        }
        count
    }

    fn fill_room(&mut self, want: u32) -> u32 {
        self.fill.nb_free(want)
    }

    fn submit_fill(&mut self, frames: &[Descriptor]) -> usize {
        let count = self.load(frames);
        // SAFETY: `Port::fill` consumed the frames' tokens, so nobody else submits or touches them; same UMEM.
        unsafe { self.fill.produce(&self.scratch[..count]) }
    }

    fn tx_room(&mut self, want: u32) -> u32 {
        self.tx.nb_free(want)
    }

    fn submit_tx(&mut self, packets: &[Descriptor]) -> usize {
        let count = self.load(packets);
        // SAFETY: `Port::send` consumed the frames' tokens, so nobody else submits or touches them; same UMEM.
        unsafe { self.tx.produce(&self.scratch[..count]) }
    }

    fn completed(&mut self, into: &mut [Descriptor]) -> usize {
        let want = into.len().min(self.scratch.len());
        // SAFETY: the queue belongs to a socket of this UMEM, and what it yields becomes a token only through the ledger.
        let count = unsafe { self.completion.consume(&mut self.scratch[..want]) };
        for (descriptor, desc) in into.iter_mut().zip(&self.scratch[..count]) {
            *descriptor = Descriptor { addr: u32::try_from(desc.addr()).unwrap_or(u32::MAX), len: 0 };
        }
        count
    }

    fn tx_wants_kick(&self) -> bool {
        self.tx.needs_wakeup()
    }

    fn kick_tx(&mut self) -> Kick {
        use nix::errno::Errno;
        match send(self.tx.fd().as_raw_fd(), &[], MsgFlags::MSG_DONTWAIT) {
            Ok(_) => Kick::Done,
            Err(Errno::ENETDOWN) => Kick::Down,
            // Unbound, which the kernel does when the device goes.
            Err(Errno::ENXIO | Errno::ENODEV | Errno::EBADF) => Kick::Gone,
            // EAGAIN: more is on the ring than one call takes; EBUSY and ENOBUFS: the driver is short of something.
            Err(_) => Kick::Again,
        }
    }

    fn kick_fill(&mut self) {
        if self.fill.needs_wakeup() {
            // Whatever it answers, the next turn finds out by itself: a receive without a buffer moves no data.
            let _ = recv(self.rx.fd().as_raw_fd(), &mut [], MsgFlags::MSG_DONTWAIT);
        }
    }

    fn fd(&self) -> Option<RawFd> {
        Some(self.rx.fd().as_raw_fd())
    }
}
