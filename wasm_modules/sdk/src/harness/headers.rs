//! The descriptor of a frame.

use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket};
use secuxflow_abi::{Packet, flags, verdict};

const TCP: u8 = 6;

/// The descriptor of a frame at the guest address `at`, without its flow.
pub(super) fn descriptor(frame: &[u8], at: u32) -> Packet {
    let len = frame.len();
    let mut packet = Packet {
        flow: 0,
        frame: at,
        len: u32::try_from(len).expect("a frame of less than 4 GiB"),
        l3: 0,
        l4: 0,
        payload: 0,
        payload_len: 0,
        ethertype: 0,
        src_port: 0,
        dst_port: 0,
        protocol: 0,
        tcp_flags: 0,
        flags: 0,
        rule: 1,
        ingress: 0,
        verdict: verdict::PASS,
        reserved: [0; 4],
    };
    let end = offset(len.min(14));
    (packet.l3, packet.l4, packet.payload) = (end, end, end);
    packet.payload_len = offset(len) - end;
    if let Ok(sliced) = LaxSlicedPacket::from_ethernet(frame) {
        network(&mut packet, frame, &sliced);
    }
    packet
}

/// Offsets are of 16 bits, as frames are at most a chunk of the UMEM long.
fn offset(at: usize) -> u16 {
    u16::try_from(at).expect("a frame of at most 65535 bytes")
}

fn network(packet: &mut Packet, frame: &[u8], sliced: &LaxSlicedPacket<'_>) {
    let at = |slice: &[u8]| offset(slice.as_ptr().addr() - frame.as_ptr().addr());
    if !sliced.link_exts.is_empty() {
        packet.flags |= flags::VLAN;
    }
    if sliced.stop_err.is_some() {
        packet.flags |= flags::TRUNCATED;
    }
    let (header, payload, later) = match &sliced.net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            packet.ethertype = EtherType::IPV4.0;
            (at(ip.header().slice()), ip.payload(), ip.header().fragments_offset().value() != 0)
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            packet.ethertype = EtherType::IPV6.0;
            let extensions = ip.extensions().clone().into_iter();
            let later = extensions.into_iter().any(|extension| {
                matches!(extension, etherparse::Ipv6ExtensionSlice::Fragment(f) if f.fragment_offset().value() != 0)
            });
            (at(ip.header().slice()), ip.payload(), later)
        }
        _ => {
            packet.ethertype = frame.get(12..14).map_or(0, |bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
            return;
        }
    };
    if payload.incomplete {
        packet.flags |= flags::TRUNCATED;
    }
    if payload.fragmented {
        packet.flags |= flags::FRAGMENT;
    }
    packet.protocol = payload.ip_number.0;
    (packet.l3, packet.l4, packet.payload) = (header, at(payload.payload), at(payload.payload));
    packet.payload_len = offset(payload.payload.len());
    if later {
        packet.flags |= flags::LATER_FRAGMENT;
    } else {
        transport(packet, payload.payload);
    }
}

fn transport(packet: &mut Packet, segment: &[u8]) {
    let least = match packet.protocol {
        TCP => 20,
        1 | 17 | 58 => 8,
        _ => return,
    };
    if segment.len() < least {
        packet.flags |= flags::TRUNCATED;
        return;
    }
    let mut length = least;
    if packet.protocol == TCP {
        length = (usize::from(segment[12] >> 4) * 4).max(least).min(segment.len());
        packet.tcp_flags = segment[13];
    }
    if matches!(packet.protocol, TCP | 17) {
        packet.src_port = u16::from_be_bytes([segment[0], segment[1]]);
        packet.dst_port = u16::from_be_bytes([segment[2], segment[3]]);
    }
    packet.payload += offset(length);
    packet.payload_len -= offset(length);
}
