//! http_guard on crafted requests.

use super::support::{Bench, built, tcp, udp};

fn bench(json: &str) -> Bench {
    Bench::new(&[built("http_guard.wasm", json)])
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")
}

#[test]
fn ordinary_traffic_passes() {
    let mut bench = bench("");
    for request in [
        get("/"),
        get("/index.html?q=union+of+select+committees&lang=en"),
        get("/search?q=reunion%20selected%20songs"),
        get("/a..b/c...d/file.tar.gz"),
        get("/100%25?discount=50%25&x=1+1"),
        get("/caf%C3%A9?q=%E2%82%AC"),
        get("/scripts/app.js?javascript=on"),
        "OPTIONS * HTTP/1.0\r\n\r\n".to_owned(),
        "POST /upload HTTP/1.1\nContent-Length: 3\n\n<script".to_owned(),
        "PUT http://example.com/a HTTP/1.1\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r".to_owned(),
        "GET /a-request-line-that-goes-on-in-the-next-packet".to_owned(),
        // The middle of an upload.
        "and some text with ../ and <script> in it\r\n".to_owned(),
        "THE END of a chapter\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\u{2}".to_owned(),
        String::new(),
    ] {
        assert_eq!(bench.one(&tcp(80, 0x18, request.as_bytes())), (true, vec![]), "{request:?}");
    }
}

#[test]
fn attacks_are_dropped_with_their_signature() {
    let mut bench = bench("");
    for (request, signature) in [
        ("TRACE / HTTP/1.1\r\n\r\n".to_owned(), 1),
        ("get / HTTP/1.1\r\n\r\n".to_owned(), 1),
        ("GETTT / HTTP/1.1\r\n\r\n".to_owned(), 1),
        ("GET / HTTP/2.0\r\n\r\n".to_owned(), 3),
        ("GET / HTTP/1.7\r\n\r\n".to_owned(), 3),
        ("GET /\r\n".to_owned(), 3),
        ("GET /a\tb HTTP/1.1\r\n".to_owned(), 4),
        ("GET /a\0b HTTP/1.1\r\n".to_owned(), 4),
        (get("/a%00.jpg"), 4),
        (get("/a%2500.jpg"), 4),
        (get("/../../etc/passwd"), 5),
        (get("/a/.."), 5),
        (get("/%2e%2e/etc/passwd"), 5),
        (get("/%2E%2E%2Fetc"), 5),
        (get("/%252e%252e%252fetc"), 5),
        (get("/..%5cwindows"), 5),
        (get("/show?file=../../etc/passwd"), 5),
        (get("/?id=1+UNION+SELECT+password+FROM+users"), 6),
        (get("/?id=1%20union/**/select%201"), 6),
        (get("/?id=1%2520union%2520all%2520select%25201"), 6),
        (get("/?id=1%0aUnIoN%09SeLeCt%201"), 6),
        (get("/?u=a%27%20or%201=1"), 6),
        (get("/?u=a%27%20or%20%271%27=%271"), 6),
        (get("/?id=1;%20drop%20table%20users"), 6),
        (get("/?id=sleep(5)"), 6),
        (get("/?q=<script>alert(1)</script>"), 7),
        (get("/?q=%3CScRiPt%3Ealert(1)"), 7),
        (get("/?q=%253Cscript%253E"), 7),
        (get("/%3Cscript%3E"), 7),
        (get("/?q=x%20onerror=alert(1)"), 7),
        ("GET /?q=%3Cscript%3E and no end".to_owned(), 7),
    ] {
        assert_eq!(bench.one(&tcp(8080, 0x18, request.as_bytes())), (false, vec![signature]), "{request:?}");
    }
}

#[test]
fn a_broken_escape_is_reported_and_passes() {
    assert_eq!(bench("").one(&tcp(80, 0x18, get("/?discount=50%").as_bytes())), (true, vec![8]));
}

#[test]
fn options_take_effect() {
    let attack = get("/../x");
    let mut guard = bench(r#"{"ports":[81], "methods":["GET","PURGE"], "max_line": 32}"#);
    assert!(guard.one(&tcp(80, 0x18, attack.as_bytes())).0, "port 80 is not watched");
    assert!(guard.one(&udp(81, attack.as_bytes())).0, "UDP is not HTTP/1");
    assert_eq!(guard.one(&tcp(81, 0x18, attack.as_bytes())), (false, vec![5]));
    assert_eq!(guard.one(&tcp(81, 0x18, b"PURGE / HTTP/1.1\r\n")), (true, vec![]));
    assert_eq!(guard.one(&tcp(81, 0x18, b"POST / HTTP/1.1\r\n")), (false, vec![1]));
    let line = |len: usize| format!("GET /{} HTTP/1.1\r\n", "a".repeat(len - 14));
    assert_eq!(guard.one(&tcp(81, 0x18, line(32).as_bytes())), (true, vec![]));
    assert_eq!(guard.one(&tcp(81, 0x18, line(33).as_bytes())), (false, vec![2]));
    assert_eq!(guard.one(&tcp(81, 0x18, line(900).as_bytes())), (false, vec![2]));
}

#[test]
fn the_alert_shows_the_request() {
    let mut guard = bench("");
    guard.run(&[tcp(80, 0x18, get("/../secret").as_bytes())]);
    assert_eq!(guard.raised()[0].message.as_str(), "path traversal: GET /../secret HTTP/1.1");
}

#[test]
fn bad_configuration_is_refused_with_the_reason() {
    for (json, reason) in [
        ("3", "an object"),
        (r#"{"ports":[]}"#, "one port at least"),
        (r#"{"ports":[70000]}"#, "too large"),
        (r#"{"ports":[0]}"#, "1 to 65535"),
        (r#"{"methods":"GET"}"#, "methods: an array"),
        (r#"{"methods":[""]}"#, "1 to 16"),
        (r#"{"max_line":8}"#, "16 to 8192"),
        (r#"{"max_line":9000}"#, "too large"),
        (r#"{"max":1}"#, "unknown option"),
        (r#"{"max_line":64"#, "} is expected"),
        (r#"{} x"#, "behind the object"),
    ] {
        let error = Bench::try_new(&[built("http_guard.wasm", json)]).err().map(|e| e.to_string());
        let error = error.unwrap_or_else(|| panic!("{json} was accepted"));
        assert!(error.contains(reason), "{json}: {error}");
    }
}
