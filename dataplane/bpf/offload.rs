//! What of flows and sources the kernel looks up, and the ways to services that it forwards cleared flows by.

use libbpf_rs::OpenObject;

use super::{BpfError, sys, types::OffloadBits};
use crate::service::Mac;

/// What is looked up before the rules, and how much of it there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offload {
    /// Verdicts of chains on whole flows.
    pub flows: bool,
    /// Sources that modules blocked.
    pub sources: bool,
    /// Cleared flows go straight to their service instead of to the kernel's stack.
    pub forward: bool,
    /// Entries for flows of each family, one for each direction; when they are full the one that was not used for longest makes room.
    pub max_flows: u32,
    /// Entries for sources, as above.
    pub max_sources: u32,
}

impl Default for Offload {
    /// Nothing is looked up.
    fn default() -> Self {
        Self { flows: false, sources: false, forward: false, max_flows: 1, max_sources: 1 }
    }
}

impl Offload {
    pub(super) fn bits(&self) -> u32 {
        let bit = |set, bit: OffloadBits| if set { bit.0 } else { 0 };
        bit(self.flows, OffloadBits::SXF_OFFLOAD_FLOWS)
            | bit(self.sources, OffloadBits::SXF_OFFLOAD_SOURCES)
            | bit(self.forward, OffloadBits::SXF_OFFLOAD_FORWARD)
    }

    /// Size the maps of the entry program, which is not loaded yet.
    pub(super) fn size(&self, open: &mut OpenObject) -> Result<(), BpfError> {
        for mut map in open.maps_mut() {
            let entries = match map.name().to_str() {
                Some("flows4" | "flows6") => self.max_flows,
                Some("sources") => self.max_sources,
                _ => continue,
            };
            map.set_max_entries(entries.max(1)).map_err(|error| BpfError::libbpf("sizing the flow tables", &error))?;
        }
        Ok(())
    }
}

/// What a device can do with XDP, as far as the kernel knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features {
    /// It takes packets that XDP sends to it. A veth does while its other end has GRO on or an XDP program.
    pub redirects: bool,
    /// Those too that lie in several buffers.
    pub split_redirects: bool,
    /// Most frames of a packet in AF_XDP's zero-copy mode; 0 or 1 where it has none that takes several.
    pub zero_copy_parts: u32,
}

/// What the device with this index can do, from Linux 6.3 on.
///
/// # Errors
/// There is no such device, or the kernel refuses.
pub fn features(ifindex: u32) -> Result<Features, BpfError> {
    let answer = sys::features(i32::try_from(ifindex).unwrap_or(0));
    answer.map_err(|error| BpfError::io("asking what a device can do with XDP", error))
}

/// The way to a service, for flows that the kernel forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Its device.
    pub ifindex: u32,
    /// Longest IP packet that the device takes.
    pub mtu: u32,
    /// It takes packets that lie in several buffers.
    pub split: bool,
    /// The service's MAC.
    pub dst_mac: Mac,
    /// The device's own MAC.
    pub src_mac: Mac,
}
