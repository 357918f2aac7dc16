//! A lane: memory shared with the kernel that a worker copies packets into, and the call that has them sent.
#![expect(unsafe_code, reason = "memory shared with the kernel, and a BPF system call that libbpf-rs does not wrap")]

use std::{
    fmt, io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
    ptr::{self, NonNull},
    sync::Arc,
};

use libbpf_rs::libbpf_sys;

use super::types::{RawLane, RawSlot, Shape};

/// Longest packet in bytes that can be injected: a live frame is one page.
pub const LONGEST: usize = Shape::SXF_LANE_LONGEST.0 as usize;
/// Packets that one call sends at most.
pub const SLOTS: usize = Shape::SXF_LANE_SLOTS.0 as usize;
/// Bytes up to which the longest packet still fits in.
const ROOM: u32 = Shape::SXF_LANE_BYTES.0 - Shape::SXF_LANE_LONGEST.0;
/// Packets begin at cache lines.
const LINE: u32 = 64;
/// Frames that the kernel makes at a time, before the receiver has its turn. The queue of a veth holds 256, which as many
/// at a time overflow now and then: 2 in 1,000 were lost, and are not with half of it.
const AT_A_TIME: u32 = 128;
/// Bytes of `struct xdp_md`.
const CONTEXT_LEN: u32 = 24;
/// Longest frame that a call begins with.
const FRAME: usize = Shape::SXF_LANE_CALL.0 as usize + 256;
/// Most lanes.
pub(super) const MAX_LANES: u32 = 257;
/// Times that a call which a signal ended is taken up again; each gets on by [`AT_A_TIME`] packets or ends.
const TRIES: u32 = 2 * Shape::SXF_LANE_SLOTS.0 / AT_A_TIME;

/// Has the kernel send copies of packets. Implemented by [`Lane`] and, in tests, by a simulation.
pub trait Inject: fmt::Debug + Send {
    /// Copy a packet, to be sent by the device with this index. False when it does not fit in before the next
    /// [`run`](Self::run); one longer than [`LONGEST`] never does.
    fn push(&mut self, ifindex: u32, packet: &[u8]) -> bool;

    /// Packets that were pushed since the last run.
    fn pushed(&self) -> usize;

    /// Have everything sent that was pushed. When this returns the receivers have it.
    fn run(&mut self) -> Injected;
}

/// What became of the packets of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Injected {
    /// Packets that were to be sent.
    pub packets: u64,
    /// Of those, packets that no device took: its receiver's queue was full, or it is down, gone or refuses them.
    pub lost: u64,
    /// Index of a device that takes nothing: it is gone, or the receiving end has neither GRO nor an XDP program.
    pub refused: Option<u32>,
    /// The call itself failed, and will again.
    pub broken: bool,
}

/// All lanes, mapped.
#[derive(Debug)]
pub(super) struct Lanes {
    base: NonNull<RawLane>,
    count: u32,
}

// SAFETY: `Lanes` is a mapping, which any thread may unmap; what it points to is reached through `Lane`s only.
unsafe impl Send for Lanes {}
// SAFETY: as above, and it has no method that reads or writes the memory.
unsafe impl Sync for Lanes {}

impl Lanes {
    /// Map the `count` entries of the array map `lanes`.
    pub(super) fn map(map: BorrowedFd<'_>, count: u32) -> io::Result<Self> {
        // The kernel rounds an entry up to 8 bytes, which the struct is a multiple of.
        const { assert!(size_of::<RawLane>().is_multiple_of(8)) };
        let len = size_of::<RawLane>() * count as usize;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory of this process; the fd is
        // borrowed and open during the call.
        let base = unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, map.as_raw_fd(), 0) };
        match NonNull::new(base.cast::<RawLane>()) {
            Some(lanes) if base != libc::MAP_FAILED => Ok(Self { base: lanes, count }),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `map` with this length, and every `Lane` that points into it holds an `Arc` of
        // this, so there is none any more.
        let status = unsafe { libc::munmap(self.base.as_ptr().cast(), size_of::<RawLane>() * self.count as usize) };
        debug_assert_eq!(status, 0, "{}", io::Error::last_os_error());
    }
}

/// One lane and the right to use it.
///
/// Invariants: it is the only one of its number; `count <= SLOTS` slots and `used <= ROOM + LONGEST` bytes are filled, and
/// `used` is a multiple of a cache line.
pub struct Lane {
    lane: NonNull<RawLane>,
    number: u32,
    /// `sxf_inject`.
    program: OwnedFd,
    /// Device that the frames seem to come from.
    spare: u32,
    count: u32,
    used: u32,
    _lanes: Arc<Lanes>,
}

// SAFETY: `lane` points into `_lanes`, which lives as long, and this is the one user of that part of it.
unsafe impl Send for Lane {}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("number", &self.number).field("count", &self.count).finish_non_exhaustive()
    }
}

impl Lane {
    /// All lanes of the mapping, which this consumes, each once. `program` and `spare` as in the struct.
    pub(super) fn all(lanes: Lanes, program: BorrowedFd<'_>, spare: u32) -> io::Result<Vec<Self>> {
        let lanes = Arc::new(lanes);
        let lane = |number| {
            // SAFETY: `number < count`, so that the pointer stays inside the mapping.
            let lane = unsafe { lanes.base.add(number as usize) };
            let program = program.try_clone_to_owned()?;
            Ok(Self { lane, number, program, spare, count: 0, used: 0, _lanes: Arc::clone(&lanes) })
        };
        (0..lanes.count).map(lane).collect()
    }

    /// Have the program run `repeat` times.
    pub(super) fn call(&mut self, repeat: u32) -> io::Result<()> {
        let frame = [0_u8; FRAME];
        let length = Shape::SXF_LANE_CALL.0 + self.number;
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let context: [u32; CONTEXT_LEN as usize / 4] = [0, length, 0, self.spare, 0, 0];
        let mut options = libbpf_sys::bpf_test_run_opts {
            sz: size_of::<libbpf_sys::bpf_test_run_opts>() as libbpf_sys::size_t,
            data_in: frame.as_ptr().cast(),
            data_size_in: length,
            ctx_in: context.as_ptr().cast(),
            ctx_size_in: CONTEXT_LEN,
            repeat: i32::try_from(repeat).unwrap_or(i32::MAX),
            batch_size: repeat.min(AT_A_TIME),
            flags: libbpf_sys::BPF_F_TEST_XDP_LIVE_FRAMES,
            ..Default::default()
        };
        // SAFETY: the program's fd is open as long as `self`; `options` says its own size; the kernel reads `length`
        // bytes of `frame`, of which there are more by `MAX_LANES`, and the context, and both outlive the call. There is
        // no buffer that it would write to.
        match unsafe { libbpf_sys::bpf_prog_test_run_opts(self.program.as_raw_fd(), &raw mut options) } {
            0.. => Ok(()),
            code => Err(io::Error::from_raw_os_error(-code)),
        }
    }

    /// The lane's own words; the kernel reads and writes them during a call only.
    fn words(&self) -> *mut RawLane {
        self.lane.as_ptr()
    }
}

impl Inject for Lane {
    fn push(&mut self, ifindex: u32, packet: &[u8]) -> bool {
        let Ok(len) = u32::try_from(packet.len()) else { return false };
        if self.count as usize == SLOTS || self.used > ROOM || packet.len() > LONGEST {
            return false;
        }
        let slot = RawSlot { ifindex, offset: self.used, len, reserved: 0 };
        let lane = self.words();
        // SAFETY: `count < SLOTS`, and `used + len <= ROOM + LONGEST` by the check, the size of `bytes`, so both writes stay inside the lane. Nobody
        // else has a pointer to it (the struct's first invariant), the kernel looks at it during calls only, and `packet`
        // is no part of it, for no reference into a lane is ever made.
        unsafe {
            (&raw mut (*lane).slots).cast::<RawSlot>().add(self.count as usize).write(slot);
            let to = (&raw mut (*lane).bytes).cast::<u8>().add(self.used as usize);
            to.copy_from_nonoverlapping(packet.as_ptr(), packet.len());
        }
        self.count += 1;
        self.used += len.next_multiple_of(LINE);
        true
    }

    fn pushed(&self) -> usize {
        self.count as usize
    }

    fn run(&mut self) -> Injected {
        let count = std::mem::take(&mut self.count);
        self.used = 0;
        if count == 0 {
            return Injected::default();
        }
        let lane = self.words();
        // SAFETY: the words lie in the lane, which is ours alone between calls.
        unsafe {
            (&raw mut (*lane).count).write_volatile(count);
            (&raw mut (*lane).next).write_volatile(0);
            (&raw mut (*lane).refused).write_volatile(0);
            (&raw mut (*lane).sent).write_volatile(0);
        }
        let mut broken = false;
        let mut rest = count;
        for _ in 0..TRIES {
            match self.call(rest) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    // SAFETY: as above; the call is over.
                    let next = unsafe { (&raw const (*lane).next).read_volatile() };
                    rest = count.saturating_sub(next);
                    if rest == 0 {
                        break;
                    }
                }
                Err(_) => {
                    broken = true;
                    break;
                }
            }
        }
        // SAFETY: as above; the call is over. With no slot filled a run that is not ours takes none.
        let (sent, refused) = unsafe {
            (&raw mut (*lane).count).write_volatile(0);
            ((&raw const (*lane).sent).read_volatile(), (&raw const (*lane).refused).read_volatile())
        };
        let packets = u64::from(count);
        Injected { packets, lost: packets.saturating_sub(sent), refused: (refused != 0).then_some(refused), broken }
    }
}
