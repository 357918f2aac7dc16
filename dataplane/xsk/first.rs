//! Sockets on a UMEM's first registration, which is xsk-rs' own, and their rings.
#![expect(
    unsafe_code,
    reason = "xsk-rs leaves it to the caller that a descriptor is submitted once; tokens see to that"
)]

use std::{
    error::Error,
    io,
    os::fd::{AsRawFd, RawFd},
};

use xsk_rs::{
    CompQueue, FillQueue, FrameDesc, RxQueue, Socket, TxQueue,
    config::{BindFlags, Interface, LibxdpFlags, QueueSize, SocketConfig},
};

use super::{Descriptor, Kick, PortSpec, Rings, Umem, rings};

/// Bind a socket. The first one settles the mode, the others follow whatever they ask for.
pub(super) fn open(umem: &Umem, spec: &PortSpec, zero_copy: bool, parts: bool) -> io::Result<FirstRings> {
    let kernel = umem.kernel().ok_or_else(|| io::Error::other("this UMEM is plain memory that no kernel knows of"))?;
    let interface: Interface = spec.dev.parse().map_err(io::Error::other)?;
    let ring = QueueSize::new(umem.layout().ring).map_err(io::Error::other)?;
    let mode = if zero_copy { BindFlags::XDP_ZEROCOPY } else { BindFlags::XDP_COPY };
    let mode = if parts { mode | BindFlags::XDP_USE_SG } else { mode };
    let config = SocketConfig::builder()
        .rx_queue_size(ring)
        .tx_queue_size(ring)
        .libxdp_flags(LibxdpFlags::XSK_LIBXDP_FLAGS_INHIBIT_PROG_LOAD)
        .bind_flags(mode | BindFlags::XDP_USE_NEED_WAKEUP)
        .build();
    // SAFETY: the one duty is the flag that inhibits loading a program, which is set above.
    match unsafe { Socket::new(config, kernel, &interface, spec.queue) } {
        Ok((tx, rx, Some((fill, completion)))) => Ok(FirstRings::new(umem.clone(), rx, tx, fill, completion)),
        Ok((_, _, None)) => Err(io::Error::other("this daemon has a socket on that queue already")),
        Err(error) => {
            let code = error.source().and_then(|cause| cause.downcast_ref::<io::Error>()?.raw_os_error());
            Err(code.map_or_else(|| io::Error::other(error.to_string()), io::Error::from_raw_os_error))
        }
    }
}

/// The rings of a socket on the first registration. Dropping them closes it.
#[derive(Debug)]
pub struct FirstRings {
    umem: Umem,
    rx: RxQueue,
    tx: TxQueue,
    fill: FillQueue,
    completion: CompQueue,
    /// Descriptors on their way between our form and xsk-rs', as many as a ring holds.
    scratch: Box<[FrameDesc]>,
}

impl FirstRings {
    fn new(umem: Umem, rx: RxQueue, tx: TxQueue, fill: FillQueue, completion: CompQueue) -> Self {
        let scratch = vec![FrameDesc::default(); umem.layout().ring as usize].into();
        Self { umem, rx, tx, fill, completion, scratch }
    }

    /// Load the kernel's descriptors of `frames` into the scratch space; returns how many fit, all or none.
    fn load(&mut self, frames: &[Descriptor]) -> usize {
        if frames.len() > self.scratch.len() {
            return 0;
        }
        for (slot, frame) in self.scratch.iter_mut().zip(frames) {
            *slot = self.umem.desc(*frame);
        }
        frames.len()
    }
}

impl Rings for FirstRings {
    fn received(&mut self, into: &mut [Descriptor]) -> usize {
        let want = into.len().min(self.scratch.len());
        // SAFETY: the queue belongs to a socket of this UMEM, and what it yields becomes a token only through the ledger.
        let count = unsafe { self.rx.consume(&mut self.scratch[..want]) };
        for (descriptor, desc) in into.iter_mut().zip(&self.scratch[..count]) {
            *descriptor = Descriptor {
                addr: u32::try_from(desc.addr()).unwrap_or(u32::MAX),
                len: u32::try_from(desc.lengths().data()).unwrap_or(u32::MAX),
                more: desc.has_more_frames(),
            };
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
            *descriptor = Descriptor { addr: u32::try_from(desc.addr()).unwrap_or(u32::MAX), ..Descriptor::default() };
        }
        count
    }

    fn tx_wants_kick(&self) -> bool {
        self.tx.needs_wakeup()
    }

    fn kick_tx(&mut self) -> Kick {
        rings::kick_tx(self.tx.fd().as_raw_fd())
    }

    fn kick_fill(&mut self) {
        if self.fill.needs_wakeup() {
            rings::kick_fill(self.rx.fd().as_raw_fd());
        }
    }

    fn fd(&self) -> Option<RawFd> {
        Some(self.rx.fd().as_raw_fd())
    }
}
