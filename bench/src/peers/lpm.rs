//! A blocklist of IPv4 prefixes in the kernel's LPM_TRIE.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result};
use ipnet::Ipv4Net;
use libbpf_rs::Object;

use crate::bpf;

/// The program's object file.
const OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/lpm.bpf.o"));

/// The loaded peer.
#[derive(Debug)]
pub(crate) struct Lpm {
    program: OwnedFd,
    _object: Object,
}

impl Lpm {
    /// Load it with `prefixes`.
    pub(crate) fn load(prefixes: &[Ipv4Net]) -> Result<Self> {
        let mut open = bpf::open(OBJECT, "bench_lpm")?;
        bpf::size(&mut open, "list4", prefixes.len(), None)?;
        let object = open.load().context("loading LPM_TRIE")?;
        let mut keys = Vec::with_capacity(prefixes.len() * 8);
        for prefix in prefixes {
            keys.extend(u32::from(prefix.prefix_len()).to_ne_bytes());
            keys.extend(prefix.network().octets());
        }
        bpf::fill(&bpf::map(&object, "list4")?, &keys, &vec![1; prefixes.len() * 4])?;
        Ok(Self { program: bpf::program(&object, "bench_lpm")?, _object: object })
    }

    /// The program.
    pub(crate) fn program(&self) -> BorrowedFd<'_> {
        self.program.as_fd()
    }
}
