//! What can go wrong between user space and the kernel's part.

use std::{io, path::PathBuf};

use crate::rules::RuleError;

/// Why the filter could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum BpfError {
    /// A rule cannot be published.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// The process lacks a capability.
    #[error(
        "{doing}: not permitted; run as root, or with the capabilities CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON \
         (and CAP_SYS_ADMIN to mount a bpf file system)"
    )]
    Permission {
        /// What was refused.
        doing: String,
    },
    /// The kernel refused a BPF call for another reason.
    #[error("{doing}: {source}")]
    Kernel {
        /// What was asked of it.
        doing: String,
        /// Its answer.
        source: io::Error,
    },
    /// The kernel has no room for the tables of a ruleset.
    #[error(
        "the tables of {rules} rules need {mib} MiB, which the kernel does not give: delete or disable rules, or raise \
         the memory limit; the rules that were live still are"
    )]
    NoMemory {
        /// Enabled rules.
        rules: usize,
        /// Size of their tables, in MiB.
        mib: usize,
    },
    /// The kernel has no room for the tables of a ruleset's sets.
    #[error(
        "the tables of {prefixes} prefixes in sets need {mib} MiB, which the kernel does not give: delete sets or \
         prefixes, or raise the memory limit; the rules and sets that were live still are"
    )]
    NoMemoryForSets {
        /// Prefixes of all sets.
        prefixes: usize,
        /// Size of their tables, in MiB.
        mib: usize,
    },
    /// No such interface.
    #[error("interface '{name}': there is none of this name; `ip link` lists those that exist")]
    NoInterface {
        /// The name given.
        name: String,
    },
    /// Another XDP program is attached.
    #[error(
        "interface '{name}': {other} is attached already; remove it with `ip link set dev {name} xdp off`, \
         or, when a bpf link holds it, by stopping the program that made the link"
    )]
    Busy {
        /// The interface.
        name: String,
        /// The other program.
        other: String,
    },
    /// The driver has no native XDP.
    #[error("interface '{name}': its driver has no native xdp; use mode skb, which is slower")]
    NoNative {
        /// The interface.
        name: String,
    },
    /// The MTU does not fit native XDP.
    #[error(
        "interface '{name}': the mtu, its own ({mtu}) or a veth peer's, is too large for native xdp, which takes a \
         packet in one page, about 3500 bytes; lower both with `ip link set dev {name} mtu 1500`, or use mode skb"
    )]
    MtuTooLarge {
        /// The interface.
        name: String,
        /// Its MTU, as far as known.
        mtu: String,
    },
    /// The device has fewer queues than XDP needs.
    #[error(
        "interface '{name}': fewer rx queues than its veth peer has tx queues; \
         make them equal with `ethtool -L`, or use mode skb"
    )]
    TooFewQueues {
        /// The interface.
        name: String,
    },
    /// More interfaces, queues or services than the maps hold.
    #[error("{what} {given}: at most {most} fit")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// The number asked for.
        given: u32,
        /// Most that fit.
        most: u32,
    },
    /// The directory for pinned links cannot be used.
    #[error("bpffs directory '{}': {doing}: {source}", path.display())]
    Bpffs {
        /// The directory.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The compiled program is not the one this code was written for.
    #[error("bpf object: {0}; the program was built wrongly, build it again")]
    Object(String),
}

impl BpfError {
    /// A libbpf error as one of ours.
    pub(crate) fn libbpf(doing: impl Into<String>, error: &libbpf_rs::Error) -> Self {
        use libbpf_rs::ErrorKind;
        let source = match error.kind() {
            ErrorKind::PermissionDenied => io::Error::from_raw_os_error(libc::EPERM),
            _ => io::Error::other(format!("{error:#}")),
        };
        Self::io(doing, source)
    }

    /// An I/O error as one of ours.
    pub(crate) fn io(doing: impl Into<String>, source: io::Error) -> Self {
        let doing = doing.into();
        match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::Permission { doing },
            _ => Self::Kernel { doing, source },
        }
    }
}
