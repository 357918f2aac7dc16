//! The captures of `tests/captures`: conversations made up here, through each module as `scripts/compile_wasm.sh` builds it.

use std::{fs, path::PathBuf};

use secuxflow_sdk::harness::{Connection, Frame};
use serde_json::Value;

use super::lab;

/// Set to write the files instead of comparing them.
const WRITE: &str = "SECUXFLOW_WRITE_CAPTURES";
const MILLISECOND: u64 = 1000;

/// A capture in the making; times in microseconds.
#[derive(Default)]
struct Film {
    packets: Vec<(u64, Vec<u8>)>,
    now: u64,
}

impl Film {
    fn frame(&mut self, frame: Vec<u8>) {
        self.packets.push((self.now, frame));
        self.now += MILLISECOND;
    }

    fn frames(&mut self, frames: impl IntoIterator<Item = Vec<u8>>) {
        frames.into_iter().for_each(|frame| self.frame(frame));
    }

    /// A connection in which the client sends `pieces`, a segment each, and the server answers `answer`.
    fn talk(&mut self, ends: (&str, &str), pieces: &[&[u8]], answer: &[u8]) {
        let mut connection = Connection::new(ends.0, ends.1);
        self.frames(connection.open());
        self.frames(pieces.iter().map(|piece| connection.client(piece)).collect::<Vec<_>>());
        if !answer.is_empty() {
            self.frame(connection.server(answer));
        }
        self.frames(connection.close());
    }

    /// As a file: pcap, little-endian, microseconds, Ethernet.
    fn pcap(&self) -> Vec<u8> {
        let mut file: Vec<u8> = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1].map(u32::to_le_bytes).concat();
        for (time, frame) in &self.packets {
            let length = u32::try_from(frame.len()).unwrap();
            let (seconds, rest) = (1_700_000_000 + time / 1_000_000, time % 1_000_000);
            file.extend([seconds, rest].map(|part| u32::try_from(part).unwrap().to_le_bytes()).concat());
            file.extend([length, length].map(u32::to_le_bytes).concat());
            file.extend(frame);
        }
        file
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/captures")
}

/// What was told: the packet's number and the alert's signature, for each alert; then the numbers of dropped packets.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    alerts: Vec<(u64, u64)>,
    dropped: Vec<u64>,
}

/// The capture of `module` is `film`; what the module says of it.
fn told(module: &str, film: &Film) -> Told {
    let (capture, config) = (folder().join(format!("{module}.pcap")), folder().join(format!("{module}.json")));
    if std::env::var_os(WRITE).is_some() {
        fs::write(&capture, film.pcap()).unwrap();
    }
    assert!(fs::read(&capture).unwrap() == film.pcap(), "{module}.pcap is not what is made here: set {WRITE}=1");
    let wasm = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../target/wasm/{module}.wasm"));
    assert!(wasm.exists(), "{} is missing: run scripts/compile_wasm.sh", wasm.display());
    let module = format!("{},@{}", wasm.display(), config.display());
    let run =
        lab::run(lab::command(&["inspect", "--json", "--packets", "--module", &module]).arg("--pcap").arg(capture));
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    let records: Vec<Value> = run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &'static str| records.iter().filter(move |record| record["event_type"] == kind);
    let number = |record: &Value, field: &str| record.pointer(field).and_then(Value::as_u64).unwrap();
    Told {
        alerts: of("alert").map(|alert| (number(alert, "/pcap_cnt"), number(alert, "/alert/signature_id"))).collect(),
        dropped: of("packet")
            .filter(|packet| packet["verdict"] == "drop")
            .map(|packet| number(packet, "/pcap_cnt"))
            .collect(),
    }
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn waf_stops_attacks_in_whatever_pieces() {
    let mut film = Film::default();
    let ends = |port: u16| (format!("192.0.2.10:{port}"), "10.0.0.2:80");
    let mut talk = |port: u16, pieces: &[&[u8]]| {
        let (client, server) = ends(port);
        film.talk((&client, server), pieces, b"");
    };
    talk(40001, &[b"GET /search?q=select+a+shoe+from+our+union HTTP/1.1\r\nHost: shop.example\r\n\r\n"]);
    // 7 to 13: the request is complete with the second piece, packet 11.
    talk(
        40002,
        &[
            b"GET /item?id=1%27%20UNION%20SEL",
            b"ECT%20name,pass%20FROM%20users-- HTTP/1.1\r\nHost: shop.example\r\n\r\n",
        ],
    );
    // 14 to 21: the head, two chunks.
    talk(
        40003,
        &[
            b"POST /comment HTTP/1.1\r\nHost: shop.example\r\nContent-Type: application/x-www-form-urlencoded\r\n\
          Transfer-Encoding: chunked\r\n\r\n",
            b"c\r\ntext=%3Cscri\r\n",
            b"1a\r\npt%3Ealert(1)%3C/script%3E\r\n0\r\n\r\n",
        ],
    );
    talk(40004, &[b"GET /files/%252e%252e/%252e%252e/%252e%252e/etc/passwd HTTP/1.1\r\nHost: shop.example\r\n\r\n"]);
    let told = told("waf", &film);
    let mut alerted: Vec<u64> = told.alerts.iter().map(|(packet, _)| *packet).collect();
    alerted.dedup();
    assert_eq!(alerted, [11, 19, 25]);
    // What follows in a connection that was cut is refused as well.
    assert_eq!(told.dropped, [11, 12, 13, 19, 20, 21, 25, 26, 27]);
}

#[test]
fn ips_runs_rules_on_streams_flows_and_packets() {
    let mut film = Film::default();
    let word: Vec<&[u8]> = b"xx-intruder-xx".chunks(1).collect();
    film.talk(("192.0.2.10:40001", "10.0.0.2:4000"), &word, b"");
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: files.example\r\n\r\n").into_bytes();
    // 20 to 25: a tool without the page before it; 26 to 33: with it.
    film.talk(("192.0.2.10:40002", "10.0.0.2:80"), &[&get("/tool.exe")], b"");
    film.talk(("192.0.2.10:40003", "10.0.0.2:80"), &[&get("/catalogue"), &get("/tool.exe")], OK);
    // 34 to 39: six beacons.
    for _ in 0..6 {
        film.frame(Frame::udp("192.0.2.10:5000", "10.0.0.9:9999").payload(*b"beacon 0001").bytes());
    }
    let told = told("ips", &film);
    let beacon = film.packets.len() as u64 - 5;
    assert_eq!(told.alerts, [(14, 1), (23, 2), (beacon + 2, 3), (beacon + 5, 3)]);
    assert_eq!(told.dropped.first(), Some(&14));
    assert!(told.dropped.iter().all(|packet| (14..=19).contains(packet) || (23..=25).contains(packet)), "{told:?}");
}

/// A ClientHello for `name` in a record.
fn hello(name: &str) -> Vec<u8> {
    let block = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
    let extension = |number: u16, data: &[u8]| [&number.to_be_bytes()[..], &block(data)].concat();
    let server_name = extension(0, &block(&[&[0][..], &block(name.as_bytes())].concat()));
    let versions = extension(43, &[4, 3, 4, 3, 3]);
    let mut body = vec![3, 3];
    body.extend([9; 32]);
    body.push(0);
    body.extend(block(&[0x13, 0x01, 0xc0, 0x2f]));
    body.extend([1, 0]);
    body.extend(block(&[server_name, versions].concat()));
    let message = [&[1, 0][..], &block(&body)].concat();
    [&[22, 3, 1][..], &block(&message)].concat()
}

#[test]
fn tls_sni_reads_names_over_segments() {
    let mut film = Film::default();
    film.talk(("192.0.2.10:40001", "10.0.0.2:443"), &[&hello("www.permitted.example")], b"");
    let denied = hello("cdn.denied.example");
    let pieces: Vec<&[u8]> = denied.chunks(denied.len().div_ceil(3)).collect();
    film.talk(("192.0.2.10:40002", "10.0.0.2:443"), &pieces, b"");
    assert_eq!(told("tls_sni", &film), Told { alerts: vec![(12, 2)], dropped: vec![12, 13, 14] });
}

/// A question for the address of `name`.
fn question(name: &str) -> Vec<u8> {
    let mut message = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).unwrap());
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}

#[test]
fn dns_guard_stops_denied_names_and_tunnels() {
    let mut film = Film::default();
    let mut ask =
        |name: &str| film.frame(Frame::udp("192.0.2.10:5000", "10.0.0.53:53").payload(question(name)).bytes());
    ask("www.permitted.example");
    ask("login.denied.example");
    let mut word = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..40 {
        let mut data = String::new();
        while data.len() < 44 {
            // A generator of Marsaglia's: bytes that look like what is carried out.
            word ^= word << 13;
            word ^= word >> 7;
            word ^= word << 17;
            data.push(char::from(b"abcdefghijklmnopqrstuvwxyz234567"[(word >> 40) as usize & 31]));
        }
        ask(&format!("{data}.leak.example"));
    }
    let told = told("dns_guard", &film);
    assert_eq!(told.alerts[0], (2, 6));
    assert!(!told.dropped.contains(&1) && told.dropped.contains(&2) && told.dropped.contains(&42), "{told:?}");
    let first = told.dropped[1];
    assert!((10..=30).contains(&first) && told.dropped[1..] == (first..=42).collect::<Vec<_>>(), "{told:?}");
}

#[test]
fn scan_guard_stops_a_scan_and_nothing_else() {
    let mut film = Film::default();
    film.talk(("192.0.2.10:40001", "10.0.0.2:80"), &[b"hello"], OK);
    for port in 1..=40 {
        film.frame(Frame::tcp("192.0.2.66:50000", &format!("10.0.0.2:{port}")).flags(2).sequence(port).bytes());
    }
    film.talk(("192.0.2.10:40002", "10.0.0.2:80"), &[b"hello"], OK);
    let told = told("scan_guard", &film);
    let [(first, 1), ..] = told.alerts[..] else { panic!("{told:?}") };
    assert!(told.alerts.iter().all(|(_, signature)| *signature == 1), "{told:?}");
    assert!((33..=36).contains(&first), "the 26th port or soon after: {told:?}");
    assert_eq!(told.dropped, (first..=47).collect::<Vec<_>>());
}

#[test]
fn rate_limit_takes_what_is_above_the_rate() {
    let mut film = Film::default();
    for tick in 0..200 {
        film.now = tick * 5 * MILLISECOND;
        film.frame(Frame::udp("192.0.2.66:5000", "10.0.0.2:5000").payload(*b"much").bytes());
        if tick % 20 == 0 {
            film.frame(Frame::udp("192.0.2.10:5000", "10.0.0.2:5000").payload(*b"little").bytes());
        }
    }
    let told = told("rate_limit", &film);
    let quiet: Vec<u64> = (1..)
        .zip(&film.packets)
        .filter(|(_, (_, frame))| frame.ends_with(b"little"))
        .map(|(number, _)| number)
        .collect();
    assert!(quiet.len() == 10 && quiet.iter().all(|number| !told.dropped.contains(number)), "{told:?}");
    // 50 at once and 50 a second; of 200 in a second half pass.
    assert!((98..=102).contains(&(200 - told.dropped.len())), "{} passed", 200 - told.dropped.len());
    assert!(
        told.alerts.iter().all(|(_, signature)| *signature == 1) && (1..=2).contains(&told.alerts.len()),
        "{told:?}"
    );
}
