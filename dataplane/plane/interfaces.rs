//! The filtered interfaces: found, checked, the program attached, a socket bound on every queue.

use std::time::Instant;

use super::{Mode, ModeRequest, MultiBuffer, PlaneConfig, PlaneError};
use crate::{
    bpf::{self, BpfError, Filter, MAX_INTERFACES, MAX_QUEUES},
    numa,
    service::{Link, Mac, queues},
    worker::{OpenError, Workers},
    xsk::{self, MAX_PARTS, PortId, PortSpec},
};

/// Bytes of a frame that a packet cannot use: XDP's headroom.
const HEADROOM: u32 = 256;
/// Bytes of a packet in front of its IP header, with two VLAN tags.
const LINK: u32 = 14 + 2 * 4;

/// Longest IP packet that takes one frame.
fn single(frame_size: u32) -> u32 {
    frame_size - HEADROOM - LINK
}

/// Why packets may not take several frames, where they may not.
pub(super) fn multi_buffer(request: MultiBuffer) -> Result<(), &'static str> {
    match request {
        MultiBuffer::Off => Err("umem.multi_buffer is \"off\""),
        MultiBuffer::Auto if xsk::takes_parts() => Ok(()),
        MultiBuffer::Auto => Err("this kernel does not hand them over (XDP_USE_SG, Linux 6.6)"),
    }
}

/// A filtered interface.
#[derive(Debug, Clone)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) ifindex: u32,
    /// MAC that routed frames are addressed to: its own, or that of its bridge.
    pub(super) mac: Mac,
    pub(super) queues: u32,
    /// NUMA node, where it is on one.
    pub(super) node: Option<u32>,
    /// A virtual device, whose frames may carry partial checksums.
    pub(super) is_virtual: bool,
    pub(super) mode: Mode,
    pub(super) reason: String,
    /// Packets of several frames are taken, or why not.
    pub(super) multi_buffer: Result<(), String>,
    /// Its MTU is above what a frame holds.
    jumbo: bool,
    pub(super) ports: Vec<PortId>,
    /// Seen at the last look.
    pub(super) present: bool,
    /// When and why what changed on it could not be followed.
    pub(super) refused: Option<(Instant, String)>,
}

/// Find the configured interfaces and check what can be checked before anything is touched.
pub(super) fn find(config: &PlaneConfig, links: &[Link]) -> Result<Vec<Interface>, PlaneError> {
    if !(1..=MAX_INTERFACES as usize).contains(&config.interfaces.len()) {
        return Err(refusal(format!("1 to {MAX_INTERFACES} interfaces are needed")));
    }
    let mut found: Vec<Interface> = Vec::new();
    for name in &config.interfaces {
        let Some(link) = links.iter().find(|link| link.name == *name) else {
            return Err(BpfError::NoInterface { name: name.clone() }.into());
        };
        if found.iter().any(|other| other.ifindex == link.index) {
            return Err(refusal(format!("{name} is named twice")));
        }
        found.push(Interface::of(config, link, links)?);
    }
    Ok(found)
}

fn refusal(rule: String) -> PlaneError {
    PlaneError::Setting { setting: "interfaces", rule }
}

impl Interface {
    /// What is known of a device before anything is attached to it.
    pub(super) fn of(config: &PlaneConfig, link: &Link, links: &[Link]) -> Result<Self, PlaneError> {
        let name = &link.name;
        if !link.up {
            return Err(refusal(format!("{name} is down: ip link set {name} up")));
        }
        let multi_buffer = multi_buffer(config.multi_buffer);
        check_mtu(link, config.umem.frame_size, multi_buffer).map_err(refusal)?;
        Ok(Self {
            name: name.clone(),
            ifindex: link.index,
            mac: link.routing(links).mac,
            queues: rx_queues(name)?,
            node: numa::of_device(name),
            is_virtual: link.kind.is_some(),
            mode: Mode::Copy,
            reason: String::new(),
            multi_buffer: multi_buffer.map_err(str::to_owned),
            jumbo: link.mtu > single(config.umem.frame_size),
            ports: Vec::new(),
            present: true,
            refused: None,
        })
    }

    /// Attach the program, in the fastest mode that is allowed and to be had.
    pub(super) fn attach(&mut self, filter: &mut Filter, config: &PlaneConfig) -> Result<(), PlaneError> {
        let name = &self.name;
        if config.mode == ModeRequest::Skb {
            filter.attach(name, true, &config.bpffs)?;
            self.mode = Mode::Skb;
            return Ok(());
        }
        match filter.attach(name, false, &config.bpffs) {
            Ok(_) => Ok(()),
            Err(error @ (BpfError::NoNative { .. } | BpfError::TooFewQueues { .. }))
                if config.mode == ModeRequest::Auto =>
            {
                tracing::warn!(interface = name, %error, "falling back to skb mode");
                filter.attach(name, true, &config.bpffs)?;
                self.mode = Mode::Skb;
                self.reason = format!("native xdp refused: {error}");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Bind a socket on every queue that has none and let the program redirect to it. What is bound stays when one is
    /// refused.
    pub(super) fn bind(
        &mut self,
        ingress: u16,
        filter: &Filter,
        workers: &Workers,
        request: ModeRequest,
    ) -> Result<(), PlaneError> {
        let request = if self.mode == Mode::Skb { ModeRequest::Skb } else { self.request(request)? };
        filter.set_port(self.ifindex, ingress.into())?;
        for queue in u32::try_from(self.ports.len()).unwrap_or(u32::MAX)..self.queues {
            let spec = PortSpec { dev: self.name.clone(), queue, ingress: Some(ingress) };
            let opened = workers.open(&spec, request).map_err(|error| match error {
                OpenError::Xsk(error) => PlaneError::from(error),
                OpenError::Worker(error) => PlaneError::from(error),
            })?;
            self.ports.push(opened.id);
            self.mode = opened.mode;
            if self.reason.is_empty() {
                self.reason = opened.reason;
            }
            if self.multi_buffer.is_ok() && !opened.parts {
                self.multi_buffer = Err(NO_ZERO_COPY_PARTS.to_owned());
            }
            filter.set_socket(ingress.into(), queue, opened.fd)?;
        }
        tracing::info!(
            interface = self.name,
            mode = ?self.mode,
            reason = self.reason,
            queues = self.queues,
            "interface filtered"
        );
        Ok(())
    }

    /// The mode to bind in: a driver whose zero-copy mode has no packets of several frames is bound in copy mode where its MTU
    /// needs them.
    fn request(&mut self, request: ModeRequest) -> Result<ModeRequest, PlaneError> {
        if !self.jumbo || !matches!(request, ModeRequest::Auto | ModeRequest::ZeroCopy) {
            return Ok(request);
        }
        if bpf::features(self.ifindex)?.zero_copy_parts > 1 {
            return Ok(request);
        }
        if request == ModeRequest::ZeroCopy {
            let name = &self.name;
            return Err(refusal(format!("{name}: its mtu takes several frames, and {NO_ZERO_COPY_PARTS}")));
        }
        self.reason = format!("its mtu takes several frames, and {NO_ZERO_COPY_PARTS}");
        Ok(ModeRequest::Copy)
    }

    /// Close the sockets of all queues from `queues` on, last to first: the first may be what the others' registration
    /// hangs on. Packets of those queues follow the fail policy.
    pub(super) fn unbind(
        &mut self,
        ingress: u16,
        queues: u32,
        filter: &Filter,
        workers: &Workers,
    ) -> Result<(), PlaneError> {
        while let Some(&port) = self.ports.last()
            && self.ports.len() > queues as usize
        {
            let queue = u32::try_from(self.ports.len() - 1).unwrap_or(u32::MAX);
            filter.clear_socket(ingress.into(), queue)?;
            workers.close(port)?;
            self.ports.pop();
        }
        Ok(())
    }
}

/// Of a driver.
const NO_ZERO_COPY_PARTS: &str = "its driver has no zero-copy for packets of several frames";

/// Whether packets as long as the MTU of an interface can be taken; the rule that it breaks.
fn check_mtu(link: &Link, size: u32, multi_buffer: Result<(), &str>) -> Result<(), String> {
    let parts = u32::try_from(MAX_PARTS).unwrap_or(1);
    let (name, mtu, one, several) = (&link.name, link.mtu, single(size), parts * (size - HEADROOM) - LINK);
    match multi_buffer {
        Ok(()) if mtu > several => Err(format!(
            "{name}: mtu {mtu} is above {several}, which {parts} frames of umem.frame_size {size} hold: ip link set \
             {name} mtu 9000"
        )),
        Err(why) if mtu > one => Err(format!(
            "{name}: mtu {mtu} does not fit umem.frame_size {size}, which takes an mtu up to {one}, and packets that \
             take several frames are not taken: {why}; ip link set {name} mtu 1500"
        )),
        _ => Ok(()),
    }
}

/// RX queues of a device, as many as can be served.
pub(super) fn rx_queues(name: &str) -> Result<u32, PlaneError> {
    let queues = queues(name).map_err(|error| refusal(format!("{name}: its queues cannot be read: {error}")))?.rx;
    if queues > MAX_QUEUES {
        return Err(refusal(format!("{name} has {queues} rx queues, at most {MAX_QUEUES} are served: ethtool -L")));
    }
    Ok(queues)
}

/// Attach the program to every interface.
pub(super) fn attach(
    filter: &mut Filter,
    config: &PlaneConfig,
    interfaces: &mut [Interface],
) -> Result<(), PlaneError> {
    interfaces.iter_mut().try_for_each(|interface| interface.attach(filter, config))
}

/// Bind a socket on every queue of every interface and let the program redirect to it.
pub(super) fn bind(
    filter: &Filter,
    workers: &Workers,
    request: ModeRequest,
    interfaces: &mut [Interface],
) -> Result<(), PlaneError> {
    (0_u16..).zip(interfaces).try_for_each(|(ingress, interface)| interface.bind(ingress, filter, workers, request))
}
