//! The few BPF system calls that libbpf-rs does not offer.
#![expect(unsafe_code, reason = "BPF system calls that libbpf-rs does not wrap")]

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr::NonNull,
    slice,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use libbpf_rs::libbpf_sys;

use super::Features;

/// Bytes that are copied or left out at a time.
const PAGE: usize = 4096;
const ZEROS: [u8; PAGE] = [0; PAGE];

/// Which program a link runs, and on which device.
#[derive(Debug, Clone, Copy)]
pub(super) struct LinkInfo {
    /// Kernel's number of the program.
    pub(super) program: u32,
    /// Device, 0 once it is gone.
    pub(super) ifindex: u32,
}

/// Attach `program` to a device by a link, in native or generic (`skb`) mode. Closing the link detaches.
pub(crate) fn create_xdp_link(program: BorrowedFd<'_>, ifindex: i32, skb: bool) -> io::Result<OwnedFd> {
    let options = libbpf_sys::bpf_link_create_opts {
        sz: size_of::<libbpf_sys::bpf_link_create_opts>() as libbpf_sys::size_t,
        flags: if skb { libbpf_sys::XDP_FLAGS_SKB_MODE } else { libbpf_sys::XDP_FLAGS_DRV_MODE },
        ..Default::default()
    };
    // SAFETY: `program` is borrowed, so its fd is open during the call; `options` outlives it and says its own size.
    let fd =
        unsafe { libbpf_sys::bpf_link_create(program.as_raw_fd(), ifindex, libbpf_sys::BPF_XDP, &raw const options) };
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(-fd));
    }
    // SAFETY: the kernel has just made this fd for us, and nothing else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What the device can do with XDP, of `enum netdev_xdp_act` of linux/netdev.h. Kernels before 6.3 do not tell, and those
/// before 6.6 nothing of zero-copy parts: the answers are no.
pub(super) fn features(ifindex: i32) -> io::Result<Features> {
    const NDO_XMIT: u64 = 1 << 2;
    const NDO_XMIT_SG: u64 = 1 << 6;
    let mut options = libbpf_sys::bpf_xdp_query_opts {
        sz: size_of::<libbpf_sys::bpf_xdp_query_opts>() as libbpf_sys::size_t,
        ..Default::default()
    };
    // SAFETY: `options` says its own size, and the library writes into nothing else.
    answer(unsafe { libbpf_sys::bpf_xdp_query(ifindex, 0, &raw mut options) })?;
    let has = |flag| options.feature_flags & flag != 0;
    Ok(Features {
        redirects: has(NDO_XMIT),
        split_redirects: has(NDO_XMIT) && has(NDO_XMIT_SG),
        zero_copy_parts: options.xdp_zc_max_segs,
    })
}

/// Pin a link or map at `path`, which lies on a bpf file system.
pub(super) fn pin(object: BorrowedFd<'_>, path: &std::ffi::CStr) -> io::Result<()> {
    // SAFETY: the fd is borrowed and open during the call; `path` is nul-terminated and outlives it.
    answer(unsafe { libbpf_sys::bpf_obj_pin(object.as_raw_fd(), path.as_ptr()) })
}

/// What the kernel knows of an XDP link.
pub(super) fn link_info(link: BorrowedFd<'_>) -> io::Result<LinkInfo> {
    let mut info = libbpf_sys::bpf_link_info::default();
    let mut size = u32::try_from(size_of_val(&info)).map_err(io::Error::other)?;
    // SAFETY: the fd is borrowed and open; the kernel writes at most `size` bytes, the size of `info`, into it.
    answer(unsafe { libbpf_sys::bpf_link_get_info_by_fd(link.as_raw_fd(), &raw mut info, &raw mut size) })?;
    // SAFETY: every member of the union is plain integers and it was zero before the call, so all bytes of it are
    // initialised; for a link of another type the number means nothing, and no device will be compared equal by it.
    let ifindex = unsafe { info.__bindgen_anon_1.xdp.ifindex };
    Ok(LinkInfo { program: info.prog_id, ifindex })
}

/// An array map's values, mapped into this process. Programs and other CPUs change them at any time.
#[derive(Debug)]
pub(super) struct Mapping {
    words: NonNull<AtomicU64>,
    count: usize,
}

// SAFETY: a mapping is of the process, not of a thread; `words` points to atomics only.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// The first `bytes`, a multiple of eight. Fails when the map is not mappable (`BPF_F_MMAPABLE`) or shorter.
    pub(super) fn new(map: BorrowedFd<'_>, bytes: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory of this process; the fd is
        // borrowed and open during the call.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, libc::MAP_SHARED, map.as_raw_fd(), 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let words = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mapped at address 0"))?;
        Ok(Self { words, count: bytes / size_of::<u64>() })
    }

    /// All words.
    pub(super) fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping has this many words, begins at a page, stays until `self` is dropped, and whoever else writes
        // to it does so by whole words, as the programs' compiler aligns them.
        unsafe { slice::from_raw_parts(self.words.as_ptr(), self.count) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this length, and `words` lends nothing that outlives `self`.
        unsafe { libc::munmap(self.words.as_ptr().cast(), self.count * size_of::<u64>()) };
    }
}

/// Write `bytes`, a multiple of eight, into an array map from its beginning, through a mapping of it. The map is new, so it
/// is all zeros: pages of zeros are left out. Fails as [`Mapping::new`] does.
pub(super) fn fill_array(map: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    if !bytes.len().is_multiple_of(size_of::<u64>()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a table ends in the middle of a word"));
    }
    let mapping = Mapping::new(map, bytes.len())?;
    for (page, words) in bytes.chunks(PAGE).zip(mapping.words().chunks(PAGE / size_of::<u64>())) {
        if *page == ZEROS[..page.len()] {
            continue;
        }
        for (value, word) in page.as_chunks().0.iter().zip(words) {
            word.store(u64::from_ne_bytes(*value), Relaxed);
        }
    }
    Ok(())
}

/// Hand the entries of a hash map to `each`, as key and value, read by the batch; entries that come or go meanwhile may be
/// left out. libbpf-rs' own way takes a batch that is not full for the last, which of a hash map it is not: the kernel
/// hands out whole buckets.
pub(super) fn each_entry(
    map: BorrowedFd<'_>,
    key_size: usize,
    value_size: usize,
    mut each: impl FnMut(&[u8], &[u8]),
) -> io::Result<()> {
    // Room for more entries than any bucket has, unless keys are chosen to fall together, which the kernel's seed prevents.
    let mut room = 1024_u32;
    let (mut at, mut begun) = (0_u32, false);
    let buffers = |room: u32| (vec![0_u8; key_size * room as usize], vec![0_u8; value_size * room as usize]);
    let (mut keys, mut values) = buffers(room);
    loop {
        let (mut count, mut next) = (room, 0_u32);
        let from = if begun { (&raw mut at).cast() } else { std::ptr::null_mut() };
        // SAFETY: the fd is borrowed and open. A hash map's position is a u32, which `from` points to or is null, and
        // `next` is one. Both buffers have room for `count` entries of the map's own sizes, which the caller gives, and
        // outlive the call; options may be null.
        let code = unsafe {
            libbpf_sys::bpf_map_lookup_batch(
                map.as_raw_fd(),
                from,
                (&raw mut next).cast(),
                keys.as_mut_ptr().cast(),
                values.as_mut_ptr().cast(),
                &raw mut count,
                std::ptr::null(),
            )
        };
        let end = code == -libc::ENOENT;
        if code == -libc::ENOSPC && room < 1 << 20 {
            room *= 2;
            (keys, values) = buffers(room);
            continue;
        }
        if !end {
            answer(code)?;
        }
        let entries = keys.chunks_exact(key_size).zip(values.chunks_exact(value_size));
        entries.take(count as usize).for_each(|(key, value)| each(key, value));
        if end {
            return Ok(());
        }
        (at, begun) = (next, true);
    }
}

/// Instructions that the verifier processed before it accepted `program`.
#[cfg(test)]
pub(super) fn verified_instructions(program: BorrowedFd<'_>) -> io::Result<u32> {
    let mut info = libbpf_sys::bpf_prog_info::default();
    let mut size = u32::try_from(size_of_val(&info)).map_err(io::Error::other)?;
    // SAFETY: the fd is borrowed and open; the kernel writes at most `size` bytes, the size of `info`, into it, and as
    // all its pointers are null it writes nowhere else.
    answer(unsafe { libbpf_sys::bpf_prog_get_info_by_fd(program.as_raw_fd(), &raw mut info, &raw mut size) })?;
    Ok(info.verified_insns)
}

/// Run `program` once on `packet`; its return value. May be called from many threads at once.
#[cfg(test)]
pub(super) fn run(program: BorrowedFd<'_>, packet: &[u8]) -> io::Result<u32> {
    let mut options = libbpf_sys::bpf_test_run_opts {
        sz: size_of::<libbpf_sys::bpf_test_run_opts>() as libbpf_sys::size_t,
        data_in: packet.as_ptr().cast(),
        data_size_in: u32::try_from(packet.len()).map_err(io::Error::other)?,
        ..Default::default()
    };
    // SAFETY: the fd is borrowed and open during the call; `options` says its own size, and the kernel reads
    // `data_size_in` bytes of `packet`, which outlives the call, and writes no packet as there is no `data_out`.
    answer(unsafe { libbpf_sys::bpf_prog_test_run_opts(program.as_raw_fd(), &raw mut options) })?;
    Ok(options.retval)
}

/// A program of `instructions`: opcode, registers (source in the high half), offset, immediate.
#[cfg(test)]
pub(super) fn assemble(instructions: &[(u8, u8, i16, i32)]) -> io::Result<OwnedFd> {
    let code: Vec<u64> = instructions
        .iter()
        .map(|&(opcode, registers, offset, immediate)| {
            let ([a, b], [c, d, e, f]) = (offset.to_ne_bytes(), immediate.to_ne_bytes());
            u64::from_ne_bytes([opcode, registers, a, b, c, d, e, f])
        })
        .collect();
    // SAFETY: the name and the licence are nul-terminated; an instruction has eight bytes, laid out as above, and the count
    // is theirs; no options are given.
    let fd = unsafe {
        libbpf_sys::bpf_prog_load(
            libbpf_sys::BPF_PROG_TYPE_XDP,
            c"sxf_test".as_ptr(),
            c"GPL".as_ptr(),
            code.as_ptr().cast(),
            code.len() as libbpf_sys::size_t,
            std::ptr::null_mut(),
        )
    };
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(-fd));
    }
    // SAFETY: the kernel has just made this fd for us, and nothing else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Run `program` on `count` copies of `packet` whose verdicts are carried out, as if a driver had received them.
#[cfg(test)]
pub(super) fn run_live(program: BorrowedFd<'_>, packet: &[u8], count: u32) -> io::Result<()> {
    let mut options = libbpf_sys::bpf_test_run_opts {
        sz: size_of::<libbpf_sys::bpf_test_run_opts>() as libbpf_sys::size_t,
        data_in: packet.as_ptr().cast(),
        data_size_in: u32::try_from(packet.len()).map_err(io::Error::other)?,
        repeat: i32::try_from(count).map_err(io::Error::other)?,
        batch_size: 64,
        flags: libbpf_sys::BPF_F_TEST_XDP_LIVE_FRAMES,
        ..Default::default()
    };
    // SAFETY: as in `run`.
    answer(unsafe { libbpf_sys::bpf_prog_test_run_opts(program.as_raw_fd(), &raw mut options) })
}

/// libbpf answers 0 or a negative error number.
fn answer(code: i32) -> io::Result<()> {
    if code < 0 { Err(io::Error::from_raw_os_error(-code)) } else { Ok(()) }
}

/// An AF_XDP socket that is bound to nothing: enough for the socket map, and so for a redirect in a test run.
#[cfg(test)]
pub(super) fn xdp_socket() -> io::Result<OwnedFd> {
    // SAFETY: no pointer is passed.
    let fd = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this fd for us, and nothing else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
