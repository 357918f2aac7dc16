//! What is scraped, and that table, samples and documentation agree.

use std::{collections::HashSet, fmt::Write, fs, path::Path};

use jiff::Timestamp;
use secuxflow::{plane::FailPolicy, rules::RuleSpec};

use super::{
    collect::collect,
    table::{ALL, Decl, Kind},
};
use crate::{
    api::{RuleInfo, SetInfo, Status},
    testing::full_status,
};

fn status() -> Status {
    Status {
        version: "1.2.3".into(),
        pid: 1,
        started: String::new(),
        uptime_seconds: 1,
        config: None,
        fail_policy: FailPolicy::Open,
        enforcement: crate::config::Enforcement::Enforce,
        default_action: "pass".into(),
        rule_count: 1,
        alert_write_errors: 2,
        plane: full_status(),
    }
}

fn scrape() -> String {
    let status = status();
    let rule = RuleSpec { action: Some("drop".into()), ..RuleSpec::default() };
    let count = secuxflow::plane::Count { packets: 3, bytes: 180 };
    let rules = [RuleInfo { id: secuxflow::rules::RuleId(4), rule, expires_in_seconds: None, count }];
    let set = SetInfo {
        name: "drop".into(),
        blocklist: true,
        comment: None,
        entries: 9,
        timed: 2,
        used_by: 0,
        imported: 12,
        expired: 3,
    };
    collect(&status, &rules, &[set], Timestamp::UNIX_EPOCH)
}

fn line(decl: &Decl) -> String {
    let labels = decl.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
    format!("| `{}` | {} | {} | {labels} | {} |\n", decl.name, decl.kind.word(), decl.unit.as_str(), decl.help)
}

#[test]
fn every_declared_metric_is_updated() {
    let text = scrape();
    for decl in ALL {
        let sampled = text.lines().any(|line| {
            line.strip_prefix(decl.name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
        });
        assert!(sampled, "{} is declared and never set", decl.name);
    }
}

#[test]
fn samples_have_the_values_types_and_base_units() {
    let text = scrape();
    for expected in [
        "# TYPE secuxflow_rule_packets_total counter",
        "secuxflow_rule_packets_total{rule=\"rule-4\",action=\"drop\"} 3",
        "# TYPE secuxflow_latency_seconds summary",
        "secuxflow_latency_seconds{worker=\"0\",quantile=\"0.99\"} 0.000003",
        "secuxflow_latency_seconds_sum{worker=\"0\"} 0.004",
        "secuxflow_latency_seconds_count{worker=\"0\"} 4",
        "# TYPE secuxflow_module_seconds_total counter",
        "secuxflow_module_seconds_total{module=\"waf\"} 1.5",
        "# TYPE secuxflow_set_entries gauge",
        "secuxflow_set_entries{set=\"drop\"} 9",
        "secuxflow_set_imported_total{set=\"drop\"} 12",
        "secuxflow_set_expired_total{set=\"drop\"} 3",
        "secuxflow_module_metric_total{module=\"waf\",name=\"requests\"} 31",
        "# TYPE secuxflow_module_gauge gauge",
        "secuxflow_module_gauge{module=\"waf\",name=\"flows\"} 32",
        "secuxflow_alert_fields_dropped_total 2",
        "secuxflow_worker_replies_total{worker=\"0\",outcome=\"held_back\"} 43",
        "secuxflow_service_up{service=\"web\"} 1",
        "secuxflow_alerts_dropped_total 1",
        "secuxflow_alert_write_errors_total 2",
        "secuxflow_build_info{version=\"1.2.3\",abi=\"1\"} 1",
    ] {
        assert!(text.lines().any(|line| line == expected), "{expected}\nis not in\n{text}");
    }
    let types: Vec<_> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
    assert_eq!(types.len(), types.iter().collect::<HashSet<_>>().len(), "a metric's samples stand together");
}

#[test]
fn names_follow_the_conventions() {
    for decl in ALL {
        let base = decl.name.trim_end_matches("_sum").trim_end_matches("_count");
        assert!(decl.name.starts_with("secuxflow_") && !decl.name.contains("__"), "{}", decl.name);
        assert_eq!(decl.name.ends_with("_total"), decl.kind == Kind::Counter, "{}", decl.name);
        match decl.unit {
            metrics::Unit::Seconds => assert!(base.contains("_seconds"), "{}", decl.name),
            metrics::Unit::Bytes => assert!(base.contains("_bytes"), "{}", decl.name),
            _ => {}
        }
        assert!(decl.help.ends_with('.'), "{}", decl.name);
    }
    assert_eq!(ALL.len(), ALL.iter().map(|decl| decl.name).collect::<HashSet<_>>().len());
}

/// `UPDATE_DOCS=1 cargo test -p secuxflow-control` writes the file anew.
#[test]
fn the_documentation_is_the_table() {
    let mut text = String::from(
        "# Metrics\n\nPrometheus text on `http://127.0.0.1:9477/metrics` (`metrics.listen`). This page is made from the \
         table in\n`control/src/metrics/table.rs` and checked against it by a test. Series of deleted rules, sets \
         and services\ndisappear with them. Counters start at 0 with the daemon, those of rules too; a change of \
         rules leaves the counters of\nthose that stay.\n\n| name | type | unit | labels | meaning |\n|---|---|---|---|---|\n",
    );
    for decl in ALL {
        write!(text, "{}", line(decl)).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), text, "run UPDATE_DOCS=1 cargo test -p secuxflow-control");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_has_the_series_of_now_and_no_others() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let dir = tempfile::tempdir().unwrap();
    let overrides = crate::config::Overrides {
        interfaces: vec!["eth0".into()],
        state: Some(dir.path().join("state.json")),
        ..Default::default()
    };
    let config = crate::config::load(None, &overrides).unwrap();
    let store = std::sync::Arc::new(crate::alerts::AlertStore::new(1));
    let backend = crate::testing::Lab::new().backend();
    let admin = std::sync::Arc::new(super::Admin::new(&config, backend, crate::state::State::default(), store));
    let listener = super::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(super::serve(listener, std::sync::Arc::clone(&admin), std::future::pending()));
    let scrape = || async {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    };
    let rule = RuleSpec { action: Some("drop".into()), enabled: true, ..RuleSpec::default() };
    admin.add_rule(&crate::api::AddRule { id: None, rule }).unwrap();
    let text = scrape().await;
    assert!(text.starts_with("HTTP/1.1 200") && text.contains("text/plain; version=0.0.4"), "{text}");
    assert!(text.contains("secuxflow_rule_packets_total{rule=\"rule-1\",action=\"drop\"} 3"), "{text}");
    admin.clear_rules().unwrap();
    assert!(!scrape().await.contains("rule-1"), "a deleted rule's series are gone");
    server.abort();
}
