//! Injection as control drives it: load it, let devices in, try whether they take frames, see what was lost.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use libbpf_rs::{Link, MapCore, MapFlags, MapHandle, Object, ObjectBuilder};

use super::{
    lane::{Inject, Lane, Lanes, MAX_LANES},
    spare::Spare,
    types::{OBJECT, RawLoss},
};
use crate::bpf;

/// A call without packets that takes longer waits for the kernel to change its XDP dispatcher, 24 ms where it does.
const SLOW: Duration = Duration::from_millis(5);
/// Calls of which the fastest counts.
const TRIES: usize = 5;
/// EtherType of frames that probe a device: local experimental 1 (IEEE 802), which no stack takes for its own.
const PROBE_TYPE: [u8; 2] = [0x88, 0xb5];
/// Destination of those frames: the group address of LLDP, which a bridge does not forward (IEEE 802.1Q, table 8-1).
const PROBE_TO: [u8; 6] = [0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e];
/// Their source: locally administered.
const PROBE_FROM: [u8; 6] = [0x02, b's', b'x', b'f', 0, 0];
const PROBE_LEN: usize = 60;

/// Why there is no injection.
#[derive(Debug, thiserror::Error)]
pub enum InjectionError {
    /// The device that the program is attached to.
    #[error("a tap device could not be made ({0}): load the module tun, and allow /dev/net/tun")]
    Spare(#[source] io::Error),
    /// The kernel does not take the program, or not all that goes with it.
    #[error("{doing}: {source} (needs linux 5.18)")]
    Kernel {
        /// What was being done.
        doing: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Calls take far too long.
    #[error("a call without packets takes {} ms: the kernel changes its xdp dispatcher at each", .0.as_millis())]
    Slow(Duration),
    /// More workers than a call can tell apart.
    #[error("{0} workers: at most {max} can inject", max = MAX_LANES - 1)]
    TooManyWorkers(u32),
}

/// What a device did not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Loss {
    /// Packets.
    pub packets: u64,
    /// Bursts of which it took nothing.
    pub refusals: u64,
}

/// The loaded program with its lanes.
#[derive(Debug)]
pub struct Injection {
    devices: MapHandle,
    losses: MapHandle,
    /// Of the workers, until they have them.
    lanes: Vec<Lane>,
    probe: Lane,
    /// Attached to the tracepoints that tell what devices took and did not take.
    _told: Vec<Link>,
    /// Attached to the spare device: else the kernel waits for all its CPUs before each call.
    _attached: OwnedFd,
    _spare: Spare,
}

impl Injection {
    /// Load it, with a lane for each of `workers` workers.
    ///
    /// # Errors
    /// The kernel is too old, or something is not permitted or not there.
    pub fn load(workers: u32) -> Result<Self, InjectionError> {
        if workers >= MAX_LANES {
            return Err(InjectionError::TooManyWorkers(workers));
        }
        let spare = Spare::new().map_err(InjectionError::Spare)?;
        let object = load(workers + 1, spare.ifindex())?;
        let map = |name: &'static str| {
            let map = object.maps().find(|map| map.name() == name).ok_or_else(|| missing(name))?;
            MapHandle::try_from(&map).map_err(refused(name))
        };
        let program =
            |name: &'static str| object.progs_mut().find(|program| program.name() == name).ok_or_else(|| missing(name));
        let inject = program("sxf_inject")?;
        let attached = bpf::create_xdp_link(inject.as_fd(), spare.ifindex().cast_signed(), false)
            .map_err(failed("attaching the injecting program to a tap device"))?;
        let told = ["sxf_injected", "sxf_not_injected"]
            .map(|name| program(name)?.attach_trace().map_err(refused("attaching to the tracepoints of xdp")));
        let lanes = Lanes::map(map("lanes")?.as_fd(), workers + 1).map_err(failed("mapping the lanes"))?;
        let mut lanes =
            Lane::all(lanes, inject.as_fd(), spare.ifindex()).map_err(failed("sharing the injecting program"))?;
        let mut probe = lanes.pop().ok_or_else(|| missing("a lane"))?;
        check_speed(&mut probe)?;
        Ok(Self {
            devices: map("devices")?,
            losses: map("losses")?,
            lanes,
            probe,
            _told: told.into_iter().collect::<Result<_, _>>()?,
            _attached: attached,
            _spare: spare,
        })
    }

    /// The workers' lanes, by worker; none when they were taken already.
    pub fn take_lanes(&mut self) -> Vec<Lane> {
        std::mem::take(&mut self.lanes)
    }

    /// Let packets be sent by a device, which is looked up in the calling thread's network namespace.
    ///
    /// # Errors
    /// No such device, or too many.
    pub fn admit(&self, ifindex: u32) -> io::Result<()> {
        let key = ifindex.to_ne_bytes();
        self.losses.update(&key, bytemuck::bytes_of(&[0_u64; 2]), MapFlags::ANY).map_err(|error| said(&error))?;
        self.devices.update(&key, &key, MapFlags::ANY).map_err(|error| said(&error))
    }

    /// Let no packet be sent by a device any more. One that is not there is as good as dismissed.
    pub fn dismiss(&self, ifindex: u32) {
        for map in [&self.devices, &self.losses] {
            if let Err(error) = map.delete(&ifindex.to_ne_bytes())
                && error.kind() != libbpf_rs::ErrorKind::NotFound
            {
                tracing::error!(ifindex, %error, "a device could not be taken out of the injecting program's maps");
            }
        }
    }

    /// Send one frame that nobody takes for his own by an admitted device. True when its receiver has it: it has GRO on, or
    /// an XDP program.
    ///
    /// # Errors
    /// The call failed, whatever the device.
    pub fn probe(&mut self, ifindex: u32) -> io::Result<bool> {
        let mut frame = [0; PROBE_LEN];
        frame[..6].copy_from_slice(&PROBE_TO);
        frame[6..12].copy_from_slice(&PROBE_FROM);
        frame[12..14].copy_from_slice(&PROBE_TYPE);
        self.probe.push(ifindex, &frame);
        let injected = self.probe.run();
        if injected.broken {
            return Err(io::Error::other("the kernel refused to run the injecting program"));
        }
        Ok(injected.lost == 0)
    }

    /// What a device did not take since it was admitted.
    #[must_use]
    pub fn loss(&self, ifindex: u32) -> Loss {
        let value = self.losses.lookup(&ifindex.to_ne_bytes(), MapFlags::ANY);
        let value = value.inspect_err(|error| tracing::error!(ifindex, %error, "losses cannot be read"));
        let Some(bytes) = value.ok().flatten().filter(|bytes| bytes.len() == size_of::<RawLoss>()) else {
            return Loss::default();
        };
        let [packets, refusals] = bytemuck::pod_read_unaligned(&bytes);
        Loss { packets, refusals }
    }
}

/// Load the program with `lanes` lanes, for frames that seem to come from the device `spare`.
fn load(lanes: u32, spare: u32) -> Result<Object, InjectionError> {
    bpf::quiet();
    let mut open = ObjectBuilder::default().open_memory(OBJECT).map_err(refused("opening the injecting program"))?;
    for mut map in open.maps_mut() {
        if map.name() == "lanes" {
            map.set_max_entries(lanes).map_err(refused("sizing the lanes"))?;
        } else if map.name().to_str().is_some_and(|name| name.ends_with(".rodata")) {
            let value = map.initial_value_mut().and_then(|bytes| bytes.first_chunk_mut());
            *value.ok_or_else(|| missing("the number of the spare device"))? = spare.to_ne_bytes();
        }
    }
    open.load().map_err(refused("loading the injecting program"))
}

fn failed(doing: &'static str) -> impl Fn(io::Error) -> InjectionError {
    move |source| InjectionError::Kernel { doing, source }
}

fn refused(doing: &'static str) -> impl Fn(libbpf_rs::Error) -> InjectionError {
    move |error| failed(doing)(said(&error))
}

/// The compiled program is not the one this code was written for.
fn missing(what: &'static str) -> InjectionError {
    failed(what)(io::ErrorKind::NotFound.into())
}

/// What libbpf says, in one line.
fn said(error: &libbpf_rs::Error) -> io::Error {
    io::Error::other(format!("{error:#}"))
}

/// Refuse where every call would change the kernel's dispatcher.
fn check_speed(lane: &mut Lane) -> Result<(), InjectionError> {
    let mut fastest = Duration::MAX;
    for _ in 0..TRIES {
        let begin = Instant::now();
        let doing = "running the injecting program on live frames";
        lane.call(2).map_err(|source| InjectionError::Kernel { doing, source })?;
        fastest = fastest.min(begin.elapsed());
        if fastest < SLOW {
            return Ok(());
        }
    }
    Err(InjectionError::Slow(fastest))
}
