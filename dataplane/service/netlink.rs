//! What the kernel knows of devices and neighbours, asked over rtnetlink (rtnetlink(7)).
//!
//! The socket belongs to the network namespace of the thread that opened it, as the daemon's sockets do.

use std::{io, net::IpAddr};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    link::{LinkAttribute, LinkFlags, LinkInfo, LinkMessage},
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::Mac;

/// Times that a table is asked for while it changes under the answer.
const TRIES: u32 = 4;

/// Why a question to the kernel failed.
#[derive(Debug, thiserror::Error)]
#[error("netlink: {what}: {source}")]
pub struct NetlinkError {
    pub(super) what: &'static str,
    pub(super) source: io::Error,
}

/// A network device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Kernel index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Administratively up.
    pub up: bool,
    /// Link-layer address; zero for devices without one.
    pub mac: Mac,
    /// Largest IP packet in bytes.
    pub mtu: u32,
    /// Index of the bridge or bond that it belongs to.
    pub master: Option<u32>,
    /// Kind of virtual device (`veth`, `bridge`, `vlan` …); none for hardware.
    pub kind: Option<String>,
    /// RX queues allocated (the active ones may be fewer).
    pub rx_queues: u32,
}

impl Link {
    /// The device that the kernel routes by for this one, with the MAC it uses and the neighbours it knows: the bridge or
    /// bond that the device belongs to, else the device itself (a VRF leaves its devices their own).
    #[must_use]
    pub fn routing<'a>(&'a self, links: &'a [Self]) -> &'a Self {
        let master = self.master.and_then(|index| links.iter().find(|link| link.index == index));
        master.filter(|master| master.kind.as_deref() != Some("vrf")).unwrap_or(self)
    }
}

/// An entry of the neighbour table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Device it was learned on.
    pub ifindex: u32,
    /// Address.
    pub ip: IpAddr,
    /// Link-layer address, when the entry is usable.
    pub mac: Option<Mac>,
    /// The kernel will ask again before it trusts the entry.
    pub stale: bool,
}

/// An rtnetlink socket.
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    /// Open a socket in the calling thread's network namespace.
    pub fn open() -> Result<Self, NetlinkError> {
        let fail = |source| NetlinkError { what: "open", source };
        let mut socket = Socket::new(NETLINK_ROUTE).map_err(fail)?;
        socket.bind_auto().map_err(fail)?;
        socket.connect(&SocketAddr::new(0, 0)).map_err(fail)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Every device of the namespace.
    pub fn links(&mut self) -> Result<Vec<Link>, NetlinkError> {
        let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
        self.dump("list devices", &request, |answer| match answer {
            RouteNetlinkMessage::NewLink(message) => Some(link(&message)),
            _ => None,
        })
    }

    /// Every entry of the IPv4 and IPv6 neighbour tables.
    pub fn neighbours(&mut self) -> Result<Vec<Neighbour>, NetlinkError> {
        let request = RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
        self.dump("list neighbours", &request, |answer| match answer {
            RouteNetlinkMessage::NewNeighbour(message) => neighbour(&message),
            _ => None,
        })
    }

    /// A whole table. One that changed meanwhile may lack entries that were there all the time, and a service must not go
    /// down for that: it is asked for again.
    fn dump<T>(
        &mut self,
        what: &'static str,
        request: &RouteNetlinkMessage,
        read: impl Fn(RouteNetlinkMessage) -> Option<T>,
    ) -> Result<Vec<T>, NetlinkError> {
        for _ in 0..TRIES {
            let mut found = Vec::new();
            if self.ask(what, request.clone(), NLM_F_DUMP, |answer| found.extend(read(answer)))? == Whole::Yes {
                return Ok(found);
            }
        }
        Err(NetlinkError { what, source: io::Error::other("the table changes faster than it can be read") })
    }

    /// Have the kernel resolve `ip` on a device, as if it had a packet to send there (`NTF_USE`).
    pub fn resolve(&mut self, ifindex: u32, ip: IpAddr) -> Result<(), NetlinkError> {
        let mut message = NeighbourMessage::default();
        message.header.ifindex = ifindex;
        message.header.flags = NeighbourFlags::Use;
        let (family, address) = match ip {
            IpAddr::V4(ip) => (AddressFamily::Inet, NeighbourAddress::Inet(ip)),
            IpAddr::V6(ip) => (AddressFamily::Inet6, NeighbourAddress::Inet6(ip)),
        };
        message.header.family = family;
        message.attributes.push(NeighbourAttribute::Destination(address));
        let request = RouteNetlinkMessage::NewNeighbour(message);
        self.ask("resolve a neighbour", request, NLM_F_CREATE | NLM_F_ACK, |_| ()).map(drop)
    }

    /// Send a request and hand each answer to `each`, up to the end of the dump or the acknowledgement.
    pub(super) fn ask(
        &mut self,
        what: &'static str,
        request: RouteNetlinkMessage,
        flags: u16,
        mut each: impl FnMut(RouteNetlinkMessage),
    ) -> Result<Whole, NetlinkError> {
        let fail = |source| NetlinkError { what, source };
        let mut whole = Whole::Yes;
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(request));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0).map_err(fail)?;
        loop {
            let (datagram, _) = self.socket.recv_from_full().map_err(fail)?;
            for bytes in messages(&datagram) {
                // A device kind that the parser does not know must not hide the others.
                let Ok(answer) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes) else {
                    tracing::debug!(what, "an answer of the kernel was not understood");
                    continue;
                };
                if answer.header.sequence_number != self.sequence {
                    continue;
                }
                if answer.header.flags & NLM_F_DUMP_INTR != 0 {
                    whole = Whole::No;
                }
                match answer.payload {
                    NetlinkPayload::Done(_) => return Ok(whole),
                    NetlinkPayload::Error(error) if error.code.is_none() => return Ok(whole),
                    NetlinkPayload::Error(error) => return Err(fail(error.to_io())),
                    NetlinkPayload::InnerMessage(inner) => each(inner),
                    _ => {}
                }
            }
        }
    }
}

/// Whether an answer is consistent in itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whole {
    Yes,
    No,
}

/// The messages of a datagram, by the length in each header, aligned to 4 bytes.
fn messages(datagram: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*rest.first_chunk::<4>()?) as usize;
        if length < 16 || length > rest.len() {
            return None;
        }
        let (message, _) = rest.split_at(length);
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

fn link(message: &LinkMessage) -> Link {
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        up: message.header.flags.contains(LinkFlags::Up),
        mac: Mac::default(),
        mtu: 0,
        master: None,
        kind: None,
        rx_queues: 1,
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Address(address) => link.mac = mac(address).unwrap_or_default(),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Controller(index) => link.master = Some(*index),
            LinkAttribute::NumRxQueues(queues) => link.rx_queues = *queues,
            LinkAttribute::LinkInfo(infos) => {
                link.kind = infos.iter().find_map(|info| match info {
                    LinkInfo::Kind(kind) => Some(kind.to_string()),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    link
}

fn neighbour(message: &NeighbourMessage) -> Option<Neighbour> {
    let usable = matches!(
        message.header.state,
        NeighbourState::Reachable
            | NeighbourState::Stale
            | NeighbourState::Delay
            | NeighbourState::Probe
            | NeighbourState::Permanent
            | NeighbourState::Noarp
    );
    let mut found = None;
    let mut lladdr = None;
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => found = Some(IpAddr::V4(*ip)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => found = Some(IpAddr::V6(*ip)),
            NeighbourAttribute::LinkLayerAddress(address) => lladdr = mac(address),
            _ => {}
        }
    }
    Some(Neighbour {
        ifindex: message.header.ifindex,
        ip: found?,
        mac: lladdr.filter(|_| usable),
        stale: message.header.state == NeighbourState::Stale,
    })
}

fn mac(bytes: &[u8]) -> Option<Mac> {
    bytes.try_into().ok().map(Mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_listed() {
        let links = Netlink::open().unwrap().links().unwrap();
        let loopback = links.iter().find(|link| link.name == "lo").expect("lo");
        assert_eq!(loopback.index, 1);
        assert!(loopback.mtu > 1500 && loopback.master.is_none());
    }

    #[test]
    fn resolving_on_a_missing_device_is_an_error_and_leaves_the_socket_usable() {
        let mut netlink = Netlink::open().unwrap();
        assert!(netlink.resolve(0x7fff_fff0, "192.0.2.1".parse().unwrap()).is_err());
        assert!(!netlink.links().unwrap().is_empty());
    }

    #[test]
    fn broken_lengths_end_a_datagram() {
        assert_eq!(messages(&[0; 16]).count(), 0);
        assert_eq!(messages(&[255; 64]).count(), 0);
        assert_eq!(messages(&[1, 2]).count(), 0);
    }
}
