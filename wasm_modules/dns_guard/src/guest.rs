//! The guest's side of the ABI: exports, imports, and the one place with raw memory.

use core::{ptr, slice};

use secuxflow_abi::{ABI_VERSION, Packet, flags, verdict};

use crate::{Config, check, parse_config};

const UDP: u8 = 17;
const DNS: u16 = 53;
/// Bytes of a query that are copied out of the window; names of four questions fit.
const COPY: usize = 1536;
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

/// What the module keeps between calls. A guest has one thread.
struct State {
    config: Config,
    heap_next: usize,
    query: [u8; COPY],
}

static mut STATE: State = State { config: Config { max_name: 180 }, heap_next: 0, query: [0; COPY] };

#[unsafe(no_mangle)]
extern "C" fn sxf_abi_version() -> u32 {
    ABI_VERSION
}

/// A bump allocator behind the module's data: the host asks twice and never gives back.
#[unsafe(no_mangle)]
extern "C" fn sxf_alloc(len: usize) -> usize {
    // SAFETY: the guest is single-threaded and no other reference to STATE lives across an export.
    let state = unsafe { &mut *ptr::addr_of_mut!(STATE) };
    let next = if state.heap_next == 0 { ptr::addr_of!(__heap_base).addr() } else { state.heap_next };
    let Some(start) = next.checked_next_multiple_of(16) else { return 0 };
    let Some(end) = start.checked_add(len) else { return 0 };
    let have = core::arch::wasm32::memory_size(0) * PAGE;
    if end > have && core::arch::wasm32::memory_grow(0, (end - have).div_ceil(PAGE)) == usize::MAX {
        return 0;
    }
    state.heap_next = end;
    start
}

#[unsafe(no_mangle)]
extern "C" fn sxf_init(config: *const u8, len: usize) -> u32 {
    // SAFETY: the host wrote `len` bytes to a block that sxf_alloc gave it; STATE as in sxf_alloc.
    let (json, state) = unsafe { (slice::from_raw_parts(config, len), &mut *ptr::addr_of_mut!(STATE)) };
    match parse_config(json) {
        Ok(config) => {
            state.config = config;
            0
        }
        Err(text) => {
            // SAFETY: the text is in this module's data for the length given.
            unsafe { log(1, text.as_ptr(), text.len()) };
            1
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn sxf_inspect(batch: *mut Packet, n: usize) -> u32 {
    // SAFETY: the host wrote `n` descriptors to the block it got from sxf_alloc; STATE as in sxf_alloc.
    let (batch, state) = unsafe { (slice::from_raw_parts_mut(batch, n), &mut *ptr::addr_of_mut!(STATE)) };
    for (number, packet) in (0..).zip(batch) {
        if packet.protocol != UDP || packet.dst_port != DNS || packet.flags & flags::LATER_FRAGMENT != 0 {
            continue;
        }
        let query = copy(packet, &mut state.query);
        if let Err(flaw) = check(query, state.config.max_name) {
            let text = flaw.text();
            // SAFETY: as in sxf_init.
            unsafe { alert(number, 2, flaw as u32, text.as_ptr(), text.len()) };
            packet.verdict = verdict::DROP;
        }
    }
    0
}

/// The payload, out of the window. Volatile loads: a plain copy may become memory.copy, which traps on the window.
fn copy<'a>(packet: &Packet, to: &'a mut [u8; COPY]) -> &'a [u8] {
    let from = packet.frame as usize + usize::from(packet.payload);
    let len = usize::from(packet.payload_len).min(COPY);
    for (i, byte) in to[..len].iter_mut().enumerate() {
        // SAFETY: the host promises that payload_len bytes at frame + payload are in the window, readable.
        *byte = unsafe { ptr::with_exposed_provenance::<u8>(from + i).read_volatile() };
    }
    &to[..len]
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
