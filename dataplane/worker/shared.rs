//! What a worker shows to the others: its mailbox, its bell and its counters.

use std::{
    io,
    sync::atomic::{
        AtomicBool, AtomicU32, AtomicU64,
        Ordering::{Relaxed, SeqCst},
        fence,
    },
};

use crossbeam_queue::ArrayQueue;
use crossbeam_utils::CachePadded;
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::stats::Stats;
use crate::xsk::{Outgoing, PortId};

/// `Shared::core` of a worker that is not pinned.
const UNPINNED: u32 = u32::MAX;

/// A frame for a port of another worker.
#[derive(Debug)]
pub(super) struct Mail {
    pub(super) port: PortId,
    pub(super) out: Outgoing,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) mailbox: ArrayQueue<Mail>,
    /// Frames in the mailbox beside the first of each packet.
    tails: AtomicU64,
    bell: EventFd,
    sleeping: CachePadded<AtomicBool>,
    core: AtomicU32,
    pub(super) stats: CachePadded<Stats>,
}

impl Shared {
    pub(super) fn new(mailbox: usize) -> io::Result<Self> {
        Ok(Self {
            mailbox: ArrayQueue::new(mailbox),
            tails: AtomicU64::new(0),
            bell: EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?,
            sleeping: CachePadded::new(AtomicBool::new(false)),
            core: AtomicU32::new(UNPINNED),
            stats: CachePadded::new(Stats::new()),
        })
    }

    /// Put something into the mailbox; it comes back when that is full.
    pub(super) fn post(&self, mail: Mail) -> Result<(), Mail> {
        let tails = mail.out.frame.frames() as u64 - 1;
        // Before it may be taken out again.
        self.count_tails(tails, true);
        self.mailbox.push(mail).inspect_err(|_| self.count_tails(tails, false))
    }

    /// Take the oldest out of the mailbox.
    pub(super) fn take(&self) -> Option<Mail> {
        let mail = self.mailbox.pop()?;
        self.count_tails(mail.out.frame.frames() as u64 - 1, false);
        Some(mail)
    }

    /// Frames in the mailbox.
    pub(super) fn mail(&self) -> u64 {
        self.mailbox.len() as u64 + self.tails.load(Relaxed)
    }

    fn count_tails(&self, tails: u64, more: bool) {
        if tails > 0 && more {
            self.tails.fetch_add(tails, Relaxed);
        } else if tails > 0 {
            self.tails.fetch_sub(tails, Relaxed);
        }
    }

    /// Wake the worker when it sleeps; call after what it is to find was queued.
    pub(super) fn ring(&self) {
        // Pairs with the fence in `about_to_sleep`: either this sees the flag, or the worker sees what was queued.
        fence(SeqCst);
        if self.sleeping.load(Relaxed) && self.sleeping.swap(false, SeqCst) {
            // A full counter means that the bell rings already.
            let _ = self.bell.write(1);
        }
    }

    /// The worker is about to look for work a last time and to sleep when there is none.
    pub(super) fn about_to_sleep(&self) {
        self.sleeping.store(true, Relaxed);
        fence(SeqCst);
    }

    /// The worker is awake; silences the bell.
    pub(super) fn awake(&self) {
        self.sleeping.store(false, Relaxed);
        // Nothing to read when it was not the bell that woke it.
        let _ = self.bell.read();
    }

    /// Descriptor of the bell, for poll.
    pub(super) fn bell(&self) -> std::os::fd::RawFd {
        use std::os::fd::{AsFd, AsRawFd};
        self.bell.as_fd().as_raw_fd()
    }

    /// Core that the worker is pinned to, where it is.
    pub(super) fn core(&self) -> Option<u32> {
        Some(self.core.load(Relaxed)).filter(|&core| core != UNPINNED)
    }

    pub(super) fn set_core(&self, core: u32) {
        self.core.store(core, Relaxed);
    }
}
