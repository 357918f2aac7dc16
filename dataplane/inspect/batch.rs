//! A batch on its way through a chain, and the parts of it that modules are called on.
//!
//! The state of streams is the module's own, in its instance, so that a failure, which costs the instance, loses it: the next
//! instance meets every flow in its midst. A chunk that was inspected is never shown again, for its verdict stands. One whose
//! call failed is, in smaller company, to another instance each time: what it stood beside is inspected as well as it can be,
//! and nothing is counted twice, since all that a failed call said and measured is void.

use std::ops::Range;

use secuxflow_abi::{Chunk, NO_PACKET, Packet, chunk, verdict};

use super::runner::Runner;
use crate::plane::FailPolicy;

const _: () = assert!(verdict::PASS == 0, "or-ing verdicts tells whether all are to pass");

/// No place in the call.
pub(super) const NOWHERE: u16 = u16::MAX;

/// Bytes that a module is not shown, because their packet was dropped before: flow, direction, position of what follows.
pub(super) type Hole = (u64, u32, u64);

/// At most [`MAX_BATCH`](secuxflow_abi::MAX_BATCH) packets, and the chunks that came with them.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    pub(super) chain: u16,
    pub(super) packets: &'a mut [Packet],
    pub(super) chunks: &'a [Chunk],
    /// Number of the first packet, as the chunks and the caller count them.
    pub(super) base: usize,
    /// The time that guests are told.
    pub(super) now_ns: u64,
    /// The stopwatch as it was when the last call was over, or the batch began.
    pub(super) watch: u64,
}

impl Batch<'_> {
    /// The packet that carries a chunk, as an index; none for an event that no packet caused.
    fn carrier(&self, chunk: &Chunk) -> Option<usize> {
        if chunk.packet == NO_PACKET {
            return None;
        }
        (chunk.packet as usize).checked_sub(self.base).filter(|&i| i < self.packets.len())
    }
}

/// What a module is called on.
#[derive(Debug, Clone)]
pub(super) enum Part {
    /// Packets, as places in [`Runner::live`].
    Packets(Range<usize>),
    /// Chunks, as places in [`Runner::pieces`].
    Chunks(Range<usize>),
}

impl Part {
    /// Its two halves in order; none when it cannot be cut.
    pub(super) fn halves(self) -> Option<(Self, Self)> {
        let cut = |range: &Range<usize>| (range.len() > 1).then(|| range.start + range.len() / 2);
        Some(match self {
            Self::Packets(range) => {
                let middle = cut(&range)?;
                (Self::Packets(range.start..middle), Self::Packets(middle..range.end))
            }
            Self::Chunks(range) => {
                let middle = cut(&range)?;
                (Self::Chunks(range.start..middle), Self::Chunks(middle..range.end))
            }
        })
    }
}

impl Runner {
    /// Find the chunks that the next module is to see: those of packets that are alive, and events without one.
    pub(super) fn line_up(&mut self, batch: &Batch<'_>) {
        // Only a panic of the host leaves anything behind.
        self.places.fill(NOWHERE);
        self.pieces.clear();
        self.holes.clear();
        for (at, chunk) in (0..).zip(batch.chunks) {
            let carrier = batch.carrier(chunk);
            match carrier.map(|i| batch.packets[i].verdict) {
                Some(verdict::PASS) => self.pieces.push(at),
                // What a monitored module has just said of its packet does not count.
                Some(_) if self.step.monitor && carrier.is_some_and(|i| self.is_live(i)) => self.pieces.push(at),
                Some(_) if chunk.len > 0 => {
                    let direction = chunk.flags & chunk::TO_CLIENT;
                    self.holes.push((chunk.flow, direction, chunk.offset.wrapping_add(chunk.len.into())));
                }
                None if chunk.packet == NO_PACKET => self.pieces.push(at),
                Some(_) | None => {}
            }
        }
        self.holes.sort_unstable();
    }

    /// Whether no module before this one has dropped packet `i`.
    fn is_live(&self, i: usize) -> bool {
        u16::try_from(i).is_ok_and(|i| self.live.binary_search(&i).is_ok())
    }

    /// Note which packets the guest sees in a call on `part`, and number them.
    pub(super) fn number(&mut self, batch: &Batch<'_>, part: &Part) {
        self.shown.clear();
        match part {
            Part::Packets(range) => self.shown.extend_from_slice(&self.live[range.clone()]),
            Part::Chunks(range) => {
                for &at in &self.pieces[range.clone()] {
                    let Some(i) = batch.carrier(&batch.chunks[at as usize]) else { continue };
                    if self.places[i] == NOWHERE {
                        self.places[i] = u16::try_from(self.shown.len()).unwrap_or(NOWHERE);
                        self.shown.push(u16::try_from(i).unwrap_or(NOWHERE));
                    }
                }
            }
        }
    }

    /// Forget the numbers of the call.
    pub(super) fn unnumber(&mut self) {
        for &i in &self.shown {
            self.places[usize::from(i)] = NOWHERE;
        }
    }

    /// Give what `part` holds the verdict of the module's fail policy; the number of its packets. What is dropped of a stream
    /// cuts it for good: both ends are told, rather than left to wait for each other.
    pub(super) fn apply_policy(&mut self, batch: &mut Batch<'_>, part: Part) -> usize {
        // A packet may have more than one chunk, and the module's word on another of them.
        let least = match (self.step.on_failure, &part) {
            (FailPolicy::Open, _) => verdict::PASS,
            (FailPolicy::Closed, Part::Packets(_)) => verdict::DROP,
            (FailPolicy::Closed, Part::Chunks(_)) => verdict::REJECT,
        };
        self.objected |= least != verdict::PASS;
        let mut count = 0;
        match part {
            Part::Packets(range) => {
                for &i in &self.live[range] {
                    let said = &mut batch.packets[usize::from(i)].verdict;
                    *said = least.max(*said);
                    count += 1;
                }
            }
            Part::Chunks(range) => {
                let mut last = None;
                for &at in &self.pieces[range] {
                    let Some(i) = batch.carrier(&batch.chunks[at as usize]) else { continue };
                    let said = &mut batch.packets[i].verdict;
                    *said = least.max(*said);
                    count += usize::from(last.replace(i) != Some(i));
                }
            }
        }
        count
    }

    /// Packets that carry the chunks which the module saw, as indices, each once: the chunks of a packet come together.
    pub(super) fn carriers<'a>(&'a self, batch: &'a Batch<'_>) -> impl Iterator<Item = usize> + 'a {
        let mut last = None;
        let carriers = self.pieces.iter().filter_map(|&at| batch.carrier(&batch.chunks[at as usize]));
        carriers.filter(move |&i| last.replace(i) != Some(i))
    }

    /// Streams that the module, or its fail policy, has just cut: what else comes of their flows is dropped too.
    pub(super) fn cut_streams(&mut self, batch: &mut Batch<'_>) {
        self.cuts.clear();
        if self.step.monitor {
            return;
        }
        for &at in &self.pieces {
            let Some(i) = batch.carrier(&batch.chunks[at as usize]) else { continue };
            if batch.packets[i].verdict != verdict::PASS {
                self.cuts.push((batch.packets[i].flow, u16::try_from(i).unwrap_or(NOWHERE)));
            }
        }
        if self.cuts.is_empty() {
            return;
        }
        self.cuts.sort_unstable();
        self.cuts.dedup_by_key(|(flow, _)| *flow);
        let numbered = |&(_, i): &(u64, u16)| u32::try_from(batch.base + usize::from(i)).unwrap_or(NO_PACKET);
        self.cut.extend(self.cuts.iter().map(numbered));
        if self.monitor {
            return;
        }
        for &i in &self.live {
            let packet = &mut batch.packets[usize::from(i)];
            let at = self.cuts.partition_point(|(flow, _)| *flow < packet.flow);
            let cut = self.cuts.get(at).is_some_and(|&(flow, by)| flow == packet.flow && by < i);
            if cut && packet.verdict == verdict::PASS {
                packet.verdict = verdict::DROP;
            }
        }
    }
}

/// The chunks of a call as the guest is to see them: with the packets' numbers in the call, and a gap where bytes before a
/// chunk were not shown.
pub(super) fn pieces<'a>(
    chunks: &'a [Chunk],
    base: usize,
    pieces: &'a [u32],
    places: &'a [u16],
    holes: &'a [Hole],
) -> impl Iterator<Item = Chunk> + 'a {
    pieces.iter().map(move |&at| {
        let piece = chunks[at as usize];
        let place = places.get((piece.packet as usize).wrapping_sub(base));
        let hole = (piece.flow, piece.flags & chunk::TO_CLIENT, piece.offset);
        let gap = !holes.is_empty() && holes.binary_search(&hole).is_ok();
        Chunk {
            packet: place.map_or(NO_PACKET, |&place| place.into()),
            flags: piece.flags | if gap { chunk::GAP } else { 0 },
            ..piece
        }
    })
}

/// Lanes of the sums below: additions that need not wait for each other.
const LANES: usize = 4;

/// Bytes of packets.
pub(super) fn bytes(packets: &[Packet]) -> u64 {
    let (rows, rest) = packets.as_chunks::<LANES>();
    let mut sums = [0; LANES];
    for row in rows {
        for (sum, packet) in sums.iter_mut().zip(row) {
            *sum += u64::from(packet.len);
        }
    }
    sums.iter().sum::<u64>() + rest.iter().map(|packet| u64::from(packet.len)).sum::<u64>()
}

/// All verdicts on packets, or-ed: [`verdict::PASS`] when all are to pass.
pub(super) fn said(packets: &[Packet]) -> u32 {
    let (rows, rest) = packets.as_chunks::<LANES>();
    let mut said = [verdict::PASS; LANES];
    for row in rows {
        for (said, packet) in said.iter_mut().zip(row) {
            *said |= packet.verdict;
        }
    }
    said.iter().fold(verdict::PASS, |all, said| all | said)
        | rest.iter().fold(verdict::PASS, |all, it| all | it.verdict)
}
