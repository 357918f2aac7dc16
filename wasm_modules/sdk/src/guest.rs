//! The guest's side of the ABI: what the exports do. Reached by [`module!`](crate::module!) only.
#![expect(unsafe_code, reason = "the ABI's raw pointers; the one module of a guest without threads")]

use alloc::alloc::alloc as allocate;
use core::{alloc::Layout, cell::UnsafeCell, fmt, panic::PanicInfo, ptr, slice};

use secuxflow_abi as abi;

use crate::{Batch, Chunks, Exports, Setup, calls, heap::Heap, window::Window};

/// Alignment of blocks that the host asks for.
const ALIGNMENT: usize = 16;

#[global_allocator]
static HEAP: Heap<dlmalloc::GlobalDlmalloc> = Heap::new(dlmalloc::GlobalDlmalloc);

/// The module, once it has started.
pub struct State<M>(UnsafeCell<Option<M>>);

// SAFETY: a guest has one thread.
unsafe impl<M> Sync for State<M> {}

impl<M> fmt::Debug for State<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("State")
    }
}

impl<M> State<M> {
    /// Not started.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "for statics")]
    pub const fn new() -> Self {
        Self(UnsafeCell::new(None))
    }

    /// # Safety
    /// Only for the time of one call of the host, which calls nothing before the last call is over.
    #[expect(clippy::mut_from_ref, reason = "one thread, and no call within a call")]
    unsafe fn get(&self) -> &mut Option<M> {
        // SAFETY: by the caller's promise nobody else has a reference.
        unsafe { &mut *self.0.get() }
    }
}

/// `sxf_alloc`: the host owns the block from now on, and it is never freed.
#[must_use]
pub fn alloc(len: usize) -> *mut u8 {
    let Ok(layout) = Layout::from_size_align(len.max(1), ALIGNMENT) else { return ptr::null_mut() };
    // SAFETY: the size is not 0.
    unsafe { allocate(layout) }
}

/// `sxf_init`.
///
/// # Safety
/// For the host: `config` is a block of [`alloc`] in which it wrote `len` bytes.
pub unsafe fn init<M: Exports>(state: &State<M>, config: *const u8, len: usize) -> u32 {
    // SAFETY: by the caller's promise.
    let json = unsafe { slice::from_raw_parts(config, len) };
    let started = crate::parse_config(json).and_then(|config| M::new(config, &mut Setup::new()));
    // SAFETY: this is the host's only call.
    let state = unsafe { state.get() };
    match started {
        Ok(module) => {
            *state = Some(module);
            0
        }
        Err(text) => {
            calls::log(1, text.as_bytes());
            1
        }
    }
}

/// `sxf_inspect`.
///
/// # Safety
/// For the host: `batch` is a block of [`alloc`] in which it wrote `n` descriptors of packets in the window.
pub unsafe fn inspect<M: Exports>(state: &State<M>, batch: *mut abi::Packet, n: usize) -> u32 {
    // SAFETY: by the caller's promise, and this is the host's only call.
    let (packets, window, state) = unsafe { (slice::from_raw_parts_mut(batch, n), Window::new(), state.get()) };
    let (Some(module), Some(inspect)) = (state, M::INSPECT) else { return 1 };
    inspect(module, &mut Batch::new(packets, window));
    0
}

/// `sxf_stream`.
///
/// # Safety
/// For the host: as for [`inspect`]; likewise `chunks` with `m` descriptors of bytes in the window.
pub unsafe fn stream<M: Exports>(
    state: &State<M>,
    batch: *mut abi::Packet,
    n: usize,
    chunks: *const abi::Chunk,
    m: usize,
) -> u32 {
    // SAFETY: by the caller's promise, and this is the host's only call.
    let (packets, window, state) = unsafe { (slice::from_raw_parts_mut(batch, n), Window::new(), state.get()) };
    // SAFETY: by the caller's promise; packets and chunks are different blocks.
    let chunks = unsafe { slice::from_raw_parts(chunks, m) };
    let (Some(module), Some(stream)) = (state, M::STREAM) else { return 1 };
    stream(module, &mut Batch::new(packets, window), Chunks::new(chunks, window));
    0
}

/// The message goes to the log, which the host takes from `sxf_init` only; everywhere the call fails by a trap.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    calls::log(1, crate::alert::Text::of(info).as_bytes());
    core::arch::wasm32::unreachable()
}
