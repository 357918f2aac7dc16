//! header_guard and pattern_guard, the other Rust modules, through the host. Their code has tests of its own beside it.

use super::support::{Bench, built, tcp, udp};
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
