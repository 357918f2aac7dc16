//! The bpf file system that holds the pinned links: not every machine has one, so we mount our own.

use std::{
    fs,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};

use super::BpfError;

/// Name that our own mounts carry, by which we know them again after a restart.
const SOURCE: &str = "secuxflow";

/// Make `dir` a bpf file system unless it lies on one already.
pub(super) fn ensure(dir: &Path) -> Result<(), BpfError> {
    let error = |doing, source| BpfError::Bpffs { path: dir.to_owned(), doing, source };
    let made = !dir.exists();
    fs::create_dir_all(dir).map_err(|source| error("creating it", source))?;
    let kind = statfs(dir).map_err(|source| error("looking at its file system", source.into()))?;
    if kind.filesystem_type() == BPF_FS_MAGIC {
        return Ok(());
    }
    mount(
        Some(SOURCE),
        dir,
        Some("bpf"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
        Some("mode=0700"),
    )
    .map_err(|source| {
        if made {
            // The mount's failure is what there is to tell; an empty directory that stays harms nobody.
            let _stays = fs::remove_dir(dir);
        }
        error("mounting a bpf file system there (needs CAP_SYS_ADMIN)", source.into())
    })
}

/// Unmount `dir` and remove it when the mount is one of ours; leave any other alone.
pub(super) fn remove(dir: &Path) -> Result<(), BpfError> {
    let error = |doing, source| BpfError::Bpffs { path: dir.to_owned(), doing, source };
    if !mounted_by_us(dir).map_err(|source| error("reading /proc/thread-self/mountinfo", source))? {
        return Ok(());
    }
    umount2(dir, MntFlags::empty()).map_err(|source| error("unmounting it", source.into()))?;
    match fs::remove_dir(dir) {
        // Something was there before the mount, or a second mount lies below: not ours to remove.
        Err(source) if !matches!(source.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::ResourceBusy) => {
            Err(error("removing it", source))
        }
        _ => Ok(()),
    }
}

fn mounted_by_us(dir: &Path) -> io::Result<bool> {
    let Ok(dir) = fs::canonicalize(dir) else { return Ok(false) };
    let ours = |line: &str| {
        // "36 35 98:0 /root /mount/point options optional… - type source super-options", proc_pid_mountinfo(5).
        let (mount, file_system) = line.split_once(" - ")?;
        let point = PathBuf::from(unescape(mount.split(' ').nth(4)?));
        let mut words = file_system.split(' ');
        Some(point == dir && words.next() == Some("bpf") && words.next() == Some(SOURCE))
    };
    for line in BufReader::new(fs::File::open("/proc/thread-self/mountinfo")?).lines() {
        if ours(&line?) == Some(true) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Undo the octal escapes of blank, tab, newline and backslash.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}
