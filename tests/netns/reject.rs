//! Rejected packets: both ends of a connection are reset, and the sender of a datagram gets an ICMP error.

use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, TcpListener, TcpStream, UdpSocket},
    time::Duration,
};

use crate::{
    daemon::{Daemon, Setup, module_file},
    lab::{Lab, Place, WEB, WEB6},
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Rejects every packet to port 81, every UDP datagram, and segments whose payload begins with `EVIL`.
const REJECTS: &str = concat!(
    include_str!("../guest_head.wat"),
    r#"  (func (export "sxf_init") (param i32 i32) (result i32) (i32.const 0))
  (func $evil (param $p i32) (result i32)
    (if (i32.eq (i32.load16_u offset=28 (local.get $p)) (i32.const 81)) (then (return (i32.const 1))))
    (if (i32.eq (i32.load8_u offset=30 (local.get $p)) (i32.const 17)) (then (return (i32.const 1))))
    (if (i32.lt_u (i32.load16_u offset=22 (local.get $p)) (i32.const 4)) (then (return (i32.const 0))))
    (i32.eq (i32.const 0x4c495645)
      (i32.load (i32.add (i32.load offset=8 (local.get $p)) (i32.load16_u offset=20 (local.get $p))))))
  (func (export "sxf_inspect") (param $p i32) (param $n i32) (result i32)
    (loop $l
      (if (call $evil (local.get $p)) (then (i32.store offset=44 (local.get $p) (i32.const 2))))
      (local.set $p (i32.add (local.get $p) (i32.const 64)))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br_if $l (local.get $n)))
    (i32.const 0)))"#
);

fn start(lab: &Lab) -> Daemon {
    let file = module_file(lab.dir(), "rejects", REJECTS);
    let daemon = Daemon::start(lab, &Setup { modules: vec![("rejects", file, String::new())], ..Setup::default() });
    for (name, address) in [("web", WEB), ("web6", WEB6)] {
        daemon.cli(&format!("service add {name} --ip {address} --dev veth-web"));
        for protocol in ["tcp", "udp"] {
            daemon.cli(&format!("rule add --dst {address} --proto {protocol} --action inspect"));
        }
        daemon.wait_for_service(name, "up");
    }
    daemon
}

fn addresses() -> [IpAddr; 2] {
    [WEB, WEB6].map(|address| address.parse().expect("an address"))
}

#[test]
#[ignore = "needs root"]
fn both_ends_of_a_rejected_connection_are_reset() {
    let lab = Lab::new();
    let listener = lab.enter(Place::Web, || TcpListener::bind(("::", 80)).expect("the port is free"));
    let daemon = start(&lab);
    for address in addresses() {
        let mut client = lab.enter(Place::Client, || TcpStream::connect((address, 80)).expect("a connection"));
        let (mut server, _) = listener.accept().expect("a connection");
        for end in [&client, &server] {
            end.set_read_timeout(Some(PATIENCE)).expect("a socket may have a time limit");
        }
        client.write_all(b"good").expect("a segment that is let through");
        let mut read = [0; 16];
        assert_eq!(server.read(&mut read).expect("the segment"), 4);
        server.write_all(b"fine").expect("an answer");
        assert_eq!(client.read(&mut read).expect("the answer"), 4);
        client.write_all(b"EVIL").expect("a segment that is not let through");
        for (end, name) in [(&mut client, "client"), (&mut server, "server")] {
            let error = end.read(&mut read).expect_err("nothing of it arrives");
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "the {name} of {address}: {error}");
        }
    }
    assert_eq!(daemon.sum("workers", "/replies/sent"), 4);
    assert_eq!(daemon.sum("workers", "/replies/lost"), 0);
}

#[test]
#[ignore = "needs root"]
fn a_rejected_connection_is_refused_and_a_rejected_datagram_answered_by_icmp() {
    let lab = Lab::new();
    let daemon = start(&lab);
    for address in addresses() {
        let refused = lab.enter(Place::Client, || TcpStream::connect((address, 81)).expect_err("no connection"));
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{address}: {refused}");
        let error = lab.enter(Place::Client, || {
            let socket = UdpSocket::bind(("::", 0)).expect("a port");
            socket.set_read_timeout(Some(PATIENCE)).expect("a socket may have a time limit");
            socket.connect((address, 53)).expect("a destination");
            socket.send(b"query").expect("a datagram");
            socket.recv(&mut [0; 16]).expect_err("no answer")
        });
        // What Linux makes of "communication administratively prohibited", of either family.
        let kind = if address.is_ipv4() { ErrorKind::HostUnreachable } else { ErrorKind::PermissionDenied };
        assert_eq!(error.kind(), kind, "{address}: {error}");
    }
    assert_eq!(daemon.sum("workers", "/replies/sent"), 4, "no reset for the receiver of a SYN");
}
