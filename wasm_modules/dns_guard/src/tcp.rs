//! DNS messages out of streams of TCP: each behind its length in two octets, RFC 1035 section 4.2.2.

use alloc::vec::Vec;

use crate::name::MAX_QUERY;

/// The message that a stream is in.
#[derive(Debug, Default)]
pub struct Framing {
    /// What is there of the length.
    length: Option<u8>,
    /// Octets of the message that are still to come.
    left: usize,
    /// Its beginning, in which the questions are.
    message: Vec<u8>,
}

impl Framing {
    /// Whether nothing of a message is kept.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.length.is_none() && self.left == 0
    }

    /// The next octets of the stream; `each` is shown every message that becomes complete, as far as its questions go.
    pub fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(&[u8])) {
        while let Some((&first, rest)) = bytes.split_first() {
            if self.left == 0 {
                bytes = rest;
                match self.length.take() {
                    None => self.length = Some(first),
                    Some(high) => {
                        self.left = usize::from(u16::from_be_bytes([high, first]));
                        if self.left == 0 {
                            each(&[]);
                        }
                    }
                }
                continue;
            }
            let taken = bytes.len().min(self.left);
            let kept = taken.min(MAX_QUERY - self.message.len());
            self.message.extend_from_slice(&bytes[..kept]);
            self.left -= taken;
            bytes = &bytes[taken..];
            if self.left == 0 {
                each(&self.message);
                self.message.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_however_the_stream_is_split() {
        let long = vec![7; 5000];
        let stream = [&[0, 3][..], b"abc", &[0, 0], &[0x13, 0x88], &long, &[0, 1], b"z", &[0]].concat();
        for size in [1, 2, 3, 7, 1000, stream.len()] {
            let (mut framing, mut messages) = (Framing::default(), Vec::new());
            for part in stream.chunks(size) {
                framing.push(part, |message| messages.push(message.to_vec()));
            }
            let expected: [&[u8]; 4] = [b"abc", b"", &long[..MAX_QUERY], b"z"];
            assert_eq!(messages, expected, "pieces of {size}");
            assert!(!framing.is_idle());
        }
    }
}
