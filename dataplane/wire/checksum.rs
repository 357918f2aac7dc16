//! The Internet checksum: whole (RFC 1071), incremental (RFC 1624), and the completion of partial ones.

use std::net::IpAddr;

use super::{Fragment, Headers};

const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;

/// Sum of the 16-bit words of `bytes`, on top of `sum`; an odd last byte counts as the high one. Not folded: overflow
/// is impossible below 2^48 bytes.
#[must_use]
pub fn sum(bytes: &[u8], sum: u64) -> u64 {
    // In the machine's own byte order, which a sum of ones' complement can be brought into at the end, RFC 1071 section
    // 2(B): so the compiler adds many words at once.
    let mut native = 0;
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        // Two 16-bit words at once: their sum folds to the same value.
        native += u64::from(u32::from_ne_bytes([word[0], word[1], word[2], word[3]]));
    }
    let mut last = [0; 4];
    let rest = words.remainder();
    last[..rest.len()].copy_from_slice(rest);
    native += u64::from(u32::from_ne_bytes(last));
    sum + u64::from(u16::from_be_bytes(fold(native).to_ne_bytes()))
}

/// Fold a sum to 16 bits, carries added back in.
#[must_use]
pub fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    u16::try_from(sum).unwrap_or(u16::MAX)
}

/// Internet checksum of `bytes`, whose own checksum field is zero.
#[must_use]
pub fn internet(bytes: &[u8]) -> u16 {
    !fold(sum(bytes, 0))
}

/// Checksum after a 16-bit word under it changed from `old` to `new`: HC' = ~(~HC + ~m + m'), RFC 1624.
#[must_use]
pub fn update(checksum: u16, old: u16, new: u16) -> u16 {
    !fold(u64::from(!checksum) + u64::from(!old) + u64::from(new))
}

/// Folded sum of the pseudo-header, RFC 9293 section 3.1 and RFC 8200 section 8.1; `length` is that of the transport
/// header and payload.
#[must_use]
pub fn pseudo_header(src: IpAddr, dst: IpAddr, protocol: u8, length: u16) -> u16 {
    let addresses = match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => sum(&dst.octets(), sum(&src.octets(), 0)),
        (src, dst) => {
            let octets = |address| match address {
                IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
                IpAddr::V6(v6) => v6.octets(),
            };
            sum(&octets(dst), sum(&octets(src), 0))
        }
    };
    fold(addresses + u64::from(protocol) + u64::from(length))
}

/// Complete the transport checksum of a packet that was never on a wire: its field holds only the pseudo-header's sum,
/// as a local sender leaves it for the network card. Returns whether there was anything to do.
///
/// A packet that came over a wire holds that value by chance once in 65,536 times; completing it then writes the value
/// that was there, unless the packet is corrupt.
pub fn complete_partial(frame: &mut [u8], headers: &Headers) -> bool {
    let Some((at, whole)) = completed(frame, headers) else { return false };
    frame[at..at + 2].copy_from_slice(&whole.to_be_bytes());
    true
}

/// What [`complete_partial`] would write, and where; none where there is nothing to do.
#[must_use]
pub fn completed(frame: &[u8], headers: &Headers) -> Option<(usize, u16)> {
    let field = match headers.protocol {
        IPPROTO_TCP => 16,
        IPPROTO_UDP => 6,
        _ => return None,
    };
    if headers.fragment != Fragment::None || headers.truncated {
        return None;
    }
    let start = usize::from(headers.l4);
    let end = usize::from(headers.payload) + usize::from(headers.payload_len);
    let segment = frame.get(start..end)?;
    let length = u16::try_from(segment.len()).ok()?;
    let stored = segment.get(field..field + 2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))?;
    let pseudo = pseudo_header(headers.src, headers.dst, headers.protocol, length);
    if stored != pseudo {
        return None;
    }
    // The field holds the pseudo-header's sum already, so summing the segment as it is includes it.
    let whole = match !fold(sum(segment, 0)) {
        0 if headers.protocol == IPPROTO_UDP => 0xffff,
        whole => whole,
    };
    Some((start + field, whole))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, word by word.
    fn naive(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for (i, &byte) in bytes.iter().enumerate() {
            sum += u32::from(byte) << if i % 2 == 0 { 8 } else { 0 };
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !u16::try_from(sum).unwrap()
    }

    #[test]
    fn the_example_of_rfc_1071() {
        assert_eq!(fold(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7], 0)), 0xddf2);
    }

    #[test]
    fn the_example_of_rfc_1624() {
        // Section 4: 0xDD2F, a word changing from 0x5555 to 0x3285.
        assert_eq!(update(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    proptest! {
        #[test]
        fn equals_the_definition(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert_eq!(internet(&bytes), naive(&bytes));
        }

        #[test]
        fn an_update_equals_a_recomputation(
            mut bytes in prop::collection::vec(any::<u8>(), 20..60), at in 0usize..9, new: u16
        ) {
            // Some other word is not zero, as in every IP header; else the two zeros of ones' complement come into play.
            bytes[18] = 0x45;
            let before = naive(&bytes);
            let old = u16::from_be_bytes([bytes[at * 2], bytes[at * 2 + 1]]);
            bytes[at * 2..at * 2 + 2].copy_from_slice(&new.to_be_bytes());
            prop_assert_eq!(update(before, old, new), naive(&bytes));
        }
    }
}
