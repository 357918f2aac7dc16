//! The other Rust modules, through the host. Their code has tests of its own beside it.

use secuxflow_abi::{chunk, verdict};

use super::support::{Bench, built, piece, tcp, udp};
use crate::plane::ModuleConfig;

/// The frame with the checksum of its IPv4 header, which the host's own packets do without.
fn whole(mut frame: Vec<u8>) -> Vec<u8> {
    let words = frame[14..34].as_chunks::<2>().0.iter();
    let sum: u32 = words.map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    let right = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    frame[24..26].copy_from_slice(&right.to_be_bytes());
    frame
}

#[test]
#[ignore = "needs header_guard.wasm, which scripts/compile_wasm.sh builds unless --skip-rust"]
fn headers_that_nobody_writes_are_dropped() {
    let mut guard = Bench::new(&[built("header_guard.wasm", "")]);
    assert_eq!(guard.one(&whole(udp(53, b"query"))), (true, vec![]));
    assert_eq!(guard.one(&whole(tcp(80, 0x18, b"GET /"))), (true, vec![]));
    assert_eq!(guard.one(&udp(53, b"query")), (false, vec![3]), "no checksum");
    assert_eq!(guard.one(&whole(tcp(80, 3, b""))), (false, vec![8]), "SYN and FIN");
    let error = Bench::try_new(&[built("header_guard.wasm", r#"{"ports": []}"#)]).err().unwrap().to_string();
    assert!(error.contains("ports"), "{error}");
}

#[test]
#[ignore = "needs pattern_guard.wasm, which scripts/compile_wasm.sh builds unless --skip-rust"]
fn packets_with_a_pattern_are_dropped() {
    let patterns: Vec<String> = (0..1000).map(|number| format!("pattern-{number:03}.")).collect();
    let module = |json: &str| ModuleConfig { heap: 64 << 20, ..built("pattern_guard.wasm", json) };
    let mut guard = Bench::new(&[module(&serde_json::json!({ "patterns": patterns }).to_string())]);
    assert_eq!(guard.one(&udp(9, b"nothing but pattern-0 and pattern-1000.")), (true, vec![]));
    assert_eq!(guard.one(&udp(9, b"here is pattern-999.")), (false, vec![999]));
    assert_eq!(guard.one(&tcp(9, 0x18, b"pattern-000.pattern-001.")), (false, vec![0]));
    assert_eq!(guard.one(&udp(9, b"")), (true, vec![]));
    let error = Bench::try_new(&[module(r#"{"patterns": []}"#)]).err().unwrap().to_string();
    assert!(error.contains("patterns"), "{error}");
}

/// A TLS record with a ClientHello for `name`.
fn client_hello(name: &[u8]) -> Vec<u8> {
    let block = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
    let names = block(&[&[0][..], &block(name)].concat());
    let extension = [&[0, 0][..], &block(&names)].concat();
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0], &block(&extension)].concat();
    [&[22, 3, 1][..], &block(&[&[1, 0][..], &block(&body)].concat())].concat()
}

#[test]
#[ignore = "needs tls_sni.wasm, which scripts/compile_wasm.sh builds unless --skip-rust"]
fn a_denied_server_name_is_found_in_a_hello_that_is_split() {
    let mut guard = Bench::new(&[built("tls_sni.wasm", r#"{"deny": ["example.com"]}"#)]);
    let hello = client_hello(b"www.example.com");
    let frames: Vec<_> = [&hello[..3], &hello[3..40], &hello[40..]].map(|part| (9, tcp(443, 0x18, part))).into();
    let chunks = [piece(0, &frames, 0, chunk::START), piece(1, &frames, 3, 0), piece(2, &frames, 40, 0)];
    assert_eq!(guard.stream(&frames, &chunks), [verdict::PASS, verdict::PASS, verdict::DROP]);
    let alerts = guard.raised();
    assert_eq!(alerts.iter().map(|alert| alert.signature).collect::<Vec<_>>(), [2]);
    let other = [(8, tcp(443, 0x18, &client_hello(b"www.example.org")))];
    assert_eq!(guard.stream(&other, &[piece(0, &other, 0, chunk::START)]), [verdict::PASS]);
}

#[test]
#[ignore = "needs rate_limit.wasm and scan_guard.wasm, which scripts/compile_wasm.sh builds unless --skip-rust"]
fn what_is_too_much_of_a_source_is_dropped() {
    let mut limit = Bench::new(&[built("rate_limit.wasm", r#"{"packets": {"per_second": 3}}"#)]);
    assert_eq!(limit.run(&vec![udp(9, b"x"); 5]), [true, true, true, false, false]);
    assert_eq!(limit.raised().iter().map(|alert| alert.signature).collect::<Vec<_>>(), [1]);
    let mut scans = Bench::new(&[built("scan_guard.wasm", r#"{"ports": 2}"#)]);
    let frames: Vec<_> = (1001..=1004).map(|port| tcp(port, 2, b"")).collect();
    assert_eq!(scans.run(&frames), [true, true, false, false]);
    assert_eq!(scans.raised().iter().map(|alert| alert.signature).collect::<Vec<_>>(), [1]);
    assert!(Bench::try_new(&[built("rate_limit.wasm", "{}")]).is_err(), "no limit");
}

#[test]
#[ignore = "needs waf.wasm, which scripts/compile_wasm.sh builds unless --skip-rust"]
fn an_injection_in_a_request_that_is_split_is_dropped_with_the_piece_that_completes_it() {
    let module = |heap: usize| ModuleConfig { heap: heap << 20, ..built("waf.wasm", "") };
    let error = Bench::try_new(&[module(2)]).err().unwrap().to_string();
    assert!(error.contains("memory allocation") && error.contains("raise heap_mib"), "{error}");
    let mut guard = Bench::new(&[module(128)]);
    let request =
        b"GET /shop?id=1%27%20OR%20%271%27=%271 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0\r\n\
        Accept: */*\r\n\r\n";
    let frames: Vec<_> = [&request[..20], &request[20..60], &request[60..]].map(|part| (9, tcp(80, 0x18, part))).into();
    let chunks = [piece(0, &frames, 0, chunk::START), piece(1, &frames, 20, 0), piece(2, &frames, 60, 0)];
    assert_eq!(guard.stream(&frames, &chunks), [verdict::PASS, verdict::PASS, verdict::DROP]);
    assert!(!guard.raised().is_empty());
}

#[test]
#[ignore = "needs ips.wasm, which scripts/compile_wasm.sh builds unless --skip-rust"]
fn a_rule_of_suricatas_language_matches_across_segments() {
    let rules = r#"drop tcp any any -> any 80 (msg:"evil"; flow:to_server; content:"all is evil"; sid:7;)"#;
    let config = serde_json::json!({ "rules": rules }).to_string();
    let mut guard = Bench::new(&[ModuleConfig { heap: 128 << 20, ..built("ips.wasm", &config) }]);
    let frames: Vec<_> = [&b"all is"[..], b" evil", b" here"].map(|part| (9, tcp(80, 0x18, part))).into();
    let chunks = [piece(0, &frames, 0, chunk::START), piece(1, &frames, 6, 0), piece(2, &frames, 11, 0)];
    assert_eq!(guard.stream(&frames, &chunks)[..2], [verdict::PASS, verdict::DROP]);
    let alerts = guard.raised();
    assert_eq!(alerts.iter().map(|alert| alert.signature).collect::<Vec<_>>(), [7]);
    let wrong =
        serde_json::json!({ "rules": "drop tcp any any -> any 80 (content:; sid:1;)", "strict": true }).to_string();
    let module = ModuleConfig { heap: 128 << 20, ..built("ips.wasm", &wrong) };
    let error = Bench::try_new(&[module]).err().unwrap().to_string();
    assert!(error.contains("1:29"), "{error}");
}
