//! Bits of addresses: `hostbits`, `xbits`.

use core::net::IpAddr;

use super::lru::Lru;
use crate::rule::options::bits::{BitOp, FlowBit, Track};

type Key = (u32, Option<IpAddr>, Option<IpAddr>);

/// The bits that are set, each until a time.
#[derive(Debug)]
pub struct HostBits(Lru<Key, u64>);

impl HostBits {
    /// At most `most` bits.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self(Lru::new(most))
    }

    fn key(bit: u32, track: Track, src: IpAddr, dst: IpAddr) -> Key {
        match track {
            Track::Source => (bit, Some(src), None),
            Track::Destination => (bit, Some(dst), None),
            Track::Pair | Track::Flow => (bit, Some(src.min(dst)), Some(src.max(dst))),
        }
    }

    fn is_set(&mut self, key: &Key, now: u64) -> bool {
        self.0.get(key).is_some_and(|until| *until > now)
    }

    /// Whether the condition holds.
    pub fn test(&mut self, bit: &FlowBit, src: IpAddr, dst: IpAddr, now: u64) -> bool {
        let set = bit.bits.iter().any(|number| self.is_set(&Self::key(*number, bit.track, src, dst), now));
        set == (bit.op == BitOp::IsSet)
    }

    /// Do what the rule says when it has matched.
    pub fn apply(&mut self, bit: &FlowBit, src: IpAddr, dst: IpAddr, now: u64) {
        for number in &bit.bits {
            let key = Self::key(*number, bit.track, src, dst);
            let set = match bit.op {
                BitOp::Set => true,
                BitOp::Toggle => !self.is_set(&key, now),
                _ => false,
            };
            if set {
                *self.0.get_or(key, || 0).0 = now.saturating_add(u64::from(bit.seconds) * 1_000_000_000);
            } else {
                self.0.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_of_addresses_expire() {
        let (a, b): (IpAddr, IpAddr) = ("1.1.1.1".parse().unwrap(), "2.2.2.2".parse().unwrap());
        let mut bits = HostBits::new(4);
        let bit = |op| FlowBit { track: Track::Source, op, bits: vec![1], seconds: 10 };
        bits.apply(&bit(BitOp::Set), a, b, 0);
        assert!(bits.test(&bit(BitOp::IsSet), a, b, 1) && bits.test(&bit(BitOp::IsNotSet), b, a, 1));
        assert!(!bits.test(&bit(BitOp::IsSet), a, b, 10_000_000_000));
        bits.apply(&bit(BitOp::Toggle), b, a, 0);
        assert!(bits.test(&bit(BitOp::IsSet), b, a, 1));
        bits.apply(&bit(BitOp::Unset), b, a, 0);
        assert!(!bits.test(&bit(BitOp::IsSet), b, a, 1));
    }
}
