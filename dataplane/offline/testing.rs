//! Captures for tests, written by hand: what no tool would write is among them.

/// Byte order of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Little,
    Big,
}

impl Order {
    pub(crate) fn u16(self, value: u16) -> [u8; 2] {
        if self == Self::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    pub(crate) fn u32(self, value: u32) -> [u8; 4] {
        if self == Self::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }
}

fn len(data: &[u8]) -> u32 {
    u32::try_from(data.len()).unwrap()
}

/// Header of a pcap file.
pub(crate) fn pcap_header(order: Order, nanoseconds: bool, link: u32) -> Vec<u8> {
    let mut file = order.u32(if nanoseconds { 0xa1b2_3c4d } else { 0xa1b2_c3d4 }).to_vec();
    file.extend([order.u16(2), order.u16(4)].concat());
    file.extend([order.u32(0), order.u32(0), order.u32(262_144), order.u32(link)].concat());
    file
}

/// A record of a pcap file; `fraction` in its unit.
pub(crate) fn pcap_record(order: Order, seconds: u32, fraction: u32, data: &[u8], original: u32) -> Vec<u8> {
    let mut record = [order.u32(seconds), order.u32(fraction), order.u32(len(data)), order.u32(original)].concat();
    record.extend(data);
    record
}

/// A pcap file of Ethernet frames, a millisecond apart.
pub(crate) fn pcap(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = pcap_header(Order::Little, false, 1);
    for (n, frame) in (0_u32..).zip(frames) {
        file.extend(pcap_record(Order::Little, 1000 + n / 1000, n % 1000 * 1000, frame, len(frame)));
    }
    file
}

/// A pcapng block.
pub(crate) fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let mut padded = body.to_vec();
    padded.resize(body.len().next_multiple_of(4), 0);
    let length = order.u32(len(&padded) + 12);
    [&order.u32(kind)[..], &length, &padded, &length].concat()
}

/// A section header.
pub(crate) fn section(order: Order) -> Vec<u8> {
    let body = [&order.u32(0x1a2b_3c4d)[..], &order.u16(1), &order.u16(0), &[0xff; 8]].concat();
    block(order, 0x0a0d_0d0a, &body)
}

/// An interface with options, each a code and its bytes.
pub(crate) fn interface(order: Order, link: u16, snaplen: u32, options: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = [&order.u16(link)[..], &order.u16(0), &order.u32(snaplen)].concat();
    for (code, value) in options {
        body.extend([order.u16(*code), order.u16(u16::try_from(value.len()).unwrap())].concat());
        body.extend(*value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    if !options.is_empty() {
        body.extend([0; 4]);
    }
    block(order, 1, &body)
}

/// An enhanced packet.
pub(crate) fn enhanced(order: Order, interface: u32, units: u64, data: &[u8], original: u32) -> Vec<u8> {
    let (high, low) = (u32::try_from(units >> 32).unwrap(), u32::try_from(units & 0xffff_ffff).unwrap());
    let fields = [interface, high, low, len(data), original].map(|field| order.u32(field)).concat();
    block(order, 6, &[&fields[..], data].concat())
}

/// A simple packet.
pub(crate) fn simple(order: Order, data: &[u8], original: u32) -> Vec<u8> {
    block(order, 3, &[&order.u32(original)[..], data].concat())
}
