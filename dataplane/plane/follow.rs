//! Filtered interfaces that change while the daemon runs: gone, made anew, with more or fewer queues.

use std::time::{Duration, Instant};

use super::{PlaneConfig, PlaneError, interfaces::Interface, interfaces::rx_queues};
use crate::{bpf::Filter, service::Link, worker::Workers};

/// Pause between two tries to follow a change that was refused.
const AGAIN: Duration = Duration::from_secs(10);

/// Everything that following an interface needs.
pub(super) struct Follower<'a> {
    pub(super) filter: &'a mut Filter,
    pub(super) workers: &'a Workers,
    pub(super) config: &'a PlaneConfig,
    pub(super) links: &'a [Link],
}

/// What was found of an interface, and done about it.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// To be alerted: severity and text.
    pub(super) told: Option<(u8, String)>,
    /// Its sockets, mode or addresses are others: whoever uses them has to be told.
    pub(super) changed: bool,
}

impl Followed {
    fn told(severity: u8, text: String) -> Self {
        Self { told: Some((severity, text)), changed: true }
    }
}

impl Follower<'_> {
    /// Look at the interface at place `ingress` of the configuration.
    pub(super) fn follow(&mut self, ingress: u16, interface: &mut Interface) -> Followed {
        let link = self.links.iter().find(|link| link.index == interface.ifindex);
        let anew = || self.links.iter().find(|link| link.name == interface.name);
        let outcome = match (link, interface.present) {
            (Some(link), _) => self.queues(ingress, interface, link),
            (None, true) => self.lose(ingress, interface),
            (None, false) => match anew() {
                Some(link) if may_try(interface) => self.take_back(ingress, interface, &link.clone()),
                _ => Ok(Followed::default()),
            },
        };
        outcome.unwrap_or_else(|error| refused(interface, &error))
    }

    /// The device is gone, and its sockets with it.
    fn lose(&self, ingress: u16, interface: &mut Interface) -> Result<Followed, PlaneError> {
        interface.present = false;
        self.filter.remove_port(interface.ifindex)?;
        interface.unbind(ingress, 0, self.filter, self.workers)?;
        let text = format!("interface {} is gone: nothing is filtered there until it is back", interface.name);
        Ok(Followed::told(1, text))
    }

    /// A device of the same name is there.
    fn take_back(&mut self, ingress: u16, interface: &mut Interface, link: &Link) -> Result<Followed, PlaneError> {
        // What could not be closed when it went.
        interface.unbind(ingress, 0, self.filter, self.workers)?;
        let mut anew = Interface::of(self.config, link, self.links)?;
        anew.attach(self.filter, self.config)?;
        if let Err(error) = anew.bind(ingress, self.filter, self.workers, self.config.mode) {
            anew.unbind(ingress, 0, self.filter, self.workers)?;
            return Err(error);
        }
        *interface = anew;
        Ok(Followed::told(3, format!("interface {} is back and filtered", interface.name)))
    }

    /// A queue more needs a socket; one less has taken its own along.
    fn queues(&self, ingress: u16, interface: &mut Interface, link: &Link) -> Result<Followed, PlaneError> {
        let mut followed = Followed::default();
        let mac = link.routing(self.links).mac;
        if mac != interface.mac {
            interface.mac = mac;
            followed.changed = true;
        }
        let queues = rx_queues(&interface.name)?;
        let before = interface.ports.len();
        if queues as usize == before || !may_try(interface) {
            return Ok(followed);
        }
        interface.queues = queues;
        interface.unbind(ingress, queues, self.filter, self.workers)?;
        interface.bind(ingress, self.filter, self.workers, self.config.mode)?;
        interface.refused = None;
        Ok(Followed::told(3, format!("interface {} has {queues} queues now, it had {before}", interface.name)))
    }
}

fn may_try(interface: &Interface) -> bool {
    interface.refused.as_ref().is_none_or(|(at, _)| at.elapsed() >= AGAIN)
}

/// Tell of a refusal when it is another than the last; it is tried again after a while.
fn refused(interface: &mut Interface, error: &PlaneError) -> Followed {
    let text = format!("interface {}: what changed on it cannot be followed: {error}", interface.name);
    let known = interface.refused.as_ref().is_some_and(|(_, last)| *last == text);
    interface.refused = Some((Instant::now(), text.clone()));
    // Part of it may have been done.
    Followed { told: (!known).then_some((1, text)), changed: true }
}
