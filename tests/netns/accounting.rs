//! Frames: none is lost and none is used twice, whatever arrives.

use std::time::Duration;

use serde_json::Value;

use crate::{
    daemon::{Daemon, FRAMES, Setup},
    lab::{Lab, Place, WEB, run, wait_for},
    traffic::{Server, download, get, page_arrives, upload},
};

/// Frames by place of every worker; they sum up to the worker's share.
fn assert_all_there(daemon: &Daemon) {
    let status = daemon.json("status");
    let workers = status["workers"].as_array().expect("a list of workers");
    assert!(!workers.is_empty());
    let total: u64 = workers
        .iter()
        .flat_map(|worker| worker["frames"].as_array().expect("frames by place"))
        .map(|place| place["value"].as_u64().expect("a number"))
        .sum();
    assert_eq!(total, FRAMES * workers.len() as u64, "{}", status["workers"]);
}

#[test]
#[ignore = "needs root"]
fn every_frame_is_accounted_for_after_traffic_drops_and_attacks() {
    let lab = Lab::new();
    let _server = Server::start(&lab, Place::Web, 80);
    let interfaces = vec!["veth-client", "veth-web"];
    let daemon = Daemon::start(&lab, &Setup { interfaces, ..Setup::default() });
    assert_all_there(&daemon);
    daemon.cli("service add client --ip 10.77.1.2 --dev veth-client");
    daemon.protect("--proto tcp");
    daemon.wait_for_service("client", "up");
    for round in 0..3 {
        upload(&lab, WEB, 5_000_000).expect("an upload");
        download(&lab, WEB, 5_000_000).expect("a download");
        assert!(get(&lab, WEB, 80, &format!("/{round}?file=../../../../etc/passwd")).is_err(), "an attack");
    }
    // Whatever is still under way when the traffic ends comes back by itself.
    wait_for(Duration::from_secs(3), "all frames free or in a fill ring", || {
        let status = daemon.json("status");
        let busy = |place: &&Value| !matches!(place["name"].as_str(), Some("free" | "fill"));
        let places = status["workers"].as_array()?.iter().flat_map(|worker| worker["frames"].as_array());
        let under_way: u64 = places.flatten().filter(busy).filter_map(|place| place["value"].as_u64()).sum();
        (under_way == 0).then_some(())
    });
    assert_all_there(&daemon);
}

/// Frames that no stack would send: cut in every header, with lengths that lie, and far too long for a header.
const ODD_FRAMES: &str = r#"
import socket, struct
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0", 0))
link = b"\xff" * 6 + b"\x02\0\0\0\0\1"
ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 1, 0, 64, 6, 0, bytes([10, 77, 1, 2]), bytes([10, 77, 2, 2]))
tcp = struct.pack("!HHIIBBHHH", 40000, 80, 1, 0, 0x50, 2, 1024, 0, 0)
whole = link + b"\x08\x00" + ip + tcp
for cut in range(14, len(whole) + 1):
    s.send(whole[:cut])
for length in (0, 1, 19, 21, 1500, 65535):
    s.send(link + b"\x08\x00" + ip[:2] + struct.pack("!H", length) + ip[4:] + tcp)
for first in range(0, 256, 5):
    s.send(link + b"\x08\x00" + bytes([first]) + ip[1:] + tcp)
s.send(whole + bytes(1514 - len(whole)))
for kind in (0x8100, 0x88a8, 0x86dd, 0x0806, 0x88cc):
    for size in (0, 1, 2, 4, 8, 39, 40, 41, 1500):
        s.send(link + struct.pack("!H", kind) + bytes(size))
chain = bytes([0x60, 0, 0, 0]) + struct.pack("!HBB", 160, 0, 64) + bytes(32) + bytes(8) * 20
s.send(link + b"\x86\xdd" + chain)
"#;

#[test]
#[ignore = "needs root"]
fn truncated_and_oversized_frames_do_no_harm() {
    let lab = Lab::new();
    let _server = Server::start(&lab, Place::Web, 80);
    let daemon = Daemon::start(&lab, &Setup::default());
    daemon.protect("--dst 10.77.2.2 --proto tcp");
    run(lab.command(Place::Client, "python3").args(["-c", ODD_FRAMES]));
    let events = daemon.json("status")["events"].clone();
    let undecidable = events.as_array().and_then(|list| list.iter().find(|event| event["name"] == "undecidable"));
    let count = undecidable.and_then(|event| event["value"].as_u64()).unwrap_or_default();
    assert!(count > 20, "frames cut inside a header are counted as undecidable: {events}");
    assert!(page_arrives(&lab, WEB), "traffic goes on");
    assert_all_there(&daemon);
}
