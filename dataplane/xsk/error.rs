//! What can go wrong with a UMEM or a socket, and how to mend it.

use std::io;

/// Why a UMEM could not be made or a socket not be bound.
#[derive(Debug, thiserror::Error)]
pub enum XskError {
    /// A size setting breaks its rule.
    #[error("{setting} = {value}: {rule}")]
    Layout {
        /// The setting, as the configuration file spells it.
        setting: &'static str,
        /// The value given.
        value: u64,
        /// The rule it breaks, and how to mend it.
        rule: String,
    },
    /// The kernel refused the UMEM.
    #[error("umem of {bytes} bytes: {reason}")]
    Umem {
        /// Size asked for.
        bytes: usize,
        /// What to do about it.
        reason: String,
        /// The kernel's answer.
        #[source]
        source: Option<io::Error>,
    },
    /// The kernel refused the socket.
    #[error("interface '{dev}' queue {queue}, {mode} mode: {reason}")]
    Bind {
        /// Device.
        dev: String,
        /// Queue.
        queue: u32,
        /// Mode tried: `zero-copy` or `copy`.
        mode: &'static str,
        /// What to do about it.
        reason: String,
        /// The kernel's answer.
        #[source]
        source: Option<io::Error>,
    },
    /// The device's name cannot be one.
    #[error("interface '{0}': a name has 1 to 15 bytes, none of them 0")]
    Name(String),
    /// A socket option could not be read or set.
    #[error("interface '{dev}' queue {queue}: the kernel refuses the socket option {option}: {source}")]
    Option {
        /// Device.
        dev: String,
        /// Queue.
        queue: u32,
        /// The option's name in the kernel's headers.
        option: &'static str,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}
