//! The filtered interfaces: found, checked, the program attached, a socket bound on every queue.

use super::{Mode, ModeRequest, PlaneConfig, PlaneError};
use crate::{
    bpf::{BpfError, Filter, MAX_INTERFACES, MAX_QUEUES},
    service::{Link, Mac, queues},
    worker::{OpenError, Workers},
    xsk::{PortId, PortSpec},
};

/// Bytes of a frame that a packet cannot use: XDP's headroom, and the Ethernet header with two VLAN tags.
const FRAME_OVERHEAD: u32 = 256 + 14 + 2 * 4;

/// A filtered interface.
#[derive(Debug, Clone)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) ifindex: u32,
    /// MAC that routed frames are addressed to: its own, or that of its bridge.
    pub(super) mac: Mac,
    pub(super) queues: u32,
    /// A virtual device, whose frames may carry partial checksums.
    pub(super) is_virtual: bool,
    pub(super) mode: Mode,
    pub(super) reason: String,
    pub(super) ports: Vec<PortId>,
    /// Seen at the last look.
    pub(super) present: bool,
}

/// Find the configured interfaces and check what can be checked before anything is touched.
pub(super) fn find(config: &PlaneConfig, links: &[Link]) -> Result<Vec<Interface>, PlaneError> {
    let refuse = |rule: String| PlaneError::Setting { setting: "interfaces", rule };
    if !(1..=MAX_INTERFACES as usize).contains(&config.interfaces.len()) {
        return Err(refuse(format!("1 to {MAX_INTERFACES} interfaces are needed")));
    }
    let mut found: Vec<Interface> = Vec::new();
    for name in &config.interfaces {
        let Some(link) = links.iter().find(|link| link.name == *name) else {
            return Err(BpfError::NoInterface { name: name.clone() }.into());
        };
        if found.iter().any(|other| other.ifindex == link.index) {
            return Err(refuse(format!("{name} is named twice")));
        }
        if !link.up {
            return Err(refuse(format!("{name} is down: ip link set {name} up")));
        }
        let most = config.umem.frame_size - FRAME_OVERHEAD;
        if link.mtu > most {
            let (mtu, size) = (link.mtu, config.umem.frame_size);
            let rule = format!(
                "{name}: mtu {mtu} does not fit umem.frame_size {size}, which takes an mtu up to {most}: \
                 ip link set {name} mtu 1500"
            );
            return Err(refuse(rule));
        }
        let queues = queues(name).map_err(|error| refuse(format!("{name}: its queues cannot be read: {error}")))?.rx;
        if queues > MAX_QUEUES {
            return Err(refuse(format!("{name} has {queues} rx queues, at most {MAX_QUEUES} are served: ethtool -L")));
        }
        found.push(Interface {
            name: name.clone(),
            ifindex: link.index,
            mac: link.routing(links).mac,
            queues,
            is_virtual: link.kind.is_some(),
            mode: Mode::Copy,
            reason: String::new(),
            ports: Vec::new(),
            present: true,
        });
    }
    Ok(found)
}

/// Attach the program to every interface, in the fastest mode that is allowed and to be had.
pub(super) fn attach(
    filter: &mut Filter,
    config: &PlaneConfig,
    interfaces: &mut [Interface],
) -> Result<(), PlaneError> {
    for interface in interfaces {
        let name = &interface.name;
        if config.mode == ModeRequest::Skb {
            filter.attach(name, true, &config.bpffs)?;
            interface.mode = Mode::Skb;
            continue;
        }
        match filter.attach(name, false, &config.bpffs) {
            Ok(_) => {}
            Err(error @ (BpfError::NoNative { .. } | BpfError::TooFewQueues { .. }))
                if config.mode == ModeRequest::Auto =>
            {
                tracing::warn!(interface = name, %error, "falling back to skb mode");
                filter.attach(name, true, &config.bpffs)?;
                interface.mode = Mode::Skb;
                interface.reason = format!("native xdp refused: {error}");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Bind a socket on every queue of every interface and let the program redirect to it.
pub(super) fn bind(
    filter: &Filter,
    workers: &Workers,
    request: ModeRequest,
    interfaces: &mut [Interface],
) -> Result<(), PlaneError> {
    for (ingress, interface) in (0_u16..).zip(interfaces) {
        let request = if interface.mode == Mode::Skb { ModeRequest::Skb } else { request };
        filter.set_port(interface.ifindex, ingress.into())?;
        for queue in 0..interface.queues {
            let spec = PortSpec { dev: interface.name.clone(), queue, ingress: Some(ingress) };
            let opened = workers.open(&spec, request).map_err(|error| match error {
                OpenError::Xsk(error) => PlaneError::from(error),
                OpenError::Worker(error) => PlaneError::from(error),
            })?;
            interface.ports.push(opened.id);
            interface.mode = opened.mode;
            if interface.reason.is_empty() {
                interface.reason = opened.reason;
            }
            filter.set_socket(ingress.into(), queue, opened.fd)?;
        }
        tracing::info!(
            interface = interface.name,
            mode = ?interface.mode,
            reason = interface.reason,
            queues = interface.queues,
            "interface filtered"
        );
    }
    Ok(())
}
