//! The two directions of a connection to transactions.

mod bodies;
mod lines;
mod text;

use alloc::{collections::VecDeque, vec::Vec};

use super::{
    body::{Chunk, Framing},
    coding::Decoder,
    headers::Shown,
    tx::Tx,
};

/// Longest line of first lines, headers and chunk sizes in bytes; a longer one ends the inspection of its direction.
const LONGEST_LINE: usize = 16 << 10;
/// Most transactions that are open at a time.
const MOST_TXS: usize = 64;

/// What is next in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// First line.
    Line,
    /// First line of a response came without `HTTP`: noise before the response if a status line follows, else a body.
    Noise,
    /// A header field or the empty line.
    Headers,
    /// The body.
    Body(Framing),
    /// Fields after a chunked body.
    Trailers,
    /// Nothing more is understood.
    Done,
}

#[derive(Debug)]
struct Side {
    state: State,
    /// The line so far, when its end has not come.
    line: Vec<u8>,
    decoder: Decoder,
    /// The transaction in the making.
    tx: u64,
    /// The last byte was a carriage return within a header line.
    after_cr: bool,
    /// The header field so far, as further lines may belong to it.
    field: Vec<u8>,
    /// A line has come that ends the headers unless another line end follows.
    maybe_end: bool,
    /// The last header line ended with a bare line feed.
    bare_lf: bool,
}

/// The parser of a connection.
#[derive(Debug)]
pub struct Http {
    sides: [Side; 2],
    txs: VecDeque<Tx>,
    /// Number of the first in `txs`.
    first: u64,
    changed: Vec<(u64, usize)>,
    /// Most bytes of a body that are kept; 0 keeps none.
    keep: usize,
    /// What is made of headers.
    shown: Shown,
}

impl Http {
    /// A parser that keeps `keep` bytes of each body, and of headers makes what is `shown`.
    #[must_use]
    pub fn new(keep: usize, shown: Shown) -> Self {
        let side = || Side {
            state: State::Line,
            line: Vec::new(),
            decoder: Decoder::default(),
            tx: 0,
            after_cr: false,
            field: Vec::new(),
            maybe_end: false,
            bare_lf: false,
        };
        Self { sides: [side(), side()], txs: VecDeque::new(), first: 0, changed: Vec::new(), keep, shown }
    }

    /// Transaction number `id`, while it is kept.
    #[must_use]
    pub fn tx(&self, id: u64) -> Option<&Tx> {
        self.txs.get(usize::try_from(id.checked_sub(self.first)?).ok()?)
    }

    /// Which transactions changed in which direction since the last call, in the order of the transactions.
    pub fn take_changed(&mut self) -> Vec<(u64, usize)> {
        let mut changed = core::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.dedup();
        changed
    }

    /// Forget transactions that are complete; tells the number of the first that is kept.
    pub fn forget_complete(&mut self) -> u64 {
        while self.txs.front().is_some_and(Tx::is_complete) || self.txs.len() > MOST_TXS {
            self.txs.pop_front();
            self.first += 1;
        }
        self.first
    }

    /// Bytes that it takes, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        let sides: usize = self.sides.iter().map(|side| side.line.capacity() + side.field.capacity()).sum();
        // The state of an inflater is about 43 KiB.
        let decoders = self.sides.iter().filter(|side| !side.decoder.is_identity()).count() * (43 << 10);
        sides + decoders + self.txs.iter().map(Tx::memory).sum::<usize>() + 512
    }

    fn tx_mut(&mut self, id: u64) -> Option<&mut Tx> {
        let at = usize::try_from(id.checked_sub(self.first)?).ok()?;
        while self.txs.len() <= at && at < MOST_TXS * 2 {
            self.txs.push_back(Tx::default());
        }
        self.txs.get_mut(at)
    }

    fn mark(&mut self, side: usize) {
        let id = self.sides[side].tx;
        if self.changed.last() != Some(&(id, side)) {
            self.changed.push((id, side));
        }
    }

    /// In-order data of direction `side`.
    pub fn feed(&mut self, side: usize, mut data: &[u8]) {
        while !data.is_empty() {
            data = match self.sides[side].state {
                State::Done => return,
                State::Body(framing) if !matches!(framing, Framing::Chunked(Chunk::Size | Chunk::End)) => {
                    self.body(side, framing, data)
                }
                State::Noise => {
                    if data[0] == b'H' {
                        self.sides[side].line.clear();
                        self.sides[side].state = State::Line;
                    } else {
                        let noise = core::mem::take(&mut self.sides[side].line);
                        self.begin_body(side, Framing::UntilClose);
                        self.body(side, Framing::UntilClose, &noise);
                    }
                    data
                }
                state => self.line(side, state, data),
            };
        }
    }

    /// Bytes of this direction were lost; `missing` of them, when that is known.
    pub fn gap(&mut self, side: usize, missing: Option<u64>) {
        let state = &mut self.sides[side].state;
        match (*state, missing) {
            (State::Body(Framing::Length(left)), Some(missing)) if missing < left => {
                *state = State::Body(Framing::Length(left - missing));
            }
            (State::Body(Framing::UntilClose), _) => {}
            _ => *state = State::Done,
        }
        // What is left of a compressed body cannot be decoded.
        if !self.sides[side].decoder.is_identity() {
            self.sides[side].state = State::Done;
        }
    }

    /// The direction has ended.
    pub fn end(&mut self, side: usize) {
        match self.sides[side].state {
            State::Headers => {
                let line = core::mem::take(&mut self.sides[side].line);
                if !line.is_empty() {
                    self.header(side, &line);
                }
                self.headers_end(side);
                if self.sides[side].state != State::Line {
                    self.complete(side);
                }
            }
            State::Body(Framing::Chunked(Chunk::Size)) => {
                let line = core::mem::take(&mut self.sides[side].line);
                self.chunk_line(side, &line);
                self.complete(side);
            }
            State::Body(_) | State::Trailers => self.complete(side),
            State::Noise => {
                let noise = core::mem::take(&mut self.sides[side].line);
                self.begin_body(side, Framing::UntilClose);
                self.body(side, Framing::UntilClose, &noise);
                self.complete(side);
            }
            State::Line if side == 1 => {
                let line = core::mem::take(&mut self.sides[side].line);
                if !line.is_empty() {
                    self.begin_body(side, Framing::UntilClose);
                    self.body(side, Framing::UntilClose, &line);
                    self.complete(side);
                }
            }
            State::Line | State::Done => {}
        }
        self.sides[side].state = State::Done;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffers::{Slot, names::Buffer};

    fn shown() -> Shown {
        let mut shown = Shown::default();
        Buffer::ALL.iter().for_each(|buffer| shown.add(*buffer));
        shown
    }

    fn show(http: &Http, id: u64, buffer: Buffer, side: usize) -> Option<Vec<u8>> {
        match http.tx(id)?.slot(buffer, side, 0) {
            Slot::Data { bytes, .. } => Some(bytes.to_vec()),
            _ => None,
        }
    }

    const REQUEST: &[u8] = b"POST /a/../b%41?q=%41 HTTP/1.1\r\nHost: X.org:80\r\nCookie: c=1\r\nUser-Agent: ua\r\n\
        Content-Length: 4\r\n\r\nbodyGET /2 HTTP/1.1\r\n\r\n";
    const RESPONSE: &[u8] =
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 Fine\r\nServer: s\r\nTransfer-Encoding: chunked\r\n\r\n\
        4\r\nwiki\r\n5;x\r\npedia\r\n0\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno";

    #[test]
    fn transactions_in_pieces_of_any_size() {
        for step in [1, 2, 3, 10, 4000] {
            let mut http = Http::new(1000, shown());
            REQUEST.chunks(step).for_each(|part| http.feed(0, part));
            RESPONSE.chunks(step).for_each(|part| http.feed(1, part));
            for (id, buffer, side, value) in [
                (0, Buffer::HttpUri, 0, "/bA?q=A"),
                (0, Buffer::HttpUriRaw, 0, "/a/../b%41?q=%41"),
                (0, Buffer::HttpMethod, 0, "POST"),
                (0, Buffer::HttpHost, 0, "x.org"),
                (0, Buffer::HttpHostRaw, 0, "X.org:80"),
                (0, Buffer::HttpCookie, 0, "c=1"),
                (0, Buffer::HttpHeader, 0, "Host: X.org:80\r\nUser-Agent: ua\r\nContent-Length: 4\r\n"),
                (0, Buffer::HttpHeaderNames, 0, "\r\nHost\r\nCookie\r\nUser-Agent\r\nContent-Length\r\n\r\n"),
                (0, Buffer::HttpRequestBody, 0, "body"),
                (0, Buffer::HttpRequestLine, 0, "POST /a/../b%41?q=%41 HTTP/1.1"),
                (0, Buffer::HttpStatCode, 1, "200"),
                (0, Buffer::HttpStatMsg, 1, "Fine"),
                (0, Buffer::FileData, 1, "wikipedia"),
                (1, Buffer::HttpUri, 0, "/2"),
                (1, Buffer::HttpStatCode, 1, "404"),
                (1, Buffer::HttpResponseBody, 1, "no"),
            ] {
                assert_eq!(
                    show(&http, id, buffer, side).as_deref(),
                    Some(value.as_bytes()),
                    "{} of {id}, step {step}",
                    buffer.name()
                );
            }
            assert_eq!(show(&http, 1, Buffer::HttpUserAgent, 0), None);
            assert_eq!(http.forget_complete(), 2);
        }
    }

    fn body(response: &[u8]) -> Option<Vec<u8>> {
        let mut http = Http::new(1000, shown());
        http.feed(0, b"GET / HTTP/1.1\r\n\r\n");
        http.feed(1, response);
        http.end(1);
        show(&http, 0, Buffer::FileData, 1)
    }

    #[test]
    fn bodies_as_clients_see_them() {
        for response in [
            &b"HTTP/1.1 200 ok\r\n\r\nhello"[..],
            b"HTTP/1.1 200 ok\nContent-Length: 5\n\nhello",
            b"HTTP/1.1 200 ok\r\nTransfer-Encoding: chunked\r\n\r\nhello",
            b"HTTP/1.1 200 ok\r\nTransfer-Encoding:\r\n chunked\r\n\r\n1\r\nh\r\n4\r\nello\r\n0\r\n\r\n",
            b"HTTP/1.1 200 ok\rX: y\r\n\tTransfer-Encoding: chunked\r\n\r\r\n\r\n5x\nhello\n0\n\n",
            b"HTTP/1.1 200 ok\r\nTransfer\0-Encoding\r\n :\r\n chun\0ked\n \n5\nhello\n0\n\n",
            b"HTTP/1.1 200 ok\r\nTransfer-Encoding: x\r\nTransfer-Encoding: chun\0ked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            b"HTTP/1.1 200 ok\r\nContent-Length: 5\n\r\r\nhello",
            b"HTTP/1.1 101 ok\r\nContent-Length: 3 5\n\t\n\nhello",
            b"HTTP/1.1 200 ok\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            b"noise\r\nHTTP/1.1 200 ok\r\nContent-Length: 5\r\n\r\nhello",
            b"\r\nHTTP/1.1 200 ok\r\nContent-Length: 5, 3\r\n\r\nhello",
            b"hello",
        ] {
            assert_eq!(body(response).as_deref(), Some(&b"hello"[..]), "{}", response.escape_ascii());
        }
    }

    #[test]
    fn lost_data_ends_what_cannot_be_followed() {
        let mut http = Http::new(1000, shown());
        http.feed(0, b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc");
        http.gap(0, Some(3));
        http.feed(0, b"defgGET /2 HTTP/1.1\r\n\r\n");
        assert_eq!(show(&http, 0, Buffer::HttpRequestBody, 0).unwrap(), b"abcdefg");
        assert_eq!(show(&http, 1, Buffer::HttpUri, 0).unwrap(), b"/2");
        http.gap(0, None);
        http.feed(0, b"GET /3 HTTP/1.1\r\n\r\n");
        assert!(http.tx(2).is_none());
    }
}
