//! Calls into the host: imports in a guest, a recorder on the build machine.

#[cfg(target_arch = "wasm32")]
mod imports;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod recorder;

#[cfg(target_arch = "wasm32")]
pub(crate) use imports::*;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use recorder::{alert, alert_fields, clock, flow_clear, flow_condemn, log, measure, metric, source_block};
