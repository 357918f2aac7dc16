//! [`Plane`]: start, change, look, stop.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{
    Count, FlowConfig, ForwardTo, OffloadStatus, PlaneConfig, PlaneError, PlaneStatus, Probe, ProbeReport,
    egress::Egresses,
    interfaces,
    offload::Offloader,
    registry::Registry,
    running::{Parts, Running, snapshot},
    streams,
    tester::{Names, Tester},
};
use crate::{
    alert::AlertQueue,
    bpf::{Filter, Offload},
    flow::{Ask, OrderQueue},
    inspect::{Inspector, Loadout, Region},
    numa,
    plane::InterfaceStatus,
    process::{Snapshot, Streaming},
    rules::{Classifier, Ruleset},
    service::{Netlink, Service, ServiceStatus},
    worker::{Idle, Inspecting, MAX_SERVICES, Options, Workers},
    xsk::Umem,
};

/// The running dataplane. All methods may be called from any thread; changes are made one at a time.
#[derive(Debug)]
pub struct Plane {
    running: Mutex<Running>,
    // Made when it is asked for; none after modules have changed.
    pub(super) tester: Mutex<Option<Tester>>,
    pub(super) inspector: Inspector,
    pub(super) alerts: Arc<AlertQueue>,
    // Held while modules change.
    pub(super) changing: Mutex<()>,
    interfaces: Vec<String>,
}

impl Plane {
    /// Load, attach and start everything. Modules and rules are ready before the first packet is touched.
    ///
    /// # Errors
    /// The first thing that is wrong. Interfaces that had no program of ours before are left without one; one that an
    /// earlier daemon left attached stays as it is, and so does its fail policy.
    pub fn start(config: &PlaneConfig, rules: &Ruleset, services: &[Service]) -> Result<Self, PlaneError> {
        config.umem.check()?;
        check_cores(&config.cores)?;
        let mut netlink = Netlink::open()?;
        let links = netlink.links()?;
        let mut interfaces = interfaces::find(config, &links)?;
        let count = interfaces.iter().map(|interface| interface.queues).max().unwrap_or(1);
        let alerts = Arc::new(AlertQueue::new(config.alert_queue as usize));
        let room = config.modules.len().max(config.max_modules as usize);
        let inspector = Inspector::with_room(&config.modules, &config.chains, count as usize, room)?;
        let loadout = inspector.loadout();
        let chains = loadout.chains().to_vec();
        let classifier = Arc::new(Classifier::new(rules, &chains)?);
        let mut registry = Registry::new(MAX_SERVICES);
        registry.set(services, |_| Count::default()).map_err(PlaneError::Service)?;
        let tester = Tester::new(&inspector)?;
        let nodes: Vec<_> = interfaces.iter().map(|interface| interface.node).collect();
        let node = numa::choose(config.numa, &nodes)?;
        let umem = numa::with_memory_of(node, || Umem::create(&config.umem, count))?;
        let multi_buffer = interfaces::multi_buffer(config.multi_buffer).is_ok();
        if multi_buffer {
            umem.allow_parts();
        }
        let region = Region::of_umem(&umem)?;
        let streaming = numa::with_memory_of(node, || streams::streaming(&config.streams, &region, count, &alerts))?;
        let arenas: Vec<_> = streaming.iter().map(Streaming::pages).collect();
        let runners = arenas
            .iter()
            .map(|arena| {
                let region = region.with_arena(arena)?;
                Ok(Box::new(inspector.runner(&region, Arc::clone(&alerts))?) as Inspecting)
            })
            .collect::<Result<Vec<_>, PlaneError>>()?;
        let mut egresses = Egresses::new(config, count)?;
        let offload = offload(&config.flows, &loadout);
        // Modules that ask for it may be loaded later.
        let orders = config.flows.offload.then(|| Arc::new(OrderQueue::new(ORDERS)));
        let mut filter = match multi_buffer {
            true => Filter::for_split_packets(config.fail_policy, offload)?,
            false => Filter::with_offload(config.fail_policy, offload)?,
        };
        filter.publish(rules, &chains)?;
        let names = interfaces.iter().map(|interface| interface.name.clone());
        let pinned: Vec<String> = names.filter(|name| Filter::is_pinned(&config.bpffs, name)).collect();
        let cores = worker_cores(&config.cores, node);
        let options = Options {
            umem,
            workers: count,
            cores,
            batch: config.batch,
            idle: Idle { busy_poll: config.busy_poll, spin: config.spin, prefer_busy_poll: config.prefer_busy_poll },
            flows: Some(config.flows.tracker(orders.clone())),
            streaming,
        };
        let first = snapshot(&interfaces, &classifier, filter.stamp(), &chains, config.fail_policy, rules.monitor);
        let started = Self::attach(config, &mut filter, &mut interfaces, options, first, runners);
        let started = started.and_then(|workers| {
            egresses.equip(&workers)?;
            let asked = orders.clone().filter(|_| offload.flows || offload.sources);
            let offloader = asked.map(|orders| Offloader::start(filter.flow_cache(), orders)).transpose()?;
            Ok((workers, offloader))
        });
        let (workers, offloader) = started.inspect_err(|_| {
            if let Err(error) = filter.undo(&pinned) {
                tracing::error!(%error, "cannot detach after a failed start");
            }
        })?;
        let mut running = Running::new(Parts {
            filter,
            workers,
            egresses,
            interfaces,
            registry,
            classifier,
            ruleset: rules.clone(),
            chains: chains.clone(),
            netlink,
            config: config.clone(),
            alerts: Arc::clone(&alerts),
            offloader,
            offload,
            orders,
        });
        running.settle();
        Ok(Self {
            running: Mutex::new(running),
            tester: Mutex::new(Some(tester)),
            inspector,
            alerts,
            changing: Mutex::default(),
            interfaces: config.interfaces.clone(),
        })
    }

    /// The part of the start that touches interfaces.
    fn attach(
        config: &PlaneConfig,
        filter: &mut Filter,
        interfaces: &mut [interfaces::Interface],
        options: Options,
        first: Snapshot,
        runners: Vec<Inspecting>,
    ) -> Result<Workers, PlaneError> {
        let workers = Workers::start(options, first, runners)?;
        interfaces::attach(filter, config, interfaces)?;
        interfaces::bind(filter, &workers, config.mode, interfaces)?;
        filter.detach_others(&config.bpffs)?;
        Ok(workers)
    }

    /// Make `rules` the live ruleset, all or nothing; its generation.
    ///
    /// # Errors
    /// The rule that cannot be published; the rules before stay live.
    pub fn apply_rules(&self, rules: &Ruleset) -> Result<u64, PlaneError> {
        self.lock().apply_rules(rules)
    }

    /// Make `services` the known services, all or nothing. Waits up to 200 ms for new ones to be resolved.
    ///
    /// # Errors
    /// The service that was refused; the services before stay.
    pub fn set_services(&self, services: &[Service]) -> Result<(), PlaneError> {
        self.lock().set_services(services)
    }

    /// Look for changed links and neighbours; to be called every half second or so.
    ///
    /// # Errors
    /// The kernel's tables could not be read or the filter not be told; the next look tries again.
    pub fn tick(&self) -> Result<(), PlaneError> {
        self.lock().look()
    }

    /// What would happen to a packet; none is sent.
    ///
    /// # Errors
    /// The probe's field that is wrong.
    pub fn probe(&self, probe: &Probe) -> Result<ProbeReport, PlaneError> {
        // Held first, so that modules do not change between the look at the rules and the look at them.
        let mut tester = self.tester.lock().unwrap_or_else(PoisonError::into_inner);
        let (classifier, snapshot, registry, chains) = {
            let running = self.lock();
            let classifier = Arc::clone(&running.classifier);
            (classifier, running.workers.snapshot(), running.registry.clone(), running.chains.clone())
        };
        let tester = match &mut *tester {
            Some(tester) => tester,
            none => none.insert(Tester::new(&self.inspector)?),
        };
        tester.run(probe, &classifier, &snapshot, &Names { chains: &chains, registry: &registry })
    }

    /// The queue that workers put alerts into.
    #[must_use]
    pub fn alerts(&self) -> Arc<AlertQueue> {
        Arc::clone(&self.alerts)
    }

    /// Names of the interfaces, by the index that alerts carry.
    #[must_use]
    pub fn interfaces(&self) -> &[String] {
        &self.interfaces
    }

    /// Names of modules and of chains, by the numbers that alerts carry; those that are gone are named for a while yet.
    #[must_use]
    pub fn inspection_names(&self) -> (Vec<String>, Vec<String>) {
        self.inspector.names()
    }

    /// Counters and states of this moment.
    ///
    /// # Errors
    /// The kernel does not give its counters.
    pub fn status(&self) -> Result<PlaneStatus, PlaneError> {
        let running = self.lock();
        let live = |id| running.ruleset.rules.iter().any(|rule| rule.id == id);
        Ok(PlaneStatus {
            interfaces: running.interfaces.iter().map(|interface| interface_status(&running, interface)).collect(),
            generation: running.filter.generation(),
            memory: running.filter.memory(),
            stream_memory: running.workers.arenas().iter().map(|arena| arena.len() as u64).sum(),
            actions: running.filter.actions()?,
            events: running.filter.events()?,
            rules: running.filter.rule_counts().into_iter().filter(|rule| live(rule.id)).collect(),
            workers: running.workers.status(),
            sockets: running.workers.sockets(),
            modules: self.inspector.status(),
            services: running.registry.entries().iter().map(|entry| service_status(&running, entry)).collect(),
            offload: offload_status(&running),
            alerts_raised: self.alerts.raised(),
            alerts_dropped: self.alerts.dropped(),
            alert_fields_dropped: self.alerts.fields_dropped(),
        })
    }

    /// Detach from every interface and stop. Packets on their way are forwarded or lost with their rings.
    ///
    /// # Errors
    /// An interface that could not be detached; the others are.
    pub fn shutdown(self) -> Result<(), PlaneError> {
        let mut running = self.running.into_inner().unwrap_or_else(PoisonError::into_inner);
        running.filter.detach_all()?;
        Ok(())
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Orders that wait to be written: what some milliseconds bring.
const ORDERS: usize = 16_384;

/// What is looked up before the rules: nothing that no module may ask for. Room is set aside for what modules may ask for
/// that are loaded later.
pub(super) fn offload(flows: &FlowConfig, loadout: &Loadout) -> Offload {
    if !flows.offload {
        return Offload::default();
    }
    Offload {
        flows: loadout.may_ask(Ask::Clear) || loadout.may_ask(Ask::Condemn),
        sources: loadout.may_ask(Ask::Block),
        forward: flows.forward == ForwardTo::Service,
        max_flows: flows.offloaded,
        max_sources: flows.blocked,
    }
}

fn offload_status(running: &Running) -> OffloadStatus {
    let status = running.offloader.as_ref().map(Offloader::status).unwrap_or_default();
    OffloadStatus { flows: running.offload.flows, sources: running.offload.sources, ..status }
}

fn interface_status(running: &Running, interface: &interfaces::Interface) -> InterfaceStatus {
    InterfaceStatus {
        name: interface.name.clone(),
        ifindex: interface.ifindex,
        mode: interface.mode,
        mode_reason: interface.reason.clone(),
        multi_buffer: interface.multi_buffer.is_ok(),
        multi_buffer_reason: interface.multi_buffer.clone().err().unwrap_or_default(),
        queues: interface.queues,
        numa_node: interface.node,
        attached: interface.present && running.filter.is_attached(interface.ifindex),
    }
}

fn service_status(running: &Running, entry: &super::registry::Entry) -> ServiceStatus {
    let sent = entry.sent(running.workers.service(entry.slot));
    let (way, way_reason) = entry.port.map_or((None, String::new()), |number| running.egresses.way(number));
    ServiceStatus {
        service: entry.service.clone(),
        state: entry.state.clone(),
        resolved_mac: entry.mac(),
        way,
        way_reason,
        tx_packets: sent.packets,
        tx_bytes: sent.bytes,
    }
}

/// The cores to pin to: those asked for, else those of the NUMA node that the process may use; empty for any.
fn worker_cores(asked: &[usize], node: Option<u32>) -> Vec<usize> {
    let Some(node) = node.filter(|_| asked.is_empty()) else { return asked.to_vec() };
    let of_node = numa::cores(node).unwrap_or_default();
    let usable = core_affinity::get_core_ids().unwrap_or_default();
    let cores: Vec<usize> = usable.iter().map(|core| core.id).filter(|core| of_node.contains(core)).collect();
    if cores.is_empty() {
        tracing::warn!(node, "the daemon may use no core of the numa node; workers run on other nodes");
    } else {
        tracing::info!(node, ?cores, "workers and umem are on a numa node");
    }
    cores
}

/// Cores to pin to that the process may not use are refused: the worker would run wherever it likes.
fn check_cores(asked: &[usize]) -> Result<(), PlaneError> {
    let usable: Vec<usize> = core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect();
    match asked.iter().find(|core| !usable.contains(core)) {
        Some(core) => {
            let rule = format!("core {core} is not one that the daemon may use; it may use {usable:?}");
            Err(PlaneError::Setting { setting: "workers.cores", rule })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_that_is_not_there_is_named() {
        assert!(check_cores(&[]).is_ok());
        let usable = core_affinity::get_core_ids().unwrap();
        assert!(check_cores(&[usable[0].id]).is_ok());
        let refusal = check_cores(&[usable[0].id, 99_999]).unwrap_err().to_string();
        assert!(refusal.starts_with("workers.cores: core 99999 "), "{refusal}");
    }
}
