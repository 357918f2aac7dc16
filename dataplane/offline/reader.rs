//! pcap and pcapng, packet by packet, in constant memory.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Cursor, Read},
    sync::{Arc, Mutex, PoisonError},
};

use pcap_parser::{LegacyPcapReader, PcapError, PcapNGReader, traits::PcapReaderIterator};

use super::{
    LinkType,
    section::{Section, Step},
};

/// Longest packet of a capture in bytes: the longest that libpcap writes and reads.
pub const MAX_CAPTURED: usize = 262_144;
/// Bytes that are read at once.
const BUFFER: usize = 1 << 17;
/// Longest block of a file; packets with their options are far below it.
const MAX_BLOCK: usize = 16 << 20;
/// Length of a pcap file's header.
const PCAP_HEADER: usize = 24;
/// First bytes of a pcapng file, in either byte order.
const SECTION_HEADER: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// Why a capture, or the rest of it, cannot be read. What was read before stays good.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The system's word.
    #[error("cannot be read: {0}")]
    Read(io::Error),
    /// It does not begin as a capture does.
    #[error("is not a pcap or pcapng capture: {0}")]
    NotACapture(String),
    /// All of it is of a link type that is not known.
    #[error(
        "is of link type {0}, which is not supported: Ethernet, raw IP, Linux cooked (v1, v2), NULL, LOOP, PPP and C_HDLC are"
    )]
    LinkType(LinkType),
    /// It ends in the midst of something.
    #[error("is cut short: it ends within a record, at byte {offset}, behind packet {packets}")]
    CutShort {
        /// Packets before.
        packets: u64,
        /// Where the record begins.
        offset: u64,
    },
    /// A record that cannot be.
    #[error("is damaged at byte {offset}, behind packet {packets}: {why}")]
    Damaged {
        /// Packets before.
        packets: u64,
        /// Where the record begins.
        offset: u64,
        /// What is wrong with it.
        why: String,
    },
}

/// File format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaptureFormat {
    /// pcap, draft-ietf-opsawg-pcap.
    Pcap,
    /// pcapng, draft-ietf-opsawg-pcapng.
    PcapNg,
}

impl CaptureFormat {
    /// As people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcap => "pcap",
            Self::PcapNg => "pcapng",
        }
    }
}

/// A packet of a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Captured<'a> {
    /// Its number in the capture, counted from 1.
    pub number: u64,
    /// When it was captured: nanoseconds since the Unix epoch. A packet without a time has that of the one before it.
    pub time_ns: u64,
    /// What `data` begins with.
    pub link: LinkType,
    /// The bytes that were kept.
    pub data: &'a [u8],
    /// Its length on the link; more than was kept where the capture has a snap length.
    pub original_len: u32,
}

/// Packets that were passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Of interfaces whose link type is not supported, by that type.
    pub links: BTreeMap<LinkType, u64>,
    /// In obsolete packet blocks.
    pub obsolete: u64,
}

/// Reads a capture. After an error, or the end, there is nothing more.
pub struct CaptureReader<'r> {
    blocks: Box<dyn PcapReaderIterator + Send + 'r>,
    trouble: Trouble,
    format: CaptureFormat,
    section: Section,
    /// Size of the parser's buffer.
    buffer: usize,
    packets: u64,
    links: BTreeMap<LinkType, u64>,
    done: bool,
}

impl fmt::Debug for CaptureReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaptureReader")
            .field("format", &self.format)
            .field("packets", &self.packets)
            .finish_non_exhaustive()
    }
}

/// What keeps a block from being read.
enum Lack {
    /// The file has ended between two blocks.
    End,
    /// More bytes.
    Bytes,
    /// A larger buffer.
    Room,
    /// More bytes, and the file has ended.
    Rest,
    /// The source failed.
    Source,
    /// Sense.
    Sense,
}

impl Lack {
    fn of(error: &PcapError<&[u8]>) -> Self {
        match error {
            PcapError::Eof => Self::End,
            PcapError::Incomplete(_) => Self::Bytes,
            PcapError::BufferTooSmall => Self::Room,
            PcapError::UnexpectedEof => Self::Rest,
            PcapError::ReadError => Self::Source,
            _ => Self::Sense,
        }
    }
}

impl<'r> CaptureReader<'r> {
    /// Read the beginning of a capture. `source` needs no buffer.
    ///
    /// # Errors
    /// It cannot be read, is no capture, or is of a link type that is not supported.
    pub fn new(mut source: impl Read + Send + 'r) -> Result<Self, CaptureError> {
        let head = beginning(&mut source)?;
        let trouble = Trouble::default();
        let format = if head.starts_with(&SECTION_HEADER) { CaptureFormat::PcapNg } else { CaptureFormat::Pcap };
        let tapped = Tapped { source: Cursor::new(head).chain(source), trouble: trouble.clone() };
        let blocks: Box<dyn PcapReaderIterator + Send + 'r> = match format {
            CaptureFormat::PcapNg => Box::new(PcapNGReader::new(BUFFER, tapped).map_err(|e| beginning_of(&e))?),
            CaptureFormat::Pcap => Box::new(LegacyPcapReader::new(BUFFER, tapped).map_err(|e| beginning_of(&e))?),
        };
        let mut this = Self {
            blocks,
            trouble,
            format,
            section: Section::default(),
            buffer: BUFFER,
            packets: 0,
            links: BTreeMap::new(),
            done: false,
        };
        // The header of the file or of its first section.
        this.step()?;
        match this.section.interfaces.first() {
            Some(interface) if !interface.link.is_supported() => Err(CaptureError::LinkType(interface.link)),
            _ => Ok(this),
        }
    }

    /// Its format.
    #[must_use]
    pub fn format(&self) -> CaptureFormat {
        self.format
    }

    /// Packets read so far, those passed over among them.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Bytes of the file that were read so far.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.blocks.consumed() as u64
    }

    /// Packets passed over so far.
    #[must_use]
    pub fn skipped(&self) -> Skipped {
        Skipped { links: self.links.clone(), obsolete: self.section.obsolete }
    }

    /// The next packet; none at the end.
    ///
    /// # Errors
    /// The rest cannot be read.
    pub fn next_packet(&mut self) -> Result<Option<Captured<'_>>, CaptureError> {
        while !self.done {
            match self.step() {
                Ok(None) => self.done = true,
                Ok(Some(Step::Other)) => {}
                Ok(Some(Step::Packet { link, original_len })) => {
                    self.packets += 1;
                    if link.is_supported() {
                        let Section { time_ns, data, .. } = &self.section;
                        let number = self.packets;
                        return Ok(Some(Captured { number, time_ns: *time_ns, link, data, original_len }));
                    }
                    *self.links.entry(link).or_default() += 1;
                }
                Err(error) => {
                    self.done = true;
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    /// Take one block; none at the end.
    fn step(&mut self) -> Result<Option<Step>, CaptureError> {
        loop {
            let taken = match self.blocks.next() {
                Ok((length, block)) => Ok((length, self.section.take(block))),
                Err(error) => Err(Lack::of(&error)),
            };
            let lack = match taken {
                Ok((length, step)) => {
                    let step = step.map_err(|why| self.damaged(&why))?;
                    self.blocks.consume(length);
                    return Ok(Some(step));
                }
                Err(lack) => lack,
            };
            match lack {
                Lack::End => return Ok(None),
                Lack::Rest if self.blocks.data().is_empty() => return Ok(None),
                Lack::Source => return Err(CaptureError::Read(self.trouble.take())),
                Lack::Sense => return Err(self.damaged("a record that is not understood")),
                _ if self.is_whole() => return Err(self.damaged("a length inside a block points out of it")),
                Lack::Rest => {
                    return Err(CaptureError::CutShort { packets: self.packets, offset: self.position() });
                }
                Lack::Room if self.buffer >= MAX_BLOCK => {
                    return Err(self.damaged(&format!("a record of more than {} MiB", MAX_BLOCK >> 20)));
                }
                Lack::Room => {
                    self.buffer *= 2;
                    self.blocks.grow(self.buffer);
                }
                Lack::Bytes => {}
            }
            if self.blocks.refill().is_err() {
                return Err(CaptureError::Read(self.trouble.take()));
            }
        }
    }

    /// Whether the block at hand is there to its end: then more bytes do not help who asks for them.
    fn is_whole(&self) -> bool {
        let data = self.blocks.data();
        let Some(length) = data.get(4..).and_then(|rest| rest.first_chunk::<4>()) else { return false };
        // A section header has the byte order of its own section.
        if self.format == CaptureFormat::Pcap || data.starts_with(&SECTION_HEADER) {
            return false;
        }
        let length = if self.section.big_endian { u32::from_be_bytes(*length) } else { u32::from_le_bytes(*length) };
        usize::try_from(length).is_ok_and(|length| length >= 12 && data.len() >= length)
    }

    fn damaged(&self, why: &str) -> CaptureError {
        CaptureError::Damaged { packets: self.packets, offset: self.position(), why: why.to_owned() }
    }
}

/// As much of the file as tells its format and holds the first header.
fn beginning(source: &mut impl Read) -> Result<Vec<u8>, CaptureError> {
    let mut head = Vec::with_capacity(PCAP_HEADER);
    let mut more = |head: &mut Vec<u8>, wanted: usize| {
        let wanted = u64::try_from(wanted.saturating_sub(head.len())).unwrap_or(u64::MAX);
        source.by_ref().take(wanted).read_to_end(head).map_err(CaptureError::Read)
    };
    more(&mut head, PCAP_HEADER)?;
    if head.len() < PCAP_HEADER {
        let what = if head.is_empty() { "it is empty".to_owned() } else { format!("{} bytes are too few", head.len()) };
        return Err(CaptureError::NotACapture(what));
    }
    if head.starts_with(&[0x1f, 0x8b]) || head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return Err(CaptureError::NotACapture("it is compressed; unpack it first, into a pipe if need be".to_owned()));
    }
    if head.starts_with(&SECTION_HEADER) {
        let length = [head[4], head[5], head[6], head[7]];
        let big_endian = head[8..12] == [0x1a, 0x2b, 0x3c, 0x4d];
        let length = if big_endian { u32::from_be_bytes(length) } else { u32::from_le_bytes(length) };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > BUFFER / 2 {
            return Err(CaptureError::NotACapture(format!("its section header claims {length} bytes")));
        }
        more(&mut head, length)?;
    }
    Ok(head)
}

/// Why the first header cannot be read.
fn beginning_of(error: &PcapError<&'static [u8]>) -> CaptureError {
    let why = match error {
        PcapError::Incomplete(_) => "its header is cut short",
        PcapError::HeaderNotRecognized => "its first bytes are of neither",
        _ => "its header is not understood",
    };
    CaptureError::NotACapture(why.to_owned())
}

/// The last error of a source; the parser keeps none.
#[derive(Clone, Default)]
struct Trouble(Arc<Mutex<Option<io::Error>>>);

impl Trouble {
    fn take(&self) -> io::Error {
        let error = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        error.unwrap_or_else(|| io::Error::other("unknown error"))
    }
}

/// A source whose errors are kept.
struct Tapped<R> {
    source: R,
    trouble: Trouble,
}

impl<R: Read> Read for Tapped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.source.read(buffer) {
                Ok(n) => return Ok(n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let told = io::Error::from(error.kind());
                    *self.trouble.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    return Err(told);
                }
            }
        }
    }
}
