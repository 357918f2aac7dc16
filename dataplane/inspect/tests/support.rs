//! Guests in text, packets, and a bench that runs them.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use secuxflow_abi::{Chunk, Packet, WINDOW, verdict};

use crate::{
    alert::{AlertEvent, AlertQueue},
    flow::Ask,
    inspect::{InspectError, Inspector, Runner, SharedMemory},
    plane::{ChainConfig, FailPolicy, ModuleConfig, ModuleStatus},
    wire::{self, Fragment, Frame},
};

/// The time that guests are told.
pub(super) const NOW: u64 = 1234;

/// Distance of frames in the stand-in UMEM.
const FRAME: usize = 4096;

/// A guest of which only `sxf_inspect` matters. `$p` is the batch, `$n` its length.
pub(super) fn guest(inspect: &str) -> String {
    exporting(&inspecting(inspect))
}

/// The export `sxf_inspect`.
pub(super) fn inspecting(body: &str) -> String {
    format!(r#"(func (export "sxf_inspect") (param $p i32) (param $n i32) (result i32) {body} (i32.const 0))"#)
}

/// The export `sxf_stream`. `$c` is the chunks, `$m` their number.
pub(super) fn streaming(body: &str) -> String {
    format!(
        r#"(func (export "sxf_stream") (param $p i32) (param $n i32) (param $c i32) (param $m i32) (result i32)
          {body} (i32.const 0))"#
    )
}

/// `body` for each chunk `$c` of a call.
pub(super) fn each_chunk(body: &str) -> String {
    streaming(&format!(
        "(loop $l {body}
           (local.set $c (i32.add (local.get $c) (i32.const 32)))
           (local.set $m (i32.sub (local.get $m) (i32.const 1))) (br_if $l (local.get $m)))"
    ))
}

/// What every guest has, before the exports that matter.
const HEAD: &str = include_str!("../../../tests/guest_head.wat");

/// A guest with these exports.
pub(super) fn exporting(functions: &str) -> String {
    format!(
        r#"{HEAD}
  (data (i32.const 16) "seen")
  (func (export "sxf_init") (param i32 i32) (result i32) (i32.const 0))
  {functions})"#
    )
}

/// A module's configuration around a file with `text`; the file lives as long as the second value.
pub(super) fn module(name: &str, text: &str) -> (ModuleConfig, tempfile::NamedTempFile) {
    let mut file = tempfile::Builder::new().suffix(".wat").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    (config(name, file.path()), file)
}

pub(super) fn config(name: &str, path: &Path) -> ModuleConfig {
    ModuleConfig {
        name: name.to_owned(),
        path: path.to_owned(),
        code: None,
        on_failure: FailPolicy::Closed,
        deadline: Duration::from_millis(20),
        heap: 1 << 20,
        max_failures: 3,
        config: String::new(),
        revision: 0,
    }
}

/// A module that scripts/compile_wasm.sh built.
pub(super) fn built(file: &str, json: &str) -> ModuleConfig {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/wasm").join(file);
    assert!(path.exists(), "{} is missing: run scripts/compile_wasm.sh", path.display());
    ModuleConfig { config: json.to_owned(), heap: 16 << 20, ..config("module", &path) }
}

pub(super) fn chain(modules: &[ModuleConfig]) -> ChainConfig {
    ChainConfig { name: "chain".into(), modules: modules.iter().map(|module| module.name.as_str().into()).collect() }
}

/// One worker with one chain over all modules, and its packet memory.
pub(super) struct Bench {
    pub(super) runner: Runner,
    pub(super) inspector: Inspector,
    pub(super) alerts: Arc<AlertQueue>,
    memory: SharedMemory,
}

impl Bench {
    pub(super) fn new(modules: &[ModuleConfig]) -> Self {
        Self::try_new(modules).unwrap()
    }

    pub(super) fn try_new(modules: &[ModuleConfig]) -> Result<Self, InspectError> {
        Self::of_chains(modules, &[chain(modules)])
    }

    pub(super) fn of_chains(modules: &[ModuleConfig], chains: &[ChainConfig]) -> Result<Self, InspectError> {
        let inspector = Inspector::with_room(modules, chains, 1, 4)?;
        let memory = SharedMemory::new(64 * FRAME).unwrap();
        let alerts = Arc::new(AlertQueue::new(1024));
        let runner = inspector.runner(&memory.region(), Arc::clone(&alerts))?;
        Ok(Self { runner, inspector, alerts, memory })
    }

    /// The frames' verdicts: true for pass.
    pub(super) fn run(&mut self, frames: &[Vec<u8>]) -> Vec<bool> {
        self.run_chain(0, frames)
    }

    /// The same, of a chain by its number.
    pub(super) fn run_chain(&mut self, chain: u16, frames: &[Vec<u8>]) -> Vec<bool> {
        let mut packets: Vec<_> = frames
            .iter()
            .enumerate()
            .map(|(i, frame)| {
                self.memory.write(i * FRAME, frame).unwrap();
                packet(i * FRAME, frame)
            })
            .collect();
        self.runner.run(0, chain, &mut packets, &[]);
        packets
            .iter()
            .map(|packet| match packet.verdict {
                verdict::PASS => true,
                verdict::DROP | verdict::REJECT => false,
                other => panic!("verdict {other}"),
            })
            .collect()
    }

    /// Frames with their flows and the chunks that come with them; the frames' verdicts.
    pub(super) fn stream(&mut self, frames: &[(u64, Vec<u8>)], chunks: &[Chunk]) -> Vec<u32> {
        let mut packets = self.place(frames);
        self.runner.run(NOW, 0, &mut packets, chunks);
        packets.iter().map(|packet| packet.verdict).collect()
    }

    fn place(&mut self, frames: &[(u64, Vec<u8>)]) -> Vec<Packet> {
        let place = |(i, (flow, frame)): (usize, &(u64, Vec<u8>))| {
            self.memory.write(i * FRAME, frame).unwrap();
            Packet { flow: *flow, ..packet(i * FRAME, frame) }
        };
        frames.iter().enumerate().map(place).collect()
    }

    /// As [`stream`](Self::stream), `times` over; how many allocations the runner makes meanwhile.
    pub(super) fn stream_allocations(&mut self, frames: &[(u64, Vec<u8>)], chunks: &[Chunk], times: usize) -> u64 {
        let mut packets = self.place(frames);
        crate::counting::allocations(|| {
            for _ in 0..times {
                packets.iter_mut().for_each(|packet| packet.verdict = verdict::PASS);
                self.runner.run(NOW, 0, &mut packets, chunks);
                while self.alerts.pop().is_some() {}
            }
        })
    }

    /// The same frames `times` over, written and described before; how many allocations the runner makes meanwhile.
    pub(super) fn allocations(&mut self, frames: &[Vec<u8>], times: usize) -> u64 {
        let place = |(i, frame): (usize, &Vec<u8>)| {
            self.memory.write(i * FRAME, frame).unwrap();
            packet(i * FRAME, frame)
        };
        let mut packets: Vec<_> = frames.iter().enumerate().map(place).collect();
        crate::counting::allocations(|| {
            for _ in 0..times {
                packets.iter_mut().for_each(|packet| packet.verdict = verdict::PASS);
                self.runner.run(0, 0, &mut packets, &[]);
                while self.alerts.pop().is_some() {}
            }
        })
    }

    /// Go on with these modules and chains, as a worker does.
    pub(super) fn change(&mut self, modules: &[ModuleConfig], chains: &[ChainConfig]) -> Result<(), InspectError> {
        let loadout = self.inspector.prepare(modules, chains)?;
        let mut next = self.inspector.successor(&loadout, &self.memory.region(), Arc::clone(&self.alerts))?;
        next.take_over(&mut self.runner);
        self.runner = next;
        self.inspector.commit(loadout);
        Ok(())
    }

    /// What was asked for in the last run: packet, step, steps, wish, seconds.
    pub(super) fn asked(&self) -> Vec<(u16, u8, u8, Ask, u32)> {
        self.runner.asked().iter().map(|a| (a.packet, a.step, a.steps, a.ask, a.seconds)).collect()
    }

    /// Verdict on one frame and the signatures raised.
    pub(super) fn one(&mut self, frame: &[u8]) -> (bool, Vec<u32>) {
        let pass = self.run(&[frame.to_vec()])[0];
        (pass, self.raised().iter().map(|alert| alert.signature).collect())
    }

    pub(super) fn raised(&self) -> Vec<AlertEvent> {
        std::iter::from_fn(|| self.alerts.pop()).collect()
    }

    pub(super) fn status(&self) -> ModuleStatus {
        self.inspector.status().remove(0)
    }

    /// Failures of the first module by kind.
    pub(super) fn failures(&self, kind: &str) -> u64 {
        self.status().failures.iter().find(|failure| failure.name == kind).unwrap().value
    }
}

/// The chunk that the payload of packet `number`, a frame of [`tcp`] as [`Bench::stream`] places it, is at `offset`.
pub(super) fn piece(number: usize, frames: &[(u64, Vec<u8>)], offset: u64, flags: u32) -> Chunk {
    let (flow, frame) = &frames[number];
    let described = packet(number * FRAME, frame);
    Chunk {
        flow: *flow,
        offset,
        data: described.frame + u32::from(described.payload),
        len: described.payload_len.into(),
        packet: u32::try_from(number).unwrap(),
        flags,
    }
}

/// The descriptor that a worker makes of a frame.
pub(super) fn packet(offset: usize, frame: &[u8]) -> Packet {
    let (Frame::Ip(h) | Frame::Undecidable(_, Some(h))) = wire::parse(frame) else { panic!("no IP packet") };
    Packet {
        flow: 7,
        frame: WINDOW + u32::try_from(offset).unwrap(),
        len: u32::try_from(frame.len()).unwrap(),
        l3: h.l3,
        l4: h.l4,
        payload: h.payload,
        payload_len: h.payload_len,
        ethertype: h.ethertype(),
        src_port: h.src_port,
        dst_port: h.dst_port,
        protocol: h.protocol,
        tcp_flags: h.tcp_flags,
        flags: if h.fragment == Fragment::Later { 3 } else { 0 },
        rule: 5,
        ingress: 0,
        verdict: verdict::PASS,
        reserved: [0; 4],
    }
}

fn ipv4(protocol: u8, transport: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00];
    let total = u16::try_from(20 + transport.len()).unwrap().to_be_bytes();
    frame.extend([0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend(transport);
    frame
}

pub(super) fn tcp(port: u16, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut segment = vec![0x9c, 0x40];
    segment.extend(port.to_be_bytes());
    segment.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(payload);
    ipv4(6, &segment)
}

pub(super) fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0x9c, 0x40];
    datagram.extend(port.to_be_bytes());
    datagram.extend(u16::try_from(8 + payload.len()).unwrap().to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    ipv4(17, &datagram)
}
