//! The programs of `bench/bpf/path.bpf.c`, loaded and attached.

use anyhow::{Context, Result};
use libbpf_rs::{Link, MapCore, MapFlags, MapHandle, Object};

use super::frames::CAPACITY;
use crate::bpf;

/// The object file.
const OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/path.bpf.o"));

pub(crate) const GENERATE: &str = "bench_generate";
const SINK: &str = "bench_sink";

/// A program that is a forwarder, or part of one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Program {
    /// Sends everything out of the device with this index.
    Redirect(u32),
    /// Drops everything.
    Drop,
    /// Passes everything to the kernel: makes a veth take frames from the generator.
    Pass,
}

/// A loaded object with one of its programs attached in native mode.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) object: Object,
    _link: Link,
}

impl Attached {
    /// One of the forwarders, on `ifindex`.
    pub(crate) fn forwarder(program: Program, ifindex: i32) -> Result<Self> {
        let (name, out) = match program {
            Program::Redirect(out) => ("bench_redirect", Some(out)),
            Program::Drop => ("bench_drop", None),
            Program::Pass => ("bench_pass", None),
        };
        let attached = Self::new(name, 1, ifindex)?;
        if let Some(out) = out {
            let map = bpf::map(&attached.object, "out")?;
            map.update(&0_u32.to_ne_bytes(), &out.to_ne_bytes(), MapFlags::ANY).context("naming the way out")?;
        }
        Ok(attached)
    }

    /// The sink, on `ifindex`.
    pub(super) fn sink(ifindex: i32) -> Result<Self> {
        Self::new(SINK, 1, ifindex)
    }

    /// The generator, on a device that receives nothing: it is only run. Attached it has to be somewhere, for the kernel
    /// waits for a grace period before every test run of a program that is not.
    pub(super) fn generator(spare: i32) -> Result<Self> {
        Self::new(GENERATE, CAPACITY, spare)
    }

    fn new(name: &str, templates: usize, ifindex: i32) -> Result<Self> {
        let mut open = bpf::open(OBJECT, "bench_path")?;
        bpf::size(&mut open, "templates", templates, None)?;
        let object = open.load().context("loading the programs of the path")?;
        let link = {
            let program = object.progs_mut().find(|program| program.name() == name);
            let program = program.with_context(|| format!("no program {name}"))?;
            program.attach_xdp(ifindex).with_context(|| format!("attaching {name}"))?
        };
        Ok(Self { object, _link: link })
    }

    /// The generator's state, or the sink's.
    pub(super) fn walk(&self) -> Result<MapHandle> {
        bpf::map(&self.object, ".bss")
    }
}

/// As `walk` in path.bpf.c has it: the next number, the next template and their count, the bits of numbers that are not
/// timed, the run.
pub(super) fn walk(count: u32, untimed: u32, run: u16) -> Vec<u8> {
    let words = [0, 0, 0, count, untimed, u32::from(run)];
    words.map(u32::to_ne_bytes).concat()
}
