//! NUMA nodes: which one a network card is on, its cores, and memory from it.
#![expect(unsafe_code, reason = "a memory policy is set by a system call that no library here wraps")]

use std::{fs, io, path::Path};

use crate::plane::{NumaRequest, PlaneError};

/// Nodes that a mask has bits for; the kernel has at most 1,024.
const NODES: u32 = 1024;

/// The node that workers and UMEM go to: the one asked for, or that of the first interface that is on one. A virtual
/// device is on none.
///
/// # Errors
/// The node that was asked for does not exist.
pub(crate) fn choose(request: NumaRequest, interfaces: &[Option<u32>]) -> Result<Option<u32>, PlaneError> {
    match request {
        NumaRequest::Off => Ok(None),
        NumaRequest::Auto => {
            let mut nodes = interfaces.iter().flatten();
            let first = nodes.next().copied();
            if let Some(other) = nodes.find(|node| Some(**node) != first) {
                tracing::warn!(
                    ?first,
                    other,
                    "interfaces are on several numa nodes; workers and memory go to the first"
                );
            }
            Ok(first)
        }
        NumaRequest::Node(node) => match cores(node) {
            Ok(_) if node < NODES => Ok(Some(node)),
            _ => Err(PlaneError::Setting {
                setting: "workers.numa",
                rule: format!("there is no node {node}; see /sys/devices/system/node"),
            }),
        },
    }
}

/// The node of a device's bus slot; none for virtual devices, and where the firmware does not say.
pub(crate) fn of_device(dev: &str) -> Option<u32> {
    let device = Path::new("/sys/class/net").join(dev).join("device").canonicalize().ok()?;
    // virtio's device is below the one on the bus, which alone has a node; -1 is not known.
    device.ancestors().find_map(|part| fs::read_to_string(part.join("numa_node")).ok())?.trim().parse().ok()
}

/// The cores of a node.
pub(crate) fn cores(node: u32) -> io::Result<Vec<usize>> {
    let text = fs::read_to_string(format!("/sys/devices/system/node/node{node}/cpulist"))?;
    parse(text.trim()).ok_or_else(|| io::Error::other(format!("'{text}' is no list of cores")))
}

/// A list of numbers as the kernel writes it: `0-3,8`.
fn parse(list: &str) -> Option<Vec<usize>> {
    let mut all = Vec::new();
    for part in list.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        all.extend(first.parse::<usize>().ok()?..=last.parse().ok()?);
    }
    Some(all)
}

/// Do `work` with memory that this thread touches for the first time coming from `node`, as far as it has any.
pub(crate) fn with_memory_of<T>(node: Option<u32>, work: impl FnOnce() -> T) -> T {
    let Some(node) = node.filter(|node| *node < NODES) else { return work() };
    let mut mask = [0_u64; NODES as usize / 64];
    mask[node as usize / 64] = 1 << (node % 64);
    if let Err(error) = set_policy(libc::MPOL_PREFERRED, &mask) {
        tracing::warn!(node, %error, "memory does not come from the numa node on purpose");
        return work();
    }
    let done = work();
    if let Err(error) = set_policy(libc::MPOL_DEFAULT, &[]) {
        tracing::warn!(%error, "a thread keeps its numa memory policy");
    }
    done
}

fn set_policy(policy: libc::c_int, mask: &[u64]) -> io::Result<()> {
    let bits = libc::c_ulong::try_from(mask.len() * 64).map_err(io::Error::other)?;
    let mask = if mask.is_empty() { std::ptr::null() } else { mask.as_ptr() };
    // SAFETY: the mask, or none, has that many bits and lives until the call returns; only this thread's policy changes.
    let status = unsafe { libc::syscall(libc::SYS_set_mempolicy, policy, mask, bits) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cores_are_read_as_the_kernel_writes_them() {
        assert_eq!(parse("0-2,5,7-8"), Some(vec![0, 1, 2, 5, 7, 8]));
        assert_eq!(parse("0"), Some(vec![0]));
        assert_eq!(parse(""), Some(vec![]), "a node of memory only");
        assert_eq!(parse("a-b"), None);
    }

    #[test]
    fn the_first_interface_on_a_node_decides_and_a_missing_node_is_named() {
        let choose = |request, nodes: &[Option<u32>]| choose(request, nodes).map_err(|error| error.to_string());
        assert_eq!(choose(NumaRequest::Auto, &[None, Some(1), Some(0)]), Ok(Some(1)));
        assert_eq!(choose(NumaRequest::Auto, &[None]), Ok(None));
        assert_eq!(choose(NumaRequest::Off, &[Some(1)]), Ok(None));
        let refusal = choose(NumaRequest::Node(4711), &[]).unwrap_err();
        assert!(refusal.starts_with("workers.numa: there is no node 4711"), "{refusal}");
        assert_eq!(of_device("lo"), None);
    }

    #[test]
    fn work_is_done_whatever_becomes_of_the_policy() {
        for node in [None, Some(0), Some(1023), Some(u32::MAX)] {
            assert_eq!(with_memory_of(node, || 7), 7);
        }
    }
}
