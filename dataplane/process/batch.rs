//! One batch: parse, inspect chain by chain, find the service, rewrite.

use std::panic::{AssertUnwindSafe, catch_unwind};

use secuxflow_abi::{MAX_BATCH, Packet, WINDOW, flags, verdict};

use super::{DropReason, EgressId, Outcome, Snapshot};
use crate::{
    bpf::Metadata,
    flow::{FlowKey, HashKey},
    plane::FailPolicy,
    wire::{self, ETH_HLEN, Fragment, Headers, Rewrite},
};

/// Runs chains of modules.
pub trait Inspect {
    /// Inspect `packets` by chain number `chain`. Their verdicts are `PASS` before the call and `PASS` or `DROP` after
    /// it, fail policies applied.
    fn run(&mut self, chain: u16, packets: &mut [Packet]);

    /// Told before every batch whether packets that are dropped are forwarded all the same, for alerts to say so.
    fn set_monitor(&mut self, _monitor: bool) {}
}

/// What the rules say of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Classified {
    /// Let it through.
    Pass,
    /// Discard it.
    Drop,
    /// Inspect it.
    Inspect {
        /// Index of the chain.
        chain: u16,
        /// Number of the rule, 0 for the default action.
        rule: u32,
    },
}

/// Classifies packets that come without the kernel's word.
pub trait Classify {
    /// What the rules say of `frame`.
    fn classify(&self, frame: &wire::Frame) -> Classified;
}

/// A batch of received frames, at most [`MAX_BATCH`], all of one interface.
pub trait Frames {
    /// Frames in the batch.
    fn count(&self) -> usize;
    /// Index of the interface they came in by.
    fn ingress(&self) -> u16;
    /// Bytes of frame `index`, from its Ethernet header on.
    fn bytes(&self, index: usize) -> &[u8];
    /// The same, to be rewritten.
    fn bytes_mut(&mut self, index: usize) -> &mut [u8];
    /// Cut frame `index` to its first `len` bytes.
    fn truncate(&mut self, index: usize, len: usize);
    /// UMEM offset of the frame's first byte.
    fn addr(&self, index: usize) -> u32;
    /// What the XDP program wrote in front of it; a second call may find it gone.
    fn take_metadata(&mut self, index: usize) -> Option<Metadata>;
}

/// What a batch came to, beside its outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Bytes received.
    pub bytes: u64,
    /// Partial checksums completed.
    pub checksums_repaired: u64,
    /// Frames classified here, for want of the kernel's word.
    pub reclassified: u64,
    /// Frames that a module dropped; forwarded, in monitor mode.
    pub monitored: u64,
    /// Chains that panicked.
    pub panics: u64,
}

/// Let through, and not forwarded yet.
const PASSED: Outcome = Outcome::Forward { egress: EgressId(u16::MAX), service: u16::MAX };

/// A packet that waits for its chain. Its order is that of the fields: by chain, then as received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Queued {
    chain: u16,
    index: u16,
    rule: u32,
}

/// Processes batches in buffers of its own: no allocation once made.
#[derive(Debug)]
pub struct Processor {
    key: HashKey,
    /// What is known of each frame of the batch.
    parsed: Vec<Option<Headers>>,
    /// Packets to inspect and their order: by chain, then as received.
    order: Vec<Queued>,
    packets: Vec<Packet>,
    outcomes: Vec<Outcome>,
}

impl Processor {
    /// A processor whose flow ids go by `key`; all workers share one key.
    #[must_use]
    pub fn new(key: HashKey) -> Self {
        Self {
            key,
            parsed: Vec::with_capacity(MAX_BATCH),
            order: Vec::with_capacity(MAX_BATCH),
            packets: Vec::with_capacity(MAX_BATCH),
            outcomes: Vec::with_capacity(MAX_BATCH),
        }
    }

    /// Outcomes of the last batch, one a frame, in order.
    #[must_use]
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// Process a batch: afterwards [`outcomes`](Self::outcomes) has an outcome for each of its frames, and those to be
    /// forwarded are rewritten. Frames beyond [`MAX_BATCH`] are dropped as malformed: the caller asks for no more.
    pub fn run(&mut self, snapshot: &Snapshot, frames: &mut impl Frames, inspect: &mut dyn Inspect) -> Tally {
        let mut tally = Tally::default();
        self.parsed.clear();
        self.order.clear();
        self.outcomes.clear();
        // Until it is known better.
        self.outcomes.resize(frames.count(), Outcome::Drop(DropReason::Malformed));
        for index in 0..frames.count().min(MAX_BATCH) {
            self.classify(snapshot, frames, index, &mut tally);
        }
        self.inspect(snapshot, frames, inspect, &mut tally);
        for index in 0..self.parsed.len() {
            if let (Some(headers), Outcome::Forward { .. }) = (&self.parsed[index], self.outcomes[index]) {
                self.outcomes[index] = forward(snapshot, frames, index, headers, &mut tally);
            }
        }
        tally
    }

    /// Parse frame `index` and decide whether it is inspected, forwarded or dropped.
    fn classify(&mut self, snapshot: &Snapshot, frames: &mut impl Frames, index: usize, tally: &mut Tally) {
        let metadata = frames.take_metadata(index);
        let bytes = frames.bytes(index);
        tally.bytes += bytes.len() as u64;
        let frame = wire::parse(bytes);
        let headers = match &frame {
            wire::Frame::Ip(headers) => Some(*headers),
            wire::Frame::Undecidable(_, headers) => *headers,
            wire::Frame::Neighbour | wire::Frame::NonIp => None,
        };
        self.parsed.push(headers);
        if headers.is_none() {
            return;
        }
        let classified = match metadata {
            Some(Metadata { chain, rule }) => Classified::Inspect { chain, rule },
            None => {
                tally.reclassified += 1;
                match &frame {
                    wire::Frame::Undecidable(..) => Classified::Inspect { chain: u16::MAX, rule: 0 },
                    known => snapshot.classifier.classify(known),
                }
            }
        };
        self.outcomes[index] = match classified {
            Classified::Pass => PASSED,
            Classified::Drop => Outcome::Drop(DropReason::Rule),
            Classified::Inspect { chain, rule } => {
                match Some(chain).filter(|&chain| chain < snapshot.chains).or(snapshot.default_chain) {
                    Some(chain) => {
                        self.order.push(Queued { chain, index: u16::try_from(index).unwrap_or(u16::MAX), rule });
                        PASSED
                    }
                    None if snapshot.fail_policy == FailPolicy::Open => PASSED,
                    None => Outcome::Drop(DropReason::Module),
                }
            }
        };
    }

    /// Run the chains over the packets that wait for them and take their verdicts.
    fn inspect(&mut self, snapshot: &Snapshot, frames: &impl Frames, inspect: &mut dyn Inspect, tally: &mut Tally) {
        // In the common case of one chain they are in order already, which the sort finds out in one pass.
        self.order.sort_unstable();
        self.packets.clear();
        for queued in &self.order {
            let index = usize::from(queued.index);
            let headers = self.parsed[index].as_ref().expect("`classify` queues only packets that have headers");
            self.packets.push(describe(self.key, frames, index, headers, queued.rule));
        }
        inspect.set_monitor(snapshot.monitor);
        let mut start = 0;
        for group in self.order.chunk_by(|a, b| a.chain == b.chain) {
            let packets = &mut self.packets[start..start + group.len()];
            start += group.len();
            // What a runner leaves behind when it panics is its own business; the verdicts are overwritten here.
            if catch_unwind(AssertUnwindSafe(|| inspect.run(group[0].chain, packets))).is_err() {
                tally.panics += 1;
                let closed = snapshot.fail_policy == FailPolicy::Closed;
                packets.iter_mut().for_each(|p| p.verdict = if closed { verdict::DROP } else { verdict::PASS });
            }
            for (queued, packet) in group.iter().zip(packets) {
                if packet.verdict == verdict::PASS {
                    continue;
                }
                if snapshot.monitor {
                    tally.monitored += 1;
                } else {
                    self.outcomes[usize::from(queued.index)] = Outcome::Drop(DropReason::Module);
                }
            }
        }
    }
}

/// The descriptor that modules get of a packet.
fn describe(key: HashKey, frames: &impl Frames, index: usize, headers: &Headers, rule: u32) -> Packet {
    let set = |condition, flag| if condition { flag } else { 0 };
    Packet {
        flow: FlowKey::of(headers).id(key),
        frame: WINDOW + frames.addr(index),
        len: u32::try_from(frames.bytes(index).len()).unwrap_or(0),
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
        ingress: frames.ingress().into(),
        verdict: verdict::PASS,
        reserved: [0; 4],
    }
}

/// Find the service of a packet that was let through, and rewrite its frame for it.
fn forward(
    snapshot: &Snapshot,
    frames: &mut impl Frames,
    index: usize,
    headers: &Headers,
    tally: &mut Tally,
) -> Outcome {
    let Some(route) = snapshot.routes.get(&headers.dst) else { return Outcome::Drop(DropReason::NoService) };
    let frame = frames.bytes(index);
    let link = ETH_HLEN + 4 * usize::from(headers.vlan_tags);
    if frame.len() > link + usize::from(route.mtu) {
        return Outcome::Drop(DropReason::Mtu);
    }
    // An interface that the snapshot does not know of is being taken away.
    let Some(ingress) = snapshot.ingress.get(usize::from(frames.ingress())) else {
        return Outcome::Drop(DropReason::NoService);
    };
    let rewrite = Rewrite {
        ingress_mac: ingress.mac,
        dst_mac: route.dst_mac,
        src_mac: route.src_mac,
        repair_checksums: ingress.repair_checksums,
    };
    match rewrite.apply(frames.bytes_mut(index), headers) {
        Ok(rewritten) => {
            tally.checksums_repaired += u64::from(rewritten.repaired);
            if rewritten.len < frames.bytes(index).len() {
                frames.truncate(index, rewritten.len);
            }
            Outcome::Forward { egress: route.egress, service: route.service }
        }
        Err(wire::TtlExpired) => Outcome::Drop(DropReason::TtlExpired),
    }
}
