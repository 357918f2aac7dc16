//! Alerts, and what a test inspection found, as they are shown.

use std::fmt::Write;

use secuxflow::plane::ProbeReport;
use serde::{Deserialize, Serialize};

use super::output::Show;
use crate::api::Alerts;

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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
