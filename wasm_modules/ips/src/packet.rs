//! What the engine is told of a packet and of stream data.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::rule::options::packet::{Field, Mode, PacketTest};

/// TCP's protocol number.
pub const TCP: u8 = 6;
/// UDP's protocol number.
pub const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// A packet. Slices are parts of the frame; an absent header is empty.
#[derive(Debug, Clone, Copy)]
pub struct PacketView<'a> {
    /// Time of the packet in nanoseconds; from any epoch, not running backwards.
    pub ts_ns: u64,
    /// The flow's identifier, the same in both directions.
    pub flow: u64,
    /// VLAN identifiers, the outermost first.
    pub vlans: [u16; 3],
    /// How many of them count.
    pub vlan_count: u8,
    /// From the IP header on.
    pub l3: &'a [u8],
    /// From the transport header on.
    pub l4: &'a [u8],
    /// The transport payload, padding excluded.
    pub payload: &'a [u8],
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Source port, 0 where there is none.
    pub src_port: u16,
    /// Destination port, 0 where there is none.
    pub dst_port: u16,
    /// Protocol behind extension headers.
    pub protocol: u8,
    /// TCP's flags: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128.
    pub tcp_flags: u8,
    /// Goes from the server to the client.
    pub to_client: bool,
    /// The connection is established: handshake done, or, without one, seen in both directions.
    pub established: bool,
    /// TCP: the payload is part of a stream that is reassembled, so that it comes as [`StreamChunk`]s too.
    pub in_stream: bool,
    /// TCP: the connection's beginning was not seen, so which end is the client is a guess.
    pub midstream: bool,
}

impl<'a> PacketView<'a> {
    /// A view of `frame` by the offsets of its headers; `None` when they are no IP packet's.
    #[must_use]
    pub fn new(frame: &'a [u8], l3: usize, l4: usize, payload: usize, payload_len: usize) -> Option<Self> {
        let end = payload.checked_add(payload_len)?;
        let (l3, l4, payload) = (frame.get(l3..)?, frame.get(l4..end.max(l4))?, frame.get(payload..end)?);
        let (src, dst) = addresses(l3)?;
        Some(Self {
            ts_ns: 0,
            flow: 0,
            vlans: [0; 3],
            vlan_count: 0,
            l3,
            l4,
            payload,
            src,
            dst,
            src_port: 0,
            dst_port: 0,
            protocol: 0,
            tcp_flags: 0,
            to_client: false,
            established: false,
            in_stream: false,
            midstream: false,
        })
    }

    /// The number of the direction: 0 to the server, 1 to the client.
    #[must_use]
    pub fn side(&self) -> usize {
        usize::from(self.to_client)
    }

    /// Whether the packet is of IPv4.
    #[must_use]
    pub fn is_v4(&self) -> bool {
        self.src.is_ipv4()
    }

    /// The IP header with its options or extension headers.
    #[must_use]
    pub fn ip_header(&self) -> &'a [u8] {
        &self.l3[..self.l3.len().min(self.l3.len().saturating_sub(self.l4.len()).max(self.l3_header_len()))]
    }

    fn l3_header_len(&self) -> usize {
        if self.is_v4() { usize::from(self.l3.first().copied().unwrap_or(0) & 15) * 4 } else { 40 }
    }

    /// The transport header with its options.
    #[must_use]
    pub fn l4_header(&self) -> &'a [u8] {
        &self.l4[..self.l4.len().saturating_sub(self.payload.len())]
    }

    fn l4_u8(&self, at: usize) -> Option<u64> {
        self.l4.get(at).map(|byte| u64::from(*byte))
    }

    fn l4_u16(&self, at: usize) -> Option<u64> {
        self.l4.get(at..at + 2).map(|bytes| u64::from(u16::from_be_bytes([bytes[0], bytes[1]])))
    }

    fn l4_u32(&self, at: usize) -> Option<u64> {
        let bytes = self.l4.get(at..at + 4)?;
        Some(u64::from(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])))
    }

    fn is_icmp(&self) -> bool {
        matches!(self.protocol, ICMP | ICMPV6)
    }

    /// The value of a number in the headers, `None` where the packet has none.
    #[must_use]
    pub fn field(&self, field: Field) -> Option<u64> {
        let v4 = |at: usize| if self.is_v4() { self.l3.get(at).copied() } else { None };
        let tcp = self.protocol == TCP;
        match field {
            Field::Ttl => self.l3.get(if self.is_v4() { 8 } else { 7 }).map(|byte| u64::from(*byte)),
            Field::Tos => v4(1).map(u64::from),
            Field::Id => Some(u64::from(u16::from_be_bytes([v4(4)?, v4(5)?]))),
            Field::FragOffset => Some(u64::from(u16::from_be_bytes([v4(6)?, v4(7)?]) & 0x1fff)),
            Field::IpProto => Some(u64::from(self.protocol)),
            Field::Seq => self.l4_u32(4).filter(|_| tcp),
            Field::Ack => self.l4_u32(8).filter(|_| tcp),
            Field::Window => self.l4_u16(14).filter(|_| tcp),
            Field::Mss => self.mss(),
            Field::IcmpType => self.l4_u8(0).filter(|_| self.is_icmp()),
            Field::IcmpCode => self.l4_u8(1).filter(|_| self.is_icmp()),
            Field::IcmpId => self.l4_u16(4).filter(|_| self.is_icmp_query()),
            Field::IcmpSeq => self.l4_u16(6).filter(|_| self.is_icmp_query()),
            Field::Icmpv6Mtu => self.l4_u32(4).filter(|_| self.protocol == ICMPV6 && self.l4_u8(0) == Some(2)),
            Field::Dsize => Some(self.payload.len() as u64),
            Field::Vlan(layer) => (layer < self.vlan_count).then(|| u64::from(self.vlans[usize::from(layer)])),
            Field::VlanLayers => Some(u64::from(self.vlan_count)),
        }
    }

    /// The same, in the other direction.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { to_client: !self.to_client, ..self }
    }

    /// The header of a message of ICMP: eight bytes, and what some types have behind those.
    #[must_use]
    pub fn icmp_header(&self) -> &'a [u8] {
        let more = match (self.protocol, self.l4) {
            // RFC 1256: so many addresses, each of so many words.
            (ICMP, [9, _, _, _, count, words, ..]) => 4 * usize::from(*count) * usize::from(*words),
            // RFC 792: three times. RFC 950: a mask.
            (ICMP, [13 | 14, ..]) => 12,
            (ICMP, [17 | 18, ..]) => 4,
            _ => 0,
        };
        self.l4.get(..8 + more).unwrap_or(&self.l4[..self.l4.len().min(8)])
    }

    /// ICMP messages that carry identifier and sequence number.
    fn is_icmp_query(&self) -> bool {
        match (self.protocol, self.l4.first()) {
            (ICMP, Some(kind)) => matches!(kind, 0 | 8 | 13..=18),
            (ICMPV6, Some(kind)) => matches!(kind, 128 | 129),
            _ => false,
        }
    }

    fn mss(&self) -> Option<u64> {
        if self.protocol != TCP {
            return None;
        }
        let mut options = self.l4_header().get(20..)?;
        while let Some(kind) = options.first() {
            match kind {
                0 => return None,
                1 => options = &options[1..],
                2 if options.get(1) == Some(&4) => {
                    return options.get(2..4).map(|bytes| u64::from(u16::from_be_bytes([bytes[0], bytes[1]])));
                }
                _ => options = options.get(usize::from(*options.get(1)?).max(2)..)?,
            }
        }
        None
    }

    fn has_option(&self, wanted: Option<u8>) -> bool {
        if !self.is_v4() {
            return false;
        }
        let mut options = self.l3.get(20..self.l3_header_len().max(20)).unwrap_or(&[]);
        if wanted.is_none() {
            return !options.is_empty();
        }
        while let Some(&kind) = options.first() {
            if wanted == Some(kind) {
                return true;
            }
            let length = match kind {
                0 => return false,
                1 => 1,
                _ => options.get(1).map_or(usize::MAX, |length| usize::from(*length).max(2)),
            };
            options = options.get(length..).unwrap_or(&[]);
        }
        false
    }

    /// Whether the packet passes `test`.
    #[must_use]
    pub fn test(&self, test: &PacketTest) -> bool {
        match *test {
            PacketTest::Number(field, compare) => self.field(field).is_some_and(|value| compare.test(value)),
            PacketTest::Flags(mode, want, mask) => self.protocol == TCP && mode.test(self.tcp_flags & mask, want),
            PacketTest::FragBits(mode, want) => {
                self.is_v4() && self.l3.get(6).is_some_and(|byte| frag_bits(mode, byte >> 5, want))
            }
            PacketTest::IpOption(wanted) => self.has_option(wanted),
            PacketTest::SameIp => self.src == self.dst,
        }
    }
}

fn frag_bits(mode: Mode, have: u8, want: u8) -> bool {
    mode.test(have, want)
}

fn addresses(l3: &[u8]) -> Option<(IpAddr, IpAddr)> {
    match l3.first()? >> 4 {
        4 => {
            let at = |at: usize| <[u8; 4]>::try_from(l3.get(at..at + 4)?).ok().map(|a| IpAddr::V4(Ipv4Addr::from(a)));
            Some((at(12)?, at(16)?))
        }
        6 => {
            let at = |at: usize| <[u8; 16]>::try_from(l3.get(at..at + 16)?).ok().map(|a| IpAddr::V6(Ipv6Addr::from(a)));
            Some((at(8)?, at(24)?))
        }
        _ => None,
    }
}

/// In-order data of a TCP stream, which the packet that it comes with made whole.
#[derive(Debug, Clone, Copy)]
pub struct StreamChunk<'a> {
    /// From the server to the client.
    pub to_client: bool,
    /// Offset of the first byte in the stream of this direction.
    pub offset: u64,
    /// The data; empty for a mere end.
    pub data: &'a [u8],
    /// The stream begins here.
    pub start: bool,
    /// The stream ends here.
    pub end: bool,
    /// Data before this was lost.
    pub gap: bool,
}

impl StreamChunk<'_> {
    /// The same, in the other direction.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { to_client: !self.to_client, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::options::packet::parse;

    /// IPv4 with a record-route option, TCP with an MSS.
    fn frame() -> Vec<u8> {
        let mut ip = vec![0x46, 0, 0, 0, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 7, 3, 4, 0];
        let tcp = [0, 80, 0, 81, 0, 0, 0, 5, 0, 0, 0, 6, 0x60, 0x12, 1, 0, 0, 0, 0, 0, 2, 4, 5, 0xb4];
        ip.extend(tcp);
        ip.extend(b"data");
        ip
    }

    #[test]
    fn fields() {
        let frame = frame();
        let mut packet = PacketView::new(&frame, 0, 24, 48, 4).unwrap();
        packet.protocol = TCP;
        packet.tcp_flags = 0x12;
        for (keyword, yes, no) in [
            ("ttl", "64", "63"),
            ("id", "4660", "1"),
            ("fragbits", "D", "M"),
            ("ipopts", "rr", "ts"),
            ("ipopts", "any", "lsrr"),
            ("seq", "5", "6"),
            ("ack", "6", "5"),
            ("window", "256", "0"),
            ("tcp.mss", "1460", "<1460"),
            ("flags", "SA", "S"),
            ("flags", "+S", "F"),
            ("dsize", "4", ">4"),
            ("ip_proto", "6", "udp"),
        ] {
            assert!(packet.test(&parse(keyword, yes).unwrap().unwrap()), "{keyword}:{yes}");
            assert!(!packet.test(&parse(keyword, no).unwrap().unwrap()), "{keyword}:{no}");
        }
        assert!(!packet.test(&parse("itype", "0").unwrap().unwrap()));
        assert!(!packet.test(&PacketTest::SameIp));
        assert_eq!(packet.ip_header().len(), 24);
        assert_eq!(packet.l4_header().len(), 24);
    }

    #[test]
    fn mtu_of_packet_too_big() {
        let mut frame = frame()[..24].to_vec();
        frame.extend([2, 0, 0, 0, 0, 0, 5, 0, 1, 2, 3, 4]);
        let test = |protocol, kind| {
            let mut frame = frame.clone();
            frame[24] = kind;
            let mut packet = PacketView::new(&frame, 0, 24, 32, 4).unwrap();
            packet.protocol = protocol;
            ["1280", "<1281"].map(|value| packet.test(&parse("icmpv6.mtu", value).unwrap().unwrap()))
        };
        assert_eq!((test(ICMPV6, 2), test(ICMPV6, 3), test(ICMP, 2)), ([true; 2], [false; 2], [false; 2]));
    }

    #[test]
    fn headers_of_icmp() {
        for (first, length) in
            [([9, 0, 0, 0, 1, 2], 16), ([9, 0, 0, 0, 9, 9], 8), ([13, 0, 0, 0, 0, 0], 20), ([8; 6], 8)]
        {
            let mut frame = frame()[..24].to_vec();
            frame.extend(first);
            frame.extend([0; 20]);
            let mut packet = PacketView::new(&frame, 0, 24, 32, 18).unwrap();
            packet.protocol = ICMP;
            assert_eq!(packet.icmp_header().len(), length, "{first:?}");
        }
    }

    #[test]
    fn no_offsets_panic() {
        let frame = frame();
        for l3 in 0..60 {
            for l4 in 0..60 {
                for payload in 0..60 {
                    if let Some(packet) = PacketView::new(&frame, l3, l4, payload, 4) {
                        let _ = (packet.ip_header(), packet.l4_header(), packet.mss(), packet.field(Field::Id));
                        let _ = (packet.has_option(Some(7)), packet.icmp_header());
                    }
                }
            }
        }
    }
}
