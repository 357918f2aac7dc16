//! Every metric, declared and documented once: this table is what is described to the recorder, what `docs/metrics.md`
//! is made from, and the only way to set a value.

use metrics::Unit;

/// What Prometheus calls a metric's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only grows while the daemon lives.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Quantiles under the name itself, and the parts `_sum` and `_count`.
    Summary,
    /// The `_sum` or `_count` of the summary declared before it.
    Part,
}

impl Kind {
    /// The word in a `# TYPE` line.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Summary | Self::Part => "summary",
        }
    }
}

/// One metric.
#[derive(Debug)]
pub(super) struct Decl {
    /// Name in Prometheus' conventions, base unit included.
    pub(super) name: &'static str,
    /// Its type.
    pub(super) kind: Kind,
    /// Unit of its values.
    pub(super) unit: Unit,
    /// Names of its labels.
    pub(super) labels: &'static [&'static str],
    /// What it tells.
    pub(super) help: &'static str,
}

macro_rules! metrics_table {
    ($($id:ident: $kind:ident $unit:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(pub(super) static $id: Decl = Decl {
            name: $name, kind: Kind::$kind, unit: Unit::$unit, labels: &[$($label),*], help: $help,
        };)*
        /// Every metric, in the order in which it is rendered and documented.
        pub(super) static ALL: &[&Decl] = &[$(&$id),*];
    };
}

metrics_table! {
    BUILD_INFO: Gauge Count "secuxflow_build_info" ["version", "abi"]
        "Always 1; the labels name the daemon's version and the module ABI it speaks.";
    START_TIME: Gauge Seconds "secuxflow_start_time_seconds" []
        "Time the daemon was started, seconds since the Unix epoch.";
    GENERATION: Gauge Count "secuxflow_ruleset_generation" []
        "Number of the live ruleset generation, counted from 1 at the daemon's start.";
    TABLE_BYTES: Gauge Bytes "secuxflow_table_bytes" ["table"]
        "Memory of tables in the kernel: rules are the live generation's own, sets are kept while no set changes, shared are counters of rules and cached verdicts, of all CPUs.";
    RULES: Gauge Count "secuxflow_rules" []
        "Rules known, disabled ones included.";
    ACTION_PACKETS: Counter Count "secuxflow_action_packets_total" ["action"]
        "Packets by what the XDP program did: pass, drop, inspect, forward (of a cleared flow, straight to its service).";
    ACTION_BYTES: Counter Bytes "secuxflow_action_bytes_total" ["action"]
        "Bytes of those packets, Ethernet headers included.";
    EVENTS: Counter Count "secuxflow_classifier_events_total" ["event"]
        "Packets by the odd things the XDP program met: neighbour, non_ip, undecidable, later_fragment, no_service, no_generation, no_metadata, fail_open, fail_closed; blocklist has a source that one holds; monitored is what would have been dropped but for monitor mode, sample_lost what of it found no room to become an alert; flow_cleared, flow_condemned and source_blocked is what modules decided on before, by flow or source; truncated, bad_header and long_chain are why packets were undecidable.";
    RULE_PACKETS: Counter Count "secuxflow_rule_packets_total" ["rule", "action"]
        "Packets that a rule decided on.";
    RULE_BYTES: Counter Bytes "secuxflow_rule_bytes_total" ["rule", "action"]
        "Bytes of those packets.";
    SET_ENTRIES: Gauge Count "secuxflow_set_entries" ["set"]
        "Prefixes in the set, those that are over and not taken out yet included.";
    SET_IMPORTED: Counter Count "secuxflow_set_imported_total" ["set"]
        "Prefixes that feeds brought to the set, those that were in it already included.";
    SET_EXPIRED: Counter Count "secuxflow_set_expired_total" ["set"]
        "Prefixes that left the set by themselves, at the end of their TTL.";
    IF_ATTACHED: Gauge Count "secuxflow_interface_attached" ["interface", "mode"]
        "1 while the XDP program is attached; mode is zero-copy, copy or skb.";
    IF_QUEUES: Gauge Count "secuxflow_interface_queues" ["interface"]
        "RX queues of the interface.";
    WORKER_RX_PACKETS: Counter Count "secuxflow_worker_rx_packets_total" ["worker"]
        "Packets a worker took from RX rings; a worker serves one queue of each interface.";
    WORKER_RX_BYTES: Counter Bytes "secuxflow_worker_rx_bytes_total" ["worker"]
        "Bytes of those packets.";
    WORKER_TX_PACKETS: Counter Count "secuxflow_worker_tx_packets_total" ["worker"]
        "Packets a worker handed to TX rings or injected.";
    WORKER_TX_BYTES: Counter Bytes "secuxflow_worker_tx_bytes_total" ["worker"]
        "Bytes of those packets.";
    WORKER_DROP_PACKETS: Counter Count "secuxflow_worker_drop_packets_total" ["worker", "reason"]
        "Packets a worker discarded, by reason.";
    WORKER_DROP_BYTES: Counter Bytes "secuxflow_worker_drop_bytes_total" ["worker", "reason"]
        "Bytes of those packets.";
    WORKER_UP: Gauge Count "secuxflow_worker_up" ["worker"]
        "1 while a worker's thread runs; 0 when it has died and its queues follow the fail policy.";
    WORKER_BATCHES: Counter Count "secuxflow_worker_batches_total" ["worker"]
        "Batches a worker received.";
    WORKER_CHECKSUMS: Counter Count "secuxflow_worker_checksums_repaired_total" ["worker"]
        "Partial checksums a worker completed.";
    WORKER_MULTI_BUFFER: Counter Count "secuxflow_worker_multi_buffer_packets_total" ["worker"]
        "Packets that came in several frames, as those of a jumbo MTU, and were put together for inspection.";
    WORKER_RECLASSIFIED: Counter Count "secuxflow_worker_reclassified_total" ["worker"]
        "Packets whose rule the kernel could not hand over, classified by the worker.";
    WORKER_MONITORED: Counter Count "secuxflow_worker_monitored_total" ["worker"]
        "Packets that a module would have dropped; forwarded, in monitor mode.";
    WORKER_REPLIES: Counter Count "secuxflow_worker_replies_total" ["worker", "outcome"]
        "TCP resets and ICMP errors about packets that modules rejected, by outcome: sent, lost (no frame, no room or no way), held_back (ICMP's rate).";
    WORKER_INJECTED: Counter Count "secuxflow_worker_injected_packets_total" ["worker"]
        "Of the packets a worker sent, those that it injected.";
    WORKER_INJECT_LOST: Counter Count "secuxflow_worker_inject_lost_packets_total" ["worker"]
        "Injected packets that the device did not take: its receiver's queue was full, or it refuses them.";
    WORKER_INJECT_CALLS: Counter Count "secuxflow_worker_inject_calls_total" ["worker"]
        "System calls that injected packets.";
    FLOWS: Gauge Count "secuxflow_flows" ["worker"]
        "Flows that a worker remembers.";
    FLOWS_ENTERED: Counter Count "secuxflow_flows_entered_total" ["worker"]
        "Flows that a worker entered into its table.";
    FLOWS_EXPIRED: Counter Count "secuxflow_flows_expired_total" ["worker"]
        "Flows that a worker forgot because no packet came.";
    FLOWS_EVICTED: Counter Count "secuxflow_flows_evicted_total" ["worker"]
        "Flows that a worker forgot to make room for new ones.";
    FLOW_CLEARED: Counter Count "secuxflow_worker_cleared_total" ["worker"]
        "Packets that came to a worker and that no module saw, because their chain had cleared the flow.";
    FLOW_GRANTED: Counter Count "secuxflow_worker_granted_total" ["worker"]
        "Wishes of modules to clear or condemn a flow or to block a source that were taken up.";
    STREAM_MEMORY: Gauge Bytes "secuxflow_stream_memory_bytes" []
        "Memory set aside for what is kept of streams and datagrams, of all workers; it is taken as it is used.";
    STREAMS: Gauge Count "secuxflow_streams" ["worker"]
        "TCP streams that a worker follows.";
    STREAM_BLOCKS: Gauge Count "secuxflow_stream_blocks" ["worker"]
        "Blocks of 2048 bytes of that memory in use.";
    DATAGRAMS: Gauge Count "secuxflow_datagrams" ["worker"]
        "Fragmented datagrams that a worker remembers.";
    STREAM_EVENTS: Counter Count "secuxflow_stream_events_total" ["worker", "event"]
        "What happened to streams and datagrams: opened, midstream (opened without their beginning), expired, evicted, bytes (shown in order), out_of_order (segments), overlaps, gaps, unverified (retransmissions without a copy), uncopied (segments, for want of room), urgent_cleared, reassembled (datagrams), unfinished, fragments_skipped.";
    STREAM_REFUSED: Counter Count "secuxflow_stream_refused_packets_total" ["worker", "reason"]
        "Packets refused for their stream or datagram, by reason (docs/streams.md); forwarded, in monitor mode.";
    OFFLOADED: Gauge Count "secuxflow_offloaded_flows" ["verdict"]
        "Directions of flows that the kernel deals with by itself, by verdict: cleared, condemned.";
    BLOCKED: Gauge Count "secuxflow_blocked_sources" []
        "Sources that modules have blocked.";
    OFFLOAD_WRITTEN: Counter Count "secuxflow_offload_written_total" []
        "Verdicts on flows and sources that were written into the kernel.";
    OFFLOAD_LOST: Counter Count "secuxflow_offload_lost_total" []
        "Verdicts that were lost to a full queue or that the kernel refused; the next packet brings them again.";
    UMEM_FRAMES: Gauge Count "secuxflow_umem_frames" ["worker", "place"]
        "UMEM frames by where they are now: free, fill, rx, tx, mailbox; the sum is the worker's share.";
    LATENCY: Summary Seconds "secuxflow_latency_seconds" ["worker", "quantile"]
        "Time from a batch's arrival in user space to its submission to a TX ring or its injection, since the worker's start.";
    LATENCY_SUM: Part Seconds "secuxflow_latency_seconds_sum" ["worker"]
        "Sum of all latencies.";
    LATENCY_COUNT: Part Count "secuxflow_latency_seconds_count" ["worker"]
        "Number of latencies.";
    LATENCY_MAX: Gauge Seconds "secuxflow_latency_max_seconds" ["worker"]
        "Largest latency since the worker's start.";
    SOCKET_RX_PACKETS: Counter Count "secuxflow_socket_rx_packets_total" ["device", "queue"]
        "Packets that a worker took from the RX ring of this device's queue.";
    SOCKET_RX_BYTES: Counter Bytes "secuxflow_socket_rx_bytes_total" ["device", "queue"]
        "Bytes that a worker took from the RX ring of this device's queue.";
    SOCKET_TX_PACKETS: Counter Count "secuxflow_socket_tx_packets_total" ["device", "queue"]
        "Packets that a worker put on the TX ring of this device's queue.";
    SOCKET_TX_BYTES: Counter Bytes "secuxflow_socket_tx_bytes_total" ["device", "queue"]
        "Bytes that a worker put on the TX ring of this device's queue.";
    SOCKET_ZERO_COPY: Gauge Count "secuxflow_socket_zero_copy" ["device", "queue"]
        "1 where the AF_XDP socket is bound in zero-copy mode, 0 for copy mode.";
    SOCKET_RX_DROPPED: Counter Count "secuxflow_socket_rx_dropped_total" ["device", "queue"]
        "XDP_STATISTICS rx_dropped: packets dropped for other reasons than a full ring.";
    SOCKET_RX_INVALID: Counter Count "secuxflow_socket_rx_invalid_descriptors_total" ["device", "queue"]
        "XDP_STATISTICS rx_invalid_descs: invalid descriptors in the fill ring.";
    SOCKET_TX_INVALID: Counter Count "secuxflow_socket_tx_invalid_descriptors_total" ["device", "queue"]
        "XDP_STATISTICS tx_invalid_descs: invalid descriptors in the TX ring.";
    SOCKET_RX_FULL: Counter Count "secuxflow_socket_rx_ring_full_total" ["device", "queue"]
        "XDP_STATISTICS rx_ring_full: packets dropped because the RX ring was full.";
    SOCKET_FILL_EMPTY: Counter Count "secuxflow_socket_rx_fill_ring_empty_total" ["device", "queue"]
        "XDP_STATISTICS rx_fill_ring_empty_descs: times the fill ring was empty.";
    SOCKET_TX_EMPTY: Counter Count "secuxflow_socket_tx_ring_empty_total" ["device", "queue"]
        "XDP_STATISTICS tx_ring_empty_descs: times the TX ring was empty.";
    MODULE_PACKETS: Counter Count "secuxflow_module_packets_total" ["module", "verdict"]
        "Packets by a module's verdict: pass, drop.";
    MODULE_BYTES: Counter Bytes "secuxflow_module_bytes_total" ["module", "verdict"]
        "Bytes of those packets.";
    MODULE_MONITORED_PACKETS: Counter Count "secuxflow_module_monitored_packets_total" ["module"]
        "Of the packets a module let through, those that it would have dropped, being monitored in its chain.";
    MODULE_ALERTS: Counter Count "secuxflow_module_alerts_total" ["module"]
        "Alerts a module raised.";
    MODULE_CALLS: Counter Count "secuxflow_module_calls_total" ["module"]
        "Calls of a module: for a batch of packets, and for the chunks of streams that came with it.";
    MODULE_SECONDS: Counter Seconds "secuxflow_module_seconds_total" ["module"]
        "Time spent inside a module.";
    MODULE_FAILURES: Counter Count "secuxflow_module_failures_total" ["module", "kind"]
        "Calls that a module failed on, by kind: trap, timeout, error, bad_verdict.";
    MODULE_IN_SERVICE: Gauge Count "secuxflow_module_in_service" ["module"]
        "0 once a module was taken out of service after too many failures.";
    MODULE_METRIC: Counter Count "secuxflow_module_metric_total" ["module", "name"]
        "Counters that a module declares, summed over workers.";
    MODULE_GAUGE: Gauge Count "secuxflow_module_gauge" ["module", "name"]
        "Gauges that a module declares, summed over workers.";
    SERVICE_UP: Gauge Count "secuxflow_service_up" ["service"]
        "1 while inspected traffic can reach the service.";
    SERVICE_WAY: Gauge Count "secuxflow_service_way" ["service", "way"]
        "1 for the way that packets leave toward the service: tx, inject, or both, whichever is cheaper for a batch.";
    SERVICE_PACKETS: Counter Count "secuxflow_service_tx_packets_total" ["service"]
        "Packets the workers sent toward the service.";
    SERVICE_BYTES: Counter Bytes "secuxflow_service_tx_bytes_total" ["service"]
        "Bytes of those packets.";
    ALERTS_RAISED: Counter Count "secuxflow_alerts_total" []
        "Alerts raised, dropped ones included.";
    ALERTS_DROPPED: Counter Count "secuxflow_alerts_dropped_total" []
        "Alerts lost because the queue between workers and daemon was full.";
    ALERT_FIELDS_DROPPED: Counter Count "secuxflow_alert_fields_dropped_total" []
        "Alerts of which fields that the module gave were left out: too long, no JSON, keys that are the record's own.";
    ALERT_WRITE_ERRORS: Counter Count "secuxflow_alert_write_errors_total" []
        "Alerts that could not be written to the alert file.";
}
