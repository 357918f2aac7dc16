//! However a stream is cut into segments, the same rules match it.

mod support;

use std::collections::BTreeSet;

use proptest::prelude::*;
use support::{Flow, WEB, engine};

const RULES: &str = r#"
alert tcp any any -> any any (content:"needle"; sid:1;)
alert tcp any any -> any any (content:"user="; nocase; content:"pass="; distance:0; within:40; sid:2;)
alert tcp any any -> any any (content:"GET /"; depth:5; sid:3;)
alert tcp any any -> any any (pcre:"/user=[a-z]{3,9}&/i"; sid:4;)
alert http any any -> any any (http.uri; content:"/admin"; sid:5;)
alert http any any -> any any (http.request_body; content:"user=root"; sid:6;)
alert http any any -> any any (http.header; content:"X-Tool: yes"; sid:7;)
alert http any any -> any any (http.request_body; content:!"nothing"; sid:8;)
alert http any any -> any any (content:"POST"; http.uri; content:"admin"; sid:9;)
alert http any any -> any any (http.cookie; content:"never"; sid:10;)
alert http any any -> any any (flow:to_client; file.data; content:"secret"; content:"word"; within:10; sid:11;)
"#;

const REQUEST: &[u8] =
    b"GET /x HTTP/1.1\r\nHost: a\r\n\r\nPOST /%61dmin?q=needle HTTP/1.1\r\nHost: a\r\nX-Tool: yes\r\n\
    Transfer-Encoding: chunked\r\n\r\n5\r\nuser=\r\n16\r\nroot&more=1&PASS=12345\r\n0\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nnoHTTP/1.1 200 OK\r\n\r\na secret, a word";

/// Sids of the alerts when both directions are cut at these places.
fn alerts(request: &[usize], response: &[usize]) -> BTreeSet<u32> {
    let mut engine = engine(RULES);
    let mut flow = Flow::open(WEB, &mut engine);
    for (to_client, data, cuts) in [(false, REQUEST, request), (true, RESPONSE, response)] {
        let mut from = 0;
        for cut in cuts.iter().map(|cut| cut % data.len()).collect::<BTreeSet<_>>().into_iter().chain([data.len()]) {
            if cut > from {
                flow.data(&mut engine, to_client, &data[from..cut]);
                from = cut;
            }
        }
        flow.fin(&mut engine, to_client);
    }
    flow.sids().into_iter().collect()
}

#[test]
fn whole_and_byte_by_byte() {
    let whole = alerts(&[], &[]);
    assert_eq!(whole, BTreeSet::from([1, 3, 5, 6, 7, 8, 9, 11]));
    let every: Vec<usize> = (0..1000).collect();
    assert_eq!(alerts(&every, &every), whole);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_cuts(
        request in prop::collection::vec(0usize..1000, 0..20),
        response in prop::collection::vec(0usize..1000, 0..10),
    ) {
        prop_assert_eq!(alerts(&request, &response), alerts(&[], &[]));
    }

    #[test]
    fn no_bytes_panic(
        parts in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..200)), 0..20),
        text in prop::collection::vec(prop::sample::select(
            vec!["HTTP/1.1 ", "200", "\r\n", "\n", "\r", " ", ":", "Transfer-Encoding", "chunked", "5", "GET / HTTP/1.1\r\n",
                 "Content-Encoding: gzip", "Content-Length: 3", "0\r\n\r\n", "\x16\x03\x01", "SSH-2.0-"]), 0..60),
    ) {
        let mut engine = engine(RULES);
        let mut flow = Flow::open(WEB, &mut engine);
        for part in &text {
            flow.data(&mut engine, true, part.as_bytes());
        }
        for (to_client, bytes) in &parts {
            flow.data(&mut engine, *to_client, bytes);
        }
        flow.fin(&mut engine, false);
        flow.fin(&mut engine, true);
    }
}
