//! The way of a packet that was let through: its service, and the rewriting of its frame for it.

use std::net::IpAddr;

use super::{DropReason, Frames, Outcome, Route, Snapshot, Tally};
use crate::wire::{self, ETH_HLEN, Headers, Rewrite, checksum};

/// The ways to services. Packets for one service come in rows: the last one is remembered.
pub(super) struct Routes<'a> {
    pub(super) snapshot: &'a Snapshot,
    last: Option<(IpAddr, &'a Route)>,
}

impl<'a> Routes<'a> {
    /// By `snapshot`.
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        Self { snapshot, last: None }
    }

    fn find(&mut self, to: IpAddr) -> Option<&'a Route> {
        if let Some((known, route)) = self.last
            && known == to
        {
            return Some(route);
        }
        let route = self.snapshot.routes.get(&to)?;
        self.last = Some((to, route));
        Some(route)
    }

    /// Whether a frame would get to its service if it were let through. Where there is no service none gets anywhere.
    pub(super) fn check(&mut self, frames: &impl Frames, frame: &[u8], headers: &Headers) -> Result<(), DropReason> {
        let Some(route) = self.find(headers.dst) else { return Ok(()) };
        if !fits(frame, headers, route) {
            return Err(DropReason::Mtu);
        }
        let mac = self.snapshot.ingress.get(usize::from(frames.ingress())).ok_or(DropReason::NoService)?.mac;
        let hops = frame.get(usize::from(headers.l3) + if headers.src.is_ipv4() { 8 } else { 7 });
        if frame.starts_with(&mac.0) && hops.is_none_or(|&hops| hops <= 1) {
            return Err(DropReason::TtlExpired);
        }
        Ok(())
    }
}

/// Whether the service's device takes a frame of this length.
fn fits(frame: &[u8], headers: &Headers, route: &Route) -> bool {
    frame.len() <= ETH_HLEN + 4 * usize::from(headers.vlan_tags) + usize::from(route.mtu)
}

/// As [`forward`] for a packet that lies in several buffers, whose bytes are `whole`. Its headers have to be in the first.
#[cold]
pub(super) fn forward_split(
    routes: &mut Routes<'_>,
    frames: &mut impl Frames,
    index: usize,
    whole: &[u8],
    headers: &Headers,
    tally: &mut Tally,
) -> Outcome {
    if usize::from(headers.payload) > frames.bytes(index).len() {
        return Outcome::Drop(DropReason::Buffers);
    }
    let Some(route) = routes.find(headers.dst) else { return Outcome::Drop(DropReason::NoService) };
    if !fits(whole, headers, route) {
        return Outcome::Drop(DropReason::Mtu);
    }
    let ingress = routes.snapshot.ingress.get(usize::from(frames.ingress()));
    let sum = ingress.filter(|ingress| ingress.repair_checksums).and_then(|_| checksum::completed(whole, headers));
    if let Some((at, sum)) = sum
        && let Some(field) = frames.bytes_mut(index).get_mut(at..at + 2)
    {
        field.copy_from_slice(&sum.to_be_bytes());
        tally.checksums_repaired += 1;
    }
    forward(routes, frames, index, headers, tally)
}

/// Find the service of a packet that was let through, and rewrite its frame for it.
#[inline]
pub(super) fn forward(
    routes: &mut Routes<'_>,
    frames: &mut impl Frames,
    index: usize,
    headers: &Headers,
    tally: &mut Tally,
) -> Outcome {
    let Some(route) = routes.find(headers.dst) else { return Outcome::Drop(DropReason::NoService) };
    if !fits(frames.bytes(index), headers, route) {
        return Outcome::Drop(DropReason::Mtu);
    }
    // An interface that the snapshot does not know of is being taken away.
    let Some(ingress) = routes.snapshot.ingress.get(usize::from(frames.ingress())) else {
        return Outcome::Drop(DropReason::NoService);
    };
    let rewrite = Rewrite {
        ingress_mac: ingress.mac,
        dst_mac: route.dst_mac,
        src_mac: route.src_mac,
        repair_checksums: ingress.repair_checksums,
    };
    match rewrite.apply(frames.bytes_mut(index), headers) {
        Ok(rewritten) => {
            tally.checksums_repaired += u64::from(rewritten.repaired);
            if rewritten.len < frames.bytes(index).len() {
                frames.truncate(index, rewritten.len);
            }
            Outcome::Forward { egress: route.egress, service: route.service }
        }
        Err(wire::TtlExpired) => Outcome::Drop(DropReason::TtlExpired),
    }
}
