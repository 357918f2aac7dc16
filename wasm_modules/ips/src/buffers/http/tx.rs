//! One transaction: what of its request and response is known by now.

use alloc::vec::Vec;

use super::headers::Headers;
use crate::buffers::{Slot, names::Buffer};

/// How far a message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Progress {
    /// Nothing of it.
    #[default]
    None,
    /// Its first line.
    Line,
    /// Its headers.
    Headers,
    /// All of it.
    Complete,
}

/// A request or a response.
#[derive(Debug, Default)]
pub struct Message {
    /// How far it has come.
    pub progress: Progress,
    /// First line, without its end.
    pub line: Vec<u8>,
    /// Method, or status code.
    pub first: Vec<u8>,
    /// URI as sent, or status message.
    pub second: Vec<u8>,
    /// `HTTP/1.1`
    pub protocol: Vec<u8>,
    /// The headers.
    pub headers: Headers,
    /// The body, decoded, as far as it is kept.
    pub body: Vec<u8>,
    /// The message has a body.
    pub has_body: bool,
    /// The body is complete, or longer than what is kept.
    pub body_ended: bool,
}

/// A request and its response.
#[derive(Debug, Default)]
pub struct Tx {
    /// The request, then the response.
    pub sides: [Message; 2],
    /// Normalised URI.
    pub uri: Vec<u8>,
    /// Host as sent.
    pub host_raw: Option<Vec<u8>>,
    /// Host in lower case, without port.
    pub host: Option<Vec<u8>>,
}

fn known<'a>(progress: Progress, needed: Progress, value: impl FnOnce() -> Option<&'a [u8]>) -> Slot<'a> {
    match progress >= needed {
        false => Slot::NotYet,
        true => value().map_or(Slot::Absent, |bytes| Slot::Data { bytes, ended: true }),
    }
}

impl Tx {
    /// Buffer number `nth` of the name `buffer` in direction `side`; only those of [`Buffer::is_multi`] have a second.
    #[must_use]
    pub fn slot(&self, buffer: Buffer, side: usize, nth: usize) -> Slot<'_> {
        use Progress::{Headers, Line};
        if nth > 0 && !buffer.is_multi() {
            return Slot::Absent;
        }
        let message = &self.sides[side];
        let at = message.progress;
        let header = |name: &[u8]| known(at, Headers, || message.headers.value(name));
        match buffer {
            Buffer::HttpUri => known(at, Line, || Some(&self.uri)),
            Buffer::HttpUriRaw | Buffer::HttpStatMsg => known(at, Line, || Some(&message.second)),
            Buffer::HttpMethod | Buffer::HttpStatCode => known(at, Line, || Some(&message.first)),
            Buffer::HttpProtocol => known(at, Line, || (!message.protocol.is_empty()).then_some(&message.protocol[..])),
            Buffer::HttpRequestLine | Buffer::HttpResponseLine => known(at, Line, || Some(&message.line)),
            Buffer::HttpHeader => known(at, Headers, || message.headers.normalised()),
            Buffer::HttpHeaderRaw => known(at, Headers, || message.headers.raw()),
            Buffer::HttpHeaderNames => known(at, Headers, || message.headers.names()),
            Buffer::HttpStart => known(at, Headers, || message.headers.start()),
            Buffer::HttpCookie => header(if side == 0 { b"cookie" } else { b"set-cookie" }),
            Buffer::HttpUserAgent => header(b"user-agent"),
            Buffer::HttpReferer => header(b"referer"),
            Buffer::HttpAccept => header(b"accept"),
            Buffer::HttpAcceptEnc => header(b"accept-encoding"),
            Buffer::HttpAcceptLang => header(b"accept-language"),
            Buffer::HttpConnection => header(b"connection"),
            Buffer::HttpContentType => header(b"content-type"),
            Buffer::HttpContentLen => header(b"content-length"),
            Buffer::HttpServer => header(b"server"),
            Buffer::HttpLocation => header(b"location"),
            Buffer::HttpHost => known(at, Headers, || self.host.as_deref()),
            Buffer::HttpHostRaw => known(at, Headers, || self.host_raw.as_deref()),
            Buffer::HttpRequestHeader | Buffer::HttpResponseHeader => known(at, Headers, || message.headers.nth(nth)),
            Buffer::HttpRequestBody | Buffer::HttpResponseBody | Buffer::FileData => {
                if at < Headers {
                    Slot::NotYet
                } else if message.has_body && !message.body.is_empty() {
                    Slot::Data { bytes: &message.body, ended: message.body_ended }
                } else if message.body_ended || at == Progress::Complete {
                    Slot::Absent
                } else {
                    Slot::NotYet
                }
            }
            _ => Slot::Absent,
        }
    }

    /// Whether nothing more can come.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.sides.iter().all(|message| message.progress == Progress::Complete)
    }

    /// Bytes that it takes, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.sides
            .iter()
            .map(|message| message.body.capacity() + message.headers.memory() + 2 * message.line.len())
            .sum()
    }
}
