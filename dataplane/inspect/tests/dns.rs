//! dns_guard, the Rust module, through the host. Its parsing has tests of its own beside it.

use secuxflow_abi::{chunk, verdict};

use super::support::{Bench, built, piece, tcp, udp};

fn query(labels: &[u8]) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for &label in labels {
        message.push(label);
        message.extend(std::iter::repeat_n(b'a', usize::from(label)));
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}

#[test]
#[ignore = "needs dns_guard.wasm, which scripts/compile_wasm.sh builds unless --skip-rust"]
fn queries_with_bad_names_are_dropped() {
    let mut guard = Bench::new(&[built("dns_guard.wasm", r#"{"max_name": 100}"#)]);
    assert_eq!(guard.one(&udp(53, &query(&[3, 7, 3]))), (true, vec![]));
    assert_eq!(guard.one(&udp(53, &query(&[60, 60]))), (false, vec![4]));
    assert_eq!(guard.one(&udp(53, &query(&[63, 63, 63, 63]))), (false, vec![3]));
    assert_eq!(guard.one(&udp(53, b"short")), (false, vec![1]));
    assert_eq!(guard.one(&udp(5353, b"short")), (true, vec![]));
    let message = query(&[3, 7, 3]);
    let framed = [&u16::try_from(message.len()).unwrap().to_be_bytes(), &message[..]].concat();
    let frames = [(9, tcp(53, 0x18, &framed[..20])), (9, tcp(53, 0x18, &framed[20..]))];
    let chunks = [piece(0, &frames, 0, chunk::START), piece(1, &frames, 20, 0)];
    let mut deny = Bench::new(&[built("dns_guard.wasm", r#"{"deny": ["aaa"]}"#)]);
    assert_eq!(deny.stream(&frames, &chunks), [verdict::PASS, verdict::DROP]);
    assert_eq!(deny.raised()[0].signature, 6);
    let error = Bench::try_new(&[built("dns_guard.wasm", r#"{"max_name": 0}"#)]).err().unwrap().to_string();
    assert!(error.contains("max_name"), "{error}");
}
