//! Rejected packets: they are discarded as any other, and who sent them, or both ends of their connection, are told.
//!
//! The reply to the sender takes the packet's own frame and leaves by the ring of the queue that the packet came in by; the
//! one to the receiver takes a free frame and the way that the packet would have taken. Where there is no frame, no room or no
//! way, the reply is lost and counted: nobody waits for it.

use super::{core::Core, stats::REPLY};
use crate::{
    process::{DropReason, Snapshot},
    wire::{
        self, Headers, Rewrite,
        reply::{self, Reply},
    },
    xsk::{Frame, Outgoing, Place, PortId, Rings, Umem},
};

/// Least nanoseconds from one ICMP error to the next, on the average: a thousand a second for each worker.
const ICMP_EVERY_NS: u64 = 1_000_000;
/// ICMP errors that may be sent at once, after a pause.
const ICMP_BURST: u64 = 50;

/// A rate that is kept to: RFC 1812 section 4.3.2.8, RFC 4443 section 2.4 (f).
#[derive(Debug, Default)]
pub(super) struct Limit {
    /// When the last that was let through would have been due, had all come evenly.
    due_ns: u64,
}

impl Limit {
    /// Whether one more may be sent at `now_ns`.
    fn allows(&mut self, now_ns: u64) -> bool {
        let due_ns = self.due_ns.max(now_ns);
        let allowed = due_ns - now_ns <= (ICMP_BURST - 1) * ICMP_EVERY_NS;
        if allowed {
            self.due_ns = due_ns + ICMP_EVERY_NS;
        }
        allowed
    }
}

/// Where a rejected packet came from, and how what goes on is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Came {
    /// The port that received it.
    pub(super) port: PortId,
    /// Index of its interface.
    pub(super) ingress: u16,
    /// When its batch was received.
    pub(super) received_ns: u64,
    /// Whether the batch's packets are injected where that is a way.
    pub(super) inject: bool,
}

/// What there is to be told of a packet.
struct Replies {
    /// To its receiver.
    onward: Option<Reply>,
    /// To its sender,
    reset: Option<Reply>,
    /// or where that is none.
    error: Option<Reply>,
}

impl Replies {
    fn to(packet: &[u8], headers: &Headers) -> Self {
        let reset = reply::reset_to_sender(packet, headers);
        let error = if reset.is_none() { reply::prohibited(packet, headers) } else { None };
        Self { onward: reply::reset_to_receiver(packet, headers), reset, error }
    }
}

impl<R: Rings> Core<R> {
    /// Discard a rejected packet, number `position` of the last batch, and tell of it.
    pub(super) fn reject(
        &mut self,
        came: Came,
        position: usize,
        mut frame: Frame,
        snapshot: &Snapshot,
        now: &impl Fn() -> u64,
    ) {
        self.shared().stats.dropped(DropReason::Rejected, self.umem.packet_len(&frame));
        let gathered = if frame.is_split() { self.processor.gathered(position) } else { None };
        let bytes = gathered.unwrap_or_else(|| self.umem.bytes(&frame));
        let (wire::Frame::Ip(headers) | wire::Frame::Undecidable(_, Some(headers))) = wire::parse(bytes) else {
            return self.release(frame);
        };
        let replies = Replies::to(bytes, &headers);
        // The first frame is room enough for a reply.
        while let Some(tail) = self.umem.take_tail(&mut frame) {
            self.release(tail);
        }
        self.tell(came, frame, replies, snapshot, now);
    }

    /// Send what is told of the packet in `frame`, which is done with.
    fn tell(&mut self, came: Came, frame: Frame, replies: Replies, snapshot: &Snapshot, now: &impl Fn() -> u64) {
        let Replies { onward, reset, error } = replies;
        match (reset, error) {
            (None, Some(_)) if !self.icmp.allows(came.received_ns) => {
                self.shared().stats.reply_held_back();
                self.release(frame);
            }
            (Some(back), _) | (None, Some(back)) => self.answer(came, frame, &back),
            (None, None) => self.release(frame),
        }
        if let Some(onward) = onward {
            self.pass_on(came, &onward, snapshot, now);
        }
    }

    /// Send `reply` back by the port that the packet came by, in its own frame.
    fn answer(&mut self, came: Came, mut frame: Frame, reply: &[u8]) {
        self.shared().stats.reply_made();
        if write(&self.umem, &mut frame, reply) {
            self.enqueue(came.port, Outgoing { frame, service: REPLY, received_ns: came.received_ns });
        } else {
            self.shared().stats.reply_lost();
            self.release(frame);
        }
    }

    /// Send `reply` on to where the packet would have gone.
    fn pass_on(&mut self, came: Came, reply: &[u8], snapshot: &Snapshot, now: &impl Fn() -> u64) {
        self.shared().stats.reply_made();
        let wire::Frame::Ip(headers) = wire::parse(reply) else { return self.shared().stats.reply_lost() };
        let ingress = snapshot.ingress.get(usize::from(came.ingress));
        let (Some(route), Some(ingress)) = (snapshot.routes.get(&headers.dst), ingress) else {
            return self.shared().stats.reply_lost();
        };
        let Some(mut frame) = self.free.pop() else { return self.shared().stats.reply_lost() };
        self.umem.note(&frame, Place::Rx);
        let rewrite = Rewrite {
            ingress_mac: ingress.mac,
            dst_mac: route.dst_mac,
            src_mac: route.src_mac,
            repair_checksums: false,
        };
        let rewritten = match write(&self.umem, &mut frame, reply) {
            true => rewrite.apply(self.umem.bytes_mut(&mut frame), &headers).ok(),
            false => None,
        };
        let Some(rewritten) = rewritten else {
            self.shared().stats.reply_lost();
            return self.release(frame);
        };
        frame.truncate(rewritten.len);
        let out = Outgoing { frame, service: REPLY, received_ns: came.received_ns };
        self.dispatch(route.egress, out, came.inject, now);
    }

    /// A frame that cannot be sent: a packet is discarded, a reply is lost.
    pub(super) fn turn_away(&mut self, out: Outgoing, reason: DropReason) {
        if out.service == REPLY {
            self.shared().stats.reply_lost();
            self.release(out.frame);
        } else {
            self.discard(out.frame, reason);
        }
    }
}

/// Make `reply` the packet in `frame`; false when it has no room for it.
fn write(umem: &Umem, frame: &mut Frame, reply: &[u8]) -> bool {
    let fits = umem.resize(frame, reply.len());
    if fits {
        umem.bytes_mut(frame).copy_from_slice(reply);
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_let_through_and_then_one_at_a_time() {
        let mut limit = Limit::default();
        let mut sent = |from_ns: u64, to_ns: u64, every_ns: u64| {
            (from_ns..to_ns).step_by(usize::try_from(every_ns).unwrap()).filter(|now| limit.allows(*now)).count()
        };
        assert_eq!(sent(1_000_000_000, 1_000_000_200, 1), 50);
        assert_eq!(sent(1_000_000_200, 1_100_000_200, 1000), 99, "one a millisecond");
        assert_eq!(sent(2_000_000_000, 2_000_000_200, 1), 50, "a pause makes room for a burst, and for no more");
    }
}
