//! The running dataplane behind its lock: rules, services and interfaces, changed one at a time.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{
    FailPolicy, Mode, PlaneConfig, PlaneError,
    egress::{Egresses, Hands},
    follow::{Followed, Follower},
    interfaces::Interface,
    offload::Offloader,
    registry::{Entry, Registry},
};
use crate::{
    alert::{AlertEvent, AlertFlow, AlertKind, AlertQueue},
    bpf::{self, Exit, Features, Filter, Offload, Sample},
    flow::{FlowKey, HashKey, OrderQueue},
    process::{EgressId, Ingress, Route, Snapshot},
    rules::{Classifier, Monitored, Ruleset},
    service::{Link, Netlink, Service, ServiceState},
    worker::Workers,
};

/// Time that packets on their way to a service get before its way out is closed.
const DRAIN: Duration = Duration::from_millis(20);
/// Time that a new service's MAC is waited for, in looks.
const RESOLVE_LOOKS: u32 = 10;
/// Time between those looks.
const RESOLVE_PAUSE: Duration = Duration::from_millis(20);
/// Least time between two alerts on traffic that followed the fail policy.
const POLICY_ALERT_EVERY: Duration = Duration::from_secs(60);
/// Most samples of monitor mode that become alerts at one look.
const SAMPLES_PER_LOOK: usize = 256;

/// See the module.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) filter: Filter,
    pub(super) workers: Workers,
    pub(super) interfaces: Vec<Interface>,
    pub(super) registry: Registry,
    pub(super) classifier: Arc<Classifier>,
    pub(super) ruleset: Ruleset,
    /// Names of the chains by number; empty for a number whose chain is gone.
    pub(super) chains: Vec<String>,
    netlink: Netlink,
    pub(super) egresses: Egresses,
    pub(super) config: PlaneConfig,
    alerts: Arc<AlertQueue>,
    /// Addresses that XDP hands to the workers.
    handed: BTreeSet<IpAddr>,
    /// Something changed that XDP and the workers have not all been told.
    untold: bool,
    /// Workers that have died and been taken out.
    dead: Vec<u32>,
    /// Batches whose inspection panicked that were told of.
    panics: u64,
    policy_alert: Option<(u64, Instant)>,
    /// Writes what workers order; none when no module may ask for it.
    pub(super) offloader: Option<Offloader>,
    pub(super) offload: Offload,
    /// Where workers put what they order, from the start on; none when nothing may ever be asked for.
    pub(super) orders: Option<Arc<OrderQueue>>,
    /// Ways to services by which XDP forwards cleared flows.
    exits: Vec<(u16, IpAddr, Exit)>,
}

/// What [`Running::new`] is made of, beside the parts that start empty.
pub(super) struct Parts {
    pub(super) filter: Filter,
    pub(super) workers: Workers,
    pub(super) egresses: Egresses,
    pub(super) interfaces: Vec<Interface>,
    pub(super) registry: Registry,
    pub(super) classifier: Arc<Classifier>,
    pub(super) ruleset: Ruleset,
    pub(super) chains: Vec<String>,
    pub(super) netlink: Netlink,
    pub(super) config: PlaneConfig,
    pub(super) alerts: Arc<AlertQueue>,
    pub(super) offloader: Option<Offloader>,
    pub(super) offload: Offload,
    pub(super) orders: Option<Arc<OrderQueue>>,
}

impl Running {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            filter: parts.filter,
            workers: parts.workers,
            interfaces: parts.interfaces,
            registry: parts.registry,
            classifier: parts.classifier,
            ruleset: parts.ruleset,
            chains: parts.chains,
            netlink: parts.netlink,
            egresses: parts.egresses,
            config: parts.config,
            alerts: parts.alerts,
            handed: BTreeSet::new(),
            untold: false,
            dead: Vec::new(),
            panics: 0,
            policy_alert: None,
            offloader: parts.offloader,
            offload: parts.offload,
            orders: parts.orders,
            exits: Vec::new(),
        }
    }

    /// Write what workers have ordered so far.
    pub(super) fn flush_orders(&self) -> Result<(), PlaneError> {
        Ok(self.offloader.as_ref().map_or(Ok(()), Offloader::flush)?)
    }

    /// Make `rules` the live ruleset.
    pub(super) fn apply_rules(&mut self, rules: &Ruleset) -> Result<u64, PlaneError> {
        let classifier = Arc::new(Classifier::new(rules, &self.chains)?);
        let generation = self.filter.publish(rules, &self.chains)?;
        self.classifier = classifier;
        self.ruleset = rules.clone();
        self.publish_snapshot();
        Ok(generation)
    }

    /// Make `services` the known services, and give new ones a moment to be resolved.
    pub(super) fn set_services(&mut self, services: &[Service]) -> Result<(), PlaneError> {
        let mut registry = self.registry.clone();
        registry.set(services, |slot| self.workers.service(slot)).map_err(PlaneError::Service)?;
        let kept: BTreeSet<IpAddr> = registry.entries().iter().map(|entry| entry.service.ip).collect();
        let gone: Vec<IpAddr> = self.handed.difference(&kept).copied().collect();
        // Should one of these fail, the next look hands out again what went before it.
        self.untold = true;
        for ip in &gone {
            self.filter.remove_service(*ip)?;
            self.handed.remove(ip);
        }
        if !gone.is_empty() {
            thread::sleep(DRAIN);
        }
        self.registry = registry;
        self.settle();
        Ok(())
    }

    /// Look until no service is pending, for a while. The services are known; what cannot be looked at now is looked at
    /// on the next tick.
    pub(super) fn settle(&mut self) {
        for left in (0..=RESOLVE_LOOKS).rev() {
            if let Err(error) = self.look() {
                tracing::error!(%error, "links and neighbours cannot be looked at; it is tried again");
            }
            let pending = |entry: &Entry| matches!(entry.state, ServiceState::Pending { .. });
            if left == 0 || !self.registry.entries().iter().any(pending) {
                break;
            }
            thread::sleep(RESOLVE_PAUSE);
        }
    }

    /// Look for dead workers, changed links and neighbours, and follow them.
    pub(super) fn look(&mut self) -> Result<(), PlaneError> {
        self.take_out_dead()?;
        self.tell_panics();
        self.tell_monitored()?;
        let links = self.netlink.links()?;
        let neighbours = self.netlink.neighbours()?;
        self.look_at_interfaces(&links);
        let before: HashMap<String, bool> =
            self.registry.entries().iter().map(|entry| (entry.service.name.clone(), entry.is_up())).collect();
        let (registry, mut hands) = self.hands();
        hands.look_again(Instant::now());
        if registry.reconcile(&links, &neighbours, Instant::now(), &mut hands) {
            self.untold = true;
            self.tell_changes(&before);
        }
        if self.untold {
            self.publish_services()?;
            self.untold = false;
        }
        self.publish_exits()?;
        let (registry, mut hands) = self.hands();
        registry.release(&mut hands);
        self.tell_policy()
    }

    fn hands(&mut self) -> (&mut Registry, Hands<'_>) {
        let hands = Hands {
            egresses: &mut self.egresses,
            workers: &self.workers,
            interfaces: &self.interfaces,
            netlink: &mut self.netlink,
            mode: self.config.mode,
            dead: &self.dead,
        };
        (&mut self.registry, hands)
    }

    /// Let the queues of a worker that has died follow the fail policy: one of its sockets, the UMEM's own, outlives it,
    /// and XDP would feed it for ever.
    fn take_out_dead(&mut self) -> Result<(), PlaneError> {
        let dead = self.workers.dead();
        for &worker in dead.iter().filter(|worker| !self.dead.contains(worker)) {
            for (ingress, interface) in (0_u32..).zip(&self.interfaces) {
                for queue in (0..interface.queues).filter(|queue| self.workers.owner(*queue) == worker) {
                    self.filter.clear_socket(ingress, queue)?;
                }
            }
            let text = format!("worker {worker} has died, its queues follow the fail policy: restart the daemon");
            tracing::error!("{text}");
            self.alerts.push(AlertEvent::dataplane(1, &text));
        }
        self.dead = dead;
        Ok(())
    }

    /// Alert when inspection itself, not a module, broke on a batch: that is a fault in this program.
    fn tell_panics(&mut self) {
        let panics = self.workers.panics();
        if panics > self.panics {
            let new = panics - self.panics;
            let text = format!("inspection panicked on {new} batches, which followed the fail policy: report the log");
            tracing::error!("{text}");
            self.alerts.push(AlertEvent::dataplane(1, &text));
            self.panics = panics;
        }
    }

    /// Alert of packets that monitor mode let through, as far as there are samples.
    fn tell_monitored(&self) -> Result<(), PlaneError> {
        self.filter.samples(SAMPLES_PER_LOOK, |sample| {
            self.alerts.push(monitored(&sample, &self.interfaces, self.workers.flow_key()));
        })?;
        Ok(())
    }

    /// Follow what changed on the interfaces. A way out by their sockets is set anew.
    fn look_at_interfaces(&mut self, links: &[Link]) {
        for index in 0..self.interfaces.len() {
            let Self { filter, workers, config, interfaces, .. } = self;
            let mut follower = Follower { filter, workers, config, links };
            let ingress = u16::try_from(index).unwrap_or(u16::MAX);
            let Followed { told, changed } = follower.follow(ingress, &mut interfaces[index]);
            if let Some((severity, text)) = told {
                tracing::warn!("{text}");
                self.alerts.push(AlertEvent::dataplane(severity, &text));
            }
            if changed {
                self.untold = true;
                let ifindex = self.interfaces[index].ifindex;
                let (registry, mut hands) = self.hands();
                if let Some(number) = registry.way_to(ifindex) {
                    hands.renew(number, ifindex);
                }
            }
        }
    }

    /// Let XDP and the workers know which services are up: a service that went down first leaves XDP, then the
    /// snapshot; one that came up the other way round. So no packet is handed over that nobody can send.
    fn publish_services(&mut self) -> Result<(), PlaneError> {
        let up: BTreeSet<IpAddr> =
            self.registry.entries().iter().filter(|entry| entry.is_up()).map(|entry| entry.service.ip).collect();
        let down: Vec<IpAddr> = self.handed.difference(&up).copied().collect();
        for ip in down {
            self.filter.remove_service(ip)?;
            self.handed.remove(&ip);
        }
        self.publish_snapshot();
        for ip in up {
            if !self.handed.contains(&ip) {
                self.filter.set_service(ip)?;
                self.handed.insert(ip);
            }
        }
        Ok(())
    }

    /// Let XDP know the ways to services, when it forwards cleared flows: those whose device takes frames just now.
    fn publish_exits(&mut self) -> Result<(), PlaneError> {
        if !(self.offload.flows && self.offload.forward) {
            return Ok(());
        }
        let taken = |(service, ip, exit): (u16, IpAddr, Exit)| {
            let features = bpf::features(exit.ifindex).unwrap_or_else(|error| {
                // A device that is on its way out; the service will be down at the next look.
                tracing::debug!(%error, service = %ip, "it is not known whether its device takes frames from xdp");
                Features::default()
            });
            features.redirects.then_some((service, ip, Exit { split: features.split_redirects, ..exit }))
        };
        let ways: Vec<_> = self.registry.entries().iter().filter_map(exit).filter_map(taken).collect();
        if ways != self.exits {
            self.filter.flow_cache().set_exits(&ways)?;
            let services: Vec<String> = ways.iter().map(|(_, ip, _)| ip.to_string()).collect();
            tracing::info!(?services, "cleared flows are forwarded in xdp to these; to others by the worker");
            self.exits = ways;
        }
        Ok(())
    }

    pub(super) fn publish_snapshot(&self) {
        let generation = self.filter.stamp();
        let snapshot = snapshot(
            &self.interfaces,
            &self.classifier,
            generation,
            &self.chains,
            self.config.fail_policy,
            self.ruleset.monitor,
        );
        let routes = self.registry.entries().iter().filter_map(route).collect();
        self.workers.publish(Snapshot { routes, ..snapshot });
    }

    fn tell_changes(&self, before: &HashMap<String, bool>) {
        for entry in self.registry.entries() {
            let name = &entry.service.name;
            let was_up = before.get(name).copied().unwrap_or(false);
            match &entry.state {
                ServiceState::Up if !was_up => tracing::info!(service = name, "service is up"),
                ServiceState::Down { reason } if was_up => {
                    let text = format!("service {name} is down: {reason}");
                    tracing::warn!("{text}");
                    self.alerts.push(AlertEvent::dataplane(2, &text));
                }
                ServiceState::Pending { reason } if was_up => {
                    let text = format!("service {name} is not reachable: {reason}");
                    tracing::warn!("{text}");
                    self.alerts.push(AlertEvent::dataplane(2, &text));
                }
                _ => {}
            }
        }
    }

    /// Alert when traffic that should have been inspected followed the fail policy, at most once a minute.
    fn tell_policy(&mut self) -> Result<(), PlaneError> {
        let name = match self.config.fail_policy {
            FailPolicy::Open => "fail_open",
            FailPolicy::Closed => "fail_closed",
        };
        let events = self.filter.events()?;
        let count = events.iter().find(|event| event.name == name).map_or(0, |event| event.value);
        let (told, at) = self.policy_alert.map_or((0, None), |(told, at)| (told, Some(at)));
        if count > told && at.is_none_or(|at| at.elapsed() >= POLICY_ALERT_EVERY) {
            let text = format!("{} packets were not inspected and followed the fail policy ({name})", count - told);
            tracing::warn!("{text}");
            self.alerts.push(AlertEvent::dataplane(2, &text));
            self.policy_alert = Some((count, Instant::now()));
        }
        Ok(())
    }
}

/// A snapshot without routes.
pub(super) fn snapshot(
    interfaces: &[Interface],
    classifier: &Arc<Classifier>,
    generation: u32,
    chains: &[String],
    fail_policy: FailPolicy,
    monitor: bool,
) -> Snapshot {
    let ingress = |interface: &Interface| Ingress {
        mac: interface.mac,
        repair_checksums: interface.is_virtual || interface.mode == Mode::Skb,
    };
    Snapshot {
        routes: HashMap::default(),
        ingress: interfaces.iter().map(ingress).collect(),
        classifier: Arc::clone(classifier) as _,
        generation,
        chains: u16::try_from(chains.len()).unwrap_or(u16::MAX),
        default_chain: (!chains.is_empty()).then_some(0),
        fail_policy,
        monitor,
    }
}

/// The alert of a packet that monitor mode let through.
fn monitored(sample: &Sample, interfaces: &[Interface], key: HashKey) -> AlertEvent {
    let flow = FlowKey::new((sample.src, sample.sport), (sample.dst, sample.port), sample.protocol);
    let ingress = interfaces.iter().position(|interface| interface.ifindex == sample.ifindex);
    let rule = match sample.monitored {
        Monitored::Rule(id) => id.0,
        Monitored::Default | Monitored::Blocklist => 0,
    };
    AlertEvent {
        kind: AlertKind::Monitor,
        flow: Some(AlertFlow {
            id: flow.id(key),
            src: sample.src,
            dst: sample.dst,
            src_port: sample.sport,
            dst_port: sample.port,
            protocol: sample.protocol,
        }),
        rule,
        ingress: ingress.and_then(|ingress| u16::try_from(ingress).ok()),
        ..AlertEvent::dataplane(3, &format!("would be dropped by {} (monitor mode)", sample.monitored))
    }
}

fn exit(entry: &Entry) -> Option<(u16, IpAddr, Exit)> {
    let (ip, Route { service, dst_mac, src_mac, .. }) = route(entry)?;
    let placement = entry.placement?;
    Some((service, ip, Exit { ifindex: placement.ifindex, mtu: placement.mtu, split: false, dst_mac, src_mac }))
}

fn route(entry: &Entry) -> Option<(IpAddr, Route)> {
    if !entry.is_up() {
        return None;
    }
    let placement = entry.placement?;
    let route = Route {
        service: entry.slot,
        egress: EgressId(entry.port?),
        dst_mac: placement.dst_mac?,
        src_mac: placement.src_mac,
        mtu: u16::try_from(placement.mtu).unwrap_or(u16::MAX),
    };
    Some((entry.service.ip, route))
}
