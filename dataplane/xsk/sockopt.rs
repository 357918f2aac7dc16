//! The options of an AF_XDP socket that xsk-rs does not read.
#![expect(unsafe_code, reason = "socket options that no library wraps")]

use std::{
    io, mem,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
};

use libc::{SOL_XDP, XDP_OPTIONS, XDP_OPTIONS_ZEROCOPY, XDP_STATISTICS, c_int, c_void, socklen_t, xdp_statistics};

/// Socket option of kernels from 6.17 on: packets that one kick sends in copy mode, 32 unless set.
const XDP_MAX_TX_SKB_BUDGET: c_int = 9;

/// Flag of a bind: packets may take several frames.
pub(super) const XDP_USE_SG: u16 = 1 << 4;

/// `XDP_STATISTICS`, by the names of `plane::SocketStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Statistics {
    pub(crate) rx_dropped: u64,
    pub(crate) rx_invalid_descs: u64,
    pub(crate) tx_invalid_descs: u64,
    pub(crate) rx_ring_full: u64,
    pub(crate) rx_fill_ring_empty: u64,
    pub(crate) tx_ring_empty: u64,
}

/// Read `XDP_STATISTICS`.
pub(crate) fn statistics(fd: RawFd) -> io::Result<Statistics> {
    let zero = xdp_statistics {
        rx_dropped: 0,
        rx_invalid_descs: 0,
        tx_invalid_descs: 0,
        rx_ring_full: 0,
        rx_fill_ring_empty_descs: 0,
        tx_ring_empty_descs: 0,
    };
    // SAFETY: `xdp_statistics` is what the kernel fills for this option, and integers take any value.
    let raw = unsafe { get(fd, XDP_STATISTICS, zero) }?;
    Ok(Statistics {
        rx_dropped: raw.rx_dropped,
        rx_invalid_descs: raw.rx_invalid_descs,
        tx_invalid_descs: raw.tx_invalid_descs,
        rx_ring_full: raw.rx_ring_full,
        rx_fill_ring_empty: raw.rx_fill_ring_empty_descs,
        tx_ring_empty: raw.tx_ring_empty_descs,
    })
}

/// Whether the socket is bound in zero-copy mode.
pub(crate) fn zero_copy(fd: RawFd) -> io::Result<bool> {
    // SAFETY: `struct xdp_options` is one 32-bit word of flags.
    let flags = unsafe { get(fd, XDP_OPTIONS, 0u32) }?;
    Ok(flags & XDP_OPTIONS_ZEROCOPY != 0)
}

/// Let one kick send up to `packets` in copy mode. Older kernels refuse, which costs a few more kicks and nothing else.
pub(crate) fn set_tx_budget(fd: RawFd, packets: u32) -> io::Result<()> {
    let size = socklen_t::try_from(mem::size_of::<u32>()).unwrap_or(0);
    // SAFETY: the option's value is one 32-bit integer, which lives until the call returns.
    let status =
        unsafe { libc::setsockopt(fd, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, (&raw const packets).cast::<c_void>(), size) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether the kernel hands packets that take several frames to AF_XDP sockets (`XDP_USE_SG`, Linux 6.6).
#[must_use]
pub fn takes_parts() -> bool {
    // SAFETY: no pointer is passed.
    let fd = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return false;
    }
    // SAFETY: the kernel has just made this fd for us, and nothing else knows of it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let address = libc::sockaddr_xdp {
        sxdp_family: u16::try_from(libc::AF_XDP).unwrap_or(0),
        sxdp_flags: XDP_USE_SG,
        sxdp_ifindex: 0,
        sxdp_queue_id: 0,
        sxdp_shared_umem_fd: 0,
    };
    let size = socklen_t::try_from(mem::size_of_val(&address)).unwrap_or(0);
    // SAFETY: the address is of the socket's family and as long as is said, and lives until the call returns.
    let status = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size) };
    // No device has the number 0; a kernel that does not know the flag says so (EINVAL) before it looks for one.
    status != 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ENODEV)
}

/// Microseconds that one system call polls a driver which has nothing.
const BUSY_POLL_US: c_int = 20;

/// Let the driver of the socket's queue leave its work to the system calls of who owns the socket (Linux 5.11), at most
/// `budget` packets in each. It does so once interrupts are held back, which is an administrator's to switch on:
/// `napi_defer_hard_irqs` and `gro_flush_timeout` of the device.
pub(crate) fn prefer_busy_poll(fd: RawFd, budget: u32) -> io::Result<()> {
    let budget = c_int::try_from(budget).unwrap_or(c_int::MAX);
    for (option, value) in
        [(libc::SO_PREFER_BUSY_POLL, 1), (libc::SO_BUSY_POLL, BUSY_POLL_US), (libc::SO_BUSY_POLL_BUDGET, budget)]
    {
        let size = socklen_t::try_from(mem::size_of::<c_int>()).unwrap_or(0);
        // SAFETY: the option's value is one integer, which lives until the call returns.
        let status =
            unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, option, (&raw const value).cast::<c_void>(), size) };
        if status != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Read an option.
///
/// # Safety
/// `T` is the plain structure that the kernel fills for `option`, and any bytes are a valid `T`.
unsafe fn get<T>(fd: RawFd, option: c_int, mut value: T) -> io::Result<T> {
    let size = socklen_t::try_from(mem::size_of::<T>()).unwrap_or(0);
    let mut len = size;
    // SAFETY: `value` has room for `len` bytes, and the kernel writes no more than that; the rest is the caller's word.
    let status = unsafe { libc::getsockopt(fd, SOL_XDP, option, (&raw mut value).cast::<c_void>(), &raw mut len) };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    if len < size {
        return Err(io::Error::other("the kernel knows a shorter form of the option"));
    }
    Ok(value)
}
