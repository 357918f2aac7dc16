//! The UMEM: one region of frames that all sockets of all workers share.
#![expect(
    unsafe_code,
    reason = "frames are memory shared with the kernel, reached by address; tokens stand for the right to"
)]

use std::{
    cell::UnsafeCell,
    fmt, io,
    num::NonZeroU32,
    ptr::NonNull,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
};

use crossbeam_queue::ArrayQueue;
use xsk_rs::{
    FrameDesc,
    config::{FrameSize, QueueSize, UmemConfig},
};

use super::{
    Descriptor, Frame, FrameCounts, PortId, XskError,
    frame::{Ledger, Place},
    parts::Ties,
    registrations::Registrations,
    rings::XDP_PKT_CONTD,
};
use crate::{
    bpf::{METADATA_LEN, Metadata},
    plane::UmemLayout,
};

/// Bytes that the kernel keeps free in front of a packet, `XDP_PACKET_HEADROOM`.
const HEADROOM: u32 = 256;

/// A UMEM. Clones are handles to the same one; it goes with the last of them.
#[derive(Clone)]
pub struct Umem(Arc<Inner>);

struct Inner {
    base: NonNull<u8>,
    len: usize,
    /// log2 of the frame size.
    shift: u32,
    layout: UmemLayout,
    tag: u8,
    ledger: Ledger,
    /// Which frame the rest of a packet is in.
    ties: Ties,
    /// Free frames that no worker has on its list; holds all frames, so that a push never fails.
    pool: ArrayQueue<Frame>,
    /// xsk-rs' descriptor of each frame; none where no kernel knows of the UMEM.
    descs: Box<[FrameDesc]>,
    registrations: Mutex<Registrations>,
    backing: Backing,
}

/// What keeps the region mapped.
enum Backing {
    Kernel(xsk_rs::Umem),
    /// Never read by name: the region is reached through `Inner::base`.
    Heap {
        _memory: Box<[UnsafeCell<u128>]>,
    },
}

// SAFETY: `base` points into memory that `backing` keeps mapped, and every access to a frame's bytes goes through the
// frame's token, of which there is one.
unsafe impl Send for Inner {}
// SAFETY: as for `Send`; what is reached without a token (ledger, pool) is atomic.
unsafe impl Sync for Inner {}

impl fmt::Debug for Umem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Umem").field("len", &self.0.len).field("layout", &self.0.layout).finish_non_exhaustive()
    }
}

impl Umem {
    /// Map a UMEM with `layout.frames` frames for each of `workers` workers and register it with the kernel.
    ///
    /// # Errors
    /// A size that breaks its rule, or the kernel's refusal explained.
    pub fn create(layout: &UmemLayout, workers: u32) -> Result<Self, XskError> {
        let bytes = layout.total(workers)?;
        let refused = |reason: String, source| XskError::Umem { bytes, reason, source };
        let ring = QueueSize::new(layout.ring).map_err(|e| refused(e.to_string(), None))?;
        let size = FrameSize::new(layout.frame_size).map_err(|e| refused(e.to_string(), None))?;
        let config = UmemConfig::builder()
            .frame_size(size)
            .fill_queue_size(ring)
            .comp_queue_size(ring)
            .build()
            .map_err(|e| refused(e.to_string(), None))?;
        let count = NonZeroU32::new(layout.frames * workers.max(1))
            .ok_or_else(|| refused("a UMEM has at least one frame".into(), None))?;
        let (umem, descs) = xsk_rs::Umem::new(config, count, false).map_err(|error| {
            let source = std::error::Error::source(&error)
                .and_then(|cause| cause.downcast_ref::<io::Error>())
                .and_then(io::Error::raw_os_error)
                .map(io::Error::from_raw_os_error);
            refused(explain_umem(&error.to_string(), source.as_ref()), source)
        })?;
        let first = descs.first().ok_or_else(|| refused("the UMEM has no frame".into(), None))?;
        // SAFETY: `first` describes a frame of `umem` and nobody has a reference into it yet; its data length is 0.
        let data = unsafe { umem.data(first) }.contents().as_ptr().cast_mut();
        // SAFETY: the data of the first frame begins `addr` bytes behind the region's start, so this stays inside it.
        let base = unsafe { data.sub(first.addr()) };
        let base = NonNull::new(base).ok_or_else(|| refused("the UMEM is at address 0".into(), None))?;
        Ok(Self::new(layout, base, bytes, descs, Backing::Kernel(umem)))
    }

    /// A UMEM that no kernel knows of, for tests, fuzzers and simulations. No socket can be bound to it.
    ///
    /// # Errors
    /// A size that breaks its rule.
    pub fn in_memory(layout: &UmemLayout, workers: u32) -> Result<Self, XskError> {
        let bytes = layout.total(workers)?;
        let memory: Box<[UnsafeCell<u128>]> = (0..bytes / 16).map(|_| UnsafeCell::new(0)).collect();
        let base = NonNull::from(&*memory).cast();
        Ok(Self::new(layout, base, bytes, Vec::new(), Backing::Heap { _memory: memory }))
    }

    fn new(layout: &UmemLayout, base: NonNull<u8>, len: usize, descs: Vec<FrameDesc>, backing: Backing) -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let tag = NEXT.fetch_add(1, Relaxed);
        let shift = layout.frame_size.trailing_zeros();
        let frames = len >> shift;
        let pool = ArrayQueue::new(frames);
        let umem = Self(Arc::new(Inner {
            base,
            len,
            shift,
            layout: *layout,
            tag,
            ledger: Ledger::new(frames),
            ties: Ties::new(frames),
            pool,
            descs: descs.into(),
            registrations: Mutex::default(),
            backing,
        }));
        for index in 0..frames {
            let frame = umem.token(index);
            umem.put_back(frame);
        }
        umem
    }

    /// Start and length of the region, for mapping it into guests. The memory is the kernel's and the workers': look,
    /// don't touch. Valid while a handle to the UMEM is.
    #[must_use]
    pub fn region(&self) -> (NonNull<u8>, usize) {
        (self.0.base, self.0.len)
    }

    /// Sizes.
    #[must_use]
    pub fn layout(&self) -> &UmemLayout {
        &self.0.layout
    }

    /// Where the frames are. Exact when nothing moves; else each frame is counted once, at a moment of its own.
    #[must_use]
    pub fn counts(&self) -> FrameCounts {
        self.0.ledger.counts()
    }

    /// Bytes of the packet in `frame`.
    ///
    /// # Panics
    /// When the frame is of another UMEM.
    #[must_use]
    pub fn bytes<'a>(&'a self, frame: &'a Frame) -> &'a [u8] {
        self.guard(frame);
        // SAFETY: by `Frame`'s invariant the range lies in this region (the tag was compared), and who borrows the one
        // token shared keeps writers off: rings and `bytes_mut` want it owned or exclusively borrowed.
        unsafe { std::slice::from_raw_parts(self.at(frame.addr), frame.len.into()) }
    }

    /// Bytes of the packet in `frame`, to be rewritten.
    ///
    /// # Panics
    /// When the frame is of another UMEM.
    #[must_use]
    pub fn bytes_mut<'a>(&'a self, frame: &'a mut Frame) -> &'a mut [u8] {
        self.guard(frame);
        // SAFETY: as in `bytes`, and the exclusive borrow of the one token makes this the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.at(frame.addr), frame.len.into()) }
    }

    /// Bring the first bytes of the packet, and what is written in front of it, near the processor: another core wrote
    /// them, so that a look at them is waited for.
    pub fn prefetch(&self, frame: &Frame) {
        self.guard(frame);
        prefetch(self.at(frame.addr).wrapping_sub(METADATA_LEN));
        prefetch(self.at(frame.addr));
    }

    /// Give the packet in `frame` another length; its bytes up to there are whatever they were. False, and nothing has
    /// changed, when that is more than the frame has room for.
    ///
    /// # Panics
    /// When the frame is of another UMEM.
    #[must_use]
    pub(crate) fn resize(&self, frame: &mut Frame, len: usize) -> bool {
        self.guard(frame);
        let start = frame.addr as usize & ((1 << self.0.shift) - 1);
        let fits = u16::try_from(len).ok().filter(|_| start + len <= 1 << self.0.shift);
        frame.len = fits.unwrap_or(frame.len);
        fits.is_some()
    }

    /// What the XDP program wrote in front of the packet. It is wiped on the way, so that it is never believed twice.
    ///
    /// # Panics
    /// When the frame is of another UMEM.
    pub fn take_metadata(&self, frame: &mut Frame) -> Option<Metadata> {
        self.guard(frame);
        let in_frame = frame.addr as usize & ((1 << self.0.shift) - 1);
        if in_frame < METADATA_LEN {
            return None;
        }
        // SAFETY: the eight bytes in front of the packet lie in the same frame (just checked), which the exclusive borrow
        // of its token makes ours alone; a byte array needs no alignment.
        let bytes = unsafe { &mut *self.at(frame.addr).sub(METADATA_LEN).cast::<[u8; METADATA_LEN]>() };
        let metadata = Metadata::read(bytes);
        bytes.fill(0);
        metadata
    }

    /// Note where a frame went whose token the caller still holds, and the rest of its packet with it.
    pub(crate) fn note(&self, frame: &Frame, place: Place) {
        self.0.ledger.set(self.index(frame.addr), place);
        if frame.is_split() {
            self.each_tail(frame, |tail| self.0.ledger.set(self.index(tail.addr), place));
        }
    }

    /// Which frame the rest of a packet is in, by number.
    pub(super) fn ties(&self) -> &Ties {
        &self.0.ties
    }

    /// The token of a frame that came out of a ring; none when the ledger has it elsewhere, which would be a second token
    /// of a frame somebody has.
    pub(crate) fn claim(&self, addr: u32, len: u32, from: Place, to: Place) -> Option<Frame> {
        let end = u64::from(addr & (self.0.layout.frame_size - 1)) + u64::from(len);
        let len = u16::try_from(len).ok().filter(|_| end <= u64::from(self.0.layout.frame_size))?;
        self.0.ledger.transfer(self.index(addr), from, to).then_some(Frame { addr, len, umem: self.0.tag, tails: 0 })
    }

    /// A free frame from the shared pool.
    pub(crate) fn take_free(&self) -> Option<Frame> {
        self.0.pool.pop()
    }

    /// Give a frame to the shared pool.
    pub(crate) fn put_back(&self, frame: Frame) {
        self.guard(&frame);
        debug_assert!(!frame.is_split(), "the rest of its packet would be lost");
        self.note(&frame, Place::Free);
        // The pool has room for every frame and there is one token of each, so the push cannot fail.
        let pushed = self.0.pool.push(frame);
        debug_assert!(pushed.is_ok(), "the pool holds more tokens than there are frames");
    }

    /// Take back every frame in the rings of `port` into the shared pool; returns how many.
    ///
    /// # Safety
    /// The port's socket is closed and the kernel is done with its rings.
    pub(crate) unsafe fn reclaim(&self, port: PortId) -> usize {
        let mut count = 0;
        for index in self.0.ledger.in_rings_of(port) {
            self.put_back(self.token(index));
            count += 1;
        }
        count
    }

    /// Let the sockets that are bound from now on receive and send packets that take several frames, as far as the kernel
    /// and their drivers can.
    pub fn allow_parts(&self) {
        self.registrations().parts = true;
    }

    /// The first socket that was bound is closed: sockets go on other registrations of the UMEM from now on.
    pub(crate) fn lose_first(&self) {
        self.registrations().lose_first();
    }

    /// xsk-rs' descriptor for what lies `at` a place, in a frame whose token the caller is giving up. Its descriptors
    /// can be kept but not made up, and begin where the kernel lets packets begin: one that lies elsewhere is moved there.
    pub(super) fn desc(&self, at: Descriptor) -> FrameDesc {
        let mut desc = self.0.descs[self.index(at.addr)];
        let len = at.len.min(self.0.layout.frame_size - HEADROOM);
        if let Some(umem) = self.kernel().filter(|_| len > 0) {
            // SAFETY: `desc` is of this UMEM, and only who holds the frame's token may reach its bytes: the caller.
            unsafe { umem.data_mut(&mut desc) }.cursor().set_pos(len as usize);
        }
        let begin = u32::try_from(desc.addr()).unwrap_or(at.addr);
        if begin != at.addr {
            // SAFETY: both places are in one frame, the caller's: a token's packet ends with its frame at the latest, and
            // `len` bytes fit behind the headroom, where `desc` begins.
            unsafe { std::ptr::copy(self.at(at.addr), self.at(begin), len as usize) };
        }
        if at.more {
            desc.set_options(XDP_PKT_CONTD);
        }
        desc
    }

    /// How sockets get onto the UMEM.
    pub(super) fn registrations(&self) -> MutexGuard<'_, Registrations> {
        self.0.registrations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The UMEM as xsk-rs knows it; none for one in plain memory.
    pub(super) fn kernel(&self) -> Option<&xsk_rs::Umem> {
        match &self.0.backing {
            Backing::Kernel(umem) => Some(umem),
            Backing::Heap { .. } => None,
        }
    }

    fn token(&self, index: usize) -> Frame {
        let start = u32::try_from(index << self.0.shift).expect("`UmemLayout::total` keeps a UMEM below 2 GiB");
        Frame { addr: start + HEADROOM, len: 0, umem: self.0.tag, tails: 0 }
    }

    pub(super) fn index(&self, addr: u32) -> usize {
        addr as usize >> self.0.shift
    }

    pub(super) fn guard(&self, frame: &Frame) {
        assert_eq!(frame.umem, self.0.tag, "a frame of another UMEM");
    }

    fn at(&self, addr: u32) -> *mut u8 {
        // SAFETY: callers pass the address of a token of this UMEM, which lies inside the region.
        unsafe { self.0.base.as_ptr().add(addr as usize) }
    }
}

/// Have the cache line of an address fetched, where the processor can be told to; whatever the address, nothing else happens.
fn prefetch(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch is a hint, which neither faults nor changes what any code sees.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// The kernel's refusal of a UMEM in words.
fn explain_umem(said: &str, source: Option<&io::Error>) -> String {
    match source.and_then(io::Error::raw_os_error) {
        Some(libc::ENOBUFS | libc::ENOMEM) => {
            "not enough memory may be locked; raise RLIMIT_MEMLOCK (`ulimit -l unlimited`) or lower umem.frames".into()
        }
        Some(libc::EPERM | libc::EACCES) => "capability CAP_NET_RAW is missing; run as root or grant it".into(),
        Some(libc::EAFNOSUPPORT) => "this kernel has no AF_XDP (CONFIG_XDP_SOCKETS)".into(),
        Some(code) => format!("{said}: {}", io::Error::from_raw_os_error(code)),
        None => said.to_owned(),
    }
}
