//! Link types of captures, and the Ethernet header that a packet gets where it was captured on another link.

use std::fmt;

use crate::wire::{ETH_P_IP, ETH_P_IPV6};

/// Destination and source of a made-up Ethernet header: locally administered, unicast.
const PSEUDO_MACS: [u8; 12] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
/// EtherType of what is not told: reserved, RFC 7042, so that it is taken for neither IP nor ARP.
const NO_ETHERTYPE: u16 = 0xffff;

/// Link type of a capture, by its number in the registry at <https://www.tcpdump.org/linktypes.html>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback: the address family in the byte order of the machine that captured.
    pub const NULL: Self = Self(0);
    /// Ethernet.
    pub const ETHERNET: Self = Self(1);
    /// PPP, with or without the address and control of HDLC.
    pub const PPP: Self = Self(9);
    /// PPP in HDLC framing.
    pub const PPP_HDLC: Self = Self(50);
    /// IPv4 or IPv6, by its first four bits.
    pub const RAW: Self = Self(101);
    /// Cisco's HDLC: address, control, and an EtherType.
    pub const C_HDLC: Self = Self(104);
    /// OpenBSD loopback: the address family in network byte order.
    pub const LOOP: Self = Self(108);
    /// Linux "cooked" capture, as of the device `any`.
    pub const LINUX_SLL: Self = Self(113);
    /// IPv4.
    pub const IPV4: Self = Self(228);
    /// IPv6.
    pub const IPV6: Self = Self(229);
    /// Linux "cooked" capture, version 2.
    pub const LINUX_SLL2: Self = Self(276);

    /// The number of a link type in a capture file, where some systems wrote numbers of their own for raw IP.
    #[must_use]
    pub fn of_file(number: u16) -> Self {
        match number {
            12 | 14 => Self::RAW,
            number => Self(number),
        }
    }

    /// Whether [`to_ethernet`] knows it.
    #[must_use]
    pub fn is_supported(self) -> bool {
        matches!(
            self,
            Self::NULL
                | Self::ETHERNET
                | Self::PPP
                | Self::PPP_HDLC
                | Self::RAW
                | Self::C_HDLC
                | Self::LOOP
                | Self::LINUX_SLL
                | Self::IPV4
                | Self::IPV6
                | Self::LINUX_SLL2
        )
    }

    /// Its name in the registry; `None` for the less common ones.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0 => "NULL",
            1 => "ETHERNET",
            6 => "IEEE802_5",
            7 => "ARCNET_BSD",
            8 => "SLIP",
            9 => "PPP",
            10 => "FDDI",
            50 => "PPP_HDLC",
            51 => "PPP_ETHER",
            101 => "RAW",
            104 => "C_HDLC",
            105 => "IEEE802_11",
            107 => "FRELAY",
            108 => "LOOP",
            113 => "LINUX_SLL",
            114 => "LTALK",
            117 => "PFLOG",
            119 => "IEEE802_11_PRISM",
            127 => "IEEE802_11_RADIOTAP",
            147..=162 => "USER",
            163 => "IEEE802_11_AVS",
            187 => "BLUETOOTH_HCI_H4",
            189 => "USB_LINUX",
            195 => "IEEE802_15_4_WITHFCS",
            201 => "BLUETOOTH_HCI_H4_WITH_PHDR",
            220 => "USB_LINUX_MMAPPED",
            227 => "CAN_SOCKETCAN",
            228 => "IPV4",
            229 => "IPV6",
            239 => "NFLOG",
            251 => "BLUETOOTH_LE_LL",
            252 => "WIRESHARK_UPPER_PDU",
            253 => "NETLINK",
            276 => "LINUX_SLL2",
            _ => return None,
        })
    }
}

impl fmt::Display for LinkType {
    /// `105 (IEEE802_11)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} ({name})", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

/// Put the packet `data` of a capture with `link` into `frame` as an Ethernet frame, in place of what is there. The answer
/// is false, and `frame` is empty, when `data` ends before its own link header does, or the link type is not
/// [supported](LinkType::is_supported).
#[must_use]
pub fn to_ethernet(link: LinkType, data: &[u8], frame: &mut Vec<u8>) -> bool {
    frame.clear();
    let made = match link {
        LinkType::ETHERNET => {
            frame.extend_from_slice(data);
            Some(())
        }
        LinkType::IPV4 => pseudo(frame, &PSEUDO_MACS, ETH_P_IP, data),
        LinkType::IPV6 => pseudo(frame, &PSEUDO_MACS, ETH_P_IPV6, data),
        LinkType::RAW => raw(frame, data),
        // Either framing comes under this type; RFC 1662 begins with 0xff, Cisco's with an address of its own.
        LinkType::PPP_HDLC if matches!(data.first(), Some(0x0f | 0x8f)) => hdlc(frame, data),
        LinkType::PPP | LinkType::PPP_HDLC => ppp(frame, data),
        LinkType::C_HDLC => hdlc(frame, data),
        LinkType::NULL | LinkType::LOOP => loopback(frame, data),
        LinkType::LINUX_SLL => cooked(frame, data),
        LinkType::LINUX_SLL2 => cooked2(frame, data),
        _ => None,
    };
    made.is_some()
}

fn pseudo(frame: &mut Vec<u8>, macs: &[u8; 12], ethertype: u16, packet: &[u8]) -> Option<()> {
    frame.extend_from_slice(macs);
    frame.extend_from_slice(&ethertype.to_be_bytes());
    frame.extend_from_slice(packet);
    Some(())
}

fn raw(frame: &mut Vec<u8>, data: &[u8]) -> Option<()> {
    // What is of neither version is shown as IPv4: the parser says what is wrong with it.
    let ethertype = if data.first()? >> 4 == 6 { ETH_P_IPV6 } else { ETH_P_IP };
    pseudo(frame, &PSEUDO_MACS, ethertype, data)
}

/// The address families are those of all systems that write this: IPv4 is 2 everywhere, IPv6 has a number on each.
fn loopback(frame: &mut Vec<u8>, data: &[u8]) -> Option<()> {
    let (family, packet) = data.split_first_chunk::<4>()?;
    let family = u32::from_be_bytes(*family);
    let ethertype = match if family > 0xffff { family.swap_bytes() } else { family } {
        2 => ETH_P_IP,
        10 | 23 | 24 | 28 | 30 => ETH_P_IPV6,
        _ => NO_ETHERTYPE,
    };
    pseudo(frame, &PSEUDO_MACS, ethertype, packet)
}

/// RFC 1661 and 1662: the protocols are those of PPP's own.
fn ppp(frame: &mut Vec<u8>, data: &[u8]) -> Option<()> {
    let data = data.strip_prefix(&[0xff, 3]).unwrap_or(data);
    let (protocol, packet) = match data.split_first()? {
        // A protocol may be one byte, which is odd.
        (&first, packet) if first & 1 == 1 => (u16::from(first), packet),
        _ => data.split_first_chunk().map(|(protocol, packet)| (u16::from_be_bytes(*protocol), packet))?,
    };
    let ethertype = match protocol {
        0x21 => ETH_P_IP,
        0x57 => ETH_P_IPV6,
        _ => NO_ETHERTYPE,
    };
    pseudo(frame, &PSEUDO_MACS, ethertype, packet)
}

fn hdlc(frame: &mut Vec<u8>, data: &[u8]) -> Option<()> {
    let (header, packet) = data.split_first_chunk::<4>()?;
    pseudo(frame, &PSEUDO_MACS, ethertype(header[2], header[3]), packet)
}

fn cooked(frame: &mut Vec<u8>, data: &[u8]) -> Option<()> {
    let (header, packet) = data.split_first_chunk::<16>()?;
    let macs = sender(&header[6..12], u16::from_be_bytes([header[4], header[5]]));
    pseudo(frame, &macs, ethertype(header[14], header[15]), packet)
}

fn cooked2(frame: &mut Vec<u8>, data: &[u8]) -> Option<()> {
    let (header, packet) = data.split_first_chunk::<20>()?;
    let macs = sender(&header[12..18], header[11].into());
    pseudo(frame, &macs, ethertype(header[0], header[1]), packet)
}

/// A cooked header's protocol: an EtherType, or below 1536 a number of Linux's for frames without one.
fn ethertype(high: u8, low: u8) -> u16 {
    match u16::from_be_bytes([high, low]) {
        0..1536 => NO_ETHERTYPE,
        ethertype => ethertype,
    }
}

/// Addresses for the pseudo header: the sender's own where the link has one of Ethernet's length. Loopback's is all zeros.
fn sender(address: &[u8], length: u16) -> [u8; 12] {
    let mut macs = PSEUDO_MACS;
    if length == 6 {
        macs[6..].copy_from_slice(address);
    }
    macs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Frame, parse, testing::tcp4};

    /// The IP packet of a frame.
    fn packet() -> Vec<u8> {
        tcp4([192, 0, 2, 1], [192, 0, 2, 2], 1000, 80)[14..].to_vec()
    }

    fn ports(link: LinkType, data: &[u8]) -> Option<(u16, u16)> {
        let mut frame = vec![1, 2, 3];
        if !to_ethernet(link, data, &mut frame) {
            assert!(frame.is_empty());
            return None;
        }
        match parse(&frame) {
            Frame::Ip(headers) => Some((headers.src_port, headers.dst_port)),
            _ => None,
        }
    }

    fn behind(header: &[u8]) -> Vec<u8> {
        [header, &packet()].concat()
    }

    const SLL: [u8; 16] = [0, 0, 0, 1, 0, 6, 2, 9, 9, 9, 9, 9, 0, 0, 8, 0];
    const SLL2: [u8; 20] = [8, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 2, 9, 9, 9, 9, 9, 0, 0];

    #[test]
    fn every_supported_link_becomes_ethernet() {
        let found = Some((1000, 80));
        for (link, header) in [
            (LinkType::RAW, &[][..]),
            (LinkType::of_file(12), &[]),
            (LinkType::of_file(14), &[]),
            (LinkType::IPV4, &[]),
            (LinkType::NULL, &[2, 0, 0, 0]),
            (LinkType::NULL, &[0, 0, 0, 2]),
            (LinkType::LOOP, &[0, 0, 0, 2]),
            (LinkType::PPP, &[0, 0x21]),
            (LinkType::PPP, &[0xff, 3, 0, 0x21]),
            (LinkType::PPP_HDLC, &[0x21]),
            (LinkType::PPP_HDLC, &[0x0f, 0, 8, 0]),
            (LinkType::C_HDLC, &[0x0f, 0, 8, 0]),
            (LinkType::LINUX_SLL, &SLL),
            (LinkType::LINUX_SLL2, &SLL2),
        ] {
            assert!(link.is_supported());
            assert_eq!(ports(link, &behind(header)), found, "{link}");
            for cut in 0..header.len() {
                assert_eq!(ports(link, &header[..cut]), None, "{link} cut at {cut}");
            }
        }
        let ethernet = tcp4([192, 0, 2, 1], [192, 0, 2, 2], 1000, 80);
        assert_eq!(ports(LinkType::ETHERNET, &ethernet), found);
        assert_eq!(ports(LinkType::RAW, &[]), None);
    }

    #[test]
    fn ipv6_is_known_by_every_systems_number() {
        let mut packet = vec![0x60, 0, 0, 0, 0, 8, 17, 64];
        packet.extend([1; 32]);
        packet.extend([0, 53, 0, 54, 0, 8, 0, 0]);
        for family in [10_u32, 23, 24, 28, 30] {
            for header in [family.to_be_bytes(), family.to_le_bytes()] {
                assert_eq!(ports(LinkType::NULL, &[&header[..], &packet].concat()), Some((53, 54)));
            }
        }
        assert_eq!(ports(LinkType::RAW, &packet), Some((53, 54)));
        assert_eq!(ports(LinkType::IPV6, &packet), Some((53, 54)));
    }

    #[test]
    fn a_cooked_frame_keeps_its_sender_and_its_vlan_tag() {
        let mut frame = Vec::new();
        assert!(to_ethernet(LinkType::LINUX_SLL, &behind(&SLL), &mut frame));
        assert_eq!(frame[6..12], [2, 9, 9, 9, 9, 9]);
        let mut tagged = SLL;
        tagged[14..].copy_from_slice(&[0x81, 0]);
        let tagged = [&tagged[..], &[0, 7, 8, 0], &packet()].concat();
        assert!(to_ethernet(LinkType::LINUX_SLL, &tagged, &mut frame));
        let Frame::Ip(headers) = parse(&frame) else { panic!("{frame:?}") };
        assert_eq!((headers.vlan, headers.dst_port), (7, 80));
    }

    #[test]
    fn what_is_not_ip_stays_so() {
        let mut frame = Vec::new();
        for (link, header) in [
            (LinkType::NULL, &[0, 0, 0, 7][..]),
            (LinkType::PPP, &[0xc0, 0x21]),
            (LinkType::C_HDLC, &[0x0f, 0, 0x20, 0]),
            (LinkType::LINUX_SLL, &[0; 16]),
        ] {
            assert!(to_ethernet(link, &behind(header), &mut frame));
            assert_eq!(parse(&frame), Frame::NonIp, "{link}");
        }
    }

    #[test]
    fn unknown_links_are_named_as_far_as_known() {
        assert_eq!(LinkType(105).to_string(), "105 (IEEE802_11)");
        assert_eq!(LinkType(9999).to_string(), "9999");
        let mut frame = vec![1];
        assert!(!to_ethernet(LinkType(105), &[0; 60], &mut frame));
        assert!(frame.is_empty() && !LinkType(105).is_supported());
    }
}
