//! Bodies: each kind is taken apart as it comes, and its values inspected one by one, so that a body of any length needs
//! little memory.

mod delimiter;
mod form;
mod json;
mod multipart;
mod plain;
mod xml;

use alloc::vec::Vec;

use crate::{
    checks::protocol as rules,
    finding::{Part, Place},
    inspector::Inspector,
};

pub(crate) use form::query;
pub(crate) use multipart::parameter;

/// A value that is longer is inspected in pieces of this many bytes.
pub(crate) const PIECE: usize = 16_384;
/// How many bytes of a piece are seen again at the start of the next.
const OVERLAP: usize = 1_024;
/// Longest name that is kept.
pub(crate) const NAME: usize = 256;

/// Takes a body apart, by its kind.
#[derive(Debug)]
pub(crate) enum Body {
    /// Not known yet: the first byte that is no space decides.
    Unknown,
    Form(form::Form),
    Json(json::Json),
    Multipart(multipart::Multipart),
    Xml(xml::Xml),
    Plain(plain::Plain),
    /// Not looked at.
    Opaque,
}

impl Body {
    /// What `content_type`, the header's value, says. `None` where there is no header.
    pub(crate) fn new(content_type: Option<&[u8]>) -> Self {
        let Some(content_type) = content_type else { return Self::Unknown };
        let mut media = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().to_vec();
        media.make_ascii_lowercase();
        let binary: [&[u8]; 4] = [b"image/", b"video/", b"audio/", b"font/"];
        match &media[..] {
            b"" => Self::Unknown,
            b"application/x-www-form-urlencoded" => Self::Form(form::Form::default()),
            b"application/octet-stream"
            | b"application/pdf"
            | b"application/zip"
            | b"application/x-protobuf"
            | b"application/grpc-web"
            | b"application/grpc-web+proto"
            | b"application/dns-message" => Self::Opaque,
            _ if media.starts_with(b"multipart/") => {
                multipart::Multipart::new(content_type).map_or(Self::Plain(plain::Plain::default()), Self::Multipart)
            }
            _ if media.ends_with(b"json") || media.ends_with(b"csp-report") => Self::Json(json::Json::default()),
            _ if media.ends_with(b"xml") => Self::Xml(xml::Xml::default()),
            _ if binary.iter().any(|kind| media.starts_with(kind)) => Self::Opaque,
            _ if media.starts_with(b"text/") => Self::Plain(plain::Plain::default()),
            _ => Self::Unknown,
        }
    }

    /// The next bytes.
    pub(crate) fn push(&mut self, mut bytes: &[u8], to: &mut Inspector<'_>) {
        if matches!(self, Self::Unknown) {
            bytes = bytes.trim_ascii_start();
            *self = match bytes.first() {
                None => return,
                Some(b'{' | b'[') => Self::Json(json::Json::default()),
                Some(b'<') => Self::Xml(xml::Xml::default()),
                Some(_) => Self::Form(form::Form::default()),
            };
        }
        match self {
            Self::Unknown | Self::Opaque => {}
            Self::Form(form) => form.push(bytes, to),
            Self::Json(json) => json.push(bytes, to),
            Self::Multipart(multipart) => multipart.push(bytes, to),
            Self::Xml(xml) => xml.push(bytes, to),
            Self::Plain(plain) => plain.push(bytes, to),
        }
    }

    /// The body ended.
    pub(crate) fn end(&mut self, to: &mut Inspector<'_>) {
        match self {
            Self::Unknown | Self::Opaque => {}
            Self::Form(form) => form.end(to),
            Self::Json(json) => json.end(to),
            Self::Multipart(multipart) => multipart.end(to),
            Self::Xml(xml) => xml.end(to),
            Self::Plain(plain) => plain.end(to),
        }
    }
}

/// A value that is collected, and handed on in pieces when it is long.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    bytes: Vec<u8>,
    /// Whether a piece was handed on already.
    cut: bool,
}

impl Collected {
    /// Add bytes; `piece` is called with each full piece.
    fn extend(&mut self, mut bytes: &[u8], mut piece: impl FnMut(&[u8])) {
        while self.bytes.len() + bytes.len() > PIECE {
            let (now, later) = bytes.split_at(PIECE - self.bytes.len());
            self.bytes.extend_from_slice(now);
            piece(&self.bytes);
            self.cut = true;
            self.bytes.drain(..PIECE - OVERLAP);
            bytes = later;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The last piece; then it is empty.
    fn finish(&mut self, piece: impl FnOnce(&[u8])) {
        if !self.cut || self.bytes.len() > OVERLAP {
            piece(&self.bytes);
        }
        self.bytes.clear();
        self.cut = false;
    }
}

/// A parameter whose encoding is undone. False when there were too many already.
pub(crate) fn arg(name: &[u8], value: &[u8], to: &mut Inspector<'_>) {
    to.verdict.args += 1;
    let most = to.engine.config.max_args;
    if to.verdict.args > most {
        if to.verdict.args == most + 1 {
            to.report(&rules::TOO_MANY_ARGS, Place { part: Part::Body, name: b"" }, name);
        }
        return;
    }
    to.value(Place { part: Part::ArgName, name: b"" }, &name[..name.len().min(PIECE)]);
    rules::check_value(Part::ArgName, name, name, to);
    let name = &name[..name.len().min(NAME)];
    rules::check_value(Part::Arg, name, value, to);
    to.value(Place { part: Part::Arg, name }, value);
}
