//! Modules as tables and lines.

use secuxflow::{
    inspect::ModuleReport,
    plane::{Count, MetricKind, ModuleAbout, ModuleMetric, ModuleStatus},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    output::Show,
    table::{mebibytes, policy, table},
};
use crate::api::{ModuleInfo, Modules};

pub(super) const MODULE_NUMBERS: [&str; 5] = ["PASSED", "DROPPED", "ALERTS", "FAILURES", "ns/PACKET"];

pub(super) fn module_head(name: &str) -> [&str; 10] {
    [name, "STATE", "ON FAILURE", "CHAINS", "PASSED", "DROPPED", "ALERTS", "FAILURES", "ns/PACKET", "FILE"]
}

pub(super) fn module_row(module: &ModuleStatus) -> [String; 10] {
    let failures: u64 = module.failures.iter().map(|kind| kind.value).sum();
    let packets = module.passed.packets + module.dropped.packets;
    let ns = module.time_ns.checked_div(packets).map_or_else(|| "-".to_owned(), |ns| ns.to_string());
    [
        module.name.clone(),
        if module.in_service { "in service" } else { "taken out" }.to_owned(),
        policy(module.on_failure).to_owned(),
        module.chains.join(","),
        module.passed.packets.to_string(),
        module.dropped.packets.to_string(),
        module.alerts.to_string(),
        failures.to_string(),
        ns,
        module.path.clone(),
    ]
}

/// What modules measure themselves, where any does.
pub(super) fn measured<'a>(modules: impl Iterator<Item = &'a ModuleStatus>) -> String {
    let rows = modules.flat_map(|module| module.metrics.iter().map(|metric| (&module.name, metric)));
    let row = |(module, metric): (&String, &ModuleMetric)| {
        [module.clone(), metric.name.clone(), kind(metric.kind).to_owned(), metric.value.to_string()]
    };
    let rows: Vec<_> = rows.map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    format!("\n{}", table(["MODULE", "METRIC", "KIND", "VALUE"], rows, &["VALUE"]))
}

fn kind(kind: MetricKind) -> &'static str {
    match kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
    }
}

impl Show for Modules {
    fn show(&self) -> String {
        table(module_head("NAME"), self.modules.iter().map(|module| module_row(&module.status)), &MODULE_NUMBERS)
            + &measured(self.modules.iter().map(|module| &module.status))
    }
}

/// One module, in full.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Module(ModuleInfo);

impl Show for Module {
    fn show(&self) -> String {
        let ModuleInfo { status, origin, signed_by, deadline_ms, heap_mib, max_failures, config } = &self.0;
        let count = |Count { packets, bytes }| format!("{packets} packets, {bytes} bytes");
        let number = |value: &Option<i64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
        let failures = status.failures.iter().map(|kind| format!("{} {}", kind.name, kind.value));
        let none = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        let mut lines = vec![
            ("module", status.name.clone()),
            ("file", status.path.clone()),
            ("is", about(&status.about)),
            ("sha256", status.sha256.clone()),
            ("size", mebibytes(status.size)),
            ("signed by", signed_by.clone().unwrap_or_else(|| "nobody".to_owned())),
            ("loaded by", origin.word().to_owned()),
            ("state", if status.in_service { "in service" } else { "taken out" }.to_owned()),
            ("chains", none(&status.chains.join(", "))),
            ("on failure", policy(status.on_failure).to_owned()),
            ("deadline", format!("{} ms", number(deadline_ms))),
            ("heap", format!("{} MiB", number(heap_mib))),
            (
                "failures",
                format!("{} in a row at most; {}", number(max_failures), failures.collect::<Vec<_>>().join(", ")),
            ),
            ("config", options(config)),
            ("passed", count(status.passed)),
            ("dropped", count(status.dropped)),
            ("monitored", count(status.monitored)),
            ("alerts", status.alerts.to_string()),
            ("calls", format!("{} in {} us", status.calls, status.time_ns / 1000)),
        ];
        lines.extend(status.metrics.iter().map(|metric| (metric.name.as_str(), metric.value.to_string())));
        lines.iter().map(|(name, value)| format!("{name:<11} {value}\n")).collect()
    }
}

/// Most characters of an option that are shown.
const LONGEST_TEXT: usize = 100;

/// A module's options as JSON, of which long texts, as whole rule files, are cut.
fn options(config: &Value) -> String {
    let Value::Object(options) = config else { return config.to_string() };
    let cut = |value: &Value| match value {
        Value::String(text) if text.chars().nth(LONGEST_TEXT).is_some() => {
            let begin: String = text.chars().take(LONGEST_TEXT).collect();
            format!("{}… ({} bytes)", Value::from(begin), text.len())
        }
        other => other.to_string(),
    };
    let options: Vec<_> =
        options.iter().map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), cut(value))).collect();
    format!("{{{}}}", options.join(","))
}

/// What a module says it is, in a line.
fn about(about: &ModuleAbout) -> String {
    let words = [&about.name, &about.version, &about.description].map(String::as_str);
    let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
    if words.is_empty() { "-".to_owned() } else { words.join(" ") }
}

/// What `module check` found.
#[derive(Debug, Serialize)]
pub(super) struct Checked {
    pub(super) file: String,
    #[serde(flatten)]
    pub(super) report: ModuleReport,
}

impl Show for Checked {
    fn show(&self) -> String {
        let Self { file, report } = self;
        let list = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let metric = |metric: &ModuleMetric| format!("{} ({})", metric.name, kind(metric.kind));
        let metrics: Vec<_> = report.metrics.iter().map(metric).collect();
        let mut text = format!(
            "{file}: valid\nis       {}\nschema   {}\nsha256   {}\nsize     {} bytes\nabi      {}\nimports  {}\nexports  {}\nmetrics  {}\n\
             compiled and started in {} ms\n",
            about(&report.about),
            if report.schema { "there is one, and the configuration fits it" } else { "none" },
            report.sha256,
            report.size,
            report.abi,
            list(&report.imports),
            list(&report.exports),
            list(&metrics),
            report.time_ns / 1_000_000,
        );
        for (level, line) in &report.lines {
            let level = ["error", "warning", "info"].get((*level as usize).saturating_sub(1)).unwrap_or(&"info");
            text += &format!("{level:<8} {line}\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{modules::Origin, testing::full_status};

    fn module() -> ModuleInfo {
        ModuleInfo {
            status: full_status().modules.remove(0),
            origin: Origin::Api,
            signed_by: Some("release".into()),
            deadline_ms: Some(50),
            heap_mib: Some(16),
            max_failures: Some(3),
            config: serde_json::json!({"ports": [80]}),
        }
    }

    #[test]
    fn whole_files_among_the_options_are_cut() {
        let config = serde_json::json!({"rules": "alert\n".repeat(100), "strict": true});
        let text = options(&config);
        assert!(text.contains(r#""… (600 bytes),"strict":true}"#) && text.len() < 200, "{text}");
    }

    #[test]
    fn modules_are_rows_and_one_is_told_in_full() {
        let text = Modules { modules: vec![module()] }.show();
        let cells: Vec<_> = text.lines().nth(1).unwrap().split("  ").map(str::trim).filter(|c| !c.is_empty()).collect();
        let row = ["waf", "in service", "closed", "default", "3", "3", "2", "5", "250000000", "/m/waf.wasm"];
        assert_eq!(cells, row, "{text}");
        assert!(text.contains("waf     requests  counter     31"), "{text}");
        let text = Module(module()).show();
        for line in [
            "signed by   release",
            "loaded by   api",
            "size        0.1 MiB",
            "is          waf 0.1 looks at requests",
            "chains      default",
            "failures    3 in a row at most; trap 5",
            r#"config      {"ports":[80]}"#,
            "monitored   3 packets, 180 bytes",
            "requests    31",
        ] {
            assert!(text.lines().any(|known| known == line), "{line}: {text}");
        }
    }
}
