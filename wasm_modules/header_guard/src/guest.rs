//! The guest's side of the ABI: exports, imports, and the one place with raw memory.

use core::{ptr, slice};

use secuxflow_abi::{ABI_VERSION, Packet, verdict};

use crate::check;

const PAGE: usize = 64 << 10;

#[link(wasm_import_module = "sxf")]
unsafe extern "C" {
    fn alert(packet: u32, severity: u32, signature: u32, message: *const u8, len: usize);
    fn log(level: u32, message: *const u8, len: usize);
}

unsafe extern "C" {
    /// End of the module's data, set by the linker; only its address means something.
    safe static __heap_base: u8;
}

/// First free byte of the heap, 0 before the first block. A guest has one thread.
static mut NEXT: usize = 0;

#[unsafe(no_mangle)]
extern "C" fn sxf_abi_version() -> u32 {
    ABI_VERSION
}

/// A bump allocator behind the module's data: the host asks twice and never gives back.
#[unsafe(no_mangle)]
extern "C" fn sxf_alloc(len: usize) -> usize {
    // SAFETY: the guest is single-threaded, and no reference to NEXT is ever made.
    let next = unsafe { if NEXT == 0 { ptr::addr_of!(__heap_base).addr() } else { NEXT } };
    let Some(start) = next.checked_next_multiple_of(16) else { return 0 };
    let Some(end) = start.checked_add(len) else { return 0 };
    let have = core::arch::wasm32::memory_size(0) * PAGE;
    if end > have && core::arch::wasm32::memory_grow(0, (end - have).div_ceil(PAGE)) == usize::MAX {
        return 0;
    }
    // SAFETY: as above.
    unsafe { NEXT = end };
    start
}

#[unsafe(no_mangle)]
extern "C" fn sxf_init(config: *const u8, len: usize) -> u32 {
    // SAFETY: the host wrote `len` bytes to a block that sxf_alloc gave it.
    let json = unsafe { slice::from_raw_parts(config, len) };
    if json.iter().filter(|byte| !byte.is_ascii_whitespace()).eq(b"{}") {
        return 0;
    }
    let text = "header_guard has no options";
    // SAFETY: the text is in this module's data for the length given.
    unsafe { log(1, text.as_ptr(), text.len()) };
    1
}

#[unsafe(no_mangle)]
extern "C" fn sxf_inspect(batch: *mut Packet, n: usize) -> u32 {
    // SAFETY: the host wrote `n` descriptors to the block it got from sxf_alloc.
    let batch = unsafe { slice::from_raw_parts_mut(batch, n) };
    for (number, packet) in (0..).zip(batch) {
        // SAFETY: the host promises that `len` bytes at `frame` are in the window, readable, and not written during the
        // call. They are read by loads: nothing below copies a slice of them, which could become memory.copy.
        let frame =
            unsafe { slice::from_raw_parts(ptr::with_exposed_provenance(packet.frame as usize), packet.len as usize) };
        if let Err(flaw) = check(packet, frame) {
            let text = flaw.text();
            // SAFETY: as in sxf_init.
            unsafe { alert(number, 2, flaw as u32, text.as_ptr(), text.len()) };
            packet.verdict = verdict::DROP;
        }
    }
    0
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
