//! Packet memory: the UMEM as inspection sees it, and a stand-in for it where there is no UMEM.
#![expect(unsafe_code, reason = "shared mappings are made and unmade by hand")]

use std::{io, marker::PhantomData, ptr::NonNull, sync::Arc};

use super::InspectError;
use crate::xsk::Umem;

/// Most bytes that fit between the window's guest address and the end of the 32-bit address space.
const MAX_LEN: usize = (1 << 32) - secuxflow_abi::WINDOW as usize;

/// Shared memory whose bytes the guests may read: a mapping, and another one behind it where the host keeps bytes aside.
///
/// Invariants: each base is page-aligned, each length a multiple of the page size; `0 < len + arena.len <= 2 GiB`; each
/// `base..base + len` is one live `MAP_SHARED` mapping (not of huge pages) for as long as the value's lifetime says.
#[derive(Debug, Clone, Copy)]
pub struct Region<'a> {
    base: NonNull<u8>,
    len: usize,
    arena: Option<(NonNull<u8>, usize)>,
    mapping: PhantomData<&'a [u8]>,
}

// SAFETY: a Region is an address and a length of memory that no thread owns more than another; its lifetime keeps the
// mapping alive on whatever thread it is used, and it offers no access to the memory itself.
unsafe impl Send for Region<'_> {}
// SAFETY: as for Send; all methods take `&self` and only return the two numbers.
unsafe impl Sync for Region<'_> {}

impl<'a> Region<'a> {
    /// Describe a UMEM's pages.
    ///
    /// # Safety
    /// `base..base + len` must lie in one `MAP_SHARED` mapping that stays mapped for `'a`.
    ///
    /// # Errors
    /// [`InspectError::Region`] when base or length are not multiples of the page size, or the length is 0 or above
    /// 2 GiB.
    pub unsafe fn new(base: *mut u8, len: usize) -> Result<Self, InspectError> {
        let refuse = |problem: String| Err(InspectError::Region { len, problem });
        let page = page_size();
        let Some(base) = NonNull::new(base) else {
            return refuse("its address is null".into());
        };
        if len == 0 || len > MAX_LEN {
            return refuse(format!("the length must be 1 to {MAX_LEN}; lower the number or the size of frames"));
        }
        if !len.is_multiple_of(page) || !base.addr().get().is_multiple_of(page) {
            return refuse(format!("address and length must be multiples of the page size, {page}"));
        }
        Ok(Self { base, len, arena: None, mapping: PhantomData })
    }

    /// The pages of a UMEM.
    ///
    /// # Errors
    /// As [`Region::new`].
    pub fn of_umem(umem: &'a Umem) -> Result<Self, InspectError> {
        let (base, len) = umem.region();
        // SAFETY: the UMEM is one MAP_SHARED mapping and stays mapped as long as it is borrowed.
        unsafe { Self::new(base.as_ptr(), len) }
    }

    /// The same, with a worker's arena right behind it.
    ///
    /// # Errors
    /// [`InspectError::Region`] when both together are above 2 GiB.
    pub fn with_arena(self, arena: &'a ArenaPages) -> Result<Self, InspectError> {
        let Mapping { base, len } = *arena.0;
        if self.len + len > MAX_LEN {
            let problem =
                format!("with {len} bytes for streams it is above {MAX_LEN}; lower umem.frames or streams.memory_mib");
            return Err(InspectError::Region { len: self.len, problem });
        }
        Ok(Self { arena: Some((base, len)), ..self })
    }

    /// First byte and length in bytes of each mapping, in their order.
    pub(super) fn pieces(&self) -> impl Iterator<Item = (*mut u8, usize)> {
        [Some((self.base, self.len)), self.arena].into_iter().flatten().map(|(base, len)| (base.as_ptr(), len))
    }

    /// Length in bytes of all of it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len + self.arena.map_or(0, |(_, len)| len)
    }

    /// Never: a region holds a page at least.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }
}

/// A shared anonymous mapping; it goes with the last who holds it.
#[derive(Debug)]
struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping is reached through `SharedMemory` alone, of which there is one for each part of a mapping: it writes by
// `&mut self`, so threads cannot race through it. Whoever reads the same pages through a mapping of its own (guests, the
// host's alias) does so by machine loads or volatile reads and holds no reference, so a write meanwhile changes a byte and
// nothing else.
unsafe impl Send for Mapping {}
// SAFETY: as for Send; by `&self` nothing is written.
unsafe impl Sync for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `SharedMemory::new` with this length and is unmapped only here. Windows onto the
        // same pages are mappings of their own and stay valid.
        let result = unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
        debug_assert_eq!(result, 0, "munmap of an own mapping");
    }
}

/// The pages of a worker's arena, for windows onto them; they stay mapped as long as this is held.
#[derive(Debug, Clone)]
pub struct ArenaPages(Arc<Mapping>);

impl ArenaPages {
    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// Never.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }
}

/// Shared anonymous memory that the host writes and guests read: what is kept aside of streams, and a stand-in for a UMEM in
/// test inspection and tests.
///
/// Invariant: `from + len` is not behind the end of the mapping, and no two values have a byte of it in common.
#[derive(Debug)]
pub struct SharedMemory {
    mapping: Arc<Mapping>,
    from: usize,
    len: usize,
}

impl SharedMemory {
    /// `len` zero bytes, rounded up to whole pages.
    ///
    /// # Errors
    /// The cause when the memory cannot be mapped; a length of 0 is invalid.
    pub fn new(len: usize) -> io::Result<Self> {
        let len = len
            .checked_next_multiple_of(page_size())
            .filter(|len| (1..=MAX_LEN).contains(len))
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("length must be 1 to {MAX_LEN}")))?;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no existing memory.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mmap returned null"))?;
        Ok(Self { mapping: Arc::new(Mapping { base, len }), from: 0, len })
    }

    /// Its first `at` bytes, and the others.
    ///
    /// # Errors
    /// `InvalidInput` when `at` is no multiple of the page size, or one of them would be empty.
    pub fn split(self, at: usize) -> io::Result<(Self, Self)> {
        if at == 0 || at >= self.len || !at.is_multiple_of(page_size()) {
            let text = format!("{} bytes cannot be split at {at}", self.len);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let behind = Self { mapping: Arc::clone(&self.mapping), from: self.from + at, len: self.len - at };
        Ok((Self { len: at, ..self }, behind))
    }

    /// The memory behind `pages`, for a test that reads as a guest does while nobody writes.
    #[cfg(test)]
    pub(crate) fn of(pages: &ArenaPages) -> Self {
        Self { mapping: Arc::clone(&pages.0), from: 0, len: pages.0.len }
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Put bytes at `offset`.
    ///
    /// # Errors
    /// `InvalidInput` when they do not fit.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> io::Result<()> {
        if offset.checked_add(bytes.len()).is_none_or(|end| end > self.len) {
            let text = format!("{} bytes at {offset} do not fit into {}", bytes.len(), self.len);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        // SAFETY: `offset + bytes.len() <= len` was checked, the mapping is writable, and this value is the only way to
        // write its part of it; `bytes` cannot overlap that, because a reference into it borrows this value.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.base().add(offset), bytes.len()) };
        Ok(())
    }

    /// `len` bytes at `offset`; none where they are not inside.
    #[must_use]
    pub fn read(&self, offset: usize, len: usize) -> Option<&[u8]> {
        if offset.checked_add(len)? > self.len {
            return None;
        }
        // SAFETY: the range is inside the mapping, which lives as long as the borrow of this value, initialised (the kernel
        // zeroed it), and written through `&mut self` only, which the borrow excludes.
        Some(unsafe { std::slice::from_raw_parts(self.base().add(offset), len) })
    }

    fn base(&self) -> *mut u8 {
        // SAFETY: `from` is inside the mapping, by the invariant.
        unsafe { self.mapping.base.as_ptr().add(self.from) }
    }

    /// The region that runners read: all of the mapping that this is part of.
    #[must_use]
    pub fn region(&self) -> Region<'_> {
        Region { base: self.mapping.base, len: self.mapping.len, arena: None, mapping: PhantomData }
    }

    /// The pages of that mapping, to lie behind another region.
    #[must_use]
    pub fn pages(&self) -> ArenaPages {
        ArenaPages(Arc::clone(&self.mapping))
    }
}

/// Size of a page in bytes.
pub(super) fn page_size() -> usize {
    // SAFETY: sysconf reads a constant of the system and touches no memory of ours.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}
