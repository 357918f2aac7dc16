//! Scans, floods and password guessing, beside what ordinary clients do.

use std::time::Duration;

use secuxflow_sdk::harness::{Connection, Frame, Harness, Report, check_schema};

use super::*;

fn syn(source: &str, destination: &str) -> Vec<u8> {
    Frame::tcp(source, destination).flags(SYN).bytes()
}

fn stopped(report: &Report) -> usize {
    report.verdicts.iter().filter(|verdict| **verdict != Verdict::Pass).count()
}

fn start(config: &str) -> Harness<ScanGuard> {
    Harness::new(config).unwrap()
}

#[test]
fn options() {
    check_schema::<ScanGuard>();
    for (bad, why) in [
        (r#"{"ports": 1}"#, "ports: 1, it must be 2 to 256"),
        (r#"{"login_ports": [0]}"#, "login_ports: 0"),
        (r#"{"login_ports": [65536]}"#, "login_ports[0]: invalid value"),
        (r#"{"exempt": ["10.0.0.0/40"]}"#, "exempt[0]"),
    ] {
        let error = Harness::<ScanGuard>::new(bad).unwrap_err();
        assert!(error.starts_with(why), "{bad}: {error}");
    }
}

#[test]
fn a_scan_of_ports_is_stopped() {
    let mut harness = start(r#"{"ports": 20, "block_seconds": 600, "login_ports": []}"#);
    let scan: Vec<_> = (1..=60).map(|port| syn("10.0.0.1:40000", &format!("10.0.0.9:{port}"))).collect();
    let report = harness.frames(&scan);
    assert_eq!(report.signatures(), [1], "told once");
    // Ports that share a bit with another count as one with it.
    assert!((36..=40).contains(&stopped(&report)), "{}", stopped(&report));
    assert_eq!((report.asks[0].what, report.asks[0].seconds), ("source_block", 600));
    assert!(harness.frames(&[syn("10.0.0.2:40000", "10.0.0.9:61")]).passes(), "another source");
    assert_eq!(harness.metric("attempts"), Some(61));
    harness.advance(Duration::from_secs(90));
    assert!(harness.frames(&[syn("10.0.0.1:40000", "10.0.0.9:61")]).passes(), "it is over");
}

#[test]
fn scans_without_syn_and_by_udp_are_seen_too() {
    for flags in [0, FIN, FIN | PSH | URG] {
        let mut harness = start(r#"{"ports": 20}"#);
        let scan: Vec<_> = (1..=60)
            .map(|port| Frame::tcp("10.0.0.1:40000", &format!("10.0.0.9:{port}")).flags(flags).bytes())
            .collect();
        assert_eq!(harness.frames(&scan).signatures(), [1], "flags {flags}");
    }
    let mut harness = start(r#"{"ports": 20, "on_scan": "alert"}"#);
    let scan: Vec<_> = (1..=60).map(|port| Frame::udp("[fd00::1]:9", &format!("[fd00::9]:{port}")).bytes()).collect();
    let report = harness.frames(&scan);
    assert!(report.passes() && report.signatures() == [1]);
}

#[test]
fn a_scan_of_hosts_is_stopped_however_slow_within_the_window() {
    let mut harness = start(r#"{"hosts": 50, "window_seconds": 600, "login_ports": []}"#);
    let mut stops = 0;
    let mut told = Vec::new();
    for host in 1..=200 {
        let report = harness.frames(&[syn("10.0.0.1:40000", &format!("10.0.1.{host}:445"))]);
        stops += stopped(&report);
        told.extend(report.signatures());
        harness.advance(Duration::from_secs(1));
    }
    assert!((140..=150).contains(&stops), "{stops}");
    assert_eq!(told.first(), Some(&2));
}

#[test]
fn ordinary_clients_pass() {
    let mut harness = start("{}");
    // A browser: many connections to some hosts, all answered; and what servers send back to many ports.
    for port in 1..=200 {
        let mut connection =
            Connection::new(&format!("10.0.0.1:{}", 20000 + port), &format!("10.0.2.{}:443", port % 30 + 1));
        let mut frames = connection.open();
        frames.push(connection.client(b"hello"));
        frames.push(connection.server(b"hello"));
        frames.extend(connection.close());
        let report = harness.frames(&frames);
        assert!(report.passes() && report.alerts.is_empty());
    }
    // What was open before the daemon started.
    let open: Vec<_> = (1..=200).map(|port| Frame::tcp("10.0.0.9:443", &format!("10.0.0.7:{port}")).bytes()).collect();
    assert!(harness.frames(&open).alerts.is_empty());
    assert_eq!(harness.metric("half_open_connections"), Some(0));
}

#[test]
fn floods_are_told_and_stopped_where_configured() {
    let flood = |n: u32| -> Vec<_> {
        (0..n).map(|n| syn(&format!("10.{}.{}.1:40000", n / 250 + 1, n % 250), "10.0.0.9:80")).collect()
    };
    let mut harness = start(r#"{"half_open": 300}"#);
    let report = harness.frames(&flood(400));
    assert!(report.passes());
    assert_eq!((report.signatures(), report.alerts[0].severity), (vec![3], 1));
    let mut harness = start(r#"{"half_open": 300, "on_flood": "drop", "block_seconds": 60}"#);
    let report = harness.frames(&flood(400));
    assert_eq!((stopped(&report), report.asks.len()), (100, 0), "senders are not who they say");
    harness.advance(Duration::from_secs(31));
    let mut honest = Connection::new("10.9.9.9:40000", "10.0.0.9:80");
    let first = honest.open();
    // Attempts go four at a time once they are too old.
    let later: Vec<_> = (0..100).map(|n| syn(&format!("10.8.8.{n}:1"), "10.0.0.8:80")).collect();
    harness.frames(&later);
    assert!(harness.frames(&first).passes());
}

#[test]
fn a_source_that_leaves_connections_half_open_is_stopped() {
    let mut harness = start(r#"{"half_open_source": 10}"#);
    let frames: Vec<_> = (1..=15).map(|port| syn(&format!("10.0.0.1:{port}"), "10.0.0.9:80")).collect();
    let report = harness.frames(&frames);
    assert_eq!((stopped(&report), report.signatures()), (5, vec![4]));
    // Refused ones are not half open.
    let resets: Vec<_> =
        (1..=15).map(|port| Frame::tcp("10.0.0.9:80", &format!("10.0.0.1:{port}")).flags(RST | ACK).bytes()).collect();
    harness.frames(&resets);
    assert_eq!(harness.metric("half_open_connections"), Some(0));
    assert!(harness.frames(&[syn("10.0.0.1:99", "10.0.0.9:80")]).passes());
}

#[test]
fn password_guessing_is_stopped() {
    let mut harness = start(r#"{"logins": 5, "on_brute_force": "reject"}"#);
    let mut connect = |port: u16, server: &str| {
        let mut connection = Connection::new(&format!("10.0.0.1:{port}"), server);
        let mut frames = connection.open();
        frames.extend(connection.close());
        harness.frames(&frames)
    };
    let reports: Vec<_> = (1..=8).map(|port| connect(port, "10.0.0.9:22")).collect();
    assert_eq!(reports.iter().map(stopped).collect::<Vec<_>>(), [0, 0, 0, 0, 0, 1, 1, 1]);
    assert_eq!((reports[5].signatures(), reports[5].verdicts[0]), (vec![5], Verdict::Reject));
    assert!((1..=30).all(|port| connect(port, "10.0.0.9:8080").passes()), "no login port");
}

#[test]
fn exempt_sources_may_scan() {
    let mut harness = start(r#"{"ports": 20, "half_open_source": 5, "exempt": ["10.0.0.0/24"]}"#);
    let scan: Vec<_> = (1..=60).map(|port| syn("10.0.0.1:40000", &format!("10.0.0.9:{port}"))).collect();
    let report = harness.frames(&scan);
    assert!(report.passes() && report.alerts.is_empty());
}
