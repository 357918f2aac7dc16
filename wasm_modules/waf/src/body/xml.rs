//! XML: text, attributes and CDATA as parameters; declarations of types and entities are reported.

use alloc::vec::Vec;

use super::{Collected, arg};
use crate::{
    checks::protocol as rules,
    finding::{Part, Place},
    inspector::Inspector,
    normalise,
};

/// Longest markup, such as a tag without its attributes, that is kept.
const MARKUP: usize = 4_096;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum At {
    #[default]
    Text,
    /// Inside of `<…>`.
    Tag,
    /// Inside of an attribute's value, with its quote.
    Attribute(u8),
    Comment,
    Cdata,
    /// A declaration, `<!…>`.
    Declaration,
}

/// XML that comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct Xml {
    at: At,
    value: Collected,
    markup: Vec<u8>,
}

impl Xml {
    pub(super) fn push(&mut self, bytes: &[u8], to: &mut Inspector<'_>) {
        for &byte in bytes {
            match self.at {
                At::Text if byte == b'<' => {
                    self.flush(b"xml", to);
                    self.at = At::Tag;
                    self.markup.clear();
                }
                At::Attribute(quote) if byte == quote => {
                    self.flush(b"xml@", to);
                    self.at = At::Tag;
                }
                At::Text | At::Attribute(_) => self.collect(byte, to),
                At::Cdata => {
                    self.collect(byte, to);
                    if self.tail(byte, b"]]>") {
                        self.flush(b"xml", to);
                        self.at = At::Text;
                    }
                }
                At::Comment => {
                    if self.tail(byte, b"-->") {
                        self.at = At::Text;
                    }
                }
                At::Tag => self.tag(byte),
                At::Declaration => {
                    if self.markup.len() < MARKUP {
                        self.markup.push(byte);
                    }
                    if byte == b'>' {
                        self.declared(to);
                        self.at = At::Text;
                    }
                }
            }
        }
    }

    fn tag(&mut self, byte: u8) {
        match byte {
            b'>' => {
                self.at = At::Text;
                return;
            }
            b'"' | b'\'' if self.markup.len() > 1 => {
                self.at = At::Attribute(byte);
                return;
            }
            _ => {}
        }
        if self.markup.len() < MARKUP {
            self.markup.push(byte);
        }
        self.at = match &self.markup[..] {
            b"!--" => At::Comment,
            b"![CDATA[" => At::Cdata,
            [b'!', more, ..] if more.is_ascii_alphabetic() => At::Declaration,
            _ => return,
        };
        if self.at != At::Declaration {
            self.markup.clear();
        }
    }

    /// Whether the last bytes, with this one, are `end`.
    fn tail(&mut self, byte: u8, end: &[u8; 3]) -> bool {
        if self.markup.len() >= 3 {
            self.markup.remove(0);
        }
        self.markup.push(byte);
        self.markup == end
    }

    fn declared(&mut self, to: &mut Inspector<'_>) {
        let mut text = Vec::new();
        normalise::lower(&self.markup, &mut text);
        let external = [&b"system"[..], b"public"].iter().any(|word| text.windows(6).any(|window| window == *word));
        let place = Place { part: Part::Body, name: b"xml" };
        if text.windows(7).any(|window| window == b"!entity") {
            to.report(&rules::XML_ENTITY, place, &text);
        } else if external && text.starts_with(b"!doctype") && !text.starts_with(b"!doctype html") {
            to.report(&rules::XML_EXTERNAL, place, &text);
        }
    }

    fn collect(&mut self, byte: u8, to: &mut Inspector<'_>) {
        self.value.extend(&[byte], |piece| arg(b"xml", piece, to));
    }

    fn flush(&mut self, name: &[u8], to: &mut Inspector<'_>) {
        self.value.finish(|piece| {
            if !piece.trim_ascii().is_empty() {
                arg(name, piece, to);
            }
        });
    }

    pub(super) fn end(&mut self, to: &mut Inspector<'_>) {
        self.declared(to);
        self.flush(b"xml", to);
    }
}
