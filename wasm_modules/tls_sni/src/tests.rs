//! ClientHellos of our own making, whole and in pieces.

use secuxflow_sdk::harness::{Connection, Harness, Report, check_schema};

use super::*;

fn block16(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

fn extension(number: u16, data: &[u8]) -> Vec<u8> {
    [&number.to_be_bytes()[..], &block16(data)].concat()
}

fn server_name(name: &[u8]) -> Vec<u8> {
    extension(0, &block16(&[&[0][..], &block16(name)].concat()))
}

/// A handshake message.
fn message(extensions: &[Vec<u8>]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.push(0);
    // GREASE first.
    body.extend(block16(&[0x1a, 0x1a, 0x13, 0x01, 0xc0, 0x2f]));
    body.extend([1, 0]);
    body.extend(block16(&extensions.concat()));
    [&[1, 0][..], &block16(&body)].concat()
}

/// The message in records of `size` bytes.
fn records(message: &[u8], size: usize) -> Vec<u8> {
    message.chunks(size).flat_map(|part| [&[22, 3, 1][..], &block16(part)].concat()).collect()
}

fn hello(name: &[u8]) -> Vec<u8> {
    let versions = extension(43, &[6, 0x2a, 0x2a, 3, 4, 3, 3]);
    let signatures = extension(13, &block16(&[4, 3, 8, 4]));
    let alpn = extension(16, &block16(b"\x02h2\x08http/1.1"));
    records(&message(&[extension(0x5a5a, b""), server_name(name), versions, signatures, alpn]), 16384)
}

/// What becomes of a stream that is sent in segments of `size` bytes; the report is on all of them.
fn send(config: &str, bytes: &[u8], size: usize) -> Report {
    let mut harness = Harness::<TlsSni>::new(config).unwrap();
    let mut connection = Connection::new("10.0.0.1:40000", "10.0.0.2:443");
    assert!(harness.frames(&connection.open()).passes());
    let frames: Vec<_> = bytes.chunks(size).map(|part| connection.client(part)).collect();
    let report = harness.one_by_one(&frames);
    assert!(harness.frames(&connection.close()).passes());
    assert!(harness.module().partial.is_empty() && harness.module().held == 0);
    report
}

#[test]
fn options() {
    check_schema::<TlsSni>();
    for (bad, why) in [
        (r#"{"ports": [0]}"#, "ports: 0"),
        (r#"{"flows": 1}"#, "flows: 1, it must be 16 to"),
        (r#"{"deny": ["a..b"]}"#, "deny[0]: \"a..b\" is no domain name"),
        (r#"{"deny_ja4": ["x"]}"#, "deny_ja4[0]: \"x\" is no JA4"),
        (r#"{"on_ech": "no"}"#, "on_ech: unknown variant `no`"),
    ] {
        let error = Harness::<TlsSni>::new(bad).unwrap_err();
        assert!(error.starts_with(why), "{bad}: {error}");
    }
}

#[test]
fn denied_names_are_found_however_the_hello_is_split() {
    let config = r#"{"deny": ["example.com"]}"#;
    for name in [&b"www.EXAMPLE.com"[..], b"example.com."] {
        let bytes = hello(name);
        for size in [1, 2, 3, 5, 7, 50, bytes.len() - 1, bytes.len()] {
            let report = send(config, &bytes, size);
            assert_eq!(report.signatures(), [2], "segments of {size}");
            assert_eq!(report.verdicts.last(), Some(&Verdict::Drop));
            assert_eq!(report.verdicts.iter().filter(|verdict| **verdict != Verdict::Pass).count(), 1);
        }
        for size in [1, 4, 5, 60] {
            let split = records(&bytes[5..], size);
            for segment in [1, 9, split.len()] {
                assert_eq!(send(config, &split, segment).signatures(), [2], "records of {size}");
            }
        }
    }
    let report = send(config, &hello(b"example.org"), 1400);
    assert!(report.passes() && report.alerts.is_empty());
    assert_eq!(report.asks[0].what, "flow_clear");
}

#[test]
fn an_alert_tells_name_and_fingerprint() {
    let report = send(r#"{"log": true, "clear": false}"#, &hello(b"www.example.com"), 1400);
    assert_eq!((report.signatures(), report.asks.len()), (vec![7], 0));
    let tls = &report.alerts[0].fields["tls"];
    assert_eq!(tls["sni"], "www.example.com");
    assert_eq!(tls["ech"], false);
    let ja4 = tls["ja4"].as_str().unwrap();
    // Two cipher suites and four extensions are no GREASE.
    assert!(ja4.starts_with("t13d0204h2_"), "{ja4}");
    let report = send(&format!(r#"{{"deny_ja4": ["{ja4}"], "on_denied": "reject"}}"#), &hello(b"other.example"), 1400);
    assert_eq!((report.signatures(), report.verdicts[0]), (vec![4], Verdict::Reject));
}

#[test]
fn what_is_not_allowed_is_denied() {
    let config = r#"{"allow": ["*.example.com", "example.org"], "deny": ["bad.example.com"]}"#;
    let bare = records(&message(&[]), 16384);
    for (bytes, signatures) in [
        (hello(b"www.example.com"), vec![]),
        (hello(b"example.org"), vec![]),
        (hello(b"example.com"), vec![3]),
        (hello(b"bad.example.com"), vec![2]),
        (hello(b"example.net"), vec![3]),
        (bare.clone(), vec![6]),
    ] {
        assert_eq!(send(config, &bytes, 100).signatures(), signatures);
    }
    assert!(send("{}", &bare, 100).alerts.is_empty());
    assert_eq!(send(r#"{"on_missing": "alert"}"#, &bare, 100).signatures(), [6]);
    let encrypted = records(&message(&[server_name(b"front.example"), extension(0xfe0d, &[0; 40])]), 16384);
    assert!(send("{}", &encrypted, 100).alerts.is_empty());
    assert_eq!(send(r#"{"on_ech": "drop"}"#, &encrypted, 100).signatures(), [5]);
}

#[test]
fn broken_hellos_are_dropped() {
    let good = hello(b"www.example.com");
    let change = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let twice = records(&message(&[server_name(b"a.example"), server_name(b"b.example")]), 16384);
    let zero = records(&message(&[server_name(b"a\0.example")]), 16384);
    let many = records(&message(&(0..600).map(|n| extension(0x4000 + n, b"")).collect::<Vec<_>>()), 16384);
    for (bytes, text) in [
        (change(5, 2), "without a ClientHello"),
        (change(3, 0xff), "record layer"),
        (change(6, 1), "above 16 KiB"),
        (change(43, 200), "wrong length"),
        (twice, "twice"),
        (zero, "impossible server name"),
        (many, "too many"),
        ([&good[..3], &[0, 0]].concat(), "record layer"),
        ([&records(&good[5..], 20)[..25], b"GET / HTTP/1.1"].concat(), "record layer"),
    ] {
        let report = send("{}", &bytes, 9);
        assert_eq!(report.signatures(), [1], "{text}");
        assert!(report.alerts[0].text.contains(text), "{text}: {}", report.alerts[0].text);
        assert!(!report.passes());
    }
}

/// Whatever byte of a ClientHello is changed or where it ends, it is judged or waited for.
#[test]
fn no_hello_is_too_odd() {
    let good = hello(b"www.example.com");
    for at in 0..good.len() {
        for byte in [0, 1, 0x7f, 0xff, good[at].wrapping_add(1)] {
            let mut bytes = good.clone();
            bytes[at] = byte;
            let whole = send("{}", &bytes, bytes.len());
            let split = send("{}", &bytes, 1);
            assert_eq!(whole.signatures(), split.signatures(), "byte {at} is {byte}");
        }
    }
}

#[test]
fn other_protocols_and_ports_pass() {
    let deny = r#"{"deny": ["example.com"], "ports": [8443]}"#;
    assert!(send(deny, &hello(b"example.com"), 100).alerts.is_empty(), "another port");
    for other in [&b"GET / HTTP/1.1\r\n"[..], b"\x16\x02", b"\x80\x2e\x01\x03", b"S"] {
        let report = send("{}", other, 1);
        assert!(report.passes() && report.alerts.is_empty());
        assert!(report.asks.len() == 1 || other.len() == 1 && !report.asks.is_empty());
    }
}

#[test]
fn memory_is_bounded() {
    let mut harness = Harness::<TlsSni>::new(r#"{"flows": 1000}"#).unwrap();
    let start = [&[22, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xff][..], &[0; 8000]].concat();
    for port in 1..3000 {
        let mut connection = Connection::new(&format!("10.0.0.1:{port}"), "10.0.0.2:443");
        let mut frames = connection.open();
        frames.push(connection.client(&start));
        assert!(harness.frames(&frames).passes());
        let module = harness.module();
        assert!(module.held <= MAX_HELD && module.partial.len() <= 1000);
    }
    let given_up = harness.metric("hellos_given_up").unwrap();
    assert_eq!(given_up + harness.module().partial.len() as u64, 2999);
}
