//! Whether the pinned links would outlive the daemon: a mount dies with the last process of its mount namespace.

use std::{fs, path::Path};

use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

/// A warning when the daemon is in another mount namespace than init or its parent, as `ip netns exec` and `unshare` make,
/// and would mount the bpf file system `bpffs` there. Says nothing where neither can be seen.
pub(crate) fn warning(bpffs: &Path) -> Option<String> {
    let mounted = statfs(bpffs).is_ok_and(|kind| kind.filesystem_type() == BPF_FS_MAGIC);
    let others = ["1".to_owned(), std::os::unix::process::parent_id().to_string()];
    let own =
        others.iter().any(|pid| differ(Path::new("/proc/self/ns/mnt"), &Path::new("/proc").join(pid).join("ns/mnt")));
    (own && !mounted).then(|| {
        format!(
            "the daemon runs in a mount namespace of its own, and so will the bpf file system at {}: when the daemon is \
             killed, the pinned links end with the namespace's last process, and nothing is filtered or blocked any \
             more; to enter a network namespace alone, use `nsenter --net=/run/netns/NAME`, not `ip netns exec NAME`",
            bpffs.display()
        )
    })
}

/// Whether both are links, to different namespaces.
fn differ(own: &Path, init: &Path) -> bool {
    matches!((fs::read_link(own), fs::read_link(init)), (Ok(own), Ok(init)) if own != init)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_two_namespaces_that_can_be_seen_differ() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for (name, target) in [("self", "mnt:[1]"), ("init", "mnt:[1]"), ("other", "mnt:[2]")] {
            symlink(target, path(name)).unwrap();
        }
        assert!(!differ(&path("self"), &path("init")));
        assert!(differ(&path("self"), &path("other")));
        assert!(!differ(&path("self"), &path("none")) && !differ(&path("none"), &path("self")));
    }
}
