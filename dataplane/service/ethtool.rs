//! Questions to a device's driver by ethtool's ioctl (linux/ethtool.h), which goes by the network namespace of the caller,
//! as what /sys shows does not.
#![expect(unsafe_code, reason = "an ioctl has no safe wrapper in the libraries used here")]

use std::{io, os::fd::AsRawFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

const SIOCETHTOOL: libc::Ioctl = 0x8946;
const ETHTOOL_GDRVINFO: u32 = 0x3;

/// What a command reads and writes.
///
/// # Safety
/// The type begins with the command's number, as `u32`, and is laid out and as long as the kernel has it for that command.
pub(super) unsafe trait Command {}

/// `struct ethtool_drvinfo`.
#[repr(C)]
struct DriverInfo {
    cmd: u32,
    driver: [u8; 32],
    /// Versions, the bus's name of the device, numbers of what else it can tell.
    rest: [u8; 160],
}

// SAFETY: `ETHTOOL_GDRVINFO` takes 196 bytes, the driver's name behind its number.
unsafe impl Command for DriverInfo {}

/// Name of the driver of `dev`.
///
/// # Errors
/// The device does not exist, its name is longer than the kernel allows, or it has no driver.
pub(crate) fn driver(dev: &str) -> io::Result<String> {
    let mut info = DriverInfo { cmd: ETHTOOL_GDRVINFO, driver: [0; 32], rest: [0; 160] };
    ask(dev, &mut info)?;
    let name = info.driver.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(name).into_owned())
}

/// Have the driver carry out a command.
pub(super) fn ask<T: Command>(dev: &str, command: &mut T) -> io::Result<()> {
    let fd = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: ifreq is plain old data, for which all zeroes is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if dev.len() >= request.ifr_name.len() {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(dev.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_data = std::ptr::from_mut(command).cast();
    // SAFETY: `request` is a valid ifreq whose data points to a live value of the size that the command writes, which
    // whoever implements `Command` warrants; both outlive the call.
    if unsafe { libc::ioctl(fd.as_raw_fd(), SIOCETHTOOL, &raw mut request) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_exist_has_no_driver() {
        assert_eq!(size_of::<DriverInfo>(), 196);
        assert!(driver("sxf-no-such-dev").is_err());
        assert!(driver("a-name-that-is-far-too-long").is_err());
    }
}
