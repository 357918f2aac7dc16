//! First lines and header fields.

use memchr::{memchr, memchr2};

use super::{
    Http, LONGEST_LINE, State,
    text::{chomp, is_blank, trim, word},
};
use crate::buffers::http::{
    body::{Chunk, Framing},
    tx::Progress,
    uri,
};

impl Http {
    /// Take one line of `data`, or keep what there is of it; gives what follows.
    pub(super) fn line<'a>(&mut self, side: usize, state: State, data: &'a [u8]) -> &'a [u8] {
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

    pub(super) fn whole_line(&mut self, side: usize, state: State, line: &[u8]) {
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

    pub(super) fn raw(&mut self, side: usize, line: &[u8]) {
        let (id, shown) = (self.sides[side].tx, self.shown);
        if shown.has_raw()
            && let Some(tx) = self.tx_mut(id)
        {
            tx.sides[side].headers.add_raw(line);
        }
    }

    pub(super) fn request_line(&mut self, line: &[u8]) {
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

    pub(super) fn status_line(&mut self, line: &[u8]) {
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
    pub(super) fn header(&mut self, side: usize, line: &[u8]) {
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
    pub(super) fn field_end(&mut self, side: usize) {
        let mut field = core::mem::take(&mut self.sides[side].field);
        let id = self.sides[side].tx;
        let text = trim(&field);
        if !text.is_empty()
            && let Some(tx) = self.tx_mut(id)
        {
            let headers = &mut tx.sides[side].headers;
            match memchr(b':', text) {
                Some(colon) => headers.add(trim(&text[..colon]), trim(&text[colon + 1..])),
                None => headers.add(&[], text),
            }
        }
        // Its memory serves the next one.
        field.clear();
        self.sides[side].field = field;
    }
}

/// Whether a line, blanks before it removed, begins a field: a name and a colon.
fn names_a_field(line: &[u8]) -> bool {
    let name = line.iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')).count();
    name > 0 && line.get(name) == Some(&b':')
}
