//! Modules that misbehave: the worker goes on by their fail policy, and tells of it.

use std::{path::PathBuf, time::Duration};

use crate::{
    daemon::{Daemon, Setup, module_file},
    lab::{Lab, Place, WEB, wait_for},
    traffic::{Server, page_arrives},
};

/// Never comes back.
const LOOPS: &str = "(loop $again (br $again)) (i32.const 0)";
/// Traps on every batch.
const TRAPS: &str = "unreachable";
/// Asks for 2 GiB more of memory, and traps when it does not get them.
const GREEDY: &str = "(if (i32.eq (memory.grow (i32.const 32768)) (i32.const -1)) (then unreachable)) (i32.const 0)";

/// A module of ABI version `abi` whose `sxf_inspect` is `body`.
pub(crate) fn module(abi: u32, imports: &str, body: &str) -> String {
    format!(
        r#"(module
            {imports}
            (memory (export "memory") 2)
            (global $free (mut i32) (i32.const 1024))
            (func (export "sxf_abi_version") (result i32) (i32.const {abi}))
            (func (export "sxf_alloc") (param $len i32) (result i32)
                (local $block i32)
                (local.set $block (global.get $free))
                (global.set $free
                    (i32.and (i32.add (i32.add (global.get $free) (local.get $len)) (i32.const 15)) (i32.const -16)))
                (local.get $block))
            (func (export "sxf_init") (param i32 i32) (result i32) (i32.const 0))
            (func (export "sxf_inspect") (param i32 i32) (result i32) {body}))"#
    )
}

fn setup(lab: &Lab, text: &str, keys: &str) -> Setup {
    let path: PathBuf = module_file(lab.dir(), "rogue", text);
    Setup { modules: vec![("rogue", path, keys.to_owned())], ..Setup::default() }
}

/// Traffic through a rogue module whose failures are of `kind`: it flows exactly when the module fails open.
fn misbehaves(body: &str, kind: &str, on_failure: &str) {
    let lab = Lab::new();
    let _server = Server::start(&lab, Place::Web, 80);
    let keys = format!("on_failure = {on_failure:?}\ndeadline_ms = 5\nmax_failures = 1000000");
    let daemon = Daemon::start(&lab, &setup(&lab, &module(1, "", body), &keys));
    daemon.protect("--dst 10.77.2.2 --port 80 --proto tcp");
    for round in 1..=2 {
        assert_eq!(page_arrives(&lab, WEB), on_failure == "open", "{kind}, {on_failure}, round {round}");
    }
    let modules = daemon.json("module list");
    let failures = modules["modules"][0]["failures"].as_array().expect("a list of failures");
    let count = failures.iter().find(|failure| failure["name"] == kind).and_then(|failure| failure["value"].as_u64());
    assert!(count.is_some_and(|count| count >= 1), "counted as {kind}: {modules}");
    let alert = wait_for(Duration::from_secs(2), "an alert", || daemon.alerts("module_failure").pop());
    assert_eq!(alert["secuxflow"]["module"], "rogue");
    let action = if on_failure == "open" { "allowed" } else { "blocked" };
    assert_eq!(alert["alert"]["action"], action);
}

#[test]
#[ignore = "needs root"]
fn a_module_that_loops_for_ever_fails_open() {
    misbehaves(LOOPS, "timeout", "open");
}

#[test]
#[ignore = "needs root"]
fn a_module_that_loops_for_ever_fails_closed() {
    misbehaves(LOOPS, "timeout", "closed");
}

#[test]
#[ignore = "needs root"]
fn a_module_that_traps_fails_open() {
    misbehaves(TRAPS, "trap", "open");
}

#[test]
#[ignore = "needs root"]
fn a_module_that_traps_fails_closed() {
    misbehaves(TRAPS, "trap", "closed");
}

#[test]
#[ignore = "needs root"]
fn a_module_that_asks_for_two_gibibytes_does_not_get_them() {
    misbehaves(GREEDY, "trap", "open");
}

#[test]
#[ignore = "needs root"]
fn a_module_that_keeps_failing_is_taken_out_of_service_loudly() {
    let lab = Lab::new();
    let _server = Server::start(&lab, Place::Web, 80);
    let daemon = Daemon::start(&lab, &setup(&lab, &module(1, "", TRAPS), "max_failures = 3"));
    daemon.protect("--dst 10.77.2.2 --port 80 --proto tcp");
    assert!(page_arrives(&lab, WEB), "it fails open");
    wait_for(Duration::from_secs(2), "an alert that says so", || daemon.alerts("module_disabled").pop());
    let modules = daemon.json("module list");
    assert_eq!(modules["modules"][0]["in_service"], false);
    assert!(page_arrives(&lab, WEB), "traffic goes on without it");
}

#[test]
#[ignore = "needs root"]
fn a_module_that_does_not_fit_is_refused_at_start() {
    let unknown = r#"(import "env" "system" (func (param i32)))"#;
    for (text, reason) in [
        (module(2, "", "(i32.const 0)"), "ABI"),
        (module(1, unknown, "(i32.const 0)"), "env"),
        ("(module)".to_owned(), "memory"),
        ("(module".to_owned(), "rogue"),
    ] {
        let lab = Lab::new();
        let said = Daemon::refuses(&lab, &setup(&lab, &text, ""));
        assert!(said.contains("rogue") && said.contains(reason), "'rogue' and '{reason}' in: {said}");
        assert!(!lab.ip_output(Place::Host, "link show veth-client").contains("xdp"), "nothing is half attached");
    }
}
