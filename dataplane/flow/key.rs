//! A flow's identity: its 5-tuple, the same in both directions.

use std::net::{IpAddr, Ipv6Addr};

use super::HashKey;
use crate::wire::Headers;

/// One end of a flow, in whole words: an address, IPv4 as its mapped IPv6 form, and a port. They are compared and hashed in a
/// few instructions, addresses as the standard library has them in many. And they are read as they were written: a word put
/// together from pieces that were just stored, or two words at once, would be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct End {
    high: u64,
    low: u64,
    /// The port, and a bit for IPv6: IPv4 and the address that it maps to are two.
    tail: u64,
}

impl End {
    #[inline(always)]
    fn new(address: &IpAddr, port: u16) -> Self {
        let (high, low, v6) = match address {
            IpAddr::V4(v4) => (0, MAPPED | u64::from(v4.to_bits()), 0),
            IpAddr::V6(v6) => {
                let (high, low) = words(v6);
                (high, low, 1)
            }
        };
        Self { high, low, tail: u64::from(port) << 1 | v6 }
    }

    fn port(self) -> u16 {
        u16::try_from(self.tail >> 1).unwrap_or(0)
    }

    fn is_v6(self) -> bool {
        self.tail & 1 == 1
    }

    fn address(self) -> IpAddr {
        let v6 = Ipv6Addr::from_bits(u128::from(self.high) << 64 | u128::from(self.low));
        // An IPv4 address is kept as the IPv6 address that it maps to.
        v6.to_ipv4_mapped().filter(|_| !self.is_v6()).map_or(IpAddr::V6(v6), IpAddr::V4)
    }
}

/// An IPv6 address as words. By itself, for what reads 16 bytes is not to be begun for an address whose 4 were just written.
#[inline(never)]
fn words(v6: &Ipv6Addr) -> (u64, u64) {
    let word = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0);
    (word(v6.to_bits() >> 64), word(v6.to_bits()))
}

/// What precedes an IPv4 address in the IPv6 address that it maps to, RFC 4291 section 2.5.5.2.
const MAPPED: u64 = 0xffff << 32;

/// A canonical 5-tuple. Invariant: `low <= high`, so both directions of a flow have one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlowKey {
    low: End,
    high: End,
    protocol: u8,
}

/// A flow's number as people and readers of alerts see it, of 53 bits: JSON's readers may take it for a double.
#[must_use]
pub fn public_id(id: u64) -> u64 {
    id & (u64::MAX >> 11)
}

impl FlowKey {
    /// Key of a tuple, whichever way round it is given.
    #[must_use]
    pub fn new(a: (IpAddr, u16), b: (IpAddr, u16), protocol: u8) -> Self {
        Self::between(End::new(&a.0, a.1), End::new(&b.0, b.1), protocol).0
    }

    /// Key of a packet, and which direction it goes: 0 from the key's low end. Fragments without ports share the flow of
    /// their address pair with port 0.
    #[inline(always)]
    #[must_use]
    pub fn of(headers: &Headers) -> (Self, usize) {
        let (src, dst) = (End::new(&headers.src, headers.src_port), End::new(&headers.dst, headers.dst_port));
        Self::between(src, dst, headers.protocol)
    }

    #[inline(always)]
    fn between(from: End, to: End, protocol: u8) -> (Self, usize) {
        if from <= to {
            (Self { low: from, high: to, protocol }, 0)
        } else {
            (Self { low: to, high: from, protocol }, 1)
        }
    }

    /// The two ends and the protocol.
    #[must_use]
    pub fn ends(&self) -> ((IpAddr, u16), (IpAddr, u16), u8) {
        let end = |end: End| (end.address(), end.port());
        (end(self.low), end(self.high), self.protocol)
    }

    /// Whether a packet from this address and port comes from the low end.
    #[must_use]
    pub fn starts_at(&self, src: IpAddr, port: u16) -> bool {
        self.low == End::new(&src, port)
    }

    /// The flow's number under `key`.
    #[inline]
    #[must_use]
    pub fn id(&self, key: HashKey) -> u64 {
        let Self { low, high, protocol } = *self;
        let ports = low.tail >> 1 << 32 | high.tail >> 1 << 8 | u64::from(protocol);
        if low.is_v6() || high.is_v6() {
            key.hash([low.high, low.low, high.high, high.low, ports])
        } else {
            key.hash([low.low << 32 | high.low & u64::from(u32::MAX), ports])
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashSet,
        net::{Ipv4Addr, Ipv6Addr},
    };

    use proptest::prelude::*;

    use super::*;

    fn address() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            any::<u32>().prop_map(|b| Ipv4Addr::from(b).into()),
            any::<u128>().prop_map(|b| Ipv6Addr::from(b).into())
        ]
    }

    proptest! {
        #[test]
        fn both_directions_are_one_flow(
            a in (address(), any::<u16>()), b in (address(), any::<u16>()), protocol: u8, k: (u64, u64)
        ) {
            let key = HashKey::fixed(k.0, k.1);
            let (there, back) = (FlowKey::new(a, b, protocol), FlowKey::new(b, a, protocol));
            prop_assert_eq!(there, back);
            prop_assert_eq!(there.id(key), back.id(key));
        }

        #[test]
        fn a_different_port_or_protocol_is_another_flow(
            a in (address(), any::<u16>()), b in (address(), any::<u16>()), protocol: u8, other: u16
        ) {
            prop_assume!(other != a.1);
            let key = HashKey::fixed(1, 2);
            let flow = FlowKey::new(a, b, protocol).id(key);
            // With source and destination address equal the tuple may be the same flow the other way round.
            prop_assume!(FlowKey::new((a.0, other), b, protocol) != FlowKey::new(a, b, protocol));
            prop_assert_ne!(flow, FlowKey::new((a.0, other), b, protocol).id(key));
            prop_assert_ne!(flow, FlowKey::new(a, b, !protocol).id(key));
        }
    }

    #[test]
    fn flows_of_a_busy_server_spread() {
        let key = HashKey::random();
        let server = (IpAddr::from([10, 0, 0, 1]), 443);
        let mut ids = HashSet::new();
        let mut buckets = [0u32; 256];
        for client in 0..4u8 {
            for port in 1024..17_408 {
                let id = FlowKey::new((IpAddr::from([10, 1, 0, client]), port), server, 6).id(key);
                assert!(ids.insert(id), "two flows share an id");
                buckets[usize::from(id.to_le_bytes()[0])] += 1;
            }
        }
        // 256 a bucket on average; with a standard deviation of 16 none is off by a half in practice.
        assert!(buckets.iter().all(|n| (128..384).contains(n)), "{buckets:?}");
    }

    #[test]
    fn the_key_matters() {
        let flow = FlowKey::new((IpAddr::from([1, 2, 3, 4]), 5), (IpAddr::from([6, 7, 8, 9]), 10), 17);
        assert_ne!(flow.id(HashKey::random()), flow.id(HashKey::random()));
    }
}
