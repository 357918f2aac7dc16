//! Who forwards: each is put between the two veths, and taken away when it drops.

use std::{
    fmt::Debug,
    fs,
    net::Ipv4Addr,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::plan::Plan;
use crate::{
    daemon::{Daemon, Setup},
    lab::{self, ip},
    modules,
    peers::{
        nft::Nft,
        testpmd::{Driver, Testpmd},
    },
    wire::{
        frames::destination,
        links::{GENERATOR_CORE, IN, OUT, Threaded, WORKER_CORE, Wire},
        programs::{Attached, Program},
    },
};

const BRIDGE: &str = "sxf-bridge";
/// Longest time for a service to come up.
const PATIENCE: Duration = Duration::from_secs(10);

/// How packets leave toward a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Egress {
    /// The daemon knows one way only.
    Only,
    /// As the daemon decides.
    Auto,
    /// By AF_XDP TX.
    Tx,
}

/// Who.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    /// secuxflow, all traffic through a chain of 0, 1 or 3 modules.
    Ours { modules: usize, egress: Egress },
    /// secuxflow with one module, polling on while packets come densely.
    Polling,
    /// secuxflow, with workers on these cores and one module.
    Workers(Vec<usize>),
    /// secuxflow, with a module that clears every flow, so that the kernel forwards.
    Offload,
    /// secuxflow, with a rule that drops for each of these sources.
    Rules(Vec<Ipv4Addr>),
    /// DPDK's forwarder.
    Testpmd(Driver),
    /// The kernel's bridge.
    Bridge,
    /// An XDP program that redirects everything.
    Redirect,
    /// An XDP program that drops everything.
    Drop,
    /// nftables, dropping these sources at ingress.
    Nft(Vec<Ipv4Addr>),
}

/// One that is running; it ends when it drops, its fields in this order.
#[derive(Debug, Default)]
pub(super) struct Running {
    threaded: Option<Threaded>,
    pub(super) daemon: Option<Daemon>,
    /// Processes, programs and devices.
    others: Vec<Box<dyn Debug>>,
}

/// Removed when it drops.
#[derive(Debug)]
struct Bridge;

impl Drop for Bridge {
    fn drop(&mut self) {
        // It ends with the namespace anyway.
        let _ = ip(&["link", "del", BRIDGE]);
    }
}

impl Subject {
    /// As figures name it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Ours { modules, egress } => {
                let way = if *egress == Egress::Tx { ", AF_XDP TX only" } else { "" };
                format!("secuxflow, {modules} module{}{way}", if *modules == 1 { "" } else { "s" })
            }
            Self::Workers(cores) => {
                let plural = if cores.len() == 1 { "" } else { "s" };
                format!("secuxflow, {} worker{plural}", cores.len())
            }
            Self::Polling => format!("{}, polling", Self::Ours { modules: 1, egress: Egress::Only }.name()),
            Self::Offload => "secuxflow, offloaded flows".to_owned(),
            Self::Rules(sources) => format!("secuxflow, {} rules", sources.len()),
            Self::Testpmd(Driver::Xdp) => "testpmd, AF_XDP".to_owned(),
            Self::Testpmd(Driver::Packet) => "testpmd, AF_PACKET".to_owned(),
            Self::Bridge => "kernel bridge".to_owned(),
            Self::Redirect => "XDP redirect".to_owned(),
            Self::Drop => "XDP drop".to_owned(),
            Self::Nft(sources) => format!("nftables, set of {}", sources.len()),
        }
    }

    /// Whether frames are for the sink's address, not for that of the device they come in by.
    pub(super) fn is_bridging(&self) -> bool {
        *self == Self::Bridge
    }

    /// Put it between the devices.
    pub(super) fn start(&self, plan: &Plan, wire: &Wire) -> Result<Running> {
        self.try_start(plan, wire).with_context(|| self.name())
    }

    fn try_start(&self, plan: &Plan, wire: &Wire) -> Result<Running> {
        let mut running = Running::default();
        match self {
            Self::Ours { modules, egress } => {
                running.daemon = Some(inspecting(plan, wire, *modules, *egress, &[WORKER_CORE], "")?);
            }
            Self::Polling => {
                let spin = "spin_us = 200\n";
                running.daemon = Some(inspecting(plan, wire, 1, plan.egress[0], &[WORKER_CORE], spin)?);
            }
            Self::Workers(cores) => running.daemon = Some(inspecting(plan, wire, 1, plan.egress[0], cores, "")?),
            Self::Offload => running.daemon = Some(offloading(plan, wire)?),
            Self::Rules(sources) => running.daemon = Some(dropping(plan, sources)?),
            Self::Testpmd(driver) => {
                if *driver == Driver::Packet {
                    running.others.push(Box::new(attach(Program::Pass)?));
                }
                let tool = plan.testpmd.as_ref().context("it was not found")?;
                let testpmd = Testpmd::start(tool, *driver, IN, OUT, WORKER_CORE, GENERATOR_CORE)?;
                running.others.insert(0, Box::new(testpmd));
            }
            Self::Bridge => {
                running.others.push(Box::new(attach(Program::Pass)?));
                running.others.push(Box::new(Bridge));
                ip(&["link", "add", BRIDGE, "type", "bridge"])?;
                for device in [IN, OUT] {
                    ip(&["link", "set", device, "master", BRIDGE])?;
                }
                ip(&["link", "set", BRIDGE, "up"])?;
            }
            Self::Redirect => running.others.push(Box::new(attach(Program::Redirect(lab::index(OUT)?))?)),
            Self::Drop => running.others.push(Box::new(attach(Program::Drop)?)),
            Self::Nft(sources) => {
                running.others.push(Box::new(attach(Program::Pass)?));
                let tool = plan.nft.as_ref().context("it was not found")?;
                running.others.push(Box::new(Nft::drop_from(tool, IN, sources)?));
            }
        }
        if self.is_in_the_kernel() {
            running.threaded = Some(Threaded::begin()?);
        }
        Ok(running)
    }

    /// What forwards in the place where the kernel receives does so on the worker's core, as the others do. A veth is
    /// received from by the core that sends unless a thread does it.
    fn is_in_the_kernel(&self) -> bool {
        !matches!(self, Self::Ours { .. } | Self::Polling | Self::Workers(_) | Self::Testpmd(_))
    }
}

fn attach(program: Program) -> Result<Attached> {
    Attached::forwarder(program, i32::try_from(lab::index(IN)?)?)
}

/// A `[[module]]` table.
fn module(name: &str, file: &Path, config: &str) -> String {
    format!(
        "[[module]]\nname = \"{name}\"\npath = {:?}\non_failure = \"closed\"\nheap_mib = {}\n{config}",
        file.display().to_string(),
        modules::HEAP
    )
}

/// A daemon all of whose traffic goes through a chain; `waiting` is lines of the section `[workers]`.
fn inspecting(
    plan: &Plan,
    wire: &Wire,
    count: usize,
    egress: Egress,
    cores: &[usize],
    waiting: &str,
) -> Result<Daemon> {
    let patterns = format!("config = {{ patterns = {:?} }}\n", modules::patterns(1000));
    let all = [
        ("headers", "header_guard.wasm", ""),
        ("basic", "basic_inspect.wat", ""),
        ("patterns", "pattern_guard.wasm", &patterns),
    ];
    let used = &all[..count];
    let names: Vec<&str> = used.iter().map(|(name, ..)| *name).collect();
    let way = match egress {
        Egress::Only => "",
        Egress::Auto => "egress = \"auto\"\n",
        Egress::Tx => "egress = \"tx\"\n",
    };
    let mut tables = format!("[workers]\ncores = {cores:?}\n{way}{waiting}");
    for (name, file, config) in used {
        tables.push_str(&module(name, &plan.modules.join(file), config));
    }
    tables.push_str(&format!("[[chain]]\nname = \"default\"\nmodules = {names:?}\n"));
    forwarding(plan, wire, &Setup { interfaces: &[IN], tables })
}

/// A daemon whose module clears every flow at its first packet.
fn offloading(plan: &Plan, wire: &Wire) -> Result<Daemon> {
    let folder = tempfile::tempdir().context("a folder for a module")?;
    let file = folder.path().join("clear.wat");
    fs::write(&file, modules::CLEAR).context("writing a module")?;
    let mut tables = format!("[workers]\ncores = [{WORKER_CORE}]\n[flows]\nforward = \"service\"\n");
    tables.push_str(&module("clear", &file, ""));
    tables.push_str("[[chain]]\nname = \"default\"\nmodules = [\"clear\"]\n");
    forwarding(plan, wire, &Setup { interfaces: &[IN], tables })
}

/// A daemon with the sink as its service, and a rule that inspects all traffic toward it.
fn forwarding(plan: &Plan, wire: &Wire, setup: &Setup) -> Result<Daemon> {
    let daemon = Daemon::start(&plan.binary, setup)?;
    let to = destination(plan.family).to_string();
    daemon.ask(&["service", "add", "sink", "--ip", &to, "--dev", OUT, "--mac", &wire.sink_mac()?])?;
    daemon.ask(&["rule", "add", "--dst", &to, "--action", "inspect"])?;
    let begin = Instant::now();
    loop {
        let list: Value = serde_json::from_str(&daemon.ask(&["service", "list", "--json"])?)?;
        if list["services"][0]["state"] == "up" {
            return Ok(daemon);
        }
        ensure!(begin.elapsed() < PATIENCE, "the service does not come up: {list}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A daemon with a rule for each source.
fn dropping(plan: &Plan, sources: &[Ipv4Addr]) -> Result<Daemon> {
    let daemon = Daemon::start(&plan.binary, &Setup { interfaces: &[IN], ..Setup::default() })?;
    let rule = |source: &Ipv4Addr| serde_json::json!({ "src": format!("{source}/32"), "action": "drop" });
    let rules: Vec<Value> = sources.iter().map(rule).collect();
    let file = daemon.folder().join("rules.json");
    fs::write(&file, serde_json::json!({ "rules": rules }).to_string()).context("writing rules")?;
    daemon.ask(&["rule", "apply", &file.to_string_lossy()])?;
    Ok(daemon)
}
