//! Modules and chains that are changed under traffic.

use std::{fs, thread, time::Duration};

use crate::{
    daemon::{Daemon, Setup, module_file},
    lab::{Lab, Place, WEB, root, wait_for},
    modules::module,
    traffic::{Numbered, Server, download, get, page_arrives},
};

/// A request that http_guard drops.
const ATTACK: &str = "/index.html?file=../../../../etc/passwd";
/// 200 MB: some seconds, for a change to fall into.
const BYTES: usize = 200_000_000;

/// Passes all; texts of different `number` have different hashes.
fn passes(number: u32) -> String {
    module(1, "", &format!("(drop (i32.const {number})) (i32.const 0)"))
}

#[test]
#[ignore = "needs root"]
fn changes_under_traffic_lose_no_packet_and_no_flow() {
    let lab = Lab::new();
    let _server = Server::start(&lab, Place::Web, 80);
    let guard = root().join("target/wasm/http_guard.wasm");
    let file = module_file(lab.dir(), "swapped", &passes(0));
    let modules = vec![("http_guard", guard, String::new()), ("swapped", file.clone(), String::new())];
    let daemon =
        Daemon::start(&lab, &Setup { interfaces: vec!["veth-client", "veth-web"], modules, ..Setup::default() });
    daemon.protect("--dst 10.77.2.2 --proto udp");
    daemon.cli("service add client --ip 10.77.1.2 --dev veth-client");
    daemon.cli("rule add --proto tcp --action inspect");
    daemon.wait_for_service("client", "up");
    let numbered = Numbered::start(&lab, 7000);
    let hashes = thread::scope(|scope| {
        let transfer = scope.spawn(|| download(&lab, WEB, BYTES));
        let mut hashes = Vec::new();
        for round in 1..=10 {
            fs::write(&file, passes(round)).expect("the lab's folder is writable");
            hashes.push(daemon.json("module reload swapped")["sha256"].clone());
            fs::write(&file, "(module").expect("the lab's folder is writable");
            daemon.refused("module reload swapped");
            let mode = if round % 2 == 0 { "enforce" } else { "monitor" };
            daemon.cli(&format!("chain set default --module http_guard --module swapped:mode={mode}"));
        }
        transfer.join().expect("the client did not panic").expect("the transfer goes on, and every byte is right");
        hashes
    });
    let arrived = numbered.finish();
    assert!(arrived.sent > 1000, "{} datagrams in all that time", arrived.sent);
    assert_eq!(arrived.missing, Vec::<u64>::new(), "of {}", arrived.sent);
    let list = daemon.json("module list");
    let swapped = &list["modules"][1];
    assert_eq!(Some(&swapped["sha256"]), hashes.last(), "the last one that was good");
    assert!(hashes.windows(2).all(|pair| pair[0] != pair[1]));
    let passed = swapped["passed"]["packets"].as_u64().expect("a counter");
    assert!(passed >= arrived.sent, "its counters went on over all of it: {passed} of {}", arrived.sent);
    assert_eq!(daemon.sum("modules", "/dropped/packets"), 0, "{list}");
}

#[test]
#[ignore = "needs root"]
fn a_module_that_does_not_load_leaves_the_old_one_at_work() {
    let lab = Lab::new();
    let _server = Server::start(&lab, Place::Web, 80);
    let daemon = Daemon::start(&lab, &Setup::default());
    daemon.protect("--dst 10.77.2.2 --port 80 --proto tcp");
    let before = daemon.json("module info http_guard");
    let dir = lab.dir();
    let file = |name: &str, text: &str| module_file(dir, name, text).display().to_string();
    let unknown = r#"(import "env" "system" (func (param i32)))"#;
    let endless = module(1, "", "(i32.const 0)")
        .replace("(memory", "(func $loop (loop $again (br $again))) (start $loop) (memory");
    let table = module(1, "", "(i32.const 0)").replace("(memory", "(table 10000000 funcref) (memory");
    for (path, words) in [
        (file("version", &module(2, "", "(i32.const 0)")), "ABI version 2"),
        (file("import", &module(1, unknown, "(i32.const 0)")), "env.system"),
        (file("export", &module(1, "", "(i32.const 0)").replace("sxf_init", "sxf_begin")), "sxf_init"),
        (file("endless", &endless), "timeout"),
        (file("table", &table), "table"),
        (file("text", "(module"), "WebAssembly"),
    ] {
        let said = daemon.refused(&format!("module reload http_guard {path}"));
        assert!(said.contains("http_guard") && said.contains(words), "'{words}' in: {said}");
    }
    let said = daemon.refused(r#"module reload http_guard --config {"max_line":7}"#);
    assert!(said.contains("max_line"), "{said}");
    let after = daemon.json("module info http_guard");
    assert_eq!(
        (&after["sha256"], &after["config"], &after["origin"]),
        (&before["sha256"], &before["config"], &"config".into())
    );
    assert!(get(&lab, WEB, 80, ATTACK).is_err(), "it still drops");
    assert!(page_arrives(&lab, WEB));
}

#[test]
#[ignore = "needs root"]
fn a_chain_is_tried_out_then_enforced_and_survives_the_daemon() {
    let lab = Lab::new();
    let _server = Server::start(&lab, Place::Web, 80);
    let daemon = Daemon::start(&lab, &Setup { modules: Vec::new(), ..Setup::default() });
    daemon.protect("--dst 10.77.2.2 --proto udp");
    let guard = lab.dir().join("guard.wasm");
    fs::copy(root().join("target/wasm/http_guard.wasm"), &guard).expect("the lab's folder is writable");
    daemon.cli(&format!("module load guard {} --on-failure closed", guard.display()));
    fs::remove_file(&guard).expect("the file is there");
    daemon.cli("chain create web --module guard:mode=monitor");
    daemon.cli("rule add --dst 10.77.2.2 --port 80 --proto tcp --action inspect --chain web");

    assert!(get(&lab, WEB, 80, ATTACK).is_ok(), "monitored: it goes on");
    let alert = wait_for(Duration::from_secs(2), "an alert", || daemon.alerts("signature").pop());
    assert_eq!((&alert["alert"]["action"], &alert["secuxflow"]["module"]), (&"allowed".into(), &"guard".into()));
    assert_eq!(alert["secuxflow"]["chain"], "web");
    let alert = wait_for(Duration::from_secs(2), "an alert", || daemon.alerts("monitor").pop());
    assert_eq!((&alert["alert"]["action"], &alert["secuxflow"]["chain"]), (&"allowed".into(), &"web".into()));
    let info = daemon.json("module info guard");
    assert!(info["monitored"]["packets"].as_u64() >= Some(1) && info["dropped"]["packets"] == 0, "{info}");

    daemon.cli("chain set web --module guard");
    assert!(get(&lab, WEB, 80, ATTACK).is_err(), "enforced: it does not");
    assert!(page_arrives(&lab, WEB));
    for (words, reason) in [
        ("chain delete web", "rule-2"),
        ("chain delete default", "default"),
        ("module unload guard", "web"),
        ("chain set web --module lost", "lost"),
    ] {
        let said = daemon.refused(words);
        assert!(said.contains(reason), "{words}: {said}");
    }

    daemon.stop();
    let daemon = Daemon::start(&lab, &Setup { modules: Vec::new(), ..Setup::default() });
    daemon.wait_for_service("web", "up");
    let after = daemon.json("module info guard");
    assert_eq!((&after["sha256"], &after["on_failure"]), (&info["sha256"], &"closed".into()));
    assert!(get(&lab, WEB, 80, ATTACK).is_err(), "its file is gone, and it is there again");
    assert!(page_arrives(&lab, WEB));
    daemon.cli("rule delete --id rule-2");
    daemon.cli("chain delete web");
    daemon.cli("module unload guard");
    assert_eq!(daemon.json("module list")["modules"], serde_json::json!([]));
}

#[test]
#[ignore = "needs root"]
fn only_signed_modules_load_where_that_is_required() {
    let lab = Lab::new();
    let key = |name: &str| lab.dir().join(name).display().to_string();
    let cli = |words: &str| {
        let output =
            std::process::Command::new(env!("CARGO_BIN_EXE_secuxflow")).args(words.split_whitespace()).output();
        assert!(output.expect("the program can be started").status.success(), "secuxflow {words}");
    };
    for name in ["release", "other"] {
        cli(&format!("module keygen {}", key(name)));
    }
    let file = module_file(lab.dir(), "mine", &passes(1));
    let sections = "[modules]\nrequire_signed = true\nkeys = [\"release.pub\"]\n".to_owned();
    let setup = Setup { modules: Vec::new(), sections, ..Setup::default() };
    let daemon = Daemon::start(&lab, &setup);
    let load = format!("module load mine {}", file.display());
    assert!(daemon.refused(&load).contains("not signed"));
    cli(&format!("module sign {} --key {}", file.display(), key("other")));
    assert!(daemon.refused(&load).contains("fits none"));
    cli(&format!("module sign {} --key {}", file.display(), key("release")));
    daemon.cli(&load);
    assert_eq!(daemon.json("module info mine")["signed_by"], "release");
    fs::write(&file, passes(2)).expect("the lab's folder is writable");
    assert!(daemon.refused("module reload mine").contains("fits none"), "the file was changed after it was signed");
    daemon.stop();
    // The same of a module of the configuration keeps the daemon from starting.
    fs::remove_file(lab.dir().join("state.json")).expect("the state file is there");
    let configured = Setup { modules: vec![("mine", file, String::new())], ..setup };
    let said = Daemon::refuses(&lab, &configured);
    assert!(said.contains("module mine") && said.contains("fits none"), "{said}");
}
