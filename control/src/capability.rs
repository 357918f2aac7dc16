//! The capabilities that the daemon cannot do without.

use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

/// Each need: capabilities of which one is enough, and what for.
const NEEDS: [(&[Capability], &str); 4] = [
    (&[Capability::CAP_NET_ADMIN], "to attach XDP programs and read neighbours"),
    (&[Capability::CAP_NET_RAW], "to open AF_XDP sockets"),
    (&[Capability::CAP_BPF, Capability::CAP_SYS_ADMIN], "to load BPF programs"),
    (&[Capability::CAP_PERFMON, Capability::CAP_SYS_ADMIN], "to have them verified without limits on pointers"),
];

/// The UMEM is locked memory: this, or no limit on that.
const LOCK: (&[Capability], &str) =
    (&[Capability::CAP_IPC_LOCK], "to lock the packet memory (or LimitMEMLOCK=infinity)");

/// What this process lacks.
///
/// # Errors
/// The missing capabilities by name, with what they are for and how to get them.
pub(crate) fn check() -> Result<(), String> {
    let have = caps::read(None, CapSet::Effective).map_err(|e| format!("capabilities cannot be read: {e}"))?;
    let (limit, _) = getrlimit(Resource::RLIMIT_MEMLOCK).map_err(|e| format!("limits cannot be read: {e}"))?;
    missing(&have, limit == RLIM_INFINITY)
}

fn missing(have: &CapsHashSet, unlimited_lock: bool) -> Result<(), String> {
    let needs = NEEDS.iter().chain((!unlimited_lock).then_some(&LOCK));
    let lacking: Vec<_> = needs.filter(|(any, _)| !any.iter().any(|cap| have.contains(cap))).collect();
    if lacking.is_empty() {
        return Ok(());
    }
    let words = lacking.iter().map(|(any, what)| {
        let names: Vec<_> = any.iter().map(ToString::to_string).collect();
        format!("{} {what}", names.join(" or "))
    });
    let words: Vec<_> = words.collect();
    Err(format!("missing capability: {}; run as root, or grant it in the service's unit", words.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let have = CapsHashSet::from([Capability::CAP_NET_ADMIN, Capability::CAP_PERFMON]);
        let told = missing(&have, true).unwrap_err();
        assert!(told.contains("CAP_NET_RAW") && told.contains("CAP_BPF or CAP_SYS_ADMIN"), "{told}");
        assert!(!told.contains("CAP_NET_ADMIN") && !told.contains("CAP_PERFMON") && !told.contains("CAP_IPC_LOCK"));
        assert!(missing(&have, false).unwrap_err().contains("CAP_IPC_LOCK"));
    }

    #[test]
    fn the_older_catch_all_is_enough_for_bpf() {
        use Capability::{CAP_IPC_LOCK, CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN};
        let mut have = CapsHashSet::from([CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN]);
        assert_eq!(missing(&have, true), Ok(()));
        have.insert(CAP_IPC_LOCK);
        assert_eq!(missing(&have, false), Ok(()));
    }
}
