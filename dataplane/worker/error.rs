//! What can go wrong with the workers as a set.

use std::io;

use crate::{process::EgressId, xsk::PortId};

/// Why the workers could not be started or told something.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// An option breaks its rule.
    #[error("{option} = {value}: {rule}")]
    Option {
        /// The option, as the configuration file spells it.
        option: &'static str,
        /// The value given.
        value: u64,
        /// The rule it breaks.
        rule: String,
    },
    /// The operating system refused a thread or a descriptor.
    #[error("worker {index}: cannot make its {what}")]
    Start {
        /// The worker.
        index: u32,
        /// What could not be made.
        what: &'static str,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A worker does not answer.
    #[error("worker {0} does not take commands: it has ended or hangs; restart the daemon")]
    Unresponsive(u32),
    /// All port numbers are used up.
    #[error("no port number is left; restart the daemon")]
    PortsExhausted,
    /// No port has this number.
    #[error("{0} is not there")]
    UnknownPort(PortId),
    /// The first socket of a UMEM is the UMEM's own: it stays bound while its device is there.
    #[error("{port} on '{dev}' holds the umem and cannot be closed while the device is there; stop the daemon instead")]
    HoldsUmem {
        /// The port.
        port: PortId,
        /// Its device.
        dev: String,
    },
    /// The number is out of range.
    #[error("egress {}: numbers lie below {}", .0.0, EgressId::LIMIT)]
    Egress(EgressId),
}
