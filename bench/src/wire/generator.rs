//! The generator: an XDP program that is run on frames of its own, which leave by a veth as fast as wanted.
//!
//! `BPF_PROG_RUN` with live frames hands pages to the device that the program is said to have received them from. One call
//! costs about 15 µs and its frames about 0.1 µs each.

use std::{
    hint,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use libbpf_rs::{MapCore, MapFlags, MapHandle, ProgramInput, libbpf_sys};

use super::{
    frames::{Frames, HEAD},
    programs::{Attached, GENERATE, walk},
};
use crate::bpf;

/// Frames of a call when there is no pace.
const BURST: u32 = 1024;
/// Bursts of a paced run that follow one another in this time.
const INTERVAL: Duration = Duration::from_micros(100);
/// Most frames of a paced burst: as many as a veth's ring has room for.
const LARGEST_BURST: u32 = 256;
/// What a run that was held up makes up for; the rest of the time is given up.
const PATIENCE: Duration = Duration::from_millis(1);

/// How fast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pace {
    /// As fast as possible; one frame of 64 is timed.
    Flood,
    /// Frames a second, in bursts every 100 µs; all are timed.
    Rate(f64),
}

/// What a run sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) frames: u64,
    pub(crate) time: Duration,
    /// Time that the schedule was moved because the generator itself was held up.
    pub(crate) given_up: Duration,
}

/// The loaded generator.
#[derive(Debug)]
pub(crate) struct Generator {
    program: Attached,
    device: u32,
    longest: Vec<u8>,
    count: u32,
}

impl Generator {
    /// One that sends by the device with index `device`, attached to `spare`.
    pub(crate) fn load(device: u32, spare: i32) -> Result<Self> {
        Ok(Self { program: Attached::generator(spare)?, device, longest: Vec::new(), count: 0 })
    }

    /// Take over what to send.
    pub(crate) fn aim(&mut self, frames: &Frames) -> Result<()> {
        let mut values = Vec::with_capacity(frames.templates.len() * (HEAD + 8));
        for template in &frames.templates {
            values.extend(template.head);
            for length in [template.length, frames.longest.len() - template.length] {
                values.extend(u32::try_from(length)?.to_ne_bytes());
            }
        }
        bpf::fill_array(&bpf::map(&self.program.object, "templates")?, 0, &values)?;
        self.longest.clone_from(&frames.longest);
        self.count = u32::try_from(frames.templates.len())?;
        self.begin(&self.program.walk()?, 0, 1)
    }

    fn begin(&self, state: &MapHandle, untimed: u32, run: u16) -> Result<()> {
        state.update(&0_u32.to_ne_bytes(), &walk(self.count, untimed, run), MapFlags::ANY).context("setting the run")
    }

    /// Send for some time, as number `run`.
    pub(crate) fn run(&self, pace: Pace, time: Duration, run: u16) -> Result<Sent> {
        let untimed = if pace == Pace::Flood { 63 } else { 0 };
        let state = self.program.walk()?;
        self.begin(&state, untimed, run)?;
        let begin = Instant::now();
        let given_up = match pace {
            Pace::Flood => {
                while begin.elapsed() < time {
                    self.send(BURST)?;
                }
                Duration::ZERO
            }
            Pace::Rate(rate) => self.paced(rate, time, begin)?,
        };
        let time = begin.elapsed();
        let value = state.lookup(&0_u32.to_ne_bytes(), MapFlags::ANY)?.context("no state")?;
        let frames = u64::from_ne_bytes(*value.first_chunk().context("a short state")?);
        Ok(Sent { frames, time, given_up })
    }

    /// Bursts at equal distances, waited for by looking at the clock. One that was held up is sent at once; when the
    /// generator falls behind for longer, the others move back, for a flood in their place would be another load.
    fn paced(&self, rate: f64, time: Duration, begin: Instant) -> Result<Duration> {
        let burst = (rate * INTERVAL.as_secs_f64()).round().clamp(1.0, f64::from(LARGEST_BURST));
        let distance = Duration::from_secs_f64(burst / rate);
        let (mut due, mut given_up) = (begin, Duration::ZERO);
        while due.duration_since(begin) < time {
            let late = loop {
                let now = Instant::now();
                if now >= due {
                    break now - due;
                }
                hint::spin_loop();
            };
            if late > PATIENCE {
                due += late;
                given_up += late;
            }
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 256")]
            self.send(burst as u32)?;
            due += distance;
        }
        Ok(given_up)
    }

    fn send(&self, frames: u32) -> Result<()> {
        let length = u32::try_from(self.longest.len())?;
        ensure!(length > 0, "the generator has no frames");
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let mut context = [0, length, 0, self.device, 0, 0].map(u32::to_ne_bytes).concat();
        let input = ProgramInput {
            context_in: Some(&mut context),
            data_in: Some(&self.longest),
            repeat: frames,
            flags: libbpf_sys::BPF_F_TEST_XDP_LIVE_FRAMES,
            ..Default::default()
        };
        let program = self.program.object.progs_mut().find(|program| program.name() == GENERATE);
        program.context("no generator")?.test_run(input).context("sending frames (Linux 5.18 is needed)")?;
        Ok(())
    }

    /// The next frame, made in a buffer as long as the longest, which keeps it as pages of live frames do; for tests.
    #[cfg(test)]
    pub(super) fn sample(&self, buffer: &mut [u8]) -> usize {
        let mut out = vec![0; buffer.len()];
        let program = self.program.object.progs_mut().find(|program| program.name() == GENERATE).unwrap();
        let input = ProgramInput { data_in: Some(buffer), data_out: Some(&mut out), repeat: 1, ..Default::default() };
        let length = program.test_run(input).unwrap().data.unwrap().len();
        buffer[..length].copy_from_slice(&out[..length]);
        length
    }
}
