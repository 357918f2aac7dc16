//! A look at a module without a dataplane: what it needs and has, and whether it starts.

use serde::{Deserialize, Serialize};

use super::{InspectError, Loader, inspector::try_start, module::Module};
use crate::plane::{ModuleAbout, ModuleConfig, ModuleMetric};

/// What a module that can be loaded is like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleReport {
    /// SHA-256 of the file, hex.
    pub sha256: String,
    /// Length of the file in bytes.
    pub size: u64,
    /// ABI version.
    pub abi: u32,
    /// What it says it is.
    pub about: ModuleAbout,
    /// It has a schema, which its configuration fits.
    pub schema: bool,
    /// Names of its imports.
    pub imports: Vec<String>,
    /// Names of its exports.
    pub exports: Vec<String>,
    /// Metrics that it declares.
    pub metrics: Vec<ModuleMetric>,
    /// What it said when it was started: level (1 error, 2 warning, 3 info) and text.
    pub lines: Vec<(u32, String)>,
    /// Nanoseconds that its compilation and its start took.
    pub time_ns: u64,
}

/// Check a module as it is checked when it is loaded: ABI, imports, exports, sections, its configuration by its schema; and
/// start it once.
///
/// # Errors
/// The first thing that is wrong.
pub fn examine(config: &ModuleConfig) -> Result<ModuleReport, InspectError> {
    let begun = std::time::Instant::now();
    let loader = Loader::new(1, 0)?;
    let module = Module::load(&loader, config)?;
    let instance = try_start(&loader, &module, config)?;
    let wasm = module.pre.module();
    let metric =
        |metric: &super::metrics::Metric| ModuleMetric { name: metric.name.clone(), kind: metric.kind, value: 0 };
    Ok(ModuleReport {
        sha256: module.sha256.clone(),
        size: module.size,
        abi: module.abi,
        about: module.about.clone(),
        schema: module.has_schema,
        imports: wasm.imports().map(|import| format!("{}.{}", import.module(), import.name())).collect(),
        exports: wasm.exports().map(|export| export.name().to_owned()).collect(),
        metrics: instance.metrics().iter().map(metric).collect(),
        lines: instance.lines().iter().map(|line| (line.level, line.text.to_string())).collect(),
        time_ns: u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX),
    })
}
