//! Packets for tests: simple ones by function, and arbitrary ones from a byte string of choices.

use std::net::IpAddr;

use super::{ETH_P_ARP, ETH_P_IP, ETH_P_IPV6};

/// Addresses are drawn from few, so that rules and packets meet.
const ADDRESSES4: [[u8; 4]; 6] =
    [[10, 0, 0, 5], [10, 0, 1, 5], [10, 1, 0, 1], [192, 168, 1, 1], [192, 168, 1, 200], [198, 51, 100, 7]];
const PROTOCOLS: [u8; 8] = [6, 17, 1, 58, 132, 47, 60, 44];
const FRAGMENTS4: [u16; 7] = [0, 0, 0, 0x4000, 0x2000, 0x2001, 0x0007];
const PORTS: [u16; 6] = [0, 22, 80, 443, 8080, 65535];
/// Priority and VLAN id: ids alone and with a priority, a priority alone, the ends of the range.
const TAGS: [u16; 8] = [5, 5, 100, 0xa005, 0x6000, 0, 1, 0xffff];
const TCP_FLAGS: [u8; 8] = [0x02, 0x02, 0x12, 0x10, 0x18, 0x04, 0x29, 0];

/// TCP flag of a segment that opens a connection.
const SYN: u8 = 0x02;

/// An Ethernet frame with an IPv4 TCP segment without payload.
pub(crate) fn tcp4(src: [u8; 4], dst: [u8; 4], sport: u16, port: u16) -> Vec<u8> {
    let segment = transport(6, sport, port, 0, SYN);
    ethernet(ETH_P_IP, &ipv4(src, dst, 6, &[], 0, &segment))
}

/// The frame with one more VLAN tag of the given EtherType, id 5.
pub(crate) fn vlan(frame: &[u8], ethertype: u16) -> Vec<u8> {
    tagged(frame, ethertype, 5)
}

/// The frame with one more VLAN tag of the given EtherType, with this priority and id.
pub(crate) fn tagged(frame: &[u8], ethertype: u16, tag: u16) -> Vec<u8> {
    let mut tagged = frame[..12].to_vec();
    tagged.extend(ethertype.to_be_bytes());
    tagged.extend(tag.to_be_bytes());
    tagged.extend(&frame[12..]);
    tagged
}

/// What rules look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flow {
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    pub(crate) protocol: u8,
    pub(crate) sport: u16,
    pub(crate) port: u16,
    /// Of a TCP header.
    pub(crate) tcp_flags: u8,
    /// Of the outermost tag; 0 for no tag.
    pub(crate) vlan: u16,
}

/// A plain packet of `flow`, whose addresses are of one family.
pub(crate) fn packet(flow: &Flow) -> Vec<u8> {
    let segment = transport(flow.protocol, flow.sport, flow.port, 8, flow.tcp_flags);
    let frame = match (flow.src, flow.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            ethernet(ETH_P_IP, &ipv4(src.octets(), dst.octets(), flow.protocol, &[], 0, &segment))
        }
        _ => ethernet(ETH_P_IPV6, &ipv6(octets6(flow.src), octets6(flow.dst), flow.protocol, &segment)),
    };
    in_vlan(frame, flow)
}

fn in_vlan(frame: Vec<u8>, flow: &Flow) -> Vec<u8> {
    if flow.vlan == 0 { frame } else { tagged(&frame, 0x8100, flow.vlan) }
}

/// A packet of `flow` in any guise: options, extension headers, fragments, VLAN tags; cut or damaged now and then.
pub(crate) fn disguised(flow: &Flow, mut choices: impl FnMut() -> u8) -> Vec<u8> {
    let segment = transport(flow.protocol, flow.sport, flow.port, choices(), flow.tcp_flags);
    let frame = match (flow.src, flow.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let (options, fragment) = (ip_options(&mut choices), pick(&FRAGMENTS4, choices()));
            ethernet(ETH_P_IP, &ipv4(src.octets(), dst.octets(), flow.protocol, &options, fragment, &segment))
        }
        _ => {
            let (next, body) = extended(flow.protocol, segment, &mut choices);
            ethernet(ETH_P_IPV6, &ipv6(octets6(flow.src), octets6(flow.dst), next, &body))
        }
    };
    let frame = in_vlan(frame, flow);
    if choices().is_multiple_of(4) { mangled(frame, choices) } else { frame }
}

/// A packet made of choices, one byte each; equal choices make equal packets. Well-formed more often than not.
pub(crate) fn arbitrary(mut choices: impl FnMut() -> u8) -> Vec<u8> {
    let frame = match choices() % 16 {
        0 => ethernet(ETH_P_ARP, &[0; 28]),
        1 => ethernet(u16::from_be_bytes([choices(), choices()]), &[choices(); 40]),
        2..9 => ethernet(ETH_P_IP, &arbitrary4(&mut choices)),
        _ => ethernet(ETH_P_IPV6, &arbitrary6(&mut choices)),
    };
    mangled(frame, choices)
}

/// The frame behind VLAN tags, with a byte changed, cut short or padded.
fn mangled(mut frame: Vec<u8>, mut choices: impl FnMut() -> u8) -> Vec<u8> {
    for _ in 0..[0, 0, 0, 1, 1, 2, 2, 3][usize::from(choices() % 8)] {
        let ethertype = if choices().is_multiple_of(2) { 0x8100 } else { 0x88a8 };
        frame = tagged(&frame, ethertype, pick(&TAGS, choices()));
    }
    if choices().is_multiple_of(8) {
        let at = usize::from(choices()) % frame.len();
        frame[at] = choices();
    }
    if choices().is_multiple_of(4) {
        frame.truncate(usize::from(choices()) % (frame.len() + 1));
    } else if choices().is_multiple_of(4) {
        frame.extend(vec![choices(); usize::from(choices() % 32)]);
    }
    frame
}

fn pick<T: Copy>(from: &[T], choice: u8) -> T {
    from[usize::from(choice) % from.len()]
}

fn arbitrary4(choices: &mut impl FnMut() -> u8) -> Vec<u8> {
    let protocol = pick(&PROTOCOLS, choices());
    let options = ip_options(choices);
    let fragment = pick(&FRAGMENTS4, choices());
    let segment = arbitrary_transport(protocol, choices);
    ipv4(pick(&ADDRESSES4, choices()), pick(&ADDRESSES4, choices()), protocol, &options, fragment, &segment)
}

fn arbitrary6(choices: &mut impl FnMut() -> u8) -> Vec<u8> {
    let protocol = pick(&PROTOCOLS, choices());
    let segment = arbitrary_transport(protocol, choices);
    let (next, body) = extended(protocol, segment, choices);
    let [src, dst] = [(); 2].map(|()| {
        let mut address = [0; 16];
        address[0] = 0xfd;
        address[3] = pick(&[0, 1], choices());
        address[15] = pick(&[1, 2, 5], choices());
        address
    });
    ipv6(src, dst, next, &body)
}

fn ip_options(choices: &mut impl FnMut() -> u8) -> Vec<u8> {
    vec![1; 4 * usize::from(pick(&[0_u8, 0, 0, 1, 10], choices()))]
}

/// The segment behind IPv6 extension headers, and the number of the first.
fn extended(protocol: u8, segment: Vec<u8>, choices: &mut impl FnMut() -> u8) -> (u8, Vec<u8>) {
    let (mut next, mut body) = (protocol, segment);
    for _ in 0..pick(&[0, 0, 0, 1, 1, 2, 8, 9], choices()) {
        let kind = pick(&[0_u8, 43, 44, 51, 60], choices());
        let mut header = vec![next, 0, 0, 0, 0, 0, 0, 0];
        match kind {
            44 => header[2..4].copy_from_slice(&pick(&[0_u16, 1, 1, 0x0008, 0x0009], choices()).to_be_bytes()),
            51 => {
                header[1] = 1;
                header.extend([0; 4]);
            }
            _ => {
                header[1] = choices() % 3;
                header.extend(vec![0; 8 * usize::from(header[1])]);
            }
        }
        header.extend(body);
        (body, next) = (header, kind);
    }
    (next, body)
}

fn octets6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

fn ipv6(src: [u8; 16], dst: [u8; 16], next: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes());
    // Neighbour discovery is only what no router has forwarded.
    let hops = if body.first().is_some_and(|kind| kind.is_multiple_of(2)) { 64 } else { 255 };
    packet.extend([next, hops]);
    packet.extend(src);
    packet.extend(dst);
    packet.extend(body);
    packet
}

fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame
}

fn ipv4(src: [u8; 4], dst: [u8; 4], protocol: u8, options: &[u8], fragment: u16, body: &[u8]) -> Vec<u8> {
    let words = u8::try_from(5 + options.len() / 4).unwrap_or(15);
    let total = u16::try_from(20 + options.len() + body.len()).unwrap_or(u16::MAX);
    let mut packet = vec![0x40 | words, 0];
    packet.extend(total.to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0]);
    packet.extend(src);
    packet.extend(dst);
    packet.extend(options);
    packet.extend(body);
    packet
}

fn arbitrary_transport(protocol: u8, choices: &mut impl FnMut() -> u8) -> Vec<u8> {
    let (sport, port) = (pick(&PORTS, choices()), pick(&PORTS, choices()));
    transport(protocol, sport, port, choices(), pick(&TCP_FLAGS, choices()))
}

/// A transport header with a little payload; `kind` is the ICMP type.
fn transport(protocol: u8, sport: u16, port: u16, kind: u8, tcp_flags: u8) -> Vec<u8> {
    let mut segment = vec![0; 24];
    if matches!(protocol, 6 | 17 | 132) {
        segment[..2].copy_from_slice(&sport.to_be_bytes());
        segment[2..4].copy_from_slice(&port.to_be_bytes());
    } else {
        segment[0] = if kind < 100 { 130 + kind % 10 } else { kind };
    }
    if protocol == 6 {
        segment[12] = 0x50;
        segment[13] = tcp_flags;
    }
    segment
}
