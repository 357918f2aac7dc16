//! The running dataplane behind its lock: rules, services and interfaces, changed one at a time.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{
    FailPolicy, ModeRequest, PlaneError,
    egress::{Egresses, Hands},
    interfaces::Interface,
    registry::{Entry, Registry},
};
use crate::{
    alert::{AlertEvent, AlertQueue},
    bpf::Filter,
    process::{EgressId, Ingress, Route, Snapshot},
    rules::{Classifier, Ruleset},
    service::{Netlink, Service, ServiceState},
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

/// See the module.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) filter: Filter,
    pub(super) workers: Workers,
    pub(super) interfaces: Vec<Interface>,
    pub(super) registry: Registry,
    pub(super) classifier: Arc<Classifier>,
    pub(super) ruleset: Ruleset,
    chains: Vec<String>,
    netlink: Netlink,
    egresses: Egresses,
    mode: ModeRequest,
    fail_policy: FailPolicy,
    alerts: Arc<AlertQueue>,
    /// Addresses that XDP hands to the workers.
    handed: BTreeSet<IpAddr>,
    policy_alert: Option<(u64, Instant)>,
}

/// What [`Running::new`] is made of, beside the parts that start empty.
pub(super) struct Parts {
    pub(super) filter: Filter,
    pub(super) workers: Workers,
    pub(super) interfaces: Vec<Interface>,
    pub(super) classifier: Arc<Classifier>,
    pub(super) ruleset: Ruleset,
    pub(super) chains: Vec<String>,
    pub(super) netlink: Netlink,
    pub(super) mode: ModeRequest,
    pub(super) fail_policy: FailPolicy,
    pub(super) alerts: Arc<AlertQueue>,
}

impl Running {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { filter, workers, interfaces, classifier, ruleset, chains, netlink, mode, fail_policy, alerts } =
            parts;
        Self {
            filter,
            workers,
            interfaces,
            registry: Registry::new(crate::worker::MAX_SERVICES),
            classifier,
            ruleset,
            chains,
            netlink,
            egresses: Egresses::default(),
            mode,
            fail_policy,
            alerts,
            handed: BTreeSet::new(),
            policy_alert: None,
        }
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
        registry.set(services).map_err(PlaneError::Service)?;
        let kept: BTreeSet<IpAddr> = registry.entries().iter().map(|entry| entry.service.ip).collect();
        let gone: Vec<IpAddr> = self.handed.difference(&kept).copied().collect();
        for ip in &gone {
            self.filter.remove_service(*ip)?;
            self.handed.remove(ip);
        }
        if !gone.is_empty() {
            thread::sleep(DRAIN);
        }
        self.registry = registry;
        self.look()?;
        for _ in 0..RESOLVE_LOOKS {
            let pending = |entry: &Entry| matches!(entry.state, ServiceState::Pending { .. });
            if !self.registry.entries().iter().any(pending) {
                break;
            }
            thread::sleep(RESOLVE_PAUSE);
            self.look()?;
        }
        Ok(())
    }

    /// Look for changed links and neighbours, and follow them.
    pub(super) fn look(&mut self) -> Result<(), PlaneError> {
        let links = self.netlink.links()?;
        let neighbours = self.netlink.neighbours()?;
        for interface in &mut self.interfaces {
            let present = links.iter().any(|link| link.index == interface.ifindex);
            if interface.present && !present {
                let text = format!("interface {} is gone: restart the daemon when it is back", interface.name);
                tracing::error!("{text}");
                self.alerts.push(AlertEvent::dataplane(1, &text));
            }
            interface.present = present;
        }
        let before: HashMap<String, bool> =
            self.registry.entries().iter().map(|entry| (entry.service.name.clone(), entry.is_up())).collect();
        let mut hands = Hands {
            egresses: &mut self.egresses,
            workers: &self.workers,
            interfaces: &self.interfaces,
            netlink: &mut self.netlink,
            mode: self.mode,
        };
        if self.registry.reconcile(&links, &neighbours, Instant::now(), &mut hands) {
            self.publish_services()?;
            self.tell_changes(&before);
        }
        self.tell_policy()
    }

    /// Let XDP and the workers know which services are up: a service that went down first leaves XDP, then the
    /// snapshot; one that came up the other way round. So no packet is handed over that nobody can send.
    fn publish_services(&mut self) -> Result<(), PlaneError> {
        let up: BTreeSet<IpAddr> =
            self.registry.entries().iter().filter(|entry| entry.is_up()).map(|entry| entry.service.ip).collect();
        for ip in self.handed.difference(&up) {
            self.filter.set_service(*ip, false)?;
        }
        self.publish_snapshot();
        for ip in up.difference(&self.handed) {
            self.filter.set_service(*ip, true)?;
        }
        self.handed = up;
        Ok(())
    }

    fn publish_snapshot(&self) {
        let snapshot = snapshot(&self.interfaces, &self.classifier, &self.chains, self.fail_policy);
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
        let name = match self.fail_policy {
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
    chains: &[String],
    fail_policy: FailPolicy,
) -> Snapshot {
    let ingress = |interface: &Interface| Ingress { mac: interface.mac, repair_checksums: interface.is_virtual };
    Snapshot {
        routes: HashMap::default(),
        ingress: interfaces.iter().map(ingress).collect(),
        classifier: Arc::clone(classifier) as _,
        chains: u16::try_from(chains.len()).unwrap_or(u16::MAX),
        default_chain: (!chains.is_empty()).then_some(0),
        fail_policy,
    }
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
