//! The chains' part of a batch: descriptors for modules, their calls, what they said and asked for.

use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
};

use secuxflow_abi::{Packet, flags, verdict};

use super::{Processor, address, whole};
use crate::{
    flow::{Asked, FlowVerdict, Seen},
    plane::FailPolicy,
    process::{DropReason, Frames, Inspect, Outcome, Snapshot, Tally},
    wire::{Fragment, Headers},
};

impl Processor {
    /// Run the chains over the packets that wait for them and take their verdicts.
    pub(super) fn inspect(
        &mut self,
        now: u64,
        snapshot: &Snapshot,
        frames: &impl Frames,
        inspect: &mut dyn Inspect,
        tally: &mut Tally,
    ) {
        // In the common case of one chain they are in order already, which the sort finds out in one pass.
        self.order.sort_unstable();
        self.packets.clear();
        for queued in &self.order {
            let index = usize::from(queued.index);
            let visit = self.visits.get(usize::from(queued.ticket));
            let packet = match visit.and_then(|visit| visit.datagram.as_ref()) {
                None => {
                    let headers = self.parsed[index].as_ref().expect("`admit` queues only packets that have headers");
                    let gather = self.gather.as_ref();
                    let place = (address(gather, frames, index), whole(gather, frames, index).len());
                    describe(self.met[index].id, place, headers, queued.rule)
                }
                Some((datagram, id)) => {
                    let len = usize::try_from(datagram.len).unwrap_or(0);
                    describe(*id, (datagram.address, len), &datagram.headers, queued.rule)
                }
            };
            self.packets.push(Packet {
                flags: packet.flags | queued.flags,
                ingress: frames.ingress().into(),
                ..packet
            });
        }
        if let Some(streaming) = &mut self.streaming {
            streaming.line_up(self.order.iter().map(|queued| queued.ticket));
        }
        inspect.set_monitor(snapshot.monitor);
        let (mut start, mut event) = (0, 0);
        loop {
            let of_event = self.streaming.as_ref().and_then(|streaming| streaming.chain(event));
            let of_packet = self.order.get(start).map(|queued| queued.chain);
            let Some(chain) = of_packet.into_iter().chain(of_event).min() else { break };
            let count = self.order[start..].iter().take_while(|queued| queued.chain == chain).count();
            let range = start..start + count;
            let chunks = match &mut self.streaming {
                Some(streaming) => streaming.chunks(chain, event, start),
                None => &[],
            };
            (start, event) = (range.end, event + chunks.len());
            let packets = &mut self.packets[range.clone()];
            // What a runner leaves behind when it panics is its own business; the verdicts are overwritten here.
            let panicked = catch_unwind(AssertUnwindSafe(|| inspect.run(now, chain, packets, chunks))).is_err();
            if panicked {
                tally.panics += 1;
                let closed = snapshot.fail_policy == FailPolicy::Closed;
                packets.iter_mut().for_each(|p| p.verdict = if closed { verdict::DROP } else { verdict::PASS });
            } else {
                self.grant(now, !snapshot.monitor, range.clone(), inspect.asked(), tally);
            }
            let cut = if panicked { &[] } else { inspect.cut() };
            self.settle(snapshot.monitor, range, cut, tally);
        }
    }

    /// Take up what the chain asked for on the packets of `group`.
    fn grant(&mut self, now: u64, enforced: bool, group: Range<usize>, asked: &[Asked], tally: &mut Tally) {
        let Some(tracker) = &mut self.tracker else { return };
        for asked in asked {
            let Some(queued) = self.order[group.clone()].get(usize::from(asked.packet)) else { continue };
            if self.visits.get(usize::from(queued.ticket)).is_some_and(|visit| visit.datagram.is_some()) {
                // Its flow shows its ports in fragments only, which the kernel looks at one by one.
                continue;
            }
            let index = usize::from(queued.index);
            let (Some(headers), met) = (&self.parsed[index], self.met[index]) else { continue };
            let len = usize::try_from(self.packets[group.start + usize::from(asked.packet)].len).unwrap_or(0);
            let seen = Seen { headers, said: met.said, len };
            tally.granted += u64::from(tracker.take(met.index, &seen, asked, enforced, now));
            let Some((streaming, at)) = self.streaming.as_mut().zip(met.index) else { continue };
            let flow = tracker.table().flow(at);
            if flow.verdict(met.said.chain, met.said.generation, now) == Some(FlowVerdict::Cleared) {
                streaming.streams_mut().leave(&flow.key, met.id);
            }
        }
    }

    /// Take the verdicts on the packets of `group`, of which those with the numbers `cut` cut their streams.
    fn settle(&mut self, monitor: bool, group: Range<usize>, cut: &[u32], tally: &mut Tally) {
        for (number, at) in (0..).zip(group) {
            let (queued, packet) = (self.order[at], &self.packets[at]);
            let visit = self.visits.get(usize::from(queued.ticket));
            let mut reason = match packet.verdict {
                verdict::PASS => None,
                // Of a datagram there is only its last fragment to answer to, which is not answered.
                verdict::REJECT if visit.is_none_or(|visit| visit.datagram.is_none()) => Some(DropReason::Rejected),
                _ => Some(DropReason::Module),
            };
            if monitor {
                tally.monitored += u64::from(reason.take().is_some());
            }
            if let Some((streaming, visit)) = self.streaming.as_mut().zip(visit) {
                if reason.is_some() || monitor {
                    streaming.settle(visit, reason.is_some(), cut.contains(&number));
                } else {
                    reason = streaming.is_held_up(visit).then_some(DropReason::Stream);
                    streaming.settle(visit, reason.is_some(), false);
                }
            }
            if let Some(reason) = reason {
                self.outcomes[usize::from(queued.index)] = Outcome::Drop(reason);
            }
        }
    }
}

/// The descriptor that modules get of a packet.
#[inline]
fn describe(flow: u64, (frame, len): (u32, usize), headers: &Headers, rule: u32) -> Packet {
    let set = |condition, flag| if condition { flag } else { 0 };
    Packet {
        flow,
        frame,
        len: u32::try_from(len).unwrap_or(0),
        l3: headers.l3,
        l4: headers.l4,
        payload: headers.payload,
        payload_len: headers.payload_len,
        ethertype: headers.ethertype(),
        src_port: headers.src_port,
        dst_port: headers.dst_port,
        protocol: headers.protocol,
        tcp_flags: headers.tcp_flags,
        flags: set(headers.fragment != Fragment::None, flags::FRAGMENT)
            | set(headers.fragment == Fragment::Later, flags::LATER_FRAGMENT)
            | set(headers.truncated, flags::TRUNCATED)
            | set(headers.vlan_tags > 0, flags::VLAN),
        rule,
        ingress: 0,
        verdict: verdict::PASS,
        reserved: [0; 4],
    }
}
