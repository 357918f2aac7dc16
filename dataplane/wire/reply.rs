//! What is told when a packet is rejected: a TCP reset to both ends, or ICMP "administratively prohibited" to the sender.
//!
//! Each function makes a frame from the rejected one, or none where the standards want silence. The sender's answer bears the
//! address that the packet was for, as a filter that is invisible to both ends must, and goes back the way it came: MACs
//! swapped, VLAN tags kept.

use std::net::IpAddr;

use arrayvec::ArrayVec;

use super::{ETH_HLEN, Fragment, Headers, checksum};

/// Longest reply: an Ethernet header with two tags, and IPv6's minimum MTU.
pub const MAX_REPLY: usize = ETH_HLEN + 8 + MAX_ICMP6;

/// A whole frame.
pub type Reply = ArrayVec<u8, MAX_REPLY>;

/// Longest ICMP message with its IP header, RFC 1812 section 4.3.2.3.
const MAX_ICMP4: usize = 576;
/// Longest ICMPv6 message with its IP header, RFC 4443 section 2.4 (c).
const MAX_ICMP6: usize = 1280;
/// Bytes of an ICMP header of this kind.
const ICMP_HLEN: usize = 8;
const TCP_HLEN: usize = 20;

const IPPROTO_ICMP: u8 = 1;
const IPPROTO_TCP: u8 = 6;
const IPPROTO_ICMPV6: u8 = 58;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// Time to live of a reply, as most hosts send.
const TTL: u8 = 64;

/// The queries of ICMP, the only messages of it that are answered by an error: RFC 1122 section 3.2.2.
const ICMP_QUERIES: [u8; 4] = [8, 13, 15, 17];
/// Exclusive upper bound of the types of ICMPv6 errors.
const ICMP6_ERRORS: u8 = 128;
/// Redirect of ICMPv6, about which no error is sent either.
const ICMP6_REDIRECT: u8 = 137;

/// The parts of a segment that a reset is made of.
struct Segment {
    seq: u32,
    ack: u32,
    flags: u8,
    /// As the sequence numbers count: bytes, SYN and FIN.
    len: u32,
}

impl Segment {
    /// None for a packet that no reset answers: no TCP, no whole segment, or a reset itself.
    fn of(frame: &[u8], headers: &Headers) -> Option<Self> {
        if headers.protocol != IPPROTO_TCP || headers.fragment != Fragment::None || headers.truncated {
            return None;
        }
        let header = frame.get(usize::from(headers.l4)..)?.first_chunk::<TCP_HLEN>()?;
        let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let flags = header[13];
        let counted = u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
        let len = u32::from(headers.payload_len) + counted;
        (flags & RST == 0).then_some(Self { seq: word(4), ack: word(8), flags, len })
    }
}

/// A reset to the packet's sender, as if its receiver had sent it: RFC 9293 section 3.5.2, group 1.
#[must_use]
pub fn reset_to_sender(frame: &[u8], headers: &Headers) -> Option<Reply> {
    let segment = Segment::of(frame, headers)?;
    let (seq, ack, flags) = if segment.flags & ACK != 0 {
        (segment.ack, 0, RST)
    } else {
        (0, segment.seq.wrapping_add(segment.len), RST | ACK)
    };
    let mut reply = back(frame, headers)?;
    let tcp = tcp((headers.dst_port, headers.src_port), seq, ack, flags);
    ip(&mut reply, headers.dst, headers.src, IPPROTO_TCP, tcp, &[], 16);
    Some(reply)
}

/// A reset to the packet's receiver, as if the packet's sender had sent it in the packet's place; to be addressed and
/// forwarded as the packet would have been. None for a packet that opens a connection: the receiver has none.
#[must_use]
pub fn reset_to_receiver(frame: &[u8], headers: &Headers) -> Option<Reply> {
    let segment = Segment::of(frame, headers)?;
    if segment.flags & (SYN | ACK) == SYN || !answerable(frame, headers) {
        return None;
    }
    // With no data before it that the receiver lacks, its number is the one that the receiver expects (RFC 5961).
    let (ack, flags) = if segment.flags & ACK != 0 { (segment.ack, RST | ACK) } else { (0, RST) };
    let mut reply = Reply::new();
    reply.try_extend_from_slice(frame.get(..usize::from(headers.l3))?).ok()?;
    let tcp = tcp((headers.src_port, headers.dst_port), segment.seq, ack, flags);
    ip(&mut reply, headers.src, headers.dst, IPPROTO_TCP, tcp, &[], 16);
    Some(reply)
}

/// ICMP "communication administratively prohibited" to the packet's sender: RFC 1812 section 5.2.7.1 (type 3, code 13),
/// RFC 4443 section 3.1 (type 1, code 1). It quotes as much of the packet as fits. The caller limits the rate.
#[must_use]
pub fn prohibited(frame: &[u8], headers: &Headers) -> Option<Reply> {
    if headers.fragment == Fragment::Later || headers.tcp_flags & RST != 0 {
        return None;
    }
    let kind = || frame.get(usize::from(headers.l4)).copied();
    match headers.protocol {
        IPPROTO_ICMP if !ICMP_QUERIES.contains(&kind()?) => return None,
        IPPROTO_ICMPV6 if kind()? < ICMP6_ERRORS || kind()? == ICMP6_REDIRECT => return None,
        _ => {}
    }
    let mut reply = back(frame, headers)?;
    let end = usize::from(headers.payload) + usize::from(headers.payload_len);
    let packet = frame.get(usize::from(headers.l3)..end)?;
    let (protocol, kind, code, room) = match headers.src {
        IpAddr::V4(_) => (IPPROTO_ICMP, 3, 13, MAX_ICMP4 - 20 - ICMP_HLEN),
        IpAddr::V6(_) => (IPPROTO_ICMPV6, 1, 1, MAX_ICMP6 - 40 - ICMP_HLEN),
    };
    let quoted = &packet[..packet.len().min(room)];
    ip(&mut reply, headers.dst, headers.src, protocol, [kind, code, 0, 0, 0, 0, 0, 0], quoted, 2);
    Some(reply)
}

/// The link header of a frame back to the sender; none where nobody may be answered.
fn back(frame: &[u8], headers: &Headers) -> Option<Reply> {
    if !answerable(frame, headers) {
        return None;
    }
    let link = frame.get(..usize::from(headers.l3))?;
    let mut reply = Reply::new();
    for part in [&link[6..12], &link[..6], &link[12..]] {
        reply.try_extend_from_slice(part).ok()?;
    }
    Some(reply)
}

/// Whether the packet went from one node to one other, as far as its addresses tell: RFC 1122 section 3.2.2, RFC 4443
/// section 2.4 (e).
fn answerable(frame: &[u8], headers: &Headers) -> bool {
    let one = |address: IpAddr| match address {
        IpAddr::V4(v4) => v4.octets()[0] < 224 && v4.octets()[0] != 0 && !v4.is_loopback(),
        IpAddr::V6(v6) => !v6.is_multicast() && !v6.is_unspecified() && !v6.is_loopback(),
    };
    // The group bit of either MAC.
    let group = frame.first_chunk::<ETH_HLEN>().is_none_or(|link| (link[0] | link[6]) & 1 != 0);
    !group && one(headers.src) && one(headers.dst)
}

/// A TCP header without options, its checksum zero.
fn tcp((src, dst): (u16, u16), seq: u32, ack: u32, flags: u8) -> [u8; TCP_HLEN] {
    let mut header = [0; TCP_HLEN];
    header[..2].copy_from_slice(&src.to_be_bytes());
    header[2..4].copy_from_slice(&dst.to_be_bytes());
    header[4..8].copy_from_slice(&seq.to_be_bytes());
    header[8..12].copy_from_slice(&ack.to_be_bytes());
    header[12] = 0x50;
    header[13] = flags;
    header
}

/// Append an IP packet with `header` and `body`, whose checksum, at `field` of the header, is filled in. Both addresses are
/// of one family, and the whole fits: the callers' parts are that short.
fn ip<const N: usize>(
    reply: &mut Reply,
    src: IpAddr,
    dst: IpAddr,
    protocol: u8,
    mut header: [u8; N],
    body: &[u8],
    field: usize,
) {
    let length = u16::try_from(N + body.len()).unwrap_or(u16::MAX);
    let pseudo = if protocol == IPPROTO_ICMP { 0 } else { checksum::pseudo_header(src, dst, protocol, length) };
    let whole = !checksum::fold(checksum::sum(body, checksum::sum(&header, pseudo.into())));
    header[field..field + 2].copy_from_slice(&whole.to_be_bytes());
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let mut ip = [0x45, 0, 0, 0, 0, 0, 0x40, 0, TTL, protocol, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            ip[2..4].copy_from_slice(&length.saturating_add(20).to_be_bytes());
            ip[12..16].copy_from_slice(&src.octets());
            ip[16..].copy_from_slice(&dst.octets());
            let whole = checksum::internet(&ip);
            ip[10..12].copy_from_slice(&whole.to_be_bytes());
            reply.extend(ip);
        }
        (src, dst) => {
            let octets = |address| match address {
                IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
                IpAddr::V6(v6) => v6.octets(),
            };
            reply.extend([0x60, 0, 0, 0]);
            reply.extend(length.to_be_bytes());
            reply.extend([protocol, TTL]);
            reply.extend(octets(src));
            reply.extend(octets(dst));
        }
    }
    reply.extend(header);
    reply.extend(body.iter().copied());
}
