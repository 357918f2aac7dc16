//! Generic receive offload on the other end of a veth: without it, and without an XDP program, that end has no queue for
//! frames that come without an skb, and all are lost.
#![expect(unsafe_code, reason = "an ioctl has no safe wrapper in the libraries used here")]

use std::{fs::File, io, os::fd::AsRawFd, thread};

use nix::{
    sched::{CloneFlags, setns},
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};

use crate::service::{Netlink, NetlinkError};

const SIOCETHTOOL: libc::Ioctl = 0x8946;
const ETHTOOL_SGRO: u32 = 0x2c;

/// Why GRO could not be turned on.
#[derive(Debug, thiserror::Error)]
pub enum GroError {
    /// The device has no other end.
    #[error("it is no veth")]
    NoVeth,
    /// The other end or its namespace was not found.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The system refuses.
    #[error("{doing}: {source}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// The answer.
        #[source]
        source: io::Error,
    },
}

/// `struct ethtool_value` of linux/ethtool.h.
#[repr(C)]
struct Value {
    cmd: u32,
    data: u32,
}

/// Turn GRO on at the other end of the veth `ifindex`, in whatever network namespace that is. Blocks for as long as it
/// takes to look through the processes' namespaces.
///
/// # Errors
/// No veth, a namespace that is not found or not entered (`CAP_SYS_ADMIN`), or the kernel's refusal.
pub fn turn_on(netlink: &mut Netlink, ifindex: u32) -> Result<(), GroError> {
    let peer = netlink.peer(ifindex)?.ok_or(GroError::NoVeth)?;
    match netlink.namespace_of(peer)? {
        None => set(peer.ifindex),
        // A thread of its own, whose namespace ends with it.
        Some(namespace) => thread::scope(|scope| {
            let inside = scope.spawn(move || enter(&namespace).and_then(|()| set(peer.ifindex)));
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        }),
    }
}

fn enter(namespace: &File) -> Result<(), GroError> {
    let failed = |error: nix::Error| GroError::System {
        doing: "entering its network namespace (CAP_SYS_ADMIN)",
        source: error.into(),
    };
    setns(namespace, CloneFlags::CLONE_NEWNET).map_err(failed)
}

/// Turn GRO on for a device of the calling thread's network namespace.
fn set(ifindex: u32) -> Result<(), GroError> {
    let system = |doing| move |source: io::Error| GroError::System { doing, source };
    let name = nix::net::if_::if_indextoname(ifindex).map_err(|error| system("looking up its name")(error.into()))?;
    let fd = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
        .map_err(|error| system("opening a socket")(error.into()))?;
    let mut value = Value { cmd: ETHTOOL_SGRO, data: 1 };
    // SAFETY: ifreq is plain old data, for which all zeroes is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.to_bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_data = std::ptr::from_mut(&mut value).cast();
    // SAFETY: `request` is a valid ifreq whose data points to a live ethtool_value, which is what the command reads; both
    // outlive the call.
    if unsafe { libc::ioctl(fd.as_raw_fd(), SIOCETHTOOL, &raw mut request) } != 0 {
        return Err(system("turning gro on (CAP_NET_ADMIN)")(io::Error::last_os_error()));
    }
    Ok(())
}
