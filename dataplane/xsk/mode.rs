//! Binding a socket: zero-copy where the driver has it, else copy, and a refusal in words.
#![expect(unsafe_code, reason = "xsk-rs lets a socket be made only by a promise about its XDP program")]

use std::{
    error::Error,
    io,
    os::fd::AsRawFd,
    thread,
    time::{Duration, Instant},
};

use xsk_rs::{
    CompQueue, FillQueue, RxQueue, Socket, TxQueue,
    config::{BindFlags, Interface, LibxdpFlags, QueueSize, SocketConfig},
};

use super::{KernelRings, Port, PortId, Umem, XskError, sockopt};
use crate::plane::{Mode, ModeRequest};

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
}

/// What a successful bind yields.
type Queues = (TxQueue, RxQueue, FillQueue, CompQueue);

/// Bind a socket to a queue. The first socket of a UMEM settles the mode of all: the kernel gives every later one the
/// mode of the first, so bind the interface that traffic comes in by before the devices of services. No XDP program is
/// loaded. Blocks up to 2 seconds while the queue is busy.
///
/// # Errors
/// The kernel's refusal, explained; a mode that was required and not had.
pub fn bind(umem: &Umem, id: PortId, spec: &PortSpec, request: ModeRequest) -> Result<Bound, XskError> {
    let mut reason = String::new();
    let queues = match request {
        ModeRequest::ZeroCopy => open(umem, spec, BindFlags::XDP_ZEROCOPY)?,
        ModeRequest::Copy | ModeRequest::Skb => open(umem, spec, BindFlags::XDP_COPY)?,
        ModeRequest::Auto => match open(umem, spec, BindFlags::XDP_ZEROCOPY) {
            Ok(queues) => queues,
            Err(error) if refuses_zero_copy(&error) => {
                reason = error.to_string();
                open(umem, spec, BindFlags::XDP_COPY)?
            }
            Err(error) => return Err(error),
        },
    };
    let (tx, rx, fill, completion) = queues;
    let fd = rx.fd().as_raw_fd();
    let zero_copy = sockopt::zero_copy(fd).map_err(|source| XskError::Option {
        dev: spec.dev.clone(),
        queue: spec.queue,
        option: "XDP_OPTIONS",
        source,
    })?;
    let mode = match (zero_copy, request) {
        (true, ModeRequest::Copy | ModeRequest::Skb) => {
            return Err(refusal(spec, "copy", "the UMEM is bound zero-copy already; set mode = \"auto\"".into(), None));
        }
        (false, ModeRequest::ZeroCopy) => {
            let why = "the UMEM is bound in copy mode already, which every further socket follows; bind the zero-copy \
                       interface first, or set mode = \"copy\"";
            return Err(refusal(spec, "zero-copy", why.into(), None));
        }
        (true, _) => Mode::ZeroCopy,
        (false, ModeRequest::Skb) => Mode::Skb,
        (false, _) => Mode::Copy,
    };
    if !zero_copy && request == ModeRequest::Auto && reason.is_empty() {
        reason = "the UMEM is bound in copy mode already, which every further socket follows".into();
    }
    if let Err(error) = sockopt::set_tx_budget(fd, umem.layout().ring.min(512)) {
        tracing::debug!(dev = spec.dev, queue = spec.queue, %error, "kernel keeps its limit of packets per kick");
    }
    let rings = KernelRings::new(umem.clone(), rx, tx, fill, completion);
    Ok(Bound { port: Port::new(id, umem.clone(), rings, spec.ingress), mode, reason })
}

/// Bind with `mode`, waiting a while for a queue that is busy.
fn open(umem: &Umem, spec: &PortSpec, mode: BindFlags) -> Result<Queues, XskError> {
    let name = if mode.contains(BindFlags::XDP_ZEROCOPY) { "zero-copy" } else { "copy" };
    let until = Instant::now() + BUSY_PATIENCE;
    loop {
        match try_open(umem, spec, mode, name) {
            Err(error) if os_code(&error) == Some(libc::EBUSY) && Instant::now() < until => thread::sleep(BUSY_PAUSE),
            other => return other,
        }
    }
}

fn try_open(umem: &Umem, spec: &PortSpec, mode: BindFlags, name: &'static str) -> Result<Queues, XskError> {
    let kernel = umem
        .kernel()
        .ok_or_else(|| refusal(spec, name, "this UMEM is plain memory that no kernel knows of".into(), None))?;
    if !(1..=15).contains(&spec.dev.len()) {
        return Err(XskError::Name(spec.dev.clone()));
    }
    let interface: Interface = spec.dev.parse().map_err(|_| XskError::Name(spec.dev.clone()))?;
    let ring =
        QueueSize::new(umem.layout().ring).map_err(|error| refusal(spec, name, format!("umem.ring: {error}"), None))?;
    let config = SocketConfig::builder()
        .rx_queue_size(ring)
        .tx_queue_size(ring)
        .libxdp_flags(LibxdpFlags::XSK_LIBXDP_FLAGS_INHIBIT_PROG_LOAD)
        .bind_flags(mode | BindFlags::XDP_USE_NEED_WAKEUP)
        .build();
    // SAFETY: the one duty is the flag that inhibits loading a program, which is set above.
    let made = unsafe { Socket::new(config, kernel, &interface, spec.queue) };
    match made {
        Ok((tx, rx, Some((fill, completion)))) => Ok((tx, rx, fill, completion)),
        Ok((_, _, None)) => Err(refusal(spec, name, "this daemon has a socket on that queue already".into(), None)),
        Err(error) => {
            let code = error.source().and_then(|e| e.downcast_ref::<io::Error>()).and_then(io::Error::raw_os_error);
            let reason = code.map_or_else(|| error.to_string(), |code| explain(code, spec, name));
            Err(refusal(spec, name, reason, code))
        }
    }
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
        libc::EOPNOTSUPP if mode == "copy" => {
            "the device has no zero-copy, and the UMEM is bound zero-copy; set mode = \"copy\" so that one UMEM serves \
             both"
        }
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
