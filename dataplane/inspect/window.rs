//! The window: packet memory mapped read-only into a guest's linear memory.
//!
//! ```text
//! memory base                + 1 GiB              + 2 GiB = WINDOW          + 4 GiB     + 6 GiB
//!   | heap, grows to its limit | no access           | UMEM, arena, read-only | … | guard   |
//!   '---- the pool's business -'                     '---- ours --------------'
//! ```
//!
//! # Why this is safe
//!
//! **Against guests.** A guest's address is 32 bits wide and a load adds a constant offset; the engine reserves 4 GiB + a
//! 2 GiB guard per memory and compiles explicit checks for larger offsets, so no access leaves the slot. Loads and stores
//! are plain moves (no bounds check is compiled), so the page tables decide:
//! * a load from the window reads a frame; past its end, or between heap and window, it faults, which is a trap;
//! * a store into the window faults, because every mapping of it that a guest has is `PROT_READ`;
//! * `memory.fill`, `memory.copy` and `memory.init` are bounds-checked by the host against the heap's size: the window
//!   is out of bounds in either direction, a trap. (So a guest copies *from* the window with loads.)
//! * `memory.grow` cannot reach the window: the pool's `max_memory_size` is [`secuxflow_abi::HEAP_LIMIT`], below it, and
//!   that is asserted in [`engine`](super::engine). Host functions take guest pointers only inside the heap.
//!
//! **Against the pool.** The pooling allocator makes a slot as one inaccessible mapping and, from then on, changes
//! protection, resets and decommits only `base..base + max_memory_size`, the first GiB. What lies above it is never
//! touched by the allocator, neither while an instance lives nor when its slot is reused. Two things follow. The window
//! survives everything that the pool does; and it would survive the instance, so that the next instance in the slot, of
//! another UMEM perhaps, would find the old one's packets. [`Window`] therefore puts back what was there, an
//! inaccessible private anonymous mapping, when it is dropped, and [`Instance`](super::instance) drops it before its
//! store, while the slot is still its own. `MAP_FIXED` replaces the range in one step: at no time is it free for another
//! mapping of the process. If the kernel refuses (out of mappings), the process aborts: going on would break isolation. The
//! same holds when the mapping of a window fails half-way.
//!
//! **Against the UMEM's end.** `mremap` with an old length of 0 makes a second mapping of the same shared pages, with a
//! reference of its own: a window stays readable after the UMEM was unmapped.
#![expect(unsafe_code, reason = "packet memory is mapped into a guest's memory")]

use std::{io, ptr::NonNull};

use arrayvec::ArrayVec;
use secuxflow_abi::WINDOW;

use super::{InspectError, Region};

/// Most mappings of a region: the UMEM, and the arena behind it.
const PIECES: usize = 2;

/// A read-only second mapping of a region's pages, from which windows are made, and through which the host reads.
#[derive(Debug)]
pub(super) struct Alias {
    base: NonNull<u8>,
    len: usize,
    /// Lengths of the region's mappings, which lie one behind the other; a call of mremap takes one of them.
    pieces: ArrayVec<usize, PIECES>,
}

// SAFETY: the mapping belongs to this value alone and is read-only: moving it to another thread moves two numbers.
unsafe impl Send for Alias {}

impl Alias {
    /// Map the region's pages once more, read-only.
    pub(super) fn new(region: &Region<'_>) -> Result<Self, InspectError> {
        let len = region.len();
        let failed = |what: &str, e: io::Error| InspectError::Region { len, problem: format!("{what}: {e}") };
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no existing memory.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len, libc::PROT_NONE, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(failed("mmap", io::Error::last_os_error()));
        }
        let Some(base) = NonNull::new(base.cast::<u8>()) else {
            return Err(failed("mmap", io::Error::other("null address")));
        };
        let mut alias = Self { base, len, pieces: ArrayVec::new() };
        let mut at = base.as_ptr();
        for (from, len) in region.pieces() {
            let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
            // SAFETY: Region's invariant: from..from + len lies in a live MAP_SHARED mapping, and an old length of 0 leaves it
            // as it is; the target is inside the range that was just reserved for it, because the lengths add up to it.
            let got = unsafe { libc::mremap(from.cast(), 0, len, flags, at) };
            if got == libc::MAP_FAILED {
                let e = io::Error::last_os_error();
                return Err(failed("mremap (the memory must be a MAP_SHARED mapping without huge pages)", e));
            }
            // SAFETY: the range is the mapping just made, owned by `alias`; nothing holds a reference into it yet.
            if unsafe { libc::mprotect(at.cast(), len, libc::PROT_READ) } != 0 {
                return Err(failed("mprotect", io::Error::last_os_error()));
            }
            alias.pieces.push(len);
            // SAFETY: at + len is inside the reserved range, or its end.
            at = unsafe { at.add(len) };
        }
        Ok(alias)
    }

    /// Copy of a frame at offset `offset` of the region, as much of it as `to` holds; `None` when it is not inside the region.
    ///
    /// A copy by volatile reads, not a slice: nothing in the types keeps the UMEM's owner from writing meanwhile, and
    /// then a wrong byte in an alert is all that may come of it. For the cold path.
    pub(super) fn copy<'b>(&self, offset: usize, len: usize, to: &'b mut [u8]) -> Option<&'b [u8]> {
        if offset.checked_add(len)? > self.len {
            return None;
        }
        let to = to.get_mut(..len.min(to.len()))?;
        for (i, byte) in to.iter_mut().enumerate() {
            // SAFETY: offset + i < offset + len <= self.len was checked, and the mapping is readable as long as self.
            *byte = unsafe { self.base.as_ptr().add(offset + i).read_volatile() };
        }
        Some(to)
    }
}

impl Drop for Alias {
    fn drop(&mut self) {
        // SAFETY: the range was mapped in `new` with this length; no reference into it is given out.
        let result = unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
        debug_assert_eq!(result, 0, "munmap of an own mapping");
    }
}

/// A window in one instance's memory; the range is made inaccessible again on drop.
#[derive(Debug)]
pub(super) struct Window {
    at: NonNull<u8>,
    len: usize,
    /// Of that, the UMEM's part.
    frames: usize,
}

// SAFETY: Window is the right to a range of one store's memory and moves together with that store, which is Send.
unsafe impl Send for Window {}

impl Window {
    /// Map `alias` into the linear memory that starts at `memory_base`.
    ///
    /// # Safety
    /// `memory_base` must be the base of a live linear memory of an engine made by [`engine`](super::engine::engine),
    /// and the Window must be dropped before that memory's store.
    pub(super) unsafe fn map(alias: &Alias, memory_base: *mut u8) -> io::Result<Self> {
        // SAFETY: the reservation behind memory_base is 4 GiB (the caller's promise), more than WINDOW.
        let at = unsafe { memory_base.add(WINDOW as usize) };
        let at = NonNull::new(at).ok_or_else(|| io::Error::other("null memory base"))?;
        // What is mapped so far; dropped, and so made inaccessible again, when a later piece fails.
        let mut window = Self { at, len: 0, frames: alias.pieces.first().copied().unwrap_or(0) };
        for &len in &alias.pieces {
            let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
            // SAFETY: the pieces lie one behind the other in the alias and so in the window; their sum, the alias' length, is
            // bounded by Region to 4 GiB - WINDOW.
            let (from, to) = unsafe { (alias.base.as_ptr().add(window.len), at.as_ptr().add(window.len)) };
            // SAFETY: the target lies wholly in the reservation (see above); it is above the pool's part of the slot, so
            // nothing of the allocator is replaced. The source is one shared mapping and stays as it is.
            let got = unsafe { libc::mremap(from.cast(), 0, len, flags, to) };
            if got == libc::MAP_FAILED {
                let error = io::Error::last_os_error();
                // SAFETY: the range is the window's place in a slot that is allocated to the caller's store.
                unsafe { seal(to, len) };
                return Err(error);
            }
            window.len += len;
        }
        Ok(window)
    }

    /// Enter every page of frames into the page table now, so that a first read of a frame does not fault. Best effort:
    /// kernels before 5.14 do not know it, and then each page faults once. The arena takes memory as it is used.
    pub(super) fn populate(&self) {
        // SAFETY: the range is this window's own mapping; populating for reading changes no content.
        let result = unsafe { libc::madvise(self.at.as_ptr().cast(), self.frames, libc::MADV_POPULATE_READ) };
        if result != 0 {
            tracing::debug!("window pages not populated: {}", io::Error::last_os_error());
        }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        if self.len == 0 {
            return;
        }
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
        // SAFETY: the range is this window's own mapping inside a slot that is still allocated to its store (promise of
        // `map`'s caller); replacing it restores what the pool made there.
        let got = unsafe { libc::mmap(self.at.as_ptr().cast(), self.len, libc::PROT_NONE, flags, -1, 0) };
        if got == libc::MAP_FAILED {
            tracing::error!("cannot unmap packet memory from a module: {}", io::Error::last_os_error());
            std::process::abort();
        }
    }
}

/// After a failed `mremap`: it may have unmapped its target already, and what the process maps there next would be the
/// guest's to read and write. Make the range inaccessible again, or abort.
///
/// # Safety
/// `at..at + len` lies above the pool's part of a slot that is allocated to the caller's store.
#[cold]
unsafe fn seal(at: *mut u8, len: usize) {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: nothing that is mapped is replaced, and the range is the slot's own (the caller's promise).
    let got = unsafe { libc::mmap(at.cast(), len, libc::PROT_NONE, flags, -1, 0) };
    if got != at.cast() && !is_inaccessible(at.addr(), len).unwrap_or(false) {
        tracing::error!("cannot take back address space from a module: {}", io::Error::last_os_error());
        std::process::abort();
    }
}

/// Whether every byte of the range belongs to a private mapping without any access.
fn is_inaccessible(start: usize, len: usize) -> io::Result<bool> {
    let mut reached = start;
    // In ascending order: "55d0c8a00000-55d0c8a21000 ---p 00000000 00:00 0 name", proc_pid_maps(5).
    for line in std::fs::read_to_string("/proc/self/maps")?.lines() {
        let mapping = line.split_once(' ').and_then(|(range, rest)| {
            let (from, to) = range.split_once('-')?;
            let address = |text| usize::from_str_radix(text, 16).ok();
            Some((address(from)?, address(to)?, rest.starts_with("---p")))
        });
        match mapping {
            Some((from, to, true)) if from <= reached && reached < to => reached = to,
            _ => {}
        }
    }
    Ok(reached >= start.saturating_add(len))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 4096;

    fn map(at: *mut u8, pages: usize, protection: i32, flags: i32) -> *mut u8 {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | flags;
        // SAFETY: a new mapping, or one over pages that this test has mapped itself.
        let got = unsafe { libc::mmap(at.cast(), pages * PAGE, protection, flags, -1, 0) };
        assert_ne!(got, libc::MAP_FAILED);
        got.cast()
    }

    #[test]
    fn a_hole_is_closed_and_what_is_sealed_is_told_from_what_is_not() {
        // Far from where the kernel places mappings by itself: no other thread takes the range while it is free.
        let far = std::ptr::without_provenance_mut(0x2000_0000_0000);
        let base = map(far, 8, libc::PROT_NONE, libc::MAP_FIXED_NOREPLACE);
        let (start, len) = (base.addr(), 8 * PAGE);
        assert!(is_inaccessible(start, len).unwrap());
        // SAFETY: the range is this test's; sealing what is sealed already changes nothing.
        unsafe { seal(base, len) };
        // SAFETY: a page of the mapping above, to which nobody has a reference.
        let middle = unsafe { base.add(3 * PAGE) };
        map(middle, 1, libc::PROT_READ, libc::MAP_FIXED);
        assert!(!is_inaccessible(start, len).unwrap());
        // SAFETY: as above.
        assert_eq!(unsafe { libc::munmap(base.cast(), len) }, 0);
        assert!(!is_inaccessible(start, len).unwrap());
        // SAFETY: as above; the range is free now.
        unsafe { seal(base, len) };
        assert!(is_inaccessible(start, len).unwrap());
        // SAFETY: as above.
        assert_eq!(unsafe { libc::munmap(base.cast(), len) }, 0);
    }
}
