//! basic_inspect on crafted packets.

use super::support::{Bench, built, tcp, udp};

fn bench(json: &str) -> Bench {
    Bench::new(&[built("basic_inspect.wat", json)])
}

#[test]
fn packets_are_judged_by_port_flags_and_signature() {
    let json = r#" { "ports" : [23, 53,65535] , "signatures":["cmd.exe","\"q\"","\u0000\u00FF"] } "#;
    let mut bench = bench(json);
    let cases: [(&str, Vec<u8>, Option<u32>); 16] = [
        ("web", tcp(80, 0x18, b"GET / HTTP/1.1\r\n"), None),
        ("telnet", tcp(23, 2, b""), Some(1)),
        ("last port", tcp(65535, 2, b""), Some(1)),
        ("neighbours of blocked ports", tcp(24, 2, b""), None),
        ("udp too", udp(53, b"q"), Some(1)),
        ("null scan", tcp(80, 0, b""), Some(2)),
        ("xmas scan", tcp(80, 0x29, b""), Some(3)),
        ("all flags are xmas too", tcp(80, 0xff, b""), Some(3)),
        ("syn and fin", tcp(80, 3, b""), Some(4)),
        ("fin, ack", tcp(80, 0x11, b""), None),
        ("signature in the middle", tcp(80, 0x18, b"run ccmd.exe now"), Some(100)),
        ("signature at the end", tcp(80, 0x18, b"cmd.exe"), Some(100)),
        ("cut signature", tcp(80, 0x18, b"cmd.ex"), None),
        ("escaped quote", tcp(80, 0x18, b"a \"q\""), Some(101)),
        ("bytes", udp(99, &[1, 0, 0, 0xff, 2]), Some(102)),
        ("other case", tcp(80, 0x18, b"CMD.EXE"), None),
    ];
    for (what, frame, signature) in cases {
        assert_eq!(bench.one(&frame), (signature.is_none(), signature.into_iter().collect()), "{what}");
    }
}

#[test]
fn checks_of_flags_can_be_turned_off() {
    let (null, xmas, syn_fin) = (tcp(80, 0, b""), tcp(80, 0x29, b""), tcp(80, 3, b""));
    let frames = [null, xmas, syn_fin];
    for (json, verdicts) in [
        ("", [false, false, false]),
        (r#"{"flags":false}"#, [true, true, true]),
        (r#"{"null":false}"#, [true, false, false]),
        (r#"{"flags":false,"syn_fin":true}"#, [true, true, false]),
        (r#"{"xmas":false}"#, [false, true, false]),
    ] {
        assert_eq!(bench(json).run(&frames), verdicts, "{json}");
    }
}

#[test]
fn bad_configuration_is_refused_with_the_reason() {
    let long = format!(r#"{{"signatures":["{}"]}}"#, "a".repeat(64));
    let many = format!(r#"{{"signatures":["a"{}]}}"#, r#","a""#.repeat(16));
    for (json, reason) in [
        ("[]", "an object"),
        ("{", "option's name"),
        ("{\"ports", "option's name"),
        (r#"{"ports":[0]}"#, "1 to 65535"),
        (r#"{"ports":[65536]}"#, "1 to 65535"),
        (r#"{"ports":[4294967319]}"#, "1 to 65535"),
        (r#"{"ports":[-1]}"#, "1 to 65535"),
        (r#"{"ports":[07]}"#, "1 to 65535"),
        (r#"{"ports":["23"]}"#, "1 to 65535"),
        (r#"{"ports":[23,]}"#, "1 to 65535"),
        (r#"{"ports":[2.5]}"#, "an array"),
        (r#"{"ports":23}"#, "an array"),
        (r#"{"ports" [23]}"#, ": is expected"),
        (r#"{"flags":1}"#, "true or false"),
        (r#"{"flags":truely}"#, "true or false"),
        (r#"{"port":[23]}"#, "unknown option"),
        (r#"{"a_very_long_option_name":1}"#, "unknown option"),
        (r#"{"signatures":[""]}"#, "1 to 63 bytes"),
        (r#"{"signatures":["a]}"#, "1 to 63 bytes"),
        (r#"{"signatures":["\n"]}"#, "escapes"),
        (r#"{"signatures":["\u0100"]}"#, "escapes"),
        (r#"{"signatures":["\u00g0"]}"#, "escapes"),
        (r#"{"signatures":["\u00"#, "escapes"),
        (long.as_str(), "1 to 63 bytes"),
        (many.as_str(), "at most 16"),
        ("{} {}", "behind the object"),
    ] {
        let error = Bench::try_new(&[built("basic_inspect.wat", json)]).err().map(|e| e.to_string());
        let error = error.unwrap_or_else(|| panic!("{json} was accepted"));
        assert!(error.contains(reason), "{json}: {error}");
    }
}

#[test]
fn inspecting_allocates_nothing() {
    let mut bench = bench(r#"{"ports":[23]}"#);
    let frames: Vec<_> = (0..32).map(|n| tcp(if n % 4 == 0 { 23 } else { 80 }, 0x18, b"GET / HTTP/1.1")).collect();
    assert_eq!(bench.run(&frames).iter().filter(|pass| !**pass).count(), 8, "some raise alerts");
    assert_eq!(bench.allocations(&frames, 100), 0);
}
