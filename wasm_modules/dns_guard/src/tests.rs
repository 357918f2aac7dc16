//! Queries of our own making, over UDP and TCP.

use std::time::Duration;

use secuxflow_sdk::harness::{Connection, Frame, Harness, Report, check_schema};

use super::*;

/// A query for a name and type.
fn query(name: &str, kind: u16) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        message.push(u8::try_from(label.len()).unwrap());
        message.extend(label.bytes());
    }
    message.push(0);
    message.extend(kind.to_be_bytes());
    message.extend([0, 1]);
    message
}

fn udp(message: &[u8]) -> Vec<u8> {
    Frame::udp("10.0.0.1:5000", "10.0.0.2:53").payload(message).bytes()
}

fn ask(harness: &mut Harness<DnsGuard>, names: impl IntoIterator<Item = String>, kind: u16) -> Report {
    let frames: Vec<_> = names.into_iter().map(|name| udp(&query(&name, kind))).collect();
    harness.frames(&frames)
}

fn dropped(report: &Report) -> usize {
    report.verdicts.iter().filter(|verdict| **verdict == Verdict::Drop).count()
}

/// Text of so many characters of base32 by a seed.
fn data(seed: usize, length: usize) -> String {
    let mut state = (seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    (0..length).map(|_| char::from(b"abcdefghijklmnopqrstuvwxyz234567"[random() % 32])).collect()
}

#[test]
fn options() {
    check_schema::<DnsGuard>();
    assert!(Harness::<DnsGuard>::new("{ \"max_name\" : 90 }").is_ok());
    for (bad, why) in [
        ("", "an object { } is expected"),
        ("[]", "an object { } is expected"),
        (r#"{"max_name": 0}"#, "max_name: 0, it must be 1 to 255"),
        (r#"{"max_name": 256}"#, "max_name: 256"),
        (r#"{"max_name": "9"}"#, "max_name: invalid type"),
        (r#"{"other": 1}"#, "other: unknown field"),
        (r#"{"deny": ["a b"]}"#, "deny[0]"),
        (r#"{"trusted": ["example.com", ""]}"#, "trusted[1]"),
    ] {
        let error = Harness::<DnsGuard>::new(bad).unwrap_err();
        assert!(error.starts_with(why), "{bad}: {error}");
    }
}

#[test]
fn only_queries_to_the_ports_are_looked_at() {
    let mut harness = Harness::<DnsGuard>::new(r#"{"ports": [53, 5300]}"#).unwrap();
    let frame = |from: &str, to: &str| Frame::udp(from, to).payload(*b"short").bytes();
    let report = harness.frames(&[
        frame("10.0.0.1:5000", "10.0.0.2:53"),
        frame("10.0.0.1:5000", "10.0.0.2:5353"),
        frame("10.0.0.1:5000", "10.0.0.2:5300"),
        frame("10.0.0.2:53", "10.0.0.1:5000"),
    ]);
    assert_eq!(report.verdicts, [Verdict::Drop, Verdict::Pass, Verdict::Drop, Verdict::Pass]);
    assert_eq!(report.signatures(), [1, 1]);
}

#[test]
fn denied_names_are_dropped_over_udp_and_tcp() {
    let config = r#"{"deny": ["bad.example", "*.worse.example"]}"#;
    let mut harness = Harness::<DnsGuard>::new(config).unwrap();
    let names = ["www.BAD.example", "bad.example", "worse.example", "x.worse.example", "good.example"];
    let report = ask(&mut harness, names.map(String::from), 1);
    let drop = |verdict: &Verdict| *verdict == Verdict::Drop;
    assert_eq!(report.verdicts.iter().map(drop).collect::<Vec<_>>(), [true, true, false, true, false]);
    assert_eq!(report.alerts[0].fields["dns"]["rrname"], "www.bad.example");
    assert_eq!(report.alerts[0].fields["dns"]["rrtype"], 1);
    let stream: Vec<u8> = ["good.example", "www.bad.example"]
        .iter()
        .map(|name| query(name, 1))
        .flat_map(|message| [&u16::try_from(message.len()).unwrap().to_be_bytes(), &message[..]].concat())
        .collect();
    for size in [1, 2, 13, stream.len()] {
        let mut harness = Harness::<DnsGuard>::new(config).unwrap();
        let mut connection = Connection::new("10.0.0.1:5000", "10.0.0.2:53");
        harness.frames(&connection.open());
        let frames: Vec<_> = stream.chunks(size).map(|part| connection.client(part)).collect();
        let report = harness.frames(&frames);
        assert_eq!(report.signatures(), [DENIED], "segments of {size}");
        assert_eq!(report.verdicts.last(), Some(&Verdict::Drop));
        assert_eq!(harness.metric("queries"), Some(2));
        harness.frames(&connection.close());
        assert!(harness.module().framings.is_empty());
    }
}

#[test]
fn malformed_queries_over_tcp_are_dropped() {
    let mut harness = Harness::<DnsGuard>::new("{}").unwrap();
    let mut connection = Connection::new("[fd00::1]:5000", "[fd00::2]:53");
    harness.frames(&connection.open());
    let report = harness.one_by_one(&[connection.client(b"\0\x05sh"), connection.client(b"ort")]);
    assert_eq!((report.signatures(), report.verdicts), (vec![1], vec![Verdict::Pass, Verdict::Drop]));
}

#[test]
fn tunnels_are_stopped_and_trusted_domains_are_not() {
    let mut harness = Harness::<DnsGuard>::new(r#"{"trusted": ["cdn.example"]}"#).unwrap();
    let tunnel = |domain: &'static str| (0..60).map(move |n| format!("{}.{domain}", data(n, 50)));
    let report = ask(&mut harness, tunnel("t.evil.example"), 1);
    assert_eq!(report.signatures(), [7], "told once");
    assert!((35..=40).contains(&dropped(&report)), "{}", dropped(&report));
    assert!(ask(&mut harness, ["www.evil.example".into()], 1).passes(), "an ordinary name of the same domain");
    assert!(ask(&mut harness, tunnel("cdn.example"), 1).passes());
    // Short names, of a type that few others ask for.
    let report = ask(&mut harness, (0..60).map(|n| format!("{}.other.example", data(n, 24))), 10);
    assert_eq!(report.signatures(), [7]);
    harness.advance(Duration::from_secs(90));
    assert!(ask(&mut harness, tunnel("t.evil.example").take(10), 1).passes(), "it is over");
}

#[test]
fn many_names_and_generated_domains_are_told() {
    let mut harness = Harness::<DnsGuard>::new("{}").unwrap();
    let report = ask(&mut harness, (0..250).map(|n| format!("host{n}.example.com")), 1);
    assert!(report.passes() && report.signatures() == [8]);
    let mut harness = Harness::<DnsGuard>::new(r#"{"on_generated": "reject"}"#).unwrap();
    let report = ask(&mut harness, (0..30).map(|n| format!("{}.com", data(n, 16))), 1);
    assert_eq!(report.signatures(), [9]);
    assert!(report.verdicts[10..].iter().filter(|verdict| **verdict == Verdict::Reject).count() >= 15);
}

#[test]
fn ordinary_queries_pass() {
    let mut harness = Harness::<DnsGuard>::new("{}").unwrap();
    let hosts = ["www", "mail", "api", "static", "cdn", "img1", "_dmarc", "selector1._domainkey", "eu-central-1"];
    let domains =
        ["wikipedia.org", "example.co.uk", "stadtbibliothek.de", "boulangerie.fr", "weatherchannel.com", "k8s.io"];
    for _ in 0..20 {
        for domain in domains {
            for kind in [1, 28, 16] {
                let report = ask(&mut harness, hosts.map(|host| format!("{host}.{domain}")), kind);
                assert!(report.passes() && report.alerts.is_empty(), "{domain}");
            }
        }
    }
    let reverse = (0..250).map(|n| format!("{n}.2.0.10.in-addr.arpa"));
    assert!(ask(&mut harness, reverse, 12).alerts.is_empty());
}
