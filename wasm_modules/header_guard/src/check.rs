//! What is wrong with a packet's headers.

use secuxflow_abi::{Packet, flags};

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// A reason to drop a packet; its number is the alert's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Flaw {
    /// The Ethernet source is a group.
    GroupSender = 1,
    /// The version is not that of the EtherType, or the header is shorter than it has to be.
    Version = 2,
    /// The IPv4 header's checksum is wrong.
    Checksum = 3,
    /// The source is a group, loopback or unspecified.
    Source = 4,
    /// Source and destination are the same.
    Land = 5,
    /// TTL or hop limit 0.
    Expired = 6,
    /// The transport header says it is shorter than it has to be, or longer than the packet.
    Length = 7,
    /// TCP: no flag, SYN with FIN or RST.
    TcpFlags = 8,
}

impl Flaw {
    /// For people.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::GroupSender => "Ethernet source is a group address",
            Self::Version => "IP version or header length impossible",
            Self::Checksum => "IPv4 header checksum wrong",
            Self::Source => "source address impossible",
            Self::Land => "source and destination are the same",
            Self::Expired => "TTL or hop limit 0",
            Self::Length => "transport length impossible",
            Self::TcpFlags => "TCP flags impossible",
        }
    }
}

/// Check the headers of `frame`, which the descriptor is about. What a descriptor's offsets leave outside of the frame is
/// not looked at: the host has counted such packets as truncated.
///
/// # Errors
/// The first flaw.
#[inline]
pub fn check(packet: &Packet, frame: &[u8]) -> Result<(), Flaw> {
    // The lowest bit of the first byte marks a group.
    if frame.get(6).is_some_and(|byte| byte & 1 == 1) {
        return Err(Flaw::GroupSender);
    }
    let (l3, l4) = (usize::from(packet.l3), usize::from(packet.l4));
    match (packet.ethertype, frame.get(l3..l4)) {
        (IPV4, Some(header)) => ipv4(header)?,
        (IPV6, Some(headers)) => ipv6(headers)?,
        (IPV4 | IPV6, None) => {}
        _ => return Ok(()),
    }
    if packet.flags & (flags::LATER_FRAGMENT | flags::TRUNCATED) != 0 {
        return Ok(());
    }
    match packet.protocol {
        TCP => frame.get(l4..).map_or(Ok(()), |segment| tcp(segment, packet)),
        UDP => frame.get(l4..).map_or(Ok(()), |datagram| udp(datagram, packet)),
        _ => Ok(()),
    }
}

#[inline(always)]
fn ipv4(header: &[u8]) -> Result<(), Flaw> {
    let Some(fixed) = header.first_chunk::<20>() else { return Ok(()) };
    // The version, and the header's length in words.
    if usize::from(fixed[0]) != (0x40 | (header.len() / 4)) {
        return Err(Flaw::Version);
    }
    // The sum of 16-bit words is 0xffff once all carries are added back in: a multiple of it, and not 0, for the version is not.
    if !sum(header).is_multiple_of(0xffff) {
        return Err(Flaw::Checksum);
    }
    if fixed[8] == 0 {
        return Err(Flaw::Expired);
    }
    if fixed[12] == 127 || fixed[12] >= 224 {
        return Err(Flaw::Source);
    }
    if word(fixed, 12) == word(fixed, 16) { Err(Flaw::Land) } else { Ok(()) }
}

/// Four bytes as a number in the machine's byte order, to be compared: slices are compared by a call, byte by byte.
fn word(bytes: &[u8; 20], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Sum of the words of an IPv4 header, 20 to 60 bytes in steps of 4, in the machine's byte order: 0xffff, which a right
/// checksum makes of it, is the same in either.
///
/// Not a loop: in a guest each is a place where it may be interrupted, around which all values are put aside.
#[inline(always)]
fn sum(header: &[u8]) -> u64 {
    let (words, _) = header.as_chunks::<4>();
    let word = |n: usize| words.get(n).map_or(0, |word| u64::from(u32::from_ne_bytes(*word)));
    let fixed = word(0) + word(1) + word(2) + word(3) + word(4);
    if words.len() <= 5 {
        return fixed;
    }
    let options = word(5) + word(6) + word(7) + word(8) + word(9);
    fixed + options + word(10) + word(11) + word(12) + word(13) + word(14)
}

fn ipv6(headers: &[u8]) -> Result<(), Flaw> {
    let Some(fixed) = headers.first_chunk::<40>() else { return Ok(()) };
    if fixed[0] >> 4 != 6 {
        return Err(Flaw::Version);
    }
    if fixed[7] == 0 {
        return Err(Flaw::Expired);
    }
    let address = |at: usize| fixed[at..].first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes));
    let (src, dst) = (address(8), address(24));
    // ::1; :: is an honest source of neighbour discovery and of multicast reports.
    if src >> 120 == 0xff || src == 1 {
        return Err(Flaw::Source);
    }
    if src == dst { Err(Flaw::Land) } else { Ok(()) }
}

fn tcp(segment: &[u8], packet: &Packet) -> Result<(), Flaw> {
    let Some(fixed) = segment.first_chunk::<20>() else { return Ok(()) };
    let length = usize::from(fixed[12] >> 4) * 4;
    if length < 20 || length > usize::from(packet.payload - packet.l4) + usize::from(packet.payload_len) {
        return Err(Flaw::Length);
    }
    let (fin, syn, rst) = (fixed[13] & 1 != 0, fixed[13] & 2 != 0, fixed[13] & 4 != 0);
    if fixed[13] & 0x3f == 0 || syn && (fin || rst) { Err(Flaw::TcpFlags) } else { Ok(()) }
}

fn udp(datagram: &[u8], packet: &Packet) -> Result<(), Flaw> {
    let Some(fixed) = datagram.first_chunk::<8>() else { return Ok(()) };
    let length = u16::from_be_bytes([fixed[4], fixed[5]]);
    let whole = packet.flags & flags::FRAGMENT == 0;
    if length < 8 || whole && length > 8 + packet.payload_len { Err(Flaw::Length) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A UDP datagram of 4 bytes, and its descriptor.
    fn udp4() -> (Packet, Vec<u8>) {
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
        frame.extend([0x45, 0, 0, 32, 0, 0, 0, 0, 64, UDP, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        frame.extend([0x10, 0, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4]);
        let packet = Packet { l3: 14, l4: 34, payload: 42, payload_len: 4, ..descriptor(IPV4, UDP) };
        (packet, checksummed(frame))
    }

    fn udp6() -> (Packet, Vec<u8>) {
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd];
        frame.extend([0x60, 0, 0, 0, 0, 8, UDP, 64]);
        frame.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        frame.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        frame.extend([0x10, 0, 0, 53, 0, 8, 0, 0]);
        (Packet { l3: 14, l4: 54, payload: 62, payload_len: 0, ..descriptor(IPV6, UDP) }, frame)
    }

    fn tcp4(flags: u8, offset: u8) -> (Packet, Vec<u8>) {
        let mut frame = udp4().1;
        frame.truncate(34);
        (frame[17], frame[23]) = (40, TCP);
        frame.extend([0x10, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, offset << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
        (Packet { l3: 14, l4: 34, payload: 54, payload_len: 0, ..descriptor(IPV4, TCP) }, checksummed(frame))
    }

    fn descriptor(ethertype: u16, protocol: u8) -> Packet {
        Packet {
            flow: 0,
            frame: 0,
            len: 0,
            l3: 0,
            l4: 0,
            payload: 0,
            payload_len: 0,
            ethertype,
            src_port: 0,
            dst_port: 0,
            protocol,
            tcp_flags: 0,
            flags: 0,
            rule: 0,
            ingress: 0,
            verdict: 0,
            reserved: [0; 4],
        }
    }

    fn checksummed(mut frame: Vec<u8>) -> Vec<u8> {
        frame[24..26].fill(0);
        // What is 0 by the sum's modulus is 0xffff: no header is all zeros.
        let right = 0xffff - u16::try_from(sum(&frame[14..34]) % 0xffff).unwrap();
        frame[24..26].copy_from_slice(&right.to_ne_bytes());
        frame
    }

    #[test]
    fn honest_packets_pass() {
        for (packet, frame) in [udp4(), udp6(), tcp4(0x02, 5), tcp4(0x18, 5)] {
            assert_eq!(check(&packet, &frame), Ok(()), "{frame:02x?}");
        }
        assert_eq!(check(&descriptor(0x0806, 0), &[0; 42]), Ok(()));
    }

    #[test]
    fn each_flaw_is_told() {
        let change = |(packet, mut frame): (Packet, Vec<u8>), at: usize, byte| {
            frame[at] = byte;
            check(&packet, &frame).unwrap_err()
        };
        let change4 = |(packet, mut frame): (Packet, Vec<u8>), at: usize, byte| {
            frame[at] = byte;
            check(&packet, &checksummed(frame)).unwrap_err()
        };
        assert_eq!(change(udp4(), 6, 1), Flaw::GroupSender);
        assert_eq!(change(udp4(), 14, 0x65), Flaw::Version);
        assert_eq!(change(udp4(), 14, 0x44), Flaw::Version);
        assert_eq!(change(udp4(), 24, 0), Flaw::Checksum);
        assert_eq!(change4(udp4(), 22, 0), Flaw::Expired);
        assert_eq!(change4(udp4(), 26, 127), Flaw::Source);
        assert_eq!(change4(udp4(), 29, 2), Flaw::Land);
        assert_eq!(change(udp4(), 39, 7), Flaw::Length);
        assert_eq!(change(udp4(), 39, 13), Flaw::Length);
        assert_eq!(change(udp6(), 14, 0x40), Flaw::Version);
        assert_eq!(change(udp6(), 21, 0), Flaw::Expired);
        assert_eq!(change(udp6(), 22, 0xff), Flaw::Source);
        assert_eq!(change(udp6(), 22 + 15, 2), Flaw::Land);
        for (flags, offset, flaw) in [
            (0, 5, Flaw::TcpFlags),
            (3, 5, Flaw::TcpFlags),
            (6, 5, Flaw::TcpFlags),
            (2, 4, Flaw::Length),
            (2, 6, Flaw::Length),
        ] {
            let (packet, frame) = tcp4(flags, offset);
            assert_eq!(check(&packet, &frame), Err(flaw));
        }
    }

    #[test]
    fn options_are_part_of_the_checksum() {
        for words in 6..=15_u8 {
            let (packet, mut frame) = udp4();
            frame[14] = 0x40 | words;
            let end = 14 + usize::from(words) * 4;
            frame.splice(34..34, (0x90..).take(end - 34));
            frame[24..26].fill(0);
            let pairs = frame[14..end].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
            let sum: u32 = pairs.sum();
            let right = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
            frame[24..26].copy_from_slice(&right.to_be_bytes());
            let l4 = u16::try_from(end).unwrap();
            let packet = Packet { l4, payload: l4 + 8, ..packet };
            assert_eq!(check(&packet, &frame), Ok(()), "{words}");
            frame[end - 1] ^= 1;
            assert_eq!(check(&packet, &frame), Err(Flaw::Checksum), "{words}");
        }
    }

    #[test]
    fn no_frame_is_too_short_to_be_looked_at() {
        for (packet, frame) in [udp4(), udp6(), tcp4(2, 5)] {
            for length in 0..frame.len() {
                // Only that it answers: what is cut off is not looked at.
                let _ = check(&packet, &frame[..length]);
            }
        }
    }
}
