//! Lists of IPv4 prefixes as they are met, made up.

use std::{collections::HashSet, net::Ipv4Addr};

use ipnet::Ipv4Net;
use secuxflow::rules::shapes::Random;

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A threat feed: hosts, near one another, and some networks.
    Feed,
    /// A routing table: half of it /24.
    Routes,
}

/// `count` different prefixes.
pub(crate) fn list(kind: Kind, count: usize, random: &mut Random) -> Vec<Ipv4Net> {
    let (mut prefixes, mut seen) = (Vec::with_capacity(count), HashSet::with_capacity(count));
    let mut network = 0;
    while prefixes.len() < count {
        let word = u32::try_from(random.next() >> 32).unwrap_or_default();
        let length = match kind {
            Kind::Feed => feed_length(random),
            Kind::Routes => routes_length(random),
        };
        // What attacks comes in swarms: a feed names about eight hosts and networks of a /16.
        if kind == Kind::Routes || word.is_multiple_of(8) {
            network = u32::from(random.port());
        }
        let address = Ipv4Addr::from(unicast(network << 16 | word >> 16));
        let prefix = Ipv4Net::new_assert(address, length).trunc();
        if seen.insert(prefix) {
            prefixes.push(prefix);
        }
    }
    prefixes
}

/// Neither 0.0.0.0/8 nor multicast and above.
pub(crate) fn unicast(address: u32) -> u32 {
    address & 0x00ff_ffff | (((address >> 24) % 223 + 1) << 24)
}

/// Hosts mostly, some /24, and few of other lengths.
fn feed_length(random: &mut Random) -> u8 {
    match random.byte() {
        0..210 => 32,
        210..240 => 24,
        240..248 => 25 + random.byte() % 7,
        _ => 16 + random.byte() % 8,
    }
}

/// Of the table of a default-free router: 60 % /24, a fifth /22 and /23, few shorter than /16.
fn routes_length(random: &mut Random) -> u8 {
    match random.byte() {
        0..154 => 24,
        154..182 => 23,
        182..208 => 22,
        208..220 => 21,
        220..232 => 20,
        232..238 => 19,
        238..253 => 16 + random.byte() % 3,
        _ => 9 + random.byte() % 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_of_the_kind_and_have_no_prefix_twice() {
        for (kind, length, least) in [(Kind::Feed, 32, 7500), (Kind::Routes, 24, 5500)] {
            let prefixes = list(kind, 10_000, &mut Random(5));
            assert_eq!(prefixes.iter().collect::<HashSet<_>>().len(), 10_000);
            let most = prefixes.iter().filter(|prefix| prefix.prefix_len() == length).count();
            assert!((least..9000).contains(&most), "{kind:?}: {most} of 10,000 are /{length}");
            assert!(prefixes.iter().all(|prefix| *prefix == prefix.trunc() && !prefix.network().is_multicast()));
        }
    }
}
