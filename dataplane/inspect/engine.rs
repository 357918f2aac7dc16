//! The engine that every module is compiled for and every instance lives in.

use std::time::Duration;

use secuxflow_abi::{HEAP_LIMIT, WINDOW};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use super::InspectError;

/// Address space of a linear memory: all that a 32-bit address reaches, so that loads need no bounds check.
pub(super) const RESERVATION: u64 = 1 << 32;
/// Inaccessible space behind it, for the constant offset that a load instruction adds to its address.
const GUARD: u64 = 2 << 30;
/// Time between two increments of the epoch: the resolution of a module's deadline.
pub(super) const TICK: Duration = Duration::from_millis(5);
/// Largest table of a module, in elements; tables hold function pointers.
pub(super) const TABLE_ELEMENTS: usize = 16_384;
/// Tables that a module may define.
pub(super) const TABLES: u32 = 4;
/// Stack of a guest in bytes; a worker's own stack (2 MiB by default) must exceed it.
const STACK: usize = 512 << 10;

// The window lies above every heap and inside the reservation, whatever the heap's limit.
const _: () = assert!(HEAP_LIMIT < WINDOW && (WINDOW as u64) < RESERVATION);

/// An engine with room for `instances` instances at a time.
///
/// `max_memory_size` protects the window: without it a guest could grow its memory up to the window's address, and the
/// allocator would make those pages writable. See [`window`](super::window).
pub(super) fn engine(instances: u32) -> Result<Engine, InspectError> {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_core_instances(instances)
        .total_memories(instances)
        .total_tables(instances.saturating_mul(TABLES))
        .max_memories_per_module(1)
        .max_tables_per_module(TABLES)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(HEAP_LIMIT as usize);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .memory_reservation(RESERVATION)
        .memory_guard_size(GUARD)
        .memory_may_move(false)
        .max_wasm_stack(STACK)
        .epoch_interruption(true)
        .cranelift_opt_level(OptLevel::Speed)
        .wasm_multi_memory(false)
        .wasm_memory64(false);
    Engine::new(&config).map_err(|e| InspectError::Engine {
        gib: (RESERVATION + GUARD).saturating_mul(u64::from(instances)) >> 30,
        instances,
        problem: super::module::causes(&e),
    })
}
