//! A frame made up from a probe's tuple, as a client would send it.

use std::net::IpAddr;

use etherparse::{IpNumber, Ipv6FlowLabel, PacketBuilder, TcpHeader};

use super::Probe;

/// Longest payload of a probe in bytes; with every header it still fits a frame of 2048.
pub(super) const MAX_PAYLOAD: usize = 1400;

/// The frame for `probe`, checksums included. TCP is a data segment (PSH and ACK), or a SYN when the payload is empty;
/// ICMP is an echo request.
///
/// # Errors
/// The field, and the rule it breaks.
pub(super) fn build(probe: &Probe) -> Result<Vec<u8>, String> {
    let Probe { src, dst, sport, port, protocol, payload } = probe;
    if payload.len() > MAX_PAYLOAD {
        return Err(format!("payload: {} bytes, at most {MAX_PAYLOAD} fit", payload.len()));
    }
    let link = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let ip = match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => link.ipv4(src.octets(), dst.octets(), 64),
        (IpAddr::V6(src), IpAddr::V6(dst)) => link.ip(etherparse::IpHeaders::Ipv6(
            etherparse::Ipv6Header {
                traffic_class: 0,
                flow_label: Ipv6FlowLabel::ZERO,
                payload_length: 0,
                next_header: IpNumber(*protocol),
                hop_limit: 64,
                source: src.octets(),
                destination: dst.octets(),
            },
            etherparse::Ipv6Extensions::default(),
        )),
        _ => return Err(format!("dst '{dst}': must be of the same family as {src}")),
    };
    if matches!((IpNumber(*protocol), src.is_ipv4()), (IpNumber::ICMP, false) | (IpNumber::IPV6_ICMP, true)) {
        return Err(format!("proto '{protocol}': icmp belongs to IPv4 addresses and icmpv6 to IPv6 ones"));
    }
    let mut frame = Vec::new();
    let written = match IpNumber(*protocol) {
        IpNumber::TCP => {
            let mut header = TcpHeader::new(*sport, *port, 1, 64240);
            header.syn = payload.is_empty();
            header.ack = !payload.is_empty();
            header.psh = header.ack;
            header.acknowledgment_number = u32::from(header.ack);
            ip.tcp_header(header).write_to_vec(&mut frame, payload)
        }
        IpNumber::UDP => ip.udp(*sport, *port).write_to_vec(&mut frame, payload),
        IpNumber::ICMP => ip.icmpv4_echo_request(1, 1).write_to_vec(&mut frame, payload),
        IpNumber::IPV6_ICMP => ip.icmpv6_echo_request(1, 1).write_to_vec(&mut frame, payload),
        IpNumber::SCTP => {
            let mut segment = Vec::with_capacity(12 + payload.len());
            segment.extend(sport.to_be_bytes());
            segment.extend(port.to_be_bytes());
            segment.extend([0; 8]);
            segment.extend(payload);
            ip.write_to_vec(&mut frame, IpNumber::SCTP, &segment)
        }
        other => ip.write_to_vec(&mut frame, other, payload),
    };
    written.map_err(|error| format!("proto '{protocol}': {error}"))?;
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Frame, parse};

    fn probe(src: &str, dst: &str, protocol: u8) -> Probe {
        let (src, dst) = (src.parse().unwrap(), dst.parse().unwrap());
        Probe { src, dst, sport: 40000, port: 443, protocol, payload: b"hello".to_vec() }
    }

    #[test]
    fn every_protocol_parses_back() {
        for (src, dst) in [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")] {
            let icmp = if src.contains(':') { 58 } else { 1 };
            for protocol in [icmp, 6, 17, 47, 132, 255] {
                let probe = probe(src, dst, protocol);
                let Frame::Ip(headers) = parse(&build(&probe).unwrap()) else { panic!("{protocol}") };
                assert_eq!((headers.src, headers.dst, headers.protocol), (probe.src, probe.dst, protocol));
                assert_eq!(headers.payload_len, 5, "{protocol}");
                let ports = if matches!(protocol, 6 | 17 | 132) { (40000, 443) } else { (0, 0) };
                assert_eq!((headers.src_port, headers.dst_port), ports);
                assert!(!headers.truncated);
            }
        }
    }

    #[test]
    fn what_cannot_be_a_packet_is_refused() {
        assert!(build(&probe("192.0.2.1", "2001:db8::2", 6)).unwrap_err().contains("same family"));
        assert!(build(&probe("192.0.2.1", "192.0.2.2", 58)).unwrap_err().contains("icmpv6"));
        let long = Probe { payload: vec![0; MAX_PAYLOAD + 1], ..probe("192.0.2.1", "192.0.2.2", 6) };
        assert!(build(&long).unwrap_err().contains("payload"));
    }
}
