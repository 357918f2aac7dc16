//! Services: where a destination lives, and how its device and MAC are found.

mod model;

pub use model::{Mac, Service, ServiceState, ServiceStatus};
