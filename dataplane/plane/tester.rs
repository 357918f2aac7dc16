//! Test inspection: a made-up packet through the same classifier, chain and rewriting as a real one, in memory of its
//! own. Nothing is sent and no counter moves.

use std::sync::Arc;

use secuxflow_abi::{Chunk, Packet, WINDOW};

use super::{FailPolicy, ModuleSaid, PlaneError, Probe, ProbeAlert, ProbeReport, packet, registry::Registry};
use crate::{
    alert::{AlertEvent, AlertQueue, Verdict},
    bpf::Metadata,
    flow::HashKey,
    inspect::{self, Inspector, Runner, SharedMemory},
    process::{DropReason, Frames, Inspect, Outcome, Processor, Snapshot, Streaming},
    rules::{self, Classifier, Decision, Monitored},
    stream::{Checksum, MIN_MEMORY, MIN_STREAMS, StreamConfig, Streams},
    wire,
};

/// Alerts that one packet may raise and that are shown.
const ALERTS: usize = 256;

/// Names that a report speaks with.
pub(super) struct Names<'a> {
    pub(super) chains: &'a [String],
    pub(super) registry: &'a Registry,
}

/// Instances of all modules, apart from the workers'.
#[derive(Debug)]
pub(super) struct Tester {
    memory: SharedMemory,
    runner: Runner,
    processor: Processor,
    alerts: Arc<AlertQueue>,
}

impl Tester {
    pub(super) fn new(inspector: &Inspector) -> Result<Self, PlaneError> {
        let refuse = |error: std::io::Error| PlaneError::Probe(format!("test inspection: {error}"));
        let memory = SharedMemory::new(4096).map_err(refuse)?;
        let alerts = Arc::new(AlertQueue::new(ALERTS));
        let runner = inspector.test_runner(&memory.region(), Arc::clone(&alerts))?;
        Ok(Self { memory, runner, processor: Processor::new(HashKey::random()), alerts })
    }

    pub(super) fn run(
        &mut self,
        probe: &Probe,
        classifier: &Classifier,
        snapshot: &Snapshot,
        names: &Names<'_>,
    ) -> Result<ProbeReport, PlaneError> {
        let bytes = packet::build(probe).map_err(PlaneError::Probe)?;
        let frame = wire::parse(&bytes);
        let decision = classifier.classify(&frame);
        let service = names.registry.entries().iter().find(|entry| entry.service.ip == probe.dst);
        let mut report = ProbeReport {
            rule: decision.rule,
            action: word(decision).into(),
            chain: None,
            reasons: classifier.explain(&frame),
            modules: Vec::new(),
            service: service.map(|entry| entry.service.name.clone()),
            verdict: word(decision).into(),
            cause: String::new(),
        };
        let by = decision.rule.map_or_else(|| "the default action".to_owned(), |rule| rule.to_string());
        let rules::Outcome::Inspect { chain } = decision.action else {
            let fate =
                if decision.action == rules::Outcome::Drop { "drops it in XDP" } else { "passes it to the stack" };
            report.cause = format!("{by} {fate}{}", monitored_words(decision.monitored));
            return Ok(report);
        };
        report.chain = names.chains.get(usize::from(chain)).cloned();
        let outcome = self.inspect(bytes, chain, decision, snapshot, &mut report)?;
        (report.verdict, report.cause) = match service {
            Some(entry) if entry.is_up() => settled(outcome, &entry.service.name, &entry.service.dev, &report),
            entry => unreachable_service(snapshot.fail_policy, entry.map(|entry| entry.service.name.as_str()), probe),
        };
        report.cause.push_str(&monitored_words(decision.monitored));
        Ok(report)
    }

    fn inspect(
        &mut self,
        bytes: Vec<u8>,
        chain: u16,
        decision: Decision,
        snapshot: &Snapshot,
        report: &mut ProbeReport,
    ) -> Result<Outcome, PlaneError> {
        self.memory.write(0, &bytes).map_err(|error| PlaneError::Probe(format!("payload: {error}")))?;
        while self.alerts.pop().is_some() {}
        let rule = decision.rule.map_or(0, |rule| rule.0);
        let mut frames = One { bytes, metadata: Some(Metadata::of(chain, rule)) };
        self.processor = Processor::new(HashKey::random()).with_streaming(streaming(&self.alerts)?);
        let mut listening = Listening { runner: &mut self.runner, said: Vec::new() };
        self.processor.run(snapshot, &mut frames, &mut listening);
        let said = listening.said;
        let mut alerts = Vec::new();
        while let Some(alert) = self.alerts.pop() {
            alerts.push(alert);
        }
        report.modules = said.into_iter().map(|outcome| module_said(outcome, &alerts)).collect();
        Ok(self.processor.outcomes().first().copied().unwrap_or(Outcome::Drop(DropReason::Malformed)))
    }
}

/// Streams for one packet, of which nothing is kept that a module would see.
fn streaming(alerts: &Arc<AlertQueue>) -> Result<Streaming, PlaneError> {
    let config = StreamConfig {
        memory: MIN_MEMORY,
        streams: MIN_STREAMS,
        checksum: Checksum::Ignore,
        ..StreamConfig::default()
    };
    let memory = SharedMemory::new(config.memory).map_err(|e| PlaneError::Probe(format!("test inspection: {e}")))?;
    Ok(Streaming::new(Streams::new(&config, memory, WINDOW, HashKey::random()), Arc::clone(alerts)))
}

/// Remembers what each module said.
struct Listening<'a> {
    runner: &'a mut Runner,
    said: Vec<inspect::Outcome>,
}

impl Inspect for Listening<'_> {
    fn run(&mut self, now_ns: u64, chain: u16, packets: &mut [Packet], chunks: &[Chunk]) {
        self.said.extend(self.runner.explain(now_ns, chain, packets, chunks));
    }

    fn wants_streams(&self, chain: u16) -> bool {
        self.runner.wants_streams(chain)
    }

    fn set_monitor(&mut self, monitor: bool) {
        self.runner.set_monitor(monitor);
    }
}

/// The one frame under test, at the start of the tester's memory.
struct One {
    bytes: Vec<u8>,
    metadata: Option<Metadata>,
}

impl Frames for One {
    fn count(&self) -> usize {
        1
    }
    fn ingress(&self) -> u16 {
        0
    }
    fn bytes(&self, _: usize) -> &[u8] {
        &self.bytes
    }
    fn bytes_mut(&mut self, _: usize) -> &mut [u8] {
        &mut self.bytes
    }
    fn truncate(&mut self, _: usize, len: usize) {
        self.bytes.truncate(len);
    }
    fn addr(&self, _: usize) -> u32 {
        0
    }
    fn take_metadata(&mut self, _: usize) -> Option<Metadata> {
        self.metadata.take()
    }
}

fn module_said(outcome: inspect::Outcome, alerts: &[AlertEvent]) -> ModuleSaid {
    let verdict = match (outcome.failure, outcome.verdict) {
        (Some(failure), Verdict::Pass) => format!("failed, passes: {failure}"),
        (Some(failure), Verdict::Drop | Verdict::Reject) => format!("failed, drops: {failure}"),
        (None, Verdict::Pass) => "pass".into(),
        (None, Verdict::Drop) => "drop".into(),
        (None, Verdict::Reject) => "reject".into(),
    };
    let raised = alerts.iter().filter(|alert| alert.module == Some(outcome.module));
    let alerts = raised.map(|alert| ProbeAlert {
        severity: alert.severity,
        signature: alert.signature,
        message: alert.message.to_string(),
    });
    ModuleSaid { module: outcome.name, verdict, alerts: alerts.collect() }
}

fn word(decision: Decision) -> &'static str {
    match decision.action {
        rules::Outcome::Pass => "pass",
        rules::Outcome::Drop => "drop",
        rules::Outcome::Inspect { .. } => "inspect",
    }
}

/// What monitor mode has to do with the packet's fate; empty for nothing.
fn monitored_words(monitored: Option<Monitored>) -> String {
    monitored.map_or_else(String::new, |what| format!("; {what} would have dropped it (monitor mode)"))
}

/// Verdict and cause for a packet whose service is up.
fn settled(outcome: Outcome, service: &str, dev: &str, report: &ProbeReport) -> (String, String) {
    match outcome {
        Outcome::Forward { .. } => {
            let drops = |verdict: &str| verdict.starts_with("drop") || verdict.starts_with("reject");
            let dropped = report.modules.iter().find(|module| drops(&module.verdict));
            let monitored = dropped.map_or_else(String::new, |module| {
                format!("; module {} would have dropped it (monitor mode)", module.module)
            });
            ("forward".into(), format!("forwarded to service {service} by {dev}{monitored}"))
        }
        Outcome::Drop(DropReason::Module) => {
            let by = report.modules.last().map_or("the fail policy", |module| module.module.as_str());
            ("drop".into(), format!("dropped by module {by}"))
        }
        Outcome::Drop(DropReason::Rejected) => {
            let by = report.modules.last().map_or("the fail policy", |module| module.module.as_str());
            ("reject".into(), format!("dropped by module {by}, and the sender is told"))
        }
        Outcome::Drop(reason) => ("drop".into(), format!("dropped by the worker: {}", reason.name())),
    }
}

/// Verdict and cause for a packet that XDP would not hand to a worker.
fn unreachable_service(policy: FailPolicy, service: Option<&str>, probe: &Probe) -> (String, String) {
    let why = match service {
        Some(name) => format!("service {name} is not up"),
        None => format!("no service has the address {}", probe.dst),
    };
    match policy {
        FailPolicy::Open => {
            ("pass".into(), format!("{why}: it would pass to the stack uninspected (fail policy open)"))
        }
        FailPolicy::Closed => ("drop".into(), format!("{why}: it would be dropped (fail policy closed)")),
    }
}
