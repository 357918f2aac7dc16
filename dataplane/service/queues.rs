//! How many RX and TX queues a device really has, by `ETHTOOL_GCHANNELS` (linux/ethtool.h).
#![expect(unsafe_code, reason = "what an ioctl writes is warranted")]

use std::io;

use super::ethtool::{Command, ask};

const ETHTOOL_GCHANNELS: u32 = 0x3c;

/// Active queues of a device, each at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queues {
    /// Queues that receive.
    pub rx: u32,
    /// Queues that transmit.
    pub tx: u32,
}

/// `struct ethtool_channels` of linux/ethtool.h.
#[repr(C)]
#[derive(Default)]
struct Channels {
    cmd: u32,
    max_rx: u32,
    max_tx: u32,
    max_other: u32,
    max_combined: u32,
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}

// SAFETY: `ETHTOOL_GCHANNELS` and `ETHTOOL_SCHANNELS` take nine numbers, their own first.
unsafe impl Command for Channels {}

/// Active queues of `dev`; one each where its driver does not tell (a single-queue device).
///
/// # Errors
/// The device does not exist, or its name is longer than the kernel allows.
pub fn queues(dev: &str) -> io::Result<Queues> {
    let mut channels = Channels { cmd: ETHTOOL_GCHANNELS, ..Channels::default() };
    match ask(dev, &mut channels) {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(Queues { rx: 1, tx: 1 }),
        Err(error) => Err(error),
        Ok(()) => {
            Ok(Queues { rx: (channels.rx + channels.combined).max(1), tx: (channels.tx + channels.combined).max(1) })
        }
    }
}

/// Give a device other numbers of queues, as `ethtool -L` does.
#[cfg(test)]
pub(crate) fn set_queues(dev: &str, rx: u32, tx: u32) -> io::Result<()> {
    const ETHTOOL_SCHANNELS: u32 = 0x3d;
    ask(dev, &mut Channels { cmd: ETHTOOL_SCHANNELS, rx, tx, ..Channels::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_one_queue_and_nonsense_none() {
        assert_eq!(queues("lo").unwrap(), Queues { rx: 1, tx: 1 });
        assert!(queues("sxf-no-such-dev").is_err());
        assert!(queues("a-name-that-is-far-too-long").is_err());
    }
}
