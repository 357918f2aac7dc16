//! `application/x-www-form-urlencoded`, in a query or as a body.

use alloc::vec::Vec;

use super::{Collected, NAME, PIECE, arg};
use crate::{checks::protocol as rules, inspector::Inspector, normalise};

/// A form that comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct Form {
    name: Vec<u8>,
    value: Collected,
    in_value: bool,
}

impl Form {
    pub(super) fn push(&mut self, mut bytes: &[u8], to: &mut Inspector<'_>) {
        while !bytes.is_empty() {
            let in_value = self.in_value;
            let end = memchr::memchr2(b'&', if in_value { b'&' } else { b'=' }, bytes);
            let (piece, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            self.take(piece, to);
            match rest.first() {
                None => return,
                Some(b'&') => self.end(to),
                Some(_) => self.in_value = true,
            }
            bytes = &rest[1..];
        }
    }

    fn take(&mut self, piece: &[u8], to: &mut Inspector<'_>) {
        if self.in_value {
            let name = &self.name;
            self.value.extend(piece, |value| decoded(name, value, to));
        } else {
            // A name without end is a value: nothing of it may be lost.
            let room = PIECE - self.name.len();
            self.name.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.len() > room {
                self.in_value = true;
                let name = &self.name;
                self.value.extend(&piece[room..], |value| decoded(name, value, to));
            }
        }
    }

    pub(super) fn end(&mut self, to: &mut Inspector<'_>) {
        if !self.in_value {
            // A line's end behind the last parameter is an editor's.
            let length = self.name.trim_ascii_end().len();
            self.name.truncate(length);
        }
        if !self.name.is_empty() || self.in_value {
            let name = &self.name;
            self.value.finish(|value| decoded(name, value, to));
        }
        self.name.clear();
        self.in_value = false;
    }
}

/// The query of a request's target.
pub(crate) fn query(text: &[u8], to: &mut Inspector<'_>) {
    for part in text.split(|byte| *byte == b'&') {
        match memchr::memchr(b'=', part) {
            _ if part.len() > PIECE => {
                let mut form = Form::default();
                form.push(part, to);
                form.end(to);
            }
            Some(at) => decoded(&part[..at], &part[at + 1..], to),
            None if part.trim_ascii_end().is_empty() => {}
            None => decoded(part.trim_ascii_end(), b"", to),
        }
    }
}

fn decoded(name: &[u8], value: &[u8], to: &mut Inspector<'_>) {
    rules::check_encoding(&name[..name.len().min(NAME)], value, to);
    let (mut plain_name, mut plain) = (Vec::new(), Vec::new());
    let plain = normalise::decoded(value, true, &mut plain);
    rules::check_escapes(&name[..name.len().min(NAME)], plain, to);
    arg(normalise::decoded(name, true, &mut plain_name), plain, to);
}
