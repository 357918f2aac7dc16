//! The heap of a guest: small blocks that were given back are kept in lists by size and handed out again, so that what a
//! message needs costs a few instructions, not a search. What is kept is bounded; all else goes to the allocator behind.
#![expect(unsafe_code, reason = "an allocator; the one of a guest without threads")]

use core::{
    alloc::{GlobalAlloc, Layout},
    cell::UnsafeCell,
    fmt, ptr,
};

/// Sizes of kept blocks are multiples of this.
const STEP: usize = 16;
/// Largest block that is kept, in bytes.
const LARGEST: usize = 1024;
/// Largest alignment of a block that is kept.
const ALIGNMENT: usize = 8;
/// Most blocks of a size that are kept: half a MiB, were all sizes full.
const MOST: u32 = 16;
const SIZES: usize = LARGEST / STEP;

/// Blocks of a size. Each begins with the address of the next.
#[derive(Clone, Copy)]
struct List {
    first: *mut u8,
    count: u32,
}

/// An allocator in front of another, for one thread.
pub(crate) struct Heap<A> {
    behind: A,
    lists: UnsafeCell<[List; SIZES]>,
}

// SAFETY: a guest has one thread; tests use one from the thread that made it.
unsafe impl<A: Sync> Sync for Heap<A> {}

impl<A> fmt::Debug for Heap<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Heap")
    }
}

/// The list of blocks for `layout`, if such are kept.
#[inline]
fn list_of(layout: Layout) -> Option<usize> {
    let at = layout.size().wrapping_sub(1) / STEP;
    (at < SIZES && layout.align() <= ALIGNMENT).then_some(at)
}

/// What the allocator behind is asked for in the place of `layout`.
#[inline]
fn whole(layout: Layout) -> Layout {
    match list_of(layout) {
        // SAFETY: the alignment is a power of two, and the size far below what overflows.
        Some(at) => unsafe { Layout::from_size_align_unchecked((at + 1) * STEP, ALIGNMENT) },
        None => layout,
    }
}

impl<A> Heap<A> {
    /// Nothing is kept yet.
    pub(crate) const fn new(behind: A) -> Self {
        Self { behind, lists: UnsafeCell::new([List { first: ptr::null_mut(), count: 0 }; SIZES]) }
    }

    /// The list `at`, for the time of a call of the allocator.
    #[expect(clippy::mut_from_ref, reason = "one thread, and no call within a call")]
    #[inline]
    fn list(&self, at: usize) -> &mut List {
        // SAFETY: one thread, and no reference outlives the method that asked for it, nor is there another meanwhile.
        unsafe { &mut (*self.lists.get())[at] }
    }
}

// SAFETY: a block is behind's, for `whole` of its layout, which is at least as large and as aligned; it is in a list only from
// when it was given back until it is handed out again.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Heap<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if let Some(at) = list_of(layout) {
            let list = self.list(at);
            if !list.first.is_null() {
                let block = list.first;
                // SAFETY: the block is at least STEP bytes, aligned to ALIGNMENT, and its first bytes were written by dealloc.
                list.first = unsafe { block.cast::<*mut u8>().read() };
                list.count -= 1;
                return block;
            }
        }
        // SAFETY: the caller's promise is that the size is not 0, so neither is that of the whole.
        unsafe { self.behind.alloc(whole(layout)) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(at) = list_of(layout) {
            let list = self.list(at);
            if list.count < MOST {
                // SAFETY: the block is the caller's no more, at least STEP bytes, and aligned to ALIGNMENT.
                unsafe { block.cast::<*mut u8>().write(list.first) };
                list.first = block;
                list.count += 1;
                return;
            }
        }
        // SAFETY: the block came from `behind` by this layout.
        unsafe { self.behind.dealloc(block, whole(layout)) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise: `size` does not overflow when rounded up to the alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (list_of(layout), list_of(wanted)) {
            (None, None) => {
                // SAFETY: the block came from `behind` by this layout.
                unsafe { self.behind.realloc(block, layout, size) }
            }
            (before, after) if before == after => block,
            _ => {
                // SAFETY: `size` is not 0 by the caller's promise.
                let new = unsafe { self.alloc(wanted) };
                if !new.is_null() {
                    // SAFETY: both are as long as the shorter, and different blocks; the old one is the caller's no more.
                    unsafe {
                        ptr::copy_nonoverlapping(block, new, layout.size().min(size));
                        self.dealloc(block, layout);
                    }
                }
                new
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{alloc::System, collections::HashMap, sync::Mutex};

    use proptest::prelude::*;

    use super::*;

    /// The system's allocator, which checks that what is given back was given, by the same layout.
    #[derive(Default)]
    struct Checked(Mutex<HashMap<usize, Layout>>);

    // SAFETY: everything is the system allocator's.
    unsafe impl GlobalAlloc for Checked {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: as the caller promises.
            let block = unsafe { System.alloc(layout) };
            assert_eq!(self.0.lock().unwrap().insert(block.addr(), layout), None);
            block
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            assert_eq!(self.0.lock().unwrap().remove(&block.addr()), Some(layout));
            // SAFETY: as the caller promises.
            unsafe { System.dealloc(block, layout) }
        }
    }

    proptest! {
        #[test]
        fn blocks_are_apart_and_keep_what_is_in_them(
            steps in prop::collection::vec((0usize..40, 1usize..2500, 0u32..6), 1..300),
        ) {
            let heap = Heap::new(Checked::default());
            let mut blocks: Vec<(*mut u8, Layout, u8)> = Vec::new();
            let filled = |block: *mut u8, layout: Layout, with: u8| {
                // SAFETY: the block is the test's, of that layout, and was filled.
                unsafe { std::slice::from_raw_parts(block, layout.size()) }.iter().all(|byte| *byte == with)
            };
            for (number, (which, size, align)) in steps.into_iter().enumerate() {
                let with = number as u8;
                let fill = |block: *mut u8, layout: Layout| {
                    prop_assert!(!block.is_null() && block.addr().is_multiple_of(layout.align()));
                    // SAFETY: the block is the test's and of that layout.
                    unsafe { block.write_bytes(with, layout.size()) };
                    Ok(())
                };
                match which {
                    0..16 => {
                        let layout = Layout::from_size_align(size, 1 << align).unwrap();
                        // SAFETY: the size is not 0.
                        let block = unsafe { heap.alloc(layout) };
                        fill(block, layout)?;
                        blocks.push((block, layout, with));
                    }
                    16..24 if !blocks.is_empty() => {
                        let at = which % blocks.len();
                        let (block, layout, before) = blocks[at];
                        // SAFETY: the block is of this heap and layout, the size not 0.
                        let new = unsafe { heap.realloc(block, layout, size) };
                        let layout = Layout::from_size_align(size, layout.align()).unwrap();
                        let kept = Layout::from_size_align(size.min(blocks[at].1.size()), 1).unwrap();
                        prop_assert!(filled(new, kept, before));
                        fill(new, layout)?;
                        blocks[at] = (new, layout, with);
                    }
                    _ if !blocks.is_empty() => {
                        let (block, layout, with) = blocks.swap_remove(which % blocks.len());
                        prop_assert!(filled(block, layout, with));
                        // SAFETY: the block is of this heap and layout.
                        unsafe { heap.dealloc(block, layout) };
                    }
                    _ => {}
                }
            }
            for (block, layout, with) in blocks {
                prop_assert!(filled(block, layout, with));
                // SAFETY: as above.
                unsafe { heap.dealloc(block, layout) };
            }
            // What is left is what is kept, and that is bounded.
            let mut left = heap.behind.0.lock().unwrap();
            prop_assert!(left.values().all(|layout| layout.size() <= LARGEST && layout.align() == ALIGNMENT));
            for at in 0..SIZES {
                let size = |layout: &&Layout| layout.size() == (at + 1) * STEP;
                prop_assert_eq!(left.values().filter(size).count(), heap.list(at).count as usize);
                prop_assert!(heap.list(at).count <= MOST);
            }
            for (block, layout) in left.drain() {
                // SAFETY: nobody uses the heap any more.
                unsafe { System.dealloc(ptr::with_exposed_provenance_mut(block), layout) };
            }
        }
    }
}
