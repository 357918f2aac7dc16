//! On which interfaces the entry program runs.

use std::path::Path;

use super::Filter;
use crate::bpf::{
    BpfError,
    attach::{self, Attached},
    mount,
    object::program,
};

impl Filter {
    /// Attach to the interface `name` in native mode, or in generic mode (`skb`), by a link pinned in `bpffs`, where a bpf
    /// file system is mounted when there is none. A link that an earlier daemon left there is taken over. The answer is
    /// the interface's index.
    ///
    /// # Errors
    /// No such interface, another XDP program there, no native XDP, too large an MTU, missing capabilities.
    pub fn attach(&mut self, name: &str, skb: bool, bpffs: &Path) -> Result<u32, BpfError> {
        mount::ensure(bpffs)?;
        self.bpffs.insert(bpffs.to_owned());
        let entry = program(&self.entry, "sxf_entry")?;
        let attached = Attached::new(&entry, &self.shared.programs, name, skb, bpffs)?;
        let ifindex = attached.ifindex;
        // Of the same name: the link of a device that is gone, whose pin has been replaced.
        self.attached.retain(|other| other.ifindex != ifindex && other.name() != name);
        self.attached.push(attached);
        Ok(ifindex)
    }

    /// Whether an earlier daemon left a link to `name` pinned in `bpffs`.
    #[must_use]
    pub fn is_pinned(bpffs: &Path, name: &str) -> bool {
        attach::is_pinned(bpffs, name)
    }

    /// Whether the program runs on the interface; not so once the interface is gone.
    #[must_use]
    pub fn is_attached(&self, ifindex: u32) -> bool {
        self.attached.iter().any(|attached| attached.ifindex == ifindex && attached.is_live())
    }

    /// Detach links in `bpffs` that are not of this filter: an earlier daemon's, for interfaces no longer configured.
    ///
    /// # Errors
    /// The directory cannot be read, or the kernel refuses.
    pub fn detach_others(&self, bpffs: &Path) -> Result<(), BpfError> {
        attach::detach_others(bpffs, &self.attached)
    }

    /// Detach from every interface, remove the pins, and unmount the bpf file systems that were mounted by
    /// [`Filter::attach`], of this process or an earlier one.
    ///
    /// # Errors
    /// The first that went wrong; everything else is undone all the same.
    pub fn detach_all(&mut self) -> Result<(), BpfError> {
        let mut first = Ok(());
        for attached in self.attached.drain(..) {
            first = first.and(attached.detach());
        }
        for dir in std::mem::take(&mut self.bpffs) {
            first = first.and(mount::remove(&dir));
        }
        first
    }

    /// Undo [`Filter::attach`] on every interface but those of `keep`, which an earlier daemon had left attached.
    ///
    /// # Errors
    /// The first that went wrong; everything else is undone all the same.
    pub fn undo(&mut self, keep: &[String]) -> Result<(), BpfError> {
        if keep.is_empty() {
            return self.detach_all();
        }
        let mut first = Ok(());
        for attached in self.attached.extract_if(.., |attached| !keep.iter().any(|name| name == attached.name())) {
            first = first.and(attached.detach());
        }
        first
    }
}
