//! xdp-filter of the distribution's xdp-tools: a hash map of addresses. Its object file is loaded as it is.

use std::{
    net::IpAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use libbpf_rs::{MapCore, MapHandle, Object};
use nix::mount::{MsFlags, mount};

use crate::bpf;

/// Passes what is not listed, and looks at addresses only: the variant with the least to do.
const FILE: &str = "xdpfilt_alw_ip.o";
const PROGRAM: &str = "xdpfilt_alw_ip";
/// Where distributions put it, and where `scripts/bench.sh` unpacks it.
const FOLDERS: [&str; 4] =
    ["/usr/lib/x86_64-linux-gnu/bpf", "/usr/lib/aarch64-linux-gnu/bpf", "/usr/lib64/bpf", "/usr/lib/bpf"];
/// In a value: the address is listed as a source. The bits from 6 on count.
const SOURCE: u64 = 1;

/// Addresses that it has room for, of each family.
pub(crate) const CAPACITY: usize = 10_000;

/// The loaded peer.
#[derive(Debug)]
pub(crate) struct XdpFilter {
    program: OwnedFd,
    _object: Object,
}

/// The object file: `given`, or one of an installed xdp-tools, or one below `unpacked`.
pub(crate) fn find(given: Option<&Path>, unpacked: &Path) -> Option<PathBuf> {
    if let Some(given) = given {
        return Some(given.to_owned());
    }
    let below = FOLDERS.iter().map(|folder| unpacked.join(folder.trim_start_matches('/')));
    FOLDERS.iter().map(PathBuf::from).chain(below).map(|folder| folder.join(FILE)).find(|file| file.is_file())
}

impl XdpFilter {
    /// Load it with sources to drop. The calling thread's mounts are its own.
    pub(crate) fn load(file: &Path, addresses: &[IpAddr]) -> Result<Self> {
        let doing = || format!("xdp-filter, {}", file.display());
        let bytes = std::fs::read(file).with_context(doing)?;
        // It pins its maps by name, and takes over what is pinned: not where others could meet it.
        let pins = tempfile::tempdir().with_context(doing)?;
        mount(Some("bpf"), pins.path(), Some("bpf"), MsFlags::empty(), None::<&str>)
            .context("mounting a bpf file system")?;
        let object = load(&bytes, pins.path(), addresses).with_context(doing);
        nix::mount::umount(pins.path()).context("unmounting a bpf file system")?;
        let object = object?;
        Ok(Self { program: bpf::program(&object, PROGRAM)?, _object: object })
    }

    /// The program.
    pub(crate) fn program(&self) -> BorrowedFd<'_> {
        self.program.as_fd()
    }
}

fn load(bytes: &[u8], pins: &Path, addresses: &[IpAddr]) -> Result<Object> {
    let mut builder = libbpf_rs::ObjectBuilder::default();
    builder.pin_root_path(pins)?;
    let object = bpf::open_with(&mut builder, bytes, PROGRAM)?.load().context("the kernel does not load it")?;
    let (mut four, mut six) = (Vec::new(), Vec::new());
    for address in addresses {
        match address {
            IpAddr::V4(address) => four.extend(address.octets()),
            IpAddr::V6(address) => six.extend(address.octets()),
        }
    }
    list(&bpf::map(&object, "filter_ipv4")?, &four)?;
    list(&bpf::map(&object, "filter_ipv6")?, &six)?;
    Ok(object)
}

/// List addresses, in the value of every CPU.
fn list(map: &MapHandle, keys: &[u8]) -> Result<()> {
    let values = vec![SOURCE.to_ne_bytes().to_vec(); libbpf_rs::num_possible_cpus()?];
    for key in keys.chunks(map.key_size() as usize) {
        map.update_percpu(key, &values, libbpf_rs::MapFlags::ANY).context("listing an address")?;
    }
    Ok(())
}
