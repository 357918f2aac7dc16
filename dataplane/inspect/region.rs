//! Packet memory: the UMEM as inspection sees it, and a stand-in for it where there is no UMEM.
#![expect(unsafe_code, reason = "shared mappings are made and unmade by hand")]

use std::{io, marker::PhantomData, ptr::NonNull};

use super::InspectError;
use crate::xsk::Umem;

/// Most bytes that fit between the window's guest address and the end of the 32-bit address space.
const MAX_LEN: usize = (1 << 32) - secuxflow_abi::WINDOW as usize;

/// A shared memory mapping whose frames the guests may read: base, and length in bytes.
///
/// Invariants: `base` is page-aligned; `0 < len <= 2 GiB`, a multiple of the page size; `base..base + len` is one live
/// `MAP_SHARED` mapping (not of huge pages) for as long as the value's lifetime says.
#[derive(Debug, Clone, Copy)]
pub struct Region<'a> {
    base: NonNull<u8>,
    len: usize,
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
        Ok(Self { base, len, mapping: PhantomData })
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

    /// First byte.
    #[must_use]
    pub fn base(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never: a region holds a page at least.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }
}

/// Shared anonymous memory that stands in for a UMEM: for test inspection of a made-up packet, and for tests.
#[derive(Debug)]
pub struct SharedMemory {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping is owned by this value alone; writing takes `&mut self`, so threads cannot race through it. Whoever
// reads the same pages through a mapping of its own (guests, the host's alias) does so by machine loads or volatile
// reads and holds no reference, so a write meanwhile changes a byte and nothing else.
unsafe impl Send for SharedMemory {}
// SAFETY: as for Send; `&self` gives out no reference to the memory.
unsafe impl Sync for SharedMemory {}

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
        Ok(Self { base, len })
    }

    /// Put a frame at `offset`.
    ///
    /// # Errors
    /// `InvalidInput` when it does not fit.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> io::Result<()> {
        if offset.checked_add(bytes.len()).is_none_or(|end| end > self.len) {
            let text = format!("{} bytes at {offset} do not fit into {}", bytes.len(), self.len);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        // SAFETY: `offset + bytes.len() <= len` was checked, the mapping is writable and owned by self, and `bytes`
        // cannot overlap it because no reference into the mapping is ever given out.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.base.as_ptr().add(offset), bytes.len()) };
        Ok(())
    }

    /// The region that runners read.
    #[must_use]
    pub fn region(&self) -> Region<'_> {
        Region { base: self.base, len: self.len, mapping: PhantomData }
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` with this length and is unmapped only here. Windows onto the same pages
        // are mappings of their own and stay valid.
        let result = unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
        debug_assert_eq!(result, 0, "munmap of an own mapping");
    }
}

/// Size of a page in bytes.
pub(super) fn page_size() -> usize {
    // SAFETY: sysconf reads a constant of the system and touches no memory of ours.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}
