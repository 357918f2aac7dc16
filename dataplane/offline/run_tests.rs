//! Captures through rules, flow table and modules.

use std::{convert::Infallible, io::Write as _, path::PathBuf, sync::Arc, time::Duration};

use ipnet::IpNet;

use super::{
    CaptureReader, Captured, Fate, Happened, LinkType, PacketReport, Replay, ReplayError, ReplayOptions, Totals,
    testing::pcap,
};
use crate::{
    alert::AlertEvent,
    inspect::Loader,
    plane::{ChainConfig, FailPolicy, FlowConfig, ModuleConfig},
    process::DropReason,
    rules::{Action, Matcher, PortRange, Protocol, Rule, RuleId, Ruleset},
    stream::StreamConfig,
    wire::testing,
};

const SECOND: u64 = 1_000_000_000;

/// A module that drops TCP payloads beginning with `!`, alerts on those with `?`, and asks for what others say: `c` to
/// clear and `k` to condemn the flow, `b` to block the source for 10 seconds.
const GUEST: &str = concat!(
    include_str!("../../tests/guest_head.wat"),
    r#"  (data (i32.const 16) "seen")
  (func (export "sxf_init") (param i32 i32) (result i32) (i32.const 0))
  (func (export "sxf_inspect") (param $p i32) (param $n i32) (result i32) (local $i i32) (local $byte i32)
    (block $done (loop $next
      (br_if $done (i32.eq (local.get $i) (local.get $n)))
      (local.set $byte (i32.const 0))
      (if (i32.load16_u offset=22 (local.get $p))
        (then (local.set $byte (i32.load8_u
          (i32.add (i32.load offset=8 (local.get $p)) (i32.load16_u offset=20 (local.get $p)))))))
      (if (i32.eq (local.get $byte) (i32.const 33))
        (then (i32.store offset=44 (local.get $p) (i32.const 1))))
      (if (i32.or (i32.eq (local.get $byte) (i32.const 33)) (i32.eq (local.get $byte) (i32.const 63)))
        (then (call $alert (local.get $i) (i32.const 2) (local.get $byte) (i32.const 16) (i32.const 4))))
      (if (i32.eq (local.get $byte) (i32.const 99)) (then (call $clear (local.get $i) (i32.const 10))))
      (if (i32.eq (local.get $byte) (i32.const 107)) (then (call $condemn (local.get $i) (i32.const 10))))
      (if (i32.eq (local.get $byte) (i32.const 98)) (then (call $block (local.get $i) (i32.const 10))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (local.set $p (i32.add (local.get $p) (i32.const 64)))
      (br $next)))
    (i32.const 0)))"#
);

fn module(path: PathBuf) -> ModuleConfig {
    ModuleConfig {
        name: "guest".into(),
        path,
        code: None,
        on_failure: FailPolicy::Closed,
        deadline: Duration::from_secs(1),
        heap: 1 << 20,
        max_failures: 3,
        config: String::new(),
        revision: 0,
    }
}

fn options(rules: Ruleset, modules: Vec<ModuleConfig>) -> ReplayOptions {
    let chain =
        ChainConfig { name: "default".into(), modules: modules.iter().map(|m| m.name.as_str().into()).collect() };
    ReplayOptions {
        rules,
        modules,
        chains: vec![chain],
        fail_policy: FailPolicy::Open,
        monitor: false,
        flows: FlowConfig::default(),
        streams: StreamConfig::default(),
        batch: 1,
    }
}

fn inspect_all() -> Ruleset {
    Ruleset::new(Vec::new(), Action::Inspect { chain: "default".into() })
}

/// What a replay told.
#[derive(Debug, Default)]
struct Told {
    packets: Vec<PacketReport>,
    alerts: Vec<(Option<u64>, AlertEvent)>,
    totals: Totals,
}

impl Told {
    fn fates(&self) -> Vec<Fate> {
        self.packets.iter().map(|packet| packet.fate).collect()
    }

    /// Alerts without their texts: number, time, signature, flow number.
    fn raised(&self) -> Vec<(Option<u64>, u64, u32, Option<u64>)> {
        let of = |(number, event): &(Option<u64>, AlertEvent)| {
            (*number, event.time_ns, event.signature, event.flow.map(|flow| flow.id))
        };
        self.alerts.iter().map(of).collect()
    }
}

/// Run packets, each with its time and link type.
fn run(options: ReplayOptions, packets: &[(u64, LinkType, Vec<u8>)]) -> Told {
    run_in(Replay::new(options).unwrap(), packets)
}

fn run_in(mut replay: Replay, packets: &[(u64, LinkType, Vec<u8>)]) -> Told {
    let mut told = Told::default();
    let mut tell = |happened: Happened<'_>| {
        match happened {
            Happened::Alert { number, event } => told.alerts.push((number, event.clone())),
            Happened::Packet(packet) => told.packets.push(*packet),
        }
        Ok::<(), Infallible>(())
    };
    for (number, (time_ns, link, data)) in (1..).zip(packets) {
        let original_len = u32::try_from(data.len()).unwrap();
        let captured = Captured { number, time_ns: *time_ns, link: *link, data, original_len };
        replay.push(&captured, &mut tell).unwrap();
    }
    replay.flush(&mut tell).unwrap();
    told.totals = replay.totals().clone();
    told
}

/// A TCP segment from 192.0.2.`host` with a payload.
fn segment(host: u8, sport: u16, port: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = testing::tcp4([192, 0, 2, host], [10, 0, 0, 1], sport, port);
    frame.truncate(14 + 40);
    frame[14 + 20 + 13] = 16;
    frame.extend(payload);
    let total = u16::try_from(frame.len() - 14).unwrap();
    frame[16..18].copy_from_slice(&total.to_be_bytes());
    frame
}

fn at(seconds: u64, frame: Vec<u8>) -> (u64, LinkType, Vec<u8>) {
    (seconds * SECOND, LinkType::ETHERNET, frame)
}

struct Guest {
    file: tempfile::NamedTempFile,
}

impl Guest {
    fn new() -> Self {
        let mut file = tempfile::Builder::new().suffix(".wat").tempfile().unwrap();
        file.write_all(GUEST.as_bytes()).unwrap();
        Self { file }
    }

    fn modules(&self) -> Vec<ModuleConfig> {
        vec![module(self.file.path().to_owned())]
    }
}

const MODULE: Fate = Fate::WorkerDrop(DropReason::Module);

#[test]
fn rules_decide_as_in_the_kernel_and_chains_as_in_a_worker() {
    let guest = Guest::new();
    let port = |port| Some(PortRange { first: port, last: port }.into());
    let tcp = |to| Matcher { port: port(to), proto: Some(Protocol::TCP), ..Matcher::default() };
    let rules = vec![
        Rule::new(RuleId(1), tcp(80), Action::Inspect { chain: "default".into() }),
        Rule::new(RuleId(2), tcp(22), Action::Drop),
        Rule { monitor: true, ..Rule::new(RuleId(3), tcp(23), Action::Drop) },
    ];
    let told = run(
        options(Ruleset::new(rules, Action::Pass), guest.modules()),
        &[
            at(1, segment(1, 1000, 80, b"fine")),
            at(2, segment(1, 1000, 80, b"!bad")),
            at(3, segment(1, 1001, 22, b"!unseen")),
            at(4, segment(1, 1002, 23, b"!unseen")),
            at(5, segment(1, 1003, 99, b"!unseen")),
            at(6, testing::vlan(&segment(1, 1000, 80, b"?"), 0x8100)),
            at(7, vec![0xff; 60]),
            at(8, vec![0; 3]),
            (9 * SECOND, LinkType::NULL, vec![2, 0]),
        ],
    );
    let expected = [
        Fate::ChainPass,
        MODULE,
        Fate::RuleDrop,
        Fate::RulePass,
        Fate::RulePass,
        Fate::ChainPass,
        Fate::NotIp,
        Fate::WorkerDrop(DropReason::Malformed),
        Fate::NoLink,
    ];
    assert_eq!(told.fates(), expected);
    let rules: Vec<_> = told.packets.iter().map(|packet| packet.rule.map(|rule| rule.0)).collect();
    assert_eq!(rules, [Some(1), Some(1), Some(2), None, None, Some(1), None, None, None]);
    let flow = told.raised()[0].3;
    assert!(flow.is_some());
    assert_eq!(told.raised(), [(Some(2), 2 * SECOND, 33, flow), (Some(6), 6 * SECOND, 63, flow)]);
    let totals = &told.totals;
    assert_eq!((totals.packets.packets, totals.dropped.packets, totals.alerts), (9, 3, 2));
    assert_eq!((totals.not_ip, totals.no_link, totals.undecidable, totals.cut), (1, 1, 1, 0));
    let tally = |rule: u32| totals.rules[&Some(RuleId(rule))];
    assert_eq!((tally(1).matched.packets, tally(1).dropped.packets), (3, 1));
    assert_eq!((tally(2).dropped.packets, tally(3).monitored), (1, 1));
    assert_eq!((totals.chains[0].packets.packets, totals.chains[0].dropped.packets), (4, 2));
    assert_eq!(totals.span, Some((SECOND, 9 * SECOND)));
}

#[test]
fn what_modules_decide_of_flows_and_sources_holds_in_the_captures_time() {
    let guest = Guest::new();
    let told = run(
        options(inspect_all(), guest.modules()),
        &[
            at(1, segment(1, 1000, 80, b"clear")),
            at(2, segment(1, 1000, 80, b"!unseen")),
            at(12, segment(1, 1000, 80, b"!seen again")),
            at(13, segment(2, 1000, 80, b"kill")),
            at(14, segment(2, 1000, 80, b"fine")),
            at(14, segment(2, 1001, 80, b"fine")),
            at(15, segment(3, 1000, 80, b"block")),
            at(16, segment(3, 2000, 22, b"fine")),
            at(26, segment(3, 2000, 22, b"fine")),
        ],
    );
    let condemned = Fate::WorkerDrop(DropReason::Condemned);
    let pass = Fate::ChainPass;
    assert_eq!(told.fates(), [pass, pass, MODULE, pass, condemned, pass, pass, Fate::SourceBlocked, pass]);
    assert_eq!((told.totals.cleared, told.totals.causes["source_blocked"]), (1, 1));
}

#[test]
fn time_never_goes_back_for_flows_but_alerts_tell_the_packets_own() {
    let guest = Guest::new();
    let told = run(
        options(inspect_all(), guest.modules()),
        &[
            at(100, segment(1, 1000, 80, b"kill")),
            at(50, segment(1, 1000, 80, b"fine")),
            at(51, segment(2, 1000, 80, b"?")),
            (0, LinkType::ETHERNET, segment(2, 1000, 80, b"?")),
        ],
    );
    assert_eq!(told.fates()[1], Fate::WorkerDrop(DropReason::Condemned));
    assert_eq!(told.raised().iter().map(|raised| raised.1).collect::<Vec<_>>(), [51 * SECOND, 0]);
}

#[test]
fn replays_that_share_a_loader_know_nothing_of_one_another() {
    let guest = Guest::new();
    let options = || options(inspect_all(), guest.modules());
    let loader = Arc::new(Loader::new(2 * Replay::instances(1), 1).unwrap());
    let traffic = [at(1, segment(1, 1000, 80, b"!bad")), at(2, segment(1, 1000, 80, b"kept"))];
    let (mut first, second) = (Told::default(), Replay::with_loader(&loader, options()).unwrap());
    for _ in 0..2 {
        let told = run_in(Replay::with_loader(&loader, options()).unwrap(), &traffic);
        assert_eq!(told.fates(), run(options(), &traffic).fates());
        if !first.packets.is_empty() {
            assert_eq!(told.raised(), first.raised());
        }
        first = told;
    }
    assert_eq!(run_in(second, &traffic).raised(), first.raised());
}

#[test]
fn monitor_mode_passes_and_counts() {
    let guest = Guest::new();
    let monitor = ReplayOptions { monitor: true, ..options(inspect_all(), guest.modules()) };
    let told = run(monitor, &[at(1, segment(1, 1000, 80, b"!bad"))]);
    assert_eq!((told.fates(), told.totals.monitored), (vec![Fate::ChainPass], 1));
    assert_eq!(told.alerts[0].1.verdict, crate::alert::Verdict::Pass);
}

/// Traffic of a few flows, some packets close together.
fn traffic() -> Vec<(u64, LinkType, Vec<u8>)> {
    let payloads: [&[u8]; 5] = [b"fine", b"!bad", b"?odd", b"", b"GET / HTTP/1.1\r\n\r\n"];
    let mut choice = 7_u64;
    let mut time = 1_700_000_000 * SECOND;
    let mut packets = Vec::new();
    for _ in 0..3000 {
        choice = choice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let pick = |shift: u32, of: u64| (choice >> shift) % of;
        time += [0, 1_000, 50_000, 5_000_000][usize::try_from(pick(33, 4)).unwrap()];
        let payload = payloads[usize::try_from(pick(37, 5)).unwrap()];
        let frame =
            segment(u8::try_from(pick(41, 8)).unwrap(), 1000 + u16::try_from(pick(45, 8)).unwrap(), 80, payload);
        let link = if pick(50, 4) == 0 { LinkType::RAW } else { LinkType::ETHERNET };
        packets.push((time, link, if link == LinkType::RAW { frame[14..].to_vec() } else { frame }));
    }
    packets
}

#[test]
fn the_size_of_the_batch_changes_nothing() {
    let guest = Guest::new();
    let traffic = traffic();
    let with = |batch| run(ReplayOptions { batch, ..options(inspect_all(), guest.modules()) }, &traffic);
    let one = with(1);
    assert!(one.alerts.len() > 500 && one.totals.dropped.packets > 300);
    // Flows have numbers that are the same in every run.
    for batch in [1, 7, 64] {
        let many = with(batch);
        assert_eq!(many.packets, one.packets, "{batch}");
        assert_eq!(many.raised(), one.raised(), "{batch}");
        assert_eq!(many.totals, one.totals, "{batch}");
    }
}

#[test]
fn packets_of_64_kib_and_of_nothing_go_through() {
    let guest = Guest::new();
    let big = segment(1, 1000, 80, &[b'!'; 65_495]);
    assert_eq!(big.len(), 65_549);
    let told = run(
        ReplayOptions { batch: 512, ..options(inspect_all(), guest.modules()) },
        &vec![at(1, big); 100].into_iter().chain([at(1, vec![]), at(1, vec![0; 262_144])]).collect::<Vec<_>>(),
    );
    assert_eq!(told.fates()[..100], [MODULE; 100]);
    assert_eq!(told.fates()[100], Fate::WorkerDrop(DropReason::Malformed));
    assert_eq!(told.packets.len(), 102);
    assert!(told.raised().iter().all(|raised| raised.0.is_some()));
}

#[test]
fn the_reader_and_the_replay_go_together() {
    let guest = Guest::new();
    let file = pcap(&[segment(1, 1000, 80, b"fine"), segment(1, 1000, 80, b"!bad")]);
    let mut reader = CaptureReader::new(&file[..]).unwrap();
    let mut replay = Replay::new(options(inspect_all(), guest.modules())).unwrap();
    let mut numbers = Vec::new();
    while let Some(packet) = reader.next_packet().unwrap() {
        let told = replay.push(&packet, &mut |happened| match happened {
            Happened::Alert { number, .. } => {
                numbers.push(number);
                Err("enough")
            }
            Happened::Packet(_) => Ok(()),
        });
        assert_eq!(told.is_err(), packet.number == 2, "what the listener says is the answer");
    }
    assert_eq!(numbers, [Some(2)]);
    assert_eq!(replay.modules()[0].dropped.packets, 1);
}

#[test]
fn what_cannot_begin_says_why() {
    let chain = |name: &str| Action::Inspect { chain: name.into() };
    let wrong = options(Ruleset::new(Vec::new(), chain("nowhere")), Vec::new());
    assert!(matches!(Replay::new(wrong), Err(ReplayError::Rules(_))));
    let missing = options(inspect_all(), vec![module("/nowhere.wasm".into())]);
    assert!(Replay::new(missing).unwrap_err().to_string().contains("/nowhere.wasm"));
    let batch = ReplayOptions { batch: 513, ..options(inspect_all(), Vec::new()) };
    assert_eq!(Replay::new(batch).unwrap_err().to_string(), "batch 513: it must be 1 to 512 packets");
    let net: IpNet = "192.0.2.0/24".parse().unwrap();
    let matcher = Matcher { src: Some(net.into()), ..Matcher::default() };
    let dropped = Ruleset::new(vec![Rule::new(RuleId(1), matcher, Action::Drop)], Action::Pass);
    let told = run(options(dropped, Vec::new()), &[at(1, segment(1, 1, 80, b""))]);
    assert_eq!(told.fates(), [Fate::RuleDrop], "rules alone need no module");
}

/// All captures below a folder.
fn captures(folder: &std::path::Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            captures(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "pcap" || kind == "pcapng" || kind == "cap") {
            found.push(path);
        }
    }
}

/// Whatever is in a folder of captures: each is read or refused, and every packet has its fate.
#[test]
fn any_capture_of_a_corpus_goes_through() {
    let Some(folder) = std::env::var_os("SECUXFLOW_CORPORA") else {
        eprintln!("SECUXFLOW_CORPORA names no folder of captures: nothing was run");
        return;
    };
    let guest = Guest::new();
    let mut found = Vec::new();
    captures(folder.as_ref(), &mut found);
    assert!(!found.is_empty(), "no capture below {}", folder.display());
    let mut replay = Replay::new(options(inspect_all(), guest.modules())).unwrap();
    let (mut read, mut told) = (0, 0);
    for path in found {
        let Ok(mut reader) = CaptureReader::new(std::fs::File::open(&path).unwrap()) else { continue };
        let mut tell = |happened: Happened<'_>| {
            told += u64::from(matches!(happened, Happened::Packet(_)));
            Ok::<(), Infallible>(())
        };
        while let Ok(Some(packet)) = reader.next_packet() {
            read += 1;
            replay.push(&packet, &mut tell).unwrap();
        }
        replay.flush(&mut tell).unwrap();
    }
    assert_eq!((read, replay.totals().panics), (told, 0));
    eprintln!("{read} packets");
}
