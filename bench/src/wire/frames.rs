//! The frames of a load: flows, sizes and payloads, each frame whole and with its checksums right.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use etherparse::PacketBuilder;
use secuxflow::rules::shapes::Random;
use serde::Serialize;

use crate::traffic::Mix;

/// Bytes at the end of every frame that the generator writes its stamp into.
pub(crate) const STAMP: usize = 20;
/// Bytes at the beginning of every frame that a template holds; no frame is shorter.
pub(crate) const HEAD: usize = 64;
/// Longest frame: an Ethernet header and 1500 bytes.
pub(crate) const LONGEST: usize = 1514;
/// Most frames of one load.
pub(crate) const CAPACITY: usize = 1 << 17;
/// Seven small, four middling and one large of twelve: what is called the internet mix.
pub(crate) const IMIX: [usize; 12] = [64, 570, 64, 64, 570, 64, 1514, 64, 570, 64, 570, 64];

const PORT: u16 = 9;
const TTL: u8 = 64;

/// Its mean, cut to whole bytes.
pub(crate) const IMIX_MEAN: usize = (7 * 64 + 4 * 570 + 1514) / 12;

/// Of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Family {
    /// IPv4, frames of 64 bytes and more.
    Ipv4,
    /// IPv6, frames of 82 bytes and more.
    Ipv6,
}

/// What is behind the headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Payload {
    /// Zeros.
    Zero,
    /// Something like words.
    Text,
    /// Any bytes.
    Random,
}

/// Where frames go, and whose they seem to be.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) family: Family,
    /// Lengths of frames without the check sequence, in turn.
    pub(crate) sizes: Vec<usize>,
    pub(crate) payload: Payload,
    /// Flows, each with a source of its own.
    pub(crate) sources: Vec<(IpAddr, u16)>,
    /// How often each flow comes.
    pub(crate) mix: Mix,
}

/// Ethernet addresses of a frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Macs {
    pub(crate) from: [u8; 6],
    pub(crate) to: [u8; 6],
}

/// A frame, as far as it differs from others of its load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) head: [u8; HEAD],
    pub(crate) length: usize,
}

/// All frames of a load, in the order in which they are sent.
#[derive(Debug, Clone)]
pub(crate) struct Frames {
    /// The longest frame; what is behind [`HEAD`] is the beginning of this one's in every other.
    pub(crate) longest: Vec<u8>,
    pub(crate) templates: Vec<Template>,
}

/// Where frames are sent: a documented destination that no route leads to.
pub(crate) fn destination(family: Family) -> IpAddr {
    match family {
        Family::Ipv4 => Ipv4Addr::new(198, 19, 0, 2).into(),
        Family::Ipv6 => Ipv6Addr::new(0x2001, 2, 0, 2, 0, 0, 0, 2).into(),
    }
}

/// `count` flows: other addresses, and other ports. Of the ranges that RFC 2544 and RFC 5180 set aside for benchmarks.
pub(crate) fn flows(family: Family, count: u32) -> Vec<(IpAddr, u16)> {
    let source = |index: u32| match family {
        Family::Ipv4 => Ipv4Addr::from(0xc612_0000 | (index & 0xffff)).into(),
        Family::Ipv6 => Ipv6Addr::from(0x2001_0002_0000_0001_u128 << 64 | u128::from(index)).into(),
    };
    let port = |index: u32| 1024 + u16::try_from(index.wrapping_mul(7919) % 60_000).unwrap_or_default();
    (1..=count).map(|index| (source(index), port(index))).collect()
}

impl Load {
    /// `count` flows of frames of one size.
    pub(crate) fn plain(family: Family, size: usize, count: u32) -> Self {
        Self { family, sizes: vec![size], payload: Payload::Text, sources: flows(family, count), mix: Mix::Uniform }
    }

    /// The frames, with addresses of a wire. Flows and sizes are combined in turn, so that each flow has each size.
    pub(crate) fn frames(&self, macs: Macs) -> Result<Frames> {
        let shortest = match self.family {
            Family::Ipv4 => HEAD,
            Family::Ipv6 => 14 + 40 + 8 + STAMP,
        };
        for size in &self.sizes {
            ensure!(
                (shortest..=LONGEST).contains(size),
                "a frame of {size} bytes: {shortest} to {LONGEST} are possible"
            );
        }
        for (one, other) in self.sizes.iter().flat_map(|one| self.sizes.iter().map(move |other| (one, other))) {
            let apart = one == other || one.abs_diff(*other) >= STAMP;
            ensure!(apart, "frames of {one} and of {other} bytes in one load: sizes are equal, or {STAMP} bytes apart");
        }
        ensure!(!self.sources.is_empty() && !self.sizes.is_empty(), "a load of no flows, or of no sizes");
        let payload = self.payload_bytes();
        let (flows, sizes) = (self.sources.len(), self.sizes.len());
        let count = flows * sizes;
        ensure!(count <= CAPACITY, "{count} different frames: at most {CAPACITY} are possible");
        let longest = self.sizes.iter().copied().max().unwrap_or(shortest);
        let whole = self.frame(macs, self.sources[0], longest, &payload)?;
        let again = least_common_multiple(flows, sizes);
        let template = |index: usize| {
            // Where both would begin anew, the sizes move on by one.
            let length = self.sizes[(index + index / again) % sizes];
            let frame = self.frame(macs, self.sources[index % flows], length, &payload)?;
            let head = *frame.first_chunk().context("a frame shorter than its head")?;
            Ok(Template { head, length })
        };
        let templates: Vec<Template> = (0..count).map(template).collect::<Result<_>>()?;
        let templates = self.mix.draw(&templates, &mut Random(1));
        Ok(Frames { longest: whole, templates })
    }

    /// The payload of the longest frame. Where a shorter frame ends are zeros: its stamp stays in the buffer that the
    /// generator uses again, and is nothing to a checksum only in the place of nothing.
    fn payload_bytes(&self) -> Vec<u8> {
        const WORDS: [&str; 8] = ["alpha ", "of ", "packet ", "the ", "window ", "queue ", "and ", "frame "];
        let mut random = Random(2);
        let mut bytes = match self.payload {
            Payload::Zero => vec![0; LONGEST],
            Payload::Text => {
                let words = std::iter::repeat_with(|| random.pick(&WORDS).bytes());
                words.flatten().take(LONGEST).collect()
            }
            Payload::Random => (0..LONGEST).map(|_| random.byte()).collect(),
        };
        let headers = self.headers();
        for size in &self.sizes {
            // An odd distance from the headers' end would put a stamp across words of the checksum; it adds nothing
            // there either, for swapped bytes of 0xffff are 0xffff.
            bytes[size - STAMP - headers..size - headers].fill(0);
        }
        bytes
    }

    fn headers(&self) -> usize {
        match self.family {
            Family::Ipv4 => 14 + 20 + 8,
            Family::Ipv6 => 14 + 40 + 8,
        }
    }

    fn frame(&self, macs: Macs, source: (IpAddr, u16), size: usize, payload: &[u8]) -> Result<Vec<u8>> {
        let builder = PacketBuilder::ethernet2(macs.from, macs.to);
        let builder = match (source.0, destination(self.family)) {
            (IpAddr::V4(from), IpAddr::V4(to)) => builder.ipv4(from.octets(), to.octets(), TTL),
            (IpAddr::V6(from), IpAddr::V6(to)) => builder.ipv6(from.octets(), to.octets(), TTL),
            (from, to) => anyhow::bail!("{from} and {to} are not of one family"),
        };
        let mut frame = Vec::with_capacity(size);
        builder.udp(source.1, PORT).write(&mut frame, &payload[..size - self.headers()]).context("making a frame")?;
        Ok(frame)
    }
}

fn least_common_multiple(a: usize, b: usize) -> usize {
    let (mut x, mut y) = (a, b);
    while y > 0 {
        (x, y) = (y, x % y);
    }
    a / x * b
}

#[cfg(test)]
mod tests {
    use etherparse::{SlicedPacket, TransportSlice};

    use super::*;

    const MACS: Macs = Macs { from: [2, 0, 0, 0, 0, 1], to: [2, 0, 0, 0, 0, 2] };

    #[test]
    fn every_flow_comes_in_every_size() {
        let load = Load { sizes: IMIX.to_vec(), ..Load::plain(Family::Ipv4, 64, 1000) };
        let frames = load.frames(MACS).unwrap();
        assert_eq!((frames.longest.len(), frames.templates.len()), (1514, 12_000));
        assert_eq!(IMIX.iter().sum::<usize>() / IMIX.len(), IMIX_MEAN);
        let heads: std::collections::HashSet<_> = frames.templates.iter().map(|template| template.head).collect();
        assert_eq!(heads.len(), 3000, "each flow in each of three sizes");
    }

    #[test]
    fn frames_are_whole_for_both_families_and_refused_when_too_short() {
        for (family, size) in [(Family::Ipv4, 64), (Family::Ipv4, 1400), (Family::Ipv6, 82), (Family::Ipv6, 1514)] {
            let frames = Load::plain(family, size, 3).frames(MACS).unwrap();
            let packet = SlicedPacket::from_ethernet(&frames.longest).unwrap();
            let Some(TransportSlice::Udp(udp)) = packet.transport else { panic!("no UDP") };
            assert_eq!((udp.destination_port(), frames.longest.len()), (PORT, size));
        }
        let error = Load::plain(Family::Ipv6, 64, 1).frames(MACS).unwrap_err().to_string();
        assert_eq!(error, "a frame of 64 bytes: 82 to 1514 are possible");
        let near = Load { sizes: vec![90, 101], ..Load::plain(Family::Ipv4, 64, 1) };
        assert!(near.frames(MACS).unwrap_err().to_string().contains("20 bytes apart"));
    }
}
