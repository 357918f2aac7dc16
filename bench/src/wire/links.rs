//! The devices between which a forwarder is put, and where their packets are received.

use std::{
    collections::HashSet,
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use nix::mount::{MsFlags, mount};

use super::{
    cores::{Busy, Cores},
    frames::{Frames, Macs},
    generator::{Generator, Pace, Sent},
    sink::{Arrived, Sink},
};
use crate::lab::{self, ip};

/// The generator's device, and its peer, by which the forwarder receives.
const GENERATOR: &str = "sxf-gen";
pub(crate) const IN: &str = "sxf-in";
/// The forwarder's other device, and its peer, the sink's.
pub(crate) const OUT: &str = "sxf-out";
const SINK: &str = "sxf-sink";

/// Core of the generator, and of what the kernel receives in its place.
pub(crate) const GENERATOR_CORE: usize = 0;
/// Core of the forwarder.
pub(crate) const WORKER_CORE: usize = 1;

/// Longest time for a thread of the kernel to appear, and for a forwarder to forward.
const PATIENCE: Duration = Duration::from_secs(10);
/// Frames a second by which one sees whether it does.
const PROBE: Pace = Pace::Rate(10_000.0);
/// Frames on their way are waited for until none came for this long.
const QUIET: Duration = Duration::from_millis(30);

/// A network of our own.
#[derive(Debug)]
pub(crate) struct Network {
    /// Devices that receive nothing, for the generators' programs.
    spare: [i32; 2],
}

/// Both veth pairs with a generator and a sink. Dropping it removes them.
#[derive(Debug)]
pub(crate) struct Wire {
    generator: Generator,
    sink: Option<Sink>,
    run: u16,
}

/// What one run showed.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) sent: Sent,
    pub(crate) arrived: Arrived,
    pub(crate) cores: Vec<Busy>,
    /// Frames that the forwarder's device took from the generator's.
    pub(crate) received: u64,
}

impl Network {
    /// Take the calling thread to it.
    pub(crate) fn new() -> Result<Self> {
        let spare = [lab::isolate()?, i32::try_from(lab::index(lab::PEER)?)?];
        // What is mounted shows the devices of another network.
        mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), None::<&str>).context("mounting /sys")?;
        // Nothing but the generator's frames: no neighbour discovery.
        fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").context("turning IPv6 off on new devices")?;
        Ok(Self { spare })
    }

    /// A wire whose devices have this many queues.
    pub(crate) fn wire(&self, queues: u32) -> Result<Wire> {
        let queues = queues.to_string();
        for (left, right) in [(GENERATOR, IN), (OUT, SINK)] {
            let mut words = vec!["link", "add", left, "numrxqueues", &queues, "numtxqueues", &queues];
            words.extend(["type", "veth", "peer", "name", right, "numrxqueues", &queues, "numtxqueues", &queues]);
            ip(&words)?;
            ip(&["link", "set", left, "up"])?;
            ip(&["link", "set", right, "up"])?;
        }
        let sink = Sink::load(i32::try_from(lab::index(SINK)?)?)?;
        Ok(Wire { generator: self.generator(0)?, sink: Some(sink), run: 0 })
    }

    /// A second generator on the wire.
    pub(crate) fn second_generator(&self) -> Result<Generator> {
        self.generator(1)
    }

    fn generator(&self, number: usize) -> Result<Generator> {
        Generator::load(lab::index(GENERATOR)?, self.spare[number])
    }
}

impl Wire {
    /// The sink's address, or that of the device by which the forwarder receives.
    pub(crate) fn macs(&self, to_the_sink: bool) -> Result<Macs> {
        Ok(Macs { from: mac(GENERATOR)?, to: mac(if to_the_sink { SINK } else { IN })? })
    }

    /// The sink's address as text.
    pub(crate) fn sink_mac(&self) -> Result<String> {
        statistic(SINK, "address")
    }

    /// Take over what to send.
    pub(crate) fn aim(&mut self, frames: &Frames) -> Result<()> {
        self.generator.aim(frames)
    }

    /// Wait until something comes through.
    pub(crate) fn wait(&mut self) -> Result<()> {
        let begin = Instant::now();
        while self.round(&[], PROBE, Duration::from_millis(2))?.arrived.packets == 0 {
            ensure!(begin.elapsed() < PATIENCE, "nothing comes through");
        }
        Ok(())
    }

    /// Send, first for `warm` without counting, then for `time`; wait for what is on its way.
    pub(crate) fn run(&mut self, pace: Pace, warm: Duration, time: Duration) -> Result<Outcome> {
        self.with_others(&[], pace, warm, time)
    }

    /// As [`run`](Self::run), with other generators at the same pace, each on the core that is named with it.
    pub(crate) fn with_others(
        &mut self,
        others: &[(&Generator, usize)],
        pace: Pace,
        warm: Duration,
        time: Duration,
    ) -> Result<Outcome> {
        self.round(others, pace, warm)?;
        self.round(others, pace, time)
    }

    fn round(&mut self, others: &[(&Generator, usize)], pace: Pace, time: Duration) -> Result<Outcome> {
        // 0 is what an empty frame says.
        self.run = self.run.wrapping_add(1).max(1);
        let run = self.run;
        let sink = self.sink.as_ref().context("the sink is gone")?;
        sink.arm(run)?;
        let (then, before) = (Cores::now()?, count(IN, "rx_packets")?);
        let generator = &self.generator;
        // In threads of their own, for what is started later shall not inherit their core.
        let sent = thread::scope(|scope| {
            let all = others.iter().copied().chain([(generator, GENERATOR_CORE)]);
            let threads: Vec<_> = all
                .map(|(generator, core)| {
                    scope.spawn(move || {
                        lab::pin(core)?;
                        generator.run(pace, time, run)
                    })
                })
                .collect();
            let join = |thread: thread::ScopedJoinHandle<'_, Result<Sent>>| match thread.join() {
                Ok(sent) => sent,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            threads.into_iter().map(join).collect::<Result<Vec<_>>>()
        })?;
        let cores = then.until(&Cores::now()?);
        let sent = Sent {
            frames: sent.iter().map(|sent| sent.frames).sum(),
            time: sent.iter().map(|sent| sent.time).max().unwrap_or_default(),
            given_up: sent.iter().map(|sent| sent.given_up).max().unwrap_or_default(),
        };
        let (mut packets, mut since) = (sink.packets()?, Instant::now());
        while since.elapsed() < QUIET {
            thread::sleep(QUIET / 10);
            let now = sink.packets()?;
            if now != packets {
                (packets, since) = (now, Instant::now());
            }
        }
        Ok(Outcome { sent, arrived: sink.read()?, cores, received: count(IN, "rx_packets")?.saturating_sub(before) })
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // Its program first. When a device is gone already there is nothing to remove; all end with the process anyway.
        self.sink = None;
        for device in [GENERATOR, OUT] {
            let _ = ip(&["link", "del", device]);
        }
    }
}

/// A thread of the kernel receives for the forwarder, on its core. Without, a veth is received from by the core that sends,
/// in its soft interrupts; dropping it gives that back.
#[derive(Debug)]
pub(crate) struct Threaded(());

impl Threaded {
    /// Begin, with the forwarder's program attached: before that there is nothing that receives.
    pub(crate) fn begin() -> Result<Self> {
        let before = receivers()?;
        fs::write(file(IN, "threaded"), "1").context("threaded reception, for which Linux 5.12 is needed")?;
        let threaded = Self(());
        let begin = Instant::now();
        loop {
            let new: Vec<i32> = receivers()?.difference(&before).copied().collect();
            if !new.is_empty() {
                new.iter().try_for_each(|thread| lab::pin_task(*thread, WORKER_CORE))?;
                return Ok(threaded);
            }
            ensure!(begin.elapsed() < PATIENCE, "the kernel made no thread that receives for {IN}");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Threaded {
    fn drop(&mut self) {
        // The device may be gone, and its threads with it.
        let _ = fs::write(file(IN, "threaded"), "0");
    }
}

/// Threads of the kernel that receive for a device of this name, in any network.
fn receivers() -> Result<HashSet<i32>> {
    let name = format!("napi/{IN}-");
    let mut found = HashSet::new();
    for entry in fs::read_dir("/proc").context("reading /proc")? {
        let entry = entry?;
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // It may have ended meanwhile.
        if fs::read_to_string(entry.path().join("comm")).is_ok_and(|comm| comm.starts_with(&name)) {
            found.insert(id);
        }
    }
    Ok(found)
}

fn file(device: &str, name: &str) -> PathBuf {
    PathBuf::from(format!("/sys/class/net/{device}/{name}"))
}

fn statistic(device: &str, name: &str) -> Result<String> {
    let text = fs::read_to_string(file(device, name)).with_context(|| format!("{name} of {device}"))?;
    Ok(text.trim().to_owned())
}

fn count(device: &str, name: &str) -> Result<u64> {
    statistic(device, &format!("statistics/{name}"))?.parse().with_context(|| format!("{name} of {device}"))
}

fn mac(device: &str) -> Result<[u8; 6]> {
    let text = statistic(device, "address")?;
    let bytes: Vec<u8> = text.split(':').map_while(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    bytes.try_into().map_err(|_| anyhow::anyhow!("{device} has the address {text}"))
}
