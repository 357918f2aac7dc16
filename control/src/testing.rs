//! A dataplane in memory, for tests of what sits above it.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
        mpsc::Receiver,
    },
};

use secuxflow::{
    alert::AlertQueue,
    plane::{
        ChainConfig, Count, FailPolicy, FlowRecord, FlowState, FlowTableStatus, InterfaceStatus, Latency, MetricKind,
        Mode, ModuleAbout, ModuleConfig, ModuleMetric, ModuleSaid, ModuleStatus, Named, OffloadStatus, PlaneStatus,
        PreparedInspection, Probe, ProbeReport, Replies, RuleCount, SocketStatus, SourceRecord, TableMemory,
        WorkerStatus,
    },
    rules::Ruleset,
    service::{Service, ServiceState, ServiceStatus, WayOut},
};

use crate::{
    api::ErrorCode,
    backend::{Backend, Names},
    error::ApiError,
};

/// What the tests look at and steer.
#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) rules: Mutex<Option<Ruleset>>,
    pub(crate) services: Mutex<Vec<Service>>,
    /// Modules and chains; a module whose file begins with "broken" is refused, and one that begins with "slow" waits.
    pub(crate) inspection: Mutex<(Vec<ModuleConfig>, Vec<ChainConfig>)>,
    /// What a slow module waits for, and whether it does.
    pub(crate) wait: Mutex<Option<Receiver<()>>>,
    pub(crate) waiting: AtomicBool,
    pub(crate) generation: AtomicU64,
    pub(crate) refuse: AtomicBool,
    pub(crate) stopped: AtomicBool,
    pub(crate) queue: Arc<AlertQueue>,
    pub(crate) flows: Mutex<Vec<FlowRecord>>,
    pub(crate) sources: Mutex<Vec<SourceRecord>>,
}

impl Lab {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            rules: Mutex::default(),
            services: Mutex::default(),
            inspection: Mutex::default(),
            wait: Mutex::default(),
            waiting: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            refuse: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            queue: Arc::new(AlertQueue::new(64)),
            flows: Mutex::default(),
            sources: Mutex::default(),
        })
    }

    pub(crate) fn backend(self: &Arc<Self>) -> Box<dyn Backend> {
        Box::new(LabBackend(Arc::clone(self)))
    }

    pub(crate) fn rule_ids(&self) -> Vec<u32> {
        self.rules.lock().unwrap().iter().flat_map(|set| set.rules.iter().map(|rule| rule.id.0)).collect()
    }
}

#[derive(Debug)]
struct LabBackend(Arc<Lab>);

impl Backend for LabBackend {
    fn apply_rules(&self, rules: &Ruleset) -> Result<u64, String> {
        if self.0.refuse.load(SeqCst) {
            return Err("the kernel refused the program".to_owned());
        }
        *self.0.rules.lock().unwrap() = Some(rules.clone());
        Ok(self.0.generation.fetch_add(1, SeqCst) + 1)
    }

    fn set_services(&self, services: &[Service]) -> Result<(), String> {
        if self.0.refuse.load(SeqCst) {
            return Err("the device is gone".to_owned());
        }
        *self.0.services.lock().unwrap() = services.to_vec();
        Ok(())
    }

    fn prepare_inspection(
        &self,
        modules: &[ModuleConfig],
        _chains: &[ChainConfig],
    ) -> Result<Option<PreparedInspection>, ApiError> {
        let begins = |with: &[u8]| {
            let begins =
                move |module: &&ModuleConfig| module.code.as_ref().is_some_and(|code| code.bytes().starts_with(with));
            modules.iter().find(begins)
        };
        if let Some(module) = begins(b"broken") {
            return Err(ApiError::invalid("code", format!("module {}: not WebAssembly", module.name)));
        }
        let wait = if begins(b"slow").is_some() { self.0.wait.lock().unwrap().take() } else { None };
        if let Some(wait) = wait {
            self.0.waiting.store(true, SeqCst);
            // Ends when the test drops its side.
            let _ = wait.recv();
        }
        Ok(None)
    }

    fn set_inspection(
        &self,
        modules: &[ModuleConfig],
        chains: &[ChainConfig],
        _prepared: Option<PreparedInspection>,
    ) -> Result<u64, ApiError> {
        if self.0.refuse.load(SeqCst) {
            return Err(ApiError::new(ErrorCode::Dataplane, "worker 0 does not answer"));
        }
        *self.0.inspection.lock().unwrap() = (modules.to_vec(), chains.to_vec());
        Ok(self.0.generation.fetch_add(1, SeqCst) + 1)
    }

    fn status(&self) -> Result<PlaneStatus, String> {
        let count = Count { packets: 3, bytes: 180 };
        let mut status = full_status();
        status.generation = self.0.generation.load(SeqCst);
        let rules = self.0.rules.lock().unwrap();
        status.rules = rules.iter().flat_map(|set| &set.rules).map(|rule| RuleCount { id: rule.id, count }).collect();
        let (modules, chains) = &*self.0.inspection.lock().unwrap();
        let has = |chain: &&ChainConfig, name: &str| chain.modules.iter().any(|step| step.module == name);
        let module = |config: &ModuleConfig| ModuleStatus {
            name: config.name.clone(),
            path: config.path.display().to_string(),
            on_failure: config.on_failure,
            chains: chains.iter().filter(|chain| has(chain, &config.name)).map(|chain| chain.name.clone()).collect(),
            ..status.modules[0].clone()
        };
        status.modules = modules.iter().map(module).collect();
        let up = |service: &Service| ServiceStatus {
            service: service.clone(),
            state: ServiceState::Up,
            resolved_mac: None,
            way: Some(WayOut::Both),
            way_reason: String::new(),
            tx_packets: 1,
            tx_bytes: 60,
        };
        status.services = self.0.services.lock().unwrap().iter().map(up).collect();
        Ok(status)
    }

    fn probe(&self, probe: &Probe) -> Result<ProbeReport, String> {
        let said = ModuleSaid { module: "waf".into(), verdict: "pass".into(), alerts: vec![] };
        Ok(ProbeReport {
            rule: None,
            action: "inspect".into(),
            chain: Some("default".into()),
            reasons: vec![format!("{} to {}:{}", probe.src, probe.dst, probe.port)],
            modules: vec![said],
            service: None,
            verdict: "pass".into(),
            cause: format!("{} bytes of payload", probe.payload.len()),
        })
    }

    fn flows(&self) -> Result<Vec<FlowRecord>, String> {
        Ok(self.0.flows.lock().unwrap().clone())
    }

    fn forget_flow(&self, flow_id: u64) -> Result<bool, String> {
        let mut flows = self.0.flows.lock().unwrap();
        let before = flows.len();
        flows.retain(|flow| flow.flow_id != flow_id);
        Ok(flows.len() < before)
    }

    fn forget_flows(&self) -> Result<usize, String> {
        Ok(std::mem::take(&mut *self.0.flows.lock().unwrap()).len())
    }

    fn blocked_sources(&self) -> Result<Vec<SourceRecord>, String> {
        Ok(self.0.sources.lock().unwrap().clone())
    }

    fn unblock(&self, source: Option<IpAddr>) -> Result<usize, String> {
        let mut sources = self.0.sources.lock().unwrap();
        let before = sources.len();
        sources.retain(|blocked| source.is_some_and(|source| blocked.source != source));
        Ok(before - sources.len())
    }

    fn alerts(&self) -> Arc<AlertQueue> {
        Arc::clone(&self.0.queue)
    }

    fn names(&self) -> Names {
        Names { interfaces: vec!["eth0".into()], chains: vec!["default".into()], modules: vec!["waf".into()] }
    }

    fn tick(&self) -> Result<(), String> {
        Ok(())
    }

    fn shutdown(self: Box<Self>) -> Result<(), String> {
        self.0.stopped.store(true, SeqCst);
        Ok(())
    }
}

/// A flow to 10.0.0.5, port 80.
pub(crate) fn flow(flow_id: u64, state: FlowState) -> FlowRecord {
    let count = Count { packets: 3, bytes: 180 };
    FlowRecord {
        flow_id,
        src: [192, 0, 2, 1].into(),
        dst: [10, 0, 0, 5].into(),
        src_port: 4000,
        dst_port: 80,
        protocol: 6,
        state,
        chain: Some("default".into()),
        rule: Some(secuxflow::rules::RuleId(1)),
        worker: Some(0),
        offloaded: 1,
        inspected: count,
        bypassed: count,
        age_ms: 5_000,
        idle_ms: 200,
        expires_in_seconds: Some(90),
    }
}

/// A status in which every list has an entry.
pub(crate) fn full_status() -> PlaneStatus {
    let count = Count { packets: 3, bytes: 180 };
    let named = |name: &str| vec![Named { name: name.to_owned(), value: count }];
    let number = |name: &str| vec![Named { name: name.to_owned(), value: 5 }];
    let latency = Latency { count: 4, sum: 4_000_000, p50: 1_000, p90: 2_000, p99: 3_000, p999: 4_000, max: 5_000 };
    let interface = InterfaceStatus {
        name: "eth0".into(),
        ifindex: 2,
        mode: Mode::Copy,
        mode_reason: "no zero-copy in this driver".into(),
        multi_buffer: true,
        multi_buffer_reason: String::new(),
        queues: 1,
        numa_node: Some(0),
        attached: true,
    };
    let module = ModuleStatus {
        name: "waf".into(),
        path: "/m/waf.wasm".into(),
        sha256: "00".repeat(32),
        size: 4096,
        abi: 1,
        about: ModuleAbout { name: "waf".into(), version: "0.1".into(), description: "looks at requests".into() },
        in_service: true,
        on_failure: FailPolicy::Closed,
        chains: vec!["default".into()],
        passed: count,
        dropped: count,
        monitored: count,
        alerts: 2,
        calls: 9,
        time_ns: 1_500_000_000,
        failures: number("trap"),
        metrics: vec![
            ModuleMetric { name: "requests".into(), kind: MetricKind::Counter, value: 31 },
            ModuleMetric { name: "flows".into(), kind: MetricKind::Gauge, value: 32 },
        ],
    };
    let service = Service { name: "web".into(), ip: "10.0.0.5".parse().unwrap(), dev: "veth0".into(), mac: None };
    PlaneStatus {
        interfaces: vec![interface],
        generation: 7,
        memory: TableMemory { rules: 2_200_000, sets: 600_000, shared: 1_300_000 },
        stream_memory: 33_554_432,
        actions: named("drop"),
        events: number("neighbour"),
        rules: vec![RuleCount { id: secuxflow::rules::RuleId(1), count }],
        workers: vec![WorkerStatus {
            running: true,
            rx: count,
            tx: count,
            drops: named("verdict"),
            multi_buffer: 44,
            frames: number("free"),
            replies: Replies { sent: 41, lost: 42, held_back: 43 },
            flows: FlowTableStatus { flows: 21, entered: 22, expired: 23, evicted: 24, cleared: 25, granted: 26 },
            streams: ["streams", "blocks", "datagrams", "gaps"].into_iter().flat_map(number).collect(),
            refused: number("conflict"),
            latency,
            ..WorkerStatus::default()
        }],
        sockets: vec![SocketStatus { dev: "eth0".into(), ..SocketStatus::default() }],
        modules: vec![module],
        services: vec![ServiceStatus {
            service,
            state: ServiceState::Up,
            resolved_mac: None,
            way: Some(WayOut::Both),
            way_reason: String::new(),
            tx_packets: 1,
            tx_bytes: 60,
        }],
        offload: OffloadStatus {
            flows: true,
            sources: true,
            cleared: 31,
            condemned: 32,
            blocked: 33,
            written: 34,
            lost: 35,
        },
        alerts_raised: 11,
        alerts_dropped: 1,
        alert_fields_dropped: 2,
    }
}
