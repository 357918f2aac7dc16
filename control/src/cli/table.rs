//! Answers as tables and lines.

use std::fmt::Write;

use comfy_table::{Cell, CellAlignment, Table, presets};
use secuxflow::{
    plane::{ChainConfig, FailPolicy, Mode, OffloadStatus, PlaneStatus, ProbeReport},
    service::{Service, ServiceState, ServiceStatus, WayOut},
};
use serde::{Deserialize, Serialize};

use super::{
    modules_show::{MODULE_NUMBERS, measured, module_head, module_row},
    output::Show,
};
use crate::{
    api::{Alerts, Removed, RuleAdded, Rules, Services, Status},
    config::Config,
    modules::StepSpec,
};

/// A table whose columns named in `numbers` are set to the right.
pub(super) fn table<const N: usize>(
    head: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
    numbers: &[&str],
) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(head);
    let align = head.map(|name| if numbers.contains(&name) { CellAlignment::Right } else { CellAlignment::Left });
    for row in rows {
        table.add_row(row.into_iter().zip(align).map(|(text, align)| Cell::new(text).set_alignment(align)));
    }
    for (column, align) in table.column_iter_mut().zip(align) {
        column.set_cell_alignment(align);
    }
    format!("{}\n", table.trim_fmt())
}

fn or_any(text: Option<&String>) -> String {
    text.map_or_else(|| "any".to_owned(), Clone::clone)
}

pub(super) fn policy(policy: FailPolicy) -> &'static str {
    match policy {
        FailPolicy::Open => "open",
        FailPolicy::Closed => "closed",
    }
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::ZeroCopy => "zero-copy",
        Mode::Copy => "copy",
        Mode::Skb => "skb",
    }
}

/// As in `2.1 MiB`.
pub(super) fn mebibytes(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10).div_ceil(1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

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
            text += &table(service_head("SERVICE"), services, &["PACKETS", "BYTES"]);
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

impl Show for Rules {
    fn show(&self) -> String {
        let rows = self.rules.iter().map(|info| {
            let rule = &info.rule;
            let mut action = rule.action.clone().unwrap_or_default();
            if let Some(chain) = &rule.chain {
                action = format!("{action} {chain}");
            }
            for (holds, word) in [(rule.monitor, " (monitored)"), (!rule.enabled, " (disabled)")] {
                if holds {
                    action.push_str(word);
                }
            }
            let mut proto = or_any(rule.proto.as_ref());
            if let Some(flags) = &rule.tcp_flags {
                proto = format!("{proto} {flags}");
            }
            [
                info.id.to_string(),
                rule.priority.unwrap_or_default().to_string(),
                or_any(rule.src.as_ref()),
                or_any(rule.sport.as_ref()),
                or_any(rule.dst.as_ref()),
                or_any(rule.port.as_ref()),
                proto,
                or_any(rule.vlan.as_ref()),
                action,
                info.expires_in_seconds.map_or_else(|| "-".to_owned(), remaining),
                info.count.packets.to_string(),
                info.count.bytes.to_string(),
                rule.comment.as_deref().unwrap_or_default().replace(char::is_control, "."),
            ]
        });
        let head = [
            "ID",
            "PRIO",
            "SRC",
            "SPORT",
            "DST",
            "PORT",
            "PROTO",
            "VLAN",
            "ACTION",
            "EXPIRES IN",
            "PACKETS",
            "BYTES",
            "COMMENT",
        ];
        table(head, rows, &["PRIO", "PACKETS", "BYTES"])
    }
}

/// Seconds as people say them, in the two largest units: `9m 58s`, `3d 4h`.
pub(super) fn remaining(seconds: u64) -> String {
    let units = [(86_400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')];
    let first = units.iter().position(|(size, _)| seconds >= *size).unwrap_or(units.len() - 1);
    let mut rest = seconds;
    let mut words = Vec::new();
    for (size, name) in &units[first..units.len().min(first + 2)] {
        words.push(format!("{}{name}", rest / size));
        rest %= size;
    }
    words.join(" ")
}

impl Show for RuleAdded {
    fn show(&self) -> String {
        format!("{}\n", self.id)
    }
}

impl Show for Removed {
    fn show(&self) -> String {
        format!("{} removed\n", self.removed)
    }
}

fn service_head(name: &str) -> [&str; 9] {
    [name, "IP", "DEV", "MAC", "STATE", "WAY", "PACKETS", "BYTES", "REASON"]
}

fn service_row(status: &ServiceStatus) -> [String; 9] {
    let (state, reason) = match &status.state {
        ServiceState::Up => ("up", status.way_reason.clone()),
        ServiceState::Pending { reason } => ("pending", reason.clone()),
        ServiceState::Down { reason } => ("down", reason.clone()),
    };
    let mac = status.resolved_mac.map_or_else(|| "-".to_owned(), |mac| mac.to_string());
    let Service { name, ip, dev, .. } = &status.service;
    let (packets, bytes) = (status.tx_packets.to_string(), status.tx_bytes.to_string());
    let way = status.way.map_or("-", WayOut::word);
    [name.clone(), ip.to_string(), dev.clone(), mac, state.into(), way.into(), packets, bytes, reason]
}

impl Show for Services {
    fn show(&self) -> String {
        table(service_head("NAME"), self.services.iter().map(service_row), &["PACKETS", "BYTES"])
    }
}

/// The service that was added.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct ServiceAdded(Service);

impl Show for ServiceAdded {
    fn show(&self) -> String {
        format!("{}\n", self.0.name)
    }
}

/// What a test inspection found.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Probed(ProbeReport);

impl Show for Probed {
    fn show(&self) -> String {
        let ProbeReport { rule, action, chain, reasons, modules, service, verdict, cause } = &self.0;
        let by = rule.map_or_else(|| "the default action, for no rule matches".to_owned(), |rule| rule.to_string());
        let mut lines = vec![format!("verdict  {verdict} ({cause})"), format!("decided  by {by}: {action}")];
        lines.extend(reasons.iter().map(|reason| format!("why      {reason}")));
        lines.extend(chain.iter().map(|chain| format!("chain    {chain}")));
        for said in modules {
            lines.push(format!("module   {}: {}", said.module, said.verdict));
            for alert in &said.alerts {
                let message = alert.message.escape_debug();
                lines.push(format!("  alert  severity {}, signature {}: {message}", alert.severity, alert.signature));
            }
        }
        if chain.is_some() && modules.is_empty() {
            lines.push("module   none ran".to_owned());
        }
        lines.extend(service.iter().map(|service| format!("service  {service}")));
        lines.push("no packet was sent\n".to_owned());
        lines.join("\n")
    }
}

impl Show for Alerts {
    fn show(&self) -> String {
        let mut text = String::new();
        for alert in &self.alerts {
            text += &alert_words(alert);
            text.push('\n');
        }
        writeln!(text, "{} shown, {} raised, {} dropped", self.alerts.len(), self.raised, self.dropped)
            .expect("a String takes every write");
        text
    }
}

/// One line of the alert stream for people.
pub(super) fn alert_line(line: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(line) {
        Ok(alert) => match alert.get("missed") {
            Some(missed) => format!("({missed} alerts went by unseen: this reader is too slow)"),
            None => alert_words(&alert),
        },
        Err(_) => line.to_owned(),
    }
}

fn alert_words(alert: &serde_json::Value) -> String {
    let word = |path: &str| match alert.pointer(path) {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => String::new(),
    };
    let mut text = format!("{} [{}] {}", word("/timestamp"), word("/alert/severity"), word("/alert/action"));
    if alert.get("src_ip").is_some() {
        let end = |ip: &str, port: &str| match (word(ip), word(port)) {
            (ip, port) if port.is_empty() => ip,
            (ip, port) if ip.contains(':') => format!("[{ip}]:{port}"),
            (ip, port) => format!("{ip}:{port}"),
        };
        let (src, dst) = (end("/src_ip", "/src_port"), end("/dest_ip", "/dest_port"));
        text += &format!(" {} {src} -> {dst}", word("/proto"));
    }
    let origin = ["/secuxflow/rule", "/secuxflow/chain", "/secuxflow/module"].map(word);
    let origin: Vec<_> = origin.into_iter().filter(|word| !word.is_empty()).collect();
    let origin = if origin.is_empty() { word("/secuxflow/kind") } else { origin.join("/") };
    format!("{text} {origin} {}: {}", word("/alert/signature_id"), word("/alert/signature"))
}

fn steps(chain: &ChainConfig) -> String {
    chain.modules.iter().map(|step| StepSpec::from(step).to_string()).collect::<Vec<_>>().join(", ")
}

/// What a valid configuration says.
#[derive(Debug, Serialize)]
pub(super) struct ConfigSummary {
    valid: bool,
    file: String,
    interfaces: Vec<String>,
    modules: Vec<String>,
    chains: Vec<String>,
    socket: String,
    metrics: String,
    state: String,
}

impl ConfigSummary {
    /// `config` in words.
    pub(super) fn of(config: &Config) -> Self {
        let chains = config.plane.chains.iter();
        Self {
            valid: true,
            file: config.origin.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
            interfaces: config.plane.interfaces.clone(),
            modules: config.plane.modules.iter().map(|module| module.name.clone()).collect(),
            chains: chains.map(|chain| format!("{} [{}]", chain.name, steps(chain))).collect(),
            socket: config.socket.path.display().to_string(),
            metrics: config.metrics.map_or_else(|| "off".to_owned(), |address| address.to_string()),
            state: config.state.display().to_string(),
        }
    }
}

impl Show for ConfigSummary {
    fn show(&self) -> String {
        let list = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        format!(
            "{}: valid\ninterfaces  {}\nmodules     {}\nchains      {}\nsocket      {}\nmetrics     {}\nstate       {}\n",
            self.file,
            list(&self.interfaces),
            list(&self.modules),
            list(&self.chains),
            self.socket,
            self.metrics,
            self.state,
        )
    }
}

#[cfg(test)]
mod tests {
    use secuxflow::{plane::Count, rules::RuleSpec};
    use serde_json::json;

    use super::*;
    use crate::{api::RuleInfo, testing::full_status};

    /// The cells of a table's lines; no cell of these tests has two blanks in a row.
    fn cells(text: &str) -> Vec<Vec<&str>> {
        text.lines().map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()).collect()
    }

    #[test]
    fn rules_show_what_they_match_and_counted() {
        let rule = RuleSpec {
            src: Some("192.168.1.0/24".into()),
            port: Some("80".into()),
            action: Some("inspect".into()),
            chain: Some("waf".into()),
            ..RuleSpec::default()
        };
        let count = Count { packets: 3, bytes: 180 };
        let info = RuleInfo { id: secuxflow::rules::RuleId(1), rule, expires_in_seconds: None, count };
        let watched = RuleSpec {
            proto: Some("tcp".into()),
            tcp_flags: Some("syn,!ack".into()),
            vlan: Some("none".into()),
            action: Some("drop".into()),
            enabled: true,
            monitor: true,
            ..RuleSpec::default()
        };
        let watched = RuleInfo { rule: watched, expires_in_seconds: Some(598), ..info.clone() };
        let text = Rules { revision: 1, rules: vec![info, watched] }.show();
        let cells = cells(&text);
        assert_eq!(cells[0][..4], ["ID", "PRIO", "SRC", "SPORT"]);
        let row = ["rule-1", "0", "192.168.1.0/24", "any", "any", "80", "any", "any", "inspect waf (disabled)", "-"];
        assert_eq!(cells[1][..11], [&row[..], &["3"]].concat(), "{text}");
        assert_eq!(cells[2][6..10], ["tcp syn,!ack", "none", "drop (monitored)", "9m 58s"], "{text}");
    }

    #[test]
    fn what_remains_is_told_in_two_units() {
        for (seconds, words) in
            [(0, "0s"), (59, "59s"), (60, "1m 0s"), (598, "9m 58s"), (7200, "2h 0m"), (273_599, "3d 3h")]
        {
            assert_eq!(remaining(seconds), words);
        }
    }

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

    #[test]
    fn an_alert_is_one_line() {
        let alert = json!({
            "timestamp": "T", "event_type": "alert", "src_ip": "fd00::1", "src_port": 4, "dest_ip": "fd00::2",
            "dest_port": 80, "proto": "TCP",
            "alert": {"action": "blocked", "signature_id": 7, "signature": "attack", "severity": 1},
            "secuxflow": {"rule": "rule-1", "chain": "default", "module": "waf", "kind": "signature"},
        });
        let line = alert_line(&alert.to_string());
        assert_eq!(line, "T [1] blocked TCP [fd00::1]:4 -> [fd00::2]:80 rule-1/default/waf 7: attack");
        assert!(alert_line(r#"{"missed":12}"#).contains("12 alerts"));
    }

    #[test]
    fn a_test_inspection_tells_rule_reason_module_and_verdict() {
        let report = json!({
            "rule": "rule-2", "action": "inspect", "chain": "default", "reasons": ["priority 5 before 0"],
            "modules": [{"module": "waf", "verdict": "drop",
                         "alerts": [{"severity": 1, "signature": 7, "message": "climbs"}]}],
            "service": "web", "verdict": "drop", "cause": "module waf",
        });
        let text = serde_json::from_value::<Probed>(report).unwrap().show();
        for words in ["drop (module waf)", "rule-2: inspect", "priority 5", "waf: drop", "signature 7: climbs", "web"] {
            assert!(text.contains(words), "{words}\n{text}");
        }
    }
}
