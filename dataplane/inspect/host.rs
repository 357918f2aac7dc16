//! The host's side of a guest: its limits, and the functions that it may import.

use std::time::Duration;

use arrayvec::{ArrayString, ArrayVec};
use secuxflow_abi::{HEAP_LIMIT, MAX_BATCH, MAX_FIELDS, MAX_MESSAGE, MAX_METRIC_NAME, imports};
use wasmtime::{Caller, Engine, FuncType, Linker, Memory, ResourceLimiter, Result, ValType, bail, format_err};

use super::{budget::Budget, engine::TABLE_ELEMENTS, metrics::Meter};
use crate::flow::Ask;

/// Alerts that one call may raise; what is above is counted as dropped.
pub(super) const MAX_ALERTS: usize = 64;
/// Wishes for flows and sources that one call may have: one for each packet; what is above is lost.
pub(super) const MAX_ASKS: usize = MAX_BATCH;
/// Log lines kept of `sxf_init`: one for each of a feed's rules that cannot run, and more.
const MAX_LINES: usize = 1 << 16;
/// Log lines of it that are told where nobody asked for all of them.
pub(super) const TOLD_LINES: usize = 16;

/// An alert as the guest raised it.
#[derive(Debug, Clone)]
pub(super) struct GuestAlert {
    /// Number of the packet within the call.
    pub(super) packet: u32,
    pub(super) severity: u8,
    pub(super) signature: u32,
    pub(super) message: ArrayString<MAX_MESSAGE>,
    /// Where its further fields begin in [`Host::fields`], and their length in bytes.
    pub(super) fields: (usize, usize),
}

/// What a guest is called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It is being made ready.
    Start,
    /// `sxf_init`.
    Init,
    /// Inspection.
    Run,
}

/// A wish for a flow or source as the guest had it.
#[derive(Debug, Clone, Copy)]
pub(super) struct GuestAsk {
    /// Number of the packet within the call.
    pub(super) packet: u32,
    pub(super) ask: Ask,
    pub(super) seconds: u32,
}

/// A log line of `sxf_init`.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) level: u32,
    pub(super) text: ArrayString<MAX_MESSAGE>,
}

/// What a store knows of its guest.
#[derive(Debug)]
pub(super) struct Host {
    /// The guest's memory, once it is instantiated.
    pub(super) memory: Option<Memory>,
    /// What the current call is for; logging is on until inspection begins.
    pub(super) phase: Phase,
    /// Packets of the current call, 0 before inspection.
    pub(super) packets: u32,
    /// Time of the current call.
    pub(super) now_ns: u64,
    /// Processor time of the current call.
    pub(super) budget: Budget,
    /// Alerts of the current call.
    pub(super) alerts: ArrayVec<GuestAlert, MAX_ALERTS>,
    /// Alerts of the current call that found no room.
    pub(super) alerts_lost: u64,
    /// Further fields of the current call's alerts, end to end: [`MAX_FIELDS`] bytes of each at most.
    pub(super) fields: Vec<u8>,
    /// Alerts of the current call whose fields were too long.
    pub(super) fields_lost: u64,
    /// Metrics of the module's own.
    pub(super) meter: Meter,
    /// Wishes for flows and sources of the current call.
    pub(super) asks: Box<ArrayVec<GuestAsk, MAX_ASKS>>,
    /// Log lines of `sxf_init`.
    pub(super) lines: Vec<Line>,
    /// Most of them: fewer in a worker's instance, whose words were told when the module was loaded.
    pub(super) most_lines: usize,
    /// Largest heap in bytes.
    pub(super) heap: usize,
    /// The guest wanted more than that.
    pub(super) full: bool,
}

impl Host {
    /// A guest that may have `heap` bytes.
    pub(super) fn new(heap: usize) -> Self {
        Self {
            memory: None,
            phase: Phase::Start,
            packets: 0,
            now_ns: 0,
            budget: Budget::new(Duration::ZERO),
            alerts: ArrayVec::new(),
            alerts_lost: 0,
            fields: Vec::new(),
            fields_lost: 0,
            meter: Meter::default(),
            asks: Box::default(),
            lines: Vec::new(),
            most_lines: MAX_LINES,
            heap: heap.min(HEAP_LIMIT as usize),
            full: false,
        }
    }
}

impl ResourceLimiter for Host {
    fn memory_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        self.full |= desired > self.heap;
        Ok(desired <= self.heap)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }
}

/// Everything that a guest may import.
pub(super) fn linker(engine: &Engine) -> Linker<Host> {
    let mut linker = Linker::new(engine);
    let define = |linker: &mut Linker<Host>| -> Result<()> {
        linker.func_wrap(imports::MODULE, imports::ALERT, alert)?;
        linker.func_wrap(imports::MODULE, imports::ALERT_FIELDS, alert_fields)?;
        linker.func_wrap(imports::MODULE, imports::METRIC, metric)?;
        linker.func_wrap(imports::MODULE, imports::MEASURE, measure)?;
        linker.func_wrap(imports::MODULE, imports::LOG, log)?;
        linker.func_wrap(imports::MODULE, imports::CLOCK, |caller: Caller<'_, Host>| caller.data().now_ns)?;
        for (name, wish) in ASKS {
            let function = move |caller: Caller<'_, Host>, packet, seconds| ask(caller, name, wish, packet, seconds);
            linker.func_wrap(imports::MODULE, name, function)?;
        }
        Ok(())
    };
    define(&mut linker).expect("a definition fails only when its name is taken, and these are different names");
    linker
}

/// The imports by which a guest asks for something.
const ASKS: [(&str, Ask); 3] =
    [(imports::FLOW_CLEAR, Ask::Clear), (imports::FLOW_CONDEMN, Ask::Condemn), (imports::SOURCE_BLOCK, Ask::Block)];

/// What a guest that imports `name` may ask for.
pub(super) fn ask_of(name: &str) -> Option<Ask> {
    ASKS.iter().find(|(known, _)| *known == name).map(|(_, ask)| *ask)
}

/// Name and type of each import that a guest may have.
pub(super) fn importable(engine: &Engine) -> [(&'static str, FuncType); 9] {
    let i32s = |n| std::iter::repeat_n(ValType::I32, n);
    let ask = |(name, _): (&'static str, Ask)| (name, FuncType::new(engine, i32s(2), []));
    let [clear, condemn, block] = ASKS.map(ask);
    [
        (imports::ALERT, FuncType::new(engine, i32s(5), [])),
        (imports::ALERT_FIELDS, FuncType::new(engine, i32s(7), [])),
        (imports::METRIC, FuncType::new(engine, i32s(3), i32s(1))),
        (imports::MEASURE, FuncType::new(engine, [ValType::I32, ValType::I64], [])),
        (imports::LOG, FuncType::new(engine, i32s(3), [])),
        (imports::CLOCK, FuncType::new(engine, [], [ValType::I64])),
        clear,
        condemn,
        block,
    ]
}

fn ask(mut caller: Caller<'_, Host>, name: &str, ask: Ask, packet: u32, seconds: u32) -> Result<()> {
    let packets = caller.data().packets;
    if packet >= packets {
        bail!("sxf.{name}: packet {packet} of a batch of {packets}");
    }
    // Without room it is lost: the module will ask again for the next packet.
    let _ = caller.data_mut().asks.try_push(GuestAsk { packet, ask, seconds });
    Ok(())
}

fn alert(caller: Caller<'_, Host>, packet: u32, severity: u32, signature: u32, message: u32, len: u32) -> Result<()> {
    raise(caller, "sxf.alert", packet, severity, signature, (message, len), (0, 0))
}

#[expect(clippy::too_many_arguments, reason = "the ABI's own")]
fn alert_fields(
    caller: Caller<'_, Host>,
    packet: u32,
    severity: u32,
    signature: u32,
    message: u32,
    len: u32,
    fields: u32,
    fields_len: u32,
) -> Result<()> {
    raise(caller, "sxf.alert_fields", packet, severity, signature, (message, len), (fields, fields_len))
}

/// Raise an alert; texts are given as guest address and length.
fn raise(
    mut caller: Caller<'_, Host>,
    function: &str,
    packet: u32,
    severity: u32,
    signature: u32,
    message: (u32, u32),
    fields: (u32, u32),
) -> Result<()> {
    let packets = caller.data().packets;
    if packet >= packets {
        bail!("{function}: packet {packet} of a batch of {packets}");
    }
    let Some(severity) = u8::try_from(severity).ok().filter(|s| (1..=4).contains(s)) else {
        bail!("{function}: severity {severity}, it must be 1 to 4");
    };
    let message = text(&caller, function, message)?;
    let memory = memory(&caller, function)?;
    let (heap, host) = memory.data_and_store_mut(&mut caller);
    if host.alerts.is_full() {
        host.alerts_lost += 1;
        return Ok(());
    }
    let bytes = within(heap, function, fields)?;
    let start = host.fields.len();
    if bytes.len() <= MAX_FIELDS {
        host.fields.extend_from_slice(bytes);
    } else {
        host.fields_lost += 1;
    }
    let fields = (start, host.fields.len() - start);
    host.alerts.push(GuestAlert { packet, severity, signature, message, fields });
    Ok(())
}

fn metric(mut caller: Caller<'_, Host>, kind: u32, name: u32, len: u32) -> Result<u32> {
    if caller.data().phase != Phase::Init {
        bail!("sxf.metric: called outside sxf_init");
    }
    let memory = memory(&caller, "sxf.metric")?;
    let (heap, host) = memory.data_and_store_mut(&mut caller);
    let name = within(heap, "sxf.metric", (name, len))?;
    // One byte more than fits, so that what is too long is told from what is not.
    let name = &name[..name.len().min(MAX_METRIC_NAME + 1)];
    host.meter.declare(kind, name).map_err(|problem| format_err!("sxf.metric: {problem}"))
}

fn measure(mut caller: Caller<'_, Host>, metric: u32, value: u64) -> Result<()> {
    if caller.data_mut().meter.measure(metric, value) {
        return Ok(());
    }
    bail!("sxf.measure: metric {metric} was not declared")
}

fn log(mut caller: Caller<'_, Host>, level: u32, message: u32, len: u32) -> Result<()> {
    if !(1..=3).contains(&level) {
        bail!("sxf.log: level {level}, it must be 1 to 3");
    }
    if caller.data().phase == Phase::Run || caller.data().lines.len() >= caller.data().most_lines {
        return Ok(());
    }
    let text = text(&caller, "sxf.log", (message, len))?;
    caller.data_mut().lines.push(Line { level, text });
    Ok(())
}

fn memory(caller: &Caller<'_, Host>, function: &str) -> Result<Memory> {
    caller.data().memory.ok_or_else(|| format_err!("{function}: called before the module is ready"))
}

/// The bytes of the heap at an address and of a length; what lies in the window is not in the heap.
fn within<'a>(heap: &'a [u8], function: &str, (at, len): (u32, u32)) -> Result<&'a [u8]> {
    let bytes = usize::try_from(at).ok().and_then(|at| heap.get(at..)?.get(..usize::try_from(len).ok()?));
    bytes.ok_or_else(|| format_err!("{function}: {len} bytes at {at:#x} are not in the heap"))
}

/// A guest's text, cut to [`MAX_MESSAGE`].
fn text(caller: &Caller<'_, Host>, function: &str, place: (u32, u32)) -> Result<ArrayString<MAX_MESSAGE>> {
    let bytes = within(memory(caller, function)?.data(caller), function, place)?;
    Ok(crate::alert::cut(&bytes[..bytes.len().min(MAX_MESSAGE)]))
}
