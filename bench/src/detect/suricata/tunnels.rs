//! Whether a capture has packets within packets: they are not taken apart, so what a test expects of them is not claimed.

use std::{fs::File, path::Path};

use secuxflow::{
    offline::{CaptureReader, to_ethernet},
    wire::{self, Frame},
};

/// IP in IP, IPv6 in IP, GRE, Ethernet in IP, L2TP, MPLS in IP.
const PROTOCOLS: [u8; 6] = [4, 41, 47, 97, 115, 137];
/// Teredo, VXLAN, GENEVE, and VXLAN by the port that Linux had first.
const PORTS: [u16; 4] = [3544, 4789, 6081, 8472];
/// MPLS, PPPoE, Ethernet of a provider's backbone, NSH.
const ETHERTYPES: [u16; 5] = [0x8847, 0x8848, 0x8864, 0x88e7, 0x894f];

/// Whether any packet of the capture has another within. One that cannot be read has none: that is told elsewhere.
pub(super) fn has_tunnels(pcap: &Path) -> bool {
    let Ok(file) = File::open(pcap) else { return false };
    let Ok(mut reader) = CaptureReader::new(file) else { return false };
    let mut frame = Vec::new();
    while let Ok(Some(packet)) = reader.next_packet() {
        if to_ethernet(packet.link, packet.data, &mut frame) && is_tunnel(&frame) {
            return true;
        }
    }
    false
}

fn is_tunnel(frame: &[u8]) -> bool {
    match wire::parse(frame) {
        Frame::Ip(headers) | Frame::Undecidable(_, Some(headers)) => {
            PROTOCOLS.contains(&headers.protocol) || (headers.protocol == 17 && PORTS.contains(&headers.dst_port))
        }
        Frame::NonIp => {
            frame.get(12..14).is_some_and(|kind| ETHERTYPES.contains(&u16::from_be_bytes([kind[0], kind[1]])))
        }
        Frame::Neighbour | Frame::Undecidable(_, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    fn udp(port: u16) -> Vec<u8> {
        let mut frame = Vec::new();
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).udp(1, port);
        builder.write(&mut frame, b"inner").unwrap();
        frame
    }

    #[test]
    fn packets_within_packets() {
        assert!(is_tunnel(&udp(4789)) && !is_tunnel(&udp(53)));
        let mut gre = udp(53);
        gre[14 + 9] = 47;
        assert!(is_tunnel(&gre));
        for (kind, expected) in [(0x894f_u16, true), (0x0806, false)] {
            let mut frame = udp(53);
            frame[12..14].copy_from_slice(&kind.to_be_bytes());
            assert_eq!(is_tunnel(&frame), expected);
        }
    }
}
