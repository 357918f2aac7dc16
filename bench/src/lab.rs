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
/// Name of its peer.
pub(crate) const PEER: &str = "sxf-bench1";

/// Take the calling thread, and what it starts, to a network namespace with one veth pair, and to mounts of its own. The
/// answer is the index of [`DEVICE`]. The pair is down: a packet of the kernel's own, such as neighbour discovery sends
/// when a link comes up, would run the generator between two test runs.
pub(crate) fn isolate() -> Result<i32> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
        .context("a network namespace of its own: not permitted; run as root")?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).context("making mounts private")?;
    ip(&["link", "add", DEVICE, "type", "veth", "peer", "name", PEER])?;
    Ok(i32::try_from(index(DEVICE)?)?)
}

/// Index of a device.
pub(crate) fn index(device: &str) -> Result<u32> {
    nix::net::if_::if_nametoindex(device).with_context(|| format!("device {device}"))
}

/// Bring the devices up.
pub(crate) fn up() -> Result<()> {
    ["lo", DEVICE, PEER].iter().try_for_each(|device| ip(&["link", "set", device, "up"]))
}

/// Keep the calling thread on one core.
pub(crate) fn pin(core: usize) -> Result<()> {
    pin_task(0, core)
}

/// Keep a task, which may be a thread of the kernel, on one core; 0 is the calling thread.
pub(crate) fn pin_task(id: i32, core: usize) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core).with_context(|| format!("core {core}: there is no such core"))?;
    sched_setaffinity(Pid::from_raw(id), &cores).with_context(|| format!("core {core}: staying on it"))
}

/// Run `ip`.
pub(crate) fn ip(args: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(args).output().context("running ip (package iproute2)")?;
    let words = args.join(" ");
    ensure!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
