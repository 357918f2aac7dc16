//! What streams need to know of a TCP segment.

use super::Refusal;
use crate::wire::{Headers, checksum};

/// Bits of the flags byte.
pub(super) mod bits {
    pub(in super::super) const FIN: u8 = 1;
    pub(in super::super) const SYN: u8 = 2;
    pub(in super::super) const RST: u8 = 4;
    pub(in super::super) const ACK: u8 = 16;
    pub(in super::super) const URG: u8 = 32;
}

/// Largest window scale, RFC 7323 section 2.3.
pub(super) const MAX_SCALE: u8 = 14;

/// A segment's header, as its receiver reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tcp {
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) flags: u8,
    /// As it stands in the header.
    pub(super) window: u16,
    /// Window scale, on a SYN.
    pub(super) scale: Option<u8>,
    /// TSval of the timestamp option.
    pub(super) timestamp: Option<u32>,
}

impl Tcp {
    pub(super) fn has(&self, bits: u8) -> bool {
        self.flags & bits != 0
    }

    /// Read the header of the segment in `frame`.
    ///
    /// # Errors
    /// It is one that no receiver takes.
    pub(super) fn parse(frame: &[u8], headers: &Headers) -> Result<Self, Refusal> {
        let segment = segment(frame, headers).ok_or(Refusal::BadHeader)?;
        let header = segment.first_chunk::<20>().ok_or(Refusal::BadHeader)?;
        let length = usize::from(header[12] >> 4) * 4;
        if headers.truncated || length < 20 || length > segment.len() {
            return Err(Refusal::BadHeader);
        }
        let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let mut tcp = Self {
            seq: word(4),
            ack: word(8),
            flags: header[13],
            window: u16::from_be_bytes([header[14], header[15]]),
            scale: None,
            timestamp: None,
        };
        let sane = match tcp.flags & (bits::SYN | bits::RST | bits::FIN) {
            0 | bits::FIN => tcp.has(bits::ACK),
            bits::SYN | bits::RST => true,
            _ => false,
        };
        if !sane {
            return Err(Refusal::BadHeader);
        }
        tcp.options(&segment[20..length]);
        Ok(tcp)
    }

    /// Options that say nothing to us are skipped; one that is cut ends the list, as in receivers.
    fn options(&mut self, mut options: &[u8]) {
        loop {
            match options {
                [1, rest @ ..] => options = rest,
                [kind, len, rest @ ..] if *kind != 0 && *len >= 2 && usize::from(*len) - 2 <= rest.len() => {
                    let (value, rest) = rest.split_at(usize::from(*len) - 2);
                    match (*kind, value) {
                        (3, [scale]) if self.has(bits::SYN) => self.scale = Some((*scale).min(MAX_SCALE)),
                        (8, [a, b, c, d, ..]) if *len == 10 => {
                            self.timestamp = Some(u32::from_be_bytes([*a, *b, *c, *d]));
                        }
                        _ => {}
                    }
                    options = rest;
                }
                _ => return,
            }
        }
    }
}

/// TCP header and payload.
fn segment<'a>(frame: &'a [u8], headers: &Headers) -> Option<&'a [u8]> {
    frame.get(usize::from(headers.l4)..usize::from(headers.payload) + usize::from(headers.payload_len))
}

/// Whether the segment's checksum is right, or only partial where `partial` ones may come: the field of a packet that was
/// never on a wire holds the sum of the pseudo-header alone.
pub(super) fn is_checksum_right(frame: &[u8], headers: &Headers, partial: bool) -> bool {
    let Some(segment) = segment(frame, headers) else { return false };
    let Ok(length) = u16::try_from(segment.len()) else { return false };
    let pseudo = checksum::pseudo_header(headers.src, headers.dst, headers.protocol, length);
    checksum::fold(checksum::sum(segment, pseudo.into())) == 0xffff
        || partial && segment.get(16..18) == Some(pseudo.to_be_bytes().as_slice())
}

/// Make the urgent data of the segment in `frame` data as any other: take the flag and the pointer away, and out of the
/// checksum, unless that is only partial. Of the frame it needs no more than the headers.
pub fn clear_urgent(frame: &mut [u8], headers: &Headers) {
    let l4 = usize::from(headers.l4);
    let Some(header) = frame.get_mut(l4..).and_then(|rest| rest.first_chunk_mut::<20>()) else { return };
    let end = usize::from(headers.payload) + usize::from(headers.payload_len);
    let Ok(length) = u16::try_from(end - l4) else { return };
    let word = |header: &[u8; 20], at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let (flags, pointer, sum) = (word(header, 12), word(header, 18), word(header, 16));
    let cleared = flags & !u16::from(bits::URG);
    header[12..14].copy_from_slice(&cleared.to_be_bytes());
    header[18..20].copy_from_slice(&[0, 0]);
    let pseudo = checksum::pseudo_header(headers.src, headers.dst, headers.protocol, length);
    if sum != pseudo {
        let sum = checksum::update(checksum::update(sum, flags, cleared), pointer, 0);
        header[16..18].copy_from_slice(&sum.to_be_bytes());
    }
}
