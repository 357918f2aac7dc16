//! A flow's identity: its 5-tuple, the same in both directions.

use std::net::IpAddr;

use super::HashKey;
use crate::wire::Headers;

/// A canonical 5-tuple. Invariant: `low <= high`, so both directions of a flow have one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlowKey {
    low: (IpAddr, u16),
    high: (IpAddr, u16),
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
        let (low, high) = if a <= b { (a, b) } else { (b, a) };
        Self { low, high, protocol }
    }

    /// Key of a packet. Fragments without ports share the flow of their address pair with port 0.
    #[must_use]
    pub fn of(headers: &Headers) -> Self {
        Self::new((headers.src, headers.src_port), (headers.dst, headers.dst_port), headers.protocol)
    }

    /// The two ends and the protocol.
    #[must_use]
    pub fn ends(&self) -> ((IpAddr, u16), (IpAddr, u16), u8) {
        (self.low, self.high, self.protocol)
    }

    /// Whether a packet from this address and port comes from the low end.
    #[must_use]
    pub fn starts_at(&self, src: IpAddr, port: u16) -> bool {
        self.low == (src, port)
    }

    /// The flow's number under `key`.
    #[must_use]
    pub fn id(&self, key: HashKey) -> u64 {
        let ports = u64::from(self.low.1) << 32 | u64::from(self.high.1) << 8 | u64::from(self.protocol);
        match (self.low.0, self.high.0) {
            (IpAddr::V4(low), IpAddr::V4(high)) => {
                key.hash([u64::from(low.to_bits()) << 32 | u64::from(high.to_bits()), ports])
            }
            (low, high) => {
                let ([a, b], [c, d]) = (halves(low), halves(high));
                key.hash([a, b, c, d, ports])
            }
        }
    }
}

/// An address as two words; IPv4 as its mapped IPv6 form.
fn halves(address: IpAddr) -> [u64; 2] {
    let bits = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    let low = u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0);
    [u64::try_from(bits >> 64).unwrap_or(0), low]
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
