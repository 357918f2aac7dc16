//! xdp-filter of the distribution's xdp-tools: a hash map of addresses. Its object files are loaded as they are.

use std::{
    net::IpAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use libbpf_rs::{MapCore, MapHandle, Object};
use nix::mount::{MsFlags, mount};

use crate::bpf;

/// What it looks at. Of each there is a program; all of ours pass what is not listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Features {
    /// Ports, addresses of IP and of Ethernet: what `xdp-filter load` loads unless told otherwise.
    All,
    /// Addresses of IP only, as by `xdp-filter load --features ipv4,ipv6`.
    Addresses,
}

impl Features {
    /// Name of the program, and of the object file but for its extension.
    fn program(self) -> &'static str {
        match self {
            Self::All => "xdpfilt_alw_all",
            Self::Addresses => "xdpfilt_alw_ip",
        }
    }
}

/// Where distributions put them, and where `scripts/bench.sh` unpacks them.
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

/// The folder with its object files: `given`, or that of an installed xdp-tools, or one below `unpacked`.
pub(crate) fn find(given: Option<&Path>, unpacked: &Path) -> Option<PathBuf> {
    if let Some(given) = given {
        return Some(given.to_owned());
    }
    let below = FOLDERS.iter().map(|folder| unpacked.join(folder.trim_start_matches('/')));
    FOLDERS.iter().map(PathBuf::from).chain(below).find(|folder| folder.join("xdpfilt_alw_all.o").is_file())
}

impl XdpFilter {
    /// Load it with sources to drop. The calling thread's mounts are its own.
    pub(crate) fn load(folder: &Path, features: Features, addresses: &[IpAddr]) -> Result<Self> {
        let file = folder.join(format!("{}.o", features.program()));
        let doing = || format!("xdp-filter, {}", file.display());
        let bytes = std::fs::read(&file).with_context(doing)?;
        // It pins its maps by name, and takes over what is pinned: not where others could meet it.
        let pins = tempfile::tempdir().with_context(doing)?;
        mount(Some("bpf"), pins.path(), Some("bpf"), MsFlags::empty(), None::<&str>)
            .context("mounting a bpf file system")?;
        let object = load(&bytes, features.program(), pins.path(), addresses).with_context(doing);
        nix::mount::umount(pins.path()).context("unmounting a bpf file system")?;
        let object = object?;
        Ok(Self { program: bpf::program(&object, features.program())?, _object: object })
    }

    /// The program.
    pub(crate) fn program(&self) -> BorrowedFd<'_> {
        self.program.as_fd()
    }
}

fn load(bytes: &[u8], program: &str, pins: &Path, addresses: &[IpAddr]) -> Result<Object> {
    let mut builder = libbpf_rs::ObjectBuilder::default();
    builder.pin_root_path(pins)?;
    let object = bpf::open_with(&mut builder, bytes, program)?.load().context("the kernel does not load it")?;
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
