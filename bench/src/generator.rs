//! Distinct packets for a program under test: a program that writes the next one and tail-calls it.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result, bail, ensure};
use libbpf_rs::{Link, MapCore, MapFlags, MapHandle, Object, ProgramInput};

use crate::bpf;

/// The generator's object file.
const OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/generator.bpf.o"));
/// Packets that fit, all walks together: 16 MiB.
const CAPACITY: usize = 1 << 18;
/// Length of every packet, whatever it says in its headers.
const FRAME: usize = 96;
/// Which bytes of a frame a template has; the others are zeros.
const TEMPLATE: std::ops::Range<usize> = 8..72;
const XDP_ABORTED: u32 = 0;

/// Packets in the generator: a power of two of them, gone through in turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walk {
    first: u32,
    count: u32,
}

impl Walk {
    /// Packets.
    pub(crate) fn count(self) -> u32 {
        self.count
    }
}

/// The loaded generator.
#[derive(Debug)]
pub(crate) struct Generator {
    object: Object,
    templates: MapHandle,
    target: MapHandle,
    walk: MapHandle,
    base: OwnedFd,
    /// Keeps it attached: the kernel waits for a grace period before every test run of a program that is not.
    _link: Link,
    used: u32,
}

impl Generator {
    /// Load it, and attach it to `ifindex` in native mode.
    pub(crate) fn load(ifindex: i32) -> Result<Self> {
        let mut open = bpf::open(OBJECT, "bench_generator")?;
        bpf::size(&mut open, "templates", CAPACITY, None)?;
        let object = open.load().context("loading the generator")?;
        let link = {
            let program = object.progs_mut().find(|program| program.name() == "bench_generator");
            program.context("no program bench_generator")?.attach_xdp(ifindex).context("attaching the generator")?
        };
        Ok(Self {
            templates: bpf::map(&object, "templates")?,
            target: bpf::map(&object, "target")?,
            walk: bpf::map(&object, ".bss")?,
            base: bpf::program(&object, "bench_base")?,
            _link: link,
            object,
            used: 0,
        })
    }

    /// The program that only returns.
    pub(crate) fn base(&self) -> BorrowedFd<'_> {
        self.base.as_fd()
    }

    /// Forget all walks.
    pub(crate) fn clear(&mut self) {
        self.used = 0;
    }

    /// Take in packets. Their length in the test is always the same, so headers have to fit into it.
    pub(crate) fn store(&mut self, frames: &[Vec<u8>]) -> Result<Walk> {
        let count = u32::try_from(frames.len())?;
        ensure!(count.is_power_of_two(), "{count} packets: a power of two is needed");
        ensure!(self.used as usize + frames.len() <= CAPACITY, "at most {CAPACITY} packets fit");
        let mut bytes = Vec::with_capacity(frames.len() * TEMPLATE.len());
        for frame in frames {
            let mut whole = [0; FRAME];
            let Some(part) = whole.get_mut(..frame.len()) else {
                bail!("a packet of {} bytes: at most {FRAME} fit", frame.len());
            };
            part.copy_from_slice(frame);
            ensure!(whole[TEMPLATE.end..].iter().all(|byte| *byte == 0), "a packet with headers behind byte 72");
            bytes.extend(&whole[TEMPLATE]);
        }
        bpf::fill_array(&self.templates, self.used, &bytes)?;
        let walk = Walk { first: self.used, count };
        self.used += count;
        Ok(walk)
    }

    /// Run `program` on the packets of `walk` from the first on, `repeat` times altogether. The answer is the mean of a
    /// run in nanoseconds, the generator's part included, as the kernel tells it: cut to whole ones.
    pub(crate) fn run(&self, program: BorrowedFd<'_>, walk: Walk, repeat: u32) -> Result<u32> {
        self.aim(program, walk)?;
        let (duration, action) = self.test_run(repeat)?;
        ensure!(action != XDP_ABORTED, "the program under test aborted, or the kernel did not jump to it");
        Ok(duration)
    }

    /// The `XDP_*` action of `program` for each packet of `walk`.
    pub(crate) fn actions(&self, program: BorrowedFd<'_>, walk: Walk) -> Result<Vec<u32>> {
        self.aim(program, walk)?;
        (0..walk.count).map(|_| Ok(self.test_run(1)?.1)).collect()
    }

    fn aim(&self, program: BorrowedFd<'_>, walk: Walk) -> Result<()> {
        let slot = 0_u32.to_ne_bytes();
        let refused = "the kernel does not let the generator tail-call this program";
        self.target.update(&slot, &program.as_raw_fd().to_ne_bytes(), MapFlags::ANY).context(refused)?;
        let state = [0, walk.count - 1, walk.first].map(u32::to_ne_bytes).concat();
        self.walk.update(&slot, &state, MapFlags::ANY).context("setting the generator's walk")
    }

    fn test_run(&self, repeat: u32) -> Result<(u32, u32)> {
        let program = self.object.progs_mut().find(|program| program.name() == "bench_generator");
        let input = ProgramInput { data_in: Some(&[0; FRAME]), repeat, ..Default::default() };
        let output = program.context("no program bench_generator")?.test_run(input).context("a test run")?;
        Ok((u32::try_from(output.duration.as_nanos())?, output.return_value))
    }
}
