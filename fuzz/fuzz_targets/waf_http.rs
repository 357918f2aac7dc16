//! Any bytes as a connection's requests, and as its responses: the WAF answers, and whole or byte by byte it finds the same.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use waf::{Config, Connection, Decision, Waf};

thread_local! {
    /// One for what comes whole and one for what comes byte by byte: values that one of them knows to be clean are judged by the
    /// other.
    static WAFS: RefCell<[Waf; 2]> = RefCell::new([waf(), waf()]);
}

fn waf() -> Waf {
    Waf::new(&Config { paranoia_level: 4, response_bytes: 4096, ..Config::default() }).expect("the checks compile")
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
    WAFS.with_borrow_mut(|[one, other]| {
        let whole = inspect(one, std::iter::once(bytes));
        assert_eq!(inspect(other, bytes.chunks(1)), whole);
        // By now the same values are known to it.
        assert_eq!(inspect(one, bytes.chunks(1)), whole);
        let whole = answers(one, std::iter::once(bytes));
        assert_eq!(answers(other, bytes.chunks(1)), whole);
    });
});
