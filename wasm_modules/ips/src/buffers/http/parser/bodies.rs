//! Where a body ends, and what is kept of it.

use super::{Http, State, text::trim};
use crate::buffers::http::{
    body::{Chunk, Framing, chunk_size, content_length},
    coding::Decoder,
    tx::{Message, Progress},
    uri,
};

/// Bytes that a body gets room for before it comes, at most.
const MOST_ROOM: usize = 4096;

impl Http {
    /// The empty line has come: how does the body end?
    pub(super) fn headers_end(&mut self, side: usize) {
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
            *message = Message::default();
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
    pub(super) fn is_tunnel(&self, id: u64) -> bool {
        let Some(tx) = self.tx(id) else { return false };
        let code = &tx.sides[1].first;
        let headers = &tx.sides[1].headers;
        let framed = headers.value(b"content-length").is_some() || headers.value(b"transfer-encoding").is_some();
        (code == b"101" && !framed) || (tx.sides[0].first == b"CONNECT" && code.first() == Some(&b'2'))
    }

    pub(super) fn chunk_line(&mut self, side: usize, line: &[u8]) {
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

    pub(super) fn begin_body(&mut self, side: usize, framing: Framing) {
        self.sides[side].state = State::Body(framing);
        let (id, keep) = (self.sides[side].tx, self.keep);
        if let Some(tx) = self.tx_mut(id) {
            let message = &mut tx.sides[side];
            message.progress = message.progress.max(Progress::Headers);
            message.has_body = true;
            if let (Framing::Length(length), true) = (framing, keep > 0) {
                message.body.reserve_exact(usize::try_from(length).unwrap_or(MOST_ROOM).min(MOST_ROOM).min(keep));
            }
        }
    }

    /// Take body data; gives what follows it.
    pub(super) fn body<'a>(&mut self, side: usize, framing: Framing, data: &'a [u8]) -> &'a [u8] {
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

    pub(super) fn keep_body(&mut self, side: usize, part: &[u8], last: bool) {
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

    pub(super) fn complete(&mut self, side: usize) {
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
