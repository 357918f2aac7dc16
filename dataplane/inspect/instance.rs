//! One instance of a module: its store, its batch buffer, and its window.
#![expect(unsafe_code, reason = "the one call that puts a window into a guest's memory")]

use std::{fmt, mem::offset_of};

use arrayvec::ArrayVec;
use secuxflow_abi::{ABI_VERSION, MAX_BATCH, PACKET_SIZE, Packet, exports, verdict};
use wasmtime::{Memory, Store, Trap, TypedFunc};

use super::{
    engine::TICK,
    host::{GuestAlert, GuestAsk, Host, Line, MAX_ALERTS, MAX_ASKS},
    module::{Module, causes},
    window::{Alias, Window},
};

/// Epoch ticks for instantiation, and for each call before the first batch: a second.
const START_TICKS: u64 = 1_000_000_000 / TICK.subsec_nanos() as u64;

/// How a call of a module can fail; the label of its counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// A WebAssembly trap, or a host function that was misused.
    Trap,
    /// The deadline passed.
    Timeout,
    /// A return value other than 0.
    Error,
    /// A verdict that does not exist.
    BadVerdict,
}

impl FailureKind {
    /// All, in the order of their discriminants.
    pub(super) const ALL: [Self; 4] = [Self::Trap, Self::Timeout, Self::Error, Self::BadVerdict];

    /// Label value.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Timeout => "timeout",
            Self::Error => "error",
            Self::BadVerdict => "bad_verdict",
        }
    }
}

/// A failed call.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) kind: FailureKind,
    pub(super) text: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.label(), self.text)
    }
}

impl Failure {
    fn new(kind: FailureKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    fn of_call(function: &str, e: &wasmtime::Error) -> Self {
        match e.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => Self::new(FailureKind::Timeout, format!("{function} exceeded its deadline")),
            Some(trap) => Self::new(FailureKind::Trap, format!("{function}: {trap}")),
            None => Self::new(FailureKind::Trap, format!("{function}: {}", e.root_cause())),
        }
    }
}

/// A module at work. Field order matters: the window goes before the store whose memory it is mapped into.
pub(super) struct Instance {
    window: Option<Window>,
    store: Store<Host>,
    memory: Memory,
    inspect: TypedFunc<(u32, u32), u32>,
    batch: u32,
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").field("window", &self.window).field("batch", &self.batch).finish_non_exhaustive()
    }
}

impl Instance {
    /// Instantiate, show it the packets (unless it is only tried), hand over buffers and configuration.
    /// The caller keeps the epoch advancing meanwhile.
    pub(super) fn start(module: &Module, packets: Option<&Alias>) -> Result<Self, Failure> {
        let mut store = Store::new(module.pre.module().engine(), Host::new(module.heap));
        store.limiter(|host| host);
        store.set_epoch_deadline(START_TICKS);
        let instance = module.pre.instantiate(&mut store).map_err(|e| Failure::of_call("instantiation", &e))?;
        let missing = |name: &str| Failure::new(FailureKind::Error, format!("export {name} is missing"));
        let memory = instance.get_memory(&mut store, exports::MEMORY).ok_or_else(|| missing(exports::MEMORY))?;
        let inspect = instance.get_typed_func(&mut store, exports::INSPECT).map_err(|_| missing(exports::INSPECT))?;
        store.data_mut().memory = Some(memory);
        let window = match packets {
            // SAFETY: the memory is live, of the one engine that module.rs compiles for, and `window` is dropped before
            // `store`: as a field by declaration order, and here on an early return, being the later local.
            Some(alias) => Some(unsafe { Window::map(alias, memory.data_ptr(&store)) }.map_err(|e| {
                Failure::new(FailureKind::Error, format!("cannot map the packets into its memory: {e}"))
            })?),
            None => None,
        };
        let mut this = Self { window, store, memory, inspect, batch: 0 };
        this.check_version(&instance)?;
        this.batch = this.alloc(&instance, MAX_BATCH * PACKET_SIZE)?;
        this.init(&instance, &module.config)?;
        Ok(this)
    }

    /// Enter the window's pages into the page table.
    pub(super) fn populate(&self) {
        if let Some(window) = &self.window {
            window.populate();
        }
    }

    /// What `sxf_init` logged.
    pub(super) fn lines(&self) -> &[Line] {
        &self.store.data().lines
    }

    fn check_version(&mut self, instance: &wasmtime::Instance) -> Result<(), Failure> {
        let got: u32 = self.call(instance, exports::ABI_VERSION, ())?;
        if got == ABI_VERSION {
            return Ok(());
        }
        let text = format!("it is written for ABI version {got}, this host has {ABI_VERSION}; rebuild it");
        Err(Failure::new(FailureKind::Error, text))
    }

    /// A block of `len` bytes in the guest's heap.
    fn alloc(&mut self, instance: &wasmtime::Instance, len: usize) -> Result<u32, Failure> {
        let wanted = u32::try_from(len).unwrap_or(u32::MAX);
        let at: u32 = self.call(instance, exports::ALLOC, wanted)?;
        let wrong = |why: String| Err(Failure::new(FailureKind::Error, format!("{}({len}) {why}", exports::ALLOC)));
        if at == 0 {
            return wrong("returned 0: no memory; raise its heap limit".into());
        }
        if !at.is_multiple_of(16) {
            return wrong(format!("returned {at:#x}, which is not a multiple of 16"));
        }
        let heap = self.memory.data_size(&self.store);
        if usize::try_from(at).ok().and_then(|at| at.checked_add(len)).is_none_or(|end| end > heap) {
            return wrong(format!("returned {at:#x}, a block that is not inside the heap of {heap} bytes"));
        }
        Ok(at)
    }

    fn init(&mut self, instance: &wasmtime::Instance, config: &str) -> Result<(), Failure> {
        let config = if config.trim().is_empty() { "{}" } else { config };
        let at = self.alloc(instance, config.len())?;
        let start = at as usize;
        let heap = self.memory.data_mut(&mut self.store);
        heap[start..start + config.len()].copy_from_slice(config.as_bytes());
        let len = u32::try_from(config.len()).unwrap_or(u32::MAX);
        let answer: u32 = self.call(instance, exports::INIT, (at, len))?;
        if answer == 0 {
            return Ok(());
        }
        let said: Vec<_> = self.lines().iter().map(|line| line.text.as_str()).collect();
        let why = if said.is_empty() { "it logged no reason".to_owned() } else { said.join("; ") };
        let text = format!("{} refused its configuration with code {answer}: {why}", exports::INIT);
        Err(Failure::new(FailureKind::Error, text))
    }

    /// Call an exported function that is used only at start. Its type was checked when the module was loaded.
    fn call<P, R>(&mut self, instance: &wasmtime::Instance, name: &'static str, params: P) -> Result<R, Failure>
    where
        P: wasmtime::WasmParams,
        R: wasmtime::WasmResults,
    {
        let function = instance
            .get_typed_func::<P, R>(&mut self.store, name)
            .map_err(|e| Failure::new(FailureKind::Error, format!("export {name}: {}", causes(&e))))?;
        self.store.set_epoch_deadline(START_TICKS);
        function.call(&mut self.store, params).map_err(|e| Failure::of_call(name, &e))
    }

    /// Inspect `packets[i]` for each `i` of `live`, at most [`MAX_BATCH`], within `ticks` epochs, and take over the
    /// verdicts, [`verdict::PASS`] before; `live` ascends. The answer is whether any is another now. On failure no verdict
    /// has changed and the instance is not to be used again.
    pub(super) fn inspect(
        &mut self,
        packets: &mut [Packet],
        live: &[u16],
        ticks: u64,
        now_ns: u64,
    ) -> Result<bool, Failure> {
        let n = u32::try_from(live.len()).unwrap_or(u32::MAX);
        let batch = self.batch as usize;
        let size = live.len() * PACKET_SIZE;
        let slots = &mut self.memory.data_mut(&mut self.store)[batch..batch + size];
        if live.len() == packets.len() {
            // All of them, then: one copy instead of many.
            slots.copy_from_slice(bytemuck::cast_slice(packets));
        } else {
            for (slot, &i) in slots.chunks_exact_mut(PACKET_SIZE).zip(live) {
                slot.copy_from_slice(bytemuck::bytes_of(&packets[usize::from(i)]));
            }
        }
        let host = self.store.data_mut();
        host.packets = n;
        host.now_ns = now_ns;
        host.asks.clear();
        self.store.set_epoch_deadline(ticks);
        let answer =
            self.inspect.call(&mut self.store, (self.batch, n)).map_err(|e| Failure::of_call(exports::INSPECT, &e))?;
        if answer != 0 {
            return Err(Failure::new(FailureKind::Error, format!("{} returned {answer}", exports::INSPECT)));
        }
        let slots = &self.memory.data(&self.store)[batch..batch + size];
        // Any verdict beyond `DROP`, which is 1, has a bit beyond the lowest.
        const { assert!(verdict::PASS == 0 && verdict::DROP == 1) };
        match slots.chunks_exact(PACKET_SIZE).map(said).fold(0, |all, said| all | said) {
            verdict::PASS => Ok(false),
            verdict::DROP => {
                for (slot, &i) in slots.chunks_exact(PACKET_SIZE).zip(live) {
                    packets[usize::from(i)].verdict = said(slot);
                }
                Ok(true)
            }
            _ => {
                let wrong = slots.chunks_exact(PACKET_SIZE).map(said).find(|said| *said > verdict::DROP);
                let text = format!("there is no verdict {:#x}", wrong.unwrap_or_default());
                Err(Failure::new(FailureKind::BadVerdict, text))
            }
        }
    }

    /// What the guest asked for in the last call, to be emptied by the caller.
    pub(super) fn asks(&mut self) -> &mut ArrayVec<GuestAsk, MAX_ASKS> {
        &mut self.store.data_mut().asks
    }

    /// The alerts of the last call, to be emptied by the caller, and the number of those that found no room.
    pub(super) fn alerts(&mut self) -> (&mut ArrayVec<GuestAlert, MAX_ALERTS>, u64) {
        let host = self.store.data_mut();
        let lost = std::mem::take(&mut host.alerts_lost);
        (&mut host.alerts, lost)
    }
}

/// The verdict in a guest's descriptor.
fn said(slot: &[u8]) -> u32 {
    const AT: usize = offset_of!(Packet, verdict);
    slot[AT..].first_chunk().map_or(u32::MAX, |said| u32::from_le_bytes(*said))
}
