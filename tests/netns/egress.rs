//! The two ways out toward a container: injection and AF_XDP TX.

use std::{thread, time::Duration};

use serde_json::Value;

use crate::{
    daemon::{Daemon, Setup},
    lab::{Lab, Place, WEB, run, wait_for},
    services::{MAC, add_second_link},
    traffic::{Arrived, Numbered, Server, page_arrives, upload},
};

const PORT: u16 = 5000;

/// Turn GRO of eth0 off or on; ethtool(8) is not everywhere.
const GRO: &str = r#"
import ctypes, fcntl, socket, struct, sys
value = ctypes.create_string_buffer(struct.pack("II", 0x2c, int(sys.argv[1])))
request = struct.pack("16sQ16x", b"eth0", ctypes.addressof(value))
fcntl.ioctl(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0x8946, request)
"#;

fn set_gro(lab: &Lab, on: &str) {
    run(lab.command(Place::Web, "python3").args(["-c", GRO, on]));
}

fn start(lab: &Lab, workers: &'static str) -> Daemon {
    let daemon = Daemon::start(lab, &Setup { workers, ..Setup::default() });
    daemon.cli("service add web --ip 10.77.2.2 --dev veth-web");
    daemon.cli("rule add --dst 10.77.2.2 --action inspect");
    daemon
}

/// A second of numbered datagrams, none of which may be missing.
fn numbered(lab: &Lab, daemon: &Daemon) -> u64 {
    let numbered = Numbered::start(lab, PORT);
    thread::sleep(Duration::from_secs(1));
    let Arrived { sent, missing } = numbered.finish();
    assert!(sent > 100, "{sent}");
    assert_eq!(missing, [0; 0], "of {sent}: {}", daemon.json("status")["workers"]);
    sent
}

/// A sum over the workers of `status`.
fn workers(daemon: &Daemon, name: &str) -> u64 {
    daemon.sum("workers", &format!("/{name}"))
}

/// Wait until packets leave by `way`.
fn wait_for_way(daemon: &Daemon, way: &str) -> Value {
    wait_for(Duration::from_secs(10), &format!("the way {way}"), || {
        let service = daemon.wait_for_service("web", "up");
        (service["way"] == way).then_some(service)
    })
}

fn reason(service: &Value) -> &str {
    service["way_reason"].as_str().expect("a text")
}

#[test]
#[ignore = "needs root"]
fn numbered_datagrams_arrive_by_injection() {
    let lab = Lab::new();
    let _server = Server::start(&lab, Place::Web, 80);
    let daemon = start(&lab, "egress = \"inject\"\nset_gro = true");
    let service = wait_for_way(&daemon, "inject");
    assert!(reason(&service).contains("gro turned on"), "{service}");
    let sent = numbered(&lab, &daemon);
    assert!(workers(&daemon, "injected") >= sent);
    assert_eq!(workers(&daemon, "inject_lost"), 0);
    upload(&lab, WEB, 5_000_000).expect("an upload, every byte compared");
    assert!(page_arrives(&lab, WEB));
    assert_eq!(workers(&daemon, "injected"), workers(&daemon, "tx/packets"), "nothing left otherwise");
    let devices: Vec<_> = daemon.json("status")["sockets"].as_array().expect("a list").to_vec();
    assert!(devices.iter().all(|socket| socket["dev"] != "veth-web"), "no socket toward the service: {devices:?}");
    assert!(daemon.cli("status").contains("inject"), "people see it");
}

#[test]
#[ignore = "needs root"]
fn numbered_datagrams_arrive_by_tx_where_that_is_configured() {
    let lab = Lab::new();
    set_gro(&lab, "1");
    let daemon = start(&lab, "egress = \"tx\"");
    let service = wait_for_way(&daemon, "tx");
    assert!(reason(&service).contains("workers.egress"), "{service}");
    numbered(&lab, &daemon);
    assert_eq!(workers(&daemon, "inject_calls"), 0);
}

#[test]
#[ignore = "needs root"]
fn without_gro_packets_leave_by_tx_and_status_says_why() {
    let lab = Lab::new();
    let _server = Server::start(&lab, Place::Web, 80);
    let daemon = start(&lab, "");
    let service = wait_for_way(&daemon, "tx");
    assert!(reason(&service).contains("ethtool -K eth0 gro on"), "{service}");
    numbered(&lab, &daemon);
    upload(&lab, WEB, 5_000_000).expect("an upload");
    assert_eq!(workers(&daemon, "inject_calls"), 0);
    set_gro(&lab, "1");
    wait_for_way(&daemon, "both");
    numbered(&lab, &daemon);
    upload(&lab, WEB, 5_000_000).expect("an upload by both ways");
    // A burst, and whatever is lost of it, shows that GRO is off again; then the ring serves.
    set_gro(&lab, "0");
    wait_for(Duration::from_secs(20), "the way back to TX", || {
        upload(&lab, WEB, 2_000_000).expect("TCP sends again what was lost");
        let list = daemon.json("service list");
        (list["services"][0]["way"] == "tx").then_some(())
    });
    numbered(&lab, &daemon);
}

#[test]
#[ignore = "needs root"]
fn injection_that_is_required_and_not_to_be_had_takes_the_service_down() {
    let lab = Lab::new();
    let _server = Server::start(&lab, Place::Web, 80);
    let daemon = start(&lab, "egress = \"inject\"");
    let down = daemon.wait_for_service("web", "down");
    let reason = down["reason"].as_str().expect("a reason");
    assert!(reason.contains("neither gro nor an xdp program") && reason.contains("workers.set_gro"), "{down}");
    assert!(down["way"].is_null(), "{down}");
    assert!(page_arrives(&lab, WEB), "fail_open: by the kernel");
    set_gro(&lab, "1");
    wait_for_way(&daemon, "inject");
    let before = workers(&daemon, "injected");
    assert!(page_arrives(&lab, WEB));
    assert!(workers(&daemon, "injected") > before);
}

#[test]
#[ignore = "needs root"]
fn a_veth_that_is_made_anew_is_injected_to_again() {
    let lab = Lab::new();
    let _server = Server::start(&lab, Place::Web, 80);
    add_second_link(&lab);
    let setup = Setup { workers: "egress = \"inject\"\nset_gro = true", ..Setup::default() };
    let daemon = Daemon::start(&lab, &setup);
    daemon.cli(&format!("service add web --ip 10.77.2.2 --dev veth-second --mac {MAC}"));
    daemon.cli("rule add --dst 10.77.2.2 --port 80 --proto tcp --action inspect");
    for _ in 0..2 {
        wait_for_way(&daemon, "inject");
        let before = workers(&daemon, "injected");
        assert!(page_arrives(&lab, WEB), "by the second link");
        assert!(workers(&daemon, "injected") >= before + 4);
        lab.ip(Place::Host, "link del veth-second");
        daemon.wait_for_service("web", "down");
        assert!(page_arrives(&lab, WEB), "fail_open: by the kernel");
        add_second_link(&lab);
    }
    lab.ip(Place::Host, "link set veth-second down");
    daemon.wait_for_service("web", "down");
    lab.ip(Place::Host, "link set veth-second up");
    wait_for_way(&daemon, "inject");
    assert!(page_arrives(&lab, WEB), "and after down and up");
}
