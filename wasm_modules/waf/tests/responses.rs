//! Responses as they come in a stream of bytes, and what is found in them.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use proptest::prelude::*;
use waf::{Connection, Waf, parse_config};

fn waf() -> MutexGuard<'static, Waf> {
    static WAF: LazyLock<Mutex<Waf>> =
        LazyLock::new(|| Mutex::new(Waf::new(&parse_config(br#"{"response_bytes": 4096}"#).unwrap()).unwrap()));
    WAF.lock().unwrap_or_else(PoisonError::into_inner)
}

fn request(method: &str) -> String {
    format!("{method} /page HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n\r\n")
}

fn page(kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Numbers of the checks that find something in what a server sends for requests with `methods`.
fn found<'a>(waf: &mut Waf, methods: &[&str], pieces: impl Iterator<Item = &'a [u8]>) -> Vec<u32> {
    let (mut connection, mut ids) = (Connection::default(), Vec::new());
    let asked: String = methods.iter().map(|method| request(method)).collect();
    waf.request_bytes(&mut connection, asked.as_bytes(), &mut |finding| panic!("{finding:?}"));
    let mut out = |finding: waf::Finding<'_>| ids.push(finding.id);
    for piece in pieces {
        waf.response_bytes(&mut connection, piece, &mut out);
    }
    waf.end_of_responses(&mut connection, false, &mut out);
    ids
}

fn one(response: &[u8]) -> Vec<u32> {
    found(&mut waf(), &["GET"], [response].into_iter())
}

#[test]
fn what_is_given_away_is_found() {
    for (id, body) in [
        (95001, "<html><head><title>Index of /backup</title></head><body>"),
        (95001, "<pre><A HREF=\"/x/\">[To Parent Directory]</A><br>"),
        (95002, "hello\n<?php\n$db = new mysqli('localhost', 'root', 'secret');"),
        (95002, "<%@ page import=\"java.util.*\" %>"),
        (95101, "You have an error in your SQL syntax; check the manual"),
        (95101, "<b>SQLSTATE[42000]: Syntax error or access violation: 1064"),
        (95101, "ERROR:  syntax error at or near \"&quot;\" LINE 1"),
        (95101, "Error: ERROR: syntax error at or near &quot;x&quot;"),
        (95101, "ORA-00933: SQL command not properly ended"),
        (95101, "Unclosed quotation mark after the character string ''."),
        (95101, "System.Data.SqlClient.SqlException (0x80131904): Invalid object name"),
        (95101, "SQLite3::SQLException: near \"'\": syntax error"),
        (95101, "sqlite3.OperationalError: unrecognized token: \"'\""),
        (
            95201,
            "java.lang.NullPointerException\n\tat com.example.shop.Cart.total(Cart.java:42)\n\tat com.example.shop.Cart.pay(Cart.java:7)",
        ),
        (95301, "<br />\n<b>Warning</b>:  Undefined variable $x in <b>/var/www/html/a.php</b> on line <b>3</b><br />"),
        (95301, "PHP Fatal error:  Uncaught Error: Call to undefined function f() in /srv/www/a.php:3"),
        (95401, "<h1>Server Error in '/' Application.<hr width=100%></h1>"),
        (95501, "Traceback (most recent call last):\n  File \"/app/views.py\", line 3, in index"),
        (95501, "TypeError: x is undefined\n    at Router.handle (/srv/app/routes/index.js:12:7)"),
        (95501, "panic: oops\n\ngoroutine 1 [running]:\nmain.main()"),
        (95601, "<html><title>-=[ WSO 2.5 ]=- shell</title>"),
        (95701, "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:"),
        (95701, "-----BEGIN RSA PRIVATE KEY-----\nMIIE"),
    ] {
        let ids = one(&page("text/html; charset=utf-8", body.as_bytes()));
        assert_eq!(ids, [id], "{body}");
    }
}

#[test]
fn ordinary_pages_say_nothing() {
    for (kind, body) in [
        (
            "text/html",
            "<!DOCTYPE html><html lang=\"en\"><head><title>Index of titles</title><script>var a = {b: 1};</script></head><body><p>It's a page.</p></body></html>",
        ),
        (
            "text/html",
            "<p>Begin a script with <code>&lt;?php</code> and end it with <code>?&gt;</code>.</p><a href=\"../\">back</a>",
        ),
        (
            "text/html",
            "<p>SELECT name FROM users WHERE id = 1; -- a lesson on SQL, its errors and warnings: read on</p>",
        ),
        (
            "application/json",
            r#"{"error":"not found","warning":"deprecated: use /v2 in place of /v1","at":"2024-06-17T10:00:00Z"}"#,
        ),
        ("text/xml", "<?xml version=\"1.0\"?><rss><channel><title>News</title></channel></rss>"),
        ("text/plain", "User-agent: *\nDisallow: /admin\n"),
        ("text/html", "<h2>Warning</h2><p>Notice: the shop is closed in summer.</p><p>Root: x = 0</p>"),
        ("image/png", "root:x:0:0:root"),
        ("text/css", "/* <?php */"),
    ] {
        assert_eq!(one(&page(kind, body.as_bytes())), Vec::<u32>::new(), "{body}");
    }
}

#[test]
fn framing_and_compression_are_followed() {
    let leak = b"root:x:0:0:root:/root:/bin/bash";
    let chunked = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nroot:\r\n6\r\nx:0:0:\r\n0\r\n\r\n";
    assert_eq!(one(chunked), [95701]);
    assert_eq!(one(b"HTTP/1.0 200 OK\r\n\r\nroot:x:0:0:"), [95701], "to the end of the connection");
    let zlib = miniz_oxide::deflate::compress_to_vec_zlib(leak, 6);
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: deflate\r\nContent-Length: {}\r\n\r\n",
        zlib.len()
    );
    assert_eq!(one(&[head.as_bytes(), &zlib].concat()), [95701]);
    let spaced = [b" ", &page("text/plain", leak)[..]].concat();
    for pieces in [spaced.len(), 1] {
        assert_eq!(found(&mut waf(), &["GET"], spaced.chunks(pieces)), Vec::<u32>::new(), "no response");
    }
    let late = [vec![b'a'; 5000], leak.to_vec()].concat();
    assert_eq!(one(&page("text/plain", &late)), Vec::<u32>::new(), "behind the bytes that are looked at");
}

#[test]
fn responses_answer_their_requests() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 500\r\n\r\n".to_vec();
    let leak = page("text/plain", b"root:x:0:0:");
    let early = b"HTTP/1.1 100 Continue\r\n\r\n".to_vec();
    let unchanged = b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n".to_vec();
    let all = [head, early, page("text/plain", b"fine"), unchanged, leak.clone()].concat();
    assert_eq!(found(&mut waf(), &["HEAD", "GET", "GET", "GET"], [&all[..]].into_iter()), [95701]);
    assert_eq!(found(&mut waf(), &["HEAD", "GET", "GET", "GET"], all.chunks(1)), [95701]);
    assert_eq!(
        found(&mut waf(), &["GET"], [&page("text/plain", b"a")[..], &leak].into_iter()),
        Vec::<u32>::new(),
        "nobody asked"
    );
}

#[test]
fn nothing_is_kept_unless_it_is_asked_for() {
    let mut off = Waf::new(&waf::Config::default()).unwrap();
    assert_eq!(found(&mut off, &["GET"], [&page("text/plain", b"root:x:0:0:")[..]].into_iter()), Vec::<u32>::new());
    let mut connection = Connection::default();
    off.request_bytes(&mut connection, request("GET").as_bytes(), &mut |_| ());
    assert_eq!(connection.held(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_bytes_are_read_without_a_panic_and_in_any_pieces(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0..120_usize) {
        let mut waf = waf();
        let mut response = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nroot:x:\r\n4\r\n0:0:\r\n0\r\n\r\n".to_vec();
        let at = at.min(response.len());
        response.splice(at..at, bytes.iter().copied().take(bytes.len() % 4));
        for text in [&bytes, &response] {
            let whole = found(&mut waf, &["GET"], [&text[..]].into_iter());
            prop_assert_eq!(found(&mut waf, &["GET"], text.chunks(1)), whole);
        }
    }
}
