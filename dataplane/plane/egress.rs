//! The registry's hands: the ways out toward the services' devices, and requests to the neighbour table.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use super::{EgressRequest, ModeRequest, PlaneConfig, PlaneError, interfaces::Interface, registry::Bind};
use crate::{
    egress::{Injection, turn_on},
    process::EgressId,
    service::{Netlink, WayOut, queues},
    worker::{OpenError, Workers},
    xsk::{PortId, PortSpec},
};

/// Pause between two looks at a device that does not take injected packets.
const TRY_EVERY: Duration = Duration::from_secs(5);
/// Such devices at one look: to find a container's namespace takes a look at every process.
const TRIES_PER_LOOK: usize = 8;

/// A way out that is open.
#[derive(Debug)]
struct Open {
    dev: String,
    ifindex: u32,
    /// Ports opened for it; empty where an interface's own sockets serve, or none is needed.
    opened: Vec<PortId>,
    /// Ports used: those, or an interface's own.
    ports: Vec<PortId>,
    /// Workers that send for others too, because the device has fewer queues than there are workers.
    relied_on: Vec<u32>,
    injects: Verdict,
    tried: Instant,
    /// Refusals that were seen to.
    refusals: u64,
}

/// Whether a device takes injected packets.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Verdict {
    takes: bool,
    /// Why not, or what was done for it.
    reason: String,
}

impl Verdict {
    fn no(reason: impl Into<String>) -> Self {
        Self { takes: false, reason: reason.into() }
    }
}

/// The ways out that are open, by their number, and what they are opened with.
#[derive(Debug)]
pub(super) struct Egresses {
    open: BTreeMap<u16, Open>,
    request: EgressRequest,
    set_gro: bool,
    /// Or why there is none.
    injection: Result<Injection, String>,
    /// Refused calls that were seen to.
    broken: u64,
}

impl Egresses {
    /// None open yet, for `workers` workers.
    pub(super) fn new(config: &PlaneConfig, workers: u32) -> Result<Self, PlaneError> {
        let injection = match config.egress {
            EgressRequest::Tx => Err("switched off by workers.egress = \"tx\"".to_owned()),
            EgressRequest::Auto => Injection::load(workers).map_err(|error| {
                tracing::warn!(%error, "no injection: packets leave by AF_XDP TX only");
                format!("this machine has no injection: {error}")
            }),
            EgressRequest::Inject => Ok(Injection::load(workers).map_err(|error| PlaneError::Setting {
                setting: "workers.egress",
                rule: format!("\"inject\" cannot be had: {error}; with \"auto\" packets leave by AF_XDP TX"),
            })?),
        };
        Ok(Self { open: BTreeMap::new(), request: config.egress, set_gro: config.set_gro, injection, broken: 0 })
    }

    /// Give the workers what they inject by.
    pub(super) fn equip(&mut self, workers: &Workers) -> Result<(), PlaneError> {
        if let Ok(injection) = &mut self.injection {
            for (worker, lane) in (0..).zip(injection.take_lanes()) {
                workers.set_lane(worker, Box::new(lane))?;
            }
        }
        Ok(())
    }

    /// How packets leave by a way out, and why not otherwise.
    pub(super) fn way(&self, number: u16) -> (Option<WayOut>, String) {
        let Some(open) = self.open.get(&number) else { return (None, String::new()) };
        (open.way(), open.injects.reason.clone())
    }

    /// Find out whether a device takes injected packets, and turn GRO on at its other end where that is allowed and helps.
    fn consider(&mut self, netlink: &mut Netlink, dev: &str, ifindex: u32) -> Verdict {
        let injection = match &mut self.injection {
            Ok(injection) => injection,
            Err(reason) => return Verdict::no(reason.as_str()),
        };
        match netlink.peer(ifindex) {
            Ok(Some(_)) => {}
            Ok(None) => return Verdict::no(format!("{dev} is no veth, and only those are injected to")),
            Err(error) => return Verdict::no(error.to_string()),
        }
        if let Err(error) = injection.admit(ifindex) {
            return Verdict::no(format!("{dev} cannot be injected to: {error}"));
        }
        let mut probe = || injection.probe(ifindex).map_err(|error| Verdict::no(error.to_string()));
        let mut reason = String::new();
        match probe() {
            Ok(true) => return Verdict { takes: true, reason },
            Ok(false) if self.set_gro => {}
            Ok(false) => {
                return Verdict::no(format!(
                    "the other end of {dev} has neither gro nor an xdp program: `ethtool -K eth0 gro on` in the \
                     container, or workers.set_gro = true"
                ));
            }
            Err(verdict) => return verdict,
        }
        match turn_on(netlink, ifindex) {
            Ok(()) => reason.push_str("gro turned on at its other end"),
            Err(error) => return Verdict::no(format!("gro cannot be turned on at the other end of {dev}: {error}")),
        }
        match probe() {
            Ok(true) => {
                tracing::info!(dev, "gro turned on at the device's other end, for injected packets");
                Verdict { takes: true, reason }
            }
            Ok(false) => Verdict::no(format!("the other end of {dev} takes no injected packets, though it has gro on")),
            Err(verdict) => verdict,
        }
    }

    fn refusals(&self, ifindex: u32) -> u64 {
        self.injection.as_ref().map_or(0, |injection| injection.loss(ifindex).refusals)
    }
}

impl Open {
    fn way(&self) -> Option<WayOut> {
        match (self.ports.is_empty(), self.injects.takes) {
            (false, false) => Some(WayOut::Tx),
            (true, true) => Some(WayOut::Inject),
            (false, true) => Some(WayOut::Both),
            (true, false) => None,
        }
    }

    fn device(&self) -> Option<u32> {
        self.injects.takes.then_some(self.ifindex)
    }
}

/// Everything that opening a way out needs; made anew for each look.
pub(super) struct Hands<'a> {
    pub(super) egresses: &'a mut Egresses,
    pub(super) workers: &'a Workers,
    pub(super) interfaces: &'a [Interface],
    pub(super) netlink: &'a mut Netlink,
    pub(super) mode: ModeRequest,
    /// Workers that have died.
    pub(super) dead: &'a [u32],
}

impl Hands<'_> {
    fn free_number(&self) -> Result<u16, String> {
        (0..EgressId::LIMIT)
            .find(|number| !self.egresses.open.contains_key(number))
            .ok_or_else(|| format!("all {} ways out are in use", EgressId::LIMIT))
    }

    /// One socket for each worker, as far as the device has queues.
    fn open(&self, dev: &str) -> Result<Vec<PortId>, String> {
        let tx = queues(dev).map_err(|error| format!("device {dev}: {error}"))?.tx;
        // Zero-copy would take the queue's receive buffers away from the kernel, and many drivers transmit by it only
        // where an XDP program is attached: a card that is to send by zero-copy is named as an interface.
        let request = if self.mode == ModeRequest::Skb { ModeRequest::Skb } else { ModeRequest::Copy };
        let mut ports = Vec::new();
        for queue in 0..tx.min(self.workers.count()) {
            let spec = PortSpec { dev: dev.to_owned(), queue, ingress: None };
            match self.workers.open(&spec, request) {
                Ok(opened) => ports.push(opened.id),
                // A device may have more TX than RX queues; the kernel takes the ones that it can.
                Err(OpenError::Xsk(_)) if !ports.is_empty() => break,
                Err(error) => {
                    self.close(&ports);
                    return Err(error.to_string());
                }
            }
        }
        Ok(ports)
    }

    /// Last to first: the first may be what the others' registration hangs on.
    fn close(&self, ports: &[PortId]) {
        for port in ports.iter().rev() {
            if let Err(error) = self.workers.close(*port) {
                tracing::error!(%error, "cannot close a socket toward a service");
            }
        }
    }

    /// Let a way out by an interface's own sockets use those that it has now.
    pub(super) fn renew(&mut self, number: u16, ifindex: u32) {
        if self.egresses.request == EgressRequest::Inject {
            return;
        }
        let Some(interface) = self.interfaces.iter().find(|interface| interface.ifindex == ifindex) else { return };
        let Some(open) = self.egresses.open.get_mut(&number) else { return };
        open.ports = interface.ports.clone();
        open.relied_on = relied_on(open.ports.len(), self.workers.count());
        if let Err(error) = self.workers.set_egress(EgressId(number), &open.ports, open.device()) {
            tracing::error!(interface = interface.name, %error, "a way out cannot use the interface's new sockets");
        }
    }

    fn dismiss(&self, ifindex: u32) {
        if let Ok(injection) = &self.egresses.injection {
            injection.dismiss(ifindex);
        }
    }

    /// The sockets toward a device: those opened for it, and those used.
    fn sockets(&self, dev: &str, ifindex: u32, injects: &mut Verdict) -> Result<(Vec<PortId>, Vec<PortId>), String> {
        if self.egresses.request == EgressRequest::Inject {
            return Ok((Vec::new(), Vec::new()));
        }
        if let Some(own) = self.interfaces.iter().find(|interface| interface.ifindex == ifindex) {
            return Ok((Vec::new(), own.ports.clone()));
        }
        match self.open(dev) {
            Ok(ports) => Ok((ports.clone(), ports)),
            // As when a NIC's zero-copy UMEM is not to be had for a veth.
            Err(error) if injects.takes => {
                injects.reason = format!("no AF_XDP TX: {error}");
                Ok((Vec::new(), Vec::new()))
            }
            Err(error) => Err(error),
        }
    }

    /// Look again at devices that refused injected packets, and at those that did not take them before.
    pub(super) fn look_again(&mut self, now: Instant) {
        let broken = self.workers.broken_calls();
        let all = std::mem::replace(&mut self.egresses.broken, broken) != broken;
        let refused =
            |open: &Open| open.injects.takes && (all || self.egresses.refusals(open.ifindex) != open.refusals);
        let hopeful = |open: &Open| {
            !open.injects.takes && self.egresses.injection.is_ok() && now.duration_since(open.tried) >= TRY_EVERY
        };
        let open = || self.egresses.open.iter();
        let due = open().filter(|(_, open)| refused(open));
        let due = due.chain(open().filter(|(_, open)| hopeful(open)).take(TRIES_PER_LOOK));
        let due: Vec<u16> = due.map(|(number, _)| *number).collect();
        for number in due {
            self.try_again(number, now);
        }
    }

    fn try_again(&mut self, number: u16, now: Instant) {
        let Some(mut open) = self.egresses.open.remove(&number) else { return };
        let before = open.way();
        let injects = self.egresses.consider(self.netlink, &open.dev, open.ifindex);
        // What was said of the sockets stays true while nothing changes.
        if injects.takes != open.injects.takes || !injects.takes {
            open.injects = injects;
        }
        (open.tried, open.refusals) = (now, self.egresses.refusals(open.ifindex));
        if let Err(error) = self.workers.set_egress(EgressId(number), &open.ports, open.device()) {
            tracing::error!(dev = open.dev, %error, "the workers cannot be told of a way out");
        }
        if open.way() != before {
            let way = open.way().map_or("none", WayOut::word);
            tracing::warn!(dev = open.dev, way, reason = open.injects.reason, "the way out has changed");
        }
        self.egresses.open.insert(number, open);
    }
}

/// Workers that send for others too, by a device with sockets on this many queues.
fn relied_on(queues: usize, workers: u32) -> Vec<u32> {
    let queues = u32::try_from(queues).unwrap_or(u32::MAX);
    if queues < workers { (0..queues).collect() } else { Vec::new() }
}

impl Bind for Hands<'_> {
    fn bind(&mut self, dev: &str, ifindex: u32) -> Result<u16, String> {
        let number = self.free_number()?;
        let mut injects = self.egresses.consider(self.netlink, dev, ifindex);
        let (opened, ports) = self.sockets(dev, ifindex, &mut injects).inspect_err(|_| self.dismiss(ifindex))?;
        let relied_on = relied_on(ports.len(), self.workers.count());
        let (dev, tried, refusals) = (dev.to_owned(), Instant::now(), self.egresses.refusals(ifindex));
        let open = Open { dev, ifindex, opened, ports, relied_on, injects, tried, refusals };
        if let Err(error) = self.workers.set_egress(EgressId(number), &open.ports, open.device()) {
            self.close(&open.opened);
            self.dismiss(ifindex);
            return Err(error.to_string());
        }
        let way = open.way().map_or("none", WayOut::word);
        tracing::info!(dev = open.dev, way, reason = open.injects.reason, "way out toward a device");
        self.egresses.open.insert(number, open);
        Ok(number)
    }

    fn broken(&self, number: u16) -> Option<String> {
        let open = self.egresses.open.get(&number)?;
        if open.way().is_none() {
            return Some(open.injects.reason.clone());
        }
        let dead = open.relied_on.iter().find(|worker| self.dead.contains(worker))?;
        Some(format!("worker {dead}, which sends for every queue, has died: restart the daemon"))
    }

    fn unbind(&mut self, number: u16) {
        if let Err(error) = self.workers.set_egress(EgressId(number), &[], None) {
            tracing::error!(%error, "cannot take back a way out");
        }
        if let Some(open) = self.egresses.open.remove(&number) {
            self.close(&open.opened);
            self.dismiss(open.ifindex);
        }
    }

    fn resolve(&mut self, ifindex: u32, ip: IpAddr) {
        if let Err(error) = self.netlink.resolve(ifindex, ip) {
            tracing::warn!(%ip, %error, "the kernel does not resolve a service's address");
        }
    }
}
