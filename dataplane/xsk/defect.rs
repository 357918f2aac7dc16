//! Drivers whose zero-copy mode cannot be believed.

use std::path::Path;

/// Where the kernel shows its modules, the same in all namespaces.
pub(super) const MODULES: &str = "/sys/module";

/// What is wrong with the zero-copy mode of a driver, if something is known to be.
///
/// virtio-net (from Linux 6.11 to at least 7.3) sends a header of zeros with each packet of a socket, which it keeps in a
/// variable of its own (`xsk_hdr` in `drivers/net/virtio_net.c`), and maps that for the device as if it lay in the
/// kernel's linear mapping. A variable of a loadable module does not: the device reads something else there, and the
/// host takes packets with such a header for unfinished ones and drops them or writes a checksum into them. No
/// counter of the guest shows it. Built into the kernel the driver is right.
pub(super) fn of_zero_copy(driver: &str, modules: &Path) -> Option<&'static str> {
    // The kernel shows the state of modules that were loaded, not of what is built in.
    (driver == "virtio_net" && modules.join("virtio_net/initstate").exists()).then_some(
        "virtio_net as a loadable module sends wrong headers in zero-copy mode, and the host drops such packets",
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn virtio_net_is_not_believed_when_it_is_a_module() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("virtio_net/parameters")).unwrap();
        let defects = || ["virtio_net", "ice", ""].map(|driver| of_zero_copy(driver, folder.path()).is_some());
        assert_eq!(defects(), [false; 3], "built in");
        fs::write(folder.path().join("virtio_net/initstate"), "live\n").unwrap();
        assert_eq!(defects(), [true, false, false]);
    }
}
