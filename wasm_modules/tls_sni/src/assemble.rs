//! The first handshake message of a stream, out of records and pieces of any length.

use alloc::vec::Vec;

use crate::hello::{Flaw, MAX_HELLO};

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
/// Length of a record's header.
const RECORD: usize = 5;
/// Length of a message's header.
const MESSAGE: usize = 4;
/// Longest record, RFC 8446 section 5.1.
const MAX_RECORD: usize = 1 << 14;

/// What is known of a stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// The ClientHello is not complete.
    More,
    /// It is: [`Assembler::body`].
    Complete,
    /// This is not TLS.
    NotTls,
    /// It is, and broken.
    Broken(Flaw),
}

/// The body of a ClientHello that is in one piece and one record, as nearly all are.
#[must_use]
pub fn whole(bytes: &[u8]) -> Option<&[u8]> {
    let header = bytes.first_chunk::<{ RECORD + MESSAGE }>()?;
    let record = usize::from(u16::from_be_bytes([header[3], header[4]]));
    let len = u32::from_be_bytes([0, header[6], header[7], header[8]]) as usize;
    let fits = header[0] == HANDSHAKE && header[1] == 3 && header[5] == CLIENT_HELLO;
    let fits = fits && MESSAGE + len <= record && record <= MAX_RECORD && len <= MAX_HELLO;
    if fits { bytes.get(RECORD + MESSAGE..RECORD + MESSAGE + len) } else { None }
}

/// Puts a ClientHello together.
#[derive(Debug, Default)]
pub struct Assembler {
    header: [u8; RECORD],
    header_len: usize,
    /// Bytes that the current record still has.
    left: usize,
    message: Vec<u8>,
}

impl Assembler {
    /// Bytes of heap.
    #[must_use]
    pub fn size(&self) -> usize {
        self.message.capacity()
    }

    /// The body, once it is complete.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.message.get(MESSAGE..).unwrap_or_default()
    }

    /// The next bytes of the stream.
    pub fn push(&mut self, mut bytes: &[u8]) -> Step {
        while let Some((&first, rest)) = bytes.split_first() {
            if self.left == 0 {
                self.header[self.header_len] = first;
                self.header_len += 1;
                bytes = rest;
                if let Err(step) = self.header() {
                    return step;
                }
                continue;
            }
            let wanted = self.wanted() - self.message.len();
            let taken = bytes.len().min(self.left).min(wanted);
            self.message.extend_from_slice(&bytes[..taken]);
            self.left -= taken;
            bytes = &bytes[taken..];
            if self.message[0] != CLIENT_HELLO {
                return Step::Broken(Flaw::NotHello);
            }
            if self.wanted() > MESSAGE + MAX_HELLO {
                return Step::Broken(Flaw::TooLong);
            }
            if self.message.len() >= MESSAGE && self.message.len() == self.wanted() {
                return Step::Complete;
            }
        }
        Step::More
    }

    /// Bytes of the message with its header, or of the header when that is not there.
    fn wanted(&self) -> usize {
        let Some(header) = self.message.first_chunk::<MESSAGE>() else { return MESSAGE };
        MESSAGE + u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize
    }

    /// Look at what is there of a record's header.
    fn header(&mut self) -> Result<(), Step> {
        let kinds = [HANDSHAKE, 3];
        let known = &self.header[..self.header_len.min(kinds.len())];
        if known != &kinds[..known.len()] {
            // Only of a first record it can be said that this is something else.
            return Err(if self.message.is_empty() { Step::NotTls } else { Step::Broken(Flaw::Record) });
        }
        if self.header_len == RECORD {
            self.left = usize::from(u16::from_be_bytes([self.header[3], self.header[4]]));
            self.header_len = 0;
            if self.left == 0 || self.left > MAX_RECORD {
                return Err(Step::Broken(Flaw::Record));
            }
        }
        Ok(())
    }
}
