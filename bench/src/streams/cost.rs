//! The same packets and pieces of streams, again and again: to a module in its guest, as a worker hands them to it, and to the
//! module's code built for this machine, in turns.

use std::{
    collections::HashMap,
    hint::black_box,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use etherparse::PacketBuilder;
use secuxflow::{
    alert::AlertQueue,
    inspect::{Inspector, Runner, SharedMemory},
    plane::{ChainConfig, FailPolicy, ModuleConfig},
};
use secuxflow_abi::{Chunk, Packet, chunk, flags, verdict};
use secuxflow_sdk::{Exports, harness::Harness};

use super::{Options, figure::CostFigure, load::Load, requests, subject::Subject};
use crate::{inspect, lab, rounds::Spread, wire::links::WORKER_CORE};

/// Distance of frames in memory, as in the UMEM.
const FRAME: usize = 4096;
/// Bytes of a full segment.
const SEGMENT: usize = 1448;
/// Bytes that a round takes through each side.
const ROUND: usize = 4_000_000;
/// MiB of the guest's heap.
const HEAP: usize = 512;
/// Bytes of the headers in front of a payload: Ethernet, IPv4, TCP.
const HEADERS: usize = 14 + 20 + 20;

/// Measure all modules with the bytes that they are for.
pub(super) fn measure(options: &Options) -> Result<Vec<CostFigure>> {
    // In a thread of its own: what is started later shall not inherit its core.
    std::thread::scope(|scope| {
        let measuring = scope.spawn(|| {
            lab::pin(WORKER_CORE)?;
            let mut figures = Vec::new();
            for load in [Load::KeepAlive, Load::Upload] {
                figures.extend(compare::<waf::WafModule>(Subject::Waf, load, options)?);
            }
            for count in [1_000, 10_000] {
                for load in [Load::KeepAlive, Load::BulkUp] {
                    figures.extend(compare::<ips::Ips>(Subject::Ips(count), load, options)?);
                }
            }
            Ok(figures)
        });
        measuring.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn compare<M: Exports>(subject: Subject, load: Load, options: &Options) -> Result<Option<CostFigure>> {
    let name = subject.name();
    if !options.who.is_empty() && !options.who.iter().any(|part| name.contains(part)) {
        return Ok(None);
    }
    eprintln!("in a guest and natively: {name}, {}", load.name());
    let folder = tempfile::tempdir().context("a folder for a module")?;
    let (path, config) = subject.module(&options.modules, folder.path())?.context("no module")?;
    let mut native = Harness::<M>::new(&config).map_err(anyhow::Error::msg).with_context(|| name.clone())?;
    let mut guest = Guest::new(path, config).with_context(|| name.clone())?;
    let traffic = Traffic::of(load)?;
    guest.take(&traffic)?;
    let (mut here, mut there) = (traffic.descriptors.clone(), traffic.descriptors.clone());
    let rounds = options.rounds.unwrap_or(if options.quick { 3 } else { 21 });
    let batches = if options.quick { 10 } else { ROUND / traffic.bytes };
    let mut times = [const { Vec::new() }; 2];
    for round in 0..=rounds {
        let first = time(batches, || {
            let raised = native.show(black_box(&mut here.packets), &here.chunks, &traffic.memory);
            here.advance();
            ensure!(raised == 0, "{raised} alerts natively: there is nothing to find in this traffic");
            Ok(())
        })?;
        let second = time(batches, || {
            guest.runner.run(0, 0, black_box(&mut there.packets), &there.chunks);
            there.advance();
            Ok(())
        })?;
        for descriptors in [&here, &there] {
            ensure!(descriptors.pass(), "{name}: it does not pass everything");
        }
        ensure!(guest.alerts.raised() == 0, "{name}: alerts in the guest: {:?}", guest.alerts.pop());
        if round > 0 {
            let kilobytes = (batches * traffic.bytes) as f64 / 1e3;
            for (times, time) in times.iter_mut().zip([first, second]) {
                times.push(time.as_secs_f64() * 1e9 / kilobytes);
            }
        }
    }
    let [native, guest] = times.map(Spread::of);
    Ok(Some(CostFigure { load, subject: name, native, guest }))
}

fn time(batches: usize, mut work: impl FnMut() -> Result<()>) -> Result<Duration> {
    let begin = Instant::now();
    (0..batches).try_for_each(|_| work())?;
    Ok(begin.elapsed())
}

/// A module in a worker's runner.
struct Guest {
    runner: Runner,
    memory: SharedMemory,
    alerts: Arc<AlertQueue>,
    _inspector: Inspector,
}

impl Guest {
    fn new(path: std::path::PathBuf, config: String) -> Result<Self> {
        let module = ModuleConfig {
            name: "module".to_owned(),
            path,
            code: None,
            on_failure: FailPolicy::Closed,
            deadline: Duration::from_secs(10),
            heap: HEAP << 20,
            max_failures: 1,
            config,
            revision: 0,
        };
        let chain = ChainConfig { name: "chain".to_owned(), modules: vec![module.name.as_str().into()] };
        let inspector = Inspector::new(&[module], &[chain], 1)?;
        let memory = SharedMemory::new(secuxflow_abi::MAX_BATCH * FRAME).context("memory for frames")?;
        let alerts = Arc::new(AlertQueue::new(64));
        let runner = inspector.runner(&memory.region(), Arc::clone(&alerts))?;
        Ok(Self { runner, memory, alerts, _inspector: inspector })
    }

    fn take(&mut self, traffic: &Traffic) -> Result<()> {
        self.memory.write(0, &traffic.memory).context("placing frames")
    }
}

/// Frames in memory, and what is said of them.
struct Traffic {
    memory: Vec<u8>,
    descriptors: Descriptors,
    /// Of applications, in one batch.
    bytes: usize,
}

/// A batch: one piece of a stream comes with each packet.
#[derive(Debug, Clone)]
struct Descriptors {
    packets: Vec<Packet>,
    chunks: Vec<Chunk>,
    /// Bytes that the stream of each piece has in a batch.
    steps: Vec<u64>,
}

impl Traffic {
    fn of(load: Load) -> Result<Self> {
        let mut traffic = Self {
            memory: Vec::new(),
            descriptors: Descriptors { packets: Vec::new(), chunks: Vec::new(), steps: Vec::new() },
            bytes: 0,
        };
        match load {
            Load::KeepAlive => {
                let (requests, response) = (requests::small(), requests::response(2048));
                for (flow, request) in (0..20).zip(&requests) {
                    traffic.send(flow, 80, false, request)?;
                    traffic.send(flow, 80, true, &response)?;
                }
            }
            Load::Upload => {
                traffic.send(0, 80, false, &requests::form(90_000))?;
                traffic.send(0, 80, true, &requests::response(200))?;
            }
            Load::BulkUp | Load::BulkDown => {
                let block = requests::block(64 * SEGMENT);
                for (number, segment) in (0u16..).zip(block.chunks(SEGMENT)) {
                    traffic.send(number % 4, 5001, load == Load::BulkDown, segment)?;
                }
            }
        }
        let mut sums: HashMap<(u64, u32), u64> = HashMap::new();
        let Descriptors { chunks, steps, packets } = &mut traffic.descriptors;
        for (chunk, packet) in chunks.iter_mut().zip(packets) {
            let sum = sums.entry((chunk.flow, chunk.flags)).or_default();
            chunk.offset = *sum;
            if *sum == 0 {
                (chunk.flags, packet.flags) = (chunk.flags | chunk::START, packet.flags | flags::FLOW_START);
            }
            *sum += u64::from(chunk.len);
        }
        *steps = chunks.iter().map(|chunk| sums[&(chunk.flow, chunk.flags & chunk::TO_CLIENT)]).collect();
        Ok(traffic)
    }

    /// Append bytes of one side of a connection, in full segments and what is left.
    fn send(&mut self, flow: u16, port: u16, to_client: bool, bytes: &[u8]) -> Result<()> {
        for payload in bytes.chunks(SEGMENT) {
            let ends = [([198, 18, 1, 2], 40_000 + flow), ([198, 18, 2, 2], port)];
            let [from, to] = if to_client { [ends[1], ends[0]] } else { ends };
            let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
                .ipv4(from.0, to.0, 64)
                .tcp(from.1, to.1, 1, 65_535)
                .ack(1);
            let mut frame = Vec::with_capacity(FRAME);
            builder.write(&mut frame, payload)?;
            let number = self.descriptors.packets.len();
            let mut packet = inspect::describe(number * FRAME, &frame)?;
            let place: Range<usize> = HEADERS..HEADERS + payload.len();
            ensure!(usize::from(packet.payload) == place.start, "a payload that does not begin where it was put");
            packet.flow = u64::from(flow) + 1;
            packet.flags = flags::ESTABLISHED | if to_client { flags::TO_CLIENT } else { 0 };
            self.descriptors.chunks.push(Chunk {
                flow: packet.flow,
                offset: 0,
                data: packet.frame + u32::from(packet.payload),
                len: u32::try_from(payload.len())?,
                packet: u32::try_from(number)?,
                flags: if to_client { chunk::TO_CLIENT } else { 0 },
            });
            self.descriptors.packets.push(packet);
            frame.resize(FRAME, 0);
            self.memory.extend(frame);
            self.bytes += payload.len();
        }
        Ok(())
    }
}

impl Descriptors {
    /// To the next bytes of the same streams.
    fn advance(&mut self) {
        for (chunk, step) in self.chunks.iter_mut().zip(&self.steps) {
            chunk.offset += step;
            chunk.flags &= !chunk::START;
        }
        for packet in &mut self.packets {
            packet.flags &= !flags::FLOW_START;
        }
    }

    fn pass(&self) -> bool {
        self.packets.iter().all(|packet| packet.verdict == verdict::PASS)
    }
}
