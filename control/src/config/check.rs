//! The rules that a configuration must keep; every broken one is reported, not only the first.

use std::{collections::HashSet, net::SocketAddr, path::PathBuf, time::Duration};

use secuxflow::{
    plane::{FlowConfig, NumaRequest, PlaneConfig, UmemLayout},
    rules::Action,
};
use secuxflow_abi::MAX_BATCH;
use tracing_subscriber::EnvFilter;

use super::{
    AlertConfig, Config, ConfigError, DEFAULT_SOCKET, Fault, SocketConfig,
    file::{DefaultAction, EgressName, RawConfig, RawFlows, RawNuma, RawUmem},
    modules,
};

/// The word that switches a file or an endpoint off.
pub(super) const OFF: &str = "off";
/// The chain that rules use when they name none.
pub(crate) const DEFAULT_CHAIN: &str = "default";

/// Longest name that the kernel gives a network device.
const MAX_IFNAME: usize = 15;

/// Collects the broken rules.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    /// Note that the value of `key` breaks `rule`.
    pub(super) fn add(&mut self, key: impl Into<String>, rule: impl Into<String>) {
        self.0.push(Fault { key: key.into(), rule: rule.into() });
    }

    /// `value` (or `default`) when it lies within `first..=last`.
    pub(super) fn range(&mut self, key: &str, value: Option<i64>, default: u32, first: u32, last: u32) -> u32 {
        let Some(value) = value else { return default };
        match u32::try_from(value) {
            Ok(value) if (first..=last).contains(&value) => value,
            _ => {
                self.add(key, format!("{value} is not within {first} to {last}"));
                default
            }
        }
    }

    /// As [`Faults::range`], and a power of two.
    pub(super) fn power(&mut self, key: &str, value: Option<i64>, default: u32, first: u32, last: u32) -> u32 {
        if let Some(number) = value
            && !u64::try_from(number).is_ok_and(u64::is_power_of_two)
        {
            let near = u32::try_from(number.clamp(i64::from(first), i64::from(last))).unwrap_or(first);
            self.add(key, format!("{number} is not a power of two; {} is the next", near.next_power_of_two()));
            return default;
        }
        self.range(key, value, default, first, last)
    }
}

/// Turn what was written into what is meant.
///
/// # Errors
/// [`ConfigError::Invalid`] with every broken rule.
pub(super) fn check(raw: RawConfig) -> Result<Config, ConfigError> {
    let mut faults = Faults::default();
    interfaces(&raw.interfaces, &mut faults);
    let umem = umem(&raw.umem, &mut faults);
    let modules = modules::modules(&raw.modules, &mut faults);
    let trust = modules::trust(&raw.module_rules, &mut faults);
    let max_modules = faults.range("modules.max", raw.module_rules.max, 16, 1, 256);
    if modules.len() > max_modules as usize {
        faults.add("modules.max", format!("{max_modules} are fewer than the {} that are configured", modules.len()));
    }
    let chains = modules::chains(&raw.chains, &modules, &mut faults);
    let default_action = default_action(&raw, &chains, &mut faults);
    let metrics = listen(raw.metrics.listen.as_deref(), &mut faults);
    let log = log(raw.log, &mut faults);
    let socket =
        SocketConfig { path: raw.socket.path.unwrap_or_else(|| DEFAULT_SOCKET.into()), group: raw.socket.group };
    if socket.path.as_os_str().len() > 107 {
        faults.add("socket.path", "longer than the 107 bytes that the kernel allows for a socket");
    }
    if raw.workers.set_gro && raw.workers.egress == EgressName::Tx {
        faults.add("workers.set_gro", "only injection needs it, which workers.egress = \"tx\" switches off");
    }
    let plane = PlaneConfig {
        interfaces: raw.interfaces,
        mode: raw.mode.into(),
        fail_policy: raw.fail_policy.into(),
        default_action,
        modules,
        chains,
        max_modules,
        umem,
        multi_buffer: raw.umem.multi_buffer,
        cores: cores(raw.workers.cores, &mut faults),
        numa: numa(raw.workers.numa.as_ref(), &mut faults),
        busy_poll: raw.workers.busy_poll,
        spin: Duration::from_micros(faults.range("workers.spin_us", raw.workers.spin_us, 0, 0, 1_000_000).into()),
        prefer_busy_poll: raw.workers.prefer_busy_poll,
        batch: faults.range("workers.batch", raw.workers.batch, 512, 1, u32::try_from(MAX_BATCH).unwrap_or(u32::MAX)),
        egress: raw.workers.egress.into(),
        set_gro: raw.workers.set_gro,
        flows: flows(&raw.flows, &mut faults),
        streams: super::streams::streams(&raw.streams, &mut faults),
        alert_queue: faults.range("alerts.queue", raw.alerts.queue, 4096, 1, 1 << 20),
        bpffs: raw.bpffs.unwrap_or_else(|| "/run/secuxflow/bpf".into()),
    };
    let ring = faults.range("alerts.ring", raw.alerts.ring, 1024, 1, 1_000_000);
    let alerts = AlertConfig { file: alert_file(raw.alerts.file), ring: usize::try_from(ring).unwrap_or(usize::MAX) };
    if !faults.0.is_empty() {
        return Err(ConfigError::Invalid(faults.0));
    }
    let state = raw.state.unwrap_or_else(|| "/var/lib/secuxflow/state.json".into());
    Ok(Config {
        origin: None,
        plane,
        options: modules::WrittenOptions::of(&raw.modules),
        trust,
        enforcement: raw.enforcement,
        socket,
        metrics,
        alerts,
        state,
        log,
    })
}

fn interfaces(names: &[String], faults: &mut Faults) {
    if names.is_empty() {
        faults.add("interfaces", "at least one is needed, as in interfaces = [\"eth0\"] or --interface eth0");
    }
    let mut seen = HashSet::new();
    for (i, name) in names.iter().enumerate() {
        let key = format!("interfaces[{i}]");
        if name.is_empty() || name.len() > MAX_IFNAME || name.contains(|c: char| c == '/' || c.is_whitespace()) {
            faults.add(&*key, format!("'{name}' is no device name (1 to {MAX_IFNAME} bytes, no '/' or blank)"));
        }
        if !seen.insert(name) {
            faults.add(key, format!("'{name}' is named twice"));
        }
    }
}

fn umem(raw: &RawUmem, faults: &mut Faults) -> UmemLayout {
    let before = faults.0.len();
    let frames = faults.power("umem.frames", raw.frames, 8192, 64, 1 << 18);
    let frame_size = faults.power("umem.frame_size", raw.frame_size, 4096, 2048, 4096);
    let ring = faults.power("umem.ring", raw.ring, 2048, 64, 1 << 16);
    if faults.0.len() == before && frames < ring.saturating_mul(4) {
        faults.add(
            "umem.frames",
            format!("{frames} frames are too few for rings of {ring}: at least {} are needed", ring.saturating_mul(4)),
        );
    }
    UmemLayout { frames, frame_size, ring }
}

/// Longest time for which a verdict or an idle flow may be kept: a day.
pub(super) const LONGEST_SECONDS: u32 = 86_400;

fn flows(raw: &RawFlows, faults: &mut Faults) -> FlowConfig {
    let seconds = |number: u32| Duration::from_secs(number.into());
    let before = faults.0.len();
    let ttl = faults.range("flows.ttl_seconds", raw.ttl_seconds, 300, 1, LONGEST_SECONDS);
    let max_ttl = faults.range("flows.max_ttl_seconds", raw.max_ttl_seconds, 3600, 1, LONGEST_SECONDS);
    if faults.0.len() == before && ttl > max_ttl {
        let rule = format!("{ttl} is more than flows.max_ttl_seconds, {max_ttl}; lower it, or raise that");
        faults.add("flows.ttl_seconds", rule);
    }
    FlowConfig {
        table: faults.power("flows.table", raw.table, 65_536, 1024, 1 << 22),
        idle: seconds(faults.range("flows.idle_seconds", raw.idle_seconds, 120, 1, LONGEST_SECONDS)),
        offload: raw.offload.unwrap_or(true),
        offloaded: faults.power("flows.offloaded", raw.offloaded, 65_536, 1024, 1 << 22),
        blocked: faults.power("flows.blocked", raw.blocked, 16_384, 1024, 1 << 20),
        ttl: seconds(ttl),
        max_ttl: seconds(max_ttl),
        forward: raw.forward.into(),
    }
}

fn default_action(raw: &RawConfig, chains: &[secuxflow::plane::ChainConfig], faults: &mut Faults) -> Action {
    if raw.default_chain.is_some() && raw.default_action != DefaultAction::Inspect {
        faults.add("default_chain", "only of use with default_action = \"inspect\"");
    }
    match raw.default_action {
        DefaultAction::Pass => Action::Pass,
        DefaultAction::Drop => Action::Drop,
        DefaultAction::Inspect => {
            let chain = raw.default_chain.clone().unwrap_or_else(|| DEFAULT_CHAIN.to_owned());
            if !chains.iter().any(|known| known.name == chain) {
                faults.add("default_chain", format!("there is no chain '{chain}'; add a [[chain]] of that name"));
            }
            Action::Inspect { chain }
        }
    }
}

fn cores(cores: Vec<usize>, faults: &mut Faults) -> Vec<usize> {
    let mut seen = HashSet::new();
    for (i, core) in cores.iter().enumerate() {
        if *core > 4095 {
            faults.add(format!("workers.cores[{i}]"), format!("{core}: cores are counted from 0 to 4095"));
        }
        if !seen.insert(core) {
            faults.add(format!("workers.cores[{i}]"), format!("core {core} is named twice"));
        }
    }
    cores
}

fn numa(raw: Option<&RawNuma>, faults: &mut Faults) -> NumaRequest {
    let (node, text) = match raw {
        None => return NumaRequest::Auto,
        Some(RawNuma::Word(word)) if word == "auto" => return NumaRequest::Auto,
        Some(RawNuma::Word(word)) if word == OFF => return NumaRequest::Off,
        Some(RawNuma::Word(word)) => (None, format!("'{word}'")),
        Some(RawNuma::Node(node)) => (u32::try_from(*node).ok(), node.to_string()),
    };
    if let Some(node) = node {
        return NumaRequest::Node(node);
    }
    faults.add("workers.numa", format!("{text} is neither \"auto\", \"{OFF}\" nor the number of a node"));
    NumaRequest::Auto
}

fn listen(text: Option<&str>, faults: &mut Faults) -> Option<SocketAddr> {
    let text = text.unwrap_or("127.0.0.1:9477");
    if text == OFF {
        return None;
    }
    text.parse()
        .map_err(|_| faults.add("metrics.listen", format!("'{text}' is neither ADDRESS:PORT nor \"{OFF}\"")))
        .ok()
}

fn alert_file(text: Option<String>) -> Option<PathBuf> {
    match text {
        None => Some("/var/log/secuxflow/eve.json".into()),
        Some(text) if text == OFF => None,
        Some(text) => Some(text.into()),
    }
}

fn log(text: Option<String>, faults: &mut Faults) -> String {
    let text = text.unwrap_or_else(|| "info".to_owned());
    if let Err(e) = EnvFilter::builder().parse(&text) {
        faults.add("log", format!("'{text}' is no log filter ({e}); use error, warn, info, debug or trace"));
    }
    text
}
