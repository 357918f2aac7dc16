//! Content codings of bodies: gzip, deflate with and without its zlib frame, one on top of another.

use alloc::{boxed::Box, vec::Vec};

use miniz_oxide::{
    DataFormat, MZError, MZFlush, MZStatus,
    inflate::stream::{InflateState, inflate},
};

/// Most codings on top of one another.
const MOST_LAYERS: usize = 3;
/// Bytes after which a layer's frame is known, or there is none.
const MOST_PROBE: usize = 1024;
/// So many printable bytes are not compressed.
const TEXT: usize = 16;
/// Bytes that are made at a time.
const STEP: usize = 4096;

/// A body's decoder: what the outermost layer makes is the next one's input.
#[derive(Debug, Default)]
pub struct Decoder {
    layers: Vec<Layer>,
}

impl Decoder {
    /// By the values of `Content-Encoding`; codings that are not known are passed over.
    pub fn new(value: &[u8]) -> Self {
        let mut layers = Vec::new();
        // The last coding named was applied last, so it is undone first.
        for token in value.split(|byte| matches!(byte, b',' | b' ' | b'\t' | b';' | b':' | 0 | 0x0b | 0x0c)).rev() {
            let token = token.trim_ascii().to_ascii_lowercase();
            if token.is_empty() || layers.len() == MOST_LAYERS {
                continue;
            }
            let names = |what: &[u8]| token.windows(what.len()).any(|window| window == what);
            if names(b"gzip") {
                layers.push(Layer::new(true));
            } else if names(b"deflate") {
                layers.push(Layer::new(false));
            }
        }
        Self { layers }
    }

    /// Whether the body is as it was sent.
    pub fn is_identity(&self) -> bool {
        self.layers.is_empty()
    }

    /// Decode `data` onto `out`, which holds at most `limit` bytes afterwards. `last`: nothing follows.
    pub fn feed(&mut self, data: &[u8], last: bool, out: &mut Vec<u8>, limit: usize) {
        let mut current: Vec<u8> = Vec::new();
        let count = self.layers.len();
        for (number, layer) in self.layers.iter_mut().enumerate() {
            let input = if number == 0 { data } else { &current[..] };
            let mut made = Vec::new();
            let room = if number + 1 == count { limit.saturating_sub(out.len()) } else { limit };
            layer.feed(input, last, &mut made, room);
            current = made;
        }
        if count == 0 {
            let room = limit.saturating_sub(out.len());
            out.extend_from_slice(&data[..data.len().min(room)]);
        } else {
            let room = limit.saturating_sub(out.len());
            out.extend_from_slice(&current[..current.len().min(room)]);
        }
    }
}

/// What a layer is at.
enum State {
    /// The frame is not known yet; these bytes have come.
    Probe(Vec<u8>),
    /// Inflating.
    Inflate(Box<InflateState>),
    /// Not compressed after all, or broken: as it comes.
    Pass,
    /// The compressed data has ended.
    Ended,
}

struct Layer {
    state: State,
    /// What was declared; what is there decides.
    gzip: bool,
    /// Bytes of this layer that came out so far.
    made: usize,
}

impl core::fmt::Debug for Layer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Layer").field("gzip", &self.gzip).field("made", &self.made).finish_non_exhaustive()
    }
}

/// What the first bytes of a layer say.
enum Frame {
    NeedMore,
    Gzip(usize),
    Zlib,
    Raw,
}

impl Layer {
    fn new(gzip: bool) -> Self {
        Self { state: State::Probe(Vec::new()), gzip, made: 0 }
    }

    fn feed(&mut self, data: &[u8], last: bool, out: &mut Vec<u8>, limit: usize) {
        match &mut self.state {
            State::Probe(seen) => {
                seen.extend_from_slice(data);
                let text = || seen.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n'));
                let (skip, format) = match frame(seen) {
                    Frame::Gzip(skip) => (skip, DataFormat::Raw),
                    Frame::Zlib => (0, DataFormat::Zlib),
                    Frame::NeedMore if !last && seen.len() < MOST_PROBE => return,
                    // Deflate without a frame hardly ever looks like text for long.
                    Frame::Raw if !last && text() && seen.len() < TEXT => return,
                    Frame::Raw if !text() => (0, DataFormat::Raw),
                    Frame::NeedMore | Frame::Raw => {
                        out.extend_from_slice(&seen[..seen.len().min(limit)]);
                        self.state = State::Pass;
                        return;
                    }
                };
                let seen = core::mem::take(seen);
                let (framed, before) = (skip > 0 || format == DataFormat::Zlib, out.len());
                self.state = State::Inflate(InflateState::new_boxed(format));
                let broken = self.inflate(&seen[skip..], out, limit).is_err();
                if broken && (self.made == 0 || !framed) {
                    // It is not compressed.
                    out.truncate(before);
                    self.state = State::Pass;
                    out.extend_from_slice(&seen[..seen.len().min(limit.saturating_sub(before))]);
                } else if broken {
                    self.state = State::Ended;
                }
            }
            State::Inflate(_) => {
                if self.inflate(data, out, limit).is_err() {
                    self.state = State::Ended;
                }
            }
            State::Pass => out.extend_from_slice(&data[..data.len().min(limit)]),
            State::Ended => {}
        }
    }

    fn inflate(&mut self, mut data: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<(), ()> {
        let State::Inflate(state) = &mut self.state else { return Ok(()) };
        let mut buffer = [0u8; STEP];
        loop {
            let room = limit.saturating_sub(out.len());
            if room == 0 {
                return Ok(());
            }
            let space = &mut buffer[..room.min(STEP)];
            let result = inflate(state, data, space, MZFlush::None);
            out.extend_from_slice(&space[..result.bytes_written]);
            self.made += result.bytes_written;
            data = &data[result.bytes_consumed..];
            match result.status {
                Ok(MZStatus::StreamEnd) => {
                    self.state = State::Ended;
                    return Ok(());
                }
                Ok(_) if data.is_empty() && result.bytes_written < space.len() => return Ok(()),
                Ok(_) if result.bytes_consumed == 0 && result.bytes_written == 0 => return Ok(()),
                Ok(_) => {}
                Err(MZError::Buf) => return Ok(()),
                Err(_) => return Err(()),
            }
        }
    }
}

/// Which frame `data` begins with. What the header named does not matter: clients look at the data too.
fn frame(data: &[u8]) -> Frame {
    match data {
        [] | [0x1f] => Frame::NeedMore,
        [0x1f, 0x8b, ..] => gzip_header(data),
        [first, ..] if first & 15 != 8 || first >> 4 > 7 => Frame::Raw,
        [_] => Frame::NeedMore,
        [first, second, ..] if (u16::from(*first) << 8 | u16::from(*second)) % 31 == 0 && second & 0x20 == 0 => {
            Frame::Zlib
        }
        _ => Frame::Raw,
    }
}

fn gzip_header(data: &[u8]) -> Frame {
    let Some(flags) = data.get(3) else { return Frame::NeedMore };
    let mut at = 10;
    if flags & 4 != 0 {
        let Some(length) = data.get(at..at + 2) else { return Frame::NeedMore };
        at += 2 + usize::from(u16::from_le_bytes([length[0], length[1]]));
    }
    for flag in [8, 16] {
        if flags & flag != 0 {
            match data.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == 0)) {
                Some(end) => at += end + 1,
                None => return Frame::NeedMore,
            }
        }
    }
    if flags & 2 != 0 {
        at += 2;
    }
    if data.len() < at { Frame::NeedMore } else { Frame::Gzip(at) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use miniz_oxide::deflate::{compress_to_vec, compress_to_vec_zlib};

    const TEXT: &[u8] = b"the same text, the same text, the same text";

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut out = vec![0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3];
        out.extend(b"name\0");
        out.extend(compress_to_vec(data, 6));
        out.extend([0; 8]);
        out
    }

    fn decode(value: &str, data: &[u8], step: usize) -> Vec<u8> {
        let (mut decoder, mut out) = (Decoder::new(value.as_bytes()), Vec::new());
        for part in data.chunks(step) {
            decoder.feed(part, false, &mut out, 1 << 16);
        }
        decoder.feed(&[], true, &mut out, 1 << 16);
        out
    }

    #[test]
    fn codings_in_pieces_of_any_size() {
        let raw = compress_to_vec(TEXT, 6);
        let zlib = compress_to_vec_zlib(TEXT, 6);
        for step in [1, 2, 7, 1000] {
            assert_eq!(decode("gzip", &gzip(TEXT), step), TEXT);
            assert_eq!(decode("deflate", &raw, step), TEXT);
            assert_eq!(decode("deflate", &zlib, step), TEXT);
            assert_eq!(decode("gzip, deflate", &compress_to_vec_zlib(&gzip(TEXT), 6), step), TEXT);
            assert_eq!(decode("identity", TEXT, step), TEXT);
        }
        assert_eq!(decode("gzip", TEXT, 1000), TEXT, "declared but not compressed");
    }

    #[test]
    fn text_that_only_claims_to_be_compressed_is_kept() {
        assert_eq!(decode("gzip", b"{\"sdk_version\": 1}", 1000), b"{\"sdk_version\": 1}");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let bomb = compress_to_vec(&vec![0; 1 << 20], 9);
        let (mut decoder, mut out) = (Decoder::new(b"deflate"), Vec::new());
        decoder.feed(&bomb, true, &mut out, 1000);
        assert_eq!(out.len(), 1000);
    }
}
