//! A network of our own: namespaces that nobody else sees and that end with the process, whatever ends it.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, CpuSet, sched_setaffinity, unshare},
    unistd::Pid,
};

/// Name of the device, in a namespace without others.
pub(crate) const DEVICE: &str = "sxf-bench0";
const PEER: &str = "sxf-bench1";

/// Take the calling thread, and what it starts, to a network namespace with one veth pair, and to mounts of its own. The
/// answer is the index of [`DEVICE`]. The pair is down: a packet of the kernel's own, such as neighbour discovery sends
/// when a link comes up, would run the generator between two test runs.
pub(crate) fn isolate() -> Result<i32> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
        .context("a network namespace of its own: not permitted; run as root")?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).context("making mounts private")?;
    ip(&["link", "add", DEVICE, "type", "veth", "peer", "name", PEER])?;
    let index = nix::net::if_::if_nametoindex(DEVICE).context("the veth device that was just made")?;
    Ok(i32::try_from(index)?)
}

/// Bring the devices up.
pub(crate) fn up() -> Result<()> {
    ["lo", DEVICE, PEER].iter().try_for_each(|device| ip(&["link", "set", device, "up"]))
}

/// Stay on one core.
pub(crate) fn pin(core: usize) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core).with_context(|| format!("--core {core}: there is no such core"))?;
    sched_setaffinity(Pid::from_raw(0), &cores).with_context(|| format!("--core {core}: staying on it"))
}

fn ip(args: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(args).output().context("running ip (package iproute2)")?;
    let words = args.join(" ");
    ensure!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
