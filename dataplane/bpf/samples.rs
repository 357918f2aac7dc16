//! Samples of packets that monitor mode let through, out of the ring buffer that all generations share.

use std::net::{IpAddr, Ipv6Addr};

use libbpf_rs::{MapHandle, RingBufferBuilder};

use super::{
    BpfError,
    types::{Address, Limits, RawSample},
};
use crate::rules::{Monitored, RuleId};

/// A packet that would have been dropped, but for monitor mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// What would have dropped it.
    pub monitored: Monitored,
    /// Kernel index of the interface it came in by.
    pub ifindex: u32,
    /// Its length in bytes, Ethernet header included.
    pub bytes: u32,
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Source port, 0 where there is none.
    pub sport: u16,
    /// Destination port, 0 where there is none.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u8,
}

impl Sample {
    fn of(raw: &RawSample) -> Self {
        let monitored = match raw.rule {
            0 if raw.slot == Limits::SXF_BLOCKLIST_SLOT.0 => Monitored::Blocklist,
            0 => Monitored::Default,
            number => Monitored::Rule(RuleId(number)),
        };
        Self {
            monitored,
            ifindex: raw.ifindex,
            bytes: raw.bytes,
            src: ip(raw.src, raw.v6),
            dst: ip(raw.dst, raw.v6),
            sport: raw.sport,
            port: raw.port,
            protocol: raw.protocol,
        }
    }
}

/// See [`super::Filter::samples`].
pub(super) fn take(map: &MapHandle, most: usize, mut each: impl FnMut(Sample)) -> Result<usize, BpfError> {
    let failed = |error| BpfError::libbpf("reading the samples of monitor mode", &error);
    let mut builder = RingBufferBuilder::new();
    let one = |bytes: &[u8]| {
        // The kernel rounds nothing up: a sample has the size that the program asked for.
        if let Ok(raw) = bytemuck::try_pod_read_unaligned(bytes) {
            each(Sample::of(&raw));
        }
        0
    };
    builder.add(map, one).map_err(failed)?;
    // Twice a second costs less than a mapping that is kept would be worth.
    let taken = builder.build().map_err(failed)?.consume_raw_n(most);
    usize::try_from(taken).map_err(|_| failed(libbpf_rs::Error::from_raw_os_error(-taken)))
}

/// The address as it was in the packet: an IPv4 address comes mapped, and an IPv6 packet may have such a one of its own.
pub(super) fn ip(Address { bytes }: Address, v6: u8) -> IpAddr {
    let address = Ipv6Addr::from(bytes);
    if v6 == 0 { address.to_canonical() } else { address.into() }
}
