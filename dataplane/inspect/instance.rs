//! One instance of a module: its store, its batch buffer, and its window.
#![expect(unsafe_code, reason = "the one call that puts a window into a guest's memory")]

use std::{fmt, time::Duration};

use secuxflow_abi::{ABI_VERSION, CHUNK_SIZE, Chunk, MAX_BATCH, MAX_CHUNKS, PACKET_SIZE, Packet, exports, verdict};
use wasmtime::{Memory, Store, Trap, TypedFunc};

use super::{
    batch,
    budget::{Budget, FIRST_LOOK},
    host::{Host, Line, Phase, TOLD_LINES},
    metrics::Metric,
    module::{Module, causes},
    window::{Alias, Window},
};
use crate::clock;

/// Processor time for instantiation, and for each call before the first batch: automata of 10,000 rules are made in one.
const START: Duration = Duration::from_secs(5);

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
    inspect: Option<TypedFunc<(u32, u32), u32>>,
    stream: Option<TypedFunc<(u32, u32, u32, u32), u32>>,
    /// Guest address of the packets.
    batch: u32,
    /// Guest address of the chunks, where there is `stream`.
    chunks: u32,
}

/// What a call of a guest may take, and the time that it is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Processor time.
    pub(super) deadline: Duration,
    /// What `clock` returns, in nanoseconds.
    pub(super) now_ns: u64,
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
        if packets.is_some() {
            store.data_mut().most_lines = TOLD_LINES;
        }
        store.limiter(|host| host);
        store.epoch_deadline_callback(|mut store| Ok(store.data_mut().budget.look(clock::thread())));
        allow(&mut store, START);
        let instance = module.pre.instantiate(&mut store).map_err(|e| Failure::of_call("instantiation", &e))?;
        let missing = |name: &str| Failure::new(FailureKind::Error, format!("export {name} is missing"));
        let memory = instance.get_memory(&mut store, exports::MEMORY).ok_or_else(|| missing(exports::MEMORY))?;
        let inspect = module.inspects.then(|| instance.get_typed_func(&mut store, exports::INSPECT)).transpose();
        let inspect = inspect.map_err(|_| missing(exports::INSPECT))?;
        let stream = module.streams.then(|| instance.get_typed_func(&mut store, exports::STREAM)).transpose();
        let stream = stream.map_err(|_| missing(exports::STREAM))?;
        store.data_mut().memory = Some(memory);
        let window = match packets {
            // SAFETY: the memory is live, of an engine that only `Loader::new` makes, and `window` is dropped before
            // `store`: as a field by declaration order, and here on an early return, being the later local.
            Some(alias) => Some(unsafe { Window::map(alias, memory.data_ptr(&store)) }.map_err(|e| {
                Failure::new(FailureKind::Error, format!("cannot map the packets into its memory: {e}"))
            })?),
            None => None,
        };
        let mut this = Self { window, store, memory, inspect, stream, batch: 0, chunks: 0 };
        this.check_version(&instance)?;
        this.batch = this.alloc(&instance, MAX_BATCH * PACKET_SIZE)?;
        let config = if module.config.trim().is_empty() { "{}" } else { module.config.as_str() };
        let config_at = this.alloc(&instance, config.len())?;
        if this.stream.is_some() {
            this.chunks = this.alloc(&instance, MAX_CHUNKS * CHUNK_SIZE)?;
        }
        this.init(&instance, config, config_at)?;
        if packets.is_some() && this.metrics() != module.metrics {
            let text = format!("{} declared other metrics than when the module was loaded", exports::INIT);
            return Err(Failure::new(FailureKind::Error, text));
        }
        if packets.is_some() {
            // Told when the module was loaded.
            this.store.data_mut().lines = Vec::new();
        }
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

    /// What `sxf_init` declared, by number.
    pub(super) fn metrics(&self) -> &[Metric] {
        self.store.data().meter.declared()
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

    fn init(&mut self, instance: &wasmtime::Instance, config: &str, at: u32) -> Result<(), Failure> {
        let start = at as usize;
        let heap = self.memory.data_mut(&mut self.store);
        heap[start..start + config.len()].copy_from_slice(config.as_bytes());
        let len = u32::try_from(config.len()).unwrap_or(u32::MAX);
        self.store.data_mut().phase = Phase::Init;
        let answer: u32 = self.call(instance, exports::INIT, (at, len))?;
        self.store.data_mut().phase = Phase::Run;
        if answer == 0 {
            return Ok(());
        }
        let said: Vec<_> = last(self.lines()).map(|line| line.text.as_str()).collect();
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
        allow(&mut self.store, START);
        function.call(&mut self.store, params).map_err(|e| {
            let Failure { kind, mut text } = Failure::of_call(name, &e);
            let host = self.store.data();
            for line in last(&host.lines) {
                text = format!("{text}; {}", line.text);
            }
            if host.full {
                text = format!("{text}; it wanted more than its heap of {} MiB: raise heap_mib", host.heap >> 20);
            }
            Failure { kind, text }
        })
    }

    /// Inspect `packets[i]` for each `i` of `shown`, at most [`MAX_BATCH`] and in ascending order, whose verdicts are all
    /// [`verdict::PASS`], and take over the new ones: whether any is another. On failure no verdict has changed, and the
    /// instance is not to be used again.
    pub(super) fn inspect(&mut self, packets: &mut [Packet], shown: &[u16], limits: Limits) -> Result<bool, Failure> {
        let n = self.show(packets, shown);
        self.begin(n, limits);
        let Some(inspect) = &self.inspect else { return Ok(false) };
        let answer =
            inspect.call(&mut self.store, (self.batch, n)).map_err(|e| Failure::of_call(exports::INSPECT, &e))?;
        self.end(exports::INSPECT, answer, packets, shown)
    }

    /// Inspect at most [`MAX_CHUNKS`] chunks, whose packet numbers are places in `shown`; otherwise as
    /// [`inspect`](Self::inspect).
    pub(super) fn stream(
        &mut self,
        packets: &mut [Packet],
        shown: &[u16],
        chunks: impl Iterator<Item = Chunk>,
        limits: Limits,
    ) -> Result<bool, Failure> {
        let n = self.show_again(packets, shown);
        let at = self.chunks as usize;
        let slots = &mut self.memory.data_mut(&mut self.store)[at..at + MAX_CHUNKS * CHUNK_SIZE];
        let mut m = 0;
        for (slot, chunk) in slots.chunks_exact_mut(CHUNK_SIZE).zip(chunks) {
            slot.copy_from_slice(bytemuck::bytes_of(&chunk));
            m += 1;
        }
        self.begin(n, limits);
        let Some(stream) = &self.stream else { return Ok(false) };
        let answer = stream
            .call(&mut self.store, (self.batch, n, self.chunks, m))
            .map_err(|e| Failure::of_call(exports::STREAM, &e))?;
        self.end(exports::STREAM, answer, packets, shown)
    }

    /// Put the descriptors of a call on packets that are all to pass yet into the guest's buffer; their number.
    fn show(&mut self, packets: &[Packet], shown: &[u16]) -> u32 {
        if shown.len() != packets.len() {
            return self.show_again(packets, shown);
        }
        // All of them in their order, as a chain's first module has them: one copy instead of many.
        let batch = self.batch as usize;
        let slots = &mut self.memory.data_mut(&mut self.store)[batch..batch + size_of_val(packets)];
        slots.copy_from_slice(bytemuck::cast_slice(packets));
        u32::try_from(shown.len()).unwrap_or(u32::MAX)
    }

    /// As [`show`](Self::show), whatever was said of the packets and in whatever order.
    fn show_again(&mut self, packets: &[Packet], shown: &[u16]) -> u32 {
        let batch = self.batch as usize;
        let slots = &mut self.memory.data_mut(&mut self.store)[batch..batch + shown.len() * PACKET_SIZE];
        for (slot, &i) in slots.chunks_exact_mut(PACKET_SIZE).zip(shown) {
            let packet = Packet { verdict: verdict::PASS, ..packets[usize::from(i)] };
            slot.copy_from_slice(bytemuck::bytes_of(&packet));
        }
        u32::try_from(shown.len()).unwrap_or(u32::MAX)
    }

    fn begin(&mut self, packets: u32, limits: Limits) {
        let host = self.store.data_mut();
        host.packets = packets;
        host.now_ns = limits.now_ns;
        host.asks.clear();
        host.alerts.clear();
        host.fields.clear();
        allow(&mut self.store, limits.deadline);
    }

    /// Take over the verdicts of a call, if all of them are some: each packet keeps the strongest that it got. Whether any is
    /// not to pass.
    fn end(&self, function: &str, answer: u32, packets: &mut [Packet], shown: &[u16]) -> Result<bool, Failure> {
        if answer != 0 {
            return Err(Failure::new(FailureKind::Error, format!("{function} returned {answer}")));
        }
        let at = self.batch as usize;
        // The block is aligned, for the memory is and its address was checked.
        let slots: &[Packet] = bytemuck::cast_slice(&self.memory.data(&self.store)[at..at + shown.len() * PACKET_SIZE]);
        if batch::said(slots) == verdict::PASS {
            // As nearly always: nothing to take over.
            return Ok(false);
        }
        if let Some(wrong) = slots.iter().map(|slot| slot.verdict).find(|said| *said > verdict::REJECT) {
            return Err(Failure::new(FailureKind::BadVerdict, format!("there is no verdict {wrong:#x}")));
        }
        for (slot, &i) in slots.iter().zip(shown) {
            let packet = &mut packets[usize::from(i)];
            packet.verdict = packet.verdict.max(slot.verdict);
        }
        Ok(true)
    }

    /// What the host knows of the last call, to be taken away by the caller.
    pub(super) fn host(&mut self) -> &mut Host {
        self.store.data_mut()
    }
}

/// The lines that an error repeats: the last, which tell what it went wrong on.
fn last(lines: &[Line]) -> impl Iterator<Item = &Line> {
    lines.iter().skip(lines.len().saturating_sub(TOLD_LINES))
}

/// Let the next call take `deadline`.
fn allow(store: &mut Store<Host>, deadline: Duration) {
    store.data_mut().budget = Budget::new(deadline);
    store.set_epoch_deadline(FIRST_LOOK);
}
