//! Services: where a destination lives, and how its device and MAC are found.

mod ethtool;
mod model;
mod netlink;
mod peer;
mod place;
mod queues;
mod spec;

pub use model::{Mac, Service, ServiceState, ServiceStatus, WayOut};
pub use netlink::{Link, Neighbour, Netlink, NetlinkError};
pub use peer::Peer;
pub use place::{Placement, place};
#[cfg(test)]
pub(crate) use queues::set_queues;
pub use queues::{Queues, queues};

pub(crate) use ethtool::driver;
pub use spec::{ServiceError, ServiceSpec};
