//! What the daemon refuses, and in which words.

use std::{fs, os::unix::net::UnixListener, process::Command};

use crate::{
    daemon::{Daemon, Setup},
    lab::{Lab, Place, WEB, run},
    traffic::{Server, page_arrives},
};

/// The refusal names each of `words`, and the host's interface is as it was.
fn refused(lab: &Lab, setup: &Setup, words: &[&str]) {
    let said = Daemon::refuses(lab, setup).to_lowercase();
    for word in words {
        assert!(said.contains(&word.to_lowercase()), "'{word}' in: {said}");
    }
    assert!(!lab.dir().join("secuxflow.sock").exists(), "no socket is left");
    let mounts = fs::read_to_string("/proc/self/mounts").expect("the mounts can be read");
    let bpffs = lab.dir().join("bpf");
    assert!(!mounts.contains(&*bpffs.to_string_lossy()), "no file system is left mounted");
}

#[test]
#[ignore = "needs root"]
fn an_unknown_interface_is_named() {
    let lab = Lab::new();
    refused(&lab, &Setup { interfaces: vec!["veth-nowhere"], ..Setup::default() }, &["veth-nowhere"]);
    assert!(!lab.ip_output(Place::Host, "link").contains("xdp"));
}

#[test]
#[ignore = "needs root"]
fn a_missing_capability_is_named() {
    for capability in ["net_admin", "net_raw"] {
        let lab = Lab::new();
        refused(&lab, &Setup { without: Some(capability), ..Setup::default() }, &[&format!("cap_{capability}")]);
    }
}

#[test]
#[ignore = "needs root"]
fn one_bad_interface_leaves_the_good_one_alone() {
    let lab = Lab::new();
    let interfaces = vec!["veth-client", "veth-nowhere"];
    refused(&lab, &Setup { interfaces, ..Setup::default() }, &["veth-nowhere"]);
    assert!(!lab.ip_output(Place::Host, "link").contains("xdp"), "nothing is half applied");
}

#[test]
#[ignore = "needs root"]
fn a_device_without_native_xdp_is_refused_when_that_is_required() {
    let lab = Lab::new();
    lab.ip(Place::Host, "link add bridge0 type bridge");
    lab.ip(Place::Host, "link set bridge0 up");
    refused(&lab, &Setup { interfaces: vec!["bridge0"], mode: "copy", ..Setup::default() }, &["bridge0", "native"]);
}

#[test]
#[ignore = "needs root"]
fn a_veth_whose_mtu_is_too_large_is_refused() {
    let lab = Lab::new();
    lab.ip(Place::Client, "link set eth0 mtu 65000");
    lab.ip(Place::Host, "link set veth-client mtu 65000");
    let words = ["veth-client", "mtu 65000", "above 61418"];
    refused(&lab, &Setup { mode: "copy", ..Setup::default() }, &words);
    lab.ip(Place::Host, "link set veth-client mtu 9000");
    let off = Setup { mode: "copy", multi_buffer: "off", ..Setup::default() };
    refused(&lab, &off, &["veth-client", "mtu 9000", "up to 3818"]);
}

#[test]
#[ignore = "needs root"]
fn a_foreign_xdp_program_is_left_in_place() {
    let lab = Lab::new();
    let (source, object) = (lab.dir().join("foreign.c"), lab.dir().join("foreign.o"));
    let program = "__attribute__((section(\"xdp\"), used)) int pass(void *ctx) { return 2; }\n\
                   char _license[] __attribute__((section(\"license\"))) = \"GPL\";\n";
    fs::write(&source, program).expect("the lab's folder is writable");
    run(Command::new("clang").args(["-O2", "-g", "-target", "bpf", "-c"]).arg(&source).arg("-o").arg(&object));
    lab.ip(Place::Host, &format!("link set dev veth-client xdpdrv obj {} sec xdp", object.display()));
    refused(&lab, &Setup::default(), &["veth-client", "program"]);
    assert!(lab.ip_output(Place::Host, "link show veth-client").contains("xdp"), "it is still there");
}

#[test]
#[ignore = "needs root"]
fn a_ring_that_is_no_power_of_two_is_refused() {
    let lab = Lab::new();
    refused(&lab, &Setup { ring: 1000, ..Setup::default() }, &["umem.ring", "1000", "power of two"]);
}

#[test]
#[ignore = "needs root"]
fn a_socket_of_a_live_daemon_is_not_taken() {
    let lab = Lab::new();
    let _server = Server::start(&lab, Place::Web, 80);
    let daemon = Daemon::start(&lab, &Setup::default());
    let said = Daemon::refuses(&lab, &Setup::default());
    assert!(said.contains("secuxflow.sock"), "{said}");
    assert_eq!(daemon.json("status")["pid"], daemon.pid(), "the first one answers as before");
    daemon.protect("--dst 10.77.2.2 --port 80 --proto tcp");
    assert!(page_arrives(&lab, WEB), "and works");
}

#[test]
#[ignore = "needs root"]
fn a_stale_socket_of_a_dead_daemon_is_replaced() {
    let lab = Lab::new();
    // Dropping a listener leaves its file behind, as a killed daemon does.
    drop(UnixListener::bind(lab.dir().join("secuxflow.sock")).expect("the lab's folder is writable"));
    let daemon = Daemon::start(&lab, &Setup::default());
    daemon.stop();
}

#[test]
#[ignore = "needs root"]
fn what_the_command_line_refuses_changes_nothing() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &Setup::default());
    daemon.cli("rule add --dst 10.77.2.2 --port 80 --proto tcp --action drop");
    let before = daemon.json("rule list");
    for (words, named) in [
        ("rule add --src 10.0.0.0/33 --action drop", "10.0.0.0/33"),
        ("rule add --dst 10.0.0.5 --port 70000 --proto tcp --action drop", "70000"),
        ("rule add --dst 10.0.0.5 --port 80 --proto icmp --action drop", "icmp"),
        ("rule add --dst 10.0.0.5 --action inspect --chain nowhere", "nowhere"),
        ("rule add --src 10.0.0.1 --dst fd77::1 --action drop", "famil"),
        ("rule add --id rule-1 --action drop", "rule-1"),
        ("rule delete --id rule-9", "rule-9"),
        ("service add web --ip 10.77.2.300 --dev veth-web", "10.77.2.300"),
        ("service delete nowhere", "nowhere"),
    ] {
        let output = daemon.try_cli(&words.split_whitespace().collect::<Vec<_>>());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{words} must fail");
        assert!(said.contains(named), "{words}: '{named}' in: {said}");
    }
    assert_eq!(daemon.json("rule list")["rules"], before["rules"], "nothing is half applied");
}
