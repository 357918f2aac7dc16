//! What is changed in a frame that is sent on toward a service.

use std::net::IpAddr;

use super::{ETH_HLEN, Headers, checksum};
use crate::service::Mac;

/// Bytes of the two MACs at the start of a frame.
const MACS: usize = 12;

/// How a frame is to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rewrite {
    /// MAC of the interface it came in by: a frame addressed to it is routed, any other bridged.
    pub ingress_mac: Mac,
    /// MAC of the service.
    pub dst_mac: Mac,
    /// MAC of the device it leaves by; put on routed frames only.
    pub src_mac: Mac,
    /// Complete partial checksums.
    pub repair_checksums: bool,
}

/// What was changed beyond the addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rewritten {
    /// The frame was routed: one TTL less.
    pub routed: bool,
    /// A partial checksum was completed.
    pub repaired: bool,
    /// Length of the frame now: a routed frame leaves its VLAN tags behind, and the bytes at its end with them.
    pub len: usize,
}

/// A routed packet's time to live ran out; the frame is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TtlExpired;

impl Rewrite {
    /// Change `frame`, whose headers are `headers`.
    ///
    /// # Errors
    /// [`TtlExpired`] when the frame is routed and may not be any further.
    pub fn apply(&self, frame: &mut [u8], headers: &Headers) -> Result<Rewritten, TtlExpired> {
        let mut done = Rewritten { len: frame.len(), ..Rewritten::default() };
        let Some(link) = frame.first_chunk_mut::<ETH_HLEN>() else { return Ok(done) };
        done.routed = link[..6] == self.ingress_mac.0;
        if done.routed {
            decrement_ttl(frame, headers)?;
        }
        frame[..6].copy_from_slice(&self.dst_mac.0);
        if done.routed {
            frame[6..12].copy_from_slice(&self.src_mac.0);
        }
        done.repaired = self.repair_checksums && checksum::complete_partial(frame, headers);
        if done.routed {
            done.len = untag(frame, headers);
        }
        Ok(done)
    }
}

/// Close the gap that the VLAN tags leave between the MACs and the EtherType; the length without them. They are the
/// ingress network's: the service's device is in a network of its own, as behind any router.
fn untag(frame: &mut [u8], headers: &Headers) -> usize {
    let tags = 4 * usize::from(headers.vlan_tags);
    if tags == 0 || frame.len() < MACS + tags {
        return frame.len();
    }
    frame.copy_within(MACS + tags.., MACS);
    frame.len() - tags
}

/// One hop less: IPv4's TTL with its header checksum, or IPv6's hop limit.
fn decrement_ttl(frame: &mut [u8], headers: &Headers) -> Result<(), TtlExpired> {
    let Some(ip) = frame.get_mut(usize::from(headers.l3)..) else { return Ok(()) };
    match headers.src {
        IpAddr::V4(_) => {
            let Some(header) = ip.first_chunk_mut::<20>() else { return Ok(()) };
            if header[8] <= 1 {
                return Err(TtlExpired);
            }
            let old = u16::from_be_bytes([header[8], header[9]]);
            header[8] -= 1;
            let new = u16::from_be_bytes([header[8], header[9]]);
            let whole = checksum::update(u16::from_be_bytes([header[10], header[11]]), old, new);
            header[10..12].copy_from_slice(&whole.to_be_bytes());
        }
        IpAddr::V6(_) => match ip.get_mut(7) {
            Some(hops) if *hops <= 1 => return Err(TtlExpired),
            Some(hops) => *hops -= 1,
            None => {}
        },
    }
    Ok(())
}
