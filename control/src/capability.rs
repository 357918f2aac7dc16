//! The capabilities that the daemon cannot do without.

use caps::{CapSet, Capability, CapsHashSet};

/// Each need: capabilities of which one is enough, and what for.
const NEEDS: [(&[Capability], &str); 3] = [
    (&[Capability::CAP_NET_ADMIN], "to attach XDP programs and read neighbours"),
    (&[Capability::CAP_NET_RAW], "to open AF_XDP sockets"),
    (&[Capability::CAP_BPF, Capability::CAP_SYS_ADMIN], "to load BPF programs"),
];

/// What this process lacks.
///
/// # Errors
/// The missing capabilities by name, with what they are for and how to get them.
pub(crate) fn check() -> Result<(), String> {
    let have = caps::read(None, CapSet::Effective).map_err(|e| format!("capabilities cannot be read: {e}"))?;
    missing(&have)
}

fn missing(have: &CapsHashSet) -> Result<(), String> {
    let lacking: Vec<_> = NEEDS.iter().filter(|(any, _)| !any.iter().any(|cap| have.contains(cap))).collect();
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
        let have = CapsHashSet::from([Capability::CAP_NET_ADMIN]);
        let told = missing(&have).unwrap_err();
        assert!(told.contains("CAP_NET_RAW") && told.contains("CAP_BPF or CAP_SYS_ADMIN"), "{told}");
        assert!(!told.contains("CAP_NET_ADMIN"), "{told}");
    }

    #[test]
    fn the_older_catch_all_is_enough_for_bpf() {
        use Capability::{CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN};
        assert_eq!(missing(&CapsHashSet::from([CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN])), Ok(()));
    }
}
