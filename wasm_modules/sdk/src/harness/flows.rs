//! Flows and the order of TCP streams.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use secuxflow_abi::{Chunk, Packet, chunk, flags, verdict};

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// Address and port.
type End = (Vec<u8>, u16);

/// Every flow that was seen.
#[derive(Debug, Default)]
pub(super) struct Flows(HashMap<u64, Flow>);

#[derive(Debug)]
struct Flow {
    initiator: End,
    answered: bool,
    midstream: bool,
    /// To the server, to the client.
    directions: [Direction; 2],
}

#[derive(Debug, Default)]
struct Direction {
    /// Sequence number that comes next, once one was seen.
    next: Option<u32>,
    offset: u64,
    started: bool,
}

impl Flows {
    /// The descriptor with its flow.
    pub(super) fn follow(&mut self, mut packet: Packet, frame: &[u8]) -> Packet {
        let Some((source, destination)) = ends(&packet, frame) else { return packet };
        packet.flow = number(packet.protocol, &source, &destination);
        let tcp = packet.protocol == 6;
        let syn = packet.tcp_flags & (SYN | ACK) == SYN;
        if tcp && syn && self.0.get(&packet.flow).is_some_and(|flow| flow.answered) {
            // A connection begins anew.
            self.0.remove(&packet.flow);
        }
        let flow = self.0.entry(packet.flow).or_insert_with(|| {
            packet.flags |= flags::FLOW_START;
            // Who answers a SYN that was not seen is not the initiator.
            let answer = packet.tcp_flags & (SYN | ACK) == SYN | ACK;
            Flow {
                initiator: if answer { destination } else { source.clone() },
                answered: false,
                midstream: tcp && !syn,
                directions: Default::default(),
            }
        });
        let to_client = source != flow.initiator;
        flow.answered |= to_client;
        if to_client {
            packet.flags |= flags::TO_CLIENT;
        }
        if flow.midstream {
            packet.flags |= flags::MIDSTREAM;
        }
        if flow.answered && !(tcp && packet.tcp_flags & SYN != 0) || flow.midstream {
            packet.flags |= flags::ESTABLISHED;
        }
        packet
    }

    /// The pieces that packets bring, but for those that were dropped.
    pub(super) fn chunks(&mut self, packets: &[Packet], window: &[u8]) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        for (number, packet) in (0..).zip(packets) {
            if packet.protocol == 6
                && packet.verdict == verdict::PASS
                && packet.flags & (flags::FRAGMENT | flags::TRUNCATED) == 0
            {
                self.segment(number, packet, window, &mut chunks);
            }
        }
        chunks
    }

    fn segment(&mut self, number: u32, packet: &Packet, window: &[u8], chunks: &mut Vec<Chunk>) {
        let Some(flow) = self.0.get_mut(&packet.flow) else { return };
        let to_client = packet.flags & flags::TO_CLIENT != 0;
        let mut event = Chunk { flow: packet.flow, offset: 0, data: 0, len: 0, packet: number, flags: 0 };
        if to_client {
            event.flags |= chunk::TO_CLIENT;
        }
        if packet.tcp_flags & RST != 0 {
            event.flags |= chunk::ABORT;
            chunks.push(event);
            self.0.remove(&packet.flow);
            return;
        }
        let l4 = (packet.frame - secuxflow_abi::WINDOW) as usize + usize::from(packet.l4);
        let mut sequence = u32::from_be_bytes([window[l4 + 4], window[l4 + 5], window[l4 + 6], window[l4 + 7]]);
        let direction = &mut flow.directions[usize::from(to_client)];
        if packet.tcp_flags & SYN != 0 {
            sequence = sequence.wrapping_add(1);
            direction.next = Some(sequence);
        }
        let mut skipped = 0;
        if direction.next.is_none() {
            event.flags |= chunk::MIDSTREAM;
        }
        let ahead = sequence.wrapping_sub(direction.next.unwrap_or(sequence)).cast_signed();
        if ahead > 0 {
            event.flags |= chunk::GAP;
            direction.offset += u64::from(ahead.unsigned_abs());
        } else {
            // What came before.
            skipped = ahead.unsigned_abs().min(u32::from(packet.payload_len));
        }
        let len = u32::from(packet.payload_len) - skipped;
        let fin = packet.tcp_flags & FIN != 0;
        if len == 0 && !fin || ahead < 0 && skipped < ahead.unsigned_abs() {
            return;
        }
        direction.next = Some(sequence.wrapping_add(u32::from(packet.payload_len) + u32::from(fin)));
        if !std::mem::replace(&mut direction.started, true) {
            event.flags |= chunk::START;
        }
        if fin {
            event.flags |= chunk::END;
        }
        (event.offset, event.len) = (direction.offset, len);
        event.data = packet.frame + u32::from(packet.payload) + skipped;
        direction.offset += u64::from(len);
        chunks.push(event);
    }
}

/// Source and destination.
fn ends(packet: &Packet, frame: &[u8]) -> Option<(End, End)> {
    let header = &frame[usize::from(packet.l3)..];
    let (source, destination) = match packet.ethertype {
        0x0800 => (header.get(12..16)?, header.get(16..20)?),
        0x86dd => (header.get(8..24)?, header.get(24..40)?),
        _ => return None,
    };
    Some(((source.to_vec(), packet.src_port), (destination.to_vec(), packet.dst_port)))
}

/// The same in both directions.
fn number(protocol: u8, a: &End, b: &End) -> u64 {
    let mut hasher = DefaultHasher::new();
    (protocol, a.min(b), a.max(b)).hash(&mut hasher);
    hasher.finish()
}
