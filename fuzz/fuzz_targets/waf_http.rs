//! Any bytes as a connection's requests, and as its responses: the WAF answers, and whole or byte by byte it finds the same.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use waf::{Config, Connection, Decision, Waf};

thread_local! {
    static WAF: RefCell<Waf> = RefCell::new(Waf::new(&Config { paranoia_level: 4, response_bytes: 4096, ..Config::default() }).expect("the checks compile"));
}

fn inspect<'a>(waf: &mut Waf, pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<(u32, Vec<u8>)>, bool) {
    let mut connection = Connection::default();
    let mut found = Vec::new();
    let mut out = |finding: waf::Finding<'_>| found.push((finding.id, finding.data.to_vec()));
    let mut blocked = false;
    for piece in pieces {
        blocked |= waf.request_bytes(&mut connection, piece, &mut out) == Decision::Block;
    }
    blocked |= waf.end(&mut connection, &mut out) == Decision::Block;
    (found, blocked)
}

fn answers<'a>(waf: &mut Waf, pieces: impl Iterator<Item = &'a [u8]>) -> Vec<(u32, Vec<u8>)> {
    let mut connection = Connection::default();
    let mut found = Vec::new();
    waf.request_bytes(&mut connection, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(4).as_slice(), &mut |_| ());
    let mut out = |finding: waf::Finding<'_>| found.push((finding.id, finding.data.to_vec()));
    pieces.for_each(|piece| waf.response_bytes(&mut connection, piece, &mut out));
    waf.end_of_responses(&mut connection, false, &mut out);
    found
}

fuzz_target!(|bytes: &[u8]| {
    WAF.with_borrow_mut(|waf| {
        let whole = inspect(waf, std::iter::once(bytes));
        assert_eq!(inspect(waf, bytes.chunks(1)), whole);
        let whole = answers(waf, std::iter::once(bytes));
        assert_eq!(answers(waf, bytes.chunks(1)), whole);
    });
});
