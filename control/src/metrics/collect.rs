//! From the daemon's status to samples.

use jiff::Timestamp;
use metrics::{Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use secuxflow::{
    plane::{Count, Latency, MetricKind, Mode, Named, OffloadStatus},
    service::ServiceState,
};

use super::{
    table::{self as t, Decl, Kind},
    text,
};
use crate::api::{RuleInfo, SetInfo, Status};

/// Samples of one scrape.
struct Sink(PrometheusRecorder);

static METADATA: Metadata<'static> = Metadata::new("secuxflow", Level::INFO, None);

impl Sink {
    fn key(decl: &Decl, labels: &[&str]) -> Key {
        debug_assert_eq!(decl.labels.len(), labels.len(), "{}", decl.name);
        let labels = decl.labels.iter().zip(labels).map(|(name, value)| Label::new(*name, (*value).to_owned()));
        Key::from_parts(decl.name, labels.collect::<Vec<_>>())
    }

    /// A whole number.
    fn set(&self, decl: &Decl, labels: &[&str], value: u64) {
        let key = Self::key(decl, labels);
        if decl.kind == Kind::Counter {
            self.0.register_counter(&key, &METADATA).absolute(value);
        } else {
            self.0.register_gauge(&key, &METADATA).set(to_f64(value));
        }
    }

    /// A time given in nanoseconds. The facade's counters are integers and seconds are not, so it goes by a gauge,
    /// whose `# TYPE` line [`text::arrange`] then writes as declared.
    fn seconds(&self, decl: &Decl, labels: &[&str], ns: u64) {
        self.0.register_gauge(&Self::key(decl, labels), &METADATA).set(to_f64(ns) / 1e9);
    }

    fn count(&self, packets: &Decl, bytes: &Decl, labels: &[&str], count: Count) {
        self.set(packets, labels, count.packets);
        self.set(bytes, labels, count.bytes);
    }
}

/// Exact up to 2^53, which is what Prometheus holds.
#[expect(clippy::cast_precision_loss, reason = "Prometheus' values are 64-bit floats")]
fn to_f64(value: u64) -> f64 {
    value as f64
}

/// Everything as Prometheus text.
pub(super) fn collect(status: &Status, rules: &[RuleInfo], set_list: &[SetInfo], started: Timestamp) -> String {
    let sink = Sink(PrometheusBuilder::new().build_recorder());
    for decl in t::ALL {
        sink.0.describe_gauge(decl.name.into(), Some(decl.unit), decl.help.into());
    }
    daemon(&sink, status, started);
    classifier(&sink, status, rules);
    sets(&sink, set_list);
    workers(&sink, status);
    offload(&sink, &status.plane.offload);
    sockets(&sink, status);
    modules(&sink, status);
    services(&sink, status);
    text::arrange(&sink.0.handle().render())
}

fn daemon(sink: &Sink, status: &Status, started: Timestamp) {
    sink.set(&t::BUILD_INFO, &[&status.version, &secuxflow_abi::ABI_VERSION.to_string()], 1);
    sink.seconds(&t::START_TIME, &[], u64::try_from(started.as_nanosecond()).unwrap_or(0));
    sink.set(&t::STREAM_MEMORY, &[], status.plane.stream_memory);
    sink.set(&t::ALERTS_RAISED, &[], status.plane.alerts_raised);
    sink.set(&t::ALERTS_DROPPED, &[], status.plane.alerts_dropped);
    sink.set(&t::ALERT_FIELDS_DROPPED, &[], status.plane.alert_fields_dropped);
    sink.set(&t::ALERT_WRITE_ERRORS, &[], status.alert_write_errors);
}

fn classifier(sink: &Sink, status: &Status, rules: &[RuleInfo]) {
    sink.set(&t::GENERATION, &[], status.plane.generation);
    let memory = status.plane.memory;
    for (table, bytes) in [("rules", memory.rules), ("sets", memory.sets), ("shared", memory.shared)] {
        sink.set(&t::TABLE_BYTES, &[table], bytes);
    }
    sink.set(&t::RULES, &[], u64::try_from(status.rule_count).unwrap_or(u64::MAX));
    for Named { name, value } in &status.plane.actions {
        sink.count(&t::ACTION_PACKETS, &t::ACTION_BYTES, &[name], *value);
    }
    for Named { name, value } in &status.plane.events {
        sink.set(&t::EVENTS, &[name], *value);
    }
    for info in rules {
        let labels = [&*info.id.to_string(), info.rule.action.as_deref().unwrap_or_default()];
        sink.count(&t::RULE_PACKETS, &t::RULE_BYTES, &labels, info.count);
    }
    for interface in &status.plane.interfaces {
        let mode = match interface.mode {
            Mode::ZeroCopy => "zero-copy",
            Mode::Copy => "copy",
            Mode::Skb => "skb",
        };
        sink.set(&t::IF_ATTACHED, &[&interface.name, mode], interface.attached.into());
        sink.set(&t::IF_QUEUES, &[&interface.name], interface.queues.into());
    }
}

fn sets(sink: &Sink, sets: &[SetInfo]) {
    for set in sets {
        sink.set(&t::SET_ENTRIES, &[&set.name], u64::try_from(set.entries).unwrap_or(u64::MAX));
        sink.set(&t::SET_IMPORTED, &[&set.name], set.imported);
        sink.set(&t::SET_EXPIRED, &[&set.name], set.expired);
    }
}

fn workers(sink: &Sink, status: &Status) {
    for worker in &status.plane.workers {
        let index = worker.index.to_string();
        sink.count(&t::WORKER_RX_PACKETS, &t::WORKER_RX_BYTES, &[&index], worker.rx);
        sink.count(&t::WORKER_TX_PACKETS, &t::WORKER_TX_BYTES, &[&index], worker.tx);
        for Named { name, value } in &worker.drops {
            sink.count(&t::WORKER_DROP_PACKETS, &t::WORKER_DROP_BYTES, &[&index, name], *value);
        }
        sink.set(&t::WORKER_UP, &[&index], worker.running.into());
        sink.set(&t::WORKER_BATCHES, &[&index], worker.batches);
        sink.set(&t::WORKER_CHECKSUMS, &[&index], worker.checksums_repaired);
        sink.set(&t::WORKER_MULTI_BUFFER, &[&index], worker.multi_buffer);
        sink.set(&t::WORKER_RECLASSIFIED, &[&index], worker.reclassified);
        sink.set(&t::WORKER_MONITORED, &[&index], worker.monitored);
        let replies = worker.replies;
        for (outcome, count) in [("sent", replies.sent), ("lost", replies.lost), ("held_back", replies.held_back)] {
            sink.set(&t::WORKER_REPLIES, &[&index, outcome], count);
        }
        sink.set(&t::WORKER_INJECTED, &[&index], worker.injected);
        sink.set(&t::WORKER_INJECT_LOST, &[&index], worker.inject_lost);
        sink.set(&t::WORKER_INJECT_CALLS, &[&index], worker.inject_calls);
        sink.set(&t::FLOWS, &[&index], worker.flows.flows);
        sink.set(&t::FLOWS_ENTERED, &[&index], worker.flows.entered);
        sink.set(&t::FLOWS_EXPIRED, &[&index], worker.flows.expired);
        sink.set(&t::FLOWS_EVICTED, &[&index], worker.flows.evicted);
        sink.set(&t::FLOW_CLEARED, &[&index], worker.flows.cleared);
        sink.set(&t::FLOW_GRANTED, &[&index], worker.flows.granted);
        for Named { name, value } in &worker.streams {
            match name.as_str() {
                "streams" => sink.set(&t::STREAMS, &[&index], *value),
                "blocks" => sink.set(&t::STREAM_BLOCKS, &[&index], *value),
                "datagrams" => sink.set(&t::DATAGRAMS, &[&index], *value),
                event => sink.set(&t::STREAM_EVENTS, &[&index, event], *value),
            }
        }
        for Named { name, value } in &worker.refused {
            sink.set(&t::STREAM_REFUSED, &[&index, name], *value);
        }
        for Named { name, value } in &worker.frames {
            sink.set(&t::UMEM_FRAMES, &[&index, name], *value);
        }
        latency(sink, &index, &worker.latency);
    }
}

fn offload(sink: &Sink, offload: &OffloadStatus) {
    sink.set(&t::OFFLOADED, &["cleared"], offload.cleared);
    sink.set(&t::OFFLOADED, &["condemned"], offload.condemned);
    sink.set(&t::BLOCKED, &[], offload.blocked);
    sink.set(&t::OFFLOAD_WRITTEN, &[], offload.written);
    sink.set(&t::OFFLOAD_LOST, &[], offload.lost);
}

fn latency(sink: &Sink, worker: &str, latency: &Latency) {
    let quantiles = [("0.5", latency.p50), ("0.9", latency.p90), ("0.99", latency.p99), ("0.999", latency.p999)];
    for (quantile, ns) in quantiles {
        sink.seconds(&t::LATENCY, &[worker, quantile], ns);
    }
    sink.seconds(&t::LATENCY_SUM, &[worker], latency.sum);
    sink.set(&t::LATENCY_COUNT, &[worker], latency.count);
    sink.seconds(&t::LATENCY_MAX, &[worker], latency.max);
}

fn sockets(sink: &Sink, status: &Status) {
    for socket in &status.plane.sockets {
        let labels = [&*socket.dev, &*socket.queue.to_string()];
        sink.set(&t::SOCKET_RX_PACKETS, &labels, socket.rx.packets);
        sink.set(&t::SOCKET_RX_BYTES, &labels, socket.rx.bytes);
        sink.set(&t::SOCKET_TX_PACKETS, &labels, socket.tx.packets);
        sink.set(&t::SOCKET_TX_BYTES, &labels, socket.tx.bytes);
        sink.set(&t::SOCKET_ZERO_COPY, &labels, socket.zero_copy.into());
        sink.set(&t::SOCKET_RX_DROPPED, &labels, socket.rx_dropped);
        sink.set(&t::SOCKET_RX_INVALID, &labels, socket.rx_invalid_descs);
        sink.set(&t::SOCKET_TX_INVALID, &labels, socket.tx_invalid_descs);
        sink.set(&t::SOCKET_RX_FULL, &labels, socket.rx_ring_full);
        sink.set(&t::SOCKET_FILL_EMPTY, &labels, socket.rx_fill_ring_empty);
        sink.set(&t::SOCKET_TX_EMPTY, &labels, socket.tx_ring_empty);
    }
}

fn modules(sink: &Sink, status: &Status) {
    for module in &status.plane.modules {
        let name = &*module.name;
        sink.count(&t::MODULE_PACKETS, &t::MODULE_BYTES, &[name, "pass"], module.passed);
        sink.count(&t::MODULE_PACKETS, &t::MODULE_BYTES, &[name, "drop"], module.dropped);
        sink.set(&t::MODULE_MONITORED_PACKETS, &[name], module.monitored.packets);
        sink.set(&t::MODULE_ALERTS, &[name], module.alerts);
        sink.set(&t::MODULE_CALLS, &[name], module.calls);
        sink.seconds(&t::MODULE_SECONDS, &[name], module.time_ns);
        for failure in &module.failures {
            sink.set(&t::MODULE_FAILURES, &[name, &failure.name], failure.value);
        }
        sink.set(&t::MODULE_IN_SERVICE, &[name], module.in_service.into());
        for metric in &module.metrics {
            let decl = match metric.kind {
                MetricKind::Counter => &t::MODULE_METRIC,
                MetricKind::Gauge => &t::MODULE_GAUGE,
            };
            sink.set(decl, &[name, &metric.name], metric.value);
        }
    }
}

fn services(sink: &Sink, status: &Status) {
    for service in &status.plane.services {
        let name = &*service.service.name;
        sink.set(&t::SERVICE_UP, &[name], matches!(service.state, ServiceState::Up).into());
        if let Some(way) = service.way {
            sink.set(&t::SERVICE_WAY, &[name, way.word()], 1);
        }
        sink.set(&t::SERVICE_PACKETS, &[name], service.tx_packets);
        sink.set(&t::SERVICE_BYTES, &[name], service.tx_bytes);
    }
}
