//! An MTU of 9000, in whose packets no single frame has room: they come and go in several.

use std::{net::UdpSocket, time::Duration};

use crate::{
    daemon::{Daemon, Setup},
    lab::{CLIENT, CLIENT6, Lab, Place, WEB, WEB6, root, run, wait_for},
    traffic::{Server, download, upload},
};

const PORT: u16 = 5001;
/// What the module looks for.
const PATTERN: &[u8] = b"attack-pattern";
/// 20 MB.
const BYTES: usize = 20_000_000;

/// Every link of a lab with an MTU of 9000.
fn jumbo_lab() -> Lab {
    let lab = Lab::new();
    raise_mtu(&lab);
    lab
}

fn raise_mtu(lab: &Lab) {
    for (place, device) in
        [(Place::Client, "eth0"), (Place::Host, "veth-client"), (Place::Host, "veth-web"), (Place::Web, "eth0")]
    {
        lab.ip(place, &format!("link set {device} mtu 9000"));
    }
}

/// A daemon whose module drops what has the pattern in it.
fn guarded(interfaces: Vec<&'static str>) -> Setup {
    let guard = root().join("target/wasm/pattern_guard.wasm");
    let config = format!(
        "deadline_ms = 1000\nconfig = {{ patterns = [{:?}] }}",
        std::str::from_utf8(PATTERN).expect("it is text")
    );
    Setup { interfaces, modules: vec![("pattern_guard", guard, config)], ..Setup::default() }
}

/// Two datagram sockets, from the client to the container.
fn datagrams(lab: &Lab) -> (UdpSocket, UdpSocket) {
    let inbox = lab.enter(Place::Web, || UdpSocket::bind(("0.0.0.0", PORT)).expect("the port is free"));
    inbox.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout is allowed");
    let outbox = lab.enter(Place::Client, || UdpSocket::bind("0.0.0.0:4000").expect("the port is free"));
    outbox.connect((WEB, PORT)).expect("a route to the container");
    (outbox, inbox)
}

/// Send a datagram; whether it is the next that arrives, with every byte as it was.
fn arrives(sockets: &(UdpSocket, UdpSocket), bytes: &[u8]) -> bool {
    let (_, inbox) = sockets;
    send(sockets, bytes);
    let mut buffer = [0; 9000];
    match inbox.recv(&mut buffer) {
        Ok(length) => {
            assert!(buffer[..length] == *bytes, "one after the other, unchanged");
            true
        }
        Err(_) => false,
    }
}

/// Send a datagram of which nothing is to arrive: who comes behind it shows that.
fn send((outbox, _): &(UdpSocket, UdpSocket), bytes: &[u8]) {
    outbox.send(bytes).expect("it fits the mtu");
}

/// Bytes without the pattern.
fn filler(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at % 251).expect("it is below 251")).collect()
}

fn drops(daemon: &Daemon, reason: &str) -> u64 {
    let status = daemon.json("status");
    let workers = status["workers"].as_array().expect("a list of workers");
    let drops = workers.iter().flat_map(|worker| worker["drops"].as_array().expect("a list of reasons"));
    drops.filter(|drop| drop["name"] == reason).map(|drop| drop["value"]["packets"].as_u64().expect("a counter")).sum()
}

/// Every frame is where it belongs again.
fn at_rest(daemon: &Daemon) {
    wait_for(Duration::from_secs(5), "all frames at rest", || {
        let status = daemon.json("status");
        let place = |name: &str| -> u64 {
            let workers = status["workers"].as_array().expect("a list of workers");
            let frames = workers.iter().flat_map(|worker| worker["frames"].as_array().expect("a list of places"));
            frames.filter(|frame| frame["name"] == name).map(|frame| frame["value"].as_u64().expect("a count")).sum()
        };
        let moving: u64 = ["rx", "tx", "mailbox"].into_iter().map(place).sum();
        let still: u64 = ["free", "fill"].into_iter().map(place).sum();
        (moving == 0 && still == crate::daemon::FRAMES).then_some(())
    });
}

#[test]
#[ignore = "needs root"]
fn a_pattern_is_found_wherever_the_frames_of_a_packet_cut_it() {
    let lab = jumbo_lab();
    let daemon = Daemon::start(&lab, &guarded(vec!["veth-client"]));
    daemon.protect(&format!("--dst 10.77.2.2 --port {PORT} --proto udp"));
    let status = daemon.json("status");
    assert_eq!(status["interfaces"][0]["multi_buffer"], true, "{status}");
    let sockets = datagrams(&lab);
    assert!(arrives(&sockets, &filler(8900)));
    assert!(arrives(&sockets, &filler(100)));
    let (mut dropped, mut sent) = (0, 2);
    // A frame takes 3840 bytes of a packet, whose headers have 42: the ends of the first and the second frame.
    for end in [3840 - 42, 2 * 3840 - 42] {
        for cut in 0..=PATTERN.len() {
            let mut bytes = filler(8900);
            let at = end - cut;
            bytes[at..at + PATTERN.len()].copy_from_slice(PATTERN);
            send(&sockets, &bytes);
            dropped += 1;
            sent += 1;
            bytes[at] = b'A';
            assert!(arrives(&sockets, &bytes), "spoilt, at {at}");
            sent += 1;
        }
    }
    assert_eq!(drops(&daemon, "module"), dropped);
    assert_eq!(daemon.sum("workers", "/rx/packets"), sent);
    assert_eq!(daemon.sum("workers", "/multi_buffer"), sent - 1);
    assert_eq!(daemon.sum("workers", "/checksums_repaired"), sent - dropped, "those of the senders are partial");
    at_rest(&daemon);
    daemon.stop();
}

#[test]
#[ignore = "needs root"]
fn long_pings_and_transfers_get_through_inspected() {
    let lab = jumbo_lab();
    let _server = Server::start(&lab, Place::Web, 80);
    let daemon = Daemon::start(&lab, &guarded(vec!["veth-client", "veth-web"]));
    for (name, client, web) in [("4", CLIENT, WEB), ("6", CLIENT6, WEB6)] {
        daemon.cli(&format!("service add web{name} --ip {web} --dev veth-web"));
        daemon.cli(&format!("service add client{name} --ip {client} --dev veth-client"));
    }
    daemon.cli("rule add --action inspect");
    for service in ["web4", "web6", "client4", "client6"] {
        daemon.wait_for_service(service, "up");
    }
    for address in [WEB, WEB6] {
        run(lab.command(Place::Client, "ping").args(["-c", "3", "-i", "0.1", "-W", "2", "-s", "8000", address]));
    }
    // Echoes and their answers.
    assert!(daemon.sum("workers", "/multi_buffer") >= 12);
    for address in [WEB, WEB6] {
        download(&lab, address, BYTES).expect("a download");
        upload(&lab, address, BYTES).expect("an upload");
    }
    // 9000 bytes a packet, most of the time.
    assert!(daemon.sum("workers", "/multi_buffer") > 4 * 2000);
    assert_eq!(drops(&daemon, "incomplete") + drops(&daemon, "buffers"), 0);
    at_rest(&daemon);
    daemon.stop();
}

#[test]
#[ignore = "needs root"]
fn skb_mode_takes_them_too() {
    let lab = jumbo_lab();
    let daemon = Daemon::start(&lab, &Setup { mode: "skb", ..guarded(vec!["veth-client"]) });
    daemon.protect(&format!("--dst 10.77.2.2 --port {PORT} --proto udp"));
    let sockets = datagrams(&lab);
    let mut bytes = filler(8900);
    assert!(arrives(&sockets, &bytes));
    bytes[3790..3790 + PATTERN.len()].copy_from_slice(PATTERN);
    send(&sockets, &bytes);
    assert!(arrives(&sockets, &filler(100)));
    assert_eq!((drops(&daemon, "module"), daemon.sum("workers", "/multi_buffer")), (1, 2));
    at_rest(&daemon);
    daemon.stop();
}

#[test]
#[ignore = "needs root"]
fn an_mtu_that_is_raised_under_way_is_taken() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &guarded(vec!["veth-client"]));
    daemon.protect(&format!("--dst 10.77.2.2 --port {PORT} --proto udp"));
    let sockets = datagrams(&lab);
    assert!(arrives(&sockets, &filler(1000)));
    raise_mtu(&lab);
    // The way to the service is looked at twice a second.
    wait_for(Duration::from_secs(30), "a long datagram", || arrives(&sockets, &filler(8900)).then_some(()));
    at_rest(&daemon);
    daemon.stop();
}

#[test]
#[ignore = "needs root"]
fn a_service_that_is_reached_by_injection_alone_takes_none() {
    let lab = jumbo_lab();
    let workers = "egress = \"inject\"\nset_gro = true";
    let daemon = Daemon::start(&lab, &Setup { workers, ..guarded(vec!["veth-client"]) });
    daemon.protect(&format!("--dst 10.77.2.2 --port {PORT} --proto udp"));
    let sockets = datagrams(&lab);
    send(&sockets, &filler(8900));
    assert!(arrives(&sockets, &filler(100)));
    assert_eq!(drops(&daemon, "buffers"), 1);
    at_rest(&daemon);
    daemon.stop();
}

#[test]
#[ignore = "needs root"]
fn without_multi_buffer_the_mtu_is_refused_by_name() {
    let lab = jumbo_lab();
    let setup = Setup { multi_buffer: "off", ..Setup::default() };
    let said = Daemon::refuses(&lab, &setup);
    let words = ["interfaces: veth-client: mtu 9000", "up to 3818", "umem.multi_buffer is \"off\"", "mtu 1500"];
    assert!(words.iter().all(|word| said.contains(word)), "{said}");
    assert!(!lab.ip_output(Place::Host, "link show veth-client").contains("xdp"), "nothing is attached");
}
