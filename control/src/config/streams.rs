//! `[streams]`: how TCP streams are followed and datagrams put together.

use std::time::Duration;

use secuxflow::stream::{MIN_STREAMS, StreamConfig};

use super::{
    check::{Faults, LONGEST_SECONDS},
    file::RawStreams,
};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// What was written, within its bounds.
pub(super) fn streams(raw: &RawStreams, faults: &mut Faults) -> StreamConfig {
    let default = StreamConfig::default();
    let mut sized = |key: &str, value, default: usize, unit: usize, first, last| {
        let default = u32::try_from(default / unit).unwrap_or(last);
        faults.range(key, value, default, first, last) as usize * unit
    };
    let memory = sized("streams.memory_mib", raw.memory_mib, default.memory, MIB, 4, 1024);
    let early = sized("streams.early_kib", raw.early_kib, default.early as usize, KIB, 4, 65_536);
    let history = sized("streams.history_kib", raw.history_kib, default.history as usize, KIB, 0, 65_536);
    if early + history > memory / 2 {
        let both = (early + history).div_ceil(MIB);
        let rule = format!(
            "streams.early_kib and streams.history_kib, {both} MiB together, are more than half of the {} MiB that all \
             streams of a worker have",
            memory / MIB
        );
        faults.add("streams.memory_mib", rule);
    }
    let mut seconds = |key: &str, value, default: Duration| {
        let default = u32::try_from(default.as_secs()).unwrap_or(LONGEST_SECONDS);
        Duration::from_secs(faults.range(key, value, default, 1, LONGEST_SECONDS).into())
    };
    let opening = seconds("streams.opening_seconds", raw.opening_seconds, default.opening);
    let open = seconds("streams.open_seconds", raw.open_seconds, default.open);
    let closing = seconds("streams.closing_seconds", raw.closing_seconds, default.closing);
    let datagram = seconds("streams.datagram_seconds", raw.datagram_seconds, default.datagram);
    StreamConfig {
        memory,
        streams: faults.power("streams.table", raw.table, default.streams, MIN_STREAMS, 1 << 22),
        early: u32::try_from(early).unwrap_or(default.early),
        history: u32::try_from(history).unwrap_or(default.history),
        midstream: raw.midstream,
        pressure: raw.pressure,
        unverifiable: raw.unverifiable,
        urgent: raw.urgent,
        checksum: default.checksum,
        opening,
        open,
        closing,
        datagrams: faults.range("streams.datagrams", raw.datagrams, default.datagrams, 1, 65_536),
        datagram,
    }
}
