//! The entry program on a device: attached by a link that is pinned, so that the fail policy holds when the daemon dies.
//!
//! Beside each link lies the program array, for the kernel empties an array that no process and no pin refers to: without
//! that pin a killed daemon would take the rules with it.

use std::{
    ffi::CString,
    fs,
    io::{self, ErrorKind},
    os::{fd::AsFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use libbpf_rs::{Link, MapHandle, Program, Xdp, XdpFlags};

use super::{BpfError, sys};
use crate::service::Netlink;

/// Prefix of the pinned links' names.
const LINK: &str = "link-";
/// Prefix of the pinned program arrays' names.
const PROGRAMS: &str = "programs-";
/// Prefix of a program array's name while its link still runs the old program.
const NEXT: &str = "next-";

/// An attached device.
#[derive(Debug)]
pub(super) struct Attached {
    pub(super) ifindex: u32,
    pub(super) dir: PathBuf,
    name: String,
    link: Link,
}

impl Attached {
    /// Attach, or take over the link that an earlier daemon left pinned, without a packet unfiltered in between unless
    /// the mode changes.
    pub(super) fn new(
        program: &Program<'_>,
        programs: &MapHandle,
        name: &str,
        skb: bool,
        dir: &Path,
    ) -> Result<Self, BpfError> {
        let device = Device::find(name, skb)?;
        let taken = take_over(program, programs, &device, dir)?;
        let link = match taken {
            Some(link) => link,
            None => create(program, programs, &device, dir)?,
        };
        Ok(Self { ifindex: device.ifindex.unsigned_abs(), dir: dir.to_owned(), name: name.to_owned(), link })
    }

    /// Whether the program still runs on the device; not so once the device is gone.
    pub(super) fn is_live(&self) -> bool {
        sys::link_info(self.link.as_fd()).is_ok_and(|info| info.ifindex == self.ifindex)
    }

    /// The device's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Detach and unpin.
    pub(super) fn detach(self) -> Result<(), BpfError> {
        let Self { dir, name, link, .. } = self;
        // The kernel has detached the link of a device that is gone already.
        if let Err(error) = link.detach()
            && sys::link_info(link.as_fd()).is_ok_and(|info| info.ifindex != 0)
        {
            return Err(BpfError::libbpf(format!("interface '{name}': detaching the xdp program"), &error));
        }
        unpin(&pinned(&dir, LINK, &name))?;
        unpin(&pinned(&dir, PROGRAMS, &name))
    }
}

/// Detach every link of ours in `dir` whose device is not in `keep`: what a daemon with another configuration left.
pub(super) fn detach_others(dir: &Path, keep: &[Attached]) -> Result<(), BpfError> {
    let error = |source| BpfError::Bpffs { path: dir.to_owned(), doing: "listing it", source };
    for entry in fs::read_dir(dir).map_err(error)? {
        let file = entry.map_err(error)?.file_name();
        let Some(name) = file.to_str().and_then(|file| file.strip_prefix(LINK)).map(|name| name.replace(':', "."))
        else {
            continue;
        };
        if keep.iter().any(|attached| attached.name == name && attached.dir == dir) {
            continue;
        }
        if let Some(link) = open(&pinned(dir, LINK, &name))? {
            let ifindex = sys::link_info(link.as_fd()).map_or(0, |info| info.ifindex);
            Attached { ifindex, dir: dir.to_owned(), name, link }.detach()?;
        }
    }
    Ok(())
}

struct Device {
    name: String,
    ifindex: i32,
    skb: bool,
}

impl Device {
    fn find(name: &str, skb: bool) -> Result<Self, BpfError> {
        let missing = || BpfError::NoInterface { name: name.to_owned() };
        let ifindex = nix::net::if_::if_nametoindex(name).map_err(|_| missing())?;
        Ok(Self { name: name.to_owned(), ifindex: i32::try_from(ifindex).map_err(|_| missing())?, skb })
    }

    /// Why the kernel refused to attach.
    fn refused(&self, program: &Program<'_>, source: io::Error) -> BpfError {
        let name = self.name.clone();
        // Not from /sys, which may show another network namespace.
        let links = Netlink::open().and_then(|mut netlink| netlink.links()).unwrap_or_default();
        let mtu = links.iter().find(|link| link.name == name).map(|link| link.mtu);
        let large = mtu.is_some_and(|mtu| mtu > 3000);
        let mtu = mtu.map_or_else(|| "unknown".to_owned(), |mtu| mtu.to_string());
        match source.raw_os_error() {
            Some(libc::EBUSY | libc::EEXIST) => BpfError::Busy { name, other: self.other(program) },
            Some(libc::EOPNOTSUPP) if !self.skb => BpfError::NoNative { name },
            Some(libc::ERANGE) => BpfError::MtuTooLarge { name, mtu },
            Some(libc::EINVAL) if !self.skb && large => BpfError::MtuTooLarge { name, mtu },
            Some(libc::ENOSPC) if !self.skb => BpfError::TooFewQueues { name },
            Some(libc::ENODEV) => BpfError::NoInterface { name },
            _ => BpfError::io(format!("interface '{name}': attaching the xdp program"), source),
        }
    }

    /// The XDP program that holds the device, in words.
    fn other(&self, program: &Program<'_>) -> String {
        let Ok(query) = Xdp::new(program.as_fd()).query(self.ifindex, XdpFlags::NONE) else {
            return "another xdp program".to_owned();
        };
        match (query.drv_prog_id, query.skb_prog_id, query.hw_prog_id) {
            (0, 0, 0) => "another xdp program".to_owned(),
            (0, 0, id) => format!("xdp program id {id} (offloaded)"),
            (0, id, _) => format!("xdp program id {id} (skb mode)"),
            (id, _, _) => format!("xdp program id {id} (native mode)"),
        }
    }
}

/// Give the pinned link, if it is this device's and of this mode, the new program; any other pinned link is removed.
fn take_over(
    program: &Program<'_>,
    programs: &MapHandle,
    device: &Device,
    dir: &Path,
) -> Result<Option<Link>, BpfError> {
    let path = pinned(dir, LINK, &device.name);
    let Some(mut link) = open(&path)? else { return Ok(None) };
    let doing = |what: &str| format!("interface '{}': {what}", device.name);
    let info = sys::link_info(link.as_fd()).map_err(|error| BpfError::io(doing("reading the pinned link"), error))?;
    if i64::from(info.ifindex) != i64::from(device.ifindex) || runs_in_skb(program, device, info)? != device.skb {
        let name = device.name.clone();
        Attached { ifindex: info.ifindex, dir: dir.to_owned(), name, link }.detach()?;
        return Ok(None);
    }
    // The old array must stay pinned until the link no longer runs the program that uses it.
    let next = pinned(dir, NEXT, &device.name);
    unpin(&next)?;
    pin(programs.as_fd(), &next)?;
    if let Err(error) = link.update_prog(program) {
        unpin(&next)?;
        return Err(BpfError::libbpf(doing("replacing the program of the pinned link"), &error));
    }
    fs::rename(&next, pinned(dir, PROGRAMS, &device.name)).map_err(|source| BpfError::Bpffs {
        path: next,
        doing: "renaming it",
        source,
    })?;
    Ok(Some(link))
}

fn runs_in_skb(program: &Program<'_>, device: &Device, info: sys::LinkInfo) -> Result<bool, BpfError> {
    let query = Xdp::new(program.as_fd()).query(device.ifindex, XdpFlags::NONE);
    let query =
        query.map_err(|error| BpfError::libbpf(format!("interface '{}': asking its mode", device.name), &error))?;
    Ok(query.skb_prog_id == info.program)
}

fn create(program: &Program<'_>, programs: &MapHandle, device: &Device, dir: &Path) -> Result<Link, BpfError> {
    let link = sys::create_xdp_link(program.as_fd(), device.ifindex, device.skb)
        .map_err(|source| device.refused(program, source))?;
    let (array, path) = (pinned(dir, PROGRAMS, &device.name), pinned(dir, LINK, &device.name));
    unpin(&array)?;
    pin(programs.as_fd(), &array)?;
    let opened = pin(link.as_fd(), &path).and_then(|()| {
        open(&path)?.ok_or_else(|| BpfError::Object(format!("{} vanished as it was pinned", path.display())))
    });
    if opened.is_err() {
        unpin(&array)?;
    }
    opened
}

/// Whether a link to the device is pinned in `dir`.
pub(super) fn is_pinned(dir: &Path, name: &str) -> bool {
    pinned(dir, LINK, name).exists()
}

/// Where something of the device is pinned. A bpf file system allows no `.` in names, and a device's name no `:`.
fn pinned(dir: &Path, prefix: &str, name: &str) -> PathBuf {
    dir.join(format!("{prefix}{}", name.replace('.', ":")))
}

fn pin(object: std::os::fd::BorrowedFd<'_>, path: &Path) -> Result<(), BpfError> {
    let failed = |source| BpfError::Bpffs { path: path.to_owned(), doing: "pinning", source };
    let text = CString::new(path.as_os_str().as_bytes()).map_err(|error| failed(error.into()))?;
    sys::pin(object, &text).map_err(failed)
}

fn unpin(path: &Path) -> Result<(), BpfError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            Err(BpfError::Bpffs { path: path.to_owned(), doing: "unpinning", source })
        }
        _ => Ok(()),
    }
}

/// The link pinned at `path`, if there is one.
fn open(path: &Path) -> Result<Option<Link>, BpfError> {
    if !path.exists() {
        return Ok(None);
    }
    let failed = |error| BpfError::libbpf(format!("opening the pinned link {}", path.display()), &error);
    Link::open(path).map(Some).map_err(failed)
}
