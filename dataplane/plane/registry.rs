//! Which services there are, and what each needs to be reachable: a bound device and a known MAC.
//!
//! Pure bookkeeping over what the kernel told: devices are bound through [`Bind`], so that it runs in tests without a
//! NIC. [`Registry::reconcile`] is called on every tick; it is idempotent.

use std::{
    collections::{BTreeMap, HashSet},
    net::IpAddr,
    time::{Duration, Instant},
};

use crate::{
    plane::Count,
    service::{Link, Mac, Neighbour, Placement, Service, ServiceState, place},
};

/// Pause between two tries to bind a device that was refused: a busy one is waited for each time.
const BIND_EVERY: Duration = Duration::from_secs(10);
/// Pause between two requests to the kernel to resolve the same address.
const RESOLVE_EVERY: Duration = Duration::from_secs(1);
/// Pause between two requests to confirm an entry that the kernel holds for stale: redirected traffic does not
/// confirm it by itself.
const CONFIRM_EVERY: Duration = Duration::from_secs(30);

/// What the registry asks of the outside.
pub(super) trait Bind {
    /// Open the way out through a device; its port number.
    fn bind(&mut self, dev: &str, ifindex: u32) -> Result<u16, String>;
    /// Close the way out; frames in its rings come back.
    fn unbind(&mut self, port: u16);
    /// Why a way out that was open cannot be used any more, when that is so.
    fn broken(&self, port: u16) -> Option<String>;
    /// Ask the kernel to resolve an address on a device.
    fn resolve(&mut self, ifindex: u32, ip: IpAddr);
}

/// A service and what is known of it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) service: Service,
    /// Index of its counters in the workers, stable while the service lives.
    pub(super) slot: u16,
    pub(super) state: ServiceState,
    pub(super) placement: Option<Placement>,
    pub(super) port: Option<u16>,
    asked: Option<Instant>,
    /// What its counters stood at when it got them from the service before.
    base: Count,
}

impl Entry {
    pub(super) fn is_up(&self) -> bool {
        self.state == ServiceState::Up
    }

    pub(super) fn mac(&self) -> Option<Mac> {
        self.placement.and_then(|placement| placement.dst_mac)
    }

    /// What was sent toward it, when its counters stand at `count`.
    pub(super) fn sent(&self, count: Count) -> Count {
        let Count { packets, bytes } = self.base;
        Count { packets: count.packets.saturating_sub(packets), bytes: count.bytes.saturating_sub(bytes) }
    }
}

/// All services, and the devices bound for them.
#[derive(Debug, Clone)]
pub(super) struct Registry {
    entries: Vec<Entry>,
    /// Port by device index.
    bound: BTreeMap<u32, u16>,
    /// When and why a device was refused, by its index.
    refused: BTreeMap<u32, (Instant, String)>,
    slots: usize,
}

impl Registry {
    /// No service yet; room for `slots` of them.
    pub(super) fn new(slots: usize) -> Self {
        Self { entries: Vec::new(), bound: BTreeMap::new(), refused: BTreeMap::new(), slots }
    }

    /// The way out through a device, when it is open.
    pub(super) fn way_to(&self, ifindex: u32) -> Option<u16> {
        self.bound.get(&ifindex).copied()
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Replace the set of services. What stays as it was keeps its state and slot. All or nothing. `count` tells what the
    /// counters of a slot stand at.
    pub(super) fn set(&mut self, services: &[Service], count: impl Fn(u16) -> Count) -> Result<(), String> {
        let (mut names, mut ips) = (HashSet::new(), HashSet::new());
        for service in services {
            service.check().map_err(|error| error.to_string())?;
            if !names.insert(&service.name) {
                return Err(format!("name '{}': there is a service of this name already", service.name));
            }
            if !ips.insert(service.ip) {
                return Err(format!("ip '{}': another service has this address already", service.ip));
            }
        }
        if services.len() > self.slots {
            return Err(format!("{} services: at most {} fit", services.len(), self.slots));
        }
        self.entries.retain(|entry| services.contains(&entry.service));
        for service in services {
            if self.entries.iter().all(|entry| entry.service != *service) {
                let slot = self.free_slot();
                let state = ServiceState::Pending { reason: "not looked at yet".into() };
                let service = service.clone();
                let (placement, port, asked, base) = (None, None, None, count(slot));
                self.entries.push(Entry { service, slot, state, placement, port, asked, base });
            }
        }
        Ok(())
    }

    fn free_slot(&self) -> u16 {
        let taken: HashSet<u16> = self.entries.iter().map(|entry| entry.slot).collect();
        (0..=u16::MAX).find(|slot| !taken.contains(slot)).unwrap_or_default()
    }

    /// Bring every service to what the kernel's tables say now. True when anything changed that packets depend on.
    pub(super) fn reconcile(
        &mut self,
        links: &[Link],
        neighbours: &[Neighbour],
        now: Instant,
        out: &mut impl Bind,
    ) -> bool {
        let mut changed = false;
        for at in 0..self.entries.len() {
            let (state, placement, port) = self.look(at, links, neighbours, now, out);
            let entry = &mut self.entries[at];
            if entry.state != state || entry.placement != placement || entry.port != port {
                changed = true;
            }
            (entry.state, entry.placement, entry.port) = (state, placement, port);
        }
        self.refused.retain(|ifindex, _| links.iter().any(|link| link.index == *ifindex));
        changed
    }

    /// Close the ways out that no service uses any more; to be called when no packet is sent to them.
    pub(super) fn release(&mut self, out: &mut impl Bind) {
        let entries = self.entries.iter().filter(|entry| entry.port.is_some());
        let used: HashSet<u32> = entries.filter_map(|entry| Some(entry.placement?.ifindex)).collect();
        self.bound.retain(|ifindex, port| {
            let keep = used.contains(ifindex);
            if !keep {
                out.unbind(*port);
            }
            keep
        });
    }

    fn look(
        &mut self,
        at: usize,
        links: &[Link],
        neighbours: &[Neighbour],
        now: Instant,
        out: &mut impl Bind,
    ) -> (ServiceState, Option<Placement>, Option<u16>) {
        let placement = match place(&self.entries[at].service, links, neighbours) {
            Ok(placement) => placement,
            Err(reason) => return (ServiceState::Down { reason }, None, None),
        };
        let port = match self.bound.get(&placement.ifindex) {
            Some(port) => *port,
            None => match self.bind(at, placement.ifindex, now, out) {
                Ok(port) => port,
                Err(reason) => return (ServiceState::Down { reason }, Some(placement), None),
            },
        };
        if let Some(reason) = out.broken(port) {
            return (ServiceState::Down { reason }, Some(placement), Some(port));
        }
        let entry = &mut self.entries[at];
        let pause = if placement.dst_mac.is_none() { RESOLVE_EVERY } else { CONFIRM_EVERY };
        let due = entry.asked.is_none_or(|asked| now.duration_since(asked) >= pause);
        if due && (placement.dst_mac.is_none() || placement.stale) {
            entry.asked = Some(now);
            out.resolve(placement.neighbour_dev, entry.service.ip);
        }
        let state = if placement.dst_mac.is_some() {
            ServiceState::Up
        } else {
            let reason = format!("no MAC yet: {} does not answer on {}", entry.service.ip, entry.service.dev);
            ServiceState::Pending { reason }
        };
        (state, Some(placement), Some(port))
    }

    /// Bind the device of service `at`, unless it was refused a moment ago.
    fn bind(&mut self, at: usize, ifindex: u32, now: Instant, out: &mut impl Bind) -> Result<u16, String> {
        if let Some((tried, reason)) = self.refused.get(&ifindex)
            && now.duration_since(*tried) < BIND_EVERY
        {
            return Err(reason.clone());
        }
        match out.bind(&self.entries[at].service.dev, ifindex) {
            Ok(port) => {
                self.refused.remove(&ifindex);
                self.bound.insert(ifindex, port);
                Ok(port)
            }
            Err(reason) => {
                self.refused.insert(ifindex, (now, reason.clone()));
                Err(reason)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Kernel {
        bound: Vec<u32>,
        asked: Vec<(u32, IpAddr)>,
        refuse: bool,
        tries: usize,
        broken: bool,
    }

    impl Registry {
        /// A whole look, as the dataplane takes it.
        fn tick(&mut self, links: &[Link], neighbours: &[Neighbour], now: Instant, kernel: &mut Kernel) -> bool {
            let changed = self.reconcile(links, neighbours, now, kernel);
            self.release(kernel);
            changed
        }

        fn put(&mut self, services: &[Service]) -> Result<(), String> {
            self.set(services, |slot| Count { packets: 100 + u64::from(slot), bytes: 6000 })
        }
    }

    impl Bind for Kernel {
        fn bind(&mut self, _: &str, ifindex: u32) -> Result<u16, String> {
            self.tries += 1;
            if self.refuse {
                return Err("busy".into());
            }
            assert!(!self.bound.contains(&ifindex), "bound twice");
            self.bound.push(ifindex);
            Ok(u16::try_from(ifindex).unwrap())
        }
        fn unbind(&mut self, port: u16) {
            self.bound.retain(|ifindex| *ifindex != u32::from(port));
        }
        fn broken(&self, _: u16) -> Option<String> {
            self.broken.then(|| "worker 0 has died".into())
        }
        fn resolve(&mut self, ifindex: u32, ip: IpAddr) {
            self.asked.push((ifindex, ip));
        }
    }

    fn service(name: &str, last: u8) -> Service {
        Service { name: name.into(), ip: IpAddr::from([10, 77, 2, last]), dev: "veth-web".into(), mac: None }
    }

    fn link(index: u32) -> Link {
        let (name, mac) = ("veth-web".to_owned(), Mac([2; 6]));
        Link { index, name, up: true, mac, mtu: 1500, master: None, kind: None, rx_queues: 1 }
    }

    fn neighbour(ifindex: u32, last: u8, stale: bool) -> Neighbour {
        Neighbour { ifindex, ip: IpAddr::from([10, 77, 2, last]), mac: Some(Mac([4; 6])), stale }
    }

    #[test]
    fn a_service_comes_up_when_its_mac_is_known_and_goes_down_with_its_device() {
        let (mut registry, mut kernel, now) = (Registry::new(8), Kernel::default(), Instant::now());
        registry.put(&[service("web", 2), service("api", 3)]).unwrap();
        assert!(registry.tick(&[link(5)], &[], now, &mut kernel));
        assert!(matches!(registry.entries()[0].state, ServiceState::Pending { .. }));
        assert_eq!((kernel.bound.len(), kernel.asked.len()), (1, 2), "one device, two addresses");
        let known = [neighbour(5, 2, false), neighbour(5, 3, false)];
        assert!(registry.tick(&[link(5)], &known, now, &mut kernel));
        assert!(registry.entries().iter().all(Entry::is_up));
        assert!(!registry.tick(&[link(5)], &known, now, &mut kernel), "nothing changed");
        assert!(registry.tick(&[], &known, now, &mut kernel));
        assert!(matches!(registry.entries()[0].state, ServiceState::Down { .. }) && kernel.bound.is_empty());
    }

    #[test]
    fn a_device_made_anew_under_its_old_name_is_bound_anew() {
        let (mut registry, mut kernel, now) = (Registry::new(8), Kernel::default(), Instant::now());
        registry.put(&[service("web", 2)]).unwrap();
        registry.tick(&[link(5)], &[neighbour(5, 2, false)], now, &mut kernel);
        registry.tick(&[link(6)], &[neighbour(6, 2, false)], now, &mut kernel);
        assert_eq!((kernel.bound.as_slice(), registry.entries()[0].port), (&[6][..], Some(6)));
    }

    #[test]
    fn the_kernel_is_asked_at_intervals() {
        let (mut registry, mut kernel, now) = (Registry::new(8), Kernel::default(), Instant::now());
        registry.put(&[service("web", 2)]).unwrap();
        for millis in [0, 500, 999, 1000, 1500] {
            registry.tick(&[link(5)], &[], now + Duration::from_millis(millis), &mut kernel);
        }
        assert_eq!(kernel.asked.len(), 2);
        let later = now + Duration::from_secs(60);
        registry.tick(&[link(5)], &[neighbour(5, 2, true)], later, &mut kernel);
        assert_eq!(kernel.asked.len(), 3, "a stale entry is confirmed");
        assert!(registry.entries()[0].is_up(), "and used meanwhile");
    }

    #[test]
    fn a_refused_bind_is_down_with_its_reason_and_tried_again() {
        let (mut registry, mut kernel, now) =
            (Registry::new(8), Kernel { refuse: true, ..Kernel::default() }, Instant::now());
        registry.put(&[service("web", 2)]).unwrap();
        registry.tick(&[link(5)], &[neighbour(5, 2, false)], now, &mut kernel);
        assert_eq!(registry.entries()[0].state, ServiceState::Down { reason: "busy".into() });
        registry.tick(&[link(5)], &[neighbour(5, 2, false)], now + BIND_EVERY / 2, &mut kernel);
        assert_eq!(kernel.tries, 1, "a bind may block for seconds, and is not tried at every look");
        kernel.refuse = false;
        registry.tick(&[link(5)], &[neighbour(5, 2, false)], now + BIND_EVERY, &mut kernel);
        assert!(registry.entries()[0].is_up());
    }

    #[test]
    fn what_is_bound_is_let_go_only_when_packets_no_longer_go_there() {
        let (mut registry, mut kernel, now) = (Registry::new(8), Kernel::default(), Instant::now());
        registry.put(&[service("web", 2)]).unwrap();
        registry.tick(&[link(5)], &[neighbour(5, 2, false)], now, &mut kernel);
        assert!(registry.reconcile(&[], &[], now, &mut kernel));
        assert_eq!(kernel.bound, [5], "the workers and XDP are told first");
        registry.release(&mut kernel);
        assert!(kernel.bound.is_empty());
    }

    #[test]
    fn a_way_out_that_breaks_takes_its_service_down() {
        let (mut registry, mut kernel, now) = (Registry::new(8), Kernel::default(), Instant::now());
        registry.put(&[service("web", 2)]).unwrap();
        registry.tick(&[link(5)], &[neighbour(5, 2, false)], now, &mut kernel);
        kernel.broken = true;
        assert!(registry.tick(&[link(5)], &[neighbour(5, 2, false)], now, &mut kernel));
        assert_eq!(registry.entries()[0].state, ServiceState::Down { reason: "worker 0 has died".into() });
    }

    #[test]
    fn a_new_service_does_not_inherit_the_counters_of_the_one_before() {
        let mut registry = Registry::new(8);
        registry.put(&[service("web", 2)]).unwrap();
        let sent = registry.entries()[0].sent(Count { packets: 103, bytes: 6180 });
        assert_eq!(sent, Count { packets: 3, bytes: 180 });
    }

    #[test]
    fn a_bad_set_changes_nothing_and_slots_are_stable() {
        let mut registry = Registry::new(2);
        registry.put(&[service("web", 2), service("api", 3)]).unwrap();
        assert!(registry.put(&[service("web", 2), service("web", 4)]).unwrap_err().starts_with("name"));
        assert!(registry.put(&[service("web", 2), service("api", 2)]).unwrap_err().starts_with("ip"));
        assert!(registry.put(&[service("a", 1), service("b", 2), service("c", 3)]).unwrap_err().contains("at most 2"));
        assert_eq!(registry.entries().len(), 2);
        registry.put(&[service("api", 3), service("new", 9)]).unwrap();
        let slots: Vec<_> = registry.entries().iter().map(|e| (e.service.name.as_str(), e.slot)).collect();
        assert_eq!(slots, [("api", 1), ("new", 0)]);
    }
}
