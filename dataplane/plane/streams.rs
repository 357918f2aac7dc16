//! The streams of each worker, and where their bytes lie for runners to see.

use std::sync::Arc;

use secuxflow_abi::WINDOW;

use super::PlaneError;
use crate::{
    alert::AlertQueue,
    flow::HashKey,
    inspect::{Region, SharedMemory},
    process::{GATHERED, Gather, Streaming},
    stream::{StreamConfig, Streams},
};

/// The streams of `workers` workers, whose memory lies behind `umem` in the windows of modules.
///
/// # Errors
/// The memory cannot be mapped.
pub(super) fn streaming(
    config: &StreamConfig,
    umem: &Region<'_>,
    workers: u32,
    alerts: &Arc<AlertQueue>,
) -> Result<Vec<Streaming>, PlaneError> {
    let refuse = |error: std::io::Error| PlaneError::Setting {
        setting: "streams.memory_mib",
        rule: format!("{} bytes for each of {workers} workers cannot be had: {error}", config.memory),
    };
    let address = u32::try_from(umem.len()).ok().and_then(|len| WINDOW.checked_add(len)).unwrap_or(WINDOW);
    (0..workers)
        .map(|_| {
            let memory = SharedMemory::new(GATHERED + config.memory).map_err(refuse)?;
            let (gathered, memory) = memory.split(GATHERED).map_err(refuse)?;
            let behind = address.saturating_add(u32::try_from(GATHERED).unwrap_or(0));
            let streams = Streams::new(config, memory, behind, HashKey::random());
            Ok(Streaming::new(streams, Arc::clone(alerts)).with_gather(Gather::new(gathered, address)))
        })
        .collect()
}
