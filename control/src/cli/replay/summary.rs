//! What is told of a capture's packets, one by one and all together.

use std::net::IpAddr;

use secuxflow::{
    offline::{CaptureError, CaptureReader, ChainTally, PacketReport, Replay, RuleTally, Totals},
    plane::{Count, ModuleStatus, Named},
};
use serde::Serialize;
use serde_json::json;

use crate::{
    alerts::{protocol, timestamp},
    backend::Names,
    cli::{output::Show, table::table},
};

/// A whole capture.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    event_type: &'static str,
    capture: String,
    format: &'static str,
    /// Whether it was read to its end, and nothing was passed over.
    complete: bool,
    /// Why it was not read to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// Packets passed over, by link type; obsolete packet blocks by that name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    passed_over: Vec<Named<u64>>,
    /// Time of the earliest packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<String>,
    /// Nanoseconds from the earliest packet to the latest.
    span_ns: u64,
    packets: u64,
    bytes: u64,
    passed: u64,
    dropped: u64,
    dropped_by: Vec<Named<u64>>,
    cut: u64,
    no_link: u64,
    not_ip: u64,
    undecidable: u64,
    cleared: u64,
    monitored: u64,
    panics: u64,
    alerts: u64,
    alerts_lost: u64,
    rules: Vec<RuleLine>,
    chains: Vec<ChainLine>,
    modules: Vec<ModuleStatus>,
}

#[derive(Debug, Serialize)]
struct RuleLine {
    /// None for the default action.
    rule: Option<String>,
    matched: Count,
    dropped: Count,
    monitored: u64,
}

#[derive(Debug, Serialize)]
struct ChainLine {
    chain: String,
    packets: Count,
    dropped: Count,
}

impl Summary {
    /// What became of the packets of `reader`, which ended by `error` or of itself.
    pub(super) fn of(
        capture: &str,
        reader: &CaptureReader<'_>,
        replay: &Replay,
        names: &Names,
        error: Option<&CaptureError>,
    ) -> Self {
        let totals: &Totals = replay.totals();
        let skipped = reader.skipped();
        let links = skipped.links.iter().map(|(link, packets)| (format!("link type {link}"), *packets));
        let obsolete = ("obsolete packet blocks".to_owned(), skipped.obsolete);
        let passed_over = links.chain([obsolete].into_iter().filter(|(_, packets)| *packets > 0));
        let passed_over: Vec<_> = passed_over.map(|(name, value)| Named { name, value }).collect();
        let rule = |(rule, RuleTally { matched, dropped, monitored }): (&Option<_>, &RuleTally)| RuleLine {
            rule: rule.map(|rule: secuxflow::rules::RuleId| rule.to_string()),
            matched: *matched,
            dropped: *dropped,
            monitored: *monitored,
        };
        let chain = |(name, ChainTally { packets, dropped }): (&String, &ChainTally)| ChainLine {
            chain: name.clone(),
            packets: *packets,
            dropped: *dropped,
        };
        Self {
            event_type: "summary",
            capture: capture.to_owned(),
            format: reader.format().name(),
            complete: error.is_none() && passed_over.is_empty(),
            error: error.map(ToString::to_string),
            passed_over,
            first: totals.span.map(|(first, _)| timestamp(first)),
            span_ns: totals.span.map_or(0, |(first, last)| last - first),
            packets: totals.packets.packets,
            bytes: totals.packets.bytes,
            passed: totals.packets.packets - totals.dropped.packets,
            dropped: totals.dropped.packets,
            dropped_by: totals
                .causes
                .iter()
                .map(|(name, value)| Named { name: (*name).into(), value: *value })
                .collect(),
            cut: totals.cut,
            no_link: totals.no_link,
            not_ip: totals.not_ip,
            undecidable: totals.undecidable,
            cleared: totals.cleared,
            monitored: totals.monitored,
            panics: totals.panics,
            alerts: totals.alerts,
            alerts_lost: totals.alerts_lost,
            rules: totals.rules.iter().map(rule).collect(),
            chains: names.chains.iter().zip(&totals.chains).map(chain).collect(),
            modules: replay.modules(),
        }
    }

    /// What was passed over, in words; none for nothing.
    pub(super) fn passed_over(&self) -> Option<String> {
        let words = self.passed_over.iter().map(|Named { name, value }| format!("{value} of {name}"));
        let words = words.collect::<Vec<_>>().join(", ");
        (!words.is_empty()).then_some(words)
    }

    /// Counts that are not 0, each in its words.
    fn remarks(&self) -> Vec<String> {
        let remarks = [
            (self.cut, "were not captured to their end"),
            (self.no_link, "end within the header of their link"),
            (self.not_ip, "are not IP, or neighbour discovery"),
            (self.undecidable, "have headers that cannot be followed to their end"),
            (self.cleared, "are of flows that their chain had cleared"),
            (self.monitored, "would have been dropped by a module (monitor mode)"),
            (self.alerts_lost, "alerts found no room"),
            (self.panics, "batches failed in this program: please report it"),
        ];
        remarks.into_iter().filter(|(n, _)| *n > 0).map(|(n, words)| format!("  {n} {words}\n")).collect()
    }
}

impl Show for Summary {
    fn show(&self) -> String {
        let milliseconds = self.span_ns / 1_000_000;
        let since = self.first.as_ref().map_or_else(String::new, |first| {
            format!(", {}.{:03} s from {first}", milliseconds / 1000, milliseconds % 1000)
        });
        let by: Vec<_> = self.dropped_by.iter().map(|Named { name, value }| format!("{name} {value}")).collect();
        let by = if by.is_empty() { String::new() } else { format!(" ({})", by.join(", ")) };
        let Self { capture, format, packets, bytes, passed, dropped, alerts, .. } = self;
        let mut text = format!(
            "{capture}: {format}, {packets} packets, {bytes} bytes{since}\n\
             {passed} passed, {dropped} dropped{by}, {alerts} alerts\n{}",
            self.remarks().concat()
        );
        let rules = self.rules.iter().map(|line| {
            let name = line.rule.clone().unwrap_or_else(|| "(default)".to_owned());
            [name, line.matched.packets.to_string(), line.dropped.packets.to_string(), line.monitored.to_string()]
        });
        let numbers = ["PACKETS", "DROPPED", "WOULD DROP", "PASSED", "ALERTS", "FAILURES"];
        text += &format!("\n{}", table(["RULE", "PACKETS", "DROPPED", "WOULD DROP"], rules, &numbers));
        let chains = self
            .chains
            .iter()
            .map(|line| [line.chain.clone(), line.packets.packets.to_string(), line.dropped.packets.to_string()]);
        text += &format!("\n{}", table(["CHAIN", "PACKETS", "DROPPED"], chains, &numbers));
        if !self.modules.is_empty() {
            let modules = self.modules.iter().map(|module| {
                let failures: u64 = module.failures.iter().map(|failure| failure.value).sum();
                let counts = [module.passed.packets, module.dropped.packets, module.alerts, failures];
                let [passed, dropped, alerts, failures] = counts.map(|count| count.to_string());
                [module.name.clone(), passed, dropped, alerts, failures]
            });
            text += &format!("\n{}", table(["MODULE", "PASSED", "DROPPED", "ALERTS", "FAILURES"], modules, &numbers));
        }
        text
    }
}

fn chain<'a>(packet: &PacketReport, names: &'a Names) -> Option<&'a str> {
    packet.chain.and_then(|chain| names.chains.get(usize::from(chain))).map(String::as_str)
}

fn verdict(packet: &PacketReport) -> &'static str {
    if packet.fate.is_drop() { "drop" } else { "pass" }
}

/// A packet for people, on one line without its end.
pub(super) fn packet_line(packet: &PacketReport, names: &Names) -> String {
    let tuple = packet.tuple.map_or_else(String::new, |tuple| {
        let ports = secuxflow::rules::Protocol(tuple.protocol).has_ports();
        let end = |ip: IpAddr, port: u16| match ip {
            _ if !ports => ip.to_string(),
            IpAddr::V4(ip) => format!("{ip}:{port}"),
            IpAddr::V6(ip) => format!("[{ip}]:{port}"),
        };
        let (src, dst) = (end(tuple.src, tuple.src_port), end(tuple.dst, tuple.dst_port));
        format!(" {} {src} -> {dst}", protocol(tuple.protocol))
    });
    let rule = packet.rule.map_or_else(String::new, |rule| format!(" {rule}"));
    let chain = chain(packet, names).map_or_else(String::new, |chain| format!(" chain {chain}"));
    let monitored = packet.monitored.map_or_else(String::new, |by| format!("; {by} would have dropped it"));
    let (time, verdict, cause) = (timestamp(packet.time_ns), verdict(packet), packet.fate.cause());
    format!("{time} #{}{tuple} {} bytes: {verdict} ({cause}){rule}{chain}{monitored}", packet.number, packet.len)
}

/// A packet for programs, on one line without its end.
pub(super) fn packet_json(packet: &PacketReport, names: &Names) -> serde_json::Result<String> {
    let mut record = json!({
        "timestamp": timestamp(packet.time_ns),
        "pcap_cnt": packet.number,
        "event_type": "packet",
        "len": packet.len,
        "original_len": packet.original_len,
        "verdict": verdict(packet),
        "cause": packet.fate.cause(),
    });
    let mut put = |name: &str, value: Option<serde_json::Value>| {
        if let (Some(value), Some(record)) = (value, record.as_object_mut()) {
            record.insert(name.to_owned(), value);
        }
    };
    put("rule", packet.rule.map(|rule| rule.to_string().into()));
    put("chain", chain(packet, names).map(Into::into));
    put("monitored", packet.monitored.map(|by| by.to_string().into()));
    if let Some(tuple) = packet.tuple {
        let ports = secuxflow::rules::Protocol(tuple.protocol).has_ports();
        put("src_ip", Some(tuple.src.to_string().into()));
        put("src_port", ports.then(|| tuple.src_port.into()));
        put("dest_ip", Some(tuple.dst.to_string().into()));
        put("dest_port", ports.then(|| tuple.dst_port.into()));
        put("proto", Some(protocol(tuple.protocol).into()));
    }
    serde_json::to_string(&record)
}
