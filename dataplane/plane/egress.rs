//! The registry's hands: sockets toward the services' devices, and requests to the neighbour table.

use std::{collections::BTreeMap, net::IpAddr};

use super::{ModeRequest, interfaces::Interface, registry::Bind};
use crate::{
    process::EgressId,
    service::{Netlink, queues},
    worker::{OpenError, Workers},
    xsk::{PortId, PortSpec},
};

/// The ways out that are open, by their number.
#[derive(Debug, Default)]
pub(super) struct Egresses {
    /// Ports opened for an egress; empty where an interface's own sockets serve.
    opened: BTreeMap<u16, Vec<PortId>>,
    /// For each, the workers that send for others too, because the device has fewer queues than there are workers.
    relied_on: BTreeMap<u16, Vec<u32>>,
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
            .find(|number| !self.egresses.opened.contains_key(number))
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
        let Some(interface) = self.interfaces.iter().find(|interface| interface.ifindex == ifindex) else { return };
        if let Err(error) = self.workers.set_egress(EgressId(number), &interface.ports) {
            tracing::error!(interface = interface.name, %error, "a way out cannot use the interface's new sockets");
        }
        self.egresses.relied_on.insert(number, relied_on(interface.ports.len(), self.workers.count()));
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
        let own = self.interfaces.iter().find(|interface| interface.ifindex == ifindex);
        let opened = if own.is_some() { Vec::new() } else { self.open(dev)? };
        let ports = own.map_or(opened.as_slice(), |interface| &interface.ports);
        if let Err(error) = self.workers.set_egress(EgressId(number), ports) {
            self.close(&opened);
            return Err(error.to_string());
        }
        self.egresses.relied_on.insert(number, relied_on(ports.len(), self.workers.count()));
        self.egresses.opened.insert(number, opened);
        Ok(number)
    }

    fn broken(&self, number: u16) -> Option<String> {
        let dead = self.egresses.relied_on.get(&number)?.iter().find(|worker| self.dead.contains(worker))?;
        Some(format!("worker {dead}, which sends for every queue, has died: restart the daemon"))
    }

    fn unbind(&mut self, number: u16) {
        if let Err(error) = self.workers.set_egress(EgressId(number), &[]) {
            tracing::error!(%error, "cannot take back a way out");
        }
        self.egresses.relied_on.remove(&number);
        if let Some(ports) = self.egresses.opened.remove(&number) {
            self.close(&ports);
        }
    }

    fn resolve(&mut self, ifindex: u32, ip: IpAddr) {
        if let Err(error) = self.netlink.resolve(ifindex, ip) {
            tracing::warn!(%ip, %error, "the kernel does not resolve a service's address");
        }
    }
}
