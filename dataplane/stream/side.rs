//! One direction of a stream: what was seen of it, what is kept of it, and what of it is shown next.

use secuxflow_abi::{Chunk, chunk};

use super::{
    Events, Pressure, Refusal, StreamConfig, StreamCounts, Unverifiable,
    segment::{MAX_SCALE, Tcp},
    store::Store,
};

/// Position of the first byte: sequence numbers up to 2 GiB before it have a position too.
pub(super) const START: u64 = 1 << 32;
/// Farthest from the next byte that anything may be, RFC 7323 section 2.3.
const MAX_WINDOW: u64 = 1 << 30;
/// A timestamp may be so much older than the latest one: about a second where it counts milliseconds. What lies closer
/// together was overtaken on its way.
const OVERTAKEN: u32 = 1000;

/// What a direction needs around it to take a segment.
pub(super) struct Around<'a> {
    pub(super) store: &'a mut Store,
    pub(super) events: &'a mut Events,
    pub(super) counts: &'a mut StreamCounts,
    pub(super) config: &'a StreamConfig,
    /// Guest address of the store's memory.
    pub(super) address: u32,
    /// Whose bytes these are in the store.
    pub(super) owner: u32,
    pub(super) chain: u16,
    pub(super) flow: u64,
    pub(super) packet: u32,
    /// Flags of every chunk.
    pub(super) flags: u32,
}

/// See the module. Positions count from [`START`]. Invariants: `base <= offset`; bytes that wait lie at or behind
/// `offset`, and `early` is their number; nothing was seen at or behind `high`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Side {
    /// `next` means something.
    pub(super) known: bool,
    /// Its first byte is known: its SYN was seen, or the answer to it.
    pub(super) syn: bool,
    /// The options of its SYN were seen.
    options: bool,
    /// A segment of it was seen.
    pub(super) seen: bool,
    /// A chunk of it was shown.
    pub(super) begun: bool,
    /// Its end was shown.
    pub(super) ended: bool,
    /// Bytes before the next chunk are missing.
    gap: bool,
    /// It was not looked at for a while: the next segment says where it is.
    pub(super) away: bool,
    /// Sequence number of the next byte to show.
    pub(super) next: u32,
    /// The same as position.
    pub(super) offset: u64,
    /// Position that chunks count from.
    pub(super) base: u64,
    high: u64,
    /// What the receiver has, where that is seen.
    acked: Option<u64>,
    /// Where the receiver's window ends.
    edge: Option<u64>,
    fin: Option<u64>,
    early: u64,
    /// Scale of the windows that it announces.
    scale: Option<u8>,
    timestamp: Option<u32>,
    /// Sequence number of a SYN that came when the connection was open.
    pub(super) retry: Option<u32>,
}

/// What [`Side::rewind`] takes back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    next: u32,
    offset: u64,
    begun: bool,
    ended: bool,
}

impl Side {
    /// A direction whose SYN has this sequence number.
    pub(super) fn of_syn(tcp: &Tcp) -> Self {
        let mut side = Self::at(tcp.seq.wrapping_add(1));
        (side.syn, side.options, side.seen) = (true, true, true);
        (side.scale, side.timestamp) = (tcp.scale, tcp.timestamp);
        side
    }

    /// A direction that is seen, or expected, from this sequence number on.
    pub(super) fn at(next: u32) -> Self {
        Self { known: true, next, offset: START, base: START, high: START, ..Self::default() }
    }

    /// The other end's SYN has answered the one of this direction.
    pub(super) fn answered(&mut self, ack: u32) {
        let (seen, options, scale) = (self.seen, self.options, self.scale);
        *self = Self { syn: true, seen, options, scale, ..Self::at(ack) };
    }

    /// Position of a sequence number.
    pub(super) fn pos(&self, seq: u32) -> u64 {
        self.offset.saturating_add_signed(i64::from(seq.wrapping_sub(self.next).cast_signed()))
    }

    /// Whether a SYN with this sequence number is the one that was seen.
    pub(super) fn is_syn(&self, seq: u32) -> bool {
        self.syn && self.pos(seq) == START - 1
    }

    /// Sequence number behind all that was shown, the FIN included.
    pub(super) fn end(&self) -> u32 {
        self.next.wrapping_add(self.ended.into())
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { next: self.next, offset: self.offset, begun: self.begun, ended: self.ended }
    }

    /// The windows that it announces are to be multiplied by 2 to this.
    pub(super) fn scale(&self, other: &Self, tcp: &Tcp) -> u8 {
        match (self.scale, other.scale) {
            _ if tcp.has(super::segment::bits::SYN) => 0,
            (Some(scale), Some(_)) => scale,
            (None, _) if self.options => 0,
            (_, None) if other.options => 0,
            _ => MAX_SCALE,
        }
    }

    /// Where this direction is, by a segment after a time in which it was not looked at.
    pub(super) fn resume(&mut self, seq: u32, around: &mut Around<'_>) {
        self.away = false;
        if seq == self.next {
            return;
        }
        around.store.free_all(around.owner);
        around.counts.gaps += 1;
        self.offset += u64::from(seq.wrapping_sub(self.next));
        (self.next, self.high, self.early, self.gap) = (seq, self.offset, 0, true);
        (self.acked, self.edge, self.fin, self.ended) = (None, None, None, false);
    }

    /// The other end says to have everything up to `ack` and room for `window` bytes.
    ///
    /// # Errors
    /// `BadAck` for what was never sent.
    pub(super) fn acknowledge(&mut self, ack: u32, window: u64, around: &mut Around<'_>) -> Result<(), Refusal> {
        let pos = self.pos(ack);
        if pos > self.high.max(self.offset) + u64::from(self.fin.is_some()) {
            return Err(Refusal::BadAck);
        }
        if pos < START && self.syn || pos + MAX_WINDOW < self.offset {
            return Ok(());
        }
        self.edge = Some(self.edge.unwrap_or(0).max(pos + window));
        let pos = self.fin.map_or(pos, |fin| pos.min(fin));
        if self.acked.is_none_or(|acked| acked < pos) {
            self.acked = Some(pos);
            if pos > self.offset {
                // Bytes got there that did not come by here.
                let since = around.events.all().len();
                self.skip_to(pos, around);
                self.show_kept(around);
                self.finish(since, around);
            }
            around.store.free_before(around.owner, pos);
        }
        Ok(())
    }

    /// Whether the segment's timestamp is one that its receiver takes; remembers it.
    pub(super) fn is_recent(&mut self, tcp: &Tcp, len: usize) -> bool {
        let Some(now) = tcp.timestamp else { return true };
        if let Some(latest) = self.timestamp
            && latest.wrapping_sub(now).cast_signed() > OVERTAKEN.cast_signed()
        {
            return false;
        }
        let pos = self.pos(tcp.seq);
        let newer = self.timestamp.is_none_or(|latest| now.wrapping_sub(latest).cast_signed() > 0);
        if newer && pos <= self.offset && pos + len as u64 >= self.offset {
            self.timestamp = Some(now);
        }
        true
    }

    /// Whether a segment lies where the receiver looks for one. Behind the window's end it takes a byte for a probe.
    pub(super) fn is_in_window(&self, pos: u64, len: usize) -> bool {
        let end = pos + len as u64;
        pos < self.offset + MAX_WINDOW
            && end + MAX_WINDOW > self.offset
            && self.edge.is_none_or(|edge| end <= edge.max(self.offset) + 1)
    }

    /// Take the bytes of a segment, whose first is at `pos` and lies at the guest's address `address`, and its FIN.
    ///
    /// # Errors
    /// Why it is refused; then nothing has changed.
    pub(super) fn take(
        &mut self,
        pos: u64,
        bytes: &[u8],
        address: u32,
        fin: bool,
        around: &mut Around<'_>,
    ) -> Result<(), Refusal> {
        let end = pos + bytes.len() as u64;
        if self.syn && pos < START {
            // A probe that asks whether the other end is there repeats the SYN's place.
            return if end <= START && bytes.len() <= 1 && !fin { Ok(()) } else { Err(Refusal::OutOfWindow) };
        }
        if !self.is_in_window(pos, bytes.len()) {
            return Err(Refusal::OutOfWindow);
        }
        let other_end = self.fin.is_some_and(|at| end > at || fin && end != at);
        if other_end || fin && self.fin.is_none() && end < self.high {
            return Err(Refusal::Conflict);
        }
        let since = around.events.all().len();
        if !bytes.is_empty() {
            self.take_bytes(pos, bytes, address, around)?;
        }
        if fin {
            self.fin = Some(end);
        }
        self.finish(since, around);
        Ok(())
    }

    /// Tell of the end, where it is reached: with the last piece since there were `since` events, or alone.
    fn finish(&mut self, since: usize, around: &mut Around<'_>) {
        if self.fin == Some(self.offset) && !self.ended {
            self.ended = true;
            if !around.events.mark_last(since, chunk::END) {
                self.show(around.address, 0, chunk::END, around);
            }
        }
    }

    fn take_bytes(&mut self, pos: u64, bytes: &[u8], address: u32, around: &mut Around<'_>) -> Result<(), Refusal> {
        let end = pos + bytes.len() as u64;
        // What the receiver has it does not take again, whatever it is.
        let from = pos.max(self.acked.unwrap_or(0).min(self.offset));
        let since = |at: u64| super::index(at - pos).min(bytes.len());
        if from < self.high && from < end {
            self.check_seen(from, &bytes[since(from)..], around)?;
        }
        if end <= self.offset {
            around.counts.overlaps += 1;
            return Ok(());
        }
        let kept = if self.early == 0 { 0 } else { around.store.blocks_of(around.owner) };
        if around.events.room() < kept + 2 {
            return Err(Refusal::Pressure);
        }
        let from = from.max(self.offset);
        let new = &bytes[since(from)..];
        if from > self.offset && !self.keep(from, new, around) {
            if around.config.pressure == Pressure::Drop {
                return Err(Refusal::Pressure);
            }
            self.skip_to(from, around);
        }
        self.high = self.high.max(end);
        if from == self.offset {
            self.show_in_place(new, address + u32::try_from(since(from)).unwrap_or(0), around);
            self.show_kept(around);
            let history = self.offset.saturating_sub(around.config.history.into());
            around.store.free_before(around.owner, history.max(self.acked.unwrap_or(0)));
        }
        Ok(())
    }

    /// Compare bytes with those that were seen at their place.
    fn check_seen(&self, from: u64, bytes: &[u8], around: &mut Around<'_>) -> Result<(), Refusal> {
        let old = super::index(self.offset.saturating_sub(from)).min(bytes.len());
        let (old, new) = bytes.split_at(old);
        let before = around.store.compare(around.owner, from, old);
        let ahead = around.store.compare(around.owner, from + old.len() as u64, new);
        if before.conflict || ahead.conflict {
            return Err(Refusal::Conflict);
        }
        if before.present < old.len() {
            if around.config.unverifiable == Unverifiable::Drop {
                return Err(Refusal::Unverifiable);
            }
            around.counts.unverified += 1;
        }
        around.counts.overlaps += u64::from(ahead.present > 0);
        Ok(())
    }

    /// Keep bytes that came early; false where there is no room.
    fn keep(&mut self, from: u64, bytes: &[u8], around: &mut Around<'_>) -> bool {
        let end = from + bytes.len() as u64;
        if end - self.offset > around.config.early.into() {
            return false;
        }
        let Ok(added) = around.store.put(around.owner, from, bytes, true) else { return false };
        self.early += added as u64;
        around.counts.out_of_order += 1;
        true
    }

    /// Show the bytes at `offset`, which lie in a frame.
    fn show_in_place(&mut self, bytes: &[u8], address: u32, around: &mut Around<'_>) {
        if self.early > 0 {
            self.early -= around.store.set_waiting(around.owner, self.offset, bytes.len(), false) as u64;
        }
        let copied = around.config.history == 0 || around.store.put(around.owner, self.offset, bytes, false).is_ok();
        around.counts.uncopied += u64::from(!copied);
        self.show(address, bytes.len(), 0, around);
    }

    /// Show what is kept from `offset` on.
    fn show_kept(&mut self, around: &mut Around<'_>) {
        while self.early > 0 && around.events.room() > 0 {
            let Some((at, len)) = around.store.run(around.owner, self.offset) else { return };
            self.early -= around.store.set_waiting(around.owner, self.offset, len, false) as u64;
            self.show(around.address + u32::try_from(at).unwrap_or(0), len, 0, around);
        }
    }

    /// Tell of bytes at `offset`, and go on behind them.
    fn show(&mut self, data: u32, len: usize, flags: u32, around: &mut Around<'_>) {
        let set = |condition, flag| if condition { flag } else { 0 };
        let len = u32::try_from(len).unwrap_or(0);
        let flags = around.flags
            | flags
            | set(!self.begun, chunk::START)
            | set(self.gap, chunk::GAP)
            | set(!self.syn, chunk::MIDSTREAM);
        let (flow, offset, packet) = (around.flow, self.offset - self.base, around.packet);
        around.events.push(around.chain, Chunk { flow, offset, data, len, packet, flags });
        around.counts.bytes += u64::from(len);
        (self.begun, self.gap) = (true, false);
        self.offset += u64::from(len);
        self.high = self.high.max(self.offset);
        self.next = self.next.wrapping_add(len);
    }

    /// Go on at `to`; what lies before it is not shown.
    fn skip_to(&mut self, to: u64, around: &mut Around<'_>) {
        // Nothing is kept farther ahead than that.
        let farthest = u64::from(around.config.early);
        let len = super::index((to - self.offset).min(farthest));
        if self.early > 0 {
            self.early -= around.store.set_waiting(around.owner, self.offset, len, false) as u64;
        }
        around.counts.gaps += 1;
        self.next = self.next.wrapping_add(u32::try_from((to - self.offset) & 0xffff_ffff).unwrap_or(0));
        (self.offset, self.gap) = (to, true);
        self.high = self.high.max(to);
    }

    /// A module dropped the packet that was met at `mark`: what it brought, and all behind it, is to be shown again.
    pub(super) fn rewind(&mut self, mark: &Mark, store: &mut Store, owner: u32) {
        if self.is_before(mark) {
            return;
        }
        if self.offset > mark.offset {
            let len = super::index(self.offset - mark.offset);
            self.early += store.set_waiting(owner, mark.offset, len, true) as u64;
        }
        (self.next, self.offset, self.begun, self.ended) = (mark.next, mark.offset, mark.begun, mark.ended);
    }

    /// Whether it lies behind `mark`.
    pub(super) fn is_before(&self, mark: &Mark) -> bool {
        self.offset < mark.offset || self.offset == mark.offset && !self.ended && mark.ended
    }

    /// Another chain is to see it, which knows nothing of what was shown.
    pub(super) fn begin_anew(&mut self) {
        (self.base, self.begun) = (self.offset, false);
    }
}
