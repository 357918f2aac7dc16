//! The four rings of a socket, as the worker sees them: the kernel's, or a simulation's.

use std::{fmt, os::fd::RawFd};

use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, recv, send},
};

use super::{first::FirstRings, registration::OwnRings};

/// A place in the UMEM and the length of what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Descriptor {
    /// UMEM offset of the packet's first byte.
    pub addr: u32,
    /// Packet length in bytes; 0 on fill and completion rings.
    pub len: u32,
    /// The packet goes on in the next descriptor of the ring.
    pub more: bool,
}

/// Of a descriptor's options: the packet goes on in the next one (`linux/if_xdp.h`, from 6.6 on).
pub(super) const XDP_PKT_CONTD: u32 = 1 << 0;

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
pub struct KernelRings(Kind);

#[derive(Debug)]
enum Kind {
    First(FirstRings),
    Own(OwnRings),
}

impl From<FirstRings> for KernelRings {
    fn from(rings: FirstRings) -> Self {
        Self(Kind::First(rings))
    }
}

impl From<OwnRings> for KernelRings {
    fn from(rings: OwnRings) -> Self {
        Self(Kind::Own(rings))
    }
}

/// Hand a call on to the rings behind, whichever they are.
macro_rules! behind {
    ($self:ident.$call:ident($($argument:expr),*)) => {
        match &$self.0 {
            Kind::First(rings) => rings.$call($($argument),*),
            Kind::Own(rings) => rings.$call($($argument),*),
        }
    };
    (mut $self:ident.$call:ident($($argument:expr),*)) => {
        match &mut $self.0 {
            Kind::First(rings) => rings.$call($($argument),*),
            Kind::Own(rings) => rings.$call($($argument),*),
        }
    };
}

impl Rings for KernelRings {
    fn received(&mut self, into: &mut [Descriptor]) -> usize {
        behind!(mut self.received(into))
    }

    fn fill_room(&mut self, want: u32) -> u32 {
        behind!(mut self.fill_room(want))
    }

    fn submit_fill(&mut self, frames: &[Descriptor]) -> usize {
        behind!(mut self.submit_fill(frames))
    }

    fn tx_room(&mut self, want: u32) -> u32 {
        behind!(mut self.tx_room(want))
    }

    fn submit_tx(&mut self, packets: &[Descriptor]) -> usize {
        behind!(mut self.submit_tx(packets))
    }

    fn completed(&mut self, into: &mut [Descriptor]) -> usize {
        behind!(mut self.completed(into))
    }

    fn tx_wants_kick(&self) -> bool {
        behind!(self.tx_wants_kick())
    }

    fn kick_tx(&mut self) -> Kick {
        behind!(mut self.kick_tx())
    }

    fn kick_fill(&mut self) {
        behind!(mut self.kick_fill());
    }

    fn fd(&self) -> Option<RawFd> {
        behind!(self.fd())
    }
}

/// Make the kernel look at the TX ring of a socket.
pub(super) fn kick_tx(fd: RawFd) -> Kick {
    match send(fd, &[], MsgFlags::MSG_DONTWAIT) {
        Ok(_) => Kick::Done,
        Err(Errno::ENETDOWN) => Kick::Down,
        // Unbound, which the kernel does when the device goes.
        Err(Errno::ENXIO | Errno::ENODEV | Errno::EBADF) => Kick::Gone,
        // EAGAIN: more is on the ring than one call takes; EBUSY and ENOBUFS: the driver is short of something.
        Err(_) => Kick::Again,
    }
}

/// Make the kernel look at the fill ring of a socket.
pub(super) fn kick_fill(fd: RawFd) {
    // Whatever it answers, the next turn finds out by itself: a receive without a buffer moves no data.
    let _ = recv(fd, &mut [], MsgFlags::MSG_DONTWAIT);
}
