//! Compressed bodies, undone as they come: gzip, zlib, and deflate without a frame, which some clients send.

use alloc::{boxed::Box, vec, vec::Vec};

use miniz_oxide::{
    DataFormat, MZFlush, MZStatus,
    inflate::stream::{InflateState, inflate},
};

/// Bytes that come out in one step.
const STEP: usize = 8_192;
/// Longest frame before the data of gzip.
const FRAME: usize = 1_024;

/// A compressed stream.
pub(crate) struct Inflate {
    /// The start of the stream, until its format is known.
    start: Vec<u8>,
    gzip: bool,
    state: Option<Box<InflateState>>,
    done: bool,
}

impl core::fmt::Debug for Inflate {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.debug_struct("Inflate").field("gzip", &self.gzip).field("done", &self.done).finish_non_exhaustive()
    }
}

impl Inflate {
    /// A stream with the frame of gzip, or one of `deflate`.
    pub(crate) fn new(gzip: bool) -> Self {
        Self { start: Vec::new(), gzip, state: None, done: false }
    }

    /// Undo `bytes`; `out` gets what they hold, and says whether it wants more. False when they are not of the format.
    pub(crate) fn push(&mut self, bytes: &[u8], mut out: impl FnMut(&[u8]) -> bool) -> bool {
        if self.done {
            return true;
        }
        if self.state.is_some() {
            return self.run(bytes, &mut out);
        }
        for (at, byte) in bytes.iter().enumerate() {
            self.start.push(*byte);
            let (format, used) = if self.gzip {
                match gzip_frame(&self.start) {
                    Frame::Ends(length) => (DataFormat::Raw, length),
                    Frame::Open if self.start.len() < FRAME => continue,
                    Frame::Open | Frame::Broken => return false,
                }
            } else if self.start.len() < 2 {
                continue;
            } else {
                let header = u16::from(self.start[0]) << 8 | u16::from(self.start[1]);
                let zlib = self.start[0] & 0xf == 8 && header.is_multiple_of(31);
                (if zlib { DataFormat::Zlib } else { DataFormat::Raw }, 0)
            };
            self.state = Some(InflateState::new_boxed(format));
            let start = core::mem::take(&mut self.start);
            return self.run(&start[used..], &mut out) && self.push(&bytes[at + 1..], out);
        }
        true
    }

    fn run(&mut self, mut bytes: &[u8], out: &mut impl FnMut(&[u8]) -> bool) -> bool {
        let Some(state) = &mut self.state else { return false };
        let mut buffer = vec![0; STEP];
        loop {
            let result = inflate(state, bytes, &mut buffer, MZFlush::None);
            bytes = &bytes[result.bytes_consumed..];
            if result.bytes_written > 0 && !out(&buffer[..result.bytes_written]) {
                self.done = true;
                return true;
            }
            match result.status {
                Ok(MZStatus::StreamEnd) => {
                    // What follows, a checksum at most, is nobody's data.
                    self.done = true;
                    return true;
                }
                Ok(_) if result.bytes_written == 0 => return true,
                Ok(_) => {}
                Err(miniz_oxide::MZError::Buf) => return true,
                Err(_) => return false,
            }
        }
    }
}

enum Frame {
    Ends(usize),
    Open,
    Broken,
}

/// Where the frame before the data of gzip ends, RFC 1952.
fn gzip_frame(text: &[u8]) -> Frame {
    if !b"\x1f\x8b\x08".starts_with(&text[..text.len().min(3)]) {
        return Frame::Broken;
    }
    let Some(flags) = text.get(3) else { return Frame::Open };
    let mut at = 10;
    if flags & 4 != 0 {
        let Some(length) = text.get(at..at + 2) else { return Frame::Open };
        at += 2 + usize::from(length[0]) + (usize::from(length[1]) << 8);
    }
    for flag in [8, 16] {
        if flags & flag != 0 {
            let Some(end) = text.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == 0)) else {
                return Frame::Open;
            };
            at += end + 1;
        }
    }
    if flags & 2 != 0 {
        at += 2;
    }
    if text.len() < at { Frame::Open } else { Frame::Ends(at) }
}
