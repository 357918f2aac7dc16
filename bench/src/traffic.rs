//! What packets come, and how often each.

use std::net::IpAddr;

use anyhow::{Result, bail};
use secuxflow::rules::shapes::Random;
use serde::Serialize;

/// How often a packet comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mix {
    /// Each as often as any other.
    Uniform,
    /// Most from few: the n-th most frequent comes with a share of 1 / n^1.2.
    Hot,
}

/// Both mixes.
pub(crate) const MIXES: [Mix; 2] = [Mix::Uniform, Mix::Hot];
const EXPONENT: f64 = 1.2;

impl Mix {
    /// As the figures name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Hot => "hot",
        }
    }

    /// As many packets as `frames` has, drawn from them.
    pub(crate) fn draw<T: Clone>(self, frames: &[T], random: &mut Random) -> Vec<T> {
        if self == Self::Uniform {
            return frames.to_vec();
        }
        let mut sum = 0.0;
        let shares: Vec<f64> = (1..=frames.len())
            .map(|rank| {
                sum += (rank as f64).powf(-EXPONENT);
                sum
            })
            .collect();
        let pick = |_| {
            // 53 bits are what a float holds.
            let at = (random.next() >> 11) as f64 / (1_u64 << 53) as f64 * sum;
            frames[shares.partition_point(|share| *share <= at).min(frames.len() - 1)].clone()
        };
        (0..frames.len()).map(pick).collect()
    }
}

/// A TCP segment without payload, from a client's port to 443.
pub(crate) fn tcp(src: IpAddr, dst: IpAddr) -> Result<Vec<u8>> {
    let segment = [0x9c, 0x40, 0x01, 0xbb, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0];
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            frame.extend([0x08, 0x00, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0]);
            frame.extend(src.octets());
            frame.extend(dst.octets());
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 6, 64]);
            frame.extend(src.octets());
            frame.extend(dst.octets());
        }
        _ => bail!("{src} and {dst} are not of one family"),
    }
    frame.extend(segment);
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use secuxflow::wire::{Frame, parse};

    use super::*;

    #[test]
    fn hot_traffic_is_mostly_of_few_flows_and_uniform_of_all() {
        let frames: Vec<Vec<u8>> = (0..4096_u32).map(|id| id.to_ne_bytes().to_vec()).collect();
        let mut random = Random(7);
        assert_eq!(Mix::Uniform.draw(&frames, &mut random), frames);
        let mut counts: HashMap<Vec<u8>, usize> = HashMap::new();
        for frame in Mix::Hot.draw(&frames, &mut random) {
            *counts.entry(frame).or_default() += 1;
        }
        let mut counts: Vec<usize> = counts.into_values().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!(counts.iter().sum::<usize>(), 4096);
        let top: usize = counts.iter().take(16).sum();
        assert!((2000..3500).contains(&top), "{top} of 4096 are of the 16 most frequent flows");
        assert!(counts.len() > 200, "{} flows", counts.len());
    }

    #[test]
    fn packets_are_whole_for_both_families() {
        for (src, dst) in [("10.0.0.1", "192.0.2.1"), ("2001:db8::1", "2001:db8::2")] {
            let (src, dst) = (src.parse().unwrap(), dst.parse().unwrap());
            let frame = tcp(src, dst).unwrap();
            let Frame::Ip(headers) = parse(&frame) else { panic!("{frame:02x?}") };
            assert_eq!((headers.src, headers.dst, headers.dst_port), (src, dst, 443));
        }
        assert!(tcp("10.0.0.1".parse().unwrap(), "::1".parse().unwrap()).is_err());
    }
}
