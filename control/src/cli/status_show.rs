//! The status as it is shown.

use secuxflow::plane::{Mode, OffloadStatus, PlaneStatus};

use super::{
    modules_show::{MODULE_NUMBERS, measured, module_head, module_row},
    output::Show,
    services_show::{SERVICE_NUMBERS, service_head, service_row},
    table::{mebibytes, policy, table},
};
use crate::api::Status;

impl Show for Status {
    fn show(&self) -> String {
        let Self { version, pid, started, uptime_seconds, plane, .. } = self;
        let mut text = format!(
            "secuxflow {version}, process {pid}, up {uptime_seconds} s since {started}\n\
             {} rule{} (generation {}), default action {}, fail policy {}, enforcement {}\n\
             tables in the kernel: rules {}, sets {}, counters and cache {}\n\
             {} alerts, {} dropped, {} not written\n\n",
            self.rule_count,
            if self.rule_count == 1 { "" } else { "s" },
            plane.generation,
            self.default_action,
            policy(self.fail_policy),
            self.enforcement.word(),
            mebibytes(plane.memory.rules),
            mebibytes(plane.memory.sets),
            mebibytes(plane.memory.shared),
            plane.alerts_raised,
            plane.alerts_dropped,
            self.alert_write_errors,
        );
        let interfaces = plane.interfaces.iter().map(|interface| {
            let attached = if interface.attached { "yes" } else { "no" };
            let reason = interface.mode_reason.clone();
            let parts = if interface.multi_buffer { "yes" } else { "no" };
            let (name, queues) = (interface.name.clone(), interface.queues.to_string());
            [name, mode(interface.mode).into(), queues, attached.into(), parts.into(), reason]
        });
        let head = ["INTERFACE", "MODE", "QUEUES", "ATTACHED", "MULTI-BUFFER", "WHY NOT FASTER"];
        text += &table(head, interfaces, &["QUEUES"]);
        text.push('\n');
        let actions = plane.actions.iter();
        let actions = actions.map(|a| [a.name.clone(), a.value.packets.to_string(), a.value.bytes.to_string()]);
        text += &table(["ACTION", "PACKETS", "BYTES"], actions, &["PACKETS", "BYTES"]);
        text.push('\n');
        let workers = plane.workers.iter().map(|worker| {
            let core = match worker.core {
                _ if !worker.running => "dead".to_owned(),
                Some(core) => core.to_string(),
                None => "-".to_owned(),
            };
            let dropped: u64 = worker.drops.iter().map(|reason| reason.value.packets).sum();
            let us = |ns: u64| format!("{}.{}", ns / 1000, ns % 1000 / 100);
            [
                worker.index.to_string(),
                core,
                worker.rx.packets.to_string(),
                worker.tx.packets.to_string(),
                dropped.to_string(),
                us(worker.latency.p50),
                us(worker.latency.p99),
            ]
        });
        let head = ["WORKER", "CORE", "RX", "TX", "DROPPED", "P50 us", "P99 us"];
        text += &table(head, workers, &head);
        text += &flows(plane);
        text += &streams(plane);
        text += &oddities(plane);
        if !plane.services.is_empty() {
            text.push('\n');
            let services = plane.services.iter().map(service_row);
            text += &table(service_head("SERVICE"), services, &SERVICE_NUMBERS);
        }
        if !plane.modules.is_empty() {
            text.push('\n');
            text += &table(module_head("MODULE"), plane.modules.iter().map(module_row), &MODULE_NUMBERS);
            text += &measured(plane.modules.iter());
        }
        text
    }
}

/// What is known of flows, and what modules decided of them; nothing where there is nothing to tell.
fn flows(plane: &PlaneStatus) -> String {
    let remembered: u64 = plane.workers.iter().map(|worker| worker.flows.flows).sum();
    let OffloadStatus { flows, sources, cleared, condemned, blocked, .. } = plane.offload;
    if remembered == 0 && !flows && !sources {
        return String::new();
    }
    let offload = if flows || sources {
        format!("; in the kernel {cleared} directions cleared, {condemned} condemned, {blocked} sources blocked")
    } else {
        String::new()
    };
    format!("\n{remembered} flows remembered{offload}\n")
}

/// What is known of streams; nothing where none is followed.
fn streams(plane: &PlaneStatus) -> String {
    let sum = |name: &str| -> u64 {
        let counts = plane.workers.iter().flat_map(|worker| &worker.streams);
        counts.filter(|count| count.name == name).map(|count| count.value).sum()
    };
    if sum("opened") + sum("reassembled") + sum("streams") == 0 {
        return String::new();
    }
    let (streams, datagrams, gaps) = (sum("streams"), sum("datagrams"), sum("gaps"));
    let kept = mebibytes(sum("blocks") * 2048);
    format!(
        "\n{streams} streams followed, {datagrams} datagrams, {kept} of {} kept of them, {gaps} gaps\n",
        mebibytes(plane.stream_memory)
    )
}

/// What should be nought on a quiet day, and is not: a line each for the classifier's events, the workers' reasons to
/// drop, and what the rings lost.
fn oddities(plane: &PlaneStatus) -> String {
    let events = plane.events.iter().map(|event| (event.name.as_str(), event.value));
    let drops = plane.workers.iter().flat_map(|worker| &worker.drops);
    let drops = drops.map(|reason| (reason.name.as_str(), reason.value.packets));
    let refused = plane.workers.iter().flat_map(|worker| &worker.refused);
    let refused = refused.map(|why| (why.name.as_str(), why.value));
    let rings = plane.sockets.iter().flat_map(|socket| {
        [
            ("rx_dropped", socket.rx_dropped),
            ("rx_ring_full", socket.rx_ring_full),
            ("rx_invalid_descs", socket.rx_invalid_descs),
            ("tx_invalid_descs", socket.tx_invalid_descs),
        ]
    });
    let lost = plane.workers.iter().map(|worker| ("inject_lost", worker.inject_lost));
    let rings = rings.chain(lost);
    let mut text = String::new();
    for (title, counts) in
        [("events", sums(events)), ("dropped", sums(drops)), ("streams", sums(refused)), ("rings", sums(rings))]
    {
        if !counts.is_empty() {
            let blank = if text.is_empty() { "\n" } else { "" };
            text += &format!("{blank}{title:<8} {}\n", counts.join(", "));
        }
    }
    text
}

/// Sums by name, in the order of the names' first appearance, without those that are nought.
fn sums<'a>(counts: impl Iterator<Item = (&'a str, u64)>) -> Vec<String> {
    let mut sums: Vec<(&str, u64)> = Vec::new();
    for (name, count) in counts {
        match sums.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += count,
            None => sums.push((name, count)),
        }
    }
    sums.iter().filter(|(_, sum)| *sum > 0).map(|(name, sum)| format!("{name} {sum}")).collect()
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::ZeroCopy => "zero-copy",
        Mode::Copy => "copy",
        Mode::Skb => "skb",
    }
}

#[cfg(test)]
mod tests {
    use secuxflow::plane::FailPolicy;

    use super::*;
    use crate::{api::Services, cli::table::cells, testing::full_status};

    #[test]
    fn status_and_services_are_rows() {
        let plane = full_status();
        let services = Services { services: plane.services.clone() }.show();
        assert_eq!(cells(&services)[1], ["web", "10.0.0.5", "veth0", "-", "up", "both", "1", "60"], "{services}");
        let status = Status {
            version: "1.2.3".into(),
            pid: 9,
            started: "2026-01-02T03:04:05Z".into(),
            uptime_seconds: 60,
            config: None,
            fail_policy: FailPolicy::Closed,
            enforcement: crate::config::Enforcement::Monitor,
            default_action: "pass".into(),
            rule_count: 1,
            alert_write_errors: 0,
            plane,
        };
        let text = status.show();
        let lines = cells(&text);
        assert!(
            text.contains("fail policy closed, enforcement monitor") && text.contains("11 alerts, 1 dropped"),
            "{text}"
        );
        assert!(text.contains("kernel: rules 2.1 MiB, sets 0.6 MiB, counters and cache 1.3 MiB\n"), "{text}");
        assert!(lines.contains(&vec!["eth0", "copy", "1", "yes", "yes", "no zero-copy in this driver"]), "{text}");
        assert!(lines.contains(&vec!["0", "-", "3", "3", "3", "1.0", "3.0"]), "{text}");
        assert!(lines.contains(&vec!["web", "10.0.0.5", "veth0", "-", "up", "both", "1", "60"]), "{text}");
        let row = ["waf", "in service", "closed", "default", "3", "3", "2", "5", "250000000", "/m/waf.wasm"];
        assert!(lines.contains(&row.to_vec()), "{text}");
        assert!(text.contains("\nevents   neighbour 5\n") && text.contains("\ndropped  verdict 3\n"), "{text}");
        let flows = "\n21 flows remembered; in the kernel 31 directions cleared, 32 condemned, 33 sources blocked\n";
        assert!(text.contains(flows), "{text}");
        assert!(!text.contains("rings"), "nought is not shown: {text}");
    }
}
