//! `inspect --pcap`: verdicts, alerts and exit codes of captures, without a daemon.

use std::{fs::File, path::PathBuf};

use serde_json::Value;

use super::lab::{self, Lab, Run};

/// Alerts on every packet to port 80 with signature 7, and drops it.
const GUEST: &str = concat!(
    include_str!("../guest_head.wat"),
    r#"  (data (i32.const 16) "to 80")
  (func (export "sxf_init") (param i32 i32) (result i32) (i32.const 0))
  (func (export "sxf_inspect") (param $p i32) (param $n i32) (result i32) (local $i i32)
    (block $done (loop $next
      (br_if $done (i32.eq (local.get $i) (local.get $n)))
      (if (i32.eq (i32.load16_u offset=28 (local.get $p)) (i32.const 80))
        (then (i32.store offset=44 (local.get $p) (i32.const 1))
          (call $alert (local.get $i) (i32.const 2) (i32.const 7) (i32.const 16) (i32.const 5))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (local.set $p (i32.add (local.get $p) (i32.const 64)))
      (br $next)))
    (i32.const 0)))"#
);

/// A UDP packet from 192.0.2.1 port 1000 to 10.0.0.1.
fn packet(port: u16) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    frame.extend([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 10, 0, 0, 1]);
    frame.extend([3, 232]);
    frame.extend(port.to_be_bytes());
    frame.extend([0, 8, 0, 0]);
    frame
}

/// A capture of packets a second apart, from the second 1000 on.
fn pcap(link: u32, packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file: Vec<u8> = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, link].map(u32::to_le_bytes).concat();
    for (second, packet) in (1000_u32..).zip(packets) {
        let len = u32::try_from(packet.len()).unwrap();
        file.extend([second, 6, len, len].map(u32::to_le_bytes).concat());
        file.extend(packet);
    }
    file
}

struct Files {
    lab: Lab,
    capture: PathBuf,
    module: PathBuf,
}

impl Files {
    fn new(capture: &[u8]) -> Self {
        let lab = Lab::new();
        let module = lab.write("guest.wat", GUEST);
        let path = lab.path("capture.pcap");
        std::fs::write(&path, capture).unwrap();
        Self { lab, capture: path, module }
    }

    fn run(&self, args: &[&str]) -> Run {
        let (capture, module) = (self.capture.to_str().unwrap(), self.module.to_str().unwrap());
        lab::run(lab::command(&["inspect", "--pcap", capture, "--module", module]).args(args))
    }
}

fn records(run: &Run) -> Vec<Value> {
    run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn alerts_have_the_fields_of_eve_and_the_packets_time_and_number() {
    let files = Files::new(&pcap(1, &[packet(53), packet(80)]));
    let run = files.run(&["--json"]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    let records = records(&run);
    let [alert, summary] = &records[..] else { panic!("{}", run.out) };
    for (field, expected) in [
        ("/timestamp", Value::from("1970-01-01T00:16:41.000006+00:00")),
        ("/pcap_cnt", 2.into()),
        ("/event_type", "alert".into()),
        ("/src_ip", "192.0.2.1".into()),
        ("/dest_port", 80.into()),
        ("/proto", "UDP".into()),
        ("/alert/action", "blocked".into()),
        ("/alert/signature_id", 7.into()),
        ("/secuxflow/module", "guest".into()),
        ("/secuxflow/chain", "default".into()),
    ] {
        assert_eq!(alert.pointer(field), Some(&expected), "{field}");
    }
    assert!(alert.get("in_iface").is_none());
    assert_eq!(summary["event_type"], "summary");
    assert_eq!((&summary["packets"], &summary["dropped"], &summary["complete"]), (&2.into(), &1.into(), &true.into()));
    assert_eq!(summary["modules"][0]["dropped"]["packets"], 1);
    assert_eq!(
        files.run(&["--json"]).out.lines().next(),
        run.out.lines().next(),
        "flow numbers are the same each time"
    );
}

#[test]
fn people_get_lines_and_tables_and_packets_when_they_ask() {
    let files = Files::new(&pcap(1, &[packet(53), packet(80)]));
    let run = files.run(&["--packets"]);
    assert_eq!(run.code, 0, "{}", run.err);
    let lines: Vec<_> = run.out.lines().collect();
    let of = "1970-01-01T00:16:41.000006+00:00";
    assert!(
        lines[0].ends_with("#1 UDP 192.0.2.1:1000 -> 10.0.0.1:53 42 bytes: pass (chain) chain default"),
        "{}",
        lines[0]
    );
    assert!(lines[1].starts_with(of) && lines[1].contains("blocked") && lines[1].ends_with("7: to 80"), "{}", lines[1]);
    assert!(lines[2].contains("#2") && lines[2].contains("drop (module)"), "{}", lines[2]);
    assert!(run.out.contains("1 passed, 1 dropped (module 1), 1 alerts"), "{}", run.out);
    assert!(!files.run(&[]).out.contains('#'));
}

#[test]
fn rules_decide_who_is_inspected_and_packets_tell_which() {
    let files = Files::new(&pcap(1, &[packet(53), packet(80), packet(22), packet(9)]));
    let rules = "[[rule]]\nid = \"rule-4\"\naction = \"inspect\"\nport = 80\nproto = \"udp\"\nsrc = \"@office\"\n\n\
                 [[rule]]\naction = \"drop\"\nport = 22\n";
    let rules = files.lab.write("rules.toml", rules);
    let office = format!("office={}", files.lab.write("office.txt", "192.0.2.0/24\n").display());
    let rules = rules.to_str().unwrap();
    let run = files.run(&["--rules", rules, "--set", &office, "--json", "--packets"]);
    assert_eq!(run.code, 0, "{}", run.err);
    let records = records(&run);
    let packets = records.iter().filter(|record| record["event_type"] == "packet");
    let told: Vec<_> =
        packets.map(|record| (record["verdict"].clone(), record["cause"].clone(), record["rule"].clone())).collect();
    let packet = |verdict: &str, cause: &str, rule: Option<&str>| (verdict.into(), cause.into(), rule.into());
    let expected = [
        packet("pass", "rule", None),
        packet("drop", "module", Some("rule-4")),
        packet("drop", "rule", Some("rule-5")),
        packet("pass", "rule", None),
    ];
    assert_eq!(told, expected);
    let chained = files.run(&["--rules", rules, "--set", &office, "--chain", "default", "--json"]);
    assert!(chained.out.contains(r#""chain":"default","packets":{"packets":3,"#), "{}", chained.out);
    let lacking = files.run(&["--rules", rules]);
    assert_eq!(lacking.code, 4);
    assert!(lacking.err.contains("@office"), "{}", lacking.err);
}

#[test]
fn a_configuration_brings_its_modules_and_chains() {
    let files = Files::new(&pcap(1, &[packet(80)]));
    let config = "interfaces = [\"eth7\"]\n[[module]]\nname = \"one\"\npath = \"guest.wat\"\n\
                  [[chain]]\nname = \"default\"\nmodules = []\n[[chain]]\nname = \"web\"\nmodules = [\"one\"]\n";
    let config = files.lab.write("secuxflow.toml", config);
    let with = |args: &[&str]| {
        let capture = files.capture.to_str().unwrap();
        lab::run(lab::command(&["inspect", "--pcap", capture, "--config", config.to_str().unwrap()]).args(args))
    };
    assert!(with(&[]).out.contains("1 passed, 0 dropped"));
    assert!(with(&["--chain", "web"]).out.contains("0 passed, 1 dropped"));
    let unknown = with(&["--chain", "none"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.err.contains("there is no chain 'none'; known: default, web"), "{}", unknown.err);
}

#[test]
fn standard_input_is_a_capture_too() {
    let files = Files::new(&pcap(101, &[packet(80)[14..].to_vec()]));
    let module = files.module.to_str().unwrap();
    let mut command = lab::command(&["inspect", "--pcap", "-", "--module", module]);
    let run = lab::run(command.stdin(File::open(&files.capture).unwrap()));
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.out.contains("standard input: pcap, 1 packets") && run.out.contains("1 dropped (module 1)"));
}

#[test]
fn what_is_cut_short_is_told_with_what_was_read_and_exit_code_1() {
    let whole = pcap(1, &[packet(80), packet(80)]);
    let files = Files::new(&whole[..whole.len() - 3]);
    let run = files.run(&["--json"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("is cut short: it ends within a record, at byte 82, behind packet 1"), "{}", run.err);
    let records = records(&run);
    assert_eq!((&records[1]["packets"], &records[1]["complete"]), (&1.into(), &false.into()));
}

#[test]
fn what_cannot_be_read_or_loaded_says_so() {
    let files = Files::new(&pcap(105, &[packet(80)]));
    let run = files.run(&[]);
    assert_eq!((run.code, run.out.as_str()), (1, ""));
    assert!(run.err.contains("capture.pcap is of link type 105 (IEEE802_11), which is not supported"), "{}", run.err);
    let text = Files::new(b"this is a text and no capture of packets");
    assert!(text.run(&[]).err.contains("is not a pcap or pcapng capture"));
    for (args, code, words) in [
        (&["inspect", "--pcap", "/none.pcap"][..], 1, "/none.pcap cannot be read"),
        (&["inspect", "--pcap", "/"], 1, "directory"),
        (&["inspect", "--pcap", "x", "--module", "/none.wasm"], 1, "x cannot be read"),
        (&["inspect", "--pcap", "x", "--config", "/none.toml"], 4, "/none.toml"),
        (&["inspect", "--pcap", "x", "--rules", "/none.toml"], 4, "/none.toml"),
        (&["inspect", "--pcap", "x", "--ip", "10.0.0.1"], 2, "--pcap"),
        (&["inspect", "--packets", "--ip", "10.0.0.1", "--proto", "tcp"], 2, "--packets"),
        (&["inspect", "--pcap", "x", "--module", "m.wasm,{"], 2, "JSON"),
        (&["inspect"], 2, "--ip"),
    ] {
        let run = lab::secuxflow(args);
        assert_eq!(run.code, code, "{args:?}: {}", run.err);
        assert!(run.err.contains(words), "{args:?}: {}", run.err);
    }
    let good = Files::new(&pcap(1, &[]));
    let run = lab::run(lab::command(&["inspect", "--module", "/none.wasm", "--pcap"]).arg(&good.capture));
    assert_eq!(run.code, 4, "{}", run.err);
    assert!(run.err.contains("/none.wasm"), "{}", run.err);
    let empty = good.run(&[]);
    assert_eq!(empty.code, 0, "{}", empty.err);
    assert!(empty.out.contains("0 packets, 0 bytes\n0 passed"), "{}", empty.out);
}
