//! What becomes of a frame before any module sees it: parsed, classified, entered as a packet of its flow; and where it waits
//! for its chain.

use secuxflow_abi::flags;

use super::{Met, PASSED, Processor, Queued, address, whole};
use crate::{
    bpf::Metadata,
    flow::{Fate, FlowKey, HashKey, Seen, Tracker},
    plane::FailPolicy,
    process::{
        Classified, DropReason, Frames, Inspect, Outcome, Snapshot, Streaming, Tally,
        forward::Routes,
        streaming::{Arrived, NO_TICKET, Visit},
    },
    stream::clear_urgent,
    wire::{self, Headers},
};

impl Processor {
    /// Parse frame `index` and decide whether it is inspected, forwarded or dropped.
    pub(super) fn classify(
        &mut self,
        now: u64,
        routes: &mut Routes<'_>,
        frames: &mut impl Frames,
        index: usize,
        inspect: &dyn Inspect,
        tally: &mut Tally,
    ) {
        let snapshot = routes.snapshot;
        let metadata = frames.take_metadata(index);
        if frames.is_split(index) && !self.gather(frames, index, tally) {
            self.parsed.push(None);
            self.met.push(Met { id: 0, index: None, said: Metadata::of(0, 0) });
            return;
        }
        let bytes = whole(self.gather.as_ref(), frames, index);
        tally.bytes += bytes.len() as u64;
        self.met.push(Met { id: 0, index: None, said: Metadata::of(0, 0) });
        // In its place, for what is copied from structure to structure is waited for.
        self.parsed.push(Some(Headers::NONE));
        let Some(Some(headers)) = self.parsed.last_mut() else { return };
        let decided = match wire::parse_into(bytes, headers) {
            wire::Kind::Ip => true,
            wire::Kind::Undecidable(_, true) => false,
            wire::Kind::Undecidable(_, false) | wire::Kind::Neighbour | wire::Kind::NonIp => {
                self.parsed[index] = None;
                return;
            }
        };
        let classified = match metadata {
            Some(Metadata { chain, rule, .. }) => Classified::Inspect { chain, rule },
            None => {
                tally.reclassified += 1;
                reclassify(snapshot, bytes)
            }
        };
        self.outcomes[index] = match classified {
            Classified::Pass => PASSED,
            Classified::Drop => Outcome::Drop(DropReason::Rule),
            Classified::Inspect { chain, rule } => {
                match Some(chain).filter(|&chain| chain < snapshot.chains).or(snapshot.default_chain) {
                    Some(chain) => {
                        let known = metadata
                            .unwrap_or(Metadata { generation: snapshot.generation, ..Metadata::of(chain, rule) });
                        let said = Metadata { chain, rule, ..known };
                        self.admit(now, routes, frames, Admitted { index, said, decided }, inspect, tally)
                    }
                    None if snapshot.fail_policy == FailPolicy::Open => PASSED,
                    None => Outcome::Drop(DropReason::Module),
                }
            }
        };
    }

    /// Put packet `index` together; false where that cannot be, and it is dropped.
    #[cold]
    fn gather(&mut self, frames: &impl Frames, index: usize, tally: &mut Tally) -> bool {
        tally.multi_buffer += 1;
        let done = self.gather.as_mut().is_some_and(|gather| gather.take(frames, index));
        if !done {
            self.outcomes[index] = Outcome::Drop(DropReason::Incomplete);
            tally.bytes += frames.bytes(index).len() as u64;
            frames.each_part_behind(index, |part| tally.bytes += part.len() as u64);
        }
        done
    }

    /// Enter a packet's flow, and have it wait for its chain unless what is known of the flow decides.
    #[inline]
    fn admit(
        &mut self,
        now: u64,
        routes: &mut Routes<'_>,
        frames: &mut impl Frames,
        Admitted { index, said, decided }: Admitted,
        inspect: &dyn Inspect,
        tally: &mut Tally,
    ) -> Outcome {
        let (Some(Some(headers)), Some(met)) = (self.parsed.last(), self.met.last_mut()) else {
            return Outcome::Drop(DropReason::Malformed);
        };
        let bytes = whole(self.gather.as_ref(), frames, index);
        let seen = Seen { headers, said, len: bytes.len() };
        let (key, way) = FlowKey::of(headers);
        let tracker = self.tracker.as_mut().filter(|_| decided);
        let (fate, flags) = meet(self.key, tracker, (&key, way), &seen, now, met);
        match fate {
            Fate::Inspect => {}
            Fate::Pass => {
                tally.cleared += 1;
                return PASSED;
            }
            Fate::Drop => return Outcome::Drop(DropReason::Condemned),
        }
        let mut queue = Queue { index, rule: said.rule, order: &mut self.order, visits: &mut self.visits };
        let streams = || inspect.wants_streams(said.chain);
        let Some(streaming) = self.streaming.as_mut().filter(|_| Streaming::concerns(headers, decided, streams)) else {
            queue.push(said.chain, NO_TICKET, flags);
            return PASSED;
        };
        // What is not forwarded has not been sent, as far as its receiver knows.
        if let Err(reason) = routes.check(frames, bytes, headers) {
            return Outcome::Drop(reason);
        }
        let snapshot = routes.snapshot;
        let came = streaming.take(&Arrived {
            now,
            bytes,
            headers,
            flow: (&key, way, met.id),
            hash: self.key,
            said,
            ticket: queue.visits.len(),
            address: address(self.gather.as_ref(), frames, index),
            ingress: frames.ingress(),
            partial: snapshot.ingress.get(usize::from(frames.ingress())).is_none_or(|ingress| ingress.repair_checksums),
            monitor: snapshot.monitor,
            inspect,
        });
        if came.refused.is_some() {
            if !snapshot.monitor {
                return Outcome::Drop(DropReason::Stream);
            }
            tally.monitored += 1;
        }
        // Streams know more of a TCP flow.
        let flags = if came.visit.passage.is_some() { came.visit.flags } else { flags | came.visit.flags };
        queue.visit(said.chain, Visit { flags, ..came.visit });
        if let Some(visit) = came.datagram {
            let of = visit.datagram.map_or(said, |(datagram, _)| datagram.said);
            queue.rule = of.rule;
            queue.visit(if of.chain < snapshot.chains { of.chain } else { said.chain }, visit);
        }
        if came.clear_urgent && !snapshot.monitor {
            clear_urgent(frames.bytes_mut(index), headers);
            if let Some(gather) = self.gather.as_mut().filter(|_| frames.is_split(index)) {
                gather.overwrite(index, frames.bytes(index));
            }
        }
        PASSED
    }
}

/// A packet that its chain is to see, unless its flow is decided on.
struct Admitted {
    index: usize,
    said: Metadata,
    /// Its headers are whole.
    decided: bool,
}

/// Where packets wait for their chain.
struct Queue<'a> {
    index: usize,
    rule: u32,
    order: &'a mut Vec<Queued>,
    visits: &'a mut Vec<Visit>,
}

impl Queue<'_> {
    #[inline]
    fn push(&mut self, chain: u16, ticket: u16, flags: u32) {
        let index = u16::try_from(self.index).unwrap_or(u16::MAX);
        self.order.push(Queued { chain, index, ticket, rule: self.rule, flags });
    }

    /// With what streams or datagrams have to do with it, which is large: other packets have none.
    fn visit(&mut self, chain: u16, visit: Visit) {
        self.push(chain, u16::try_from(self.visits.len()).unwrap_or(NO_TICKET), visit.flags);
        self.visits.push(visit);
    }
}

/// Enter a packet's flow, note it in `met`; what was said of the flow, and the packet's flags by it.
#[inline]
fn meet(
    key: HashKey,
    tracker: Option<&mut Tracker>,
    (flow, way): (&FlowKey, usize),
    seen: &Seen<'_>,
    now: u64,
    met: &mut Met,
) -> (Fate, u32) {
    let id = flow.id(key);
    *met = Met { id, index: None, said: seen.said };
    let Some(tracker) = tracker else { return (Fate::Inspect, 0) };
    let (index, fate) = tracker.meet((flow, way), id, seen, now);
    met.index = index;
    let Some(index) = index else { return (fate, 0) };
    let flow = tracker.table().flow(index);
    let [there, back] = [flow.ways[0].packets, flow.ways[1].packets];
    let set = |condition, flag| if condition { flag } else { 0 };
    let flags = set(way != usize::from(flow.first_way), flags::TO_CLIENT)
        | set(there > 0 && back > 0, flags::ESTABLISHED)
        | set(there + back == 1, flags::FLOW_START);
    (fate, flags)
}

/// What the rules say of a frame that came without the kernel's word: a rare one, so it is parsed a second time.
#[cold]
fn reclassify(snapshot: &Snapshot, bytes: &[u8]) -> Classified {
    snapshot.classifier.classify(&wire::parse(bytes))
}
