//! What passes of a source's packets, as time goes by.

use std::time::Duration;

use secuxflow_sdk::{
    Verdict,
    harness::{Connection, Frame, Harness, check_schema},
};

use super::*;

fn udp(source: &str) -> Vec<u8> {
    Frame::udp(source, "10.0.0.9:9").payload([0; 58]).bytes()
}

fn passed(verdicts: &[Verdict]) -> usize {
    verdicts.iter().filter(|verdict| **verdict == Verdict::Pass).count()
}

#[test]
fn options() {
    check_schema::<RateLimit>();
    for (bad, why) in [
        ("{}", "no limit is given"),
        (r#"{"packets": {"per_second": 0}}"#, "packets.per_second: 0, it must be 1 to"),
        (r#"{"packets": {"burst": 1}}"#, "packets: missing field `per_second`"),
        (r#"{"bytes": {"per_second": 1, "burst": 0}}"#, "bytes.burst: 0"),
        (r#"{"bytes": {"per_second": 1}, "prefix_v4": 33}"#, "prefix_v4: 33"),
        (r#"{"bytes": {"per_second": 1}, "on_excess": "ignore"}"#, "on_excess: ignore"),
        (r#"{"bytes": {"per_second": 1}, "exempt": ["x"]}"#, "exempt[0]"),
    ] {
        let error = Harness::<RateLimit>::new(bad).unwrap_err();
        assert!(error.starts_with(why), "{bad}: {error}");
    }
}

#[test]
fn a_source_gets_its_burst_and_then_its_rate() {
    let mut harness = Harness::<RateLimit>::new(r#"{"packets": {"per_second": 10, "burst": 20}}"#).unwrap();
    let (one, two) = (vec![udp("10.0.0.1:1"); 50], vec![udp("10.0.0.2:1"); 5]);
    let report = harness.frames(&one);
    assert_eq!(passed(&report.verdicts), 20);
    assert_eq!(report.signatures(), [1], "one alert of many");
    assert_eq!(passed(&harness.frames(&two).verdicts), 5, "another source");
    harness.advance(Duration::from_millis(500));
    let report = harness.frames(&one);
    assert_eq!((passed(&report.verdicts), report.alerts.len()), (5, 0), "half a second of it, in the same second");
    harness.advance(Duration::from_secs(60));
    let report = harness.frames(&one);
    assert_eq!((passed(&report.verdicts), report.signatures()), (20, vec![1]));
    assert_eq!((harness.metric("limited_packets"), harness.metric("known_sources")), (Some(30 + 45 + 30), Some(2)));
}

#[test]
fn bytes_are_limited() {
    let mut harness = Harness::<RateLimit>::new(r#"{"bytes": {"per_second": 1000}}"#).unwrap();
    let frames = vec![udp("10.0.0.1:1"); 12];
    assert_eq!(frames[0].len(), 100);
    let report = harness.frames(&frames);
    assert_eq!((passed(&report.verdicts), report.signatures()), (10, vec![2]));
}

#[test]
fn connections_are_limited_and_what_is_open_goes_on() {
    let config = r#"{"connections": {"per_second": 1, "burst": 2}, "on_excess": "reject", "block_seconds": 60}"#;
    let mut harness = Harness::<RateLimit>::new(config).unwrap();
    let mut connections: Vec<_> =
        (1..=4).map(|port| Connection::new(&format!("10.0.0.1:{port}"), "10.0.0.9:80")).collect();
    let reports: Vec<_> = connections.iter_mut().map(|connection| harness.frames(&connection.open())).collect();
    let first: Vec<_> = reports.iter().map(|report| report.verdicts[0]).collect();
    assert_eq!(first, [Verdict::Pass, Verdict::Pass, Verdict::Reject, Verdict::Reject]);
    assert_eq!(reports[2].signatures(), [3]);
    assert_eq!((reports[2].asks[0].what, reports[2].asks[0].seconds), ("source_block", 60));
    let more: Vec<_> = (0..100).map(|_| connections[0].client(b"data")).collect();
    assert!(harness.frames(&more).passes());
}

#[test]
fn sources_are_prefixes_where_that_is_configured() {
    let config = r#"{"packets": {"per_second": 2}, "prefix_v4": 24, "on_excess": "alert", "exempt": ["10.0.2.0/24"]}"#;
    let mut harness = Harness::<RateLimit>::new(config).unwrap();
    let report = harness.frames(&["10.0.0.1:1", "10.0.0.2:1", "10.0.1.1:1", "10.0.0.3:1"].map(udp));
    assert!(report.passes());
    assert_eq!((report.signatures(), report.alerts[0].packet), (vec![1], 3));
    assert!(harness.frames(&vec![udp("10.0.2.1:1"); 9]).alerts.is_empty(), "exempt");
    let v6 = ["[fd00::1]:1", "[fd00::2]:1", "[fd00::3]:1", "[fd00:0:0:1::3]:1"];
    let report = harness.frames(&v6.map(|source| Frame::udp(source, "[fd01::1]:9").bytes()));
    assert_eq!(report.alerts.iter().map(|alert| alert.packet).collect::<Vec<_>>(), [2]);
}

#[test]
fn answers_count_where_that_is_configured() {
    for (answers, passing) in [(false, 9), (true, 2)] {
        let config = format!(r#"{{"packets": {{"per_second": 2}}, "answers": {answers}}}"#);
        let mut harness = Harness::<RateLimit>::new(&config).unwrap();
        harness.frames(&[Frame::udp("10.0.0.1:1", "10.0.0.9:9").bytes()]);
        let report = harness.frames(&vec![Frame::udp("10.0.0.9:9", "10.0.0.1:1").bytes(); 9]);
        assert_eq!(passed(&report.verdicts), passing);
    }
}
