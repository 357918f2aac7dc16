//! A module file: read, checked against the ABI, compiled.

use std::{fmt::Write as _, time::Duration};

use secuxflow_abi::{ABI_VERSION, HEAP_LIMIT, exports, imports};
use wasmparser::{Parser, Payload};
use wasmtime::{Engine, ExternType, FuncType, InstancePre, Linker, ValType};

use super::{
    InspectError,
    engine::{TABLE_ELEMENTS, TABLES},
    host::{self, Host},
    loader::Loader,
    metrics::Metric,
    sections::Sections,
    stats::Totals,
};
use crate::plane::{FailPolicy, ModuleAbout, ModuleConfig, ModuleMetric};

/// Size of a WebAssembly page in bytes.
const PAGE: usize = 64 << 10;

/// A module's file, checked and compiled, whatever is configured of it.
pub(super) struct Compiled {
    /// SHA-256 of the file.
    pub(super) sha256: [u8; 32],
    /// Bytes of the file.
    size: u64,
    /// Bytes of memory that it asks for at start.
    memory: u64,
    /// It exports `sxf_inspect`.
    inspects: bool,
    /// It exports `sxf_stream`.
    streams: bool,
    sections: Sections,
    pre: InstancePre<Host>,
}

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compiled").field("sha256", &hex(&self.sha256)).finish_non_exhaustive()
    }
}

impl Compiled {
    /// Check and compile a file of which the SHA-256 is known. What asks for more than `heap` bytes of memory at once is not
    /// compiled.
    pub(super) fn new(linker: &Linker<Host>, bytes: &[u8], sha256: [u8; 32], heap: usize) -> Result<Self, String> {
        let binary = wat::parse_bytes(bytes).map_err(|e| format!("not WebAssembly text: {e}"))?;
        let memory = check_sizes(&binary)?;
        check_memory(memory, heap)?;
        let sections = Sections::read(&binary)?;
        let engine = linker.engine();
        let module =
            wasmtime::Module::new(engine, &binary).map_err(|e| format!("this host cannot run it: {}", causes(&e)))?;
        check_imports(engine, &module)?;
        check_exports(engine, &module)?;
        let pre = linker.instantiate_pre(&module).map_err(|e| causes(&e))?;
        Ok(Self {
            sha256,
            size: bytes.len() as u64,
            memory,
            inspects: module.get_export(exports::INSPECT).is_some(),
            streams: module.get_export(exports::STREAM).is_some(),
            sections,
            pre,
        })
    }
}

/// A module, ready to be instantiated.
pub(super) struct Module {
    pub(super) name: String,
    pub(super) path: String,
    /// SHA-256 of the file, hex.
    pub(super) sha256: String,
    /// Bytes of the file.
    pub(super) size: u64,
    pub(super) abi: u32,
    /// It exports `sxf_inspect`.
    pub(super) inspects: bool,
    /// It exports `sxf_stream`.
    pub(super) streams: bool,
    /// What it says it is, where it says so.
    pub(super) about: ModuleAbout,
    /// It has a schema of its configuration.
    pub(super) has_schema: bool,
    /// What it declares when it is first started.
    pub(super) metrics: Vec<Metric>,
    pub(super) pre: InstancePre<Host>,
    pub(super) config: String,
    /// Largest heap in bytes.
    pub(super) heap: usize,
    /// Processor time for one call.
    pub(super) deadline: Duration,
    pub(super) on_failure: FailPolicy,
    pub(super) max_failures: u32,
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Module").field("name", &self.name).field("path", &self.path).finish_non_exhaustive()
    }
}

impl Module {
    /// Read, check and compile, unless the loader has the file compiled already.
    pub(super) fn load(loader: &Loader, config: &ModuleConfig) -> Result<Self, InspectError> {
        check_settings(config)?;
        let compiled = loader.compiled(config)?;
        check_memory(compiled.memory, config.heap).map_err(|why| refused(config, why))?;
        compiled.sections.check(&config.config).map_err(|why| refused(config, why))?;
        Ok(Self {
            name: config.name.clone(),
            path: config.path.display().to_string(),
            sha256: hex(&compiled.sha256),
            size: compiled.size,
            abi: ABI_VERSION,
            inspects: compiled.inspects,
            streams: compiled.streams,
            has_schema: compiled.sections.has_schema(),
            about: compiled.sections.about.clone(),
            metrics: Vec::new(),
            pre: compiled.pre.clone(),
            config: config.config.clone(),
            heap: config.heap,
            deadline: config.deadline,
            on_failure: config.on_failure,
            max_failures: config.max_failures,
        })
    }

    /// Its own metrics with their values.
    pub(super) fn measured(&self, totals: &Totals) -> Vec<ModuleMetric> {
        let value =
            |(metric, &value): (&Metric, &u64)| ModuleMetric { name: metric.name.clone(), kind: metric.kind, value };
        self.metrics.iter().zip(&totals.metrics).map(value).collect()
    }
}

/// An error about the module's file.
pub(super) fn refused(config: &ModuleConfig, problem: String) -> InspectError {
    InspectError::Refused { name: config.name.clone(), path: config.path.clone(), problem }
}

fn check_settings(config: &ModuleConfig) -> Result<(), InspectError> {
    let wrong = |setting, problem: String| Err(InspectError::Setting { name: config.name.clone(), setting, problem });
    if config.name.is_empty() {
        return wrong("name", "must not be empty".into());
    }
    if config.heap == 0 || config.heap > HEAP_LIMIT as usize || !config.heap.is_multiple_of(PAGE) {
        return wrong(
            "heap",
            format!("is {} bytes; it must be a multiple of {PAGE}, at most {HEAP_LIMIT}", config.heap),
        );
    }
    if config.deadline.is_zero() {
        return wrong("deadline", "must be longer than 0".into());
    }
    if config.max_failures == 0 {
        return wrong("max_failures", "must be 1 at least: the failures after which it is no longer called".into());
    }
    if u32::try_from(config.config.len()).is_err() {
        return wrong("config", "is longer than 4 GiB".into());
    }
    Ok(())
}

/// Refuse a memory or tables that could never be had, before the compiler does so in its own words. The bytes of memory that
/// it asks for at start.
fn check_sizes(binary: &[u8]) -> Result<u64, String> {
    let mut most = 0;
    for payload in Parser::new(0).parse_all(binary) {
        let payload = payload.map_err(|e| format!("not a WebAssembly module: {e}"))?;
        if let Payload::Version { encoding: wasmparser::Encoding::Component, .. } = payload {
            return Err("it is a component; build it as a core module (no WASI, no wit-bindgen)".into());
        }
        if let Payload::TableSection(tables) = &payload {
            check_tables(tables.clone())?;
        }
        let Payload::MemorySection(memories) = payload else { continue };
        for memory in memories {
            let memory = memory.map_err(|e| format!("not a WebAssembly module: {e}"))?;
            if memory.memory64 || memory.shared {
                return Err("its memory must be 32-bit and not shared".into());
            }
            most = most.max(memory.initial.saturating_mul(PAGE as u64));
        }
    }
    Ok(most)
}

fn check_memory(initial: u64, heap: usize) -> Result<(), String> {
    if initial <= heap as u64 {
        return Ok(());
    }
    Err(format!(
        "it asks for {initial} bytes of memory at start, its heap limit is {heap}; raise `heap` (at most {HEAP_LIMIT}) or \
         build it with a smaller initial memory"
    ))
}

fn check_tables(tables: wasmparser::TableSectionReader<'_>) -> Result<(), String> {
    if tables.count() > TABLES {
        return Err(format!("it has {} tables, at most {TABLES} are possible", tables.count()));
    }
    for table in tables {
        let table = table.map_err(|e| format!("not a WebAssembly module: {e}"))?;
        if table.ty.initial > TABLE_ELEMENTS as u64 {
            return Err(format!(
                "it has a table of {} elements, at most {TABLE_ELEMENTS} are possible: it takes so many functions by \
                 address, or reserves too much",
                table.ty.initial
            ));
        }
    }
    Ok(())
}

fn check_imports(engine: &Engine, module: &wasmtime::Module) -> Result<(), String> {
    let importable = host::importable(engine);
    for import in module.imports() {
        let full = format!("{}.{}", import.module(), import.name());
        let known = importable.iter().find(|(name, _)| import.module() == imports::MODULE && import.name() == *name);
        let Some((_, wanted)) = known else {
            let all: Vec<_> = importable.iter().map(|(name, _)| format!("{}.{name}", imports::MODULE)).collect();
            let wasi = if import.module().starts_with("wasi") { " (build without WASI)" } else { "" };
            return Err(format!("it imports {full}, which this host does not have{wasi}; it has {}", all.join(", ")));
        };
        match import.ty() {
            ExternType::Func(got) if FuncType::eq(&got, wanted) => {}
            got => return Err(format!("its import {full} is {}, it must be {}", extern_text(&got), func_text(wanted))),
        }
    }
    Ok(())
}

fn check_exports(engine: &Engine, module: &wasmtime::Module) -> Result<(), String> {
    match module.get_export(exports::MEMORY) {
        Some(ExternType::Memory(_)) => {}
        Some(other) => return Err(format!("its export memory is {}, not a memory", extern_text(&other))),
        None => return Err("it does not export its memory; export it under the name memory".into()),
    }
    let wanted = |params: usize| FuncType::new(engine, std::iter::repeat_n(ValType::I32, params), [ValType::I32]);
    let functions = [
        (exports::ABI_VERSION, 0),
        (exports::ALLOC, 1),
        (exports::INIT, 2),
        (exports::INSPECT, 2),
        (exports::STREAM, 4),
    ];
    let either = [exports::INSPECT, exports::STREAM];
    for (name, wanted) in functions.map(|(name, params)| (name, wanted(params))) {
        match module.get_export(name) {
            Some(ExternType::Func(got)) if FuncType::eq(&got, &wanted) => {}
            Some(got) => {
                return Err(format!("its export {name} is {}, it must be {}", extern_text(&got), func_text(&wanted)));
            }
            None if either.contains(&name) => {}
            None => return Err(format!("it does not export {name}; it must, as {}", func_text(&wanted))),
        }
    }
    if either.iter().all(|name| module.get_export(name).is_none()) {
        return Err(format!(
            "it exports neither {}, as {}, nor {}, as {}: it would see nothing",
            exports::INSPECT,
            func_text(&wanted(2)),
            exports::STREAM,
            func_text(&wanted(4))
        ));
    }
    Ok(())
}

fn extern_text(ty: &ExternType) -> String {
    match ty {
        ExternType::Func(ty) => func_text(ty),
        ExternType::Global(_) => "a global".into(),
        ExternType::Table(_) => "a table".into(),
        ExternType::Memory(_) => "a memory".into(),
        _ => "something else".into(),
    }
}

/// A function's type as `(i32, i32) -> i32`.
fn func_text(ty: &FuncType) -> String {
    let list = |types: Vec<ValType>| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let results = list(ty.results().collect());
    format!("({}) -> {}", list(ty.params().collect()), if results.is_empty() { "()" } else { &results })
}

/// An error and its causes on one line.
pub(super) fn causes(e: &wasmtime::Error) -> String {
    e.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
