//! From a service to the device, MACs and MTU that a frame toward it needs.

use super::{Link, Mac, Neighbour, Service};

/// Where a service was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// Index of its device.
    pub ifindex: u32,
    /// Largest IP packet that the device takes, bytes.
    pub mtu: u32,
    /// Source MAC of routed frames: the device's, or its bridge's.
    pub src_mac: Mac,
    /// The container's MAC, when it is known.
    pub dst_mac: Option<Mac>,
    /// Device on which the kernel resolves the container's address: the device, or its bridge.
    pub neighbour_dev: u32,
    /// The neighbour entry wants to be confirmed.
    pub stale: bool,
}

/// Find a service among the devices and neighbours of the namespace.
///
/// # Errors
/// The device is missing or down; the text says how to mend it.
pub fn place(service: &Service, links: &[Link], neighbours: &[Neighbour]) -> Result<Placement, String> {
    let dev = &service.dev;
    let Some(link) = links.iter().find(|link| link.name == *dev) else {
        return Err(format!("device {dev} does not exist"));
    };
    if !link.up {
        return Err(format!("device {dev} is down: ip link set {dev} up"));
    }
    let owner = link.routing(links);
    let entry = neighbours.iter().find(|entry| entry.ifindex == owner.index && entry.ip == service.ip);
    Ok(Placement {
        ifindex: link.index,
        mtu: link.mtu,
        src_mac: owner.mac,
        dst_mac: service.mac.or(entry.and_then(|entry| entry.mac)),
        neighbour_dev: owner.index,
        stale: service.mac.is_none() && entry.is_some_and(|entry| entry.stale),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, name: &str, master: Option<u32>) -> Link {
        let mac = Mac([2, 0, 0, 0, 0, u8::try_from(index).unwrap()]);
        Link { index, name: name.into(), up: true, mac, mtu: 1500, master, kind: Some("veth".into()), rx_queues: 1 }
    }

    fn web() -> Service {
        Service { name: "web".into(), ip: "10.77.2.2".parse().unwrap(), dev: "veth-web".into(), mac: None }
    }

    fn entry(ifindex: u32, last: u8) -> Neighbour {
        Neighbour { ifindex, ip: web().ip, mac: Some(Mac([2, 0, 0, 0, 1, last])), stale: false }
    }

    #[test]
    fn a_missing_or_downed_device_says_so() {
        assert_eq!(place(&web(), &[], &[]).unwrap_err(), "device veth-web does not exist");
        let down = Link { up: false, ..link(3, "veth-web", None) };
        assert!(place(&web(), &[down], &[]).unwrap_err().contains("ip link set veth-web up"));
    }

    #[test]
    fn the_neighbour_on_the_device_gives_the_mac() {
        let found = place(&web(), &[link(3, "veth-web", None)], &[entry(7, 7), entry(3, 3)]).unwrap();
        assert_eq!(found.dst_mac, Some(Mac([2, 0, 0, 0, 1, 3])));
        assert_eq!(found.src_mac, Mac([2, 0, 0, 0, 0, 3]));
    }

    #[test]
    fn a_bridged_device_is_resolved_on_its_bridge() {
        let links = [link(3, "veth-web", Some(9)), link(9, "br0", None)];
        let found = place(&web(), &links, &[entry(9, 9), entry(3, 3)]).unwrap();
        assert_eq!((found.ifindex, found.neighbour_dev), (3, 9));
        assert_eq!(found.dst_mac, Some(Mac([2, 0, 0, 0, 1, 9])));
        assert_eq!(found.src_mac, Mac([2, 0, 0, 0, 0, 9]));
    }

    #[test]
    fn a_device_in_a_vrf_keeps_its_own_neighbours() {
        let links = [link(3, "veth-web", Some(9)), Link { kind: Some("vrf".into()), ..link(9, "red", None) }];
        let found = place(&web(), &links, &[entry(3, 3)]).unwrap();
        assert_eq!((found.neighbour_dev, found.dst_mac), (3, Some(Mac([2, 0, 0, 0, 1, 3]))));
    }

    #[test]
    fn a_configured_mac_needs_no_neighbour() {
        let service = Service { mac: Some(Mac([6; 6])), ..web() };
        assert_eq!(place(&service, &[link(3, "veth-web", None)], &[]).unwrap().dst_mac, Some(Mac([6; 6])));
        assert_eq!(place(&web(), &[link(3, "veth-web", None)], &[]).unwrap().dst_mac, None);
    }
}
