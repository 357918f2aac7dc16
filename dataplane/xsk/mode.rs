//! Binding a socket: zero-copy where the driver has it, else copy, and a refusal in words.

use std::{
    io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::{
    KernelRings, MAX_PARTS, Port, PortId, Rings, Umem, XskError, defect, registrations::Registrations, sockopt,
};
use crate::{
    bpf,
    plane::{Mode, ModeRequest},
    service,
};

/// How long a queue that is still in use is waited for: the kernel releases closed sockets a little later.
const BUSY_PATIENCE: Duration = Duration::from_secs(2);
/// Time between two tries on a busy queue.
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// Where to bind a socket, and what for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSpec {
    /// Device, in the network namespace of the calling thread.
    pub dev: String,
    /// Queue.
    pub queue: u32,
    /// Index of the ingress interface in the snapshot; none for a socket that only sends.
    pub ingress: Option<u16>,
}

/// A bound socket, with the mode it got.
#[derive(Debug)]
pub struct Bound {
    /// The socket.
    pub port: Port,
    /// The mode it got.
    pub mode: Mode,
    /// Why it is not a faster one; empty when it is the fastest, or the one that was asked for.
    pub reason: String,
    /// It takes packets of several frames.
    pub parts: bool,
}

/// Bind a socket to a queue, on the UMEM's first registration where that is bound in the same mode, else on one that the
/// device has for itself: so each device has the mode that it can have. A driver whose zero-copy mode is known to lose packets
/// is bound in it on request only, and warned of. Where packets may take several frames
/// ([`Umem::allow_parts`]), it is bound for such; a driver without them in zero-copy mode is bound in that mode all the same. No
/// XDP program is loaded. Blocks up to 2 seconds while the queue is busy.
///
/// # Errors
/// The kernel's refusal, explained; a mode that was required and not had.
pub fn bind(umem: &Umem, id: PortId, spec: &PortSpec, request: ModeRequest) -> Result<Bound, XskError> {
    if !(1..=15).contains(&spec.dev.len()) || spec.dev.contains('\0') {
        return Err(XskError::Name(spec.dev.clone()));
    }
    let mut registrations = umem.registrations();
    let mut reason = String::new();
    let most = most_parts(spec, registrations.parts);
    // A device without a driver that tells its name has no zero-copy either.
    let driver = service::driver(&spec.dev).unwrap_or_default();
    let defect = defect::of_zero_copy(&driver, Path::new(defect::MODULES));
    let ((rings, parts), zero_copy) = match request {
        ModeRequest::ZeroCopy => {
            if let Some(defect) = defect {
                tracing::warn!(dev = spec.dev, queue = spec.queue, "zero-copy as required: {defect}");
            }
            (open_zero_copy(umem, &mut registrations, spec, most)?, true)
        }
        ModeRequest::Copy | ModeRequest::Skb => (open_copy(umem, &mut registrations, spec)?, false),
        ModeRequest::Auto if let Some(defect) = defect => {
            defect.clone_into(&mut reason);
            (open_copy(umem, &mut registrations, spec)?, false)
        }
        ModeRequest::Auto => match open_zero_copy(umem, &mut registrations, spec, most) {
            Ok(opened) => (opened, true),
            Err(error) if refuses_zero_copy(&error) => {
                reason = error.to_string();
                (open_copy(umem, &mut registrations, spec)?, false)
            }
            Err(error) => return Err(error),
        },
    };
    let mode = match (zero_copy, request) {
        (true, _) => Mode::ZeroCopy,
        (false, ModeRequest::Skb) => Mode::Skb,
        (false, _) => Mode::Copy,
    };
    if let Some(fd) = rings.fd()
        && let Err(error) = sockopt::set_tx_budget(fd, umem.layout().ring.min(512))
    {
        tracing::debug!(dev = spec.dev, queue = spec.queue, %error, "kernel keeps its limit of packets per kick");
    }
    Ok(Bound { port: Port::new(id, umem.clone(), rings, spec.ingress, parts), mode, reason, parts: parts > 1 })
}

/// Frames that a packet may take on a device in zero-copy mode, where it may take several.
fn most_parts(spec: &PortSpec, allowed: bool) -> usize {
    let features = nix::net::if_::if_nametoindex(spec.dev.as_str()).ok().filter(|_| allowed).map(bpf::features);
    match features {
        Some(Ok(features)) => usize::try_from(features.zero_copy_parts).unwrap_or(1).clamp(1, MAX_PARTS),
        _ => 1,
    }
}

/// Bind in zero-copy mode; the answer has the most frames of a packet.
fn open_zero_copy(
    umem: &Umem,
    registrations: &mut Registrations,
    spec: &PortSpec,
    parts: usize,
) -> Result<(KernelRings, usize), XskError> {
    Ok((open(umem, registrations, spec, true, parts > 1)?, parts))
}

/// The same in copy mode, where it is the kernel that takes packets apart.
fn open_copy(
    umem: &Umem,
    registrations: &mut Registrations,
    spec: &PortSpec,
) -> Result<(KernelRings, usize), XskError> {
    let parts = registrations.parts;
    Ok((open(umem, registrations, spec, false, parts)?, if parts { MAX_PARTS } else { 1 }))
}

/// Bind in one mode, waiting a while for a queue that is busy. The mode is what the kernel says it is.
fn open(
    umem: &Umem,
    registrations: &mut Registrations,
    spec: &PortSpec,
    zero_copy: bool,
    parts: bool,
) -> Result<KernelRings, XskError> {
    let name = if zero_copy { "zero-copy" } else { "copy" };
    let until = Instant::now() + BUSY_PATIENCE;
    let rings = loop {
        match registrations.open(umem, spec, zero_copy, parts) {
            Ok(rings) => break rings,
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) && Instant::now() < until => {
                thread::sleep(BUSY_PAUSE);
            }
            Err(error) => {
                let code = error.raw_os_error();
                let reason = code.map_or_else(|| error.to_string(), |code| explain(code, spec, name));
                return Err(refusal(spec, name, reason, code));
            }
        }
    };
    let got = rings.fd().map_or(Ok(zero_copy), sockopt::zero_copy).map_err(|source| XskError::Option {
        dev: spec.dev.clone(),
        queue: spec.queue,
        option: "XDP_OPTIONS",
        source,
    })?;
    if got != zero_copy {
        return Err(refusal(spec, name, "the kernel bound it in the other mode".into(), None));
    }
    Ok(rings)
}

fn refusal(spec: &PortSpec, mode: &'static str, reason: String, code: Option<i32>) -> XskError {
    let source = code.map(io::Error::from_raw_os_error);
    XskError::Bind { dev: spec.dev.clone(), queue: spec.queue, mode, reason, source }
}

fn os_code(error: &XskError) -> Option<i32> {
    match error {
        XskError::Bind { source: Some(source), .. } => source.raw_os_error(),
        _ => None,
    }
}

/// The answers of drivers that have no zero-copy, or not with this UMEM.
fn refuses_zero_copy(error: &XskError) -> bool {
    matches!(os_code(error), Some(libc::EOPNOTSUPP | libc::EINVAL | libc::ENOSYS))
}

/// An errno of bind in words: what it means here and how to mend it.
fn explain(code: i32, spec: &PortSpec, mode: &str) -> String {
    let text = match code {
        libc::EBUSY => "another socket or program holds the queue; stop it, then try again",
        libc::EOPNOTSUPP if mode == "zero-copy" => "its driver has no AF_XDP zero-copy",
        libc::EOPNOTSUPP => "its driver has no AF_XDP",
        libc::EINVAL => {
            return format!(
                "the device has no queue {} or its driver refuses frames of this size; see `ethtool -l {}` and \
                 umem.frame_size",
                spec.queue, spec.dev
            );
        }
        libc::ENODEV | libc::ENXIO => "no such interface; see `ip link`",
        libc::ENETDOWN => return format!("the interface is down; `ip link set {} up`", spec.dev),
        libc::EPERM | libc::EACCES => "capability CAP_NET_RAW is missing; run as root or grant it",
        libc::ENOBUFS | libc::ENOMEM => {
            "not enough memory; raise RLIMIT_MEMLOCK (`ulimit -l unlimited`) or lower umem.ring and umem.frames"
        }
        _ => return format!("{mode} bind failed: {}", io::Error::from_raw_os_error(code)),
    };
    text.to_owned()
}
