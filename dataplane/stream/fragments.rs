//! IP fragments: each is forwarded as it comes, and kept; with the last one that is missing the datagram is put together
//! in the area, for modules to see. Fragments that overlap spoil their datagram, RFC 5722, of IPv4 likewise.

use std::{collections::HashMap, net::IpAddr};

use arrayvec::ArrayVec;

use super::{Pressure, Refusal, Streams, follow::AREA, order::Order};
use crate::{
    bpf::Metadata,
    chained::NONE,
    flow::FastHash,
    wire::{Fragment, Frame, Headers, checksum, is_extension, parse},
};

/// Longest headers in front of the data: Ethernet, two tags, and IP with options or extension headers.
const MAX_HEADERS: usize = 256;
/// Longest data of a datagram.
const MAX_DATA: usize = 65_535;
/// One in so many blocks of memory may hold fragments.
const PART: usize = 4;
/// Datagrams begin at multiples of this in the area.
const ALIGN: usize = 64;
const IPPROTO_FRAGMENT: u8 = 44;
/// Length of an IPv6 header.
const IPV6_HLEN: usize = 40;
/// Extension headers that are walked.
const MAX_WALK: usize = crate::wire::MAX_EXT_HEADERS;

/// A datagram's identity, RFC 791 and RFC 8200.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    src: IpAddr,
    dst: IpAddr,
    id: u32,
    /// 0 for IPv6.
    protocol: u8,
}

/// A fragment, as it lies in its frame.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    key: Key,
    /// Of its data in that of the datagram, in bytes.
    offset: usize,
    more: bool,
    data: std::ops::Range<usize>,
    /// Bytes of headers that stand in front of every fragment.
    headers: usize,
    /// IPv6: where the number of the fragment header stands, and what comes behind that.
    next: Option<(usize, u8)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Fragments are missing.
    Waiting,
    /// It was put together; what becomes of it is not known yet.
    Shown,
    /// It is spoilt, or was dropped: nothing more of it may pass.
    Refused(Refusal),
}

#[derive(Debug, Clone)]
struct Context {
    key: Key,
    state: State,
    since_ns: u64,
    /// Length of the data, once the last fragment was seen.
    total: Option<usize>,
    /// End of the data that was seen.
    end: usize,
    received: usize,
    /// Headers of the first fragment.
    headers: ArrayVec<u8, MAX_HEADERS>,
    /// Offset of the IP header.
    l3: usize,
    next: Option<(usize, u8)>,
    /// What was said of the first fragment, which shows ports; of no account once the rules have changed.
    said: Option<Metadata>,
}

/// A datagram that was put together.
#[derive(Debug, Clone, Copy)]
pub struct Datagram {
    /// Where its headers are.
    pub headers: Headers,
    /// Guest address of its frame.
    pub address: u32,
    /// Length of the frame in bytes.
    pub len: u32,
    /// What was said of its first fragment.
    pub said: Metadata,
    /// For [`Fragments::settle`].
    pub number: u32,
}

/// What is to be done with a fragment.
#[derive(Debug, Clone, Copy)]
pub enum Collected {
    /// Forward it; it was kept, or is not.
    Forward,
    /// With it the datagram is whole, and what modules say of that decides on it.
    Whole(Datagram),
    /// Drop it; an alert is to tell of it when the second is true.
    Refused(Refusal, bool),
}

/// See the module. The bytes are in the store of the worker's streams. All memory is allocated when it is made.
#[derive(Debug)]
pub struct Fragments {
    contexts: Vec<Context>,
    places: HashMap<Key, u32, FastHash>,
    free: Vec<u32>,
    order: Order<1>,
    capacity: usize,
    timeout_ns: u64,
    /// First owner number in the store.
    first_owner: u32,
    /// Blocks of the store that hold fragments, and how many may.
    held: usize,
    limit: usize,
    /// Bytes of the area that this batch has used.
    area: usize,
    /// The latest datagram.
    scratch: Vec<u8>,
}

impl Fragments {
    /// Fragments whose bytes are kept with those of `streams`.
    #[must_use]
    pub fn new(streams: &Streams) -> Self {
        let config = &streams.config;
        let capacity = config.datagrams as usize;
        Self {
            contexts: Vec::with_capacity(capacity),
            // Twice the room: then what was removed never makes it grow.
            places: HashMap::with_capacity_and_hasher(2 * capacity, FastHash::default()),
            free: Vec::with_capacity(capacity),
            order: Order::new(capacity),
            capacity,
            timeout_ns: u64::try_from(config.datagram.as_nanos()).unwrap_or(u64::MAX),
            first_owner: 2 * config.streams,
            held: 0,
            limit: config.memory.saturating_sub(AREA) / super::store::BLOCK / PART,
            area: 0,
            scratch: Vec::with_capacity(MAX_HEADERS + MAX_DATA),
        }
    }

    /// A new batch begins: datagrams of the one before are not looked at any more.
    pub fn begin(&mut self) {
        self.area = 0;
    }

    /// The frame of the latest datagram.
    #[must_use]
    pub fn frame(&self) -> &[u8] {
        &self.scratch
    }

    /// Take a fragment at `now` (nanoseconds, never less than before), of which `said` was said.
    pub fn collect(
        &mut self,
        now: u64,
        frame: &[u8],
        headers: &Headers,
        said: Metadata,
        streams: &mut Streams,
    ) -> Collected {
        self.expire(now, streams);
        let Some(piece) = piece(frame, headers) else { return refuse(streams, Refusal::BadFragment, true) };
        let at = match self.places.get(&piece.key) {
            Some(&at) => at,
            None => match self.enter(now, &piece, headers) {
                Some(at) => at,
                None => return under_pressure(streams),
            },
        };
        match self.contexts[at as usize].state {
            State::Waiting => {}
            State::Shown => return refuse(streams, Refusal::Behind, false),
            State::Refused(why) => return refuse(streams, why, false),
        }
        let collected = self.add(at, &piece, frame, headers, said, streams);
        streams.counts.datagrams = self.order.len(0) as u64;
        collected
    }

    /// What became of a datagram that was put together. One that was dropped stays refused until its time is over: its last
    /// fragment may come again.
    pub fn settle(&mut self, number: u32, dropped: bool, streams: &mut Streams) {
        match self.contexts.get_mut(number as usize) {
            Some(context) if context.state == State::Shown => {
                if dropped {
                    context.state = State::Refused(Refusal::Condemned);
                } else {
                    self.remove(number, streams);
                }
            }
            _ => {}
        }
        streams.counts.datagrams = self.order.len(0) as u64;
    }

    fn enter(&mut self, now: u64, piece: &Piece, headers: &Headers) -> Option<u32> {
        if self.order.len(0) == self.capacity {
            return None;
        }
        let context = Context {
            key: piece.key,
            state: State::Waiting,
            since_ns: now,
            total: None,
            end: 0,
            received: 0,
            headers: ArrayVec::new(),
            l3: usize::from(headers.l3),
            next: None,
            said: None,
        };
        let at = match self.free.pop() {
            Some(at) => {
                self.contexts[at as usize] = context;
                at
            }
            None => {
                self.contexts.push(context);
                u32::try_from(self.contexts.len() - 1).unwrap_or(NONE)
            }
        };
        self.places.insert(piece.key, at);
        self.order.push(0, at);
        Some(at)
    }

    /// Add a piece to a datagram that waits for it.
    fn add(
        &mut self,
        at: u32,
        piece: &Piece,
        frame: &[u8],
        headers: &Headers,
        said: Metadata,
        streams: &mut Streams,
    ) -> Collected {
        let owner = self.first_owner + at;
        let context = &mut self.contexts[at as usize];
        let data = &frame[piece.data.clone()];
        let end = piece.offset + data.len();
        let overlap = streams.store.compare(owner, piece.offset as u64, data);
        let last = !piece.more;
        if overlap.present == data.len() && !overlap.conflict && (!last || context.total == Some(end)) {
            // The very same again: the receiver has it, or gets it now.
            return Collected::Forward;
        }
        let beyond = context.total.is_some_and(|total| end > total || last && end != total);
        if overlap.present > 0 || beyond || last && end < context.end {
            self.spoil(at, streams);
            return refuse(streams, Refusal::FragmentOverlap, true);
        }
        let whole =
            if last { Some(end) } else { context.total }.is_some_and(|total| context.received + data.len() == total);
        if whole && self.area + MAX_HEADERS + context.end.max(end) + ALIGN > AREA {
            return under_pressure(streams);
        }
        if piece.offset == 0 {
            context.headers.clear();
            if context.headers.try_extend_from_slice(&frame[..piece.headers]).is_err() {
                return refuse(streams, Refusal::BadFragment, true);
            }
            (context.l3, context.next, context.said) = (usize::from(headers.l3), piece.next, Some(said));
        }
        let before = streams.store.blocks_of(owner);
        let room = self.held < self.limit;
        let kept = room && streams.store.put(owner, piece.offset as u64, data, true).is_ok();
        self.held += streams.store.blocks_of(owner) - before;
        if !kept {
            return under_pressure(streams);
        }
        context.received += data.len();
        context.end = context.end.max(end);
        if last {
            context.total = Some(end);
        }
        if whole { self.put_together(at, said, streams) } else { Collected::Forward }
    }

    /// Put a datagram together in the area.
    fn put_together(&mut self, at: u32, said: Metadata, streams: &mut Streams) -> Collected {
        let owner = self.first_owner + at;
        let context = &mut self.contexts[at as usize];
        let total = context.total.unwrap_or(0);
        self.scratch.clear();
        self.scratch.extend_from_slice(&context.headers);
        let mut pos = 0;
        while pos < total {
            let run = streams.store.run(owner, pos as u64);
            let Some(bytes) = run.and_then(|(at, len)| streams.store.memory().read(at, len)) else { break };
            self.scratch.extend_from_slice(bytes);
            pos += bytes.len();
        }
        let said = context.said.filter(|first| first.generation == said.generation).unwrap_or(said);
        mend(&mut self.scratch, context.l3, context.next, total);
        let headers = match parse(&self.scratch) {
            Frame::Ip(headers) | Frame::Undecidable(_, Some(headers)) if headers.fragment == Fragment::None => headers,
            // Fragments of fragments, or what must not be fragmented.
            _ => {
                self.spoil(at, streams);
                return refuse(streams, Refusal::BadFragment, true);
            }
        };
        context.state = State::Shown;
        let start = self.area;
        self.area = (start + self.scratch.len()).next_multiple_of(ALIGN);
        // There is room: `add` has looked.
        let _ = streams.store.memory_mut().write(start, &self.scratch);
        self.let_go(at, streams);
        streams.counts.reassembled += 1;
        Collected::Whole(Datagram {
            headers,
            address: streams.address + u32::try_from(start).unwrap_or(0),
            len: u32::try_from(self.scratch.len()).unwrap_or(0),
            said,
            number: at,
        })
    }

    /// Nothing of a datagram passes from now on.
    fn spoil(&mut self, at: u32, streams: &mut Streams) {
        self.contexts[at as usize].state = State::Refused(Refusal::FragmentOverlap);
        self.let_go(at, streams);
    }

    /// Free what is kept of a datagram.
    fn let_go(&mut self, at: u32, streams: &mut Streams) {
        let owner = self.first_owner + at;
        self.held -= streams.store.blocks_of(owner);
        streams.store.free_all(owner);
    }

    fn remove(&mut self, at: u32, streams: &mut Streams) {
        self.let_go(at, streams);
        self.places.remove(&self.contexts[at as usize].key);
        self.order.take(0, at);
        self.free.push(at);
    }

    /// Forget two datagrams whose time is over, if there are as many.
    fn expire(&mut self, now: u64, streams: &mut Streams) {
        for _ in 0..2 {
            let at = self.order.oldest(0);
            if at == NONE || now.saturating_sub(self.contexts[at as usize].since_ns) < self.timeout_ns {
                return;
            }
            streams.counts.unfinished += u64::from(self.contexts[at as usize].state == State::Waiting);
            self.remove(at, streams);
        }
    }
}

fn refuse(streams: &mut Streams, why: Refusal, alert: bool) -> Collected {
    streams.counts.refused[why.index()] += 1;
    Collected::Refused(why, alert)
}

/// There is no room for a fragment.
fn under_pressure(streams: &mut Streams) -> Collected {
    match streams.config.pressure {
        Pressure::Drop => refuse(streams, Refusal::Pressure, false),
        Pressure::Skip => {
            streams.counts.fragments_skipped += 1;
            Collected::Forward
        }
    }
}

/// The fragment in a frame; none where it can be part of no datagram.
fn piece(frame: &[u8], headers: &Headers) -> Option<Piece> {
    let l3 = usize::from(headers.l3);
    let ip = frame.get(l3..)?;
    let end = usize::from(headers.payload) + usize::from(headers.payload_len);
    let key = |id, protocol| Key { src: headers.src, dst: headers.dst, id, protocol };
    let piece = if headers.src.is_ipv4() {
        let header = ip.first_chunk::<20>()?;
        let field = u16::from_be_bytes([header[6], header[7]]);
        let start = l3 + usize::from(header[0] & 0xf) * 4;
        Piece {
            key: key(u16::from_be_bytes([header[4], header[5]]).into(), header[9]),
            offset: usize::from(field & 0x1fff) * 8,
            more: field & 0x2000 != 0,
            data: start..end,
            headers: start,
            next: None,
        }
    } else {
        let (number, at) = fragment_header(ip)?;
        let header = ip.get(at..)?.first_chunk::<8>()?;
        let field = u16::from_be_bytes([header[2], header[3]]);
        Piece {
            key: key(u32::from_be_bytes([header[4], header[5], header[6], header[7]]), 0),
            offset: usize::from(field & 0xfff8),
            more: field & 1 != 0,
            data: l3 + at + 8..end,
            headers: l3 + at,
            next: Some((number, header[0])),
        }
    };
    let len = piece.data.len();
    let fits = piece.headers - l3 + piece.offset + len <= MAX_DATA && frame.len() >= piece.data.end;
    (headers.fragment != Fragment::None
        && !headers.truncated
        && len > 0
        && (!piece.more || len.is_multiple_of(8))
        && fits)
        .then_some(piece)
}

/// Where in an IPv6 packet the number of the fragment header stands, and where that header is.
fn fragment_header(ip: &[u8]) -> Option<(usize, usize)> {
    let (mut number, mut at) = (6, IPV6_HLEN);
    for _ in 0..MAX_WALK {
        match *ip.get(number)? {
            IPPROTO_FRAGMENT => return Some((number, at)),
            // An authentication header counts its length in other units.
            51 => (number, at) = (at, at + (usize::from(*ip.get(at + 1)?) + 2) * 4),
            kind if is_extension(kind) => (number, at) = (at, at + (usize::from(*ip.get(at + 1)?) + 1) * 8),
            _ => return None,
        }
    }
    None
}

/// Make the headers those of a datagram that was never fragmented, with `total` bytes of data.
fn mend(frame: &mut [u8], l3: usize, next: Option<(usize, u8)>, total: usize) {
    let data = frame.len() - total;
    let Some(ip) = frame.get_mut(l3..data) else { return };
    match next {
        None => {
            let length = u16::try_from(ip.len() + total).unwrap_or(u16::MAX).to_be_bytes();
            let Some(header) = ip.first_chunk_mut::<20>() else { return };
            header[2..4].copy_from_slice(&length);
            header[6..8].copy_from_slice(&[0, 0]);
            header[10..12].copy_from_slice(&[0, 0]);
            let sum = checksum::internet(ip).to_be_bytes();
            ip[10..12].copy_from_slice(&sum);
        }
        Some((number, protocol)) => {
            let length = u16::try_from(ip.len() - IPV6_HLEN + total).unwrap_or(u16::MAX).to_be_bytes();
            ip[4..6].copy_from_slice(&length);
            ip[number] = protocol;
        }
    }
}
