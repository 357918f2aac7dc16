//! AF_XDP: the UMEM, its frames as owned tokens, and the sockets.

mod assembly;
mod defect;
mod error;
mod first;
mod frame;
mod layout;
mod mode;
mod parts;
mod pending;
mod port;
mod registration;
mod registrations;
mod rings;
mod sockopt;
mod umem;

#[cfg(test)]
mod parts_tests;
#[cfg(test)]
mod umem_tests;

pub use error::XskError;
pub use frame::{Frame, FrameCounts};
pub use layout::WINDOW_LEN;
pub use mode::{Bound, PortSpec, bind};
pub use parts::MAX_PARTS;
pub use port::{Port, PortId};
pub use rings::{Descriptor, KernelRings, Kick, Rings};
pub use sockopt::takes_parts;
pub use umem::Umem;

pub(crate) use frame::Place;
pub(crate) use pending::Pending;
pub(crate) use port::{Outgoing, Traffic};
pub(crate) use sockopt::statistics;
