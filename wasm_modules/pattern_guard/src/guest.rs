//! The guest's side of the ABI: exports, imports, and the one place with raw memory.

use alloc::alloc::{Layout, alloc};
use core::{ptr, slice};

use secuxflow_abi::{ABI_VERSION, Packet, verdict};

use crate::{Patterns, parse_config};

const ALIGNMENT: usize = 16;

#[global_allocator]
static HEAP: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

#[link(wasm_import_module = "sxf")]
unsafe extern "C" {
    #[link_name = "alert"]
    fn raise(packet: u32, severity: u32, signature: u32, message: *const u8, len: usize);
    fn log(level: u32, message: *const u8, len: usize);
}

/// What the module keeps between calls. A guest has one thread.
struct State {
    patterns: Patterns,
    drop: bool,
}

static mut STATE: Option<State> = None;

#[unsafe(no_mangle)]
extern "C" fn sxf_abi_version() -> u32 {
    ABI_VERSION
}

#[unsafe(no_mangle)]
extern "C" fn sxf_alloc(len: usize) -> *mut u8 {
    let Ok(layout) = Layout::from_size_align(len.max(1), ALIGNMENT) else { return ptr::null_mut() };
    // SAFETY: the layout's size is not 0. The host owns the block from now on; it is never freed.
    unsafe { alloc(layout) }
}

#[unsafe(no_mangle)]
extern "C" fn sxf_init(config: *const u8, len: usize) -> u32 {
    // SAFETY: the host wrote `len` bytes to a block that sxf_alloc gave it.
    let json = unsafe { slice::from_raw_parts(config, len) };
    let made = parse_config(json).and_then(|config| {
        Ok(State { patterns: Patterns::new(&config.patterns, config.ignore_case)?, drop: config.drop })
    });
    match made {
        Ok(state) => {
            // SAFETY: the guest is single-threaded, and no reference to STATE lives across an export.
            unsafe { *ptr::addr_of_mut!(STATE) = Some(state) };
            0
        }
        Err(text) => {
            // SAFETY: the text is in this module's heap for the length given.
            unsafe { log(1, text.as_ptr(), text.len()) };
            1
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn sxf_inspect(batch: *mut Packet, n: usize) -> u32 {
    // SAFETY: the host wrote `n` descriptors to the block it got from sxf_alloc; STATE as in sxf_init.
    let (batch, state) = unsafe { (slice::from_raw_parts_mut(batch, n), &*ptr::addr_of!(STATE)) };
    let Some(state) = state else { return 1 };
    for (number, packet) in (0..).zip(batch) {
        let at = packet.frame as usize + usize::from(packet.payload);
        // SAFETY: the host promises that payload_len bytes at frame + payload are in the window, readable, and not
        // written during the call. They are read by loads: nothing copies a slice of them, which could become
        // memory.copy.
        let payload =
            unsafe { slice::from_raw_parts(ptr::with_exposed_provenance(at), usize::from(packet.payload_len)) };
        if let Some(pattern) = state.patterns.find(payload) {
            let text = "pattern in the payload";
            // SAFETY: the text is in this module's data for the length given.
            unsafe { raise(number, 1, pattern, text.as_ptr(), text.len()) };
            if state.drop {
                packet.verdict = verdict::DROP;
            }
        }
    }
    0
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
