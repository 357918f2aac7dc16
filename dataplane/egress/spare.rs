//! A device of our own that no packet ever passes: a tap that is never up. It vanishes with the process, however that
//! ends.
#![expect(unsafe_code, reason = "an ioctl has no safe wrapper in the libraries used here")]

use std::{
    fs::{File, OpenOptions},
    io,
    os::{fd::AsRawFd, unix::fs::OpenOptionsExt},
};

/// The kernel numbers them.
const NAME: &[u8] = b"sxf-spare%d";
const DEVICE: &str = "/dev/net/tun";

/// See the module.
#[derive(Debug)]
pub(super) struct Spare {
    ifindex: u32,
    /// Keeps the device.
    _file: File,
}

impl Spare {
    /// Make one in the calling thread's network namespace.
    pub(super) fn new() -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(DEVICE)?;
        // SAFETY: ifreq is plain old data, for which all zeroes is a valid value.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(NAME) {
            *to = from.cast_signed();
        }
        request.ifr_ifru.ifru_flags = i16::try_from(libc::IFF_TAP | libc::IFF_NO_PI).map_err(io::Error::other)?;
        // SAFETY: `request` is a valid ifreq that outlives the call, which writes nothing but it.
        if unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let name: Vec<u8> =
            request.ifr_name.iter().take_while(|byte| **byte != 0).map(|byte| byte.cast_unsigned()).collect();
        let ifindex = nix::net::if_::if_nametoindex(name.as_slice())?;
        Ok(Self { ifindex, _file: file })
    }

    /// Kernel index.
    pub(super) fn ifindex(&self) -> u32 {
        self.ifindex
    }
}
