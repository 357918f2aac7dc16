//! A further registration of a UMEM's pages with the kernel, for the sockets of one device.
//!
//! The kernel gives every socket of a registration the mode of its first one, and takes new ones only while that one is
//! bound. A device which that leaves out (a veth beside a zero-copy NIC, an interface that was made anew) gets a
//! registration of its own. xsk-rs brings new memory with each registration, so this speaks to libxdp below it.
#![expect(unsafe_code, reason = "libxdp's C interface: a UMEM, its sockets and their rings")]

use std::{
    cell::UnsafeCell,
    ffi::{CString, c_int},
    fmt, io,
    mem::MaybeUninit,
    os::fd::RawFd,
    ptr::{self, NonNull},
    sync::{Arc, Mutex, PoisonError},
};

use libxdp_sys::{
    XDP_COPY, XDP_USE_NEED_WAKEUP, XDP_ZEROCOPY, XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD, xsk_ring_cons, xsk_ring_prod,
    xsk_socket, xsk_socket_config, xsk_socket_config__bindgen_ty_1, xsk_umem, xsk_umem_config,
};

use super::{
    Descriptor, Kick, PortSpec, Rings, Umem,
    rings::{self, XDP_PKT_CONTD},
    sockopt::XDP_USE_SG,
};

/// The rings of one socket. libxdp keeps their addresses until the socket is deleted.
struct RingSet {
    rx: xsk_ring_cons,
    tx: xsk_ring_prod,
    fill: xsk_ring_prod,
    completion: xsk_ring_cons,
}

impl RingSet {
    /// Rings that libxdp has not set up yet.
    fn new() -> Box<UnsafeCell<Self>> {
        // SAFETY: the rings are numbers and pointers, for which all zeroes is a value.
        Box::new(UnsafeCell::new(unsafe { MaybeUninit::zeroed().assume_init() }))
    }
}

/// See the module. Its first socket stays bound until the last of its sockets is closed.
pub(super) struct Registration {
    /// libxdp's own; the lock is held for every call that makes or deletes a socket.
    umem: Mutex<NonNull<xsk_umem>>,
    /// Fill and completion ring as libxdp made them with the UMEM; it unmaps them when no socket took them over.
    _first: Box<UnsafeCell<RingSet>>,
    ring: u32,
}

// SAFETY: the pointer is only used under the lock, and nothing of libxdp's belongs to a thread.
unsafe impl Send for Registration {}
// SAFETY: as for `Send`; the ring pair is only touched by libxdp, under the lock.
unsafe impl Sync for Registration {}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("ring", &self.ring).finish_non_exhaustive()
    }
}

impl Registration {
    /// Register the pages of `umem` once more; they stay pinned until the registration goes.
    pub(super) fn new(umem: &Umem) -> io::Result<Self> {
        let (base, len) = umem.region();
        let layout = umem.layout();
        let config = xsk_umem_config {
            fill_size: layout.ring,
            comp_size: layout.ring,
            frame_size: layout.frame_size,
            frame_headroom: 0,
            flags: 0,
        };
        let first = RingSet::new();
        let (rings, mut made) = (first.get(), ptr::null_mut());
        // SAFETY: the region is mapped while the handle lives, and the kernel pins its pages before this returns; the
        // rings are boxed and kept until the UMEM is deleted.
        let status = unsafe {
            libxdp_sys::xsk_umem__create(
                &raw mut made,
                base.as_ptr().cast(),
                len as u64,
                &raw mut (*rings).fill,
                &raw mut (*rings).completion,
                &raw const config,
            )
        };
        checked(status)?;
        let made = NonNull::new(made).ok_or_else(|| io::Error::other("libxdp made no umem"))?;
        Ok(Self { umem: Mutex::new(made), _first: first, ring: layout.ring })
    }

    /// Bind a socket. The first one settles the mode, the others follow whatever they ask for.
    pub(super) fn open(self: &Arc<Self>, spec: &PortSpec, zero_copy: bool, parts: bool) -> io::Result<OwnRings> {
        let name = CString::new(spec.dev.as_str())?;
        let mode = if zero_copy { XDP_ZEROCOPY } else { XDP_COPY };
        let mode = if parts { mode | u32::from(XDP_USE_SG) } else { mode };
        let config = xsk_socket_config {
            rx_size: self.ring,
            tx_size: self.ring,
            __bindgen_anon_1: xsk_socket_config__bindgen_ty_1 { libxdp_flags: XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD },
            xdp_flags: 0,
            bind_flags: u16::try_from(mode | XDP_USE_NEED_WAKEUP).map_err(io::Error::other)?,
        };
        let set = RingSet::new();
        let (rings, mut socket) = (set.get(), ptr::null_mut());
        let umem = self.lock();
        // SAFETY: the UMEM lives, the name ends in a zero, and the rings are boxed and kept until the socket is deleted.
        let status = unsafe {
            libxdp_sys::xsk_socket__create_shared(
                &raw mut socket,
                name.as_ptr(),
                spec.queue,
                umem.as_ptr(),
                &raw mut (*rings).rx,
                &raw mut (*rings).tx,
                &raw mut (*rings).fill,
                &raw mut (*rings).completion,
                &raw const config,
            )
        };
        drop(umem);
        checked(status)?;
        let socket = NonNull::new(socket).ok_or_else(|| io::Error::other("libxdp made no socket"))?;
        // SAFETY: the socket was made just now.
        let fd = unsafe { libxdp_sys::xsk_socket__fd(socket.as_ptr()) };
        Ok(OwnRings { registration: Arc::clone(self), socket, set, fd })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, NonNull<xsk_umem>> {
        self.umem.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let umem = self.lock().as_ptr();
        // SAFETY: every socket holds an `Arc` of this, so none is left, and nobody else deletes it.
        let status = unsafe { libxdp_sys::xsk_umem__delete(umem) };
        if let Err(error) = checked(status) {
            tracing::error!(%error, "a registration of the umem cannot be taken back");
        }
    }
}

/// libxdp's answers are negated error numbers.
fn checked(status: c_int) -> io::Result<()> {
    if status == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(status.saturating_neg())) }
}

/// The rings of a socket on a further registration. Dropping them closes it.
pub struct OwnRings {
    registration: Arc<Registration>,
    socket: NonNull<xsk_socket>,
    set: Box<UnsafeCell<RingSet>>,
    fd: RawFd,
}

// SAFETY: whoever owns this is the only one to use the rings, and libxdp binds neither them nor the socket to a thread.
unsafe impl Send for OwnRings {}

impl fmt::Debug for OwnRings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnRings").field("fd", &self.fd).finish_non_exhaustive()
    }
}

impl Drop for OwnRings {
    fn drop(&mut self) {
        let umem = self.registration.lock();
        // SAFETY: made by `open` and deleted only here; the rings, fields of this, are still there.
        unsafe { libxdp_sys::xsk_socket__delete(self.socket.as_ptr()) };
        drop(umem);
    }
}

impl OwnRings {
    /// Take entries off a ring whose entries `read` knows how to read.
    fn take(
        ring: *mut xsk_ring_cons,
        into: &mut [Descriptor],
        mut read: impl FnMut(*const xsk_ring_cons, u32) -> Descriptor,
    ) -> usize {
        let mut at = 0;
        let want = u32::try_from(into.len()).unwrap_or(u32::MAX);
        // SAFETY: the ring is set up, and only the owner of the rings gets here.
        let count = unsafe { libxdp_sys::xsk_ring_cons__peek(ring, want, &raw mut at) };
        for (slot, index) in into.iter_mut().zip(0..count) {
            *slot = read(ring, at.wrapping_add(index));
        }
        // SAFETY: as above; this many were taken just now.
        unsafe { libxdp_sys::xsk_ring_cons__release(ring, count) };
        count as usize
    }

    /// Put all of `entries` on a ring, or none when they do not fit.
    fn put(
        ring: *mut xsk_ring_prod,
        entries: &[Descriptor],
        write: impl Fn(*mut xsk_ring_prod, u32, &Descriptor),
    ) -> usize {
        let mut at = 0;
        let want = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        // SAFETY: the ring is set up, and only the owner of the rings gets here.
        let count = unsafe { libxdp_sys::xsk_ring_prod__reserve(ring, want, &raw mut at) };
        for (entry, index) in entries.iter().zip(0..count) {
            write(ring, at.wrapping_add(index), entry);
        }
        // SAFETY: as above; this many were reserved just now.
        unsafe { libxdp_sys::xsk_ring_prod__submit(ring, count) };
        count as usize
    }
}

impl Rings for OwnRings {
    fn received(&mut self, into: &mut [Descriptor]) -> usize {
        // SAFETY: the set is ours alone, by the exclusive borrow.
        let ring = unsafe { &raw mut (*self.set.get()).rx };
        Self::take(ring, into, |ring, at| {
            // SAFETY: `take` holds the entry `at`, which the kernel has written.
            let entry = unsafe { libxdp_sys::xsk_ring_cons__rx_desc(ring, at).read() };
            let more = entry.options & XDP_PKT_CONTD != 0;
            Descriptor { addr: u32::try_from(entry.addr).unwrap_or(u32::MAX), len: entry.len, more }
        })
    }

    fn fill_room(&mut self, want: u32) -> u32 {
        // SAFETY: the set is ours alone, by the exclusive borrow.
        unsafe { libxdp_sys::xsk_prod_nb_free(&raw mut (*self.set.get()).fill, want) }
    }

    fn submit_fill(&mut self, frames: &[Descriptor]) -> usize {
        // SAFETY: the set is ours alone, by the exclusive borrow.
        let ring = unsafe { &raw mut (*self.set.get()).fill };
        Self::put(ring, frames, |ring, at, frame| {
            // SAFETY: `put` reserved the entry `at`; `Port::fill` consumed the frame's token.
            unsafe { libxdp_sys::xsk_ring_prod__fill_addr(ring, at).write(frame.addr.into()) };
        })
    }

    fn tx_room(&mut self, want: u32) -> u32 {
        // SAFETY: the set is ours alone, by the exclusive borrow.
        unsafe { libxdp_sys::xsk_prod_nb_free(&raw mut (*self.set.get()).tx, want) }
    }

    fn submit_tx(&mut self, packets: &[Descriptor]) -> usize {
        // SAFETY: the set is ours alone, by the exclusive borrow.
        let ring = unsafe { &raw mut (*self.set.get()).tx };
        Self::put(ring, packets, |ring, at, packet| {
            let options = if packet.more { XDP_PKT_CONTD } else { 0 };
            let entry = libxdp_sys::xdp_desc { addr: packet.addr.into(), len: packet.len, options };
            // SAFETY: `put` reserved the entry `at`; `Port::send` consumed the frame's token.
            unsafe { libxdp_sys::xsk_ring_prod__tx_desc(ring, at).write(entry) };
        })
    }

    fn completed(&mut self, into: &mut [Descriptor]) -> usize {
        // SAFETY: the set is ours alone, by the exclusive borrow.
        let ring = unsafe { &raw mut (*self.set.get()).completion };
        Self::take(ring, into, |ring, at| {
            // SAFETY: `take` holds the entry `at`, which the kernel has written.
            let addr = unsafe { libxdp_sys::xsk_ring_cons__comp_addr(ring, at).read() };
            Descriptor { addr: u32::try_from(addr).unwrap_or(u32::MAX), ..Descriptor::default() }
        })
    }

    fn tx_wants_kick(&self) -> bool {
        // SAFETY: a look at a flag that the kernel writes; the ring is set up and nobody writes the set meanwhile.
        unsafe { libxdp_sys::xsk_ring_prod__needs_wakeup(&raw const (*self.set.get()).tx) != 0 }
    }

    fn kick_tx(&mut self) -> Kick {
        rings::kick_tx(self.fd)
    }

    fn kick_fill(&mut self) {
        // SAFETY: as in `tx_wants_kick`.
        if unsafe { libxdp_sys::xsk_ring_prod__needs_wakeup(&raw const (*self.set.get()).fill) != 0 } {
            rings::kick_fill(self.fd);
        }
    }

    fn fd(&self) -> Option<RawFd> {
        Some(self.fd)
    }
}
