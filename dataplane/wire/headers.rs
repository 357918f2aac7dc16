//! One pass over a frame: where its headers are and what classification needs of them.
//!
//! The BPF parser (`bpf/parse.h`) makes the same decisions in the same order; the tests hold the two together.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Length of an Ethernet header, IEEE 802.3.
pub const ETH_HLEN: usize = 14;
/// EtherType of IPv4.
pub const ETH_P_IP: u16 = 0x0800;
/// EtherType of ARP.
pub const ETH_P_ARP: u16 = 0x0806;
/// EtherType of IPv6.
pub const ETH_P_IPV6: u16 = 0x86dd;
/// VLAN tags that are looked behind: 802.1Q inside 802.1ad at most.
pub const MAX_VLAN_TAGS: usize = 2;
/// IPv6 extension headers that are walked before the packet counts as undecidable.
pub const MAX_EXT_HEADERS: usize = 8;

const ETH_P_8021Q: u16 = 0x8100;
const ETH_P_8021AD: u16 = 0x88a8;
const IPPROTO_HOPOPTS: u8 = 0;
const IPPROTO_ICMP: u8 = 1;
const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;
const IPPROTO_ROUTING: u8 = 43;
const IPPROTO_FRAGMENT: u8 = 44;
const IPPROTO_AH: u8 = 51;
const IPPROTO_ICMPV6: u8 = 58;
const IPPROTO_DSTOPTS: u8 = 60;
const IPPROTO_SCTP: u8 = 132;
/// Neighbour discovery: router solicitation (133) to redirect (137), RFC 4861.
const NDISC_TYPES: std::ops::RangeInclusive<u8> = 133..=137;

/// Hop limit of neighbour discovery.
const NDISC_HOPS: u8 = 255;

/// Whether a packet is part of a fragmented datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fragment {
    /// A whole datagram.
    None,
    /// The first fragment, which carries the transport header.
    First,
    /// A later fragment, without a transport header.
    Later,
}

/// Why a packet cannot be decided on: it is dropped or goes to inspection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undecidable {
    /// The frame ends inside a header.
    Truncated,
    /// An IP header whose version or header length is impossible.
    BadHeader,
    /// More VLAN tags or IPv6 extension headers than are walked.
    LongChain,
}

impl Undecidable {
    /// The reason, for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Truncated => "the frame ends inside a header",
            Self::BadHeader => "an ip header with an impossible version or length",
            Self::LongChain => "more vlan tags or extension headers than are walked",
        }
    }
}

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// Classified by rule.
    Ip(Headers),
    /// ARP or IPv6 neighbour discovery: always passed.
    Neighbour,
    /// Neither IP nor ARP: passed, counted.
    NonIp,
    /// Dropped, where the rules may drop it, else to inspection. The addresses are there when the IP header was whole.
    Undecidable(Undecidable, Option<Headers>),
}

/// What a frame carries, without the headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As [`Frame::Ip`].
    Ip,
    /// As [`Frame::Neighbour`].
    Neighbour,
    /// As [`Frame::NonIp`].
    NonIp,
    /// As [`Frame::Undecidable`]: why, and whether there are headers.
    Undecidable(Undecidable, bool),
}

/// Where an IP packet's headers are. Offsets count from the Ethernet header.
/// Invariant: `l3 <= l4 <= payload` and `payload + payload_len <= frame length`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headers {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// IP protocol behind any extension headers.
    pub protocol: u8,
    /// TCP flags byte, 0 for other protocols.
    pub tcp_flags: u8,
    /// Source port, 0 where there is none.
    pub src_port: u16,
    /// Destination port, 0 where there is none.
    pub dst_port: u16,
    /// Offset of the IP header.
    pub l3: u16,
    /// Offset of the transport header.
    pub l4: u16,
    /// Offset of the transport payload.
    pub payload: u16,
    /// Bytes of transport payload, link-layer padding excluded.
    pub payload_len: u16,
    /// Fragmentation.
    pub fragment: Fragment,
    /// VLAN tags, 0 to [`MAX_VLAN_TAGS`].
    pub vlan_tags: u8,
    /// VLAN id of the outermost tag, 0 to 4095; 0 without a tag.
    pub vlan: u16,
    /// The frame is shorter than the IP header's length field says.
    pub truncated: bool,
}

impl Headers {
    /// Of no packet: what [`parse_into`] is to write.
    pub const NONE: Self = Self {
        src: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        dst: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        protocol: 0,
        tcp_flags: 0,
        src_port: 0,
        dst_port: 0,
        l3: 0,
        l4: 0,
        payload: 0,
        payload_len: 0,
        fragment: Fragment::None,
        vlan_tags: 0,
        vlan: 0,
        truncated: false,
    };

    /// EtherType behind the VLAN tags.
    #[must_use]
    pub fn ethertype(&self) -> u16 {
        if self.src.is_ipv4() { ETH_P_IP } else { ETH_P_IPV6 }
    }
}

/// Parse a frame that starts with its Ethernet header. Total: every input, of any length, has an answer.
#[must_use]
pub fn parse(frame: &[u8]) -> Frame {
    let mut headers = Headers::NONE;
    match parse_into(frame, &mut headers) {
        Kind::Ip => Frame::Ip(headers),
        Kind::Neighbour => Frame::Neighbour,
        Kind::NonIp => Frame::NonIp,
        Kind::Undecidable(why, addressed) => Frame::Undecidable(why, addressed.then_some(headers)),
    }
}

/// The same, with the headers written to a place of the caller's: they are what they say where the answer is `Ip`, or has
/// `true`. It goes into its caller whole, and writes each field once.
#[inline(always)]
#[must_use]
pub fn parse_into(frame: &[u8], headers: &mut Headers) -> Kind {
    let Some((ethertype, l3, tags)) = link(frame) else {
        return Kind::Undecidable(Undecidable::Truncated, false);
    };
    match ethertype {
        ETH_P_IP => ipv4(frame, l3, tags, headers),
        ETH_P_IPV6 => ipv6(frame, l3, tags, headers),
        ETH_P_ARP => Kind::Neighbour,
        // More tags than are looked behind may hide an IP packet.
        ETH_P_8021Q | ETH_P_8021AD => Kind::Undecidable(Undecidable::LongChain, false),
        _ => Kind::NonIp,
    }
}

/// The VLAN tags in front of a packet.
#[derive(Clone, Copy)]
struct Tags {
    count: u8,
    /// VLAN id of the first, 0 without one.
    outermost: u16,
}

/// EtherType and offset of what follows the Ethernet header and at most [`MAX_VLAN_TAGS`] tags.
#[inline]
fn link(frame: &[u8]) -> Option<(u16, usize, Tags)> {
    let mut ethertype = be16(frame, 12)?;
    let mut offset = ETH_HLEN;
    let mut tags = Tags { count: 0, outermost: 0 };
    while usize::from(tags.count) < MAX_VLAN_TAGS && matches!(ethertype, ETH_P_8021Q | ETH_P_8021AD) {
        ethertype = be16(frame, offset + 2)?;
        if tags.count == 0 {
            tags.outermost = be16(frame, offset)? & 0xfff;
        }
        offset += 4;
        tags.count += 1;
    }
    Some((ethertype, offset, tags))
}

#[inline(always)]
fn ipv4(frame: &[u8], l3: usize, tags: Tags, headers: &mut Headers) -> Kind {
    let Some(header) = frame.get(l3..).and_then(|rest| rest.first_chunk::<20>()) else {
        return Kind::Undecidable(Undecidable::Truncated, false);
    };
    let header_len = usize::from(header[0] & 0xf) * 4;
    if header[0] >> 4 != 4 || header_len < 20 {
        return Kind::Undecidable(Undecidable::BadHeader, false);
    }
    let fragment = match u16::from_be_bytes([header[6], header[7]]) & 0x3fff {
        0 => Fragment::None,
        0x2000 => Fragment::First,
        _ => Fragment::Later,
    };
    headers.src = IpAddr::V4(Ipv4Addr::from([header[12], header[13], header[14], header[15]]));
    headers.dst = IpAddr::V4(Ipv4Addr::from([header[16], header[17], header[18], header[19]]));
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let ends = Ends { l3, l4: l3 + header_len, ip_end: l3 + total, hops: header[8] };
    transport(frame, ends, header[9], fragment, tags, headers)
}

#[inline(never)]
fn ipv6(frame: &[u8], l3: usize, tags: Tags, headers: &mut Headers) -> Kind {
    let Some(header) = frame.get(l3..).and_then(|rest| rest.first_chunk::<40>()) else {
        return Kind::Undecidable(Undecidable::Truncated, false);
    };
    if header[0] >> 4 != 6 {
        return Kind::Undecidable(Undecidable::BadHeader, false);
    }
    let address = |at: usize| {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&header[at..at + 16]);
        IpAddr::V6(Ipv6Addr::from(bytes))
    };
    (headers.src, headers.dst) = (address(8), address(24));
    let ip_end = l3 + 40 + usize::from(u16::from_be_bytes([header[4], header[5]]));
    let mut fragment = Fragment::None;
    let mut next = header[6];
    let mut l4 = l3 + 40;
    for _ in 0..MAX_EXT_HEADERS {
        let ends = Ends { l3, l4, ip_end, hops: header[7] };
        if !is_extension(next) || fragment == Fragment::Later {
            return transport(frame, ends, next, fragment, tags, headers);
        }
        let Some(ext) = frame.get(l4..).and_then(|rest| rest.first_chunk::<8>()) else {
            let so_far = bare(frame, ends, next, fragment, tags, headers);
            return Kind::Undecidable(Undecidable::Truncated, so_far.is_some());
        };
        let length = match next {
            IPPROTO_FRAGMENT => {
                // Offset 0 with M set is a first fragment; offset 0 without M is an atomic one, RFC 6946.
                fragment = match u16::from_be_bytes([ext[2], ext[3]]) & 0xfff9 {
                    0 => Fragment::None,
                    1 => Fragment::First,
                    _ => Fragment::Later,
                };
                8
            }
            IPPROTO_AH => (usize::from(ext[1]) + 2) * 4,
            _ => (usize::from(ext[1]) + 1) * 8,
        };
        next = ext[0];
        l4 += length;
    }
    let ends = Ends { l3, l4, ip_end, hops: header[7] };
    if is_extension(next) && fragment != Fragment::Later {
        let so_far = bare(frame, ends, next, fragment, tags, headers);
        return Kind::Undecidable(Undecidable::LongChain, so_far.is_some());
    }
    transport(frame, ends, next, fragment, tags, headers)
}

/// Whether the IPv6 next-header value is one of the extension headers that are walked.
#[must_use]
pub fn is_extension(protocol: u8) -> bool {
    matches!(protocol, IPPROTO_HOPOPTS | IPPROTO_ROUTING | IPPROTO_FRAGMENT | IPPROTO_AH | IPPROTO_DSTOPTS)
}

/// Offsets found so far: the IP header, what follows it, and where the IP length field says the packet ends.
#[derive(Clone, Copy)]
struct Ends {
    l3: usize,
    l4: usize,
    ip_end: usize,
    /// TTL or hop limit.
    hops: u8,
}

/// Headers without a transport header: everything behind the IP header is payload. The addresses are there already; none
/// where an offset is larger than a header can tell.
#[inline(always)]
fn bare(frame: &[u8], ends: Ends, protocol: u8, fragment: Fragment, tags: Tags, headers: &mut Headers) -> Option<()> {
    let end = ends.ip_end.clamp(ends.l3, frame.len().max(ends.l3));
    let l4 = ends.l4.min(end);
    headers.protocol = protocol;
    (headers.tcp_flags, headers.src_port, headers.dst_port) = (0, 0, 0);
    headers.l3 = u16::try_from(ends.l3).ok()?;
    headers.l4 = u16::try_from(l4).ok()?;
    headers.payload = headers.l4;
    headers.payload_len = u16::try_from(end - l4).ok()?;
    headers.fragment = fragment;
    (headers.vlan_tags, headers.vlan) = (tags.count, tags.outermost);
    headers.truncated = ends.ip_end > frame.len() || ends.l4 > end;
    Some(())
}

#[inline(always)]
fn transport(frame: &[u8], ends: Ends, protocol: u8, fragment: Fragment, tags: Tags, headers: &mut Headers) -> Kind {
    if bare(frame, ends, protocol, fragment, tags, headers).is_none() {
        return Kind::Undecidable(Undecidable::BadHeader, false);
    }
    if fragment == Fragment::Later {
        return Kind::Ip;
    }
    let l4 = usize::from(headers.l4);
    let segment = &frame[l4..l4 + usize::from(headers.payload_len)];
    let Some(length) = transport_len(protocol, segment) else {
        return Kind::Undecidable(Undecidable::Truncated, true);
    };
    // Neighbour discovery is never forwarded, RFC 4861, nor fragmented, RFC 6980: what pretends to be goes by the rules.
    let neighbour = protocol == IPPROTO_ICMPV6 && headers.src.is_ipv6() && NDISC_TYPES.contains(&segment[0]);
    if neighbour && fragment == Fragment::None && ends.hops == NDISC_HOPS {
        return Kind::Neighbour;
    }
    if matches!(protocol, IPPROTO_TCP | IPPROTO_UDP | IPPROTO_SCTP) {
        headers.src_port = u16::from_be_bytes([segment[0], segment[1]]);
        headers.dst_port = u16::from_be_bytes([segment[2], segment[3]]);
    }
    if protocol == IPPROTO_TCP {
        headers.tcp_flags = segment[13];
    }
    let length = length.min(segment.len());
    let (Ok(payload), Ok(payload_len)) = (u16::try_from(l4 + length), u16::try_from(segment.len() - length)) else {
        return Kind::Undecidable(Undecidable::BadHeader, false);
    };
    headers.payload = payload;
    headers.payload_len = payload_len;
    Kind::Ip
}

/// Length of the transport header; `None` when `segment` is too short for it. TCP's data offset is trusted only as far
/// as 20 to 60 bytes; one that points past the packet leaves no payload.
#[inline]
fn transport_len(protocol: u8, segment: &[u8]) -> Option<usize> {
    let least = match protocol {
        IPPROTO_TCP => 20,
        IPPROTO_UDP | IPPROTO_ICMP | IPPROTO_ICMPV6 => 8,
        IPPROTO_SCTP => 12,
        _ => return Some(0),
    };
    if segment.len() < least {
        return None;
    }
    Some(if protocol == IPPROTO_TCP { usize::from(segment[12] >> 4).max(5) * 4 } else { least })
}

#[inline]
fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}
