//! Drivers whose zero-copy mode cannot be believed.

use std::path::Path;

/// Where the kernel shows devices and modules.
pub(super) const SYSFS: &str = "/sys";

/// What is wrong with a device's zero-copy mode, if it is known to be.
///
/// virtio-net (from Linux 6.11 to at least 7.3) sends a header of zeros with each packet of a socket, which it keeps in a
/// variable of its own (`xsk_hdr` in `drivers/net/virtio_net.c`), and maps that for the device as if it lay in the
/// kernel's linear mapping. A variable of a loadable module does not: the device reads something else there, and the
/// host takes packets with such a header for unfinished ones and drops them or writes a checksum into them. No
/// counter of the guest shows it. Built into the kernel the driver is right.
pub(super) fn of_zero_copy(sysfs: &Path, dev: &str) -> Option<&'static str> {
    let driver = sysfs.join("class/net").join(dev).join("device/driver").canonicalize().ok()?;
    // The kernel shows the state of modules that were loaded, not of what is built in.
    let loaded = sysfs.join("module/virtio_net/initstate").exists();
    (driver.file_name()? == "virtio_net" && loaded).then_some(
        "virtio_net as a loadable module sends wrong headers in zero-copy mode, and the host drops such packets",
    )
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn virtio_net_is_not_believed_when_it_is_a_module() {
        let folder = tempfile::tempdir().unwrap();
        let sysfs = folder.path();
        for (dev, driver) in [("eth0", "virtio_net"), ("eth1", "ice")] {
            let device = sysfs.join("class/net").join(dev).join("device");
            fs::create_dir_all(sysfs.join("bus/drivers").join(driver)).unwrap();
            fs::create_dir_all(&device).unwrap();
            symlink(sysfs.join("bus/drivers").join(driver), device.join("driver")).unwrap();
        }
        fs::create_dir_all(sysfs.join("class/net/veth0")).unwrap();
        fs::create_dir_all(sysfs.join("module/virtio_net/parameters")).unwrap();
        let defects = || ["eth0", "eth1", "veth0", "gone"].map(|dev| of_zero_copy(sysfs, dev).is_some());
        assert_eq!(defects(), [false; 4], "built in");
        fs::write(sysfs.join("module/virtio_net/initstate"), "live\n").unwrap();
        assert_eq!(defects(), [true, false, false, false]);
    }
}
