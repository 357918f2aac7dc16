//! The other end of a veth device, and the network namespace that it lives in.

use std::{
    collections::HashSet,
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::fs::MetadataExt,
    },
    path::PathBuf,
};

use netlink_packet_core::NLM_F_ACK;
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage},
    nsid::{NsidAttribute, NsidMessage},
};

use super::{Netlink, NetlinkError};

/// The other end of a veth device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Kernel index in its own namespace.
    pub ifindex: u32,
    /// That namespace, by the number that ours knows it by; none when it is ours.
    namespace: Option<i32>,
}

impl Netlink {
    /// The other end of device `ifindex`; none when it is no veth.
    pub fn peer(&mut self, ifindex: u32) -> Result<Option<Peer>, NetlinkError> {
        let mut request = LinkMessage::default();
        request.header.index = ifindex;
        let mut found = None;
        self.ask("ask for a device", RouteNetlinkMessage::GetLink(request), NLM_F_ACK, |answer| {
            if let RouteNetlinkMessage::NewLink(message) = answer {
                found = peer(&message);
            }
        })?;
        Ok(found)
    }

    /// An open handle of the namespace that `peer` lives in, found through the processes in it and the names that
    /// iproute2 gave; none when it is our own.
    pub fn namespace_of(&mut self, peer: Peer) -> Result<Option<File>, NetlinkError> {
        let Some(wanted) = peer.namespace else { return Ok(None) };
        let mut seen = HashSet::new();
        for path in candidates() {
            // Processes end while they are looked at.
            let Ok(file) = File::open(path) else { continue };
            if !file.metadata().is_ok_and(|meta| seen.insert((meta.dev(), meta.ino()))) {
                continue;
            }
            // A name whose namespace is not mounted any more is a plain file.
            if self.number_of(file.as_fd()).ok().flatten() == Some(wanted) {
                return Ok(Some(file));
            }
        }
        let source = io::Error::other("no process and no name shows it");
        Err(NetlinkError { what: "find a network namespace", source })
    }

    /// The number that our namespace knows another one by.
    fn number_of(&mut self, namespace: BorrowedFd<'_>) -> Result<Option<i32>, NetlinkError> {
        let mut request = NsidMessage::default();
        request.attributes.push(NsidAttribute::Fd(namespace.as_raw_fd().cast_unsigned()));
        let mut found = None;
        self.ask("ask for a namespace", RouteNetlinkMessage::GetNsId(request), NLM_F_ACK, |answer| {
            if let RouteNetlinkMessage::NewNsId(message) = answer {
                found = message.attributes.iter().find_map(|attribute| match attribute {
                    NsidAttribute::Id(id) => Some(*id),
                    _ => None,
                });
            }
        })?;
        Ok(found)
    }
}

fn peer(message: &LinkMessage) -> Option<Peer> {
    let (mut ifindex, mut namespace, mut is_veth) = (None, None, false);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::Link(index) => ifindex = Some(*index),
            LinkAttribute::LinkNetNsId(id) => namespace = Some(*id),
            LinkAttribute::LinkInfo(infos) => is_veth = infos.contains(&LinkInfo::Kind(InfoKind::Veth)),
            _ => {}
        }
    }
    Some(Peer { ifindex: ifindex.filter(|_| is_veth)?, namespace })
}

/// Files that stand for network namespaces.
fn candidates() -> impl Iterator<Item = PathBuf> {
    let list = |dir: &str| fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let process = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.bytes().all(|b| b.is_ascii_digit()))
    };
    list("/run/netns").chain(list("/proc").filter(process).map(|path| path.join("ns/net")))
}
