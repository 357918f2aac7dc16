//! What the workers count.

use super::{Workers, sockets::Served};
use crate::{
    plane::{Count, Latency, Mode, SocketStatus, WorkerStatus},
    worker::{latency, shared::Shared},
    xsk::{self, FrameCounts},
};

impl Workers {
    /// Every worker's counters.
    #[must_use]
    pub fn status(&self) -> Vec<WorkerStatus> {
        let dead = self.dead();
        let status = |(index, shared): (u32, &Shared)| WorkerStatus {
            running: !dead.contains(&index),
            ..shared.stats.read(index, shared.core())
        };
        (0..).zip(self.all.iter()).map(status).collect()
    }

    /// The counters of every socket, those of a dead worker left out: they are closed.
    #[must_use]
    pub fn sockets(&self) -> Vec<SocketStatus> {
        let dead = self.dead();
        let status = |port: &Served| {
            let statistics = xsk::statistics(port.fd).inspect_err(|error| {
                tracing::warn!(dev = port.dev, queue = port.queue, %error, "a socket does not give its statistics");
            });
            let statistics = statistics.unwrap_or_default();
            SocketStatus {
                dev: port.dev.clone(),
                queue: port.queue,
                worker: port.worker,
                zero_copy: port.mode == Mode::ZeroCopy,
                rx: port.traffic.rx.read(),
                tx: port.traffic.tx.read(),
                rx_dropped: statistics.rx_dropped,
                rx_invalid_descs: statistics.rx_invalid_descs,
                tx_invalid_descs: statistics.tx_invalid_descs,
                rx_ring_full: statistics.rx_ring_full,
                rx_fill_ring_empty: statistics.rx_fill_ring_empty,
                tx_ring_empty: statistics.tx_ring_empty,
            }
        };
        // The lock keeps `close` from giving a descriptor back while it is read.
        self.served().iter().filter(|port| !dead.contains(&port.worker)).map(status).collect()
    }

    /// Packets sent toward the service with this index, by all workers, since they were started.
    #[must_use]
    pub fn service(&self, service: u16) -> Count {
        let mut sum = Count::default();
        for shared in &*self.all {
            sum += shared.stats.service(service);
        }
        sum
    }

    /// Latency over all workers.
    #[must_use]
    pub fn latency(&self) -> Latency {
        latency::merge(self.all.iter().map(|shared| &shared.stats.latency))
    }

    /// Batches whose chain panicked: a fault in the host, whatever the module did.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.all.iter().map(|shared| shared.stats.panics()).sum()
    }

    /// Injecting calls that the kernel refused; the worker injects no more until it is given its egresses anew.
    #[must_use]
    pub fn broken_calls(&self) -> u64 {
        self.all.iter().map(|shared| shared.stats.broken_calls()).sum()
    }

    /// Where the frames of the UMEM are.
    #[must_use]
    pub fn frames(&self) -> FrameCounts {
        self.umem.counts()
    }
}
