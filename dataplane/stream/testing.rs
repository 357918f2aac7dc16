//! Segments and fragments for tests, and a bench that takes them.

use secuxflow_abi::{Chunk, WINDOW, chunk};

use super::{Collected, Events, Fragments, Refusal, Segment, Step, StreamConfig, StreamCounts, Streams};
use crate::{
    bpf::Metadata,
    flow::{FlowKey, HashKey},
    inspect::SharedMemory,
    wire::{self, Frame, Headers, checksum},
};

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const ACK: u8 = 16;
pub(crate) const URG: u8 = 32;
pub(crate) const SECOND: u64 = 1_000_000_000;
/// Guest address of the bench's memory; frames lie before it.
const ARENA: u32 = WINDOW + (1 << 20);

pub(crate) type End = ([u8; 4], u16);
pub(crate) const CLIENT: End = ([192, 168, 0, 1], 40_000);
pub(crate) const SERVER: End = ([10, 0, 0, 1], 80);

/// A TCP segment over IPv4.
#[derive(Debug, Clone)]
pub(crate) struct Seg {
    pub(crate) from: End,
    pub(crate) to: End,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    pub(crate) urgent: u16,
    /// A multiple of four bytes.
    pub(crate) options: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Seg {
    pub(crate) fn new(from: End, to: End, flags: u8, seq: u32, ack: u32, payload: &[u8]) -> Self {
        let (options, payload) = (Vec::new(), payload.to_vec());
        Self { from, to, seq, ack, flags, window: 65_535, urgent: 0, options, payload }
    }

    /// From the client.
    pub(crate) fn there(flags: u8, seq: u32, ack: u32, payload: &[u8]) -> Self {
        Self::new(CLIENT, SERVER, flags, seq, ack, payload)
    }

    /// From the server.
    pub(crate) fn back(flags: u8, seq: u32, ack: u32, payload: &[u8]) -> Self {
        Self::new(SERVER, CLIENT, flags, seq, ack, payload)
    }

    pub(crate) fn timestamp(mut self, value: u32) -> Self {
        self.options.extend([1, 1, 8, 10]);
        self.options.extend(value.to_be_bytes());
        self.options.extend([0; 4]);
        self
    }

    pub(crate) fn scaled(mut self, scale: u8) -> Self {
        self.options.extend([3, 3, scale, 1]);
        self
    }

    pub(crate) fn windowed(self, window: u16) -> Self {
        Self { window, ..self }
    }

    fn tcp(&self) -> Vec<u8> {
        let mut tcp = [self.from.1.to_be_bytes(), self.to.1.to_be_bytes()].concat();
        tcp.extend(self.seq.to_be_bytes());
        tcp.extend(self.ack.to_be_bytes());
        tcp.extend([u8::try_from(5 + self.options.len() / 4).unwrap() << 4, self.flags]);
        tcp.extend(self.window.to_be_bytes());
        tcp.extend([0, 0]);
        tcp.extend(self.urgent.to_be_bytes());
        tcp.extend(&self.options);
        tcp.extend(&self.payload);
        tcp
    }

    /// The frame, its checksums right.
    pub(crate) fn frame(&self) -> Vec<u8> {
        let mut tcp = self.tcp();
        let length = u16::try_from(tcp.len()).unwrap();
        let pseudo = checksum::pseudo_header(self.from.0.into(), self.to.0.into(), 6, length);
        let sum = !checksum::fold(checksum::sum(&tcp, pseudo.into()));
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        ipv4(self.from.0, self.to.0, 6, 7, 0, &tcp)
    }
}

/// A frame with an IPv4 packet; `field` is the one with flags and fragment offset.
pub(crate) fn ipv4(src: [u8; 4], dst: [u8; 4], protocol: u8, id: u16, field: u16, body: &[u8]) -> Vec<u8> {
    let mut ip = vec![0x45, 0];
    ip.extend(u16::try_from(20 + body.len()).unwrap().to_be_bytes());
    ip.extend(id.to_be_bytes());
    ip.extend(field.to_be_bytes());
    ip.extend([64, protocol, 0, 0]);
    ip.extend(src);
    ip.extend(dst);
    let sum = checksum::internet(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0][..], &ip, body].concat()
}

/// A frame with an IPv6 packet from fd00::1 to fd00::2 behind a destination options header.
pub(crate) fn ipv6(next: u8, body: &[u8]) -> Vec<u8> {
    let mut ip = vec![0x60, 0, 0, 0];
    ip.extend(u16::try_from(8 + body.len()).unwrap().to_be_bytes());
    ip.extend([60, 64]);
    for last in [1, 2] {
        ip.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    ip.extend([next, 0, 1, 4, 0, 0, 0, 0]);
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd][..], &ip, body].concat()
}

/// A fragment of `frame`: its data from `offset` on, `len` bytes of it.
pub(crate) fn fragment(frame: &[u8], id: u16, offset: usize, len: usize) -> Vec<u8> {
    let start = if frame[12] == 8 { 34 } else { 14 + 40 + 8 };
    let data = &frame[start..][offset..][..len];
    let more = start + offset + len < frame.len();
    if frame[12] == 8 {
        let field = u16::try_from(offset / 8).unwrap() | if more { 0x2000 } else { 0 };
        let address = |at: usize| [frame[at], frame[at + 1], frame[at + 2], frame[at + 3]];
        ipv4(address(26), address(30), frame[23], id, field, data)
    } else {
        let field = u16::try_from(offset).unwrap() | u16::from(more);
        let header = [&[frame[54], 0][..], &field.to_be_bytes(), &[0, 0], &id.to_be_bytes()].concat();
        ipv6(44, &[&header, data].concat())
    }
}

/// What was shown of one direction.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reader {
    pub(crate) bytes: Vec<u8>,
    pub(crate) begun: bool,
    pub(crate) ended: bool,
    pub(crate) gaps: usize,
    pub(crate) midstream: bool,
    pub(crate) chunks: usize,
}

/// One worker's streams.
pub(crate) struct Bench {
    pub(crate) streams: Streams,
    pub(crate) fragments: Fragments,
    pub(crate) events: Events,
    /// To the server, and to the client.
    pub(crate) read: [Reader; 2],
    pub(crate) aborted: usize,
    pub(crate) now: u64,
    pub(crate) chain: u16,
    pub(crate) generation: u32,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(&StreamConfig::default())
    }

    pub(crate) fn with(config: &StreamConfig) -> Self {
        let memory = SharedMemory::new(config.memory).unwrap();
        let streams = Streams::new(config, memory, ARENA, HashKey::fixed(3, 4));
        Self {
            fragments: Fragments::new(&streams),
            streams,
            events: Events::new(),
            read: [Reader::default(), Reader::default()],
            aborted: 0,
            now: SECOND,
            chain: 0,
            generation: 1,
        }
    }

    pub(crate) fn counts(&self) -> StreamCounts {
        self.streams.counts()
    }

    /// The connection is open: client's first byte is 1001, server's 5001.
    pub(crate) fn open() -> Self {
        let mut bench = Self::new();
        bench.handshake();
        bench
    }

    pub(crate) fn handshake(&mut self) {
        assert_eq!(self.take(&Seg::there(SYN, 1000, 0, &[]).scaled(7)).refused, None);
        assert_eq!(self.take(&Seg::back(SYN | ACK, 5000, 1001, &[]).scaled(7)).refused, None);
        assert_eq!(self.take(&Seg::there(ACK, 1001, 5001, &[])).refused, None);
    }

    /// Data of the client, as a whole or not at all.
    pub(crate) fn send(&mut self, seq: u32, payload: &[u8]) -> Option<Refusal> {
        self.take(&Seg::there(ACK, seq, 5001, payload)).refused
    }

    pub(crate) fn take(&mut self, segment: &Seg) -> Step {
        self.frame(&segment.frame())
    }

    pub(crate) fn frame(&mut self, frame: &[u8]) -> Step {
        let Frame::Ip(headers) = wire::parse(frame) else { panic!("no packet") };
        self.segment(frame, &headers, WINDOW)
    }

    fn segment(&mut self, frame: &[u8], headers: &Headers, address: u32) -> Step {
        let (key, way) = FlowKey::of(headers);
        let segment = Segment {
            id: key.id(HashKey::fixed(1, 2)),
            key: &key,
            way,
            headers,
            frame,
            address,
            packet: 0,
            chain: self.chain,
            generation: self.generation,
            partial: false,
        };
        let step = self.streams.segment(self.now, &segment, &mut self.events);
        self.read_events(frame, address);
        step
    }

    /// Take a frame with a fragment; a datagram that gets whole is taken as a segment.
    pub(crate) fn fragment(&mut self, frame: &[u8]) -> Collected {
        let (Frame::Ip(headers) | Frame::Undecidable(_, Some(headers))) = wire::parse(frame) else {
            panic!("no packet")
        };
        let said = Metadata::of(self.chain, 5);
        let collected = self.fragments.collect(self.now, frame, &headers, said, &mut self.streams);
        if let Collected::Whole(datagram) = collected {
            let frame = self.fragments.frame().to_vec();
            let at = usize::try_from(datagram.address - ARENA).unwrap();
            assert_eq!(self.streams.store.memory().read(at, frame.len()).unwrap(), frame, "guests see the same");
            if datagram.headers.protocol == 6 {
                self.segment(&frame, &datagram.headers, datagram.address);
            }
        }
        collected
    }

    fn read_events(&mut self, frame: &[u8], address: u32) {
        for event in self.events.all() {
            let Chunk { data, len, offset, flags, .. } = event.chunk;
            let reader = &mut self.read[usize::from(flags & chunk::TO_CLIENT != 0)];
            if flags & chunk::ABORT != 0 {
                self.aborted += 1;
                self.read = Default::default();
                continue;
            }
            assert!(data >= WINDOW, "in the window, also of a mere event");
            let (data, len) = (data.wrapping_sub(address) as usize, len as usize);
            let bytes = match frame.get(data..data + len) {
                Some(bytes) => bytes,
                None if len == 0 => &[],
                None => {
                    let at = (event.chunk.data - ARENA) as usize;
                    self.streams.store.memory().read(at, len).expect("inside the memory")
                }
            };
            assert_eq!(flags & chunk::START != 0, !reader.begun, "the first piece says so");
            assert!(!reader.ended, "nothing follows the end");
            if flags & chunk::GAP != 0 {
                reader.gaps += 1;
                let offset = usize::try_from(offset).unwrap();
                assert!(offset >= reader.bytes.len());
                reader.bytes.resize(offset, b'?');
            }
            assert_eq!(offset, reader.bytes.len() as u64, "pieces follow each other");
            reader.bytes.extend(bytes);
            reader.begun = true;
            reader.chunks += 1;
            reader.midstream |= flags & chunk::MIDSTREAM != 0;
            reader.ended |= flags & chunk::END != 0;
        }
        self.events.clear();
    }
}
