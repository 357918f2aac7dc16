//! Where packets for inspection go: interfaces, sockets on their queues, services.

use std::{net::IpAddr, os::fd::RawFd};

use bytemuck::bytes_of;
#[cfg(test)]
use libbpf_rs::MapCore;

use super::{Filter, MAX_INTERFACES, MAX_QUEUES};
use crate::bpf::{
    BpfError,
    object::{delete, update},
    types::{Address, Port, ServiceEntry},
};

impl Filter {
    /// Make packets of `ifindex` inspectable; `ingress` is the interface's place in the configuration, 0 to
    /// [`MAX_INTERFACES`] - 1, and the `port` of [`Filter::set_socket`].
    ///
    /// # Errors
    /// `ingress` is too large, or the kernel refuses.
    pub fn set_port(&self, ifindex: u32, ingress: u32) -> Result<(), BpfError> {
        let port = Port { first_socket: socket_index(ingress, 0)?, ingress };
        update(&self.shared.ports, &ifindex.to_ne_bytes(), bytes_of(&port), "registering an interface")
    }

    /// Forget an interface that is gone; its packets follow the fail policy.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn remove_port(&self, ifindex: u32) -> Result<(), BpfError> {
        delete(&self.shared.ports, &ifindex.to_ne_bytes(), "forgetting an interface")
    }

    /// Send packets for inspection from queue `queue` of the interface at place `port` to the AF_XDP socket `socket`.
    ///
    /// # Errors
    /// `port` or `queue` is too large, or `socket` is no AF_XDP socket.
    pub fn set_socket(&self, port: u32, queue: u32, socket: RawFd) -> Result<(), BpfError> {
        let index = socket_index(port, queue)?;
        update(&self.shared.xsks, &index.to_ne_bytes(), &socket.to_ne_bytes(), "registering an af_xdp socket")
    }

    /// Take a socket out; packets for it follow the fail policy. Closing a socket does the same.
    ///
    /// # Errors
    /// `port` or `queue` is too large, or the kernel refuses.
    pub fn clear_socket(&self, port: u32, queue: u32) -> Result<(), BpfError> {
        let index = socket_index(port, queue)?;
        delete(&self.shared.xsks, &index.to_ne_bytes(), "taking an af_xdp socket out")
    }

    /// Let inspected packets for `ip` go to the workers. Those for any other address follow the fail policy.
    ///
    /// # Errors
    /// More services than fit, or the kernel refuses.
    pub fn set_service(&self, ip: IpAddr) -> Result<(), BpfError> {
        let entry = ServiceEntry { up: 1 };
        update(&self.shared.services, bytes_of(&address(ip)), bytes_of(&entry), "registering a service (1024 fit)")
    }

    /// Services that are registered.
    #[cfg(test)]
    pub(crate) fn service_count(&self) -> usize {
        self.shared.services.keys().count()
    }

    /// Forget a service; inspected packets for it follow the fail policy.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn remove_service(&self, ip: IpAddr) -> Result<(), BpfError> {
        delete(&self.shared.services, bytes_of(&address(ip)), "forgetting a service")
    }
}

pub(in crate::bpf) fn socket_index(port: u32, queue: u32) -> Result<u32, BpfError> {
    let too_many = |what, given, most| Err(BpfError::TooMany { what, given, most });
    if port >= MAX_INTERFACES {
        return too_many("interface number", port, MAX_INTERFACES);
    }
    if queue >= MAX_QUEUES {
        return too_many("queue number", queue, MAX_QUEUES);
    }
    Ok(port * MAX_QUEUES + queue)
}

pub(in crate::bpf) fn address(ip: IpAddr) -> Address {
    let bytes = match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    };
    Address { bytes }
}
