//! The two directions of a connection to transactions.

use alloc::{collections::VecDeque, vec::Vec};

use memchr::{memchr, memchr2};

use super::{
    body::{Chunk, Framing, chunk_size, content_length},
    coding::Decoder,
    headers::Shown,
    tx::{Progress, Tx},
    uri,
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

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0 | 0x0b | 0x0c | b'\r')
}

fn trim(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && (is_blank(*first) || *first == b'\n')
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && (is_blank(*last) || *last == b'\n')
    {
        text = rest;
    }
    text
}

fn chomp(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The next word and what follows the blanks after it.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| is_blank(*byte)).unwrap_or(text.len());
    let rest = &text[end..];
    let start = rest.iter().position(|byte| !is_blank(*byte)).unwrap_or(rest.len());
    (&text[..end], &rest[start..])
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

    /// Take one line of `data`, or keep what there is of it; gives what follows.
    fn line<'a>(&mut self, side: usize, state: State, data: &'a [u8]) -> &'a [u8] {
        if core::mem::take(&mut self.sides[side].maybe_end) && !matches!(data[0], b'\r' | b'\n') {
            self.headers_end(side);
            return data;
        }
        // A carriage return alone ends lines of a response's head too.
        let by_cr = side == 1 && matches!(state, State::Line | State::Headers | State::Trailers);
        let this = &mut self.sides[side];
        if core::mem::take(&mut this.after_cr) && data[0] != b'\n' && this.line.iter().any(|byte| *byte != b'\r') {
            let line = core::mem::take(&mut this.line);
            if !trim(&line).is_empty() {
                self.whole_line(side, state, &line);
            }
            return data;
        }
        let end = if by_cr { memchr2(b'\n', b'\r', data) } else { memchr(b'\n', data) };
        let (part, rest) = data.split_at(end.map_or(data.len(), |at| at + 1));
        if this.line.len() + part.len() > LONGEST_LINE {
            this.state = State::Done;
            return &[];
        }
        if this.line.is_empty() && part.last() == Some(&b'\n') {
            self.whole_line(side, state, part);
            self.sides[side].bare_lf = !part.ends_with(b"\r\n");
            return rest;
        }
        this.line.extend_from_slice(part);
        if by_cr && part.last() == Some(&b'\r') {
            this.after_cr = true;
        } else if end.is_some() {
            let line = core::mem::take(&mut this.line);
            self.whole_line(side, state, &line);
            self.sides[side].bare_lf = !line.ends_with(b"\r\n");
        }
        rest
    }

    fn whole_line(&mut self, side: usize, state: State, line: &[u8]) {
        match state {
            State::Line if side == 0 => self.request_line(line),
            State::Line => self.status_line(line),
            State::Headers => {
                if chomp(line).is_empty() {
                    self.raw(side, line);
                    self.headers_end(side);
                } else if side == 1
                    && (matches!(line, [b' ' | b'\t', b'\n']) || (line == b"\r\r\n" && self.sides[side].bare_lf))
                {
                    self.raw(side, line);
                    self.sides[side].maybe_end = true;
                } else {
                    self.header(side, line);
                }
            }
            State::Trailers => {
                if chomp(line).is_empty() {
                    self.complete(side);
                }
            }
            State::Body(Framing::Chunked(Chunk::End)) => {
                self.sides[side].state = State::Body(Framing::Chunked(Chunk::Size));
            }
            State::Body(_) => self.chunk_line(side, line),
            State::Noise | State::Done => {}
        }
    }

    fn chunk_line(&mut self, side: usize, line: &[u8]) {
        match chunk_size(line) {
            Some(0) => self.sides[side].state = State::Trailers,
            Some(size) => self.sides[side].state = State::Body(Framing::Chunked(Chunk::Data(size))),
            None if trim(line).is_empty() => {}
            None => {
                // Not chunked after all: clients show it as it is.
                let id = self.sides[side].tx;
                let length =
                    self.tx(id).and_then(|tx| content_length(tx.sides[side].headers.value(b"content-length")?));
                let framing = length.map_or(Framing::UntilClose, Framing::Length);
                self.sides[side].state = State::Body(framing);
                let rest = self.body(side, framing, line);
                debug_assert!(rest.is_empty() || length.is_some());
            }
        }
    }

    fn raw(&mut self, side: usize, line: &[u8]) {
        let (id, shown) = (self.sides[side].tx, self.shown);
        if let Some(tx) = self.tx_mut(id) {
            tx.sides[side].headers.add_raw(line, shown);
        }
    }

    fn request_line(&mut self, line: &[u8]) {
        let line = trim(line);
        if line.is_empty() {
            return;
        }
        let id = self.sides[0].tx;
        let Some(tx) = self.tx_mut(id) else { return };
        let message = &mut tx.sides[0];
        message.line = line.to_vec();
        let (method, rest) = word(line);
        message.first = method.to_vec();
        // The protocol is the last word, so that blanks in the URI stay in it.
        let at = rest.windows(6).rposition(|window| is_blank(window[0]) && window[1..].eq_ignore_ascii_case(b"HTTP/"));
        let (uri, protocol) = match at {
            Some(at) => (trim(&rest[..at]), trim(&rest[at + 1..])),
            None if rest.len() >= 5 && rest[..5].eq_ignore_ascii_case(b"HTTP/") => (&rest[..0], rest),
            None => (rest, &rest[..0]),
        };
        message.second = uri.to_vec();
        message.protocol = protocol.to_vec();
        message.progress = Progress::Line;
        let simple = protocol.is_empty();
        tx.uri = uri::normalise(uri);
        if let (Some(host), _) = uri::split_authority(uri) {
            tx.host_raw = Some(host.to_vec());
            tx.host = Some(uri::host_name(host));
        }
        self.mark(0);
        self.sides[0].state = State::Headers;
        if simple && rest.is_empty() {
            // `GET` alone is no request that has headers.
            self.headers_end(0);
        }
    }

    fn status_line(&mut self, line: &[u8]) {
        let text = trim(line);
        if text.is_empty() {
            return;
        }
        if text.len() < 4 || !text[..4].eq_ignore_ascii_case(b"HTTP") {
            self.sides[1].line = line.to_vec();
            self.sides[1].state = State::Noise;
            return;
        }
        let id = self.sides[1].tx;
        let Some(tx) = self.tx_mut(id) else { return };
        let message = &mut tx.sides[1];
        message.line = text.to_vec();
        let (protocol, rest) = word(text);
        let (code, text) = word(rest);
        message.protocol = protocol.to_vec();
        message.first = code.to_vec();
        message.second = text.to_vec();
        message.progress = Progress::Line;
        self.mark(1);
        self.sides[1].state = State::Headers;
    }

    /// A line of the headers, which may go on with a field.
    fn header(&mut self, side: usize, line: &[u8]) {
        self.raw(side, line);
        let folded = matches!(line.first(), Some(b' ' | b'\t' | 0)) && !(side == 1 && names_a_field(trim(line)));
        if folded && !self.sides[side].field.is_empty() {
            let field = &mut self.sides[side].field;
            if field.len() + line.len() <= LONGEST_LINE {
                field.push(b' ');
                field.extend_from_slice(trim(line));
            }
            return;
        }
        self.field_end(side);
        self.sides[side].field.extend_from_slice(chomp(line));
    }

    /// The field is complete.
    fn field_end(&mut self, side: usize) {
        let field = core::mem::take(&mut self.sides[side].field);
        let id = self.sides[side].tx;
        if trim(&field).is_empty() {
            return;
        }
        if let Some(tx) = self.tx_mut(id) {
            let headers = &mut tx.sides[side].headers;
            match field.iter().position(|byte| *byte == b':') {
                Some(colon) => headers.add(trim(&field[..colon]), trim(&field[colon + 1..])),
                None => headers.add(&[], trim(&field)),
            }
        }
    }

    /// The empty line has come: how does the body end?
    fn headers_end(&mut self, side: usize) {
        let (keep, shown) = (self.keep, self.shown);
        self.field_end(side);
        let id = self.sides[side].tx;
        let tunnel = side == 1 && self.is_tunnel(id);
        let Some(tx) = self.tx_mut(id) else { return };
        let is_head = tx.sides[0].first == b"HEAD";
        let message = &mut tx.sides[side];
        let line = core::mem::take(&mut message.line);
        message.headers.finish(&line, shown);
        message.line = line;
        let chunked = message.headers.lenient(b"transfer-encoding").is_some_and(|value| is_chunked(&value));
        let length = message.headers.lenient(b"content-length").map(|value| content_length(&value));
        let decoder = match message.headers.lenient(b"content-encoding") {
            Some(coding) if keep > 0 => Decoder::new(&coding),
            _ => Decoder::default(),
        };
        if side == 1 && message.first == b"100" && !chunked && !matches!(length, Some(Some(1..))) {
            // An interim response; the real one follows.
            *message = super::tx::Message::default();
            self.sides[1].state = State::Line;
            return;
        }
        message.progress = Progress::Headers;
        if side == 0 && tx.host_raw.is_none() {
            let host = tx.sides[0].headers.value(b"host").map(<[u8]>::to_vec);
            tx.host = host.as_deref().map(uri::host_name);
            tx.host_raw = host;
        }
        let bodyless = side == 1 && matches!(&tx.sides[1].first[..], [b'1', _, _] | b"204" | b"304");
        let framing = match (chunked, length) {
            _ if side == 1 && is_head => None,
            (true, _) => Some(Framing::Chunked(Chunk::Size)),
            (false, Some(Some(0))) => None,
            (false, Some(Some(length))) => Some(Framing::Length(length)),
            (false, Some(None)) if side == 1 => Some(Framing::UntilClose),
            (false, _) if side == 0 || bodyless => None,
            (false, _) => Some(Framing::UntilClose),
        };
        self.mark(side);
        self.sides[side].decoder = decoder;
        if tunnel {
            self.complete(side);
            self.sides.iter_mut().for_each(|side| side.state = State::Done);
            return;
        }
        match framing {
            Some(framing) => self.begin_body(side, framing),
            None => self.complete(side),
        }
    }

    /// The response turns the connection into something else.
    fn is_tunnel(&self, id: u64) -> bool {
        let Some(tx) = self.tx(id) else { return false };
        let code = &tx.sides[1].first;
        let headers = &tx.sides[1].headers;
        let framed = headers.value(b"content-length").is_some() || headers.value(b"transfer-encoding").is_some();
        (code == b"101" && !framed) || (tx.sides[0].first == b"CONNECT" && code.first() == Some(&b'2'))
    }

    fn begin_body(&mut self, side: usize, framing: Framing) {
        self.sides[side].state = State::Body(framing);
        let id = self.sides[side].tx;
        if let Some(tx) = self.tx_mut(id) {
            let message = &mut tx.sides[side];
            message.progress = message.progress.max(Progress::Headers);
            message.has_body = true;
        }
    }

    /// Take body data; gives what follows it.
    fn body<'a>(&mut self, side: usize, framing: Framing, data: &'a [u8]) -> &'a [u8] {
        let take = match framing {
            Framing::Length(left) | Framing::Chunked(Chunk::Data(left)) => {
                usize::try_from(left).map_or(data.len(), |left| left.min(data.len()))
            }
            _ => data.len(),
        };
        let (part, rest) = data.split_at(take);
        self.keep_body(side, part, false);
        let taken = part.len() as u64;
        match framing {
            Framing::Length(left) if left == taken => self.complete(side),
            Framing::Length(left) => self.sides[side].state = State::Body(Framing::Length(left - taken)),
            Framing::Chunked(Chunk::Data(left)) => {
                let next = if left == taken { Chunk::End } else { Chunk::Data(left - taken) };
                self.sides[side].state = State::Body(Framing::Chunked(next));
            }
            _ => {}
        }
        rest
    }

    fn keep_body(&mut self, side: usize, part: &[u8], last: bool) {
        let (id, keep) = (self.sides[side].tx, self.keep);
        if keep == 0 || (part.is_empty() && !last) {
            return;
        }
        let mut decoder = core::mem::take(&mut self.sides[side].decoder);
        let Some(tx) = self.tx_mut(id) else { return };
        let message = &mut tx.sides[side];
        if message.body_ended {
            return;
        }
        let before = message.body.len();
        decoder.feed(part, last, &mut message.body, keep);
        message.body_ended = message.body.len() >= keep;
        let grown = message.body.len() > before;
        self.sides[side].decoder = decoder;
        if grown {
            self.mark(side);
        }
    }

    fn complete(&mut self, side: usize) {
        if !self.sides[side].decoder.is_identity() {
            self.keep_body(side, &[], true);
        }
        let id = self.sides[side].tx;
        if let Some(tx) = self.tx_mut(id) {
            tx.sides[side].progress = Progress::Complete;
            tx.sides[side].body_ended = true;
        }
        self.mark(side);
        let this = &mut self.sides[side];
        this.state = State::Line;
        this.decoder = Decoder::default();
        this.tx += 1;
    }
}

/// Whether `Transfer-Encoding` says chunked. Whatever else is in it, the body itself shows whether it is.
fn is_chunked(value: &[u8]) -> bool {
    value.windows(7).any(|window| window.eq_ignore_ascii_case(b"chunked"))
}

/// Whether a line, blanks before it removed, begins a field: a name and a colon.
fn names_a_field(line: &[u8]) -> bool {
    let name = line.iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')).count();
    name > 0 && line.get(name) == Some(&b':')
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
