//! Named sets of prefixes: what rules call `@name`, and blocklists.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

/// Most prefixes in one set.
pub const MAX_SET_PREFIXES: usize = 1 << 20;
/// Longest name of a set in bytes.
pub const MAX_SET_NAME: usize = 32;

/// A set of prefixes. Kept in two forms: the prefixes, from which the kernel's tables are compiled, and the ranges of
/// addresses that they cover, which the reference model searches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixSet {
    name: String,
    blocklist: bool,
    /// Ascending, each once.
    prefixes: Vec<IpNet>,
    v4: Ranges<Ipv4Addr>,
    v6: Ranges<Ipv6Addr>,
}

/// First and last addresses. Invariant: ascending, disjoint.
type Ranges<T> = Vec<(T, T)>;

impl PrefixSet {
    /// The set `name` of `prefixes`, in any order. Packets from a `blocklist` are dropped before any rule is looked at.
    #[must_use]
    pub fn new(name: impl Into<String>, blocklist: bool, prefixes: impl IntoIterator<Item = IpNet>) -> Self {
        // By families: numbers sort several times faster than what may be of either.
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for net in prefixes {
            match net {
                IpNet::V4(net) => v4.push(u64::from(net.network().to_bits()) << 8 | u64::from(net.prefix_len())),
                IpNet::V6(net) => v6.push(net.trunc()),
            }
        }
        v4.sort_unstable();
        v4.dedup();
        v6.sort_unstable();
        v6.dedup();
        let v4_ranges = ranges(v4.iter().map(|key| v4_net(*key)).map(|net| (net.network(), net.broadcast())));
        let v6_ranges = ranges(v6.iter().map(|net| (net.network(), net.broadcast())));
        let mut prefixes = Vec::with_capacity(v4.len() + v6.len());
        prefixes.extend(v4.into_iter().map(v4_net).map(IpNet::V4));
        prefixes.extend(v6.into_iter().map(IpNet::V6));
        Self { name: name.into(), blocklist, prefixes, v4: v4_ranges, v6: v6_ranges }
    }

    /// Its name, without the `@`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether packets from its addresses are dropped before any rule is looked at.
    #[must_use]
    pub fn is_blocklist(&self) -> bool {
        self.blocklist
    }

    /// The prefixes, ascending, each once; they may lie in each other.
    #[must_use]
    pub fn prefixes(&self) -> &[IpNet] {
        &self.prefixes
    }

    /// Whether one of the prefixes holds `address`.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => in_ranges(&self.v4, address),
            IpAddr::V6(address) => in_ranges(&self.v6, address),
        }
    }
}

/// The prefix of a key: address, then length in the low eight bits.
fn v4_net(key: u64) -> Ipv4Net {
    let [.., a, b, c, d, length] = key.to_be_bytes();
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

/// Join ranges, ordered by their first addresses, that overlap. Of prefixes that do, one holds the other.
fn ranges<T: Copy + Ord>(prefixes: impl Iterator<Item = (T, T)>) -> Ranges<T> {
    let mut joined: Ranges<T> = Vec::new();
    for (first, last) in prefixes {
        match joined.last_mut() {
            Some(before) if first <= before.1 => before.1 = before.1.max(last),
            _ => joined.push((first, last)),
        }
    }
    joined
}

fn in_ranges<T: Copy + Ord>(ranges: &[(T, T)], address: T) -> bool {
    let behind = ranges.partition_point(|(first, _)| *first <= address);
    behind > 0 && address <= ranges[behind - 1].1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn overlapping_prefixes_of_both_families_are_one_set() {
        let set =
            PrefixSet::new("a", false, nets(&["10.1.0.0/16", "10.0.0.0/8", "fd00::/8", "192.0.2.1/32", "10.0.0.0/8"]));
        assert_eq!(set.prefixes().len(), 4);
        for (address, inside) in
            [("10.255.255.255", true), ("11.0.0.0", false), ("192.0.2.1", true), ("fdff::1", true), ("fe00::", false)]
        {
            assert_eq!(set.contains(address.parse().unwrap()), inside, "{address}");
        }
    }

    proptest! {
        #[test]
        fn an_address_is_in_the_set_when_a_prefix_holds_it(
            prefixes in proptest::collection::vec((any::<u32>(), 0..=32_u8), 0..40), at: usize, near in -2_i64..3,
        ) {
            let prefixes: Vec<IpNet> =
                prefixes.into_iter().map(|(ip, len)| IpNet::new(Ipv4Addr::from(ip).into(), len).unwrap().trunc()).collect();
            let base = prefixes.get(at % 50).map_or(0, |net| match net.broadcast() {
                IpAddr::V4(ip) => i64::from(ip.to_bits()),
                IpAddr::V6(_) => 0,
            });
            let address = IpAddr::from(Ipv4Addr::from(u32::try_from((base + near).clamp(0, u32::MAX.into())).unwrap()));
            let set = PrefixSet::new("a", false, prefixes.clone());
            prop_assert_eq!(set.contains(address), prefixes.iter().any(|net| net.contains(&address)));
        }
    }
}
